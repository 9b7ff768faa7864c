"""How good a trained network is: fresh episodes, no learning but its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from bpa.arguments import plain, require_finite_outputs, require_finite_weights, require_integer
from bpa.envs.baselines import affordable, expected_reward
from bpa.tasks.sequences import Languages
from bpa.training.config import TrainConfig
from bpa.training.rollout import draw_luck, rollout
from bpa.training.supervised import marks
from bpa.training.tasks import REWARDED, build_world

EXACT = ("random_reward", "oracle_reward")  # computed, not measured, where that takes seconds
LARGEST_BATCH = 100  # episodes at once, so that the traces of many episodes need not fit in memory


def fresh_worlds(net: Any, config: TrainConfig, episodes: int, seed: int) -> Iterator[Any]:
    """Worlds of `config` for so many fresh episodes, at most LARGEST_BATCH in each; pictures for testing.

    They live where `net` does.
    """
    episodes = require_integer("episodes", episodes, low=1)
    seed = require_integer("seed", seed, low=0, high=2**63 - 1)
    require_finite_weights(net)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    for begun in range(0, episodes, LARGEST_BATCH):
        batch_size = min(LARGEST_BATCH, episodes - begun)
        yield build_world(config, batch_size, generator, split="test", device=next(net.parameters()).device)


@torch.no_grad()
def step_rewards(
    net: Any, config: TrainConfig, episodes: int = 500, seed: int = 1, engine: str = "auto"
) -> Tensor:
    """Reward at each step of `episodes` fresh episodes, [T, episodes], in the maze or cue task of `config`.

    The weights stay as they are; the traces change within each episode, as always. Actions are sampled.

    Args:
        episodes: at least 1.
        seed: of all chance in the episodes; 0 to 2**63 - 1.
        engine: one of `bpa.engines.ENGINES`, whatever the network was trained with.

    Raises:
        ValueError: a number is out of range, weights or outputs are not finite, the task gives lessons, not
            rewards, or the engine was asked for by name and cannot run this.
    """
    if config.task not in REWARDED:
        raise ValueError(f"task must be one of {', '.join(REWARDED)} to give rewards, got {config.task!r}")
    worlds = fresh_worlds(net, config, episodes, seed)
    rewards = []
    for world in worlds:
        seen = rollout(net, world, draw_luck(world), engine)
        require_finite_outputs(seen.logits)
        rewards.append(seen.rewards)
    return torch.cat(rewards, dim=1)


def episode_rewards(
    net: Any, config: TrainConfig, episodes: int = 500, seed: int = 1, engine: str = "auto"
) -> Tensor:
    """Reward of each of `episodes` fresh episodes, [episodes]; arguments and errors as of `step_rewards`."""
    return step_rewards(net, config, episodes, seed, engine).sum(0)


def first_hits(rewards: Tensor) -> Tensor:
    """The step, from 1, of the first reward above 0 in each column of [T, N]; 0 where there is none."""
    hits = rewards > 0
    return torch.where(hits.any(0), hits.int().argmax(0) + 1, 0)


def lesson_marks(
    net: Any, config: TrainConfig, episodes: int = 500, seed: int = 1, engine: str = "auto"
) -> dict[str, float]:
    """Mean loss and accuracy over fresh episodes of a task that gives lessons; pictures are test pictures.

    For "sequences" also `bayes_loss`, the mean loss of the exact Bayesian on the same sequences.
    """
    totals: dict[str, float] = {}
    for world in fresh_worlds(net, config, episodes, seed):
        lesson = world.sample()
        loss, accuracy = marks(net, lesson, engine)
        require_finite_outputs(torch.tensor(loss, dtype=torch.float64, device="cpu"))
        found = {"mean_loss": loss, "mean_accuracy": accuracy}
        if isinstance(world, Languages):
            found["bayes_loss"] = world.bayes_loss(lesson)[lesson.mask].mean().item()
        for name, mark in found.items():
            totals[name] = totals.get(name, 0.0) + mark * world.batch_size / episodes
    return totals


def maze_marks(rewards: Tensor, config: TrainConfig) -> dict[str, float | None]:
    """What the rewards [T, N] of N episodes in the maze say besides their sums.

    The share of episodes with a hit, the median step of the first one and the mean reward after it (None if
    there is none), and beside them what a random walk and an agent that knows map and goal earn in
    expectation (None where the maze is too large to compute that in seconds).
    """
    first = first_hits(rewards)
    found = first > 0
    later = torch.arange(1, len(rewards) + 1, dtype=torch.int64, device=rewards.device)[:, None] > first
    after = (rewards * later).sum(0)[found]
    rules = (config.size, config.episode_length)
    exact = {
        f"{policy}_reward": expected_reward(policy, *rules, config.reward, config.wall_penalty)
        if affordable(policy, *rules)
        else None
        for policy in ("random", "oracle")
    }
    return {
        "share_with_a_hit": found.double().mean().item(),
        "median_first_hit": first[found].double().quantile(0.5).item() if found.any() else None,
        "mean_reward_after_first_hit": after.double().mean().item() if found.any() else None,
        **exact,
    }


def evaluate(
    net: Any, config: TrainConfig, episodes: int = 500, seed: int = 1, engine: str = "auto"
) -> dict[str, Any]:
    """How the network does in fresh episodes of its task. Arguments as of `step_rewards`.

    Where it is rewarded: mean, median, quartiles, standard deviation and error of the reward, and in the maze
    `maze_marks`. Where it is given lessons: `lesson_marks`.
    """
    episodes, seed = plain(episodes), plain(seed)
    said: dict[str, Any] = {"episodes": episodes, "seed": seed}
    if config.task not in REWARDED:
        return said | lesson_marks(net, config, episodes, seed, engine)
    seen = step_rewards(net, config, episodes, seed, engine).double().cpu()
    rewards = seen.sum(0)
    quarters = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64, device="cpu")
    lower, median, upper = rewards.quantile(quarters).tolist()
    deviation = rewards.std(correction=1).item() if episodes > 1 else 0.0
    said |= {
        "mean_reward": rewards.mean().item(),
        "median_reward": median,
        "lower_quartile_reward": lower,
        "upper_quartile_reward": upper,
        "std_reward": deviation,
        "standard_error": deviation / episodes**0.5,
    }
    return said | (maze_marks(seen, config) if config.task == "maze" else {})
