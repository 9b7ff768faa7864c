"""The maze by its rules in words, for tests that compute its values apart from `bpa`."""

import itertools

import torch

MOVES = [(-1, 0), (1, 0), (0, -1), (0, 1)]


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def free_cells(n):
    """The free cells, from the rules."""
    inside = itertools.product(range(1, n - 1), repeat=2)
    return [cell for cell in inside if cell == (n // 2, n // 2) or cell[0] % 2 or cell[1] % 2]
