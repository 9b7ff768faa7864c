"""What a recurrent policy is, and what all of ours share: forward, heads and unroll, written once."""

from __future__ import annotations

import pkgutil
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from bpa import engines
from bpa.arguments import require_integer, require_shape
from bpa.engines.cell import KernelCell
from bpa.engines.eager import Unrolled, matching_state

# Cells by the name that files and `TrainConfig(cell=...)` know, each "module:class".
CELLS = {
    "rnn": "bpa.network:Network",
    "lstm": "bpa.cells.lstm:LSTM",
    "fast-weights": "bpa.cells.fast_weights:FastWeightNetwork",
}

State: TypeAlias = "tuple[Tensor | None, ...]"  # what is carried from step to step; the batch is in front
AnyState = TypeVar("AnyState", bound="tuple[Any, ...]")


class Trainable(Protocol):
    """What an optimiser and a file need of a network; every `torch.nn.Module` has it."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """All that is learned."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The same by name."""

    def state_dict(self) -> dict[str, Any]:
        """All tensors by name."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Take over tensors by name."""

    def zero_grad(self) -> None:
        """Forget all gradients."""

    def to(self, device: torch.device) -> Self:
        """The same network on this device."""


class RecurrentPolicy(Trainable, Protocol):
    """All that acting, learning and scoring ask of a network. Any `torch.nn.Module` with these will do.

    A state is a tuple of tensors, such as a named tuple, each with the batch in front.
    """

    input_size: int  # I
    num_actions: int  # A

    def initial_state(self, batch_size: int) -> Any:
        """The state at the start of an episode."""

    def __call__(self, x: Tensor, hidden: Any) -> tuple[Tensor, Tensor, Any]:
        """One step: x [B, I] and the state -> logits [B, A], value [B], and the next state."""


class SequencePolicy(RecurrentPolicy, Protocol):
    """A recurrent policy that reads a whole sequence in one call, as supervised tasks want it."""

    def unroll(self, xs: Tensor, hidden: Any = None, engine: str = "auto") -> Unrolled:
        """xs [T, B, I] -> what T steps give."""


class RecurrentNetwork(nn.Module, Generic[AnyState]):
    """Base of the networks of this package: a step between a linear layer in front and two behind.

    A cell of your own is a class with `initial_state`, `step` and the layers i2h [.., I], h2o [A, H] and
    h2v [1, H]. It then acts, unrolls and trains as `bpa.Network` does, step by step in the eager engine.
    """

    input_size: int
    hidden_size: int
    num_actions: int
    i2h: nn.Linear
    h2o: nn.Linear
    h2v: nn.Linear
    published_program: str | None = None  # whose file the weights were read from, see `bpa.cells.published`

    def declare_sizes(self, input_size: int, hidden_size: int, num_actions: int) -> tuple[int, int, int]:
        """I, H and A become attributes; ValueError unless each is a whole number of at least 1."""
        self.input_size = require_integer("input_size", input_size, low=1)
        self.hidden_size = require_integer("hidden_size", hidden_size, low=1)
        self.num_actions = require_integer("num_actions", num_actions, low=1)
        return self.input_size, self.hidden_size, self.num_actions

    @abstractmethod
    def initial_state(self, batch_size: int) -> AnyState:
        """The state at the start of an episode; its first part is h [B, H], which the heads read."""

    @abstractmethod
    def step(self, drive: Tensor, hidden: AnyState) -> AnyState:
        """One step from the drive i2h(input(t)) [B, ...] and the state to the next state."""

    def modulation(self, h: Tensor) -> Tensor | None:
        """M(t) from h(t): [..., H] -> [...]; None in a network without a modulator."""
        return None

    def kernel_cell(self) -> KernelCell | str:
        """What the compiled loops of `bpa.engines` need of this network, or why none can run it."""
        return f"it has no loops for {type(self).__name__}"

    def settings(self) -> dict[str, Any]:
        """The arguments that make a network like this one but for its first values, ready for JSON."""
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "num_actions": self.num_actions,
        }

    def extra_repr(self) -> str:
        """Every setting, for `print(net)`."""
        return ", ".join(f"{name}={value!r}" for name, value in self.settings().items())

    def heads(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Action logits [..., A] and value [...] from activity [..., H]."""
        return self.h2o(h), self.h2v(h)[..., 0]

    def forward(self, x: Tensor, hidden: AnyState | None = None) -> tuple[Tensor, Tensor, AnyState]:
        """One step: x [B, I] -> logits [B, A], value [B], hidden; from the initial state if None."""
        require_shape("x", x, ("B", self.input_size), like=self.i2h.weight)
        state: AnyState = self.step(self.i2h(x), matching_state(self, hidden, len(x)))
        return *self.heads(state[0]), state

    def unroll(self, xs: Tensor, hidden: AnyState | None = None, engine: str = "auto") -> Unrolled:
        """A whole sequence, xs [T, B, I]: the same as T calls of `forward`, by an engine of `bpa.engines`."""
        require_shape("xs", xs, ("T", "B", self.input_size), like=self.i2h.weight)
        return engines.unroll(self, xs, matching_state(self, hidden, xs.shape[1]), engine)


def require_policy(net: object) -> None:
    """Raise ValueError unless `net` has all that a recurrent policy must have."""
    needed = "input_size, num_actions, initial_state, forward"
    for name in ("input_size", "num_actions"):
        if not hasattr(net, name):
            raise ValueError(f"network must have {needed}; {name} is missing")
        require_integer(f"network.{name}", getattr(net, name), low=1)
    if not callable(getattr(net, "initial_state", None)):
        raise ValueError(f"network must have {needed}; initial_state is missing")
    if not isinstance(net, nn.Module) or next(net.parameters(), None) is None:
        raise ValueError(f"network must be a torch.nn.Module with parameters, got {type(net).__name__}")


def cell_class(name: str) -> type[RecurrentNetwork[Any]]:
    """The class of a cell of CELLS."""
    found: type[RecurrentNetwork[Any]] = pkgutil.resolve_name(CELLS[name])
    return found


def cell_name(net: object) -> str | None:
    """The name of the network's class in CELLS; None if it has none."""
    kind = f"{type(net).__module__}:{type(net).__qualname__}"
    return next((name for name, known in CELLS.items() if known == kind), None)


def load_state(source: str | Path, net: Trainable, tensors: Mapping[str, Tensor]) -> None:
    """Put `tensors` into `net`; ValueError says which tensor of `source` does not fit, and how."""
    needed = net.state_dict()
    for name, tensor in needed.items():
        if name not in tensors:
            raise ValueError(f"{source} lacks the tensor {name!r}")
        if tensors[name].shape != tensor.shape:
            got, shape = list(tensors[name].shape), list(tensor.shape)
            raise ValueError(f"{source}: tensor {name!r} has shape {got}, the network needs {shape}")
        if not tensors[name].is_floating_point():
            kind = tensors[name].dtype
            raise ValueError(f"{source}: tensor {name!r} holds {kind}, the network needs {tensor.dtype}")
    for name in tensors:
        if name not in needed:
            raise ValueError(f"{source} holds the tensor {name!r}, which the network does not have")
    net.load_state_dict(tensors)
