"""Steps taken one at a time, for an environment that is called between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor

from bpa.engines.cell import Recurrent
from bpa.engines.eager import Unrolled


class Policy(Protocol):
    """What a walk asks of a network: less than an engine does."""

    def initial_state(self, batch_size: int) -> Any:
        """The state at the start of an episode."""

    def __call__(self, x: Tensor, hidden: Any) -> tuple[Tensor, Tensor, Any]:
        """One step: x [B, I] and the state -> logits [B, A], value [B], and the next state."""


class Walk(Protocol):
    """B episodes of one network, on their way from its initial state."""

    def step(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """One step: observation [B, I] -> logits [B, A] and value [B]."""

    def value_of(self, observation: Tensor) -> Tensor:
        """The value [B] that observation [B, I] would have in the next step, which is not taken."""

    def finish(self, observations: Tensor) -> Unrolled:
        """What the steps gave, with its way back, from all that was observed, [T, B, I]; at the end, once."""


class Seen(NamedTuple):
    """What one step gave."""

    logits: Tensor
    value: Tensor
    h: Tensor


class Definition:
    """The walk of any network: its own steps, by PyTorch."""

    def __init__(self, net: Policy, batch_size: int):
        self.net, self.hidden = net, net.initial_state(batch_size)
        self.seen: list[Seen] = []

    def step(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """As of a `Walk`."""
        logits, value, self.hidden = self.net(observation, self.hidden)
        self.seen.append(
            Seen(
                logits, value, cast(Tensor, self.hidden[0] if isinstance(self.hidden, tuple) else self.hidden)
            )
        )
        return logits, value

    @torch.no_grad()
    def value_of(self, observation: Tensor) -> Tensor:
        """As of a `Walk`."""
        return self.net(observation, self.hidden)[1]

    def finish(self, observations: Tensor) -> Unrolled:
        """As of a `Walk`. The heads, if it has them, read the whole sequence at once, as engines do."""
        logits, values, h = map(torch.stack, zip(*self.seen, strict=True))
        if callable(heads := getattr(self.net, "heads", None)):
            logits, values = heads(h)
        modulation = getattr(self.net, "modulation", lambda h: None)(h)
        return Unrolled(logits, values, modulation, h, self.hidden)


class Twice:
    """The walk of an engine that knows sequences alone: by PyTorch without gradients, then once more."""

    def __init__(
        self, net: Recurrent[Any], batch_size: int, unroll: Callable[[Recurrent[Any], Tensor, Any], Unrolled]
    ):
        self.net, self.batch_size, self.unroll = net, batch_size, unroll
        with torch.no_grad():
            self.hidden = net.initial_state(batch_size)

    @torch.no_grad()
    def step(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """As of a `Walk`."""
        self.hidden = self.net.step(self.net.i2h(observation), self.hidden)
        return self.net.heads(self.hidden[0])

    @torch.no_grad()
    def value_of(self, observation: Tensor) -> Tensor:
        """As of a `Walk`."""
        return self.net.heads(self.net.step(self.net.i2h(observation), self.hidden)[0])[1]

    def finish(self, observations: Tensor) -> Unrolled:
        """As of a `Walk`."""
        return self.unroll(self.net, observations, self.net.initial_state(self.batch_size))
