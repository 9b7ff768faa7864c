"""An environment of somebody else: one arm pays in each episode, and which one, only pulling tells."""

from typing import NamedTuple

import torch
from torch import Tensor


class BanditNoise(NamedTuple):
    arm: Tensor  # int64 [B], the one that pays
    length: Tensor  # int64 [B], steps of each episode
    action: Tensor  # [T, B]

    def shard(self, part):
        return BanditNoise(self.arm[part], self.length[part], self.action[:, part])


class Bandit:
    observation_size, num_actions = 3, 2

    def __init__(self, batch_size=4, episode_length=6, pay=1.0, unequal=False, generator=None):
        self.batch_size, self.episode_length = batch_size, episode_length
        self.pay, self.unequal, self.generator = pay, unequal, generator or torch.Generator()

    def sample_noise(self):
        T, B = self.episode_length, self.batch_size
        arm, length = torch.randint(1, T + 1, (2, B), generator=self.generator)
        if not self.unequal:
            length = torch.full((B,), T)
        return BanditNoise(arm % 2, length, torch.rand(T, B, generator=self.generator))

    def reset(self, noise=None):
        self.noise, self.time = noise or self.sample_noise(), 0
        return torch.cat([torch.ones(self.batch_size, 1), torch.zeros(self.batch_size, 2)], 1)

    def step(self, actions):
        over = self.time >= self.noise.length  # before this step: what comes then may be anything
        self.time += 1
        reward = self.pay * (actions == self.noise.arm).float()
        told = torch.nn.functional.one_hot(actions, 2) * (2 * reward / self.pay - 1)[:, None]
        seen = torch.cat([torch.ones(self.batch_size, 1), told], 1)
        seen[over], reward[over] = torch.nan, 1e9
        done = self.time >= self.noise.length if self.unequal else self.time == self.episode_length
        return seen, reward, done
