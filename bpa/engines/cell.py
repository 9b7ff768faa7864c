"""What the fast engines know of a network: one set of numbers in which every variant is a special case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

AnyState = TypeVar("AnyState", bound="tuple[Any, ...]")  # what is carried from step to step; B in front

TRACES, GATES = "traces", "gates"  # loops: of `bpa.Network`, and of the plain LSTM
FIXED, HEBBIAN, RETROACTIVE = 0, 1, 2  # kinds of traces: none, Hebb, Hebb and eligibility
TANH, SIGMOID, LINEAR = 0, 1, 2  # modulators
MODULATORS = {"tanh": TANH, "sigmoid": SIGMOID, "linear": LINEAR}


class Cell(NamedTuple):
    """The parameters of the part shaped like Hebb, the same for all variants; gradients flow through each."""

    w: Tensor  # [H, H]; for GATES [H, 4 H], columns in the order i, f, o, g, and the rest does nothing
    alpha: Tensor  # [H, H]; empty without traces
    eta: Tensor  # [1], the rate at which eligibility forgets; 0 without eligibility
    mod_weight: Tensor  # [H] and
    mod_bias: Tensor  # [1] of h2mod; 0 without a modulator
    rate_weight: Tensor  # [H] and
    rate_bias: Tensor  # [H]: column j of Hebb changes at the rate rate_weight_j M(t) + rate_bias_j


class KernelCell(NamedTuple):
    """What a network offers to compiled loops, as `kernel_cell()` does."""

    loops: str  # TRACES or GATES
    name: str  # of the variant, for messages
    kind: int  # of traces: FIXED, HEBBIAN or RETROACTIVE
    clip: float
    modulator: int  # TANH, SIGMOID or LINEAR
    modulated: bool  # whether M(t) is the network's own, and not a number that the loops fill in
    parameters: Cell
    i2h: nn.Linear
    h2o: nn.Linear
    h2v: nn.Linear


class Parameterised(Protocol):
    """What an engine asks of a network before it knows whether it can run it."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All that training changes."""


class Recurrent(Parameterised, Protocol[AnyState]):
    """What an engine asks of any network, whose state `hidden` is a tuple of its own kind."""

    @property
    def i2h(self) -> nn.Module:
        """From inputs [..., I] to the drives that `step` takes."""

    def initial_state(self, batch_size: int) -> AnyState:
        """The state at the start of B episodes."""

    def step(self, drive: Tensor, hidden: AnyState) -> AnyState:
        """The state after a step."""

    def modulation(self, h: Tensor) -> Tensor | None:
        """M(t) from activity [..., H]: [...]; None without a modulator."""

    def heads(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Action logits [..., A] and value [...] from activity [..., H]."""


class LoopNetwork(Recurrent[AnyState], Protocol[AnyState]):
    """A network that compiled loops may be able to run."""

    def kernel_cell(self) -> KernelCell | str:
        """What they need of it, or why they cannot."""


def cell_of(net: object) -> KernelCell | str:
    """What `net` offers to compiled loops, or why it offers nothing."""
    method = getattr(net, "kernel_cell", None)
    return f"{type(net).__name__} offers no kernel_cell()" if method is None else method()


def wants_gradient(net: Parameterised, *tensors: Tensor | None) -> bool:
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
    function: Callable[..., Sequence[Tensor]],
    inputs: Sequence[Tensor],
    needed: Sequence[bool],
    gradients: Sequence[Tensor | None],
) -> list[Tensor | None]:
    """The way back through `function(*inputs)`, which can be differentiated again where grad mode is on.

    Args:
        needed: which of the inputs ask for a gradient. gradients: of each output; None for 0.
    """
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views: an input may have been made from another, and each is to get its own part alone.
        own = [part.view_as(part) if need else part for part, need in zip(inputs, needed, strict=True)]
        known = [
            (output, gradient)
            for output, gradient in zip(function(*own), gradients, strict=True)
            if gradient is not None and output.requires_grad
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
