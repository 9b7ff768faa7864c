"""The grid maze: a batch of agents, each looking for a reward it cannot see, in a maze it cannot leave."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bpa.arguments import (
    require_begun,
    require_classes,
    require_device,
    require_integer,
    require_number,
    require_uniform,
)
from bpa.engines.offers import reason_of_class
from bpa.engines.view import MAZE, NO_INDICES, NO_NOISE, NO_TABLE, KernelView, TeleportNoise, is_closed
from bpa.noise import given_or_fresh, uniform

NUM_ACTIONS = 4
OBSERVATION_SIZE = 17
MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))  # up, down, left, right, as (row, column)


class MazeNoise(NamedTuple):
    """All noise of a batch of episodes in the maze, drawn before it begins.

    Uniform numbers in [0, 1), float32. The same numbers give the same episodes in every engine, action by
    action.
    """

    goal: Tensor  # [B], where each goal lies
    action: Tensor  # [T, B], which action is sampled from the policy
    teleport: Tensor  # [T, B], where an agent is put if it has reached its goal

    def shard(self, part: slice) -> MazeNoise:
        """The noise of some of its episodes."""
        return MazeNoise(self.goal[part], self.action[:, part], self.teleport[:, part])


def draw_noise(
    episode_length: int, batch_size: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> MazeNoise:
    """The noise of `batch_size` episodes of `episode_length` steps, drawn from `generator`, on `device`."""
    episode_length = require_integer("episode_length", episode_length, low=1)
    batch_size = require_integer("batch_size", batch_size, low=1)
    numbers = uniform(1 + 2 * episode_length, batch_size, generator=generator).to(device)
    return MazeNoise(numbers[0], numbers[1 : 1 + episode_length], numbers[1 + episode_length :])


def maze_walls(size: int) -> Tensor:
    """Walls [n, n], bool: the outer wall and a pillar where row and column are both even; the centre is free.

    Args:
        size: n, an odd number of at least 5.

    Raises:
        ValueError: the size is even or too small.
    """
    size = require_integer("size", size, low=5)
    if size % 2 == 0:
        raise ValueError(f"size must be an odd number of at least 5, got {size}")
    line = torch.arange(size, dtype=torch.int64, device="cpu")
    edge = (line == 0) | (line == size - 1)
    even = line % 2 == 0
    walls = edge[:, None] | edge[None, :] | (even[:, None] & even[None, :])
    walls[size // 2, size // 2] = False
    return walls


def pick_except(uniform: Tensor, count: int, taken: Tensor) -> Tensor:
    """An index below `count` other than `taken`, uniformly, from uniform numbers in [0, 1).

    The product is taken in float32 and cut off at count - 2, so that every engine picks the same index.
    """
    index = (uniform * (count - 1)).long().clamp(max=count - 2)
    return index + (index >= taken)


def keeps_inside(free_cells: Tensor, moves: Tensor, size: int) -> bool:
    """Whether no teleport and no move of these leads out of the maze: a loop does not ask for that either."""
    single = moves.dtype == torch.int64 and moves.tolist() == [list(move) for move in MOVES]
    pairs = free_cells.dtype == torch.int64 and free_cells.dim() == 2 and free_cells.shape[1] == 2
    return (
        single and pairs and len(free_cells) > 1 and bool(((free_cells > 0) & (free_cells < size - 1)).all())
    )


class GridMaze:
    """A batch of episodes in one square grid maze.

    Description:
        The maze has an odd side n, an outer wall, and a pillar wherever row and column are both even; the
        centre is always free. Each agent starts at the centre. Its goal is a free cell other than the centre,
        drawn anew at `reset` and fixed for the episode. An agent that reaches its goal is rewarded and put on
        a random free cell other than the goal. So it must find the goal, remember it, and come back.
        [2019, sec. 4.2]

    Actions:
        int64 [B], 0 up, 1 down, 2 left, 3 right. Moving into a wall leaves the agent where it is.

    Observation:
        float32 [B, 17]: the 3 x 3 neighbourhood row by row (1 = wall), a 0, a 1 (bias), t / T, the reward of
        the previous step, the previous action one-hot (action 0 before the first step).

    Rewards:
        float32 [B]: `reward` for reaching the goal, minus `wall_penalty` for moving into a wall.

    Termination:
        After T = `episode_length` steps `done` is True, for all episodes at once; `reset` starts new ones.

    Configuration:
        size: n, odd, at least 5. batch_size: B, at least 1. episode_length: T, at least 1.
        reward, wall_penalty: finite numbers of at least 0.
        generator: source of goals and teleports (on the CPU), a fresh unseeded one if None.
        device: where the tensors live, the CPU if None.

    Noise is an input: `sample_noise` draws that of a whole batch, and `reset(noise)` replays it. Without it
    `reset` and `step` draw from `generator`, B numbers a call whether or not they are needed, so that what
    one agent does never changes another's noise.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import bpa, torch
        >>> maze = bpa.GridMaze(size=9, batch_size=30, generator=torch.Generator().manual_seed(0))
        >>> observation = maze.reset()
        >>> observation, reward, done = maze.step(torch.zeros(30, dtype=torch.int64))  # all go up
        >>> observation.shape, reward.shape, done
        (torch.Size([30, 17]), torch.Size([30]), False)
    """

    def __init__(
        self,
        size: int = 11,
        batch_size: int = 30,
        episode_length: int = 200,
        reward: float = 10.0,
        wall_penalty: float = 0.0,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ):
        self.device = require_device("device", device)
        self.size = size = require_integer("size", size, low=5)
        self.walls = maze_walls(size).to(self.device)
        self.batch_size = require_integer("batch_size", batch_size, low=1)
        self.episode_length = require_integer("episode_length", episode_length, low=1)
        self.reward = require_number("reward", reward, low=0)
        self.wall_penalty = require_number("wall_penalty", wall_penalty, low=0)
        self.observation_size, self.num_actions = OBSERVATION_SIZE, NUM_ACTIONS
        self.generator = given_or_fresh(generator)
        self.free_cells = (~self.walls).nonzero()  # (row, column) of each free cell, row by row
        self.centre = torch.tensor([size // 2, size // 2], dtype=torch.int64, device=self.device)
        self.centre_index = (self.free_cells == self.centre).all(1).nonzero()[0, 0]
        self.moves = torch.tensor(MOVES, dtype=torch.int64, device=self.device)
        self.window = torch.arange(-1, 2, dtype=torch.int64, device=self.device)
        self.time = self.episode_length  # no episode before the first reset
        self.teleport: Tensor | None = None  # the numbers of a replay

    def draw(self) -> Tensor:
        """B uniform numbers in [0, 1) from the generator."""
        return uniform(self.batch_size, generator=self.generator).to(self.device)

    def sample_noise(self) -> MazeNoise:
        """All noise of B episodes, from the generator."""
        return draw_noise(self.episode_length, self.batch_size, self.generator, self.device)

    def reset(self, noise: MazeNoise | Tensor | None = None) -> Tensor:
        """Start B new episodes and return their first observation [B, 17].

        Args:
            noise: of the whole episodes, as `sample_noise` gives it: then `step` needs no numbers. Or only
                the numbers in [0, 1) [B] that choose the goals. Drawn from the generator if None.

        Raises:
            ValueError: the numbers are of the wrong shape, type or range.
        """
        self.teleport = None
        if isinstance(noise, MazeNoise):
            self.check(noise)
            self.teleport, noise = noise.teleport, noise.goal
        if not (noise is None or isinstance(noise, Tensor)):
            kind = type(noise).__name__
            raise ValueError(f"noise must be MazeNoise, as sample_noise gives, or numbers [B], got {kind}")
        numbers = self.draw() if noise is None else self.checked_uniform(noise)
        self.goal_index = pick_except(numbers, len(self.free_cells), self.centre_index)
        self.goal = self.free_cells[self.goal_index]
        self.agent = self.centre.repeat(self.batch_size, 1)
        self.time = 0
        self.previous_reward = torch.zeros(self.batch_size, dtype=torch.float32, device=self.device)
        self.previous_action = torch.zeros(self.batch_size, dtype=torch.int64, device=self.device)
        return self.observation()

    def step(self, actions: Tensor, uniform: Tensor | None = None) -> tuple[Tensor, Tensor, bool]:
        """Move every agent: actions [B] -> observation [B, 17], reward [B], done.

        Args:
            actions: int64 [B], each from 0 to 3.
            uniform: numbers in [0, 1) [B] that choose where agents on their goal are put. If None, those of
                the noise given to `reset`; without any, drawn.

        Raises:
            ValueError: actions or numbers are of the wrong shape, type or range.
            RuntimeError: the episodes are over, or none has begun.
        """
        if self.time >= self.episode_length:
            raise RuntimeError("the episode is over (or none has begun): call reset() before step()")
        require_classes("actions", actions, (self.batch_size,), NUM_ACTIONS, like=self.agent)
        if uniform is not None:
            numbers = self.checked_uniform(uniform)
        else:
            numbers = self.draw() if self.teleport is None else self.teleport[self.time]

        ahead = self.agent + self.moves[actions]
        blocked = self.walls[ahead[:, 0], ahead[:, 1]]
        landed = torch.where(blocked[:, None], self.agent, ahead)
        found = (landed == self.goal).all(1)
        elsewhere = self.free_cells[pick_except(numbers, len(self.free_cells), self.goal_index)]
        self.agent = torch.where(found[:, None], elsewhere, landed)
        reward = self.reward * found.float() - self.wall_penalty * blocked.float()

        self.time += 1
        # Copies: a caller may refill its own actions and the reward it was given.
        self.previous_reward, self.previous_action = reward.clone(), actions.clone()
        return self.observation(), reward, self.time == self.episode_length

    def observation(self) -> Tensor:
        """What each agent senses now, [B, 17]; RuntimeError before the first reset."""
        require_begun(self, "observation()")
        rows = self.agent[:, 0, None, None] + self.window[:, None]
        columns = self.agent[:, 1, None, None] + self.window
        neighbourhood = self.walls[rows, columns].float().flatten(1)
        extras = torch.zeros(self.batch_size, 4, dtype=torch.float32, device=self.device)
        extras[:, 1] = 1
        extras[:, 2] = self.time / self.episode_length
        extras[:, 3] = self.previous_reward
        action = torch.nn.functional.one_hot(self.previous_action, NUM_ACTIONS)
        return torch.cat([neighbourhood, extras, action.float()], dim=1)

    def check(self, noise: MazeNoise) -> None:
        """Raise ValueError unless `noise` is of this maze's shapes, each number in [0, 1)."""
        T, B = self.episode_length, self.batch_size
        for name, shape in (("goal", (B,)), ("action", (T, B)), ("teleport", (T, B))):
            require_uniform(f"noise.{name}", getattr(noise, name), shape, self.device)

    def kernel_view(self, noise: TeleportNoise | None = None) -> KernelView | str:
        """What the compiled loops of `bpa.engines` need of this maze, or why none can run it.

        Args:
            noise: that of the episodes just begun, whose goals and agents are wanted too.
        """
        reason = reason_of_class(self, GridMaze)
        if reason is None and not is_closed(self.walls, self.size):
            reason = "it knows mazes with a wall all round alone"
        if reason is None and not keeps_inside(self.free_cells, self.moves, self.size):
            reason = "it knows mazes alone whose moves are single steps and whose free cells lie inside"
        if reason is not None:
            return reason
        if noise is not None:
            require_begun(self, "kernel_view(noise)")
        agent = NO_TABLE if noise is None else self.agent.clone(memory_format=torch.contiguous_format)

        def finish(rewards: Tensor, actions: Tensor) -> None:
            self.agent, self.time = agent, self.episode_length
            self.previous_reward, self.previous_action = rewards[-1], actions[-1]

        return KernelView(
            MAZE,
            OBSERVATION_SIZE,
            NUM_ACTIONS,
            self.batch_size,
            self.episode_length,
            self.reward,
            self.wall_penalty,
            finish,
            walls=self.walls,
            moves=self.moves,
            free_cells=self.free_cells,
            goal_index=NO_INDICES if noise is None else self.goal_index,
            teleport=NO_NOISE if noise is None else noise.teleport,
            agent=agent,
        )

    def checked_uniform(self, uniform: Tensor) -> Tensor:
        """`uniform` if it is float32 [B] on the maze's device, each number in [0, 1); else ValueError."""
        require_uniform("uniform", uniform, (self.batch_size,), self.device)
        return uniform
