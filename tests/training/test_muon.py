"""Muon against the singular value decomposition, against PyTorch's own, and inside a run."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bpa import TrainConfig, train
from bpa.cells.lstm import LSTM
from bpa.network import Network
from bpa.training.adam import Adam
from bpa.training.muon import Muon, orthogonalized
from bpa.training.optim import build_optimizers, load_optimizer_state, optimizer_state

SMALL = TrainConfig(
    iterations=4,
    batch_size=2,
    episode_length=6,
    hidden_size=6,
    size=5,
    optimizer="muon",
    engine="eager",
    quiet=True,
)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31))
@settings(deadline=None)
def test_singular_values_come_near_one_and_directions_stay(rows, columns, seed):
    matrix = drawn(rows, columns, seed=seed).double()
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    inside = u.mT @ orthogonalized(matrix) @ vt.mT
    assert torch.allclose(inside, inside.diagonal().diag(), atol=1e-8)
    sizes = inside.diagonal()[s > 0.003 * s.norm()]
    assert (sizes > 0.68).all()
    assert (sizes < 1.21).all()


def test_a_stack_is_made_orthogonal_matrix_by_matrix_and_nothing_stays_nothing():
    stack = drawn(3, 4, 9)
    each = torch.stack([orthogonalized(matrix) for matrix in stack])
    torch.testing.assert_close(orthogonalized(stack), each)
    assert not orthogonalized(torch.zeros(3, 5)).any()


@pytest.mark.parametrize("shape", [(20, 20), (8, 30), (30, 8)])
def test_steps_are_those_of_pytorch_but_for_its_short_numbers(shape):
    ours, theirs = (torch.nn.Parameter(torch.zeros(shape)) for _ in range(2))
    own = Muon([ours], lr=0.1, momentum=0.8)
    other = torch.optim.Muon([theirs], lr=0.1, momentum=0.8, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for k in range(4):
        ours.grad, theirs.grad = drawn(*shape, seed=k), drawn(*shape, seed=k)
        own.step()
        other.step()
    assert (ours - theirs).norm() < 0.02 * theirs.norm()  # bfloat16 has eight bits of fraction


def test_two_steps_by_hand():
    parameter = torch.nn.Parameter(torch.zeros(3, 5, dtype=torch.float64))
    optimizer = Muon([parameter], lr=0.5, momentum=0.75)
    mean, value = np.zeros((3, 5)), np.zeros((3, 5))
    for k in range(2):
        gradient = drawn(3, 5, seed=k).double()
        parameter.grad = gradient.clone()
        optimizer.step()
        mean = 0.75 * mean + 0.25 * gradient.numpy()
        x = 0.75 * mean + 0.25 * gradient.numpy()
        x /= np.linalg.norm(x)
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        value -= 0.5 * 0.2 * math.sqrt(5) * x
        assert np.abs(parameter.detach().numpy() - value).max() < 1e-12


def test_a_matrix_without_a_gradient_stays_and_the_momentum_is_nine_tenths_unless_asked():
    first, second = (torch.nn.Parameter(torch.ones(3, 5)) for _ in range(2))
    optimizer = Muon([first, second], lr=0.5)
    assert optimizer.param_groups[0]["momentum"] == 0.9
    first.grad = drawn(3, 5)
    optimizer.step()
    assert not torch.equal(first, torch.ones(3, 5))
    assert torch.equal(second, torch.ones(3, 5))
    assert second not in optimizer.state


@pytest.mark.parametrize("missing", ["h2o.weight.exp_avg", "h2o.weight.step"])
def test_half_of_what_an_optimiser_remembers_is_refused(missing):
    net = Network(17, 6, 4)
    optimizers = build_optimizers(net, "muon", 1e-3, 1e-4)
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    tensors = optimizer_state(net, optimizers)
    load_optimizer_state("file", net, build_optimizers(net, "muon", 1e-3, 1e-4), tensors)
    del tensors[missing]
    with pytest.raises(ValueError, match=rf"file\.{missing} must be a tensor of shape \[.*\], got NoneType"):
        load_optimizer_state("file", net, build_optimizers(net, "muon", 1e-3, 1e-4), tensors)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: Muon([p], lr=0.0), "lr must be a finite number above 0"),
        (lambda p: Muon([p], lr=0.1, momentum=1.0), "momentum must be below 1"),
        (lambda p: Muon([p[0]], lr=0.1), r"params must be matrices, got one of shape \(3,\)"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(torch.nn.Parameter(torch.zeros(2, 3)))


@pytest.mark.parametrize(
    ("net", "matrices"),
    [
        (Network(17, 6, 4), {"w", "alpha"}),
        (Network(17, 6, 4, plasticity="none"), {"w"}),
        (Network(17, 6, 4, alpha="neuron"), {"w"}),
        (Network(17, 6, 4, alpha="network"), {"w"}),
        (LSTM(17, 6, 4), {"w"}),
        (Network(17, 1, 4), set()),
    ],
)
def test_muon_takes_the_matrices_between_neurons_and_adam_every_other(net, matrices):
    names = {parameter: name for name, parameter in net.named_parameters()}
    optimizers = build_optimizers(net, "muon", 1e-3, 1e-5)
    taken = {
        type(optimizer): {names[p] for group in optimizer.param_groups for p in group["params"]}
        for optimizer in optimizers
    }
    assert all(optimizer.param_groups[0]["lr"] == 1e-3 for optimizer in optimizers)
    assert optimizers[0].param_groups[0]["eps"] == 1e-5
    assert taken.get(Muon, set()) == matrices
    assert taken[Adam] == set(names.values()) - matrices
    (adam,) = build_optimizers(net, "adam", 1e-3, 1e-4)
    assert len(adam.param_groups[0]["params"]) == len(names)


def test_a_run_resumes_to_the_bit(tmp_path):
    whole = train(SMALL)
    train(SMALL.replace(iterations=2, out=str(tmp_path / "run")))
    resumed = train(SMALL.replace(out=str(tmp_path / "run"), resume=True))
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name]), name
    by_adam = train(SMALL.replace(optimizer="adam"))
    assert not torch.equal(by_adam.network.w, whole.network.w)


def test_the_learning_rate_of_both_falls():
    rates = []
    step = Muon.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Muon, "step", lambda self: (rates.append(self.param_groups[0]["lr"]), step(self)))
        train(SMALL.replace(learning_rate=0.01, learning_rate_schedule="linear"))
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
