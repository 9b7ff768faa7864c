"""The network against the papers' equations written as plain loops, and against itself."""

import itertools
import math

import pytest
import torch
from reference import network_step, to_lists
from torch.func import functional_call

from bpa import Network
from bpa.network import Hidden

ALPHAS = ("synapse", "neuron", "network")
VARIANTS = [
    {"plasticity": "none"},
    *(
        {"plasticity": "plastic", "alpha": a, "rule": r}
        for a, r in itertools.product(ALPHAS, ("hebb", "decay", "oja"))
    ),
    *(
        {"plasticity": p, "alpha": a, "fanout": f}
        for p, a, f in itertools.product(("simple", "retroactive"), ALPHAS, (True, False))
    ),
    *(
        {"plasticity": p, "modulator": m}
        for p, m in itertools.product(("simple", "retroactive"), ("sigmoid", "linear"))
    ),
    *({"plasticity": p, "clipping": "soft"} for p in ("plastic", "simple", "retroactive")),
    {"plasticity": "simple", "clip": math.inf},
]


def name(variant):
    return "-".join(str(value) for value in variant.values())


def lively(variant, hidden_size=5, input_size=3, num_actions=2, seed=0, clip=0.3):
    """A float64 network whose every parameter matters, and a state that is not zero."""
    generator = torch.Generator().manual_seed(seed)
    variant = {"clip": clip} | variant
    net = Network(input_size, hidden_size, num_actions, generator=generator, **variant).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.empty_like(parameter).uniform_(-0.9, 0.9, generator=generator))
        if hasattr(net, "eta"):
            net.eta.fill_(0.37)
    return net, generator


def lively_state(net, batch_size, generator):
    """Activity within (-1, 1), traces within 0.25."""
    return Hidden(
        *(
            None
            if part is None
            else scale * (2 * torch.rand(part.shape, generator=generator, dtype=part.dtype) - 1)
            for part, scale in zip(net.initial_state(batch_size), (0.9, 0.25, 0.25), strict=True)
        )
    )


def inputs(net, T, B, generator):
    return torch.randn(T, B, net.input_size, generator=generator, dtype=net.w.dtype)


def by_loops(net, kind, xs, hidden):
    """What the reference says of every episode: logits, values, modulation, h, hebb, eligibility."""
    p, episodes = to_lists(net), []
    for b in range(xs.shape[1]):
        h, hebb, eligibility = (None if part is None else part[b].tolist() for part in hidden)
        seen = []
        for x in xs[:, b].tolist():
            logits, value, modulation, h, hebb, eligibility = network_step(p, kind, x, h, hebb, eligibility)
            seen.append((logits, value, modulation, h))
        episodes.append((*zip(*seen, strict=True), hebb, eligibility))
    parts = list(zip(*episodes, strict=True))
    absent = [part[0] is None or part[0][0] is None for part in parts]
    stacked = [
        None if a else torch.tensor(part, dtype=torch.float64) for a, part in zip(absent, parts, strict=True)
    ]
    return [part if part is None or n >= 4 else part.transpose(0, 1) for n, part in enumerate(stacked)]


def kind_of(net):
    return {k: getattr(net, k) for k in ("plasticity", "rule", "clip", "clipping", "modulator", "fanout")}


def assert_same(got, expected, tolerance=1e-12):
    assert (got is None) == (expected is None)
    if got is not None:
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("hidden_size", [1, 5])
@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_every_variant_is_the_papers_equations(variant, hidden_size):
    net, generator = lively(variant, hidden_size)
    hidden = lively_state(net, 3, generator)
    xs = inputs(net, 7, 3, generator)
    out = net.unroll(xs, hidden, engine="eager")
    expected = by_loops(net, kind_of(net), xs, hidden)
    for got, want in zip(
        (out.logits, out.values, out.modulation, out.h, out.hidden.hebb, out.hidden.eligibility),
        expected,
        strict=True,
    ):
        assert_same(got, want)
    assert_same(out.hidden.h, out.h[-1])


@pytest.mark.parametrize("plasticity", ["plastic", "simple", "retroactive"])
def test_the_equations_hold_where_a_fifth_of_the_traces_is_clipped(plasticity):
    net, generator = lively({"plasticity": plasticity}, hidden_size=9, clip=0.1)
    hidden = net.initial_state(2)
    xs = inputs(net, 20, 2, generator)
    out = net.unroll(xs, hidden, engine="eager")
    at_the_bound = (out.hidden.hebb.abs() == 0.1).double().mean()
    assert at_the_bound >= 0.2
    expected = by_loops(net, kind_of(net), xs, hidden)
    assert_same(out.hidden.hebb, expected[4])
    assert_same(out.h, expected[3])


@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_gradients_are_those_of_finite_differences(variant):
    # With seed 1 no trace lies within the finite difference of the clip, where no derivative exists.
    net, generator = lively(variant, hidden_size=3, input_size=2, seed=1)
    hidden = lively_state(net, 1, generator)
    names, parameters = zip(*net.named_parameters(), strict=True)
    used = [part.requires_grad_() for part in hidden if part is not None]
    xs = inputs(net, 3, 1, generator).requires_grad_()

    def outputs(xs, *tensors):
        state = Hidden(*tensors[: len(used)])
        weights = dict(zip(names, tensors[len(used) :], strict=True))
        seen = []
        for x in xs:
            logits, value, state = functional_call(net, weights, (x, state))
            seen += [logits, value]
        return *seen, *(part for part in state if part is not None)

    tensors = [parameter.detach().clone().requires_grad_() for parameter in parameters]
    assert torch.autograd.gradcheck(outputs, (xs, *used, *tensors))


@pytest.mark.parametrize("variant", VARIANTS, ids=name)
def test_unroll_is_repeated_steps_chunks_and_single_episodes(variant):
    net, generator = lively(variant)
    hidden = lively_state(net, 3, generator)
    xs = inputs(net, 8, 3, generator)
    whole = net.unroll(xs, hidden, engine="eager")

    state = hidden
    for t, x in enumerate(xs):
        logits, value, state = net(x, state)
        assert_same(logits, whole.logits[t])
        assert_same(value, whole.values[t])
    for got, want in zip(state, whole.hidden, strict=True):
        assert_same(got, want)

    first = net.unroll(xs[:3], hidden)
    second = net.unroll(xs[3:], first.hidden)
    assert_same(torch.cat([first.h, second.h]), whole.h)
    for got, want in zip(second.hidden, whole.hidden, strict=True):
        assert_same(got, want)

    for b in range(3):
        alone = net.unroll(
            xs[:, b : b + 1], Hidden(*(None if part is None else part[b : b + 1] for part in hidden))
        )
        assert_same(alone.logits, whole.logits[:, b : b + 1])
        for got, want in zip(alone.hidden, whole.hidden, strict=True):
            assert_same(got, None if want is None else want[b : b + 1])


def test_unroll_without_a_state_starts_from_zero():
    net, generator = lively({"plasticity": "retroactive"})
    xs = inputs(net, 4, 2, generator)
    assert all(part.count_nonzero() == 0 for part in net.initial_state(2))
    assert_same(net.unroll(xs).h, net.unroll(xs, net.initial_state(2)).h)
    assert_same(net(xs[0])[0], net(xs[0], net.initial_state(2))[0])


def test_names_and_shapes_are_the_published_ones():
    common = {"i2h.weight": (7, 3), "i2h.bias": (7,), "w": (7, 7), "h2o.weight": (4, 7), "h2o.bias": (4,)}
    common |= {"h2v.weight": (1, 7), "h2v.bias": (1,)}
    modulated = {"h2mod.weight": (1, 7), "h2mod.bias": (1,)}
    fanned = {"modfanout.weight": (7, 1), "modfanout.bias": (7,)}
    expected = {
        "none": {},
        "plastic": {"alpha": (7, 7), "eta": (1,)},
        "simple": {"alpha": (7, 7)} | modulated | fanned,
        "retroactive": {"alpha": (7, 7), "eta": (1,)} | modulated | fanned,
    }
    for plasticity, extra in expected.items():
        state = Network(3, 7, 4, plasticity=plasticity).state_dict()
        assert {key: tuple(value.shape) for key, value in state.items()} == common | extra
    assert "modfanout.weight" not in Network(3, 7, 4, fanout=False).state_dict()
    for alpha, shape in {"synapse": (7, 7), "neuron": (1, 7), "network": (1,)}.items():
        assert tuple(Network(3, 7, 4, alpha=alpha).alpha.shape) == shape


def test_initial_weights_come_from_the_generator_and_lie_in_the_published_ranges():
    before = torch.get_rng_state()
    nets = [
        Network(17, 100, 4, plasticity="retroactive", generator=torch.Generator().manual_seed(seed))
        for seed in (3, 3, 4)
    ]
    assert torch.equal(before, torch.get_rng_state())
    first, again, other = (net.state_dict() for net in nets)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert all(not torch.equal(first[key], other[key]) for key in first if key != "eta")
    for key in ("w", "alpha"):
        assert 0 <= first[key].min() < 0.00001
        assert 0.00099 < first[key].max() < 0.001
    for key, fan_in in {"i2h": 17, "h2o": 100, "h2v": 100, "h2mod": 100, "modfanout": 1}.items():
        bound = 1 / math.sqrt(fan_in)
        weight, bias = first[key + ".weight"], first[key + ".bias"]
        assert 0.8 * bound < weight.abs().max() <= bound
        assert weight.min() < 0 < weight.max()
        assert bias.abs().max() <= bound
    assert first["eta"].item() == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be a whole number of at least 1, got 0"),
        ({"input_size": 2.5}, "input_size must be a whole number of at least 1, got 2.5"),
        ({"num_actions": True}, "num_actions must be a whole number of at least 1, got True"),
        (
            {"plasticity": "elastic"},
            "plasticity must be one of 'none', 'plastic', 'simple', 'retroactive', got 'elastic'",
        ),
        ({"alpha": 3}, "alpha must be one of 'synapse', 'neuron', 'network', got 3"),
        ({"clip": 0.0}, "clip must be a number above 0, got 0"),
        ({"clip": math.nan}, "clip must be a number above 0, got nan"),
        ({"fanout": "yes"}, "fanout must be True or False, got 'yes'"),
        ({"rule": "oja"}, "rule 'oja' needs plasticity 'plastic', got 'simple'"),
        ({"rule": "decay", "plasticity": "none"}, "rule 'decay' needs plasticity 'plastic', got 'none'"),
        ({"clipping": "soft", "plasticity": "none"}, "clipping 'soft' needs a trace"),
        ({"clipping": "soft", "plasticity": "plastic", "rule": "oja"}, "clipping 'soft' needs a trace"),
        ({"clipping": "soft", "clip": math.inf}, "clip must be finite with clipping 'soft', got inf"),
        (
            {"modulator": "sigmoid", "plasticity": "plastic"},
            "modulator 'sigmoid' needs plasticity 'simple' or",
        ),
        ({"modulator": "relu"}, "modulator must be one of 'tanh', 'sigmoid', 'linear', got 'relu'"),
    ],
)
def test_a_network_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        Network(**({"input_size": 3, "hidden_size": 4, "num_actions": 2} | arguments))


def test_inputs_and_states_that_do_not_fit_are_refused():
    net = Network(3, 4, 2)
    state = net.initial_state(2)
    with pytest.raises(ValueError, match=r"x must have shape \[B, 3\], got \[2, 5\]"):
        net(torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"x must be torch.float32 on cpu, got torch.float64"):
        net(torch.zeros(2, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"xs must have shape \[T, B, 3\], got \[2, 3\]"):
        net.unroll(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"hidden.h must have shape \[7, 4\], got \[2, 4\]"):
        net(torch.zeros(7, 3), state)
    with pytest.raises(ValueError, match=r"hidden.hebb must be a tensor of shape \[2, 4, 4\], got NoneType"):
        net(torch.zeros(2, 3), Hidden(state.h))
    with pytest.raises(ValueError, match=r"hidden.eligibility must be None in this network, got Tensor"):
        net(torch.zeros(2, 3), state._replace(eligibility=state.hebb))
    with pytest.raises(ValueError, match="hidden must be a Hidden, as initial_state gives, got Tensor"):
        net(torch.zeros(2, 3), state.h)
    with pytest.raises(ValueError, match="engine must be one of"):
        net.unroll(torch.zeros(2, 2, 3), state, engine="steam")
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
        net.initial_state(0)
