"""Tensors from files into networks: what does not fit is named, and nothing is ever unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn

from bpa.arguments import require_path
from bpa.network import Network
from bpa.textfile import refuse_streams


def load_state(source: str | Path, net: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put `tensors` into `net`; ValueError says which tensor of `source` does not fit, and how."""
    needed = net.state_dict()
    for name, tensor in needed.items():
        if name not in tensors:
            raise ValueError(f"{source} lacks the tensor {name!r}")
        if tensors[name].shape != tensor.shape:
            got, shape = list(tensors[name].shape), list(tensor.shape)
            raise ValueError(f"{source}: tensor {name!r} has shape {got}, the network needs {shape}")
        if not tensors[name].is_floating_point():
            raise ValueError(
                f"{source}: tensor {name!r} holds {tensors[name].dtype}, the network needs {tensor.dtype}"
            )
    for name in tensors:
        if name not in needed:
            raise ValueError(f"{source} holds the tensor {name!r}, which the network does not have")
    net.load_state_dict(tensors)


def plasticity_of(state: dict[str, Tensor]) -> str:
    """The variant that has tensors of these names."""
    if "alpha" not in state:
        return "none"
    if "h2mod.weight" not in state:
        return "plastic"
    return "retroactive" if "eta" in state else "simple"


def alpha_of(state: dict[str, Tensor]) -> str:
    """The granularity of alpha that has this shape; "synapse" where there is none."""
    alpha = state.get("alpha")
    if alpha is None or (alpha.dim() == 2 and len(alpha) != 1):
        return "synapse"
    return "neuron" if alpha.dim() == 2 else "network"


def needed_sizes(path: Path, state: dict[str, Tensor]) -> tuple[int, int, int]:
    """I, H and A from the shapes of the input and output layers."""
    for name, letters in (("i2h.weight", "[H, I]"), ("h2o.weight", "[A, H]")):
        if name not in state:
            raise ValueError(f"{path} lacks the tensor {name!r}")
        if state[name].dim() != 2:
            got = list(state[name].shape)
            raise ValueError(f"{path}: tensor {name!r} has shape {got}, the network needs {letters}")
    (hidden_size, input_size), (num_actions, _) = state["i2h.weight"].shape, state["h2o.weight"].shape
    return input_size, hidden_size, num_actions


def load_published(path: str | Path, clip: float = 2.0) -> Network:
    """The network whose state_dict the published maze code saved with `torch.save`.

    Which variant it is follows from the names of its tensors, H, I and A from their shapes. The clip is not
    in the file: 2 in the simple maze program, 1 in the others.

    Args:
        path: a state_dict file; read with `weights_only=True`, so that no code in it runs.
        clip: bound of the Hebbian trace, above 0.

    Raises:
        ValueError: the file is missing, is no state_dict, or a tensor of it does not fit; the message names
            the tensor, its shape and the shape that is needed.
    """
    path = Path(require_path("path", path))
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
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} does not hold a state_dict, a table of names and tensors")

    net = Network(
        *needed_sizes(path, state),
        plasticity=plasticity_of(state),
        alpha=alpha_of(state),
        fanout="modfanout.weight" in state,
        clip=clip,
    )
    load_state(path, net, state)
    return net
