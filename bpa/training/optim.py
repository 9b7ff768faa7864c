"""One step down a gradient: how large it is, how far it goes, and what may be wrong with it."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bpa.arguments import require_shape
from bpa.cells.base import Trainable
from bpa.training.adam import Adam
from bpa.training.muon import Muon

OPTIMIZERS = ("adam", "muon")
SCHEDULES = ("constant", "linear", "cosine")
POLICIES = ("stop", "skip", "halve-lr")


class Optimizer(Protocol):
    """What a run asks of an optimiser."""

    param_groups: list[dict[str, Any]]  # one, with its "params" and its "lr"
    state: dict[nn.Parameter, dict[str, Tensor]]  # what it remembers of each parameter

    def step(self) -> None:
        """One step for every parameter that has a gradient."""


class Diverged(ArithmeticError):
    """A loss, a gradient or a trace went beyond all bounds; the weights before it are kept."""


def build_optimizers(net: Trainable, kind: str, learning_rate: float, adam_eps: float) -> list[Optimizer]:
    """What takes the steps: Adam for every parameter, or Muon for w and alpha and Adam for the others.

    An alpha of one number a neuron, or one in all, is no matrix and stays with Adam.
    """
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in net.named_parameters():
        between_neurons = kind == "muon" and name in ("w", "alpha") and min(parameter.shape) > 1
        (matrices if between_neurons else others).append(parameter)
    optimizers: list[Optimizer] = [Adam(others, lr=learning_rate, eps=adam_eps)]
    if matrices:
        optimizers.append(Muon(matrices, lr=learning_rate))
    return optimizers


def optimizer_state(net: Trainable, optimizers: list[Optimizer]) -> dict[str, Tensor]:
    """What the optimisers remember, each tensor named after its parameter: "w.exp_avg"."""
    return {
        f"{name}.{key}": value
        for optimizer in optimizers
        for name, parameter in net.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer_state(
    name: str, net: Trainable, optimizers: list[Optimizer], tensors: dict[str, Tensor]
) -> None:
    """Let the optimisers remember `tensors`; ValueError beginning by `name` for one that does not fit."""
    for optimizer in optimizers:
        mine = {parameter for group in optimizer.param_groups for parameter in group["params"]}
        keys = ("momentum",) if isinstance(optimizer, Muon) else ("step", "exp_avg", "exp_avg_sq")
        for parameter_name, parameter in net.named_parameters():
            held = {key: tensors.get(f"{parameter_name}.{key}") for key in keys}
            if parameter not in mine or all(value is None for value in held.values()):
                continue
            for key, value in held.items():
                shape = () if key == "step" else tuple(parameter.shape)
                like = torch.empty(0, dtype=parameter.dtype, device="cpu")  # where files are read to
                require_shape(f"{name}.{parameter_name}.{key}", value, shape, like=like)
            optimizer.state[parameter] = {
                key: value.to(parameter.device)  # type: ignore[union-attr]
                for key, value in held.items()
            }


def scheduled(schedule: str, iteration: int, iterations: int) -> float:
    """What a setting that falls is multiplied by at `iteration`, counted from 1: from 1 down towards 0.

    "constant" stays at 1; "linear" and "cosine" would reach 0 one iteration after the last.
    """
    passed = (iteration - 1) / iterations
    if schedule == "linear":
        return 1 - passed
    return (1 + math.cos(math.pi * passed)) / 2 if schedule == "cosine" else 1.0


def gradient_norm(net: Trainable) -> float:
    """Norm of the gradient over all parameters; one that takes no part in the loss has none."""
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients).item()


def clip_gradient(net: Trainable, norm: float, max_gradient_norm: float) -> None:
    """Scale the gradient of norm `norm` down to `max_gradient_norm` if it is above."""
    total = torch.tensor(norm, dtype=torch.float32, device="cpu")
    nn.utils.clip_grads_with_norm_(net.parameters(), max_gradient_norm, total)


def fault(loss: float, norm: float, norm_limit: float = math.inf, bad_traces: float = 0) -> str | None:
    """What is wrong with a step, in words; None if it may be taken.

    Args:
        norm: of the gradient, before clipping. norm_limit: above it the step is not to be trusted.
        bad_traces: how many numbers of the traces are not finite.
    """
    if not (math.isfinite(loss) and math.isfinite(norm)):
        return f"the loss is {loss:g} and the gradient norm {norm:g}"
    if norm > norm_limit:
        return f"the gradient norm {norm:g} is above {norm_limit:g}"
    if bad_traces:
        return f"{bad_traces:.0f} numbers of the traces are not finite"
    return None


def bad_numbers(hidden: Tensor | tuple[Tensor | None, ...]) -> float:
    """How many numbers of a state are not finite."""
    parts = (hidden,) if isinstance(hidden, Tensor) else hidden
    # Where a sum is finite all numbers are; to look at each takes thirty times as long.
    doubtful = [part for part in parts if part is not None and not torch.isfinite(part.sum())]
    return sum(float((~torch.isfinite(part)).sum()) for part in doubtful)
