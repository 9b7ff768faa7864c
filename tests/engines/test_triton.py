"""The Triton engine against the definition: on a GPU if there is one, else under Triton's interpreter.

The interpreter takes some 50 ms for a step and its way back, so sizes are small here and T short: what
matters is that sizes are odd, and that T is no multiple of the steps between stored traces.
"""

from __future__ import annotations

import copy
import gc
import importlib
import importlib.util
import itertools
import json
import logging
import math
import os
import subprocess
import sys
import weakref
from pathlib import Path

import networks
import pytest
import torch
from networks import VARIANTS, name_of, random_state

from bpa import GridMaze, Network, engines
from bpa.cells.lstm import LSTM
from bpa.engines import triton as triton_engine
from bpa.engines.triton.together import act_together, unroll_together
from bpa.envs.cue_reward import CueReward
from bpa.maze import draw_noise
from bpa.training.rollout import rollout

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
INSTALLED = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not INSTALLED, reason="Triton is not installed (extra `test`, Linux only)")

# The largest difference from float64, relative to the largest number of the same tensor, or to 1.
# Under the interpreter the largest seen is 3e-6. A card rounds and sums in another order.
TOLERANCE = 1e-4 if CUDA else 2e-5

KINDS = [
    {"plasticity": "none"},
    {"plasticity": "plastic"},
    {"plasticity": "simple"},
    {"plasticity": "retroactive"},
]


@pytest.fixture(autouse=True, scope="module")
def interpreter():
    """Without a GPU, Triton's interpreter for this module alone."""
    engines.triton_engine.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        if not CUDA:
            patch.setenv("TRITON_INTERPRET", "1")
        yield
    engines.triton_engine.cache_clear()


@pytest.fixture
def stored_often(monkeypatch):
    """Traces stored every 3 steps, so that a short sequence has several stretches and a remainder."""
    monkeypatch.setattr(triton_engine, "KEEP_EVERY", 3)


def random_network(seed, hidden_size, *sizes, **variant):
    """The network of `networks.random_network`, where the engine runs it; other seeds have another eta."""
    eta = 0.2 + 0.1 * (seed % 3)
    return networks.random_network(seed, hidden_size, *sizes, device=DEVICE, eta=eta, **variant)


def random_inputs(seed, steps, batch_size, size=5):
    return torch.randn(steps, batch_size, size, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def parts_of(unrolled):
    """Outputs and final state by name."""
    named = {
        "logits": unrolled.logits, "values": unrolled.values, "modulation": unrolled.modulation,
        "h": unrolled.h, **{f"final {name}": part for name, part in unrolled.hidden._asdict().items()},
    }  # fmt: skip
    return {name: part for name, part in named.items() if part is not None}


def loss_of(outputs, seed=7):
    """A sum that weighs every number of every output differently."""
    generator = torch.Generator().manual_seed(seed)
    return sum(
        (part * torch.randn(part.shape, generator=generator).to(part)).sum() for part in outputs.values()
    )


def run(net, xs, state, engine, dtype=torch.float32):
    """Outputs and gradients by name, of a loss that looks at all outputs."""
    net = copy.deepcopy(net).to(dtype)
    xs = xs.detach().to(dtype).requires_grad_()
    state = type(state)(
        *[None if part is None else part.detach().to(dtype).requires_grad_() for part in state]
    )
    outputs = parts_of(net.unroll(xs, state, engine=engine))
    sources = {**dict(net.named_parameters()), "xs": xs}
    sources |= {f"initial {name}": part for name, part in state._asdict().items() if part is not None}
    gradients = torch.autograd.grad(loss_of(outputs), list(sources.values()))
    return outputs, dict(zip(sources, gradients, strict=True))


def assert_close(got, expected, what, tolerance=TOLERANCE):
    assert got.keys() == expected.keys()
    for name, right in expected.items():
        assert got[name].shape == right.shape, f"{what} {name}"
        assert got[name].dtype == torch.float32, f"{what} {name}"
        off = (got[name].double() - right).abs().max().item() / max(1.0, right.abs().max().item())
        assert off <= tolerance, f"{what} {name} is off by {off:.2g}"


def assert_same_function(net, xs, state, against=(torch.float64,)):
    outputs, gradients = run(net, xs, state, "triton")
    for dtype in against:
        right, right_gradients = run(net, xs, state, "eager", dtype)
        assert_close(outputs, right, "output")
        assert_close(gradients, right_gradients, "gradient of")
    return right


@needs_triton
@pytest.mark.parametrize("variant", VARIANTS, ids=name_of)
def test_equals_the_definition(variant, stored_often):
    net = random_network(5, 5, **variant)
    both = (torch.float32, torch.float64)
    right = assert_same_function(net, random_inputs(3, 5, 2), random_state(net, 5, 2), both)
    if net.plasticity != "none":
        clipped = (right["final hebb"].abs() == net.clip).double().mean().item()
        assert 0.05 <= clipped <= 0.95, f"{clipped:.0%} of the traces at the bound: too few, or all"


@needs_triton
@pytest.mark.parametrize("variant", VARIANTS, ids=name_of)
def test_one_neuron_one_step(variant):
    net = random_network(1, 1, **variant)
    assert_same_function(net, random_inputs(3, 1, 1), random_state(net, 1, 1))


@needs_triton
@pytest.mark.parametrize("variant", KINDS, ids=name_of)
def test_more_neurons_than_a_block_of_16(variant):
    net = random_network(17, 17, **variant)
    assert triton_engine.KEEP_EVERY == 8, "T below should cross a stored trace"
    assert_same_function(net, random_inputs(3, 11, 1), random_state(net, 17, 1))


@needs_triton
@pytest.mark.parametrize("variant", KINDS, ids=name_of)
def test_a_hundred_neurons(variant, stored_often):
    net = random_network(100, 100, **variant)
    assert_same_function(net, random_inputs(3, 4, 1), random_state(net, 100, 1))


@needs_triton
@pytest.mark.parametrize("modulator", ["sigmoid", "linear"])
@pytest.mark.parametrize("plasticity", ["simple", "retroactive"])
def test_modulators(plasticity, modulator, stored_often):
    net = random_network(1, 6, plasticity=plasticity, modulator=modulator)
    assert_same_function(net, random_inputs(1, 4, 1), random_state(net, 1, 1))


@needs_triton
@pytest.mark.parametrize("clip", [math.inf, 0.05])
@pytest.mark.parametrize("plasticity", ["plastic", "retroactive"])
def test_any_clip(plasticity, clip, stored_often):
    net = random_network(2, 6, plasticity=plasticity, clip=clip)
    assert_same_function(net, random_inputs(2, 4, 1), random_state(net, 2, 1))


@needs_triton
@pytest.mark.parametrize("plasticity", ["simple", "retroactive"])
def test_a_trace_on_the_bound_hands_its_gradient_on_and_one_beyond_it_does_not(plasticity):
    net = random_network(4, 6, plasticity=plasticity, clip=0.5)
    state = random_state(net, 4, 3, beyond=2.0)
    state.h[:] = 0  # nothing is added in the first step, so what lies on the bound stays there
    if state.eligibility is not None:
        state.eligibility[:] = 0
    state.hebb[0].fill_(0.5)
    state.hebb[1].fill_(-0.5)
    assert_same_function(net, random_inputs(4, 2, 3), state)
    gradient = run(net, random_inputs(4, 1, 3), state, "triton")[1]["initial hebb"]
    assert (gradient[:2] != 0).all()
    assert torch.equal(gradient[2] != 0, state.hebb[2].abs() <= 0.5)


@needs_triton
@pytest.mark.parametrize("plasticity", ["none", "retroactive"])
def test_nan_and_infinity_come_through(plasticity):
    net = random_network(11, 5, plasticity=plasticity)
    xs = torch.zeros(4, 2, 5, device=DEVICE)
    xs[1, 0, 0] = math.nan
    xs[2, 1, 0] = math.inf
    mine, right = [net.unroll(xs, None, engine) for engine in ("triton", "eager")]
    assert torch.equal(mine.h.isnan(), right.h.isnan())
    assert mine.h[1:, 0].isnan().all()
    assert not mine.h[:, 1].isnan().any()
    if mine.hidden.hebb is not None:
        assert torch.equal(mine.hidden.hebb.isnan(), right.hidden.hebb.isnan())
    assert torch.autograd.grad(mine.logits.sum(), net.w)[0].isnan().any()


@needs_triton
def test_gradient_of_a_single_output_and_of_a_single_parameter(stored_often):
    net = random_network(6, 5)
    xs = random_inputs(6, 5, 2)
    for name in ("alpha", "w"):
        net.requires_grad_(False).get_parameter(name).requires_grad_(True)
        mine, right = [net.unroll(xs, None, engine).values.square().sum() for engine in ("triton", "eager")]
        torch.testing.assert_close(
            torch.autograd.grad(mine, net.get_parameter(name)),
            torch.autograd.grad(right, net.get_parameter(name)),
            rtol=1e-4,
            atol=1e-6,
        )


@needs_triton
def test_the_callers_state_stays_and_nothing_is_kept_without_gradients():
    net = random_network(7, 5, plasticity="retroactive")
    state = random_state(net, 7, 2)
    before = [part.clone() for part in state]
    net.unroll(random_inputs(7, 3, 2), state, engine="triton").h.sum().backward()
    for part, kept in zip(state, before, strict=True):
        assert torch.equal(part, kept)
    assert triton_engine.fresh_run([state], 20, keep=False).hebb_kept.numel() == 0
    assert len(triton_engine.fresh_run([state], 20, keep=True).eligibility_kept) == 3
    with torch.no_grad():
        assert net.unroll(random_inputs(7, 2, 2), state, engine="triton").h.grad_fn is None


@needs_triton
def test_a_run_is_freed_with_its_last_name():
    gc.disable()
    try:
        out = random_network(9, 3).unroll(random_inputs(9, 1, 1), engine="triton")
        node = out.modulation.grad_fn
        while "Plastic" not in node.name():
            node = node.next_functions[0][0]
        gone = weakref.ref(node)
        del out, node
        assert gone() is None, "a reference cycle keeps the whole run until the garbage collector comes"
    finally:
        gc.enable()


@needs_triton
@pytest.mark.parametrize("variant", KINDS, ids=name_of)
def test_gradients_of_gradients_are_those_of_the_definition(variant):
    """Of two networks in one launch, each with its own clip."""
    nets = [random_network(seed, 3, **variant) for seed in (10, 11)]
    nets[1].clip = 0.2
    sequences = [random_inputs(seed, 4, 2) for seed in (1, 2)]
    found = []
    for together in (True, False):
        hiddens = [random_state(net, 3, 2) for net in nets]
        if together:
            outs = unroll_together(nets, sequences, hiddens)
        else:
            outs = [net.unroll(*given, "eager") for net, *given in zip(nets, sequences, hiddens, strict=True)]
        loss = sum(loss_of({name: part.square() for name, part in parts_of(out).items()}) for out in outs)
        parameters = [parameter for net in nets for parameter in net.parameters()]
        gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        penalty = sum(part.square().sum() for part in gradients)
        found.append(torch.autograd.grad(penalty, parameters))
    for mine, right in zip(*found, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-3, atol=1e-4 * max(1, right.abs().max().item()))


@needs_triton
def test_any_number_of_parts_of_alphas_gradient_adds_up_and_repeats_bit_by_bit(stored_often, monkeypatch):
    net, xs = random_network(9, 5), random_inputs(9, 4, 3)
    state = random_state(net, 9, 3)
    gradients = []
    for most in (1, 4, 4):
        monkeypatch.setattr(triton_engine, "MOST_SLOTS", most)
        gradients.append(run(net, xs, state, "triton")[1]["alpha"])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-6)
    assert torch.equal(gradients[2], gradients[1])


def lively_network(seed, **variant):
    """A maze network with so much going on inside that a slip in one step changes the actions soon."""
    net = random_network(seed, 12, input_size=17, num_actions=4, **{"clip": 1.0} | variant)
    with torch.no_grad():
        net.h2o.weight *= 0.4  # not so sure of itself that it stays in a corner
    return net


def fresh_maze(size, batch_size, steps, **rewards):
    return GridMaze(size, batch_size, steps, device=DEVICE, **rewards)


def drawn_noise(steps, batch_size, seed):
    return draw_noise(steps, batch_size, torch.Generator().manual_seed(seed), DEVICE)


@needs_triton
@pytest.mark.parametrize("bad", [math.nan, -1e9, 1.0])
def test_noise_out_of_range_is_refused(bad):
    nets, mazes = [lively_network(0), lively_network(1)], [fresh_maze(5, 2, 3) for _ in range(2)]
    for name in ("action", "teleport"):
        noises = [drawn_noise(3, 2, seed) for seed in range(2)]
        getattr(noises[1], name)[2, 1] = bad
        for maze, noise in zip(mazes, noises, strict=True):
            maze.reset(noise.goal)
        with pytest.raises(
            ValueError, match=rf"noises\[1\]\.{name} must hold numbers in \[0, 1\), got .* at \[2, 1\]"
        ):
            act_together(nets, mazes, noises)
    noise = drawn_noise(3, 2, 0)
    with pytest.raises(ValueError, match=r"noises\[0\]\.action must have shape \[3, 2\], got \[2, 2\]"):
        act_together(nets[:1], mazes[:1], [noise._replace(action=noise.action[:2])])
    mazes[0].walls[0, 1] = False
    with pytest.raises(ValueError, match="mazes with a wall all round"):
        act_together(nets[:1], mazes[:1], [noise])


@needs_triton
def test_an_action_of_probability_0_is_never_taken():
    never = -math.inf
    numbers = [0.0, 2.0**-24, 0.5, 1 - 2.0**-24]
    net = lively_network(0)
    for logits in (
        [never, 0.0, 0.3, never], [0.0, never, 0.3, 0.1], [0.0, 0.3, 0.6, never], [never, never, never, 0.0],
        [-95.0, 0.0, 0.5, -95.0], [math.nan, 0.0, 1.0, 2.0], [never] * 4, [1.0, 2.0, 3.0, 4.0],
    ):  # fmt: skip
        with torch.no_grad():
            net.h2o.weight.zero_()
            net.h2o.bias.copy_(torch.tensor(logits))
            noise = drawn_noise(1, 4, 0)._replace(action=torch.tensor([numbers], device=DEVICE))
            mine, right = [
                rollout(net, fresh_maze(5, 4, 1), noise, engine).actions[0].tolist()
                for engine in ("triton", "eager")
            ]
        assert mine == right, logits
        if not any(map(math.isnan, torch.tensor(logits).softmax(0).tolist())):
            assert all(logits[action] > -90 for action in mine), logits


def assert_same_episodes(mine, right, what=""):
    for name in ("actions", "rewards", "observations"):
        one, two = getattr(mine, name), getattr(right, name)
        assert one.dtype == two.dtype
        assert torch.equal(one, two), f"{what} {name}"
    for name in ("logits", "values", "modulation", "h"):
        one, two = getattr(mine, name), getattr(right, name)
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


@needs_triton
@pytest.mark.parametrize(
    ("plasticity", "steps", "seed", "size", "penalty"),
    [("simple", 200, 1, 5, 0.0), ("retroactive", 60, 14, 7, 0.25)],
)
def test_the_same_noise_gives_the_same_episodes(plasticity, steps, seed, size, penalty):
    net, noise = lively_network(seed, plasticity=plasticity), drawn_noise(steps, 1, seed)
    mazes = [fresh_maze(size, 1, steps, wall_penalty=penalty) for _ in range(2)]
    with torch.no_grad():
        right, mine = [
            rollout(net, maze, noise, engine) for maze, engine in zip(mazes, ("eager", "triton"), strict=True)
        ]
    assert_same_episodes(mine, right)
    assert right.rewards.max() > 5, "nobody found the goal: nothing was tested"
    assert len(right.actions.unique()) == 4
    for name, end in vars(mazes[0]).items():
        same = torch.equal(vars(mazes[1])[name], end) if isinstance(end, torch.Tensor) else name
        assert same, f"the maze is left with another {name}"
        if isinstance(end, torch.Tensor):
            assert vars(mazes[1])[name].dtype == end.dtype
    assert mazes[1].time == mazes[0].time == steps


@needs_triton
@pytest.mark.parametrize("variant", KINDS, ids=name_of)
def test_gradients_of_an_episode_in_the_maze(variant, stored_often):
    net, noise = lively_network(5, **variant), drawn_noise(7, 2, 5)
    gradients = []
    for engine in ("eager", "triton"):
        seen = rollout(net, fresh_maze(5, 2, 7), noise, engine)
        loss = seen.logits.square().sum() + (seen.values * seen.rewards).sum() + seen.hidden.h.sum()
        gradients.append(torch.autograd.grad(loss, list(net.parameters())))
    for (name, _), right, mine in zip(net.named_parameters(), *gradients, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-3, atol=2e-4 * right.abs().max().item(), msg=name)


@needs_triton
def test_networks_that_act_together_do_as_they_do_alone(stored_often):
    nets = [lively_network(seed, clip=clip) for seed, clip in ((1, 1.0), (2, 0.3))]
    noises = [drawn_noise(8, 2, seed) for seed in (3, 4)]
    mazes = [fresh_maze(5, 2, 8, reward=reward, wall_penalty=1 / reward) for reward in (10.0, 4.0)]
    for maze, noise in zip(mazes, noises, strict=True):
        maze.reset(noise.goal)
    together = act_together(nets, mazes, noises)
    sum(seen[3].square().sum() * (s + 1) for s, seen in enumerate(together)).backward()
    assert [seen[2].min().item() for seen in together] == pytest.approx([-0.1, -0.25]), "nobody met a wall"
    for s, (net, seen) in enumerate(zip(nets, together, strict=True)):
        maze = fresh_maze(5, 2, 8, reward=mazes[s].reward, wall_penalty=mazes[s].wall_penalty)
        alone = rollout(copy.deepcopy(net), maze, noises[s], "eager")
        assert_same_episodes(type(alone)(*seen), alone, f"network {s}:")
        for name in ("agent", "previous_reward", "previous_action"):
            assert torch.equal(getattr(mazes[s], name), getattr(maze, name)), name
        right = copy.deepcopy(net)
        right.zero_grad()
        (rollout(right, maze, noises[s], "eager").logits.square().sum() * (s + 1)).backward()
        for (name, mine), other in zip(net.named_parameters(), right.parameters(), strict=True):
            assert (mine.grad is None) == (other.grad is None), name
            if other.grad is not None:
                torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-4, msg=name)


@needs_triton
def test_networks_that_unroll_together_do_as_they_do_alone(stored_often):
    nets = [random_network(seed, 5, plasticity="retroactive", alpha=alpha)
            for seed, alpha in ((1, "synapse"), (2, "neuron"), (3, "network"))]  # fmt: skip
    sequences = [random_inputs(seed, 4, 2) for seed in range(3)]
    states = [random_state(net, seed, 2) for seed, net in enumerate(nets)]
    together = unroll_together(nets, sequences, states)
    loss = sum(loss_of(parts_of(out), seed) for seed, out in enumerate(together))
    sources = [list(net.parameters()) for net in nets]
    gradients = iter(torch.autograd.grad(loss, list(itertools.chain(*sources))))
    for s, net in enumerate(nets):
        alone = net.unroll(sequences[s], states[s], engine="eager")
        assert_close(parts_of(together[s]), parts_of(alone), f"network {s}:")
        right = torch.autograd.grad(loss_of(parts_of(alone), s), sources[s])
        for one, (name, _) in zip(right, net.named_parameters(), strict=True):
            torch.testing.assert_close(next(gradients), one, rtol=1e-4, atol=1e-4, msg=f"{s} {name}")


@needs_triton
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda nets, mazes: nets.pop(), "as many as each other, got 1, 2 and 2"),
        (
            lambda nets, mazes: nets.append(nets.pop().double()),
            "in torch.float32 on CUDA, not in torch.float64",
        ),
        (
            lambda nets, mazes: nets.__setitem__(1, Network(17, 5, 4).to(DEVICE)),
            "got simple tanh 17-12-4 and simple",
        ),
        (
            lambda nets, mazes: nets.__setitem__(1, Network(17, 12, 4, plasticity="none").to(DEVICE)),
            "nets must be alike in plasticity, modulator and sizes",
        ),
        (lambda nets, mazes: mazes.__setitem__(1, object()), "object offers no kernel_view"),
        (lambda nets, mazes: mazes.__setitem__(1, GridMaze(7, 2, 4)), "mazes must be alike in size"),
        (lambda nets, mazes: mazes.__setitem__(1, GridMaze(5, 2, 5)), "mazes must be alike in size"),
        (lambda nets, mazes: mazes[1].walls.__setitem__((1, 1), True), "mazes must have the same walls"),
    ],
)
def test_what_cannot_share_a_launch_is_refused(change, message):
    nets = [lively_network(seed) for seed in range(2)]
    mazes = [fresh_maze(5, 2, 4) for _ in range(2)]
    noises = [drawn_noise(4, 2, seed) for seed in range(2)]
    change(nets, mazes)
    with pytest.raises(ValueError, match=message):
        act_together(nets, mazes, noises)


@needs_triton
def test_no_network_and_sequences_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match="at least one network, got none"):
        act_together([], [], [])
    nets = [random_network(seed, 5) for seed in range(2)]
    sequences = [random_inputs(seed, 4 + seed, 2) for seed in range(2)]
    with pytest.raises(ValueError, match=r"2 tensors of one shape, got \[\[4, 2, 5\], \[5, 2, 5\]\]"):
        unroll_together(nets, sequences, [random_state(net, 1, 2) for net in nets])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Network(5, 4, 3, plasticity="plastic", rule="decay"), "rule 'hebb' alone, not 'decay'"),
        (lambda: Network(5, 4, 3, clipping="soft"), "clipping 'hard' alone, not 'soft'"),
        (lambda: Network(5, 4, 3).double(), "not in torch.float64"),
        (lambda: Network(5, 4, 3).to("meta"), "on meta"),
        (lambda: Network(5, 129, 3), "the traces of 128 neurons at most, not 129"),
        (lambda: type("Mine", (Network,), {})(5, 4, 3), "not Mine"),
        (lambda: LSTM(5, 4, 3), "not LSTM"),
    ],
    ids=["decay", "soft", "float64", "device", "size", "subclass", "lstm"],
)
def test_what_it_does_not_know_is_refused(make, reason):
    net = make()
    assert reason in engines.reason_against_triton(net)
    with pytest.raises(ValueError, match="engine 'triton' cannot run this: ") as refusal:
        engines.choose("triton", net)
    assert reason in str(refusal.value)


class OnCuda:
    """Something whose parameters are on a GPU, as far as the choice of an engine can see."""

    def parameters(self):
        return iter([type("Parameter", (), {"device": torch.device("cuda", 0)})])


def test_auto_takes_it_on_cuda_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(engines, "reason_against_triton", lambda net, tensors: None)
    monkeypatch.setattr(engines, "triton_engine", lambda device: triton_engine)
    engines.log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="bpa"):
        assert engines.choose("auto", OnCuda()) is triton_engine
        assert engines.choose("auto", Network(5, 4, 3)) is not triton_engine
    assert caplog.records[0].message == "engine triton, on cuda:0"


def test_auto_on_cuda_falls_back_to_the_definition_and_says_why(monkeypatch, caplog):
    engines.log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="bpa"):
        assert engines.choose("auto", OnCuda()) is engines.eager
    assert [record.message for record in caplog.records] == [
        "engine eager, because of the Triton engine: OnCuda offers no kernel_cell()"
    ]


class OtherMaze(GridMaze):
    """Another environment."""


@needs_triton
def test_the_rules_of_cues_and_likeliest_actions_are_left_outside():
    net = random_network(7, 5, input_size=26, num_actions=2)
    reason = "it knows the rules of the maze alone, not those of CueReward"
    assert engines.reason_outside(engines.choose("triton", net), CueReward(device=DEVICE)) == reason
    maze = GridMaze(5, 2, 5, device=DEVICE)
    assert engines.reason_outside(triton_engine, maze) is None
    assert engines.reason_outside(triton_engine, maze, greedy=True) == "it samples every action"


@needs_triton
def test_another_environment_takes_its_own_steps():
    net, noise = lively_network(7), drawn_noise(5, 2, 7)
    seen, right = (
        rollout(net, make(5, 2, 5, device=DEVICE), noise, engine)
        for make, engine in ((OtherMaze, "triton"), (GridMaze, "eager"))
    )
    assert torch.equal(seen.actions, right.actions)
    torch.testing.assert_close(seen.logits, right.logits, rtol=1e-4, atol=1e-5)
    gradients = [torch.autograd.grad(one.logits.square().sum(), net.i2h.weight)[0] for one in (seen, right)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["triton", "bpa.engines.triton.kernels"])
def test_a_machine_without_triton_says_so(name, monkeypatch, caplog):
    engines.triton_engine.cache_clear()
    engines.log_once.cache_clear()
    monkeypatch.delitem(sys.modules, "bpa.engines.triton.kernels", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr(triton_engine, "kernels", raising=False)
    with pytest.raises(ValueError, match="engine 'triton' cannot run this: Triton does not work here"):
        engines.choose("triton", Network(5, 4, 3))
    with caplog.at_level(logging.WARNING, logger="bpa"):
        assert "Triton does not work here" in engines.triton_engine(torch.device("cuda", 0))
    (record,) = caplog.records
    assert "the eager engine computes instead, many times slower" in record.message
    engines.triton_engine.cache_clear()


@needs_triton
def test_kernels_compile_for_a_card_that_is_not_here():
    root = Path(engines.__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, Path(__file__).parent / "compile_triton.py"]
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment | {"PYTHONPATH": str(root)}
    ).stdout
    needs = [json.loads(line) for line in said.splitlines()]
    assert {(need["kernel"], need["kind"]) for need in needs} == {
        *itertools.product(("unroll_kernel", "act_kernel", "backward_kernel"), (0, 1, 2)),
        *itertools.product(("alpha_kernel",), (1, 2)),
    }
    assert max(need["registers"] * need["warps"] for need in needs) * 32 <= 65536, "more than there are"
    assert max(need["shared"] for need in needs) <= 48 * 1024
    gated = [need for need in needs if need["kind"] == 1]
    assert max(need["stack"] for need in gated) <= 64, "its traces no longer fit in the registers"


@needs_triton
@pytest.mark.skipif(CUDA, reason="the message is for machines without a GPU")
def test_on_the_cpu_it_needs_the_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET")
    engines.triton_engine.cache_clear()
    reason = engines.reason_against_triton(Network(5, 4, 3))
    engines.triton_engine.cache_clear()
    assert "no kernel runs on cpu but with TRITON_INTERPRET=1 set before Python starts" in reason
