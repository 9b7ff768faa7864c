"""How good an agent is: fresh episodes, no learning but its own."""

from __future__ import annotations

import torch
from torch import Tensor

from bpa.arguments import require_integer
from bpa.config import TrainConfig
from bpa.maze import GridMaze
from bpa.network import Network
from bpa.rollout import draw_chance, rollout

LARGEST_BATCH = 100  # episodes at once, so that the traces of many episodes need not fit in memory


@torch.no_grad()
def episode_rewards(net: Network, config: TrainConfig, episodes: int = 500, seed: int = 1) -> Tensor:
    """Reward of each of `episodes` fresh episodes, [episodes], in the maze that `config` describes.

    The weights stay as they are; the traces change within each episode, as always. Actions are sampled.

    Args:
        episodes: at least 1.
        seed: of the goals, actions and teleports; 0 to 2**63 - 1.
    """
    require_integer("episodes", episodes, low=1)
    require_integer("seed", seed, low=0, high=2**63 - 1)
    generator = torch.Generator().manual_seed(seed)
    rewards = []
    for begun in range(0, episodes, LARGEST_BATCH):
        batch_size = min(LARGEST_BATCH, episodes - begun)
        maze = GridMaze(
            config.size,
            batch_size,
            config.episode_length,
            config.reward,
            config.wall_penalty,
            generator=generator,
        )
        trajectory = rollout(
            net, maze, draw_chance(config.episode_length, batch_size, generator), config.engine
        )
        rewards.append(trajectory.rewards.sum(0))
    return torch.cat(rewards)


def evaluate(net: Network, config: TrainConfig, episodes: int = 500, seed: int = 1) -> dict[str, float | int]:
    """Summary of `episode_rewards`: mean, median, quartiles, standard deviation and error of the reward."""
    rewards = episode_rewards(net, config, episodes, seed).double()
    lower, median, upper = torch.quantile(
        rewards, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    ).tolist()
    deviation = rewards.std(correction=1).item() if episodes > 1 else 0.0
    return {
        "episodes": episodes,
        "seed": seed,
        "mean_reward": rewards.mean().item(),
        "median_reward": median,
        "lower_quartile_reward": lower,
        "upper_quartile_reward": upper,
        "std_reward": deviation,
        "standard_error": deviation / episodes**0.5,
    }
