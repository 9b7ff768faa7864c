"""An environment of your own: two arms, of which one pays better, and another one in each episode.

python examples/bandit.py --iterations 100

Which arm is the better one can only be found out by pulling, and must then be remembered.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import tyro
from torch import Tensor

import bpa
from bpa.experiments.evaluate import Score


class BanditNoise(NamedTuple):
    """All noise of a batch of episodes, drawn before it begins."""

    better: Tensor  # int64 [B], the arm that pays more often
    payout: Tensor  # [T, B], uniform numbers in [0, 1): whether the arm pays
    action: Tensor  # [T, B], uniform numbers in [0, 1): which action is sampled from the policy

    def shard(self, part: slice) -> BanditNoise:
        """The noise of some of the episodes, for one of several processes."""
        return BanditNoise(self.better[part], self.payout[:, part], self.action[:, part])


class Bandit:
    """B episodes of T pulls. The better arm pays 1 with probability `odds`, the other with 1 - `odds`."""

    observation_size, num_actions = 3, 2

    def __init__(
        self,
        batch_size: int = 30,
        episode_length: int = 10,
        odds: float = 0.9,
        generator: torch.Generator | None = None,
    ):
        self.batch_size, self.episode_length, self.odds = batch_size, episode_length, odds
        self.generator = generator or torch.Generator()

    def sample_noise(self) -> BanditNoise:
        """What makes runs of this environment resume and replay."""
        T, B = self.episode_length, self.batch_size
        better = torch.randint(2, (B,), generator=self.generator)
        return BanditNoise(better, *torch.rand(2, T, B, generator=self.generator))

    def reset(self, noise: BanditNoise | None = None) -> Tensor:
        """Start B new episodes: the first observation, [B, 3]."""
        self.noise, self.time = noise or self.sample_noise(), 0
        return self.observation(torch.zeros(self.batch_size, 2))

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, bool]:
        """Pull an arm in each episode, actions int64 [B]: observation [B, 3], reward [B], and done."""
        odds = torch.where(actions == self.noise.better, self.odds, 1 - self.odds)
        reward = (self.noise.payout[self.time] < odds).float()
        self.time += 1
        told = torch.nn.functional.one_hot(actions, 2) * (2 * reward - 1)[:, None]
        return self.observation(told), reward, self.time == self.episode_length

    def observation(self, told: Tensor) -> Tensor:
        """A 1 (bias), and for the arm just pulled +1 if it paid or -1 if not, 0 for the other."""
        return torch.cat([torch.ones(self.batch_size, 1), told], dim=1)


def main(iterations: int = 100, seed: int = 0) -> Score:
    """Train a neuromodulated network in the bandit, and score it in 1,000 fresh episodes."""
    env = Bandit()
    config = bpa.TrainConfig(iterations=iterations, seed=seed, hidden_size=32, learning_rate=1e-2, quiet=True)
    result = bpa.train(config, env=env)
    score = bpa.evaluate(result.network, env, episodes=1000)
    print(f"reward {score.mean:.2f} +- {score.standard_error:.2f} an episode; blind pulls earn 5")
    return score


if __name__ == "__main__":
    tyro.cli(main)
