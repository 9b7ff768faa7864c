"""The definition, run step by step by PyTorch: slow, and the measure of every other engine."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bpa.arguments import require_shape
from bpa.engines.cell import AnyState, Recurrent


class Unrolled(NamedTuple):
    """A whole sequence of steps. `modulation` is None in a network without a modulator."""

    logits: Tensor  # [T, B, A]
    values: Tensor  # [T, B]
    modulation: Tensor | None  # M(t), [T, B]
    h: Tensor  # x(t), [T, B, H]
    hidden: Any  # the state after the last step, of the network's own kind


def matching_state(net: Recurrent[AnyState], hidden: AnyState | None, batch_size: int) -> AnyState:
    """`hidden` if it has the parts and shapes of `net`'s state for this batch; the initial state if None.

    Autocast leaves some parts of a state in fewer digits; within it they are put back into the network's.

    Raises:
        ValueError: a part is missing, not wanted, or of another shape, dtype or device.
    """
    if torch.jit.is_tracing():
        batch_size = int(batch_size)  # a tensor there
    if hidden is None:
        return net.initial_state(batch_size)
    initial = net.initial_state(1)  # shapes alone are compared, so one episode does
    if type(hidden) is not type(initial):
        raise ValueError(
            f"hidden must be a {type(initial).__name__}, as initial_state gives, got {type(hidden).__name__}"
        )
    if len(hidden) != len(initial):
        raise ValueError(f"hidden must have {len(initial)} parts, as initial_state gives, got {len(hidden)}")
    if torch.is_autocast_enabled(initial[0].device.type):
        parts = [part.to(initial[0].dtype) if isinstance(part, Tensor) else part for part in hidden]
        named = hasattr(initial, "_fields")
        hidden = type(hidden)(*parts) if named else tuple(parts)  # type: ignore[assignment]
    for name, want, got in zip(
        getattr(initial, "_fields", range(len(initial))), initial, hidden, strict=True
    ):
        if want is None and got is not None:
            raise ValueError(f"hidden.{name} must be None in this network, got {type(got).__name__}")
        if want is not None:
            require_shape(f"hidden.{name}", got, (batch_size, *want.shape[1:]), like=want)
    return hidden


def unroll(net: Recurrent[AnyState], xs: Tensor, hidden: AnyState) -> Unrolled:
    """Call `net.step` for each of the T steps of xs [T, B, I]; the heads read the whole sequence at once."""
    activities = []
    for drive in net.i2h(xs):
        hidden = net.step(drive, hidden)
        activities.append(hidden[0])
    h = torch.stack(activities)
    logits, values = net.heads(h)
    return Unrolled(logits, values, net.modulation(h), h, hidden)
