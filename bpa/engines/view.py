"""What the fast engines know of an environment: which rules they run, and the arrays that these read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

MAZE, CUES = 0, 1  # rules that the loops know

NO_WALLS = torch.empty(0, 0, dtype=torch.bool, device="cpu")
NO_INDICES = torch.empty(0, dtype=torch.int64, device="cpu")
NO_TABLE = torch.empty(0, 0, dtype=torch.int64, device="cpu")
NO_NOISE = torch.empty(0, 0, dtype=torch.float32, device="cpu")
NO_CUES = torch.empty(0, 0, 0, dtype=torch.float32, device="cpu")


class KernelView(NamedTuple):
    """B episodes of T steps in one environment, as `kernel_view(noise)` offers them once they have begun.

    Arrays of other rules are empty, and so are those of the episodes where no noise is given.
    """

    rules: int  # MAZE or CUES
    observation_size: int
    num_actions: int
    batch_size: int
    episode_length: int
    reward: float
    penalty: float  # for a wall, or a wrong answer
    finish: Callable[[Tensor, Tensor], None]  # leaves the environment at the end of rewards, actions [T, B]
    first_action: int = 0  # what is sensed as the action before the first step; -1 for none
    # MAZE
    walls: Tensor = NO_WALLS  # [n, n], bool
    moves: Tensor = NO_TABLE  # [A, 2], int64
    free_cells: Tensor = NO_TABLE  # [F, 2], int64
    goal_index: Tensor = NO_INDICES  # [B], int64, among the free cells
    teleport: Tensor = NO_NOISE  # [T, B], uniform numbers in [0, 1)
    agent: Tensor = NO_TABLE  # [B, 2], int64, a copy that the loops move to where it ends
    # CUES
    shown: Tensor = NO_CUES  # [T, B, K]
    answers: Tensor = NO_TABLE  # [T, B], int64, -1 where nothing is judged
    answer_delay: int = 0  # steps from Go to the answer that is judged


class ActionNoise(Protocol):
    """What an engine that acts reads of the noise itself; the rest is the environment's matter."""

    @property
    def action(self) -> Tensor:
        """Uniform numbers in [0, 1) that choose the actions, [T, B]."""


class TeleportNoise(Protocol):
    """What a maze reads of the noise while its episodes go on."""

    @property
    def teleport(self) -> Tensor:
        """Uniform numbers in [0, 1) that choose where an agent on its goal is put, [T, B]."""


class Viewed(Protocol):
    """An environment that compiled loops may be able to run."""

    def kernel_view(self, noise: Any = None) -> KernelView | str:
        """What they need, of the episodes just begun if their noise is given, or why they cannot run it."""


def view_of(env: object) -> KernelView | str:
    """What `env` offers to compiled loops before its episodes begin, or why it offers nothing."""
    method = getattr(env, "kernel_view", None)
    return f"{type(env).__name__} offers no kernel_view()" if method is None else method()


def is_closed(walls: Tensor, size: int) -> bool:
    """Whether no agent can leave a maze with these walls: a loop does not ask whether it has."""
    square = walls.dtype == torch.bool and walls.shape == (size, size)
    return square and bool(torch.stack([walls[0], walls[-1], walls[:, 0], walls[:, -1]]).all())
