"""A training run of no length, and the comparison of two."""

import torch

from bpa import TrainConfig

SMALL = TrainConfig(iterations=3, size=5, batch_size=2, hidden_size=6, episode_length=9, quiet=True)


def weights(result):
    return result.network.state_dict()


def assert_equal_weights(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
