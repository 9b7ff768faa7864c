"""The environments and tasks of a training run: what can be set about each, and how it is made."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, Literal, Protocol

import torch

from bpa.arguments import plain
from bpa.envs.base import REGISTRY, entry

GIVEN = ("batch_size", "generator", "device", "split")  # to every task that takes them


class TaskConfig(Protocol):
    """What a config says of its task, besides the fields that the registry names: a `TrainConfig`."""

    @property
    def task(self) -> str:
        """A name of the registry."""

    @property
    def batch_size(self) -> int:
        """Episodes in a batch."""

    @property
    def options(self) -> dict[str, Any]:
        """Settings of a task that was registered by somebody else."""


class Settings:
    """Settings of a task, stored as plain numbers and text, whatever kind they came as."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain(value))


@dataclasses.dataclass(frozen=True)
class CueSettings(Settings):
    """The cue-reward task: find out by reward alone which cue counts."""

    num_cues: int = 4
    """Cues in an episode; at least 2."""
    cue_bits: int = 20
    """Bits of a cue; at least 1."""
    reward: float = 1.0
    """Reward for a right answer; at least 0."""
    wrong_penalty: float = 0.0
    """Cost of a wrong answer; at least 0."""
    show_steps: int = 1
    """Steps for which a cue is shown; at least 1."""
    pause_steps: int = 1
    """Steps of each pause; at least 0."""
    jitter: int = 0
    """Most steps that a trial begins late; at least 0."""
    pairing: Literal["random", "dealt"] = "random"
    """Any two cues in a trial, or all of them dealt out in pairs, which needs an even number."""
    trials: Literal["regular", "published"] = "regular"
    """Trials by the settings above, or those of the published program; these leave the last four alone."""


@dataclasses.dataclass(frozen=True)
class PatternSettings(Settings):
    """Binary patterns to remember and complete."""

    pattern_size: int = 50
    """Bits of a pattern; at least 2."""
    num_patterns: int = 3
    """Patterns in an episode; at least 1."""
    presentations: int = 2
    """How often each is shown; at least 1."""
    show_steps: int = 3
    """Steps for which a pattern is shown; at least 1."""
    pause_steps: int = 1
    """Steps of pause after each; at least 0."""
    missing: float = 0.5
    """Share of the bits to be filled in; above 0, with noise from 0, below 1."""
    noise: float = 0.0
    """Chance that a shown bit of the cue is turned round; 0 to 0.5."""


@dataclasses.dataclass(frozen=True)
class PictureSettings(Settings):
    """Real pictures to remember and complete."""

    source: Literal["digits", "photographs"] = "digits"
    """Handwritten digits, or patches of two photographs."""
    num_pictures: int = 3
    """Pictures in an episode; at least 1."""
    presentations: int = 2
    """How often each is shown; at least 1."""
    show_steps: int = 3
    """Steps for which a picture is shown; at least 1."""
    pause_steps: int = 1
    """Steps of pause after each; at least 0."""
    hidden: Literal["top", "bottom", "left", "right", "random"] = "random"
    """The half to be filled in."""
    patch_size: int | None = None
    """Side of a patch in pixels, at least 2; None: 12, and 8 for digits."""
    shrink: int = 2
    """Photographs: pixels averaged into one along each side; at least 1."""


@dataclasses.dataclass(frozen=True)
class SequenceSettings(Settings):
    """Little languages, each of which lasts for one sequence."""

    num_symbols: int = 4
    """Symbols; 2 to 10,000."""
    sequence_length: int = 100
    """Symbols in a sequence; at least order + 1."""
    order: int = 1
    """Symbols on which the next one depends; at least 1."""
    concentration: float = 0.3
    """Of the Dirichlet distribution of a table's rows; above 0."""


@dataclasses.dataclass(frozen=True)
class RecallSettings(Settings):
    """Pairs of keys and values to recall."""

    num_pairs: int = 8
    """Pairs in an episode; at least 1."""
    num_keys: int = 16
    """Keys; at least num_pairs."""
    num_values: int = 8
    """Values; at least 2."""


SETTINGS = {
    "cues": CueSettings,
    "patterns": PatternSettings,
    "pictures": PictureSettings,
    "sequences": SequenceSettings,
    "recall": RecallSettings,
}


def build_task(
    config: TaskConfig,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
    split: str = "train",
    task: str | None = None,
    device: torch.device | str | None = None,
) -> Any:
    """The environment or supervised task that `config` describes.

    Args:
        batch_size: B; that of `config` if None. generator: source of all noise.
        split: the pictures that may be shown, "train" or "test".
        task: a name of the registry; that of `config` if None. device: of its tensors, the CPU if None.

    Raises:
        ValueError: a setting is out of range.
    """
    task = config.task if task is None else task
    made_by, fields = entry(task).load(), entry(task).fields
    accepted = inspect.signature(made_by).parameters
    settings = {name: getattr(config, name) for name in fields}
    if task in SETTINGS:
        settings |= vars(getattr(config, task))
    elif task == config.task:
        free = [name for name in accepted if name not in (*fields, *GIVEN)]
        for name in config.options:
            if name not in free:
                raise ValueError(f"options of {task} must be of {', '.join(free) or 'nothing'}, got {name!r}")
        settings |= config.options
    given = {
        "batch_size": config.batch_size if batch_size is None else batch_size,
        "generator": generator,
        "device": device,
        "split": split,
    }
    return made_by(**settings, **{name: value for name, value in given.items() if name in accepted})


def sizes(task: Any) -> tuple[int, int]:
    """Inputs and outputs of a network for an environment or a supervised task; an agent's are its actions."""
    if hasattr(task, "observation_size"):
        return task.observation_size, task.num_actions
    return task.input_size, task.output_size


def is_rewarded(task: str) -> bool:
    """Whether an agent acts and is rewarded in this task; otherwise it is told what was right."""
    return entry(task).rewarded


def rewarded_tasks() -> tuple[str, ...]:
    """The names of all tasks in which an agent acts and is rewarded."""
    return tuple(name for name, known in REGISTRY.items() if known.rewarded)
