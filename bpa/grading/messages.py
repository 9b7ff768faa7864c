"""What passes between the judge and a student's process: JSON with tensors as safetensors behind it.

A message is two lengths, a JSON text and the tensors that it names by their place. Nothing is ever pickled,
so that reading a message runs no code. Values are plain numbers and texts as they are, and lists that begin
with their kind:

    ["list", ...], ["tuple", ...]        their entries
    ["tensor", k, requires_grad]         the k-th tensor behind the JSON
    ["array", k]                         the same, a NumPy array on both sides
    ["record", "Hidden" | "MazeNoise", ...]   the named tuples of `bpa` that exercises take or give
    ["network", settings, {name: k}, requires_grad]   a `bpa.Network` and its parameters
    ["maze", settings]                   a `bpa.GridMaze` between two episodes
    ["generator", state]                 a NumPy generator, which goes on from where it was
    ["function", k]                      a function of the judge's, called by asking for it
    ["kept", k, class name]              an object that stays in the student's process, for everything else
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from bpa.maze import GridMaze, MazeNoise
from bpa.network import Hidden, Network

LENGTHS = struct.Struct(">II")
LARGEST = 1 << 26  # bytes of either part of a message; every honest one is far smaller
RECORDS: dict[str, type] = {"Hidden": Hidden, "MazeNoise": MazeNoise}
MAZE = ("size", "batch_size", "episode_length", "reward", "wall_penalty")
PLAIN = (bool, int, float, str, type(None))


class Forged(ValueError):
    """Bytes that no honest process sends."""


@dataclass(frozen=True)
class Kept:
    """An object of the student's process, as the judge sees it."""

    place: int
    kind: str


class Message(NamedTuple):
    """A message as it was read: what the JSON says, and the tensors behind it."""

    said: dict[str, Any]
    tensors: list[Tensor]


def send(stream: IO[bytes], said: dict[str, Any], tensors: Sequence[Tensor] = ()) -> None:
    """Write a message, and send it off.

    Raises:
        ValueError: it is larger than a message may be.
        OSError: nobody reads.
    """
    text = json.dumps(said).encode()
    data = safetensors.torch.save({str(k): tensor for k, tensor in enumerate(tensors)}) if tensors else b""
    if max(len(text), len(data)) > LARGEST:
        raise ValueError(f"a message may have {LARGEST} bytes, got {max(len(text), len(data))}")
    stream.write(LENGTHS.pack(len(text), len(data)) + text + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Message:
    """The next message.

    Raises:
        EOFError: the other side has ended.
        Forged: the bytes are no message.
    """
    lengths = LENGTHS.unpack(exactly(stream, LENGTHS.size))
    if max(lengths) > LARGEST:
        raise Forged(f"a message may have {LARGEST} bytes, got {max(lengths)}")
    text, data = (exactly(stream, length) for length in lengths)
    try:
        said = json.loads(text)
        named = safetensors.torch.load(data) if data else {}
        tensors = [named[str(k)] for k in range(len(named))]
    except (ValueError, KeyError, RecursionError, safetensors.SafetensorError) as error:
        raise Forged(f"no message: {error}") from None
    if not isinstance(said, dict):
        raise Forged("no message: it is no table")
    return Message(said, tensors)


def exactly(stream: IO[bytes], count: int) -> bytes:
    """So many bytes; EOFError if fewer come."""
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


class Packer:
    """Turns values into what a message says, and gathers the tensors behind it.

    Args:
        own: where to put objects that stay on this side, and what to call them there: `Kept` in the student's
            process, functions in the judge's.
    """

    def __init__(self, own: Callable[[Any], list[Any]]) -> None:
        self.own = own
        self.tensors: list[Tensor] = []  # as they are sent
        self.sources: list[Tensor] = []  # the caller's own, in the same order

    def put(self, tensor: Tensor) -> int:
        """The place of a tensor behind the message; TypeError for one that is not plain numbers in memory."""
        if tensor.layout is not torch.strided or tensor.is_complex() or tensor.is_quantized or tensor.is_meta:
            raise TypeError(f"no plain tensor: {tensor.layout}, {tensor.dtype}, {tensor.device}")
        plain = tensor.detach().cpu().resolve_conj().resolve_neg()
        self.tensors.append(plain.as_subclass(Tensor).contiguous().clone())
        self.sources.append(tensor)
        return len(self.tensors) - 1

    def pack(self, value: Any) -> Any:
        """`value` as a message says it."""
        if type(value) in PLAIN:
            return value
        begun = len(self.tensors)
        try:
            return self.pack_kind(value)
        except (TypeError, ValueError, RecursionError):
            del self.tensors[begun:], self.sources[begun:]
            return self.own(value)

    def pack_kind(self, value: Any) -> Any:
        """`pack` of what is not plain; TypeError for what has to stay here."""
        if isinstance(value, Tensor):
            return ["tensor", self.put(value), value.requires_grad]
        if isinstance(value, np.ndarray | np.generic):
            return ["array", self.put(torch.from_numpy(np.array(value)))]
        if type(value) in RECORDS.values():
            return ["record", type(value).__name__, *map(self.pack, value)]
        if isinstance(value, list | tuple):
            return ["list" if isinstance(value, list) else "tuple", *map(self.pack, value)]
        if isinstance(value, Network):
            named = {name: self.put(weights) for name, weights in value.state_dict().items()}
            for name, k in named.items():  # the caller's own weights, and not the copies of a state_dict
                self.sources[k] = value.get_parameter(name)
            grad = any(parameter.requires_grad for parameter in value.parameters())
            return ["network", value.settings(), named, grad]
        if isinstance(value, GridMaze):
            return ["maze", {name: getattr(value, name) for name in MAZE}]
        if isinstance(value, np.random.Generator):
            return ["generator", value.bit_generator.state]
        return self.own(value)


class Unpacker:
    """Turns what a message says into values.

    Args:
        message: what came.
        theirs: what to make of a kind and its place that belong to the other side, or of one's own that comes
            back; it raises Forged for what may not come here.
    """

    def __init__(self, message: Message, theirs: Callable[[str, list[Any]], Any]) -> None:
        self.message = message
        self.theirs = theirs
        self.tensors = list(message.tensors)  # those of the values made from it, as they are handed out
        self.networks: list[tuple[Network, dict[str, int]]] = []

    def tensor(self, place: Any, requires_grad: bool = False) -> Tensor:
        """The tensor of this place, as a leaf."""
        if type(place) is not int or not 0 <= place < len(self.tensors):
            raise Forged(f"no tensor has the place {place!r}")
        return self.tensors[place].requires_grad_(requires_grad and self.tensors[place].is_floating_point())

    def unpack(self, said: Any) -> Any:
        """The value; Forged where it is none."""
        if type(said) in PLAIN:
            return said
        try:
            kind, *rest = said
            return self.unpack_kind(kind, rest)
        except Forged:
            raise
        except (TypeError, ValueError, KeyError, IndexError, RuntimeError, AttributeError) as error:
            raise Forged(f"no value: {type(error).__name__}: {error}") from None

    def unpack_kind(self, kind: Any, rest: list[Any]) -> Any:
        """`unpack` of what is not plain."""
        if kind in ("list", "tuple"):
            return (list if kind == "list" else tuple)(map(self.unpack, rest))
        if kind == "tensor":
            return self.tensor(*rest)
        if kind == "array":
            return self.tensor(*rest).numpy()
        if kind == "record":
            return RECORDS[rest[0]](*map(self.unpack, rest[1:]))
        if kind == "network":
            return self.network(*rest)
        if kind == "maze":
            return GridMaze(**{name: rest[0][name] for name in MAZE})
        if kind == "generator":
            state = rest[0]
            bits = {"PCG64": np.random.PCG64}[state["bit_generator"]]()
            bits.state = state
            return np.random.Generator(bits)
        return self.theirs(kind, rest)

    def network(self, settings: dict[str, Any], named: dict[str, int], requires_grad: bool) -> Network:
        """A network of these settings that holds these tensors: none is made that was not sent."""
        if not isinstance(settings.get("rule"), str):
            raise Forged("a network whose rule is a function does not travel")
        # Sizes are those of the tensors: made up ones would be allocated here.
        sizes = {
            "input_size": self.tensor(named["i2h.weight"]).shape[1],
            "hidden_size": self.tensor(named["w"]).shape[0],
            "num_actions": self.tensor(named["h2o.weight"]).shape[0],
        }
        net = Network(**{**settings, **sizes})
        net.load_state_dict({name: self.tensor(k) for name, k in named.items()})
        self.networks.append((net, named))
        self.look_again()
        return net.requires_grad_(requires_grad)

    def look_again(self) -> None:
        """Find the weights of networks anew: a function may have put others in their place."""
        for net, named in self.networks:
            now = dict(net.named_parameters())
            for name, k in named.items():
                self.tensors[k] = now.get(name, self.tensors[k])
