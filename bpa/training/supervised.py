"""Supervised training: right answers in place of rewards, the same networks, the same memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bpa.arguments import real_numbers, require_classes, require_integer, require_number, require_shape
from bpa.cells.base import SequencePolicy
from bpa.engines import room_for_loops
from bpa.tasks.base import Batch, SupervisedTask
from bpa.training.optim import Diverged, build_optimizers, clip_gradient, fault, gradient_norm


class Step(NamedTuple):
    """One step of training."""

    iteration: int
    loss: float
    gradient_norm: float  # before it was clipped


def masked_squared_error(outputs: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Mean of (output - target)^2 over what counts, a scalar.

    Args:
        outputs, targets: [T, B, A], also whole numbers. mask: bool [T, B, A], True somewhere.

    Raises:
        ValueError: shapes do not fit, or nothing counts.
    """
    require_shape("outputs", outputs, ("T", "B", "A"))
    require_shape("targets", targets, tuple(outputs.shape))
    require_counting(mask, tuple(outputs.shape))
    outputs, targets = real_numbers("outputs", outputs), real_numbers("targets", targets)
    return (outputs - targets)[mask].square().mean()


def masked_cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Mean of -log softmax(logits)[target] over the steps that count, in nats, a scalar.

    Args:
        logits: [T, B, A]. targets: int64 [T, B], below A. mask: bool [T, B], True somewhere.

    Raises:
        ValueError: shapes do not fit, nothing counts, or a target that counts is no class.
    """
    require_shape("logits", logits, ("T", "B", "A"))
    require_shape("targets", targets, tuple(logits.shape[:2]))
    require_counting(mask, tuple(logits.shape[:2]))
    logits, counting = real_numbers("logits", logits), targets[mask]
    require_classes("targets", counting, ("N",), logits.shape[2], like=logits)
    return nn.functional.cross_entropy(logits[mask], counting)


def require_counting(mask: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless `mask` is bool, of this shape, and True somewhere."""
    require_shape("mask", mask, shape)
    if mask.dtype != torch.bool or not mask.any():
        raise ValueError(
            f"mask must be torch.bool and True somewhere, got {mask.dtype}, {int(mask.sum())} true"
        )


def batch_loss(outputs: Tensor, batch: Batch) -> Tensor:
    """What `outputs` [T, B, A] lose: cross entropy where the targets are classes, squared error otherwise."""
    if batch.targets.is_floating_point():
        return masked_squared_error(outputs, *batch[1:])
    return masked_cross_entropy(outputs, *batch[1:])


def batch_accuracy(outputs: Tensor, batch: Batch) -> float:
    """Share of what counts that is right: the likeliest class, or the sign where the targets are numbers.

    Raises:
        ValueError: shapes do not fit, or nothing counts.
    """
    require_shape("outputs", outputs, ("T", "B", "A"))
    shape = tuple(outputs.shape[: 3 if batch.targets.is_floating_point() else 2])
    require_shape("targets", batch.targets, shape)
    require_counting(batch.mask, shape)
    if batch.targets.is_floating_point():
        right = outputs.sign() == batch.targets.sign()
    else:
        right = outputs.argmax(-1) == batch.targets
    return right[batch.mask].double().mean().item()


def require_answers(net: SequencePolicy, task: SupervisedTask) -> None:
    """Raise ValueError unless the network has the inputs and outputs of the task, and `unroll`."""
    if (net.input_size, net.num_actions) != (task.input_size, task.output_size):
        raise ValueError(
            f"net must have {task.input_size} inputs and {task.output_size} outputs for this task, "
            f"got {net.input_size} and {net.num_actions}"
        )
    if not callable(getattr(net, "unroll", None)):
        raise ValueError(
            f"net must have unroll for a supervised task, as bpa.cells.base.RecurrentNetwork has; "
            f"{type(net).__name__} lacks it"
        )


def fit(
    task: SupervisedTask,
    net: SequencePolicy,
    iterations: int,
    learning_rate: float = 1e-3,
    max_gradient_norm: float = 4.0,
    engine: str = "auto",
) -> list[Step]:
    """Train `net` in place on one new batch an iteration, by Adam; return what happened.

    All noise comes from the task's generator: the same seeds give the same weights.

    Args:
        task: gives the batches. net: reads task.input_size numbers and has task.output_size outputs.
        iterations: at least 1. learning_rate: step size of Adam, above 0.
        max_gradient_norm: bound to which the gradient is scaled down, above 0.
        engine: one of `bpa.engines.ENGINES`.

    Raises:
        ValueError: a number is out of range, or the network does not fit the task.
        Diverged: a loss or a gradient is not finite. The weights before it are kept.
    """
    iterations = require_integer("iterations", iterations, low=1)
    learning_rate = require_number("learning_rate", learning_rate, low=0, above=True)
    max_gradient_norm = require_number("max_gradient_norm", max_gradient_norm, low=0, above=True)
    require_answers(net, task)
    (optimizer,) = build_optimizers(net, "adam", learning_rate, adam_eps=1e-8)
    history = []
    with room_for_loops(engine, net):
        for iteration in range(1, iterations + 1):
            batch = task.sample()
            loss = batch_loss(net.unroll(batch.inputs, engine=engine).logits, batch)
            net.zero_grad()
            loss.backward()
            norm = gradient_norm(net)
            if reason := fault(loss.item(), norm):
                raise Diverged(f"iteration {iteration}: {reason}; a smaller learning rate may help")
            clip_gradient(net, norm, max_gradient_norm)
            optimizer.step()
            history.append(Step(iteration, loss.item(), norm))
    return history


@torch.no_grad()
def batch_metrics(net: SequencePolicy, batch: Batch, engine: str = "auto") -> tuple[float, float]:
    """Loss and accuracy of `net` in one batch."""
    outputs = net.unroll(batch.inputs, engine=engine).logits
    return batch_loss(outputs, batch).item(), batch_accuracy(outputs, batch)


def examine(
    task: SupervisedTask, net: SequencePolicy, batches: int = 10, engine: str = "auto"
) -> tuple[float, float]:
    """Mean loss and mean accuracy of `net` over new batches, without training."""
    batches = require_integer("batches", batches, low=1)
    seen = [batch_metrics(net, task.sample(), engine) for _ in range(batches)]
    return sum(loss for loss, _ in seen) / batches, sum(right for _, right in seen) / batches
