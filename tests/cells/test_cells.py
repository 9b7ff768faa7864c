"""The other cells, LSTM and fast weights, against plain loops, PyTorch's LSTM and linear attention."""

import itertools

import pytest
import torch
from reference import fast_weight_step, lstm_step, to_lists
from torch import nn
from torch.func import functional_call

from bpa import Network
from bpa.cells.fast_weights import FastWeightNetwork
from bpa.cells.lstm import LSTM
from bpa.cells.sizes import count_parameters, matching_hidden_size

PLASTIC_LSTMS = [
    {"plasticity": "none"},
    *({"plasticity": "plastic", "alpha": alpha} for alpha in ("synapse", "neuron", "network")),
    *({"plasticity": p, "fanout": f} for p, f in itertools.product(("simple", "retroactive"), (True, False))),
    {"plasticity": "simple", "clipping": "soft", "modulator": "sigmoid"},
]
FAST_WEIGHTS = [{"writing": w, "gated": g} for w, g in itertools.product(("sum", "delta"), (False, True))]
CELLS = [(LSTM, variant) for variant in PLASTIC_LSTMS] + [
    (FastWeightNetwork, variant) for variant in FAST_WEIGHTS
]


def name(value):
    return "-".join(map(str, value.values())) if isinstance(value, dict) else value.__name__


def lively(kind, variant, hidden_size=4, input_size=3, seed=0):
    """A float64 network whose every parameter matters, a state that is not zero, and a generator."""
    generator = torch.Generator().manual_seed(seed)
    if kind is LSTM:
        variant = {"clip": 0.3} | variant
    net = kind(input_size, hidden_size, 2, generator=generator, **variant).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.empty_like(parameter).uniform_(-0.9, 0.9, generator=generator))
    state = net.initial_state(2)
    state = type(state)(
        *(
            None if part is None else 0.2 * torch.randn(part.shape, generator=generator, dtype=part.dtype)
            for part in state
        )
    )
    return net, state, generator


def assert_same(got, expected, tolerance=1e-12):
    assert (got is None) == (expected is None)
    if got is not None:
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


def tensor(values):
    return None if values is None else torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("variant", PLASTIC_LSTMS, ids=name)
def test_the_plastic_lstm_is_its_equations(variant):
    net, state, generator = lively(LSTM, variant)
    xs = torch.randn(6, 2, 3, generator=generator, dtype=torch.float64)
    out = net.unroll(xs, state)
    kind = {k: getattr(net, k) for k in ("plasticity", "clip", "clipping", "modulator", "fanout")}
    for b in range(2):
        parts = [None if part is None else part[b].tolist() for part in state]
        for t in range(6):
            parts = lstm_step(to_lists(net), kind, xs[t, b].tolist(), *parts)
            assert_same(out.h[t, b], tensor(parts[0]))
        for got, want in zip(out.hidden, parts, strict=True):
            assert_same(None if got is None else got[b], tensor(want))


def test_the_plain_lstm_is_pytorchs():
    net, state, generator = lively(LSTM, {"plasticity": "none"})
    theirs = nn.LSTM(3, 4).double()
    order = [0, 1, 3, 2]  # ours i, f, o, g; PyTorch's i, f, g, o

    def reordered(rows):
        return torch.cat([rows.chunk(4)[n] for n in order])

    with torch.no_grad():
        theirs.weight_ih_l0.copy_(reordered(net.i2h.weight))
        theirs.weight_hh_l0.copy_(reordered(net.w.T))
        theirs.bias_ih_l0.copy_(reordered(net.i2h.bias))
        theirs.bias_hh_l0.zero_()
    xs = torch.randn(6, 2, 3, generator=generator, dtype=torch.float64)
    expected, (h, cell) = theirs(xs, (state.h[None], state.cell[None]))
    out = net.unroll(xs, state)
    assert_same(out.h, expected)
    assert_same(out.hidden.h, h[0])
    assert_same(out.hidden.cell, cell[0])


@pytest.mark.parametrize("variant", FAST_WEIGHTS, ids=name)
def test_fast_weights_are_their_equations(variant):
    net, state, generator = lively(FastWeightNetwork, variant)
    xs = torch.randn(6, 2, 3, generator=generator, dtype=torch.float64)
    out = net.unroll(xs, state)
    for b in range(2):
        fast = state.hebb[b].tolist()
        for t in range(6):
            h, fast = fast_weight_step(
                to_lists(net), variant["writing"], variant["gated"], xs[t, b].tolist(), fast
            )
            assert_same(out.h[t, b], tensor(h))
        assert_same(out.hidden.hebb[b], tensor(fast))


def test_summed_fast_weights_are_causal_linear_attention():
    net, _, generator = lively(FastWeightNetwork, {"writing": "sum"})
    xs = torch.randn(7, 2, 3, generator=generator, dtype=torch.float64)
    drive = net.i2h(xs)
    query, key = (nn.functional.normalize(drive[..., s : s + 4], dim=-1) for s in (0, 4))
    value = torch.sigmoid(drive[..., 12:13]) * drive[..., 8:12]
    scores = torch.einsum("tbi,sbi->bts", query, key).tril()
    assert_same(net.unroll(xs).h, torch.einsum("bts,sbj->tbj", scores, value))


def test_the_delta_rule_replaces_what_a_key_stood_for():
    """Written with full strength, the last value under a key is read back, whatever was there before."""
    net, state, _ = lively(FastWeightNetwork, {"writing": "delta"})
    key = torch.tensor([[0.6, 0.8, 0.0, 0.0]], dtype=torch.float64)
    for value in ([1.0, 2.0, 3.0, 4.0], [-1.0, 0.0, 5.0, 0.5]):
        value = torch.tensor([value], dtype=torch.float64)
        drive = torch.cat([key, key, value, torch.full((1, 1), 50.0, dtype=torch.float64)], dim=1)
        state = net.step(drive, type(state)(state.h[:1], state.hebb[:1]))
        assert_same(state.h, value)


@pytest.mark.parametrize(("kind", "variant"), CELLS, ids=name)
def test_gradients_are_those_of_finite_differences(kind, variant):
    net, state, generator = lively(kind, variant, hidden_size=3, input_size=2, seed=1)
    state = type(state)(*(None if part is None else part[:1] for part in state))
    names, parameters = zip(*net.named_parameters(), strict=True)
    used = [part.requires_grad_() for part in state if part is not None]
    xs = torch.randn(3, 1, 2, generator=generator, dtype=torch.float64).requires_grad_()

    def outputs(xs, *tensors):
        parts = iter(tensors)
        hidden = type(state)(*(None if part is None else next(parts) for part in state))
        weights = dict(zip(names, parts, strict=True))
        seen = []
        for x in xs:
            logits, value, hidden = functional_call(net, weights, (x, hidden))
            seen += [logits, value]
        return *seen, *(part for part in hidden if part is not None)

    tensors = [parameter.detach().clone().requires_grad_() for parameter in parameters]
    assert torch.autograd.gradcheck(outputs, (xs, *used, *tensors))


@pytest.mark.parametrize(("kind", "variant"), CELLS, ids=name)
def test_unroll_is_repeated_steps_and_chunks(kind, variant):
    net, state, generator = lively(kind, variant)
    xs = torch.randn(5, 2, 3, generator=generator, dtype=torch.float64)
    whole = net.unroll(xs, state)
    hidden = state
    for t, x in enumerate(xs):
        logits, value, hidden = net(x, hidden)
        assert_same(logits, whole.logits[t])
        assert_same(value, whole.values[t])
    first = net.unroll(xs[:2], state)
    second = net.unroll(xs[2:], first.hidden)
    for got, again, want in zip(hidden, second.hidden, whole.hidden, strict=True):
        assert_same(got, want)
        assert_same(again, want)
    assert (whole.modulation is None) == (variant.get("plasticity") not in ("simple", "retroactive"))


@pytest.mark.parametrize("plasticity", ["none", "retroactive"])
def test_the_lstm_begins_as_pytorchs_does(plasticity):
    before = torch.get_rng_state()
    nets = [LSTM(17, 100, 4, plasticity, generator=torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)]
    assert torch.equal(before, torch.get_rng_state())
    first, again, other = (net.state_dict() for net in nets)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["w"], other["w"])
    for key in ("i2h.weight", "i2h.bias", "w"):
        assert -0.1 <= first[key].min() < -0.095
        assert 0.095 < first[key].max() <= 0.1
    if plasticity != "none":
        assert 0 <= first["alpha"].min() < first["alpha"].max() < 0.001
        assert first["eta"].item() == pytest.approx(0.01)


def test_parameters_that_a_cell_does_not_use_do_not_exist():
    assert set(LSTM(3, 4, 2).state_dict()) == {
        "i2h.weight",
        "i2h.bias",
        "w",
        "h2o.weight",
        "h2o.bias",
        "h2v.weight",
        "h2v.bias",
    }
    assert "eta" not in LSTM(3, 4, 2, plasticity="simple").state_dict()
    assert "modfanout.weight" not in LSTM(3, 4, 2, plasticity="simple", fanout=False).state_dict()
    assert FastWeightNetwork(3, 4, 2).i2h.out_features == 13
    assert FastWeightNetwork(3, 4, 2, gated=True).i2h.out_features == 14


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LSTM(3, 0, 2), "hidden_size must be a whole number of at least 1, got 0"),
        (lambda: LSTM(3, 4, 2, plasticity="soft"), "plasticity must be one of"),
        (lambda: LSTM(3, 4, 2, modulator="sigmoid"), "modulator 'sigmoid' needs plasticity"),
        (
            lambda: FastWeightNetwork(3, 4, 2, writing="product"),
            "writing must be one of 'sum', 'delta', got 'product'",
        ),
        (lambda: FastWeightNetwork(3, 4, 2, gated=1), "gated must be True or False, got 1"),
        (lambda: LSTM(3, 4, 2)(torch.zeros(2, 5)), r"x must have shape \[B, 3\], got \[2, 5\]"),
        (
            lambda: LSTM(3, 4, 2)(torch.zeros(2, 3), Network(3, 4, 2).initial_state(2)),
            "hidden must be a LSTMHidden",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("target", [1, 100, 2_345, 22_708])
def test_the_matching_size_is_the_nearest(target):
    def build(hidden_size):
        return LSTM(17, hidden_size, 4)

    counts = {size: count_parameters(build(size)) for size in range(1, 100)}
    if counts[1] > 2 * target:
        with pytest.raises(
            ValueError, match=f"parameters must be at least {counts[1]}, those of one neuron, got"
        ):
            matching_hidden_size(build, target)
    else:
        size = matching_hidden_size(build, target)
        assert abs(counts[size] - target) == min(abs(count - target) for count in counts.values())


def test_an_lstm_can_have_as_many_parameters_as_the_papers_network():
    plastic = count_parameters(Network(17, 100, 4))
    size = matching_hidden_size(lambda hidden_size: LSTM(17, hidden_size, 4), plastic)
    assert count_parameters(LSTM(17, size, 4)) == pytest.approx(plastic, rel=0.02)
