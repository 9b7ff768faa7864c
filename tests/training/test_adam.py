"""Adam against PyTorch's class, and what a run does without."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from bpa.training.adam import BETAS, Adam


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_those_of_pytorch_to_the_bit(dtype):
    drawn = torch.Generator().manual_seed(0)
    shapes = [(7, 3), (5,), (), (1, 2, 4)]
    values = [torch.randn(shape, generator=drawn).to(dtype) for shape in shapes]
    ours, theirs = ([torch.nn.Parameter(value.clone()) for value in values] for _ in range(2))
    own = Adam(ours, lr=0.1, eps=1e-4)
    other = torch.optim.Adam(theirs, lr=0.1, betas=BETAS, eps=1e-4, fused=True)
    for k in range(5):
        for one, two in zip(ours, theirs, strict=True):
            gradient = torch.randn(one.shape, generator=drawn).to(dtype)
            # One parameter has no gradient at first, and counts its own steps.
            one.grad, two.grad = (gradient.clone() if one.dim() != 1 or k > 1 else None for _ in range(2))
        own.param_groups[0]["lr"] = other.param_groups[0]["lr"] = 0.1 / (k + 1)
        own.step()
        other.step()
    for one, two in zip(ours, theirs, strict=True):
        assert torch.equal(one, two)
        assert own.state[one].keys() == other.state[two].keys()
        for name, kept in own.state[one].items():
            assert torch.equal(kept, other.state[two][name]), name
            assert kept.dtype == other.state[two][name].dtype
            assert not kept.requires_grad


def test_a_parameter_without_a_gradient_stays_and_nothing_is_remembered_of_it():
    parameter = torch.nn.Parameter(torch.ones(3))
    adam = Adam([parameter], lr=0.1, eps=1e-8)
    adam.step()
    assert torch.equal(parameter, torch.ones(3))
    assert not adam.state


TRAIN = """
import sys
import bpa

for optimizer in ("adam", "muon"):
    bpa.train(bpa.TrainConfig(iterations=2, size=5, batch_size=2, episode_length=4, hidden_size=5,
                              optimizer=optimizer, warmup_iterations=0, quiet=True))
print(*sorted(name for name in sys.modules if name in ("torch._dynamo", "torch._inductor", "triton")))
"""


def test_training_loads_no_compiler_of_pytorch():
    done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
