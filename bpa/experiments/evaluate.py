"""How good a trained network is: fresh episodes, no learning but its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bpa.arguments import plain, require_finite_outputs, require_finite_weights, require_integer
from bpa.cells.base import RecurrentPolicy, SequencePolicy
from bpa.envs.base import Environment, require_environment
from bpa.envs.baselines import affordable, expected_reward
from bpa.training.config import TrainConfig
from bpa.training.rollout import rollout, sample_noise, seeded
from bpa.training.supervised import batch_metrics
from bpa.training.tasks import build_task, is_rewarded, rewarded_tasks

EXACT = ("random_reward", "oracle_reward", "ceiling")  # computed, not measured, where that takes seconds
MOST_EPISODES = 10**9  # more would be a slip of the finger, and no machine could end it
LARGEST_BATCH = 100  # episodes at once, so that the traces of many episodes need not fit in memory


def fresh_tasks(net: RecurrentPolicy, config: TrainConfig, episodes: int, seed: int) -> Iterator[Any]:
    """Environments or tasks of `config` for so many fresh episodes, at most LARGEST_BATCH in each.

    Pictures are those for testing. Tensors are where `net` is.
    """
    episodes = require_integer("episodes", episodes, low=1, high=MOST_EPISODES)
    seed = require_integer("seed", seed, low=0, high=2**63 - 1)
    require_finite_weights(net)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    for begun in range(0, episodes, LARGEST_BATCH):
        batch_size = min(LARGEST_BATCH, episodes - begun)
        yield build_task(config, batch_size, generator, split="test", device=next(net.parameters()).device)


@torch.no_grad()
def step_rewards(
    net: RecurrentPolicy,
    config: TrainConfig,
    episodes: int = 500,
    seed: int = 1,
    engine: str = "auto",
    greedy: bool = False,
) -> Tensor:
    """Reward at each step of `episodes` fresh episodes, [T, episodes], in the maze or cue task of `config`.

    The weights stay as they are; the traces change within each episode, as always. Actions are sampled.

    Args:
        episodes: at least 1.
        seed: of all noise in the episodes; 0 to 2**63 - 1.
        engine: one of `bpa.engines.ENGINES`, whatever the network was trained with.
        greedy: take the likeliest action in place of a sampled one.

    Raises:
        ValueError: a number is out of range, weights or outputs are not finite, the task gives no rewards, or
            the engine was asked for by name and cannot run this.
    """
    if not is_rewarded(config.task):
        raise ValueError(
            f"task must be one of {', '.join(rewarded_tasks())} to give rewards, got {config.task!r}"
        )
    rewards = []
    for batch, env in enumerate(fresh_tasks(net, config, episodes, seed)):
        with contextlib.ExitStack() as stack:
            replays = hasattr(env, "sample_noise")
            generator = None if replays else stack.enter_context(seeded(env, seed + batch))
            seen = rollout(net, env, sample_noise(env, generator), engine, greedy)
        require_finite_outputs(seen.logits)
        missing = env.episode_length - len(seen.rewards)  # all episodes were over before
        rewards.append(torch.nn.functional.pad(seen.rewards, (0, 0, 0, missing)))
    return torch.cat(rewards, dim=1)


def episode_rewards(
    net: RecurrentPolicy, config: TrainConfig, episodes: int = 500, seed: int = 1, engine: str = "auto"
) -> Tensor:
    """Reward of each of `episodes` fresh episodes, [episodes]; arguments and errors as of `step_rewards`."""
    return step_rewards(net, config, episodes, seed, engine).sum(0)


def first_hits(rewards: Tensor) -> Tensor:
    """The step, from 1, of the first reward above 0 in each column of [T, N]; 0 where there is none."""
    hits = rewards > 0
    return torch.where(hits.any(0), hits.int().argmax(0) + 1, 0)


def supervised_metrics(
    net: SequencePolicy, config: TrainConfig, episodes: int = 500, seed: int = 1, engine: str = "auto"
) -> dict[str, float]:
    """Mean loss and accuracy over fresh episodes of a supervised task; pictures are test pictures.

    For "sequences" also `bayes_loss`, the mean loss of the exact Bayesian on the same sequences.
    """
    totals: dict[str, float] = {}
    for task in fresh_tasks(net, config, episodes, seed):
        batch = task.sample()
        loss, accuracy = batch_metrics(net, batch, engine)
        require_finite_outputs(torch.tensor(loss, dtype=torch.float64, device="cpu"))
        found = {"mean_loss": loss, "mean_accuracy": accuracy}
        if callable(best := getattr(task, "bayes_loss", None)):
            found["bayes_loss"] = best(batch)[batch.mask].mean().item()
        for name, value in found.items():
            totals[name] = totals.get(name, 0.0) + value * task.batch_size / episodes
    return totals


def maze_metrics(rewards: Tensor, config: TrainConfig) -> dict[str, float | None]:
    """What the rewards [T, N] of N episodes in the maze say besides their sums.

    The share of episodes with a hit, the median step of the first one and the mean reward after it (None if
    there is none), and beside them what a random walk and an agent that knows map and goal earn in
    expectation; `ceiling`, what the ideal agent earns that senses no more than ours, see `bpa.envs.ideal`,
    and the share of it that the mean reward is. None where the maze is too large to compute that in seconds;
    no share of a ceiling of 0 either.
    """
    first = first_hits(rewards)
    found = first > 0
    later = torch.arange(1, len(rewards) + 1, dtype=torch.int64, device=rewards.device)[:, None] > first
    after = (rewards * later).sum(0)[found]
    rules = (config.size, config.episode_length)
    exact = {
        name: expected_reward(policy, *rules, config.reward, config.wall_penalty)
        if affordable(policy, *rules)
        else None
        for name, policy in zip(EXACT, ("random", "oracle", "ideal"), strict=True)
    }
    ceiling = exact["ceiling"]
    return {
        "share_with_a_hit": found.double().mean().item(),
        "median_first_hit": first[found].double().quantile(0.5).item() if found.any() else None,
        "mean_reward_after_first_hit": after.double().mean().item() if found.any() else None,
        **exact,
        "share_of_ceiling": rewards.sum(0).double().mean().item() / ceiling if ceiling else None,
    }


class Score(NamedTuple):
    """The reward per episode of a network in fresh episodes."""

    mean: float
    standard_error: float  # of the mean: standard deviation / sqrt(episodes)
    episodes: int
    lower_quartile: float
    median: float
    upper_quartile: float
    standard_deviation: float


def score_of(rewards: Tensor) -> Score:
    """What the rewards [N] of N episodes come to."""
    quarters = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64, device="cpu")
    rewards = rewards.double().cpu()
    lower, median, upper = rewards.quantile(quarters).tolist()
    deviation = rewards.std(correction=1).item() if len(rewards) > 1 else 0.0
    error = deviation / len(rewards) ** 0.5
    return Score(rewards.mean().item(), error, len(rewards), lower, median, upper, deviation)


@torch.no_grad()
def evaluate(
    net: RecurrentPolicy,
    env: Environment,
    episodes: int = 500,
    seed: int = 1,
    greedy: bool = False,
    engine: str = "auto",
) -> Score:
    """How much reward a network earns in fresh episodes of an environment; its weights stay as they are.

    Args:
        net: any recurrent policy. env: any environment, see `bpa.envs.base`. It runs as many batches as it
            takes; what is over is not counted.
        episodes: at least 1.
        seed: of all noise, 0 to 2**63 - 1; the environment's own generator, or PyTorch's global one where it
            samples no noise, is seeded with it and put back.
        greedy: take the likeliest action in place of a sampled one.
        engine: one of `bpa.engines.ENGINES`.

    Raises:
        ValueError: a number is out of range, the network does not fit, or weights or outputs are not finite.

    Example:
        >>> import bpa
        >>> score = bpa.evaluate(bpa.load("maze-11"), bpa.GridMaze(size=11, batch_size=10), episodes=20)
        >>> score.episodes, score.mean > 150
        (20, True)
    """
    episodes = require_integer("episodes", episodes, low=1, high=MOST_EPISODES)
    seed = require_integer("seed", seed, low=0, high=2**63 - 1)
    require_finite_weights(net)
    require_environment(env)
    rewards = []
    with seeded(env, seed) as generator:
        for _ in range(-(-episodes // env.batch_size)):
            seen = rollout(net, env, sample_noise(env, generator), engine, greedy)
            require_finite_outputs(seen.logits)
            rewards.append(seen.rewards.sum(0))
    return score_of(torch.cat(rewards)[:episodes])


def report(
    net: SequencePolicy,
    config: TrainConfig,
    episodes: int = 500,
    seed: int = 1,
    engine: str = "auto",
    greedy: bool = False,
) -> dict[str, Any]:
    """How the network does in fresh episodes of its task. Arguments as of `step_rewards`.

    Where it is rewarded: mean, median, quartiles, standard deviation and error of the reward, and in the maze
    `maze_metrics`. In a supervised task: `supervised_metrics`.
    """
    episodes, seed = plain(episodes), plain(seed)
    said: dict[str, Any] = {"episodes": episodes, "seed": seed}
    if not is_rewarded(config.task):
        return said | supervised_metrics(net, config, episodes, seed, engine)
    seen = step_rewards(net, config, episodes, seed, engine, greedy).double().cpu()
    score = score_of(seen.sum(0))
    said |= {
        "mean_reward": score.mean,
        "median_reward": score.median,
        "lower_quartile_reward": score.lower_quartile,
        "upper_quartile_reward": score.upper_quartile,
        "std_reward": score.standard_deviation,
        "standard_error": score.standard_error,
    }
    return said | (maze_metrics(seen, config) if config.task == "maze" else {})
