"""What PyTorch may be doing around a call: "auto" gives the right answer, and never an error from inside.

An engine that was asked for by name refuses what it cannot do, and the refusal says which engine can.
"""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from networks import random_network
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from bpa import GridMaze, engines
from bpa.cells.fast_weights import FastWeightNetwork
from bpa.cells.lstm import LSTM
from bpa.maze import draw_noise
from bpa.training.rollout import rollout

XS = torch.randn(4, 2, 5, generator=torch.Generator().manual_seed(1))


def seeded():
    return torch.Generator().manual_seed(2)


NETS = {
    "none": lambda: random_network(1, 4, plasticity="none"),
    "simple": lambda: random_network(1, 4, plasticity="simple"),
    "retroactive": lambda: random_network(1, 4, plasticity="retroactive"),
    "lstm": lambda: LSTM(5, 4, 3, generator=seeded()),
    "plastic lstm": lambda: LSTM(5, 4, 3, plasticity="simple", generator=seeded()),
    "fast weights": lambda: FastWeightNetwork(5, 4, 3, generator=seeded()),
}


class Unroll(nn.Module):
    """A whole sequence as a module: xs -> logits."""

    def __init__(self, net, engine):
        super().__init__()
        self.net, self.engine = net, engine

    def forward(self, xs):
        return self.net.unroll(xs, engine=self.engine).logits


class Subclass(torch.Tensor):
    """A tensor of another kind."""


def compiled(net, engine):
    return torch.compile(Unroll(net, engine), backend="aot_eager", fullgraph=True)(XS)


def compiled_steps(net, engine):
    step = torch.compile(net, backend="eager", fullgraph=True)
    logits, _, hidden = step(XS[0])
    return logits, step(XS[1], hidden)[0]


def exported(net, engine):
    return torch.export.export(Unroll(net, engine), (XS,)).module()(2 * XS)


def traced(net, engine):
    return torch.jit.trace(Unroll(net, engine), (XS,), check_trace=False)(2 * XS)


def gradient_by_func(net, engine):
    module = Unroll(net, engine)
    parameters = {name: part.detach() for name, part in module.named_parameters()}
    return grad(lambda own: functional_call(module, own, (XS,)).square().sum())(parameters)["net.h2o.weight"]


def mapped(net, engine):
    return vmap(Unroll(net, engine))(torch.stack([XS, 2 * XS]))


def mapped_parameters(net, engine):
    module = Unroll(net, engine)
    several = {name: torch.stack([part, part / 2]).detach() for name, part in module.named_parameters()}
    return vmap(lambda own: functional_call(module, own, (XS,)))(several)


def forward_mode(net, engine):
    return jvp(Unroll(net, engine), (XS,), (XS,))


def dual_numbers(net, engine):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(Unroll(net, engine)(forward_ad.make_dual(XS, XS))).tangent


def dual_parameters(net, engine):
    with forward_ad.dual_level():
        module = Unroll(net, engine)
        own = {
            name: forward_ad.make_dual(part.detach(), part.detach())
            for name, part in module.named_parameters()
        }
        return forward_ad.unpack_dual(functional_call(module, own, (XS,))).tangent


def in_autocast(net, engine):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return Unroll(net, engine)(XS)


def steps_in_autocast(net, engine):
    hidden, logits = None, []
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for x in XS:
            out, _, hidden = net(x, hidden)
            logits.append(out)
    return logits


def twice(net, engine):
    xs = XS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(Unroll(net, engine)(xs).square().sum(), xs, create_graph=True)
    return torch.autograd.grad(gradient.square().sum(), [xs, net.h2o.weight])


def batched_gradients(net, engine):
    xs = XS.clone().requires_grad_()
    return torch.autograd.grad(Unroll(net, engine)(xs).sum((0, 1)), xs, torch.eye(3), is_grads_batched=True)


def hessian(net, engine):
    function = lambda xs: Unroll(net, engine)(xs).square().sum()  # noqa: E731
    return torch.autograd.functional.hessian(function, XS[:2], vectorize=True)


def in_float64(net, engine):
    return Unroll(copy.deepcopy(net).double(), engine)(XS.double())


def on_a_subclass(net, engine):
    return Unroll(net, engine)(XS.as_subclass(Subclass)).as_subclass(torch.Tensor)


def without_grad(net, engine):
    with torch.inference_mode():
        return Unroll(net, engine)(XS).clone()


def recomputed(net, engine):
    xs = XS.clone().requires_grad_()
    checkpoint(Unroll(net, engine), xs, use_reentrant=False).square().sum().backward()
    return xs.grad


def counted(net, engine):
    with FlopCounterMode(display=False) as counter:
        Unroll(net, engine)(XS)
    return torch.tensor(float(counter.get_total_flops()))


def with_a_hook(net, engine):
    net = copy.deepcopy(net)
    net.h2o.register_forward_hook(lambda module, inputs, output: output + 1)
    return Unroll(net, engine)(XS)


def with_another_layer(net, engine):
    net = copy.deepcopy(net)
    layer = type("Doubled", (nn.Linear,), {"forward": lambda self, x: 2 * nn.Linear.forward(self, x)})(5, 1)
    layer.weight, layer.bias = net.i2h.weight, net.i2h.bias
    net.i2h = layer
    return Unroll(net, engine)(XS)


CASES = [
    compiled, compiled_steps, exported, traced, gradient_by_func, mapped, mapped_parameters, forward_mode,
    dual_numbers, dual_parameters, in_autocast, steps_in_autocast, twice, batched_gradients, hessian,
    in_float64, on_a_subclass, without_grad, recomputed, counted, with_a_hook, with_another_layer,
]  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_compiled():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_auto_gives_the_answer_of_the_definition(case, name):
    net = NETS[name]()
    mine, right = case(net, "auto"), case(net, "eager")
    torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)


REFUSED = {
    exported: "PyTorch is tracing this call",
    traced: "PyTorch is tracing this call",
    gradient_by_func: "torch.func and vmap cannot see into compiled loops",
    mapped: "torch.func and vmap cannot see into compiled loops",
    forward_mode: "torch.func and vmap cannot see into compiled loops",
    dual_numbers: "it has no derivatives in forward mode",
    dual_parameters: "it has no derivatives in forward mode",
    in_autocast: "autocast is on",
    in_float64: r"not in torch\.float64 on cpu",
    on_a_subclass: "plain tensors alone, not Subclass",
    counted: "a TorchDispatchMode is on",
    with_a_hook: "calls no hooks, and h2o has one",
    with_another_layer: "linear layers alone, and i2h is another Doubled",
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", ["simple", "lstm"])
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.__name__)
def test_an_engine_asked_for_by_name_refuses_and_says_which_can(case, name):
    with pytest.raises(
        ValueError, match=f"engine 'numba' cannot run this: .*{REFUSED[case]}.*; engine='eager' can"
    ):
        case(NETS[name](), "numba")


@pytest.mark.parametrize("name", NETS)
def test_fake_and_meta_tensors_get_shapes(name):
    net = NETS[name]()
    assert Unroll(copy.deepcopy(net).to("meta"), "auto")(XS.to("meta")).shape == (4, 2, 3)
    mode = torch._subclasses.FakeTensorMode()
    for module in net.modules():
        for key, part in list(module._parameters.items()):
            if part is not None:
                module._parameters[key] = mode.from_tensor(part)
    xs = mode.from_tensor(XS)
    assert Unroll(net, "auto")(xs).shape == (4, 2, 3)  # outside the mode, which its tensors bring along
    with mode:
        assert Unroll(net, "auto")(xs).shape == (4, 2, 3)
        assert net(xs[0])[0].shape == (2, 3)


ACTORS = {
    "simple": lambda: random_network(3, 5, input_size=17, num_actions=4),
    "none": lambda: random_network(3, 5, input_size=17, num_actions=4, plasticity="none"),
    "lstm": lambda: LSTM(17, 5, 4, generator=seeded()),
    "plastic lstm": lambda: LSTM(17, 5, 4, plasticity="simple", generator=seeded()),
}


class Acting(nn.Module):
    """A batch of episodes as a module: nothing -> logits and actions."""

    def __init__(self, net, engine):
        super().__init__()
        self.net, self.engine = net, engine
        self.noise = draw_noise(6, 3, seeded())

    def forward(self):
        seen = rollout(self.net, GridMaze(5, 3, 6), self.noise, self.engine)
        return seen.logits, seen.actions


def acting_compiled(net, engine):
    return torch.compile(Acting(net, engine), backend="eager")()


def acting_in_autocast(net, engine):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return Acting(net, engine)()


def acting_in_float64(net, engine):
    return Acting(copy.deepcopy(net).double(), engine)()


def acting_without_grad(net, engine):
    with torch.inference_mode():
        return [part.clone() for part in Acting(net, engine)()]


def acting_gradient(net, engine):
    module = Acting(net, engine)
    parameters = {name: part.detach() for name, part in module.named_parameters()}
    return grad(lambda own: functional_call(module, own, ())[0].square().sum())(parameters)["net.w"]


def acting_with_a_hook(net, engine):
    net = copy.deepcopy(net)
    net.i2h.register_forward_hook(lambda module, inputs, output: output * 2)
    return Acting(net, engine)()


EPISODES = [
    acting_compiled, acting_in_autocast, acting_in_float64, acting_without_grad,
    acting_gradient, acting_with_a_hook,
]  # fmt: skip


@pytest.mark.parametrize("name", ACTORS)
@pytest.mark.parametrize("case", EPISODES, ids=lambda case: case.__name__)
def test_a_rollout_is_that_of_the_definition(case, name):
    net = ACTORS[name]()
    torch.testing.assert_close(case(net, "auto"), case(net, "eager"), rtol=1e-4, atol=1e-5)


def test_a_rollout_without_numbers_is_refused():
    module = Acting(ACTORS["simple"](), "auto")
    several = {name: torch.stack([part, part]).detach() for name, part in module.named_parameters()}
    with pytest.raises(ValueError, match="net must hold numbers that an environment can go by"):
        vmap(functools.partial(functional_call, module, args=()))(several)


def test_no_loop_runs_a_maze_that_is_open_and_a_network_that_is_watched_takes_its_own_steps():
    net, maze = ACTORS["simple"](), GridMaze(5, 3, 6)
    assert engines.reason_outside(engines.choose("numba", net, maze), maze) is None
    maze.walls[0, 2] = False
    outside = engines.reason_outside(engines.choose("numba", net, maze), maze)
    assert "mazes with a wall all round alone" in outside
    calls = []
    net.register_forward_hook(lambda *given: calls.append(1))
    rollout(net, GridMaze(5, 3, 6), draw_noise(6, 3, seeded()))
    assert len(calls) == 6
