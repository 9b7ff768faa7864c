"""The map of the grid maze: its free cells, where each move leads, and how far it is between them.

What an agent knows that is told the map. The maze is the one of [2019, sec. 4.2].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bpa.arguments import require_integer
from bpa.maze import MOVES, maze_walls


class MazeMap(NamedTuple):
    """What there is to know about a maze. A cell is its index among the free cells, row by row."""

    cells: Tensor  # (row, column) of each free cell, int64 [F, 2]
    cell_at: Tensor  # cell at each (row, column), int64 [n, n], -1 in a wall
    successors: Tensor  # cell that an action leads to, int64 [F, 4]; a blocked move leads nowhere
    centre: int

    def distances_between(self, one: Tensor, other: Tensor) -> Tensor:
        """Steps of a shortest path between cells, int64 of the shape that both broadcast to.

        Rows and columns of an odd number are corridors, so that a way of the fewest rows and columns is free
        but in one case: two cells of one even row, or column, have pillars between them and walk round, two
        steps more. Only where the centre was a pillar do its neighbours see each other, and it sees them.
        """
        (row, column), (other_row, other_column) = self.cells[one].unbind(-1), self.cells[other].unbind(-1)
        down, right = (row - other_row).abs(), (column - other_column).abs()
        in_row = (down == 0) & (row % 2 == 0) & (right > 0)
        in_column = (right == 0) & (column % 2 == 0) & (down > 0)
        middle = self.cells[self.centre]
        side = (self.cells - middle).abs().sum(-1)  # of a neighbour of the centre 1, of the centre 0
        seen = (side[one] <= 1) & (side[other] <= 1)
        return down + right + 2 * ((in_row | in_column) & ~seen)

    @property
    def distances(self) -> Tensor:
        """Steps between any two cells, int64 [F, F]: for small mazes, since F grows like n squared."""
        every = torch.arange(len(self.cells), dtype=torch.int64, device="cpu")
        return self.distances_between(every[:, None], every)


def maze_map(size: int) -> MazeMap:
    """The map of the maze of side n."""
    size = require_integer("size", size, low=5)
    walls = maze_walls(size)
    cells = (~walls).nonzero()
    count = len(cells)
    index = torch.full((size, size), -1, dtype=torch.int64, device="cpu")
    numbers = torch.arange(count, dtype=torch.int64, device="cpu")
    index[cells[:, 0], cells[:, 1]] = numbers
    ahead = cells[:, None, :] + torch.tensor(MOVES, dtype=torch.int64, device="cpu")
    successors = index[ahead[..., 0], ahead[..., 1]]
    successors = torch.where(successors < 0, numbers[:, None], successors)
    return MazeMap(cells, index, successors, int(index[size // 2, size // 2]))


def homing_actions(grid: MazeMap, cells: Tensor, goals: Tensor) -> Tensor:
    """The first action of a shortest path from each cell to its goal, int64 of the shape both broadcast to.

    Where several are shortest it is the first of up, down, left, right. The choice changes no reward: the
    teleport that follows does not depend on the way taken.
    """
    return grid.distances_between(grid.successors[cells], goals[..., None]).argmin(-1)


def distinct_goals(grid: MazeMap) -> tuple[np.ndarray, np.ndarray]:
    """Goals that no turn or reflection of the maze makes one another, int [G], and the share of each [G].

    The start is the centre, so that what an agent earns that treats the four directions alike is the same for
    all goals of one kind; G is about an eighth of F.
    """
    away = (grid.cells - grid.cells[grid.centre]).abs().sort(dim=1).values.numpy()
    _, first, counts = np.unique(away, axis=0, return_index=True, return_counts=True)
    other = first != grid.centre
    return first[other], counts[other] / (len(away) - 1)
