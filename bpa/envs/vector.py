"""An environment of Gymnasium as one of ours: any vector environment with discrete actions and flat boxes.

::

    vector_env = gymnasium.make_vec("CartPole-v1", num_envs=30, vectorization_mode="sync")
    env = bpa.envs.from_gymnasium(vector_env)
    observation = env.reset()
    observation, reward, done = env.step(actions)

The other direction, our environments for Gymnasium, is `bpa.envs.gymnasium`.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor

from bpa.arguments import (
    require_classes,
    require_flag,
    require_integer,
    require_shape,
    require_uniform,
    shown,
)
from bpa.noise import given_or_fresh, integers, uniform

AnyVectorEnv: TypeAlias = VectorEnv[Any, Any, Any]


class SeedNoise(NamedTuple):
    """All the noise of a batch of episodes, drawn before it begins."""

    action: Tensor  # [T, B], uniform numbers in [0, 1), float32: which action is sampled from the policy
    seed: Tensor  # int64 without dimensions: what the vector environment is reset with

    def shard(self, episodes: slice) -> SeedNoise:
        """Refused: there is no noise of some of the episodes.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "the noise of a Gymnasium environment cannot be sharded: one seed serves the whole batch, "
            "so a run in it must be of one process"
        )


def require_vector_env(env: AnyVectorEnv) -> AnyVectorEnv:
    """Return `env` if it is an open vector environment of Gymnasium; ValueError otherwise."""
    if isinstance(env, gymnasium.Env):
        raise ValueError(
            f"env must be a vector environment of Gymnasium, got a single one, {env}: make it with "
            'gymnasium.make_vec("its id", num_envs=30) or gymnasium.vector.SyncVectorEnv([make] * 30)'
        )
    if not isinstance(env, VectorEnv):
        raise ValueError(f"env must be a vector environment of Gymnasium, got {type(env).__name__}")
    if env.closed:
        raise ValueError(f"env must be open, got one that has been closed, {env}")
    return env


def autoreset_mode(env: AnyVectorEnv) -> AutoresetMode:
    """What a vector environment does with sub-environments whose episode has ended.

    Raises:
        ValueError: it does not say so, or forgets it.
    """
    said = env.metadata.get("autoreset_mode")
    try:
        mode = AutoresetMode(said)
    except ValueError:
        allowed = ", ".join(f"AutoresetMode.{mode.name}" for mode in AutoresetMode)
        raise ValueError(f"env.metadata['autoreset_mode'] must be one of {allowed}, got {said!r}") from None
    # Gymnasium's workers forget a pending automatic reset at `reset` only where they share memory: without,
    # the first step of the next episode would be taken for the reset of the last.
    if mode == AutoresetMode.NEXT_STEP and not getattr(env.unwrapped, "shared_memory", True):
        raise ValueError(
            'env must have shared_memory=True for automatic resets "NextStep", got an AsyncVectorEnv without'
        )
    return mode


def observation_size(space: spaces.Space[Any]) -> int:
    """I, the numbers of one observation; ValueError unless the space is a flat Box of real numbers."""
    if not isinstance(space, spaces.Box) or len(space.shape) != 1 or space.shape[0] == 0:
        raise ValueError(
            f"env must have observations in a flat Box of shape [I], got {space}: wrap it in "
            "gymnasium.wrappers.FlattenObservation, of gymnasium.wrappers.vector for a whole batch"
        )
    return int(space.shape[0])


def discrete(space: spaces.Space[Any]) -> spaces.Discrete:
    """`space` if its actions are whole numbers in a row; ValueError otherwise."""
    if not isinstance(space, spaces.Discrete):
        way = "turn them into Discrete ones in a gymnasium.ActionWrapper"
        if isinstance(space, spaces.Box):
            way = "wrap each sub-environment in gymnasium.wrappers.DiscretizeAction"
        raise ValueError(f"env must have Discrete actions, got {space}: {way}")
    return space


def step_limit(env: AnyVectorEnv) -> int | None:
    """Steps that the longest of the episodes can have by Gymnasium's description, None if it does not say."""
    specs = [env.unwrapped.spec]
    if specs == [None]:  # of a batch made by hand, the descriptions of what it was made of
        specs = [one.spec for one in getattr(env.unwrapped, "envs", [])]
    steps = [
        0 if spec is None else spec.kwargs.get("max_episode_steps") or spec.max_episode_steps or 0
        for spec in specs
    ]
    return max(steps) if steps and min(steps) > 0 else None


def length(env: AnyVectorEnv, asked: int | None) -> int:
    """T: what is asked for, at most the environment's own limit, or else that limit.

    Raises:
        ValueError: no length is known, or the one asked for is not between 1 and the limit.
    """
    limit = step_limit(env)
    if asked is not None:
        return require_integer("episode_length", asked, low=1, high=limit)
    if limit is None:
        raise ValueError(
            "episode_length must be given, a whole number of at least 1: env does not say how long its "
            "episodes can be (spec.max_episode_steps)"
        )
    return limit


def require_finite(name: str, array: np.ndarray, running: np.ndarray) -> None:
    """Raise ValueError if numbers [B, ...] of episodes in `running`, bool [B], are not finite in float32."""
    wrong = ~np.isfinite(array) & running.reshape(-1, *[1] * (array.ndim - 1))
    if wrong.any():
        place = np.argwhere(wrong)[0]
        got = array[tuple(place)]
        raise ValueError(f"env must return finite {name}, got {got} at {place.tolist()}")


def last_observations(sensed: Any, info: dict[str, Any], over: np.ndarray) -> np.ndarray:
    """What was sensed at the end of the episodes in `over`, bool [B]; of all others `sensed`, [B, I].

    Raises:
        ValueError: `info` does not hold it.
    """
    if "final_obs" not in info:
        raise ValueError("env must give the last observations of episodes as info['final_obs'], got none")
    array = np.array(sensed)
    for episode in np.flatnonzero(over):
        array[episode] = info["final_obs"][episode]
    return array


class VectorEnvironment:
    """B episodes of a vector environment of Gymnasium, with the ways of our environments.

    Made by `from_gymnasium`, which says more.

    Attributes:
        observation_size: I. num_actions: A. batch_size: B. episode_length: T. device: the CPU.
        generator: source of the seeds and of the numbers that choose the actions.
        env: the vector environment.
        done: which episodes have ended by now, bool [B]; all of them before the first reset.
    """

    def __init__(
        self,
        env: AnyVectorEnv,
        episode_length: int | None = None,
        bootstrap: bool = False,
        generator: torch.Generator | None = None,
    ):
        self.env = require_vector_env(env)
        self.autoreset_mode = autoreset_mode(env)
        self.observation_size = observation_size(env.single_observation_space)
        actions = discrete(env.single_action_space)
        self.num_actions, self.first_action = int(actions.n), int(actions.start)
        self.batch_size = require_integer("env.num_envs", env.num_envs, low=1)
        self.episode_length = length(env, episode_length)
        self.bootstrap = require_flag("bootstrap", bootstrap)
        self.generator = given_or_fresh(generator)
        self.device = torch.device("cpu")
        self.time = 0
        self.observation = self.blank(self.observation_size)
        self.done = torch.ones(self.batch_size, dtype=torch.bool, device=self.device)
        self.cut = torch.zeros_like(self.done)  # episodes that the last step cut off by a time limit
        self.idle = np.zeros(self.batch_size, dtype=bool)  # episodes to be reset by us before the next step

    def blank(self, *shape: int) -> Tensor:
        """Zeros, float32 [B, ...], with `shape` behind the batch."""
        return torch.zeros(self.batch_size, *shape, dtype=torch.float32, device=self.device)

    def draw_seed(self) -> Tensor:
        """A seed, int64 without dimensions: each of B episodes may get one of its own, counted up from it."""
        return integers(2**31 - self.batch_size, generator=self.generator).to(self.device)

    def sample_noise(self) -> SeedNoise:
        """The noise of one batch of episodes, from the generator."""
        numbers = uniform(self.episode_length, self.batch_size, generator=self.generator)
        return SeedNoise(numbers.to(self.device), self.draw_seed())

    def checked_noise(self, noise: SeedNoise) -> SeedNoise:
        """`noise` if it is as `sample_noise` gives it; ValueError otherwise."""
        if not isinstance(noise, SeedNoise):
            raise ValueError(f"noise must be as sample_noise gives it, got {type(noise).__name__}")
        require_uniform("noise.action", noise.action, (self.episode_length, self.batch_size), self.device)
        require_shape(
            "noise.seed", noise.seed, (), like=torch.empty(0, dtype=torch.int64, device=self.device)
        )
        require_integer("noise.seed", noise.seed, low=0)
        return noise

    def require_open(self) -> None:
        """Raise RuntimeError if the vector environment has been closed."""
        if self.env.closed:
            raise RuntimeError("the vector environment has been closed: make a new one")

    def reset(self, noise: SeedNoise | None = None) -> Tensor:
        """Start B new episodes and return their first observation, float32 [B, I].

        Args:
            noise: its seed makes the episodes; a seed is drawn from the generator if None.

        Raises:
            ValueError: the noise is not as `sample_noise` gives it, or an observation does not fit.
            RuntimeError: the vector environment has been closed.
        """
        self.require_open()
        seed = self.draw_seed() if noise is None else self.checked_noise(noise).seed
        sensed, _ = self.env.reset(seed=int(seed))
        self.done.fill_(True)  # until the observation has been found right
        self.observation = self.checked_observation(sensed, np.ones(self.batch_size, dtype=bool))
        self.time = 0
        self.done.fill_(False)
        self.cut.fill_(False)
        self.idle[:] = False
        return self.observation.clone()

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Act in every episode: actions [B] -> observation [B, I], reward [B], done [B].

        Of an episode that has ended before, the action counts for nothing, the observation is repeated, the
        reward is 0, and done stays True.

        Args:
            actions: int64 [B], each from 0 to A - 1, whatever the first action of the space is.

        Returns:
            float32 [B, I], float32 [B], and which episodes have ended by now, bool [B].

        Raises:
            ValueError: the actions are of the wrong shape, type or range, or what the vector environment
                returns does not fit, or is not finite.
            RuntimeError: all episodes are over, or none has begun, or the vector environment has been closed.
        """
        self.require_open()
        if self.done.all():
            raise RuntimeError("the episodes are over (or none has begun): call reset() before step()")
        require_classes("actions", actions, (self.batch_size,), self.num_actions, like=self.done)
        # Where nobody acts any more it is always action 0, so that nothing that follows depends on it.
        chosen = torch.where(self.done, 0, actions).numpy() + self.first_action
        self.reset_idle()
        sensed, gained, terminated, truncated, info = self.env.step(
            chosen.astype(self.env.single_action_space.dtype)
        )
        running = ~self.done.numpy()
        terminated = self.checked_flags("terminations", terminated)
        over = terminated | self.checked_flags("truncations", truncated)
        if self.autoreset_mode == AutoresetMode.DISABLED:
            self.idle = over
        if self.autoreset_mode == AutoresetMode.SAME_STEP and (over & running).any():
            sensed = last_observations(sensed, info, over & running)

        observation = self.checked_observation(sensed, running)
        reward = self.checked_reward(gained, running)
        self.time += 1
        late = running & (self.time == self.episode_length)
        self.observation = observation
        self.cut = torch.from_numpy((over & running | late) & ~terminated)
        self.done = self.done | torch.from_numpy(over | late)
        return observation.clone(), reward, self.done.clone()

    def time_limit(self) -> tuple[Tensor, Tensor] | None:
        """Which episodes a time limit cut off in the last step, bool [B], and what they sensed then, [B, I].

        They were truncated and not terminated, or have reached T. The value of what would have followed can
        be estimated from what they sensed. None if there are none, and always without `bootstrap`.
        """
        if not self.bootstrap or not self.cut.any():
            return None
        return self.cut.clone(), self.observation.clone()

    def reset_idle(self) -> None:
        """Without automatic resets, reset what ended in the last step: nothing steps an episode that is over.

        Raises:
            ValueError: the vector environment resets more than its option "reset_mask" says.
        """
        if not self.idle.any():
            return
        sensed, _ = self.env.reset(options={"reset_mask": self.idle.copy()})
        running = ~self.done.numpy()
        if not torch.equal(self.checked_observation(sensed, running)[running], self.observation[running]):
            raise ValueError(
                "env must reset only the episodes in options['reset_mask'], got others reset too: "
                'make it with autoreset_mode "NextStep" or "SameStep"'
            )
        self.idle[:] = False

    def checked_observation(self, sensed: Any, running: np.ndarray) -> Tensor:
        """Observations [B, I] as a float32 tensor of our own; of those not in `running` [B] what we had.

        Raises:
            ValueError: they are of another shape, or a number of an episode in `running` is not finite.
        """
        with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused
            array = np.array(sensed, dtype=np.float32)
        shape = (self.batch_size, self.observation_size)
        if array.shape != shape:
            raise ValueError(f"env must return observations of shape {list(shape)}, got {list(array.shape)}")
        require_finite("observations", array, running)
        return torch.where(torch.from_numpy(running)[:, None], torch.from_numpy(array), self.observation)

    def checked_reward(self, gained: Any, running: np.ndarray) -> Tensor:
        """Rewards [B] as a float32 tensor of our own, 0 where not in `running` [B].

        Raises:
            ValueError: they are of another shape, or that of an episode in `running` is not finite.
        """
        with np.errstate(over="ignore"):
            array = np.array(gained, dtype=np.float32)
        if array.shape != (self.batch_size,):
            raise ValueError(f"env must return rewards of shape [{self.batch_size}], got {list(array.shape)}")
        require_finite("rewards", array, running)
        return torch.from_numpy(np.where(running, array, np.float32(0)))

    def checked_flags(self, name: str, flags: Any) -> np.ndarray:
        """Flags [B] as an array of our own, bool; ValueError for another shape."""
        array = np.array(flags, dtype=bool)
        if array.shape != (self.batch_size,):
            raise ValueError(f"env must return {name} of shape [{self.batch_size}], got {list(array.shape)}")
        return array


def from_gymnasium(
    env: AnyVectorEnv,
    episode_length: int | None = None,
    bootstrap: bool = False,
    generator: torch.Generator | None = None,
) -> VectorEnvironment:
    """A vector environment of Gymnasium as an environment of ours, with whole episodes of a batch.

    Episodes may be of unequal length: one that has ended keeps its last observation, earns nothing more, and
    its `done` stays True until all are over. What Gymnasium then does in its place is nobody's. Each of its
    automatic resets will do: in the next step, in the same step, or none.

    Args:
        env: B sub-environments with Discrete actions, from 0 or any other number, and flat Box observations.
        episode_length: T, after which episodes are cut off; at most the environment's own limit, which is
            taken if None. Needed where the environment has none.
        bootstrap: whether `time_limit` tells which episodes a time limit has cut off, so that the value of
            what comes after them can be added to the return. Otherwise a return ends where its episode does.
        generator: source of seeds and of the numbers that choose actions, a fresh unseeded one if None.

    The same noise and the same actions replay the same episodes if all noise of the environment comes from
    the seed of its `reset`.

    Raises:
        ValueError: `env` is no open vector environment, its spaces do not fit, or another argument does not.

    Example:
        >>> import bpa, gymnasium
        >>> poles = gymnasium.make_vec("CartPole-v1", num_envs=30, vectorization_mode="sync")
        >>> env = bpa.envs.from_gymnasium(poles, episode_length=50)
        >>> env.reset().shape, env.num_actions
        (torch.Size([30, 4]), 2)
        >>> result = bpa.train(bpa.TrainConfig(iterations=1, hidden_size=10, quiet=True), env=env)
    """
    return VectorEnvironment(env, episode_length, bootstrap, generator)


def by_name(
    env: str = "CartPole-v1",
    episode_length: int | None = None,
    bootstrap: bool = False,
    batch_size: int = 30,
    generator: torch.Generator | None = None,
) -> VectorEnvironment:
    """B episodes of the environment that Gymnasium knows by its id, with flat observations.

    Args:
        env: the id. A package that registers it is named before a colon: "popgym:popgym-CountRecallEasy-v0".
        episode_length, bootstrap, generator: as of `from_gymnasium`.
        batch_size: B.

    Raises:
        ValueError: there is no such environment, or it does not fit.

    Example:
        >>> from bpa.envs.vector import by_name
        >>> lake = by_name("FrozenLake-v1", batch_size=3)
        >>> lake.reset().shape, lake.episode_length
        (torch.Size([3, 16]), 100)
    """
    if not isinstance(env, str):
        raise ValueError(f"env must be the id of an environment of Gymnasium, got {shown(env)}")
    count = require_integer("batch_size", batch_size, low=1)
    wrappers = [gymnasium.wrappers.FlattenObservation]
    try:
        made = gymnasium.make_vec(
            env,
            num_envs=count,
            vectorization_mode="sync",
            wrappers=wrappers,
            disable_env_checker=True,  # ours refuses what would harm, and is silent about the rest
        )
    except (gymnasium.error.Error, ImportError) as error:  # of a package that is missing as well
        said = " ".join(str(error).split())
        raise ValueError(f"env must be an id that Gymnasium knows, got {shown(env)}: {said}") from None
    return VectorEnvironment(made, episode_length, bootstrap, generator)
