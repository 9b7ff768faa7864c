"""A run on disk: never overwritten, never torn, never unpickled.

- `config.json`: the settings, for people and scripts.
- `history.csv`: a line an iteration.
- `checkpoint.safetensors`: everything that `--resume` needs.
- `weights.safetensors`: the trained network, with the settings inside.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bpa.config import TrainConfig
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE
from bpa.network import Network
from bpa.weights import load_state

FORMAT = "bpa-1"
CHECKPOINT = "checkpoint.safetensors"
FREE_TO_CHANGE = (
    "iterations",
    "out",
    "resume",
    "checkpoint_every",
    "quiet",
)  # without changing what the run is


class Record(NamedTuple):
    """One line of the history."""

    iteration: int  # counted from 1
    reward: float  # mean reward per episode of this batch
    loss: float
    gradient_norm: float  # before clipping
    seconds: float  # since the run began, stops not counted


class Checkpoint(NamedTuple):
    """A run in the middle of its way."""

    config: TrainConfig
    iteration: int
    seconds: float
    tensors: dict[str, Tensor]  # network.*, optimizer.*, generator


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that its name holds either the old bytes or the new ones, never half of them."""
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def build_network(config: TrainConfig, generator: torch.Generator | None = None) -> Network:
    """The network that `config` describes, with fresh weights."""
    return Network(
        OBSERVATION_SIZE,
        config.hidden_size,
        NUM_ACTIONS,
        plasticity=config.plasticity,
        alpha=config.alpha,
        fanout=config.fanout,
        clip=config.clip,
        rule=config.rule,
        generator=generator,
    )


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically; `metadata` is kept as text in its header."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, save(held, metadata={"format": FORMAT} | metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file written by `write_tensors`; ValueError names a torn or foreign file."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from None
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path} was not written by bpa (format {metadata.get('format')!r}, expected {FORMAT!r})"
        )
    return tensors, metadata


def read_config(path: Path, metadata: dict[str, str]) -> TrainConfig:
    """The config in a file's metadata; ValueError names the file if it holds none."""
    try:
        return TrainConfig.from_dict(json.loads(metadata["config"]))
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} holds no usable config: {error}") from None


def save_weights(path: str | Path, net: Network, config: TrainConfig) -> None:
    """Write the weights of `net`, with the settings inside, atomically."""
    write_tensors(Path(path), dict(net.state_dict()), {"config": json.dumps(config.as_dict())})


def load_weights(path: str | Path) -> tuple[Network, TrainConfig]:
    """A trained network and its settings.

    Args:
        path: a run folder or a .safetensors file.

    Raises:
        ValueError: it does not exist, is torn or foreign, or its tensors do not fit its settings.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "weights.safetensors"
    tensors, metadata = read_tensors(path)
    config = read_config(path, metadata)
    net = build_network(config)
    load_state(path, net, tensors)
    return net, config


def create_folder(out: str | Path, checkpoint: Checkpoint) -> Path:
    """Make a new run folder that can be resumed from its first moment; ValueError if something is there.

    It is filled under another name and then renamed, so that a run killed here leaves no half of a folder.
    """
    folder = Path(out)
    if folder.exists() or folder.is_symlink():
        raise ValueError(f"out {out} exists and is never overwritten: choose another, or --resume it")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise ValueError(f"out {out} cannot be made: {error.strerror}") from None
    try:
        write_config(partial, checkpoint.config)
        write_history(partial / "history.csv", [])
        save_checkpoint(partial, checkpoint)
        partial.rename(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise ValueError(f"out {out} cannot be made: {error.strerror}") from None
    return folder


def write_config(folder: Path, config: TrainConfig) -> None:
    """Write config.json, for people; the checkpoint and the weights hold the settings too."""
    write_atomically(folder / "config.json", (json.dumps(config.as_dict(), indent=2) + "\n").encode())


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the folder's checkpoint, atomically."""
    metadata: dict[str, Any] = {
        "config": json.dumps(checkpoint.config.as_dict()),
        "iteration": str(checkpoint.iteration),
        "seconds": repr(checkpoint.seconds),
        "torch": torch.__version__,
    }
    write_tensors(folder / CHECKPOINT, checkpoint.tensors, metadata)


def load_checkpoint(out: str | Path) -> Checkpoint:
    """The last checkpoint of a run folder; ValueError if there is none or it cannot be read."""
    path = Path(out) / CHECKPOINT
    tensors, metadata = read_tensors(path)
    try:
        iteration, seconds = int(metadata["iteration"]), float(metadata["seconds"])
    except (KeyError, ValueError):
        raise ValueError(f"{path} is a weights file, not a checkpoint: it holds no iteration") from None
    return Checkpoint(read_config(path, metadata), iteration, seconds, tensors)


def refuse_other_settings(stored: TrainConfig, asked: TrainConfig) -> None:
    """ValueError if `asked` would continue a run of other settings than `stored`."""
    for name, value in stored.as_dict().items():
        if name not in FREE_TO_CHANGE and getattr(asked, name) != value:
            raise ValueError(
                f"{name} is {value!r} in the run to resume, got {getattr(asked, name)!r}; "
                f"only {', '.join(FREE_TO_CHANGE)} may change"
            )


def write_history(path: Path, history: Iterable[Record]) -> None:
    """Write the whole history, atomically."""
    lines = [",".join(Record._fields), *(",".join(map(repr, record)) for record in history)]
    write_atomically(path, ("\n".join(lines) + "\n").encode())


def read_history(path: str | Path, up_to: int | None = None) -> list[Record]:
    """The history of a run, up to and with iteration `up_to`; a torn last line is passed over."""
    history = []
    with open(path, newline="") as file:
        for row in list(csv.reader(file))[1:]:
            if len(row) != len(Record._fields) or (up_to is not None and int(row[0]) > up_to):
                break
            history.append(Record(int(row[0]), *map(float, row[1:])))
    return history
