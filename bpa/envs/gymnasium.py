"""Our environments for users of Gymnasium: the maze and the cue task, one episode or a batch stepped at once.

They wrap `bpa.GridMaze` and `bpa.envs.cue_reward.CueReward`, so they have their rules by construction.
`import bpa` registers them::

    env = gymnasium.make("bpa/GridMaze-v0", size=9, render_mode="rgb_array")
    envs = gymnasium.make_vec("bpa/CueReward-v0", num_envs=30)

In a process that has not imported `bpa`, such as a spawned worker, they are called "bpa:bpa/GridMaze-v0" and
"bpa:bpa/CueReward-v0": Gymnasium imports what stands before the colon first. The other direction, a Gymnasium
environment as one of ours, is `bpa.envs.from_gymnasium`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from bpa.arguments import require_begun, require_choice, require_integer, shown
from bpa.envs import cue_reward
from bpa.envs.cue_reward import CueReward
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE, GridMaze

RENDER_MODES = ("rgb_array", "ansi")
PIXELS = 24  # side of a cell in a picture
# Colours that the colour blind tell apart, as (red, green, blue).
FLOOR, WALL, GOAL, AGENT = (245, 245, 245), (68, 68, 68), (230, 159, 0), (0, 114, 178)
RIGHT, WRONG = (0, 158, 115), (213, 94, 0)


class View(Protocol):
    """A batch of B episodes of an environment of ours, as Gymnasium wants to have them."""

    num_actions: int

    @property
    def environment(self) -> GridMaze | CueReward:
        """The episodes themselves."""
        ...

    @property
    def space(self) -> spaces.Space[np.ndarray]:
        """What one observation [I] can be."""
        ...

    def reset(self, generator: np.random.Generator) -> Tensor:
        """Start new episodes, all noise from `generator`: their first observation [B, I]."""
        ...

    def step(self, actions: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor, bool]:
        """Act, int64 [B], all noise from `generator`: observation [B, I], reward [B], done."""
        ...

    def picture(self, episode: int) -> np.ndarray:
        """One episode as it is now, uint8 [height, width, 3]; RuntimeError before the first reset."""
        ...

    def text(self, episode: int) -> str:
        """One episode as it is now, as lines; RuntimeError before the first reset."""
        ...


def reward_range(reward: float, penalty: float) -> tuple[float, float]:
    """The lowest and the highest reward of a step.

    A range of no width is taken for a mistake by checkers; an environment without rewards still has one here.
    """
    return -penalty, reward if reward + penalty > 0 else 1.0


class MazeView:
    """Mazes: one uniform number an episode and call, from the generator."""

    num_actions = NUM_ACTIONS

    def __init__(self, maze: GridMaze):
        self.environment = maze
        low = np.zeros(OBSERVATION_SIZE, dtype=np.float32)
        high = np.ones(OBSERVATION_SIZE, dtype=np.float32)
        low[12], high[12] = reward_range(maze.reward, maze.wall_penalty)  # the previous reward
        self.space = spaces.Box(low, high, dtype=np.float32)

    def noise(self, generator: np.random.Generator) -> Tensor:
        """Uniform numbers in [0, 1), float32 [B]."""
        return torch.from_numpy(generator.random(self.environment.batch_size, dtype=np.float32))

    def reset(self, generator: np.random.Generator) -> Tensor:
        """The first observation [B, 17] of new episodes."""
        return self.environment.reset(self.noise(generator))

    def step(self, actions: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor, bool]:
        """Observation [B, 17], reward [B], done."""
        return self.environment.step(actions, self.noise(generator))

    def picture(self, episode: int) -> np.ndarray:
        """See `drawn`."""
        return drawn(self.environment, episode)

    def text(self, episode: int) -> str:
        """See `written`."""
        return written(self.environment, episode)


class CueView:
    """Cue tasks: each reset seeds the environment's own generator, which draws all that will be shown."""

    num_actions = cue_reward.NUM_ACTIONS

    def __init__(self, cues: CueReward):
        self.environment = cues
        low = np.zeros(cues.cue_bits + 6, dtype=np.float32)
        high = np.ones(cues.cue_bits + 6, dtype=np.float32)
        low[: cues.cue_bits] = -1
        # The previous reward stands before the two numbers of the previous action.
        low[-3], high[-3] = reward_range(cues.reward, cues.wrong_penalty)
        self.space = spaces.Box(low, high, dtype=np.float32)

    def reset(self, generator: np.random.Generator) -> Tensor:
        """The first observation [B, K + 6] of new episodes."""
        self.environment.generator.manual_seed(int(generator.integers(2**63)))
        return self.environment.reset()

    def step(self, actions: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor, bool]:
        """Observation [B, K + 6], reward [B], done; nothing is drawn any more."""
        return self.environment.step(actions)

    def scene(self, episode: int) -> tuple[list[int], bool, bool, int, int]:
        """What there is to be seen of an episode now.

        The cue's bits [K], +1, -1, or 0 without a cue; whether it is the target; whether it is a Go step; the
        answer just judged, 1 yes, 0 no, -1 none; and whether that was right, 1, 0 or -1.
        """
        cues = self.environment
        require_begun(cues, "render()")
        sensed = cues.observation()[episode]
        shown, asked = sensed[: cues.cue_bits], bool(sensed[cues.cue_bits])
        is_target = torch.equal(shown, cues.cues[episode, cues.target[episode]])
        answer = right = -1
        due = int(cues.answers[cues.time - 1, episode]) if cues.time > 0 else -1
        if due >= 0:
            answer = int(cues.previous_action[episode])
            right = int(answer == due)
        return [int(bit) for bit in shown], is_target, asked, answer, right

    def picture(self, episode: int) -> np.ndarray:
        """A picture of one episode, uint8 [48, 24 max(K, 4), 3].

        Above, the bits of the cue: +1 blue, -1 dark. Below, four squares: the cue is the target (orange); it
        is a Go step (orange); the answer just given, yes (blue) or no (dark); right (green) or wrong (red).
        """
        bits, is_target, asked, answer, right = self.scene(episode)
        cells = np.full((2, max(len(bits), 4), 3), FLOOR, dtype=np.uint8)
        for place, bit in enumerate(bits):
            cells[0, place] = (FLOOR, AGENT, WALL)[bit]  # the last one is that of -1
        cells[1, 0] = GOAL if is_target else FLOOR
        cells[1, 1] = GOAL if asked else FLOOR
        cells[1, 2] = (WALL, AGENT, FLOOR)[answer]
        cells[1, 3] = (WRONG, RIGHT, FLOOR)[right]
        return cells.repeat(PIXELS, axis=0).repeat(PIXELS, axis=1)

    def text(self, episode: int) -> str:
        """One episode as text: a line for the cue, one for the question, one for the answer just given."""
        bits, is_target, asked, answer, right = self.scene(episode)
        cue = "".join(".+-"[bit] for bit in bits) + (" (the target)" if is_target else "")
        question = "was the target one of the two?" if asked else "-"
        said = ("no", "yes", "-")[answer] + (", wrong", ", right", "")[right]
        return f"cue:    {cue}\ngo:     {question}\nanswer: {said}\n"


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

    def step(self, reward: Tensor) -> None:
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


def whole_actions(actions: Any, count: int, num_actions: int) -> Tensor:
    """Actions of any whole-number kind, a list of them too, as a tensor of our own, int64 [count].

    Raises:
        ValueError: they are something else, or too many or too few, or out of range.
    """
    allowed = f"actions must be {count} whole numbers from 0 to {num_actions - 1}"
    try:
        given = np.asarray(actions)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{allowed}, got {type(actions).__name__} that is no array of numbers") from None
    if given.dtype.kind not in "iu" or given.shape != (count,):
        raise ValueError(f"{allowed}, got {given.dtype} of shape {list(given.shape)}")
    if given.min() < 0 or given.max() >= num_actions:
        raise ValueError(f"{allowed}, got {given.min() if given.min() < 0 else given.max()}")
    return torch.from_numpy(given.astype(np.int64))


def checked_render_mode(render_mode: str | None) -> str | None:
    """`render_mode` if it is None or one of RENDER_MODES; ValueError otherwise."""
    return None if render_mode is None else require_choice("render_mode", render_mode, RENDER_MODES)


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


class OneEpisode(gymnasium.Env[np.ndarray, np.int64]):
    """One episode at a time of an environment of ours: what its subclasses have in common.

    Args:
        view: a batch of one.
        render_mode: None, "rgb_array" or "ansi".

    Raises:
        ValueError: there is no such render mode.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 10}  # noqa: RUF012
    made_by: EnvSpec | None = None

    def __init__(self, view: View, render_mode: str | None):
        self.view = view
        self.render_mode = checked_render_mode(render_mode)
        self.tally = Tally(1)
        self.observation_space = view.space
        self.action_space = spaces.Discrete(view.num_actions)

    @property
    def spec(self) -> EnvSpec | None:
        """How Gymnasium made the environment, with the length of its episodes."""
        return self.made_by

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self.made_by = with_length(spec, self.view.environment.episode_length)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new episode. No option changes it; ValueError for a seed below 0, or options of no dict."""
        checked_options(options)
        if seed is not None:
            seed = require_integer("seed", seed, low=0)
        super().reset(seed=seed)
        self.tally.begin()
        return self.view.reset(self.np_random)[0].numpy(), self.tally.info()

    def step(self, action: np.int64 | int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Act: observation, reward, terminated (never), truncated (time is up), info."""
        number = require_integer("action", action, low=0, high=self.view.num_actions - 1)
        chosen = torch.tensor([number], dtype=torch.int64, device="cpu")
        observation, reward, done = self.view.step(chosen, self.np_random)
        self.tally.step(reward)
        return observation[0].numpy(), reward.item(), False, done, self.tally.info()

    def render(self) -> np.ndarray | str | None:
        """A picture or a text of the episode as it is now; None, with a warning, without a render_mode."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() shows nothing: make the environment with render_mode="rgb_array"')
            return None
        return self.view.picture(0) if self.render_mode == "rgb_array" else self.view.text(0)


class EpisodeBatch(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """A batch of episodes of an environment of ours, stepped by one call: what its subclasses have in common.

    Args:
        view: the batch.
        render_mode: None, "rgb_array" or "ansi".
        autoreset_mode: what follows the end of the episodes, see `GridMazeVectorEnv`.
        max_episode_steps: steps after which longer episodes are cut, or None.

    Raises:
        ValueError: there is no such mode, or the steps are not at least 1.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 10}  # noqa: RUF012
    made_by: EnvSpec | None = None

    def __init__(
        self,
        view: View,
        render_mode: str | None,
        autoreset_mode: AutoresetMode | str,
        max_episode_steps: int | None,
    ):
        self.view = view
        self.render_mode = checked_render_mode(render_mode)
        if not isinstance(autoreset_mode, AutoresetMode):
            autoreset_mode = require_choice(
                "autoreset_mode", autoreset_mode, [mode.value for mode in AutoresetMode]
            )
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.num_envs = view.environment.batch_size
        self.length = view.environment.episode_length
        if max_episode_steps is not None:
            self.length = min(self.length, require_integer("max_episode_steps", max_episode_steps, low=1))
        self.tally = Tally(self.num_envs)
        self.time, self.over = 0, False
        self.single_observation_space = view.space
        self.single_action_space = spaces.Discrete(view.num_actions)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    @property
    def spec(self) -> EnvSpec | None:
        """How Gymnasium made the environments, with the length of their episodes."""
        return self.made_by

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        self.made_by = with_length(spec, self.length)

    def begin(self) -> np.ndarray:
        """Start new episodes: their first observation [B, I]."""
        self.time, self.over = 0, False
        self.tally.begin()
        return self.view.reset(self.np_random).numpy()

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
        """Act in all episodes: observation [B, I], reward [B], terminated [B], truncated [B], info."""
        terminated = np.zeros(self.num_envs, dtype=bool)
        if self.over and self.autoreset_mode == AutoresetMode.NEXT_STEP:
            observation = self.begin()
            info = self.tally.vector_info()
            return observation, np.zeros(self.num_envs), terminated, terminated.copy(), info
        if self.over and self.autoreset_mode == AutoresetMode.DISABLED:
            raise RuntimeError("the episodes are over: call reset() before step()")
        chosen = whole_actions(actions, self.num_envs, self.view.num_actions)
        seen, reward, done = self.view.step(chosen, self.np_random)
        self.tally.step(reward)
        self.time += 1
        self.over = done or self.time == self.length
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
        """A picture or a text of every episode; None, with a warning, without a render_mode."""
        if self.render_mode is None:
            gymnasium.logger.warn('render() shows nothing: make the environment with render_mode="rgb_array"')
            return None
        show = self.view.picture if self.render_mode == "rgb_array" else self.view.text
        return tuple(show(episode) for episode in range(self.num_envs))


class GridMazeEnv(OneEpisode):
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
    t / T stays as it is. All noise comes from `self.np_random`: `reset(seed=...)` makes an episode, and
    those after it, repeatable. The wrapped maze, with the positions of agent and goal, is
    `env.unwrapped.maze`.

    Raises:
        ValueError: a setting or an action is out of range.
    """

    def __init__(
        self,
        size: int = 11,
        episode_length: int = 200,
        reward: float = 10.0,
        wall_penalty: float = 0.0,
        render_mode: str | None = None,
    ):
        self.maze = GridMaze(size, 1, episode_length, reward, wall_penalty)
        super().__init__(MazeView(self.maze), render_mode)


class GridMazeVectorEnv(EpisodeBatch):
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
        num_envs = require_integer("num_envs", num_envs, low=1)
        self.maze = GridMaze(size, num_envs, episode_length, reward, wall_penalty)
        super().__init__(MazeView(self.maze), render_mode, autoreset_mode, max_episode_steps)


class CueRewardEnv(OneEpisode):
    """One agent that has to find out which of a few new cues is the one that counts. [2019, sec. 4.1]

    Description:
        Each episode has N new random cues of K bits, one of which is the target. In a trial two of them are
        shown, one after the other, and then a Go signal, at which the agent says whether the target was one
        of the two. (With `trials="published"` half of the cues are shown, and it says so a step after Go.)
        The reward is all it ever learns about the target. `bpa.envs.cue_reward.CueReward` has the details.

    Actions:
        Discrete(2): 1 yes, 0 no. Only the action at a Go step, or a step later, has an effect.

    Observation:
        Box, float32 [K + 6]: the K bits of the cue as +1 and -1, 0 without a cue; 1 at Go; a 1 (bias); t / T;
        the previous reward (from -wrong_penalty to reward); the previous action one-hot (action 0 at the
        start, none with `trials="published"`).

    Rewards:
        For an answer `reward` if it is right and minus `wrong_penalty` if not; else 0.

    Termination:
        Never terminated. Truncated after T = `episode_length` steps.

    Configuration:
        render_mode: None, "rgb_array" (uint8 [48, 24 max(K, 4), 3]) or "ansi" (text). All other settings are
        those of `CueReward`.

    Info and `env.spec.max_episode_steps` are as in `GridMazeEnv`. All noise comes from `self.np_random`, at
    `reset`. The wrapped environment, with cues and target, is `env.unwrapped.cue_reward`.

    Raises:
        ValueError: a setting or an action is out of range.
    """

    def __init__(
        self,
        num_cues: int = 4,
        cue_bits: int = 20,
        episode_length: int = 200,
        reward: float = 1.0,
        wrong_penalty: float = 0.0,
        show_steps: int = 1,
        pause_steps: int = 1,
        jitter: int = 0,
        pairing: str = "random",
        trials: str = "regular",
        render_mode: str | None = None,
    ):
        task = (reward, wrong_penalty, show_steps, pause_steps, jitter, pairing, trials)
        self.cue_reward = CueReward(num_cues, cue_bits, 1, episode_length, *task)
        super().__init__(CueView(self.cue_reward), render_mode)


class CueRewardVectorEnv(EpisodeBatch):
    """A batch of `CueRewardEnv`, stepped by one call: `gymnasium.make_vec("bpa/CueReward-v0", num_envs=30)`.

    Actions:
        MultiDiscrete, whole numbers from 0 to 1 [B].

    Observation:
        Box, float32 [B, K + 6].

    Rewards:
        float64 [B].

    B = `num_envs`, autoreset_mode, max_episode_steps and info are those of `GridMazeVectorEnv`, the other
    settings those of `CueRewardEnv`. One seed serves the whole batch.

    Raises:
        ValueError: a setting, a seed or an action is out of range.
    """

    def __init__(
        self,
        num_envs: int = 1,
        num_cues: int = 4,
        cue_bits: int = 20,
        episode_length: int = 200,
        reward: float = 1.0,
        wrong_penalty: float = 0.0,
        show_steps: int = 1,
        pause_steps: int = 1,
        jitter: int = 0,
        pairing: str = "random",
        trials: str = "regular",
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
    ):
        num_envs = require_integer("num_envs", num_envs, low=1)
        task = (reward, wrong_penalty, show_steps, pause_steps, jitter, pairing, trials)
        self.cue_reward = CueReward(num_cues, cue_bits, num_envs, episode_length, *task)
        super().__init__(CueView(self.cue_reward), render_mode, autoreset_mode, max_episode_steps)
