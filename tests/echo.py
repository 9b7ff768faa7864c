"""A supervised task of somebody else: say what was shown a step ago."""

import torch

from bpa.tasks.base import Batch


class Echo:
    def __init__(self, num_symbols=3, steps=5, batch_size=4, generator=None):
        self.input_size = self.output_size = num_symbols
        self.steps, self.batch_size, self.generator = steps, batch_size, generator

    def sample(self):
        shape = (self.steps, self.batch_size)
        shown = torch.randint(self.input_size, shape, generator=self.generator)
        mask = torch.ones(shape, dtype=torch.bool)
        mask[0] = False
        return Batch(torch.nn.functional.one_hot(shown, self.input_size).float(), shown.roll(1, 0), mask)
