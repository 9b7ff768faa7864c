"""The worlds by name: what can be set about each in a training run, and how it is made."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import torch

from bpa.arguments import plain
from bpa.envs.cue_reward import CueReward
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE, GridMaze
from bpa.tasks.patterns import Patterns
from bpa.tasks.pictures import Pictures
from bpa.tasks.sequences import AssociativeRecall, Languages

if TYPE_CHECKING:
    from bpa.training.config import TrainConfig

TASKS = ("maze", "cues", "patterns", "pictures", "sequences", "recall")
REWARDED = ("maze", "cues")  # an agent acts and is rewarded; the other worlds give lessons


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
LESSONS: dict[str, type] = {
    "patterns": Patterns,
    "pictures": Pictures,
    "sequences": Languages,
    "recall": AssociativeRecall,
}


def build_world(
    config: TrainConfig,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
    split: str = "train",
    task: str | None = None,
    device: torch.device | str | None = None,
) -> Any:
    """The world that `config` describes.

    Args:
        batch_size: B; that of `config` if None. generator: source of all chance.
        split: the pictures that may be shown, "train" or "test".
        task: one of TASKS; that of `config` if None. device: where its tensors live, the CPU if None.

    Raises:
        ValueError: a setting is out of range.
    """
    task = config.task if task is None else task
    common: dict[str, Any] = {
        "batch_size": config.batch_size if batch_size is None else batch_size,
        "generator": generator,
        "device": device,
    }
    if task == "maze":
        return GridMaze(
            config.size,
            episode_length=config.episode_length,
            reward=config.reward,
            wall_penalty=config.wall_penalty,
            **common,
        )
    settings = vars(getattr(config, task))
    if task == "cues":
        return CueReward(episode_length=config.episode_length, **settings, **common)
    if task == "pictures":
        return Pictures(split=split, **settings, **common)
    return LESSONS[task](**settings, **common)


def sizes(world: Any) -> tuple[int, int]:
    """Inputs and outputs of a network for this world; an agent's outputs are its actions."""
    if isinstance(world, GridMaze):
        return OBSERVATION_SIZE, NUM_ACTIONS
    return world.input_size, world.num_actions if isinstance(world, CueReward) else world.output_size
