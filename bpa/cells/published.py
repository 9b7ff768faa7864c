"""Weights that the published programs saved, read into `bpa.Network`; nothing in a file is ever run.

Three programs were published with [2019], and their files differ. Tensors that all have: i2h, w, h2o and h2v.

- "simplemaze", whose network the README shows: simple modulation with fan-out. In w and alpha a column holds
  the inputs of a neuron, as here. The trace is cut off at 2.
- "maze", the full maze runs: none, plastic, simple and retroactive. A row of w and alpha holds the inputs of
  a neuron; the layer in front of M(t) is called h2DA, the eta of the eligibility etaet. No fan-out, cut off
  at 1.
- "cues", the cue task: as "maze", but that its modulated networks carry an eta besides. It belongs to a half
  without modulation that they can have, and no equation here reads it.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from bpa.arguments import require_choice, require_path
from bpa.network import Network
from bpa.textfile import refuse_streams


class Program(NamedTuple):
    """How one of the published programs names and lays out what it saves."""

    clip: float  # bound of the trace, which no file holds
    fanout: bool
    transposed: bool  # row i of w and alpha holds the inputs of neuron i
    kinds: dict[str, tuple[str, ...]]  # by `plasticity`: the names of the tensors besides COMMON


COMMON = ("i2h.weight", "i2h.bias", "w", "h2o.weight", "h2o.bias", "h2v.weight", "h2v.bias")
FANOUT = ("alpha", "h2mod.weight", "h2mod.bias", "modfanout.weight", "modfanout.bias")
MODULATED = ("alpha", "h2DA.weight", "h2DA.bias")
BOTH = {"none": (), "plastic": ("alpha", "eta")}
PROGRAMS = {
    "simplemaze": Program(2.0, True, False, {"simple": FANOUT}),
    "maze": Program(1.0, False, True, {**BOTH, "simple": MODULATED, "retroactive": (*MODULATED, "etaet")}),
    "cues": Program(
        1.0,
        False,
        True,
        {**BOTH, "simple": (*MODULATED, "eta"), "retroactive": (*MODULATED, "eta", "etaet")},
    ),
}
RENAMED = {"h2DA.weight": "h2mod.weight", "h2DA.bias": "h2mod.bias", "etaet": "eta"}


def read_state(path: Path) -> dict[str, Tensor]:
    """The state_dict in a file of `torch.save`, on the CPU.

    Raises:
        ValueError: it cannot be read without running what it holds, or is no table of names and tensors.
    """
    try:
        refuse_streams(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
        AttributeError,
    ) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(f"{path} is not a state_dict file that can be read safely: {reason}") from None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise ValueError(f"{path} does not hold a state_dict, a table of names and tensors")
    for name, tensor in state.items():
        dense = tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
        if not dense or tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
            raise ValueError(f"{path}: tensor {name!r} must be dense, with all its numbers in the file")
    return dict(state)


def fitting(names: Collection[str]) -> list[tuple[str, str]]:
    """Program and plasticity of every kind of published file that has just these tensors."""
    return [
        (program, plasticity)
        for program, layout in PROGRAMS.items()
        for plasticity, extra in layout.kinds.items()
        if set(names) == {*COMMON, *extra}
    ]


def misfit(path: Path, names: Collection[str], programs: Collection[str]) -> str:
    """What keeps a file from being of one of `programs`, by the kind of file it comes nearest to."""
    kinds = [
        (program, plasticity, {*COMMON, *extra})
        for program in programs
        for plasticity, extra in PROGRAMS[program].kinds.items()
    ]
    program, plasticity, needed = min(kinds, key=lambda kind: len(kind[2] ^ set(names)))
    nearest = f"a file of program {program!r} with plasticity {plasticity!r}, which comes nearest"
    for name in (*COMMON, *sorted(needed)):
        if name not in names:
            return f"{path} lacks the tensor {name!r} of {nearest}"
    extra = sorted(set(names) - needed)[0]
    return f"{path} holds the tensor {extra!r}, which the network does not have in {nearest}"


def kind_of(path: Path, names: Collection[str], program: str | None) -> tuple[str, str]:
    """Program and plasticity of a file with tensors of these names.

    Raises:
        ValueError: no kind of file has them, several have them and `program` does not say which, or `program`
            has no such file.
    """
    kinds = dict(fitting(names))
    if program is None:
        if not kinds:
            raise ValueError(misfit(path, names, PROGRAMS))
        if len(kinds) > 1:
            asked = " or ".join(map(repr, kinds))
            raise ValueError(
                f"program must be {asked} for {path}, got None: both give its tensors the same names and "
                "shapes, and so does bpa.Network, whose w and alpha lie the other way round"
            )
        program = next(iter(kinds))
    elif program not in kinds and kinds:
        asked = " or ".join(map(repr, kinds))
        raise ValueError(
            f"program must be {asked} for {path}, which the names of its tensors say, got {program!r}: "
            f"{misfit(path, names, [program])}"
        )
    elif not kinds:
        raise ValueError(misfit(path, names, [program]))
    return program, kinds[program]


def sizes_of(path: Path, state: dict[str, Tensor]) -> tuple[int, int, int]:
    """I, H and A from the shapes of the input and output layers; ValueError where they have none."""
    for name, letters in (("i2h.weight", "[H, I]"), ("h2o.weight", "[A, H]")):
        if state[name].dim() != 2 or 0 in state[name].shape:
            got = list(state[name].shape)
            raise ValueError(f"{path}: tensor {name!r} has shape {got}, the network needs {letters}")
    (hidden_size, input_size), num_actions = state["i2h.weight"].shape, len(state["h2o.weight"])
    return input_size, hidden_size, num_actions


def translated(path: Path, state: dict[str, Tensor], net: Network, transposed: bool) -> dict[str, Tensor]:
    """The tensors of a file by the names of `net` and in its layout; ValueError names a misfit."""
    needed, ours = net.state_dict(), {}
    for name, tensor in state.items():
        if name == "eta" and net.plasticity != "plastic":
            continue  # of the half without modulation
        ours_name = RENAMED.get(name, name)
        shape = list(needed[ours_name].shape)  # w and alpha are square, whichever way they lie
        if list(tensor.shape) != shape:
            got = list(tensor.shape)
            raise ValueError(f"{path}: tensor {name!r} has shape {got}, the network needs {shape}")
        if not tensor.is_floating_point():
            kind = needed[ours_name].dtype
            raise ValueError(f"{path}: tensor {name!r} holds {tensor.dtype}, the network needs {kind}")
        ours[ours_name] = tensor.T if transposed and name in ("w", "alpha") else tensor
    return ours


def load_published(path: str | Path, program: str | None = None, clip: float | None = None) -> Network:
    """The network whose state_dict one of the published programs saved with `torch.save`.

    Which program it was mostly follows from the names of the tensors: h2mod and modfanout are "simplemaze";
    h2DA is "cues" if there is an eta besides, and "maze" if not. Files of networks without modulation do not
    tell: "maze" and "cues" give their tensors the same names and shapes, and so does `bpa.Network`, where w
    and alpha lie the other way round. There `program` has to be given. H, I and A follow from the shapes.

    Args:
        path: a state_dict file; read with `weights_only=True`, so that no code in it runs.
        program: "simplemaze" (README), "maze" (the full maze runs) or "cues" (the cue task); where the names
            tell, None will do, and another program is refused.
        clip: bound of the Hebbian trace, above 0; no file holds it. None: that of the program, 2 in
            simplemaze and 1 in the others.

    Returns:
        A network on the CPU, float64 if the file holds float64 and float32 otherwise. Its `published_program`
        says which program's weights they are; copies and files of `bpa.save` keep it, a network that is
        trained on has None. Modulated networks of "cues" are taken to be modulated throughout, and their own
        eta is left out: no file says whether a run had the half without modulation.

    Raises:
        ValueError: the file is missing, is no state_dict, does not tell which program saved it, or a tensor
            of it does not fit; the message names the tensor, its shape and the shape that is needed.

    Example:
        >>> import bpa, torch
        >>> from bpa.cells.published import load_published
        >>> weights = bpa.Network(17, 100, 4, plasticity="simple", fanout=False).state_dict()
        >>> weights = {name.replace("h2mod", "h2DA"): tensor for name, tensor in weights.items()}
        >>> torch.save(weights, "torchmodel.dat")  # in place of a file that the full maze program wrote
        >>> net = load_published("torchmodel.dat")
        >>> net.published_program, net.plasticity, net.hidden_size, net.clip
        ('maze', 'simple', 100, 1.0)
    """
    path = Path(require_path("path", path))
    if program is not None:
        program = require_choice("program", program, PROGRAMS)
    state = read_state(path)
    program, plasticity = kind_of(path, state, program)
    layout = PROGRAMS[program]
    net = Network(
        *sizes_of(path, state),
        plasticity=plasticity,
        fanout=layout.fanout,
        clip=layout.clip if clip is None else clip,
        generator=torch.Generator(device="cpu"),  # for weights that are not kept
    )
    if any(tensor.dtype == torch.float64 for tensor in state.values()):
        net.double()
    net.load_state_dict(translated(path, state, net, layout.transposed))
    net.published_program = program
    return net
