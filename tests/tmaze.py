"""An environment of somebody else: a T-maze, in which a cue at the start tells where to turn at the end."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot


class TMazeNoise(NamedTuple):
    goal: Tensor  # int64 [B], 0 left or 1 right
    action: Tensor  # [T, B]

    def shard(self, part):
        return TMazeNoise(self.goal[part], self.action[:, part])


class TMaze:
    """Actions: 0 on, 1 left, 2 right. Observation: the cue, left and right; at the junction; a 1.

    Who turns at the junction is paid if it was towards the goal, and the episode is over.
    """

    observation_size, num_actions = 4, 3

    def __init__(self, batch_size=4, episode_length=6, corridor=2, generator=None):
        self.batch_size, self.episode_length, self.corridor = batch_size, episode_length, corridor
        self.generator = generator or torch.Generator()

    def sample_noise(self):
        goal = torch.randint(2, (self.batch_size,), generator=self.generator)
        return TMazeNoise(goal, torch.rand(self.episode_length, self.batch_size, generator=self.generator))

    def reset(self, noise=None):
        self.goal = (noise or self.sample_noise()).goal
        self.place, self.time = torch.zeros_like(self.goal), 0
        self.over = torch.zeros_like(self.goal, dtype=torch.bool)
        return self.sensed(cue=one_hot(self.goal, 2).float())

    def sensed(self, cue):
        """What is seen, [B, 4]."""
        junction = (self.place == self.corridor).float()
        return torch.cat([cue, junction[:, None], torch.ones(self.batch_size, 1)], 1)

    def step(self, actions):
        turned = (self.place == self.corridor) & (actions > 0) & ~self.over
        reward = (turned & (actions - 1 == self.goal)).float()
        self.place = torch.where(actions == 0, (self.place + 1).clamp(max=self.corridor), self.place)
        self.time, self.over = self.time + 1, self.over | turned
        done = self.over | (self.time == self.episode_length)
        return self.sensed(cue=torch.zeros(self.batch_size, 2)), reward, done
