"""The best that any agent with the network's own senses can do in the maze, once it has found its goal.

It knows the map and remembers everything, but like the network it sees only the 3 x 3 neighbourhood, the
clock, its last reward and its last action. A search from the centre needs no more: moves are certain, so it
knows where it is. At its first reward it therefore knows the goal, and is put on a cell that it does not
know: each of the others has the same chance. From then on it keeps its belief, the set of cells in which it
could be.

- What it sees leaves those cells alone that look alike. They share their walls, so that a move shifts the
  whole set, or none of it, and never makes two cells one: all cells of the set stay equally likely.
- A step without a reward strikes the goal out, and the new view divides what is left.
- At a reward the belief is every cell but the goal again, and the view divides it.

So the future depends on the goal, the set and the steps left alone, and few sets can be reached: about 250
for a goal in a maze of side 11. V(S, k), the most goals that can be expected in k steps from a set S, follows
step by step from V(S, 0) = 0:

    V(S, k) = max over moves of  P(goal) (1 + W(k - 1)) + sum over views v of P(v) V(S_v, k - 1),
    W(k) = sum over views v of P_first(v) V(first_v, k).

S_v are the cells that the move leads to and that look like v, without the goal, and P(goal) and P(v) are
shares of S. first_v are all cells but the goal that look like v, and P_first(v) is their share of all cells
but the goal. This is dynamic programming over a partially observed Markov decision process whose beliefs are
few: exact up to rounding. Moving into a wall changes nothing but the clock, so the ideal agent never does,
and no penalty concerns it.

The maze is the one of [2019, sec. 4.2]; the computation is ours. F is the number of free cells.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from bpa.arguments import require_begun, require_integer
from bpa.envs.maze_map import MazeMap, distinct_goals
from bpa.maze import MOVES, NUM_ACTIONS, GridMaze

SETS = {5: 16, 7: 102, 9: 425, 11: 2716, 13: 5641, 15: 71_631, 17: 156_080}  # by size; 19 has many millions
LARGEST_SIZE = max(SETS)
WINDOW = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1), (1, -1), (1, 0), (1, 1))  # what is seen
VIEWS = 2 ** len(WINDOW)
# The turns and reflections of the maze: whether rows and columns change places, and the signs they get then.
TURNS = tuple(itertools.product((False, True), (1, -1), (1, -1)))


class Beliefs(NamedTuple):
    """Every set of cells that an ideal agent's belief can be, for each kind of goal, and where moves lead.

    N sets, numbered, each of one goal.
    """

    goals: np.ndarray  # a cell of each kind of goal, int [G]
    goal: np.ndarray  # which of `goals` a set belongs to, int [N]
    view: np.ndarray  # what its cells look like, 0 to 511, int [N]
    cells: list[int]  # the set itself, see `beliefs_of`
    first: csr_array  # chance of each set after a teleport, [G, N]
    open: np.ndarray  # whether a move leads anywhere, bool [4, N]
    reach: np.ndarray  # chance that a move ends on the goal, float64 [4, N]
    move: csr_array  # chance that a move from a set leads to a set, [4 N, N], row N action + set


class Entries:
    """A sparse table that grows entry by entry."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.values: list[float] = []

    def add(self, row: int, column: int, value: float) -> None:
        """One more entry."""
        self.rows.append(row)
        self.columns.append(column)
        self.values.append(value)

    def table(self, rows: int, columns: int) -> csr_array:
        """All of them, [rows, columns]."""
        return csr_array((self.values, (self.rows, self.columns)), shape=(rows, columns))


def require_size(size: int) -> int:
    """`size` if the ideal agent can be computed for it, else ValueError."""
    size = require_integer("size", size, low=5)
    if size > LARGEST_SIZE:
        raise ValueError(
            f"size must be at most {LARGEST_SIZE} for the ideal agent, got {size}: "
            "in larger mazes it could be in millions of sets of cells"
        )
    return size


def view_codes(neighbourhood: Tensor) -> Tensor:
    """The number that a 3 x 3 neighbourhood [..., 9] is, 1 = wall, row by row: int64 [...], 0 to 511.

    The first of the nine counts 1, the last 256.
    """
    return (neighbourhood.long() << torch.arange(9, dtype=torch.int64, device=neighbourhood.device)).sum(-1)


def views_of(grid: MazeMap) -> np.ndarray:
    """What each free cell sees, int [F], as `view_codes` has it."""
    around = grid.cells[:, None] + torch.tensor(WINDOW, dtype=torch.int64, device="cpu")
    return view_codes(grid.cell_at[around[..., 0], around[..., 1]] < 0).numpy()


def bits_of(grid: MazeMap) -> list[int]:
    """The number that stands for each free cell in a set, [F]: a single bit, n row + column."""
    return [1 << len(grid.cell_at) * row + column for row, column in grid.cells.tolist()]


def beliefs_of(grid: MazeMap) -> Beliefs:
    """All sets that can be reached for each kind of goal: from those after a teleport, move by move.

    A set is written as a whole number with a bit for each of its cells, see `bits_of`. Then a move shifts the
    number, and what is seen is a bitwise and. It takes 10 ms for side 11 and a second for side 17.

    Raises:
        ValueError: the maze is larger than LARGEST_SIZE.
    """
    size = require_size(len(grid.cell_at))
    bits = bits_of(grid)
    shifts = [size * down + right for down, right in MOVES]
    looks: dict[int, int] = {}  # the cells of each view
    # The views that each action can lead to from a view; none if there is a wall.
    ahead: dict[int, list[set[int]]] = {}
    views, successors = views_of(grid).tolist(), grid.successors.tolist()
    for cell, view in enumerate(views):
        looks[view] = looks.get(view, 0) | bits[cell]
        leads_to = ahead.setdefault(view, [set() for _ in MOVES])
        for action, to in enumerate(successors[cell]):
            if to != cell:
                leads_to[action].add(views[to])

    sets: list[int] = []
    seen: list[int] = []  # the view of each set
    owner: list[int] = []  # the goal of each set, its place in `goals`
    numbers: dict[tuple[int, int], int] = {}

    def number(kind: int, cells: int, view: int) -> int:
        """The number of a set, a new one if it is met for the first time."""
        if (kind, cells) not in numbers:
            numbers[kind, cells] = len(sets)
            sets.append(cells)
            seen.append(view)
            owner.append(kind)
        return numbers[kind, cells]

    goals, _ = distinct_goals(grid)
    goal_bits = [bits[goal] for goal in goals]
    first, reach, move = Entries(), Entries(), [Entries() for _ in MOVES]
    for kind, goal in enumerate(goal_bits):
        for view, cells in looks.items():
            if left := cells & ~goal:
                first.add(kind, number(kind, left, view), left.bit_count() / (len(bits) - 1))
    done = 0
    while done < len(sets):
        cells, kind = sets[done], owner[done]
        goal, count = goal_bits[kind], cells.bit_count()
        for action, shift in enumerate(shifts):
            leads = ahead[seen[done]][action]
            there = cells << shift if shift > 0 else cells >> -shift
            if there & goal:
                reach.add(action, done, 1 / count)
            for view in leads:
                if left := there & looks[view] & ~goal:
                    move[action].add(done, number(kind, left, view), left.bit_count() / count)
        done += 1
    total = len(sets)
    return Beliefs(
        goals,
        np.array(owner),
        np.array(seen),
        sets,
        first.table(len(goals), total),
        np.array([[bool(ahead[view][action]) for view in seen] for action in range(NUM_ACTIONS)]),
        reach.table(NUM_ACTIONS, total).toarray(),
        vstack([each.table(total, total) for each in move], format="csr"),
    )


def goals_to_come(beliefs: Beliefs, steps: int, actions: np.ndarray | None = None) -> np.ndarray:
    """W(k), the most goals that can be expected in k steps after a teleport, float64 [G, steps + 1].

    `actions`, int8 [steps + 1, N], if given, is filled with the best action by steps left and set: the first
    of up, down, left, right where several are.
    """
    N = len(beliefs.goal)
    value = np.zeros(N)
    coming = np.zeros((len(beliefs.goals), steps + 1))
    for k in range(1, steps + 1):
        again = 1 + coming[beliefs.goal, k - 1]
        worth = (beliefs.move @ value).reshape(NUM_ACTIONS, N) + beliefs.reach * again
        worth[~beliefs.open] = -1  # less than nothing, so that no move into a wall is ever the best
        if actions is not None:
            actions[k] = worth.argmax(0)
        value = worth.max(0)
        coming[:, k] = beliefs.first @ value
    return coming


def turned(turn: tuple[bool, int, int], offset: tuple[int, int]) -> tuple[int, int]:
    """Where one of TURNS puts an offset (row, column)."""
    swap, down, right = turn
    row, column = offset[::-1] if swap else offset
    return down * row, right * column


def turns_of(grid: MazeMap, goals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of `goals` a turn about the centre makes of each cell, and which of TURNS, both int [F].

    Both are 0 for the centre.
    """
    middle, across = grid.cells[grid.centre].tolist()
    kinds, turns = np.zeros(len(grid.cells), dtype=int), np.zeros(len(grid.cells), dtype=int)
    offsets = [(row - middle, column - across) for row, column in grid.cells.tolist()]
    place = {offsets[goal]: kind for kind, goal in enumerate(goals.tolist())}
    for cell, offset in enumerate(offsets):
        for number, turn in enumerate(TURNS):
            if turned(turn, offset) in place:
                kinds[cell], turns[cell] = place[turned(turn, offset)], number
    return kinds, turns


class Ideal:
    """Sweeps along `path` until it is rewarded; then it takes the best action for what it knows, each time.

    It reads nothing but `maze.observation()` and the clock, and remembers. It may be asked for an action
    where somebody else acts: it follows what was done. Only the sweep goes on as if it had been kept to.

    Args:
        grid: the maze it is in; never larger than LARGEST_SIZE.
        path: the actions of its sweep from the centre, int64 [L]; see `ideal_path` of the baselines.
        episode_length: T, that of the mazes. It keeps an action for each of T steps and each set, one byte.

    Raises:
        ValueError: the maze is too large, or asked for actions in one whose episodes are of another length.
    """

    cell: np.ndarray  # where it is while it searches, int [B]
    belief: np.ndarray  # the set of cells in which it could be, -1 while it searches, int [B]
    goal: np.ndarray  # the cell it knows its goal to be, -1 before it knows, int [B]

    def __init__(self, grid: MazeMap, path: Tensor, episode_length: int):
        self.episode_length = require_integer("episode_length", episode_length, low=1)
        self.grid, self.path, self.successors = grid, path.numpy(), grid.successors.numpy()
        self.beliefs = beliefs = beliefs_of(grid)
        N = len(beliefs.goal)
        self.best = np.zeros((episode_length + 1, N), dtype=np.int8)  # by steps left
        goals_to_come(beliefs, episode_length, self.best)
        self.kinds, self.turns = turns_of(grid, beliefs.goals)
        # The set that a teleport leads to, by kind of goal and view.
        self.first = np.full((len(beliefs.goals), VIEWS), -1)
        kind, number = beliefs.first.nonzero()
        self.first[kind, beliefs.view[number]] = number
        # The sets that a move can lead to, side by side, and -1 where there are fewer.
        count = np.diff(beliefs.move.indptr)
        self.ahead = np.full((len(count), count.max()), -1)
        self.ahead[np.arange(count.max()) < count[:, None]] = beliefs.move.indices
        # What a view is called in a turned maze, and which action is meant by one there.
        self.turned_view = np.array(
            [
                sum(
                    (np.arange(VIEWS) >> bit & 1) << WINDOW.index(turned(turn, offset))
                    for bit, offset in enumerate(WINDOW)
                )
                for turn in TURNS
            ]
        )
        self.turned_action = np.array([[MOVES.index(turned(turn, move)) for move in MOVES] for turn in TURNS])
        self.turned_back = self.turned_action.argsort(1)

    def __call__(self, maze: GridMaze) -> Tensor:
        """Actions [B]; RuntimeError before the maze's first reset."""
        require_begun(maze, "asking for actions")
        if maze.episode_length != self.episode_length:
            raise ValueError(
                f"maze must have episodes of {self.episode_length} steps, as the ideal agent was told, "
                f"got {maze.episode_length}"
            )
        if maze.time > 0 and not hasattr(self, "belief"):
            raise RuntimeError(
                "the ideal agent must see an episode from its first step: call reset() before it"
            )
        sensed = maze.observation().cpu()
        if maze.time == 0:
            self.cell = np.full(len(sensed), self.grid.centre)
            self.belief, self.goal = np.full_like(self.cell, -1), np.full_like(self.cell, -1)
        else:
            self.learn(
                view_codes(sensed[:, :9]).numpy(),
                (sensed[:, 12] > 0).numpy(),
                sensed[:, 13:].argmax(1).numpy(),
            )
        turn = self.turns[self.goal]
        knowing = self.turned_back[turn, self.best[self.episode_length - maze.time, self.belief]]
        sweeping = self.path[min(maze.time, len(self.path) - 1)]
        return torch.from_numpy(np.where(self.belief < 0, sweeping, knowing)).to(maze.device)

    def learn(self, view: np.ndarray, rewarded: np.ndarray, action: np.ndarray) -> None:
        """Take in what is seen after an action, and whether it was rewarded, each [B]."""
        self.cell = self.successors[self.cell, action]  # of no meaning any more after the first teleport
        self.goal = np.where(rewarded & (self.goal < 0), self.cell, self.goal)
        kind, turn = self.kinds[self.goal], self.turns[self.goal]
        view, action = self.turned_view[turn, view], self.turned_action[turn, action]
        ahead = self.ahead[len(self.beliefs.goal) * action + self.belief]
        fits = (ahead >= 0) & (self.beliefs.view[ahead] == view[:, None])
        moved = np.where(fits.any(1), ahead[np.arange(len(ahead)), fits.argmax(1)], self.belief)
        self.belief = np.where(rewarded, self.first[kind, view], np.where(self.belief < 0, -1, moved))

    def could_be(self) -> Tensor:
        """The cells in which it could be for all it knew when it was last asked for actions, bool [B, F]."""
        offsets = (self.grid.cells - self.grid.cells[self.grid.centre]).tolist()
        number = {(row, column): bit for (row, column), bit in zip(offsets, bits_of(self.grid), strict=True)}
        bits = [[number[turned(turn, (row, column))] for row, column in offsets] for turn in TURNS]
        inside = np.arange(len(offsets)) == self.cell[:, None]
        for episode, belief in enumerate(self.belief.tolist()):
            if belief >= 0:
                cells = self.beliefs.cells[belief]
                inside[episode] = [bool(cells & bit) for bit in bits[self.turns[self.goal[episode]]]]
        return torch.from_numpy(inside)
