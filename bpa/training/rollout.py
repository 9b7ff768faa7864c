"""A mind meets a world: what happened is a trajectory."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bpa import engines
from bpa.arguments import require_integer, require_uniform
from bpa.engines.context import has_numbers
from bpa.engines.eager import Unrolled
from bpa.envs.cue_reward import CueEpisodes, CueReward
from bpa.maze import GridMaze
from bpa.noise import uniform
from bpa.training.tasks import sizes

SMALLEST = 2.0**-126  # the smallest normal number of float32; below it engines round differently


class Chance(NamedTuple):
    """All the luck of a batch of episodes in the maze, drawn before it begins.

    Uniform numbers in [0, 1), float32. The same numbers give the same episodes in every engine, action by
    action.
    """

    goal: Tensor  # [B], where each goal lies
    action: Tensor  # [T, B], which action is sampled from the policy
    teleport: Tensor  # [T, B], where an agent is put if it has reached its goal

    def part(self, share: slice) -> Chance:
        """The luck of some of its episodes."""
        return Chance(self.goal[share], self.action[:, share], self.teleport[:, share])


class CueChance(NamedTuple):
    """All the luck of a batch of episodes of the cue-reward task, drawn before it begins."""

    episodes: CueEpisodes  # what will be shown and asked
    action: Tensor  # [T, B], uniform numbers in [0, 1), float32: which action is sampled from the policy

    def part(self, share: slice) -> CueChance:
        """The luck of some of its episodes."""
        return CueChance(self.episodes.part(share), self.action[:, share])


class Trajectory(NamedTuple):
    """What happened in a batch of episodes."""

    observations: Tensor  # [T, B, I]
    actions: Tensor  # int64 [T, B]
    rewards: Tensor  # [T, B]
    logits: Tensor  # [T, B, A]
    values: Tensor  # [T, B]
    modulation: Tensor | None  # [T, B]
    h: Tensor  # [T, B, H]
    hidden: Any  # the state after the last step, of the network's own kind


def draw_chance(
    episode_length: int, batch_size: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Chance:
    """The luck of `batch_size` episodes of `episode_length` steps, drawn from `generator`, on `device`."""
    episode_length = require_integer("episode_length", episode_length, low=1)
    batch_size = require_integer("batch_size", batch_size, low=1)
    numbers = uniform(1 + 2 * episode_length, batch_size, generator=generator).to(device)
    return Chance(numbers[0], numbers[1 : 1 + episode_length], numbers[1 + episode_length :])


def draw_luck(world: GridMaze | CueReward) -> Chance | CueChance:
    """The luck of one batch of episodes in this world, from the world's generator, on its device."""
    T, B = world.episode_length, world.batch_size
    if isinstance(world, GridMaze):
        return draw_chance(T, B, world.generator, world.device)
    episodes = world.draw()
    return CueChance(episodes, uniform(T, B, generator=world.generator).to(world.device))


def sample(logits: Tensor, uniform: Tensor) -> Tensor:
    """Sample an action [B] from each policy softmax(logits) [B, A] by its uniform number [B].

    It is the first action at which the summed probabilities exceed the number, or the last that has one
    where rounding leaves their sum below it. An action of probability 0 is never taken, and what is too small
    for a normal number of float32 counts as 0. Without a policy, where a logit is NaN, it is action 0.
    """
    policy = torch.nn.functional.threshold(torch.softmax(logits, dim=-1), SMALLEST, 0.0)
    passed = (uniform[:, None] >= policy.cumsum(dim=-1)[:, :-1]).sum(dim=-1)
    places = torch.arange(policy.shape[-1], dtype=torch.int64, device=policy.device)
    return torch.minimum(passed, (places * (policy > 0)).amax(dim=-1))


def rollout(
    net: Any, world: GridMaze | CueReward, chance: Chance | CueChance, engine: str = "auto"
) -> Trajectory:
    """Let `net` act in `world` for one batch of whole episodes, from the initial state.

    Gradients reach `net` through logits and values, unless grad mode is off. Actions are sampled.

    Args:
        net: a `Network`, or another with its calling convention, for the world's inputs and actions.
        world: B episodes of T steps. It is reset first and left at its end.
        chance: see `draw_luck`.
        engine: one of `bpa.engines.ENGINES`. A fast engine runs the world inside its loop.

    Raises:
        ValueError: the network or the noise does not fit the world, a number is out of range, the network has
            no numbers of its own, or the engine was asked for by name and cannot run this.
    """
    T, B = world.episode_length, world.batch_size
    needed = sizes(world)
    if (net.input_size, net.num_actions) != needed:
        raise ValueError(
            f"net must have {needed[0]} inputs and {needed[1]} actions for {type(world).__name__}, "
            f"got {net.input_size} and {net.num_actions}"
        )
    if not isinstance(chance, CueChance if isinstance(world, CueReward) else Chance):
        raise ValueError(
            f"chance must be drawn for {type(world).__name__}, as draw_luck does, got {type(chance).__name__}"
        )
    for name, shape in (("goal", (B,)), ("action", (T, B)), ("teleport", (T, B))):
        if name in chance._fields:
            require_uniform(f"chance.{name}", getattr(chance, name), shape, world.device)
    if not has_numbers(net.parameters()):
        raise ValueError("net must hold numbers that an environment can go by, got batched or fake tensors")
    start: Any = chance.goal if isinstance(chance, Chance) else chance.episodes
    chosen = engines.choose(engine, net, world)
    observation = world.reset(start)
    if chosen is not engines.eager:
        return Trajectory(*chosen.act(net, world, chance))

    after: list[Any] = [(luck,) for luck in chance.teleport] if isinstance(chance, Chance) else [()] * T
    hidden = net.initial_state(B)
    dtype = hidden.h.dtype  # a network may compute in more digits than the world
    observations, actions, rewards, activities = [], [], [], []
    for t in range(T):
        logits, _, hidden = net(observation.to(dtype), hidden)
        action = sample(logits.detach(), chance.action[t])
        observations.append(observation)
        observation, reward, _ = world.step(action, *after[t])
        actions.append(action)
        rewards.append(reward)
        activities.append(hidden.h)
    h = torch.stack(activities)
    logits, values = net.heads(h)
    seen = Unrolled(logits, values, net.modulation(h), h, hidden)
    return Trajectory(torch.stack(observations), torch.stack(actions), torch.stack(rewards), *seen)
