"""A run on disk: never overwritten, never torn, never unpickled.

- `config.json`: the settings, for people and scripts.
- `history.csv`: a line an iteration.
- `checkpoint.safetensors`: everything that `--resume` needs.
- `weights.safetensors`: the trained network, with the settings inside.
- `.lock`: held by the one process that may write here.
"""

from __future__ import annotations

import contextlib
import csv
import inspect
import io
import json
import os
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from bpa import data
from bpa.arguments import require_choice, require_integer, require_number, require_path
from bpa.cells.base import (
    CELLS,
    RecurrentNetwork,
    RecurrentPolicy,
    cell_class,
    cell_name,
    load_state,
)
from bpa.cells.plasticity import Rule
from bpa.cells.published import PROGRAMS
from bpa.textfile import refuse_streams, utf8_text
from bpa.training.config import OWN, TrainConfig
from bpa.training.tasks import build_task, is_rewarded, sizes
from bpa.version import __version__

FORMAT = "bpa-1"
CHECKPOINT = "checkpoint.safetensors"
# What a config says of a cell, where the cell has it.
CELL_SETTINGS = (
    *("plasticity", "alpha", "fanout", "clip", "rule"),
    *("initial_weight", "initial_eta", "initial_self"),
)
FREE_TO_CHANGE = (
    "iterations",
    "out",
    "resume",
    "checkpoint_every",
    "quiet",
    "tensorboard",
    "on_divergence",
    "engine",
    "device",
)  # without changing what the run is


class Record(NamedTuple):
    """One line of the history of an agent."""

    iteration: int  # counted from 1
    reward: float  # mean reward per episode of this batch
    loss: float
    gradient_norm: float  # before clipping
    seconds: float  # since the run began, stops not counted


class SupervisedRecord(NamedTuple):
    """One line of the history of a network that is told what was right."""

    iteration: int  # counted from 1
    accuracy: float  # share of this batch's answers that were right
    loss: float
    gradient_norm: float  # before clipping
    seconds: float  # since the run began, stops not counted


AnyRecord: TypeAlias = Record | SupervisedRecord
History: TypeAlias = list[AnyRecord]  # of one kind


class Checkpoint(NamedTuple):
    """A run in the middle of its way."""

    config: TrainConfig
    iteration: int
    seconds: float
    tensors: dict[str, Tensor]  # network.*, optimizer.*, generator
    learning_rate_scale: float = 1.0  # what divergences have left of the learning rate
    left_out: int = 0  # steps left out one after the other, up to now
    left_out_in_all: int = 0  # steps left out since the run began


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that its name holds either the old bytes or the new ones, never half of them."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.unlink(missing_ok=True)  # of a process that was killed; a link would lead to another file
        with open(partial, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:  # a full disk, or Ctrl-C
        partial.unlink(missing_ok=True)
        raise


def build_network(
    config: TrainConfig, generator: torch.Generator | None = None, shape: tuple[int, int, int] | None = None
) -> RecurrentNetwork[Any]:
    """The network that `config` describes, with fresh weights.

    Args:
        shape: inputs, hidden neurons and outputs; those of `config` and its task if None.

    Raises:
        ValueError: the cell has no such setting, or is one of your own, which a config cannot describe.
    """
    if config.cell == OWN:
        raise ValueError(f"cell {OWN!r} is a network of your own: make it, and give it as network")
    if shape is None:
        num_inputs, num_outputs = sizes(build_task(config, batch_size=1))
        shape = num_inputs, config.hidden_size, num_outputs
    kind = cell_class(config.cell)
    accepted = inspect.signature(kind).parameters
    if "plasticity" not in accepted and config.plasticity != "none":
        raise ValueError(f"cell {config.cell!r} needs plasticity 'none', got {config.plasticity!r}")
    settings = {name: getattr(config, name) for name in CELL_SETTINGS if name in accepted}
    return kind(*shape, **settings, generator=generator)


def given_cell(net: RecurrentPolicy) -> dict[str, Any]:
    """What the config of a run says of a network that was given, as far as a config has its settings."""
    described = network_settings(net)
    if described is None or not isinstance(described["settings"].get("rule", ""), str):
        return {"cell": OWN}
    settings = {"plasticity": "none"} | described["settings"]
    said = {"cell": described["cell"], "hidden_size": settings["hidden_size"]} | {
        name: settings[name] for name in CELL_SETTINGS if name in settings
    }
    try:
        shape = net.input_size, settings["hidden_size"], net.num_actions
        alike = build_network(TrainConfig(**said), torch.Generator(device="cpu"), shape)
    except ValueError:  # no clip, or more neurons than a config may have
        return {"cell": OWN}
    return said if alike.settings() == described["settings"] else {"cell": OWN}


def network_settings(net: object) -> dict[str, Any] | None:
    """What makes a network like this one, ready for JSON: its cell and settings; None if files cannot say."""
    cell = cell_name(net)
    settings = getattr(net, "settings", None)
    if cell is None or settings is None:
        return None
    program = getattr(net, "published_program", None)
    source = {} if program is None else {"published_program": program}
    return {"cell": cell, "settings": settings()} | source


def record_kind(config: TrainConfig) -> type[Record] | type[SupervisedRecord]:
    """What the lines of this run's history hold."""
    return Record if config.task == OWN or is_rewarded(config.task) else SupervisedRecord


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically; `metadata` is kept as text in its header."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, safetensors_bytes(held, metadata={"format": FORMAT} | metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file written by `write_tensors`; ValueError names a torn or foreign file."""
    try:
        refuse_streams(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies: a tensor as it comes holds the file mapped, and Windows does not replace a mapped file.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118, not a dict
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
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds no usable config: {error}") from None


def save_weights(path: str | Path, net: RecurrentPolicy, config: TrainConfig | None = None) -> None:
    """Write the weights of `net`, with what makes such a network and the settings of its training inside."""
    metadata = {} if config is None else {"config": json.dumps(config.as_dict())}
    described = network_settings(net)
    metadata["network"] = json.dumps(type(net).__name__ if described is None else described)
    write_tensors(Path(require_path("path", path)), dict(net.state_dict()), metadata)


def save(path: str | Path, net: RecurrentPolicy) -> None:
    """Write a network with its constructor's settings, so that `load` makes it again.

    Args:
        path: a .safetensors file that is not there yet. net: `bpa.Network`, `bpa.LSTM` or another cell of
            `bpa.cells.base.CELLS`. A rule that is a function is kept by its name.

    Raises:
        ValueError: there is a file, it cannot be written, or the network is of another class.

    Example:
        >>> import tempfile, bpa
        >>> net = bpa.Network(input_size=5, hidden_size=8, num_actions=3, plasticity="plastic")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     bpa.save(folder + "/mine.safetensors", net)
        ...     bpa.load(folder + "/mine.safetensors").plasticity
        'plastic'
    """
    if cell_name(net) is None:
        names = ", ".join(place.partition(":")[2] for place in CELLS.values())
        raise ValueError(f"net must be one of {names}, whose settings are known, got {type(net).__name__}")
    file = Path(require_path("path", path))
    if file.suffix != ".safetensors":
        raise ValueError(f"path must end in .safetensors, got {file}")
    if file.exists():
        raise ValueError(f"path {file} exists and is never overwritten")
    try:
        save_weights(file, net)
    except OSError as error:
        raise ValueError(f"path {file} cannot be written: {error.strerror}") from None


def load(path: str | Path, rule: Rule | None = None) -> RecurrentNetwork[Any]:
    """A network from a file, with the settings it was made with.

    Args:
        path: a .safetensors file of ours, a run folder, or the name of an agent that ships
            (`bpa.data.agents`); where a file has the name of an agent, the file is meant.
        rule: the function that the network's rule is, where the file names one.

    Raises:
        ValueError: it does not exist, is torn or foreign, its tensors do not fit, or it needs a rule.

    Example:
        >>> import bpa
        >>> bpa.load("maze-11").input_size
        17
    """
    return read_network(path, rule)[0]


def load_weights(path: str | Path, rule: Rule | None = None) -> tuple[RecurrentNetwork[Any], TrainConfig]:
    """A trained network and the settings of its training; arguments and errors as of `load`.

    Raises:
        ValueError: the file holds a network without the settings of a training, too.
    """
    net, config = read_network(path, rule)
    if config is None:
        raise ValueError(f"{path} holds a network without the settings of its training: bpa.load reads it")
    return net, config


def found(path: str | Path) -> Path:
    """The file of weights that is meant by a path or the name of an agent; ValueError if there is none."""
    place = Path(require_path("path", path))
    if os.path.exists(place):
        return place / "weights.safetensors" if place.is_dir() else place
    if str(place) not in data.agents():
        names = ", ".join(data.agents())
        raise ValueError(f"{place} does not exist, and no agent of that name ships: there are {names}")
    return data.path(str(place))


def read_network(path: str | Path, rule: Rule | None) -> tuple[RecurrentNetwork[Any], TrainConfig | None]:
    """The network in a file, and the settings of its training if the file has them."""
    path = found(path)
    tensors, metadata = read_tensors(path)
    config = read_config(path, metadata) if "config" in metadata or "network" not in metadata else None
    # Not PyTorch's global generator, for weights that are not kept.
    generator = torch.Generator(device="cpu")
    if "network" in metadata:
        net = described_network(path, metadata["network"], rule, generator)
    else:  # a file of before networks were described by themselves
        assert config is not None
        net = build_network(config, generator)
    load_state(path, net, tensors)
    return net, config


def described_network(
    path: Path, text: str, rule: Rule | None, generator: torch.Generator
) -> RecurrentNetwork[Any]:
    """A network as the metadata of a file describe it, with weights of no meaning.

    Raises:
        ValueError: they describe none, one of another's class, or one that needs a rule.
    """
    try:
        described = json.loads(text)
        if isinstance(described, str):
            raise ValueError(
                f"it is of the class {described}, which is your own: make one and load_state into it"
            )
        settings = dict(described["settings"])
        own = settings.get("rule")
        if isinstance(own, dict):
            if rule is None:
                name = own["function"]
                raise ValueError(f"its rule is the function {name!r}: bpa.load(path, rule={name})")
            settings["rule"] = rule
        net = cell_class(described["cell"])(**settings, generator=generator)
        if "published_program" in described:
            net.published_program = require_choice(
                "published_program", described["published_program"], PROGRAMS
            )
        return net
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} holds no network that can be made: {error}") from None


@contextlib.contextmanager
def written_alone(folder: Path, name: str = "out") -> Iterator[None]:
    """Within, no other process that asks for the same writes into `folder`. A process that dies lets it go.

    Raises:
        ValueError: another process writes there, or nobody can.
    """
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(f"{name} {folder} is being written by another process: wait for its end") from None
    except OSError as error:
        raise ValueError(f"{name} {folder} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def rewrite(folder: Path, config: TrainConfig, history: History, net: RecurrentPolicy) -> None:
    """Put the files of a resumed run in order: settings, history and weights are those of its checkpoint.

    A process killed after a checkpoint and before the weights that belong to it has left older ones.

    Raises:
        ValueError: the folder cannot be written.
    """
    try:
        write_config(folder, config)
        write_history(folder, config, history)
        save_weights(folder / "weights.safetensors", net, config)
    except OSError as error:
        raise ValueError(f"out {folder} cannot be written: {error.strerror}") from None


def versions() -> dict[str, str]:
    """Versions of what computes a run; on others a resumed run may differ in its last bits."""
    ours = {"python": platform.python_version(), "bpa": __version__}
    return ours | {name: version(name) for name in ("torch", "numpy", "numba")}


def refuse_full_disk(out: str | Path, folder: Path, iterations: int) -> None:
    """ValueError if the disk of `folder`, which holds a first checkpoint, is too small for the run.

    Adam's memory makes later checkpoints three times as large, and a new one is written beside the old one.
    """
    need = 8 * (folder / CHECKPOINT).stat().st_size + 120 * iterations
    free = shutil.disk_usage(folder).free
    if free < need:
        raise ValueError(
            f"out {out} is on a disk with {free / 1e6:.1f} MB left; this run needs {need / 1e6:.1f} MB"
        )


def create_folder(out: str | Path, checkpoint: Checkpoint) -> Path:
    """Make a new run folder that can be resumed from its first moment; ValueError if something is there.

    It is filled under another name and then renamed, so that a run killed here leaves no half of a folder.
    """
    folder = Path(require_path("out", out))
    if os.path.lexists(folder):
        raise ValueError(f"out {out} exists and is never overwritten: choose another, or --resume it")
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise ValueError(f"out {out} cannot be made: {error.strerror}") from None
    try:
        write_config(partial, checkpoint.config)
        write_history(partial, checkpoint.config, [])
        save_checkpoint(partial, checkpoint)
        refuse_full_disk(out, partial, checkpoint.config.iterations)
        partial.rename(folder)
    except BaseException as error:  # Ctrl-C too
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            raise ValueError(f"out {out} cannot be made: {error.strerror}") from None
        raise
    return folder


def write_config(folder: Path, config: TrainConfig) -> None:
    """Write config.json, for people; the checkpoint and the weights hold the settings too."""
    write_atomically(folder / "config.json", (json.dumps(config.as_dict(), indent=2) + "\n").encode())


def read_settings(folder: str | Path) -> TrainConfig:
    """The settings in a run folder's config.json; ValueError names the file if there are none."""
    path = Path(require_path("folder", folder)) / "config.json"
    try:
        text = utf8_text(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    return read_config(path, {"config": text})


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Replace the folder's checkpoint, atomically."""
    metadata: dict[str, Any] = {
        "config": json.dumps(checkpoint.config.as_dict()),
        "iteration": str(checkpoint.iteration),
        "seconds": repr(checkpoint.seconds),
        "learning_rate_scale": repr(checkpoint.learning_rate_scale),
        "left_out": str(checkpoint.left_out),
        "left_out_in_all": str(checkpoint.left_out_in_all),
        **versions(),
    }
    write_tensors(folder / CHECKPOINT, checkpoint.tensors, metadata)


def load_checkpoint(out: str | Path) -> Checkpoint:
    """The last checkpoint of a run folder; ValueError if there is none or it cannot be read."""
    path = Path(require_path("out", out)) / CHECKPOINT
    tensors, metadata = read_tensors(path)
    try:
        iteration, seconds = int(metadata["iteration"]), float(metadata["seconds"])
        scale = float(metadata["learning_rate_scale"])
        left_out = int(metadata["left_out"])
        in_all = int(metadata.get("left_out_in_all", left_out))  # checkpoints of before know those in a row
    except (KeyError, ValueError):
        raise ValueError(f"{path} is a weights file, not a checkpoint: it holds no iteration") from None
    require_integer(f"{path}: iteration", iteration, low=0)
    require_number(f"{path}: seconds", seconds, low=0)
    require_number(f"{path}: learning_rate_scale", scale, low=0, above=True, high=1)
    require_integer(f"{path}: left_out", left_out, low=0)
    require_integer(f"{path}: left_out_in_all", in_all, low=left_out, high=max(iteration, left_out))
    return Checkpoint(read_config(path, metadata), iteration, seconds, tensors, scale, left_out, in_all)


def refuse_other_settings(stored: TrainConfig, asked: TrainConfig) -> None:
    """ValueError if `asked` would continue a run of other settings than `stored`."""
    before, now = stored.named_settings(), asked.named_settings()
    falling = {
        "learning rate": stored.learning_rate_schedule,
        "penalty on concentration": stored.concentration_schedule,
    }
    for name, schedule in falling.items():
        if schedule != "constant" and asked.iterations != stored.iterations:
            raise ValueError(
                f"iterations is {stored.iterations} in the run to resume, got {asked.iterations}; its {name} "
                f"falls by a {schedule} schedule, so its length may not change"
            )
    for name, value in before.items():
        if name not in FREE_TO_CHANGE and now[name] != value:
            raise ValueError(
                f"{name} is {value!r} in the run to resume, got {now[name]!r}; "
                f"only {', '.join(FREE_TO_CHANGE)} may change"
            )


def write_history(folder: Path, config: TrainConfig, history: History) -> None:
    """Write history.csv whole, atomically."""
    lines = [record_kind(config)._fields, *(map(repr, record) for record in history)]
    text = "".join(",".join(line) + "\n" for line in lines)
    write_atomically(folder / "history.csv", text.encode())


def append_history(folder: Path, record: AnyRecord) -> None:
    """Add one line to history.csv."""
    with open(folder / "history.csv", "a", encoding="utf-8", newline="\n") as file:
        file.write(",".join(map(repr, record)) + "\n")


def read_history(path: str | Path, up_to: int | None = None) -> History:
    """The records of a history.csv, up to and with iteration `up_to`; a torn last line is passed over.

    Raises:
        ValueError: the file is none of ours.
    """
    try:
        head, *rows = list(csv.reader(io.StringIO(utf8_text(path)))) or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    kinds = [kind for kind in (Record, SupervisedRecord) if list(kind._fields) == head]
    if not kinds:
        raise ValueError(f"{path} is no history of bpa: it begins with {','.join(head)!r}")
    history: History = []
    for row in rows:
        try:
            record = kinds[0](int(row[0]), *map(float, row[1:]))
        except (ValueError, TypeError, IndexError):
            break
        if up_to is not None and record.iteration > up_to:
            break
        history.append(record)
    return history
