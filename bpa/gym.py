"""The grid maze for users of Gymnasium: one environment, or a batch stepped at once.

Both wrap `bpa.GridMaze`, so they have its rules by construction. `import bpa` registers them::

    env = gymnasium.make("bpa/GridMaze-v0", size=9, render_mode="rgb_array")
    envs = gymnasium.make_vec("bpa/GridMaze-v0", num_envs=30)

In a process that has not imported `bpa`, such as a spawned worker, it is called "bpa:bpa/GridMaze-v0":
Gymnasium imports what stands before the colon first.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from bpa.arguments import require_begun, require_choice, require_integer, shown
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE, GridMaze

RENDER_MODES = ("rgb_array", "ansi")
PIXELS = 24  # side of a cell in a picture
# Colours that the colour blind tell apart, as (red, green, blue).
FLOOR, WALL, GOAL, AGENT = (245, 245, 245), (68, 68, 68), (230, 159, 0), (0, 114, 178)


def observation_space(maze: GridMaze) -> spaces.Box:
    """What one observation [17] can be. The previous reward, number 12, has the range of the rewards."""
    low = np.zeros(OBSERVATION_SIZE, dtype=np.float32)
    high = np.ones(OBSERVATION_SIZE, dtype=np.float32)
    low[12] = -maze.wall_penalty
    # A range of no width is taken for a mistake by checkers; a maze without any reward still has one here.
    high[12] = maze.reward if maze.reward + maze.wall_penalty > 0 else 1.0
    return spaces.Box(low, high, dtype=np.float32)


def drawn(maze: GridMaze, episode: int) -> np.ndarray:
    """A picture of one episode, uint8 [24 n, 24 n, 3]: the goal a square, the agent a disc."""
    require_begun(maze, "render()")
    picture = np.where(maze.walls.numpy()[..., None], WALL, FLOOR).astype(np.uint8)
    row, column = maze.goal[episode].tolist()
    picture[row, column] = GOAL
    picture = picture.repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)
    row, column = maze.agent[episode].tolist()
    across = np.arange(PIXELS) - (PIXELS - 1) / 2
    disc = across[:, None] ** 2 + across**2 < (0.4 * PIXELS) ** 2
    cell = picture[row * PIXELS : (row + 1) * PIXELS, column * PIXELS : (column + 1) * PIXELS]
    cell[disc] = AGENT
    return picture


def written(maze: GridMaze, episode: int) -> str:
    """One episode as text, a line a row: # wall, . free, G goal, A agent."""
    require_begun(maze, "render()")
    letters = np.where(maze.walls.numpy(), "#", ".")
    letters[tuple(maze.goal[episode].tolist())] = "G"
    letters[tuple(maze.agent[episode].tolist())] = "A"
    return "".join("".join(line) + "\n" for line in letters)


def with_length(spec: EnvSpec | None, steps: int) -> EnvSpec | None:
    """Gymnasium's description of an environment, with the length of its episodes in it.

    The length is the caller's, so it cannot stand in the registry: there Gymnasium would cut longer episodes.
    """
    return None if spec is None else dataclasses.replace(spec, max_episode_steps=steps)


class Tally:
    """What `info` says of B episodes: steps since the last reward, or the start, and rewards so far."""

    def __init__(self, count: int):
        self.count = count
        self.begin()

    def begin(self) -> None:
        """Start new episodes."""
        self.since = np.zeros(self.count, dtype=np.int64)
        self.found = np.zeros(self.count, dtype=np.int64)

    def step(self, reward: torch.Tensor) -> None:
        """Count a step that gave `reward` [B]; what is below 0 is a penalty and no reward."""
        rewarded = reward.numpy() > 0
        self.since = np.where(rewarded, 0, self.since + 1)
        self.found = self.found + rewarded

    def info(self) -> dict[str, Any]:
        """The counts of the first episode, as whole numbers."""
        return {"steps_since_reward": int(self.since[0]), "rewards_found": int(self.found[0])}

    def vector_info(self) -> dict[str, Any]:
        """The counts of all episodes, int64 [B], each with Gymnasium's mask of who has it: everybody."""
        everybody = np.ones(self.count, dtype=bool)
        return {
            "steps_since_reward": self.since.copy(),
            "_steps_since_reward": everybody.copy(),
            "rewards_found": self.found.copy(),
            "_rewards_found": everybody.copy(),
        }


def luck(generator: np.random.Generator, count: int) -> torch.Tensor:
    """Uniform numbers in [0, 1), float32 [count]: all chance comes from Gymnasium's own generator."""
    return torch.from_numpy(generator.random(count, dtype=np.float32))


def whole_actions(actions: Any, count: int) -> torch.Tensor:
    """Actions of any whole-number kind, a list of them too, as a tensor of our own, int64 [count].

    Raises:
        ValueError: they are something else, or too many or too few, or out of range.
    """
    allowed = f"actions must be {count} whole numbers from 0 to {NUM_ACTIONS - 1}"
    try:
        given = np.asarray(actions)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{allowed}, got {type(actions).__name__} that is no array of numbers") from None
    if given.dtype.kind not in "iu" or given.shape != (count,):
        raise ValueError(f"{allowed}, got {given.dtype} of shape {list(given.shape)}")
    if given.min() < 0 or given.max() >= NUM_ACTIONS:
        raise ValueError(f"{allowed}, got {given.min() if given.min() < 0 else given.max()}")
    return torch.from_numpy(given.astype(np.int64))


def checked_options(options: Any) -> dict[str, Any]:
    """The options of a reset, none of them if None; ValueError unless they are a table."""
    if options is not None and not isinstance(options, dict):
        raise ValueError(f"options must be a dict or None, got {shown(options)}")
    return options or {}


def refuse_part(mask: Any, count: int) -> None:
    """Raise ValueError unless `mask` is True, or truth values [count] that are all True."""
    try:
        given = np.asarray(mask)
    except ValueError:  # lists of several lengths
        given = np.asarray(None)
    if given.dtype != np.bool_ or given.shape not in ((), (count,)) or not given.all():
        raise ValueError(
            f"reset_mask must be True everywhere: all {count} episodes begin together, got {shown(mask)}"
        )


class GridMazeEnv(gymnasium.Env[np.ndarray, np.int64]):
    """One agent in the grid maze, looking for a reward it cannot see. [2019, sec. 4.2]

    Description:
        A square maze of odd side n with an outer wall, pillars where row and column are both even, and a
        free centre. The agent starts at the centre. The goal is a random other free cell, the same for the
        whole episode. Reaching it pays, and puts the agent on a random free cell other than the goal: an
        agent that remembers where it was paid can come back.

    Actions:
        Discrete(4): 0 up, 1 down, 2 left, 3 right. Moving into a wall leaves the agent where it is.

    Observation:
        Box, float32 [17]: the 3 x 3 neighbourhood row by row (1 = wall), a 0, a 1 (bias), t / T, the previous
        reward (from -wall_penalty to reward), the previous action one-hot (action 0 at the start).

    Rewards:
        `reward` for reaching the goal, minus `wall_penalty` for moving into a wall.

    Termination:
        Never terminated. Truncated after T = `episode_length` steps.

    Configuration:
        size: n, odd, at least 5. episode_length: T, at least 1. reward, wall_penalty: at least 0.
        render_mode: None, "rgb_array" (uint8 [24 n, 24 n, 3]) or "ansi" (text).

    Info:
        steps_since_reward: steps since the last reward, or since the start. rewards_found: rewards so far.

    `env.spec.max_episode_steps` is T. Given to `gymnasium.make`, a smaller one cuts episodes shorter, and
    t / T stays as it is. All chance comes from `self.np_random`: `reset(seed=...)` makes an episode, and
    those after it, repeatable. The wrapped maze, with the positions of agent and goal, is
    `env.unwrapped.maze`.

    Raises:
        ValueError: a setting or an action is out of range.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 10}  # noqa: RUF012
    made_by: EnvSpec | None = None

    def __init__(
        self,
        size: int = 11,
        episode_length: int = 200,
        reward: float = 10.0,
        wall_penalty: float = 0.0,
        render_mode: str | None = None,
    ):
        if render_mode is not None:
            render_mode = require_choice("render_mode", render_mode, RENDER_MODES)
        self.render_mode = render_mode
        self.maze = GridMaze(size, 1, episode_length, reward, wall_penalty)
        self.tally = Tally(1)
        self.observation_space = observation_space(self.maze)
        self.action_space = spaces.Discrete(NUM_ACTIONS)

    @property
    def spec(self) -> EnvSpec | None:
        """How Gymnasium made the environment, with the length of its episodes."""
        return self.made_by

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self.made_by = with_length(spec, self.maze.episode_length)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new episode. No option changes it; ValueError for a seed below 0, or options of no dict."""
        checked_options(options)
        if seed is not None:
            seed = require_integer("seed", seed, low=0)
        super().reset(seed=seed)
        self.tally.begin()
        return self.maze.reset(luck(self.np_random, 1))[0].numpy(), self.tally.info()

    def step(self, action: np.int64 | int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move the agent: observation, reward, terminated (never), truncated (time is up), info."""
        number = require_integer("action", action, low=0, high=NUM_ACTIONS - 1)
        chosen = torch.tensor([number], dtype=torch.int64, device="cpu")
        observation, reward, done = self.maze.step(chosen, luck(self.np_random, 1))
        self.tally.step(reward)
        return observation[0].numpy(), reward.item(), False, done, self.tally.info()

    def render(self) -> np.ndarray | str | None:
        """A picture or a text of the maze as it is now; None, with a warning, without a render_mode."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() shows nothing: make the environment with render_mode="rgb_array"')
            return None
        return drawn(self.maze, 0) if self.render_mode == "rgb_array" else written(self.maze, 0)


class GridMazeVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A batch of `GridMazeEnv`, moved by one call: `gymnasium.make_vec("bpa/GridMaze-v0", num_envs=30)`.

    Description:
        B = `num_envs` mazes with the rules of `GridMazeEnv`. One seed serves the whole batch.

    Actions:
        MultiDiscrete, whole numbers from 0 to 3 [B].

    Observation:
        Box, float32 [B, 17].

    Rewards:
        float64 [B].

    Termination:
        All episodes have the same length, so they end and begin together. By `autoreset_mode`, a step after
        the end starts new ones and ignores the actions ("NextStep", Gymnasium's default); or the last step of
        the old episodes returns the first observation of the new ones, with the last of the old in
        `info["final_obs"]` ("SameStep"); or nothing happens until `reset` is called ("Disabled").

    Configuration:
        num_envs: B, at least 1. autoreset_mode: see above. max_episode_steps: as `gymnasium.make` takes it,
        steps after which longer episodes are cut. The other settings are those of `GridMazeEnv`.

    Info:
        That of `GridMazeEnv`, int64 [B], each with its mask; in "SameStep" mode that of the old episodes in
        `info["final_info"]`.

    TorchRL refuses steps that only reset: for it, make this with autoreset_mode "SameStep" or "Disabled".

    Raises:
        ValueError: a setting, a seed or an action is out of range.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 10}  # noqa: RUF012
    made_by: EnvSpec | None = None

    def __init__(
        self,
        num_envs: int = 1,
        size: int = 11,
        episode_length: int = 200,
        reward: float = 10.0,
        wall_penalty: float = 0.0,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
    ):
        if render_mode is not None:
            render_mode = require_choice("render_mode", render_mode, RENDER_MODES)
        if not isinstance(autoreset_mode, AutoresetMode):
            autoreset_mode = require_choice(
                "autoreset_mode", autoreset_mode, [mode.value for mode in AutoresetMode]
            )
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.num_envs = num_envs = require_integer("num_envs", num_envs, low=1)
        self.maze = GridMaze(size, num_envs, episode_length, reward, wall_penalty)
        self.length = self.maze.episode_length
        if max_episode_steps is not None:
            self.length = min(self.length, require_integer("max_episode_steps", max_episode_steps, low=1))
        self.tally = Tally(num_envs)
        self.over = False
        self.single_observation_space = observation_space(self.maze)
        self.single_action_space = spaces.Discrete(NUM_ACTIONS)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    @property
    def spec(self) -> EnvSpec | None:
        """How Gymnasium made the environments, with the length of their episodes."""
        return self.made_by

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self.made_by = with_length(spec, self.length)

    def begin(self) -> np.ndarray:
        """Start new episodes: their first observation [B, 17]."""
        self.over = False
        self.tally.begin()
        return self.maze.reset(luck(self.np_random, self.num_envs)).numpy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start new episodes, all of them: the one option, "reset_mask", must be True everywhere.

        Raises:
            ValueError: the seed is not one number, or a mask is none, or leaves out an episode.
        """
        if seed is not None:
            seed = require_integer("seed", seed, low=0)
        refuse_part(checked_options(options).get("reset_mask", True), self.num_envs)
        super().reset(seed=seed)
        return self.begin(), self.tally.vector_info()

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Move all agents: observation [B, 17], reward [B], terminated [B], truncated [B], info."""
        terminated = np.zeros(self.num_envs, dtype=bool)
        if self.over and self.autoreset_mode == AutoresetMode.NEXT_STEP:
            observation = self.begin()
            info = self.tally.vector_info()
            return observation, np.zeros(self.num_envs), terminated, terminated.copy(), info
        if self.over and self.autoreset_mode == AutoresetMode.DISABLED:
            raise RuntimeError("the episodes are over: call reset() before step()")
        chosen = whole_actions(actions, self.num_envs)
        seen, reward, done = self.maze.step(chosen, luck(self.np_random, self.num_envs))
        self.tally.step(reward)
        self.over = done or self.maze.time == self.length
        truncated = np.full(self.num_envs, self.over)
        observation = seen.numpy()
        info = self.tally.vector_info()
        if self.over and self.autoreset_mode == AutoresetMode.SAME_STEP:
            everywhere = np.ones(self.num_envs, dtype=bool)
            last: dict[str, Any] = {"final_obs": observation, "_final_obs": everywhere}
            last |= {"final_info": info, "_final_info": everywhere.copy()}
            observation = self.begin()
            info = last | self.tally.vector_info()
        return observation, reward.double().numpy(), terminated, truncated, info

    def render(self) -> tuple[np.ndarray | str, ...] | None:
        """A picture or a text of every maze; None, with a warning, without a render_mode."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() shows nothing: make the environment with render_mode="rgb_array"')
            return None
        show = drawn if self.render_mode == "rgb_array" else written
        return tuple(show(self.maze, episode) for episode in range(self.num_envs))
