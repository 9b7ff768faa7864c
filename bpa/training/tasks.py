"""The environments and tasks of a training run: what can be set about each, and how it is made."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, ClassVar, Literal, Protocol

import torch

from bpa.envs.base import REGISTRY, entry
from bpa.fields import Real, Whole, check_fields, ranged

GIVEN = ("batch_size", "generator", "device", "split")  # to every task that takes them
MOST = 1000  # of most whole numbers; beyond it a slip of the finger is likelier than a wish


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
    """Settings of a task, checked and stored as plain numbers and text, whatever kind they came as."""

    task: ClassVar[str]

    def __init_subclass__(cls, task: str) -> None:
        cls.task = task

    def __post_init__(self) -> None:
        check_fields(self, f"{self.task}.")


@dataclasses.dataclass(frozen=True)
class CueSettings(Settings, task="cues"):
    """The cue-reward task: find out by reward alone which cue counts."""

    num_cues: int = ranged(4, Whole(2, limit=MOST))
    """Cues in an episode."""
    cue_bits: int = ranged(20, Whole(1, limit=MOST))
    """Bits of a cue."""
    reward: float = ranged(1.0, Real(0))
    """Reward for a right answer."""
    wrong_penalty: float = ranged(0.0, Real(0))
    """Cost of a wrong answer."""
    show_steps: int = ranged(1, Whole(1, limit=MOST))
    """Steps for which a cue is shown."""
    pause_steps: int = ranged(1, Whole(0, limit=MOST))
    """Steps of each pause."""
    jitter: int = ranged(0, Whole(0, limit=MOST))
    """Most steps that a trial begins late."""
    pairing: Literal["random", "dealt"] = "random"
    """Any two cues in a trial, or all of them dealt out in pairs, which needs an even number."""
    trials: Literal["regular", "published"] = "regular"
    """Trials by the settings above, or those of the published program; these leave the last four alone."""


@dataclasses.dataclass(frozen=True)
class GymnasiumSettings(Settings, task="gymnasium"):
    """An environment of somebody else that Gymnasium knows."""

    env: str = "CartPole-v1"
    """Its id; a package that registers it is named before a colon."""
    bootstrap: bool = False
    """Whether a time limit is no end, so that the value of what would follow is added to the return."""


@dataclasses.dataclass(frozen=True)
class PatternSettings(Settings, task="patterns"):
    """Binary patterns to remember and complete."""

    pattern_size: int = ranged(50, Whole(2, limit=10_000))
    """Bits of a pattern."""
    num_patterns: int = ranged(3, Whole(1, limit=MOST))
    """Patterns in an episode."""
    presentations: int = ranged(2, Whole(1, limit=MOST))
    """How often each is shown."""
    show_steps: int = ranged(3, Whole(1, limit=MOST))
    """Steps for which a pattern is shown."""
    pause_steps: int = ranged(1, Whole(0, limit=MOST))
    """Steps of pause after each."""
    missing: float = ranged(0.5, Real(0, 1, below=True))
    """Share of the bits to be filled in; 0 only with noise."""
    noise: float = ranged(0.0, Real(0, 0.5))
    """Probability that a shown bit of the cue is turned round."""


@dataclasses.dataclass(frozen=True)
class PictureSettings(Settings, task="pictures"):
    """Real pictures to remember and complete."""

    source: Literal["digits", "photographs"] = "digits"
    """Handwritten digits, or patches of two photographs."""
    num_pictures: int = ranged(3, Whole(1, limit=MOST))
    """Pictures in an episode."""
    presentations: int = ranged(2, Whole(1, limit=MOST))
    """How often each is shown."""
    show_steps: int = ranged(3, Whole(1, limit=MOST))
    """Steps for which a picture is shown."""
    pause_steps: int = ranged(1, Whole(0, limit=MOST))
    """Steps of pause after each."""
    hidden: Literal["top", "bottom", "left", "right", "random"] = "random"
    """The half to be filled in."""
    patch_size: int | None = ranged(None, Whole(2, limit=MOST))
    """Side of a patch in pixels; None: 12, and 8 for digits."""
    shrink: int = ranged(2, Whole(1, limit=100))
    """Photographs: pixels averaged into one along each side."""


@dataclasses.dataclass(frozen=True)
class SequenceSettings(Settings, task="sequences"):
    """Little languages, each of which lasts for one sequence."""

    num_symbols: int = ranged(4, Whole(2, 10_000))
    """Symbols."""
    sequence_length: int = ranged(100, Whole(2, limit=10**6))
    """Symbols in a sequence; more than order."""
    order: int = ranged(1, Whole(1, 13))
    """Symbols on which the next one depends."""
    concentration: float = ranged(0.3, Real(0, above=True))
    """Of the Dirichlet distribution of a table's rows."""


@dataclasses.dataclass(frozen=True)
class RecallSettings(Settings, task="recall"):
    """Pairs of keys and values to recall."""

    num_pairs: int = ranged(8, Whole(1, limit=MOST))
    """Pairs in an episode."""
    num_keys: int = ranged(16, Whole(1, limit=MOST))
    """Keys; no fewer than num_pairs."""
    num_values: int = ranged(8, Whole(2, limit=MOST))
    """Values."""


SETTINGS = {
    kind.task: kind
    for kind in (
        CueSettings,
        GymnasiumSettings,
        PatternSettings,
        PictureSettings,
        SequenceSettings,
        RecallSettings,
    )
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
