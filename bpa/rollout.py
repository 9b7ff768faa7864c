"""A mind meets a world: what happened is a trajectory."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bpa import engines
from bpa.arguments import require_integer, require_shape
from bpa.engines.eager import Unrolled
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE, GridMaze
from bpa.network import Hidden, Network


class Chance(NamedTuple):
    """All the luck of a batch of episodes, drawn before it begins: uniform numbers in [0, 1), float32.

    The same numbers give the same episodes in every engine, action by action.
    """

    goal: Tensor  # [B], where each goal lies
    action: Tensor  # [T, B], which action is sampled from the policy
    teleport: Tensor  # [T, B], where an agent is put if it has reached its goal


class Trajectory(NamedTuple):
    """What happened in a batch of episodes."""

    observations: Tensor  # [T, B, I]
    actions: Tensor  # int64 [T, B]
    rewards: Tensor  # [T, B]
    logits: Tensor  # [T, B, A]
    values: Tensor  # [T, B]
    modulation: Tensor | None  # [T, B]
    h: Tensor  # [T, B, H]
    hidden: Hidden  # the state after the last step


def draw_chance(
    episode_length: int, batch_size: int, generator: torch.Generator, device: torch.device | str = "cpu"
) -> Chance:
    """The luck of `batch_size` episodes of `episode_length` steps, drawn from `generator`, on `device`."""
    require_integer("episode_length", episode_length, low=1)
    require_integer("batch_size", batch_size, low=1)
    numbers = torch.rand(
        1 + 2 * episode_length, batch_size, generator=generator, device=generator.device, dtype=torch.float32
    ).to(device)
    return Chance(numbers[0], numbers[1 : 1 + episode_length], numbers[1 + episode_length :])


def sample(logits: Tensor, uniform: Tensor) -> Tensor:
    """Sample an action [B] from each policy softmax(logits) [B, A] by its uniform number [B].

    It is the first action at which the summed probabilities exceed the number.
    """
    reached = torch.softmax(logits, dim=-1).cumsum(dim=-1)
    return (uniform[:, None] >= reached[:, :-1]).sum(dim=-1)


def rollout(net: Network, maze: GridMaze, chance: Chance, engine: str = "auto") -> Trajectory:
    """Let `net` act in `maze` for one batch of whole episodes, from the initial state.

    Gradients reach `net` through logits and values, unless grad mode is off. Actions are sampled.

    Args:
        net: a network with 17 inputs and 4 actions, on the maze's device.
        maze: B episodes of T steps. It is reset first and left at its end.
        chance: see `draw_chance`; goal [B], action and teleport [T, B].
        engine: one of `bpa.engines.ENGINES`. A fast engine runs the maze inside its loop.

    Raises:
        ValueError: the numbers do not fit the maze, or the engine was asked for by name and cannot run this.
    """
    T, B = maze.episode_length, maze.batch_size
    numbers = torch.empty(0, dtype=torch.float32, device=maze.device)
    for name, shape in (("goal", (B,)), ("action", (T, B)), ("teleport", (T, B))):
        require_shape(f"chance.{name}", getattr(chance, name), shape, like=numbers)
    known = type(maze) is GridMaze and net.input_size == OBSERVATION_SIZE and net.num_actions == NUM_ACTIONS
    chosen = engines.choose(engine, net, None if known else "it knows no world but bpa.GridMaze")
    observation = maze.reset(chance.goal)
    if chosen is not engines.eager:
        return Trajectory(*chosen.act(net, maze, chance))

    hidden = net.initial_state(B)
    observations, actions, rewards, activities = [], [], [], []
    for action_chance, teleport_chance in zip(chance.action, chance.teleport, strict=True):
        logits, _, hidden = net(observation, hidden)
        action = sample(logits.detach(), action_chance)
        observations.append(observation)
        observation, reward, _ = maze.step(action, teleport_chance)
        actions.append(action)
        rewards.append(reward)
        activities.append(hidden.h)
    h = torch.stack(activities)
    seen = Unrolled(*net.heads(h), net.modulation(h), h, hidden)
    return Trajectory(torch.stack(observations), torch.stack(actions), torch.stack(rewards), *seen)
