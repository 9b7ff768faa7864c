"""Tensors from files into networks: what does not fit is named, and nothing is ever unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from bpa.arguments import require_path
from bpa.cells.base import load_state
from bpa.network import Network
from bpa.textfile import refuse_streams


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

    Example:
        >>> import bpa, torch
        >>> from bpa.cells.published import load_published
        >>> weights = bpa.Network(17, 100, 4, plasticity="retroactive").state_dict()
        >>> torch.save(weights, "torchmodel.dat")  # in place of a file that the published code wrote
        >>> net = load_published("torchmodel.dat", clip=1.0)
        >>> net.plasticity, net.hidden_size, net.clip
        ('retroactive', 100, 1.0)
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
