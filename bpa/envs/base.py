"""What an environment is, and the environments and tasks by name.

An environment is a batch of B episodes of T steps in which an agent acts and is rewarded. Any object with the
four sizes, `reset` and `step` is one::

    class MyEnv:
        observation_size, num_actions, batch_size, episode_length = 3, 2, 30, 20

        def reset(self): ...  # -> observation [B, I]

        def step(self, actions): ...  # int64 [B] -> observation [B, I], reward [B], done
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, Self

from torch import Tensor

from bpa.arguments import require_choice, require_integer


class Noise(Protocol):
    """All noise of one batch of episodes, drawn before it begins."""

    @property
    def action(self) -> Tensor:
        """Uniform numbers in [0, 1), float32 [T, B]: which action is sampled from the policy."""

    def shard(self, part: slice) -> Self:
        """The noise of some of its episodes, for one of several processes."""


class Environment(Protocol):
    """All that an environment must have. Tensors are float32 where nothing else is said.

    What it may have besides, and what it gains:

    - `sample_noise()` -> `Noise`, and `reset(noise)`, which replays it: runs can then be resumed to the bit.
    - `generator`: where it draws from otherwise; `train` and `evaluate` seed it.
    - `device`: where its tensors are; the CPU without it.
    - `kernel_view`: what the compiled loops need to run whole episodes, see `bpa.engines`.
    - `time_limit()` -> None, or which episodes [B] a time limit cut off in the last step, and what they
      sensed then [B, I]: the value there is taken for what would have followed.
    """

    observation_size: int  # I
    num_actions: int  # A
    batch_size: int  # B
    episode_length: int  # T, the most steps of an episode

    def reset(self) -> Tensor:
        """Start B new episodes: their first observation [B, I]."""

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, bool | Tensor]:
        """Take an action [B] in each: observation [B, I], reward [B], and done.

        done: bool, for all at once, or bool [B], which episodes have ended by now. What comes of an episode
        after its end is not looked at.
        """


SIZES = ("observation_size", "num_actions", "batch_size", "episode_length")


def require_environment(env: object) -> None:
    """Raise ValueError unless `env` has all that an environment must have."""
    if isinstance(env, type):
        raise ValueError(f"env must be an environment, got the class {env.__name__}: make one of it")
    for name in SIZES:
        if not hasattr(env, name):
            raise ValueError(f"env must have {', '.join(SIZES)}, reset and step; {name} is missing")
        require_integer(f"env.{name}", getattr(env, name), low=1)
    for name in ("reset", "step"):
        if not callable(getattr(env, name, None)):
            raise ValueError(f"env must have {', '.join(SIZES)}, reset and step; {name} is missing")
    if hasattr(env, "sample_noise"):
        try:
            inspect.signature(env.reset).bind(None)  # type: ignore[attr-defined]
        except TypeError:
            raise ValueError(
                "env.reset must take the noise that env.sample_noise gives: reset(noise)"
            ) from None


class Entry(NamedTuple):
    """What the registry knows of an environment or a supervised task."""

    made_by: str | Callable[..., Any]  # "module:name", imported when it is first made, or the class itself
    rewarded: bool = True  # an agent acts and is rewarded; otherwise it is a supervised task
    fields: tuple[str, ...] = ("episode_length",)  # of `TrainConfig`, besides batch_size, that it takes

    def load(self) -> Callable[..., Any]:
        """The class."""
        if not isinstance(self.made_by, str):
            return self.made_by
        made_by: Callable[..., Any] = pkgutil.resolve_name(self.made_by)
        return made_by


REGISTRY: dict[str, Entry] = {
    "maze": Entry("bpa.maze:GridMaze", fields=("size", "episode_length", "reward", "wall_penalty")),
    "cues": Entry("bpa.envs.cue_reward:CueReward"),
    "gymnasium": Entry("bpa.envs.vector:by_name"),
    "patterns": Entry("bpa.tasks.patterns:Patterns", rewarded=False, fields=()),
    "pictures": Entry("bpa.tasks.pictures:Pictures", rewarded=False, fields=()),
    "sequences": Entry("bpa.tasks.sequences:Languages", rewarded=False, fields=()),
    "recall": Entry("bpa.tasks.sequences:AssociativeRecall", rewarded=False, fields=()),
}


def register(
    name: str,
    made_by: str | Callable[..., Any],
    rewarded: bool = True,
    fields: tuple[str, ...] = ("episode_length",),
) -> None:
    """Give an environment, or a supervised task, a name that `TrainConfig(task=name)` knows.

    Args:
        name: nothing else may have it.
        made_by: a class, or "module:name". It is called with batch_size, generator and device as far as it
            takes them, with `fields` of the config, and with the config's `options`.
        rewarded: whether it is an environment; see `bpa.tasks.base` for the other kind.

    Raises:
        ValueError: the name is taken.
    """
    if name in REGISTRY:
        raise ValueError(f"name must be new in the registry, got {name!r}, which is {REGISTRY[name].made_by}")
    REGISTRY[name] = Entry(made_by, rewarded, tuple(fields))


def entry(name: str) -> Entry:
    """What the registry knows of this name; ValueError names what there is."""
    return REGISTRY[require_choice("task", name, REGISTRY)]
