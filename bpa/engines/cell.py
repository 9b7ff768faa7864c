"""What the fast engines know of a network: one set of numbers in which every variant is a special case."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

FIXED, HEBBIAN, RETROACTIVE = 0, 1, 2  # kinds of traces: none, Hebb, Hebb and eligibility
TANH, SIGMOID, LINEAR = 0, 1, 2  # modulators
MODULATORS = {"tanh": TANH, "sigmoid": SIGMOID, "linear": LINEAR}


class Cell(NamedTuple):
    """The parameters of the part shaped like Hebb, the same for all variants; gradients flow through each."""

    w: Tensor  # [H, H]
    alpha: Tensor  # [H, H]; empty without traces
    eta: Tensor  # [1], the rate at which eligibility forgets; 0 without eligibility
    mod_weight: Tensor  # [H] and
    mod_bias: Tensor  # [1] of h2mod; 0 without a modulator
    rate_weight: Tensor  # [H] and
    rate_bias: Tensor  # [H]: column j of Hebb changes at the rate rate_weight_j M(t) + rate_bias_j


def cell_of(net: Any) -> Cell:
    """The parameters of a `bpa.Network`, those it lacks filled in with what makes them do nothing."""
    w, size = net.w, net.hidden_size
    zeros, one_zero = w.new_zeros(size), w.new_zeros(1)
    alpha = w.new_zeros(0, 0) if net.alpha is None else net.alpha.expand(size, size)
    if net.plasticity == "none":
        return Cell(w, alpha, one_zero, zeros, one_zero, zeros, zeros)
    if net.plasticity == "plastic":
        return Cell(w, alpha, one_zero, zeros, one_zero, zeros, net.eta.expand(size))
    eta = net.eta if net.plasticity == "retroactive" else one_zero
    if net.fanout:
        rate_weight, rate_bias = net.modfanout.weight[:, 0], net.modfanout.bias
    else:
        rate_weight, rate_bias = w.new_ones(size), zeros
    return Cell(w, alpha, eta, net.h2mod.weight[0], net.h2mod.bias, rate_weight, rate_bias)


def kind_of(net: Any) -> int:
    """The kind of traces that a network has."""
    return {"none": FIXED, "retroactive": RETROACTIVE}.get(net.plasticity, HEBBIAN)


def wants_gradient(net: Any, *tensors: Tensor | None) -> bool:
    """Whether anything of a run of `net` may be asked for its gradient."""
    sources = (*net.parameters(), *tensors)
    return torch.is_grad_enabled() and any(source is not None and source.requires_grad for source in sources)


def steps_of(
    kind: int, clip: float, modulator: int, drives: Tensor, h: Tensor, hebb: Tensor, eligibility: Tensor,
    *parameters: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """What the loops compute, by PyTorch's own operations, which have derivatives of every order.

    Args:
        drives: [T, B, H]. h: [B, H]. hebb, eligibility: [B, H, H], or empty. parameters: those of a `Cell`.

    Returns:
        h [T, B, H], M(t) [T, B] and the final traces.
    """
    cell = Cell(*parameters)
    squash = {TANH: torch.tanh, SIGMOID: torch.sigmoid}.get(modulator)
    activities, modulations = [], []
    for drive in drives:
        pre, total = h, drive + h @ cell.w
        if kind != FIXED:
            total = total + (pre[:, None] @ (cell.alpha * hebb))[:, 0]
        h = torch.tanh(total)
        m = h @ cell.mod_weight + cell.mod_bias
        m = m if squash is None else squash(m)
        gain = m[:, None] * cell.rate_weight + cell.rate_bias
        if kind == HEBBIAN:
            hebb = (hebb + pre[:, :, None] * (gain * h)[:, None]).clamp(-clip, clip)
        elif kind == RETROACTIVE:
            hebb = (hebb + gain[:, None] * eligibility).clamp(-clip, clip)
            eligibility = (1 - cell.eta) * eligibility + cell.eta * pre[:, :, None] * h[:, None]
        activities.append(h)
        modulations.append(m)
    return torch.stack(activities), torch.stack(modulations), hebb, eligibility


def slow_gradients(
    function: Any, inputs: Sequence[Tensor], needed: Sequence[bool], gradients: Sequence[Tensor]
) -> list[Tensor | None]:
    """The way back through `function(*inputs)`, which can be differentiated again where grad mode is on.

    Args:
        needed: which of the inputs ask for a gradient. gradients: of each output.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views: an input may have been made from another, and each is to get its own part alone.
        own = [part.view_as(part) if need else part for part, need in zip(inputs, needed, strict=True)]
        known = [
            (output, gradient)
            for output, gradient in zip(function(*own), gradients, strict=True)
            if output.requires_grad
        ]
        found = iter(
            torch.autograd.grad(
                [output for output, _ in known],
                [part for part, need in zip(own, needed, strict=True) if need],
                [gradient for _, gradient in known],
                create_graph=again,
                allow_unused=True,
            )
        )
    return [next(found) if need else None for need in needed]
