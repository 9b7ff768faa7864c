"""Floors and ceilings of the grid maze: what a random walk earns, and agents that are told more than ours.

Five policies, each with its expected reward computed exactly and with a way to measure it in `GridMaze`:

- "random" takes each of the four actions with the same probability. It knows nothing: the floor.
- "straight" sees which cells beside it are free and what it did last. It keeps its direction, turns now and
  then, and never goes back unless it must: what an agent earns that walks well and remembers nothing.
- "oracle" knows map, position and goal, and walks a shortest path: the ceiling nobody reaches.
- "explorer" knows map and position but not the goal. It sweeps the maze on a short covering path until it is
  rewarded, and from then on it is the oracle. Its ceiling is a sharper one.
- "ideal" knows the map and the cell it starts in, and senses what our agents sense. So it sweeps like the
  explorer, but after each reward it has to find out where it is, and does it in the best way there is: the
  ceiling of our agents, see `bpa.envs.ideal`.

The maze is the one of [2019, sec. 4.2]; the baselines are ours. F is the number of free cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from torch import Tensor

from bpa.arguments import require_begun, require_choice, require_integer, require_number
from bpa.envs.ideal import SETS, Ideal, beliefs_of, goals_to_come, require_size, turns_of
from bpa.envs.maze_map import MazeMap, distinct_goals, homing_actions, maze_map
from bpa.maze import NUM_ACTIONS, GridMaze
from bpa.noise import given_or_fresh, integers, uniform

POLICIES = ("random", "straight", "oracle", "explorer", "ideal")
AHEAD = (1, 7, 3, 5)  # in an observation, the cells that up, down, left and right lead to
BACK = (1, 0, 3, 2)  # the action that undoes each action
KEEP = 0.75  # how often the straight walker goes on where it could turn
GOALS_AT_ONCE = 32  # their probabilities of every cell of a large maze still fit a processor's cache
MOST_SETS = 4e8  # steps x sets of an ideal agent that take a quarter of a minute
SETS_OF_A_STEP = 2500  # as many take as long as the rest of a step
MOST_WORK = 1e10  # steps x goals x cells of a random walk that take about a quarter of a minute


class Score(NamedTuple):
    """A measured reward per episode."""

    mean: float
    standard_error: float  # of the mean: sample standard deviation / sqrt(episodes)
    episodes: int


class RandomWalk:
    """Each of the four actions with the same probability, whatever is sensed."""

    def __init__(self, generator: torch.Generator | None = None):
        self.generator = given_or_fresh(generator)

    def __call__(self, maze: GridMaze) -> Tensor:
        """Actions [B]."""
        return integers(NUM_ACTIONS, maze.batch_size, generator=self.generator).to(maze.device)


class StraightWalk:
    """Keeps its direction, turns now and then, and never goes back unless it must; it remembers nothing.

    All that it needs is in `maze.observation()`: the cells around it and its last action.
    """

    def __init__(self, generator: torch.Generator | None = None):
        self.generator = given_or_fresh(generator)
        self.turns = torch.from_numpy(straight_turns().cumsum(-1))

    def __call__(self, maze: GridMaze) -> Tensor:
        """Actions [B]."""
        sensed = maze.observation().cpu()
        free = (sensed[:, AHEAD] == 0).long() @ torch.tensor([1, 2, 4, 8], dtype=torch.int64, device="cpu")
        below = self.turns[sensed[:, 13:].argmax(1), free][:, :-1]  # [B, 3]
        drawn = uniform(maze.batch_size, generator=self.generator).double()
        return (drawn[:, None] >= below).sum(1).to(maze.device)


def straight_turns() -> np.ndarray:
    """How likely the straight walker takes each action: [last action, which of the four are free, action].

    Actions that are free are the bits of a number, the lowest for the first.
    """
    turns = np.zeros((NUM_ACTIONS, 2**NUM_ACTIONS, NUM_ACTIONS))
    for last, free in np.ndindex(turns.shape[:2]):
        open_to = [action for action in range(NUM_ACTIONS) if free >> action & 1]
        onwards = [action for action in open_to if action != BACK[last]] or open_to
        kept = KEEP if last in open_to else 0.0
        if onwards:
            turns[last, free, onwards] = (1 - kept) / len(onwards)
            turns[last, free, last] += kept
    return turns


class Oracle:
    """A shortest path to the goal, which it is told."""

    def __init__(self, grid: MazeMap):
        self.grid = grid

    def __call__(self, maze: GridMaze) -> Tensor:
        """Actions [B]; RuntimeError before the maze's first reset."""
        require_begun(maze, "asking for actions")
        cell = self.grid.cell_at[maze.agent[:, 0], maze.agent[:, 1]]
        return homing_actions(self.grid, cell, maze.goal_index)


class Explorer:
    """Sweeps along `path` until it is rewarded; then it knows the goal and walks straight back each time.

    Args:
        grid: the maze it is in. It is told its position at every step, never the goal.
        path: the actions of its sweep from the centre, int64 [L]; see `covering_path`.
    """

    goal: Tensor  # the cell it knows its goal to be, -1 before it knows, int64 [B]
    entered: Tensor  # the cell that its last action led to, int64 [B]

    def __init__(self, grid: MazeMap, path: Tensor):
        self.grid, self.path = grid, path

    def __call__(self, maze: GridMaze) -> Tensor:
        """Actions [B]; RuntimeError before the maze's first reset."""
        require_begun(maze, "asking for actions")
        cell = self.grid.cell_at[maze.agent[:, 0], maze.agent[:, 1]]
        if maze.time > 0 and not hasattr(self, "goal"):
            raise RuntimeError("the explorer must see an episode from its first step: call reset() before it")
        if maze.time == 0:
            self.goal = torch.full_like(cell, -1)
        else:
            # It never walks into a wall, so a reward other than zero came from the cell it stepped onto.
            self.goal = torch.where(maze.previous_reward != 0, self.entered, self.goal)
        sweeping = self.path[min(maze.time, len(self.path) - 1)]
        homing = homing_actions(self.grid, cell, self.goal.clamp(min=0))
        actions = torch.where(self.goal < 0, sweeping, homing)
        self.entered = self.grid.successors[cell, actions]
        return actions


def finding_values(grid: MazeMap, episode_length: int, goals: np.ndarray | None = None) -> np.ndarray:
    """Goals an oracle reaches in all if it first steps onto the goal at time t, float64 [G, T + 2].

    Row: the goal, of `goals`, or of all F cells if None. Column: t, from 1 to T; the last column is 0, for a
    goal not found in time. It solves V(t) = 1 + sum_d P(d) V(t + d), where P(d) is the probability that a
    teleport ends d steps from the goal.
    """
    T, count = episode_length, len(grid.cells)
    goals = np.arange(count) if goals is None else goals
    # Nobody walks farther than T steps, nor than from one corner to the other and round one pillar.
    farthest = min(T, 2 * len(grid.cell_at))
    probability = np.zeros((len(goals), farthest))
    cells = torch.arange(count, dtype=torch.int64, device="cpu")
    for place, goal in enumerate(torch.from_numpy(goals)):
        steps = grid.distances_between(cells, goal)
        # A teleport never ends on the goal itself.
        probability[place] = np.bincount(steps, minlength=farthest + 1)[1 : farthest + 1] / (count - 1)
    away = np.arange(1, farthest + 1)
    values = np.zeros((len(goals), T + 2))
    for t in range(T, -1, -1):
        later = np.minimum(t + away, T + 1)
        values[:, t] = 1 + (probability * values[:, later]).sum(1)
    return values


def ideal_values(grid: MazeMap, episode_length: int) -> np.ndarray:
    """Goals an ideal agent reaches in all if it first steps onto the goal at time t, float64 [F, T + 2].

    As `finding_values` has it for an oracle; the row of the centre, where no goal is, means nothing.
    """
    beliefs = beliefs_of(grid)
    kinds, _ = turns_of(grid, beliefs.goals)
    values = np.zeros((len(grid.cells), episode_length + 2))
    values[:, :-1] = 1 + goals_to_come(beliefs, episode_length)[kinds, ::-1]
    return values


def covering_path(size: int, episode_length: int = 200, beam_width: int = 2000) -> Tensor:
    """Actions of a sweep from the centre that earns much in expectation, int64 [L], L at most T.

    A sweep earns the mean over goals of V(time at which the goal's cell is first entered), with V from
    `finding_values`: not the shortest path wins but one that enters many cells early. No better plan exists
    for an agent without the goal, since until the reward it learns nothing that it did not know. The best
    path is a minimum latency problem, hard to solve exactly. This is a beam search: after every step the
    `beam_width` most promising partial paths are kept, each judged by what it has earned plus what the cells
    left would earn if they were found when all of them are, at 1.3 steps a cell. It is deterministic.
    `explorer_bound` says how much a better path could earn at most: for sides 9, 11 and 13 the path found
    earns 99.2, 98.3 and 97.4 per cent of that. It stops when no cell is left, or after T steps.

    Args:
        size: side n of the maze. episode_length: T, at least 1. beam_width: at least 1.
    """
    episode_length = require_integer("episode_length", episode_length, low=1)
    grid = maze_map(size)
    return best_sweep(grid, finding_values(grid, episode_length), beam_width)


def ideal_path(size: int, episode_length: int = 200, beam_width: int = 2000) -> Tensor:
    """Actions of a sweep on which an ideal agent earns much in expectation, int64 [L], L at most T.

    It is the better of two: the sweep that the search of `covering_path` finds with `ideal_values`, and
    `covering_path` itself, since either can miss the best one. Arguments as of `covering_path`; ValueError
    too if the maze is larger than side 17.
    """
    episode_length = require_integer("episode_length", episode_length, low=1)
    grid = maze_map(require_size(size))
    values = ideal_values(grid, episode_length)
    paths = best_sweep(grid, values, beam_width), covering_path(size, episode_length, beam_width)
    return max(paths, key=lambda path: sweep_earnings(grid, path, values))


def best_sweep(grid: MazeMap, values: np.ndarray, beam_width: int) -> Tensor:
    """The search of `covering_path`, for what a goal first met at time t is worth: `values` [F, T + 2]."""
    beam_width = require_integer("beam_width", beam_width, low=1)
    T, count = values.shape[1] - 2, len(grid.cells)
    successors = grid.successors.numpy()
    # Two partial paths at the same cell that have entered the same cells differ only in what they earned.
    # They are recognised by the exclusive or of one random word for each cell entered.
    words = np.random.default_rng(0).integers(2**63, size=(2, count), dtype=np.uint64)
    cell = np.array([grid.centre])
    entered = np.arange(count)[None] == grid.centre
    earned = np.zeros(1)
    known_as = np.zeros(1, dtype=np.uint64)
    steps = []
    for t in range(1, T + 1):
        parent, action = np.repeat(np.arange(len(cell)), NUM_ACTIONS), np.tile(range(NUM_ACTIONS), len(cell))
        to = successors[cell[parent], action]
        new = ~entered[parent, to]
        total = earned[parent] + np.where(new, values[to, t], 0)
        name = known_as[parent] ^ np.where(new, words[0, to], 0)
        richest = np.argsort(-total, kind="stable")
        kept = richest[np.unique(name[richest] ^ words[1, to[richest]], return_index=True)[1]]
        left = ~entered[parent[kept]]
        left[np.arange(len(kept)), to[kept]] = False
        when = np.minimum(t + 1.3 * left.sum(1), T + 1).astype(int)
        promise = total[kept] + (left * values[:, when].T).sum(1)
        best = np.argsort(-promise, kind="stable")[:beam_width]
        kept = kept[best]
        entered = ~left[best]
        cell, earned, known_as = to[kept], total[kept], name[kept]
        steps.append((parent[kept], action[kept]))
        if entered[0].all():
            break

    actions, path = [], 0
    for parent, action in reversed(steps):
        actions.append(int(action[path]))
        path = parent[path]
    return torch.tensor(actions[::-1], dtype=torch.int64, device="cpu")


def first_entries(grid: MazeMap, path: Tensor, episode_length: int) -> np.ndarray:
    """Time at which a sweep first enters each cell, int [F]; T + 1 where it does not. The centre has 0."""
    times = np.full(len(grid.cells), episode_length + 1)
    cell = grid.centre
    times[cell] = 0
    for t, action in enumerate(path.tolist(), start=1):
        cell = int(grid.successors[cell, action])
        times[cell] = min(times[cell], t)
    return times


def sweep_earnings(grid: MazeMap, path: Tensor, values: np.ndarray) -> float:
    """The mean over goals of `values` [F, T + 2] at the time at which a sweep first enters them."""
    times = first_entries(grid, path, values.shape[1] - 2)
    earned = values[np.arange(len(times)), times]
    return float(np.delete(earned, grid.centre).mean())


def checked(
    policy: str, episode_length: int, reward: float, wall_penalty: float
) -> tuple[str, int, float, float]:
    """The same, plain; ValueError for what no episode can have."""
    return (
        require_choice("policy", policy, POLICIES),
        require_integer("episode_length", episode_length, low=1),
        require_number("reward", reward, low=0),
        require_number("wall_penalty", wall_penalty, low=0),
    )


def expected_reward(
    policy: str, size: int = 11, episode_length: int = 200, reward: float = 10.0, wall_penalty: float = 0.0
) -> float:
    """Expected reward per episode of one of POLICIES, exact up to rounding: nothing is sampled.

    "random" and "straight": the probability of every cell, and of every last action, is carried forward step
    by step, for every goal. "oracle" and
    "explorer": `finding_values`, at the distance from the centre or at the sweep's first entry. "ideal":
    `ideal_values` at the first entry of `ideal_path`, a sweep for them.
    How long it takes in large mazes is said by `affordable`; "explorer" takes far longer.
    With T = 200 and reward 10: random 14.37, 7.72, 5.38, straight 76.67, 43.79, 27.29,
    ideal 360.97, 227.21, 177.89, explorer 379.87, 274.98, 207.62, oracle 416.23, 324.23, 269.57 for sides 9,
    11 and 13.

    Raises:
        ValueError: the policy is unknown, a number is out of range, or the maze is too large for "ideal",
            which is computed up to side 17.

    Example:
        >>> from bpa.envs.baselines import expected_reward
        >>> f"{expected_reward('random', size=9):.2f}"  # at random
        '14.37'
        >>> f"{expected_reward('oracle', size=9):.2f}"  # for one that knows where the goal is
        '416.23'
    """
    policy, episode_length, reward, wall_penalty = checked(policy, episode_length, reward, wall_penalty)
    grid, T = maze_map(require_size(size) if policy == "ideal" else size), episode_length
    if policy == "random":
        return random_reward(grid, T, reward, wall_penalty)
    if policy == "straight":
        return straight_reward(grid, T, reward)
    if policy == "ideal":
        return reward * sweep_earnings(grid, ideal_path(size, T), ideal_values(grid, T))
    if policy == "oracle":
        goals, share = distinct_goals(grid)
        times = grid.distances_between(
            torch.tensor(grid.centre, dtype=torch.int64, device="cpu"), torch.from_numpy(goals)
        ).numpy()
        goals, share, times = (each[times <= T] for each in (goals, share, times))
    else:
        goals = np.delete(np.arange(len(grid.cells)), grid.centre)
        share = np.full(len(goals), 1 / len(goals))
        times = first_entries(grid, covering_path(size, T), T)[goals]
    return float(reward * share @ finding_values(grid, T, goals)[np.arange(len(goals)), times])


def random_reward(grid: MazeMap, episode_length: int, reward: float, wall_penalty: float) -> float:
    """`expected_reward` of the random walk, whose every step shares out the probability of a cell."""
    count = len(grid.cells)
    entries = np.full(NUM_ACTIONS * count, 1 / NUM_ACTIONS)
    places = (grid.successors.numpy().ravel(), np.arange(count).repeat(NUM_ACTIONS))
    move = csr_array((entries, places), shape=(count, count))  # row: to; column: from
    bump = move.diagonal()
    goals, share = distinct_goals(grid)
    total = 0.0
    for begin in range(0, len(goals), GOALS_AT_ONCE):
        goal, weight = goals[begin : begin + GOALS_AT_ONCE], share[begin : begin + GOALS_AT_ONCE]
        column = np.arange(len(goal))
        standing = np.zeros((count, len(goal)))  # column: goal
        standing[grid.centre] = 1
        for _ in range(episode_length):
            if wall_penalty:
                total -= wall_penalty * (bump @ standing) @ weight
            standing = move @ standing
            found = standing[goal, column]
            total += reward * found @ weight
            standing += found / (count - 1)
            standing[goal, column] = 0
    return float(total)


def straight_reward(grid: MazeMap, episode_length: int, reward: float) -> float:
    """`expected_reward` of the straight walker, which meets no wall; it begins as if it had gone up."""
    count, A = len(grid.cells), NUM_ACTIONS
    successors = grid.successors.numpy()
    free = (successors != np.arange(count)[:, None]) @ (1 << np.arange(A))
    likely = straight_turns()[:, free]  # [last, cell, action]
    last, cell, action = likely.nonzero()
    places = (action * count + successors[cell, action], last * count + cell)
    move = csr_array((likely[last, cell, action], places), shape=(A * count, A * count))
    goals = np.delete(np.arange(count), grid.centre)  # it has a favourite direction: no two are alike
    total = 0.0
    for begin in range(0, len(goals), GOALS_AT_ONCE):
        goal = goals[begin : begin + GOALS_AT_ONCE]
        column = np.arange(len(goal))
        standing = np.zeros((A, count, len(goal)))  # last action, cell; column: goal
        standing[0, grid.centre] = 1
        for _ in range(episode_length):
            standing = (move @ standing.reshape(A * count, -1)).reshape(standing.shape)
            found = standing[:, goal, column]  # [A, goals]
            total += reward * found.sum() / len(goals)
            standing += found[:, None] / (count - 1)
            standing[:, goal, column] = 0
    return float(total)


def affordable(policy: str, size: int, episode_length: int) -> bool:
    """Whether `expected_reward` takes seconds, not minutes or hours; for all of POLICIES but "explorer".

    With T = 200 and one thread "random" takes 2 s for side 101, and up to side 163 it is affordable (15 s);
    "straight" is affordable up to side 45; "oracle" takes half a second for side 101 and is affordable up to
    side 271 (11 s); "ideal" takes half a second for side 11 and 6 s for side 17, the largest.
    """
    require_choice("policy", policy, ("random", "straight", "oracle", "ideal"))
    if policy == "ideal":
        return size in SETS and episode_length * (SETS[size] + SETS_OF_A_STEP) <= MOST_SETS
    cells = 3 / 4 * size**2
    goals = cells / 8
    if policy == "random":
        return episode_length * goals * cells <= MOST_WORK
    if policy == "straight":  # any two goals may differ, and a cell has four last actions, in larger tables
        return 5 * episode_length * cells * NUM_ACTIONS * cells <= MOST_WORK
    goals = min(goals, 3 / 4 * episode_length**2 / 4)
    return goals * (25 * cells + episode_length * min(episode_length, 2 * size)) <= MOST_WORK


def explorer_bound(size: int = 11, episode_length: int = 200, reward: float = 10.0) -> float:
    """What no agent that must search for its goal can exceed, in expected reward per episode.

    Cells are coloured like a chessboard, and every step changes colour. So the k-th new cell of the
    colour next to the centre is entered at step 2k - 1 or later, the k-th of the other at step 2k. The
    bound gives each cell one such time, in the way that earns most (an assignment problem); a real path
    must also connect them. With T = 200 and reward 10: 382.94, 279.76, 213.24 for sides 9, 11 and 13.
    """
    _, episode_length, reward, _ = checked("explorer", episode_length, reward, 0.0)
    grid = maze_map(size)
    return reward * best_entries(grid, finding_values(grid, episode_length))


def ideal_bound(size: int = 11, episode_length: int = 200, reward: float = 10.0) -> float:
    """What no agent with our agents' senses can exceed, in expected reward per episode, however it searches.

    The bound of `explorer_bound`, with what an ideal agent earns after its first reward. With T = 200 and
    reward 10: 363.45, 228.86, 180.64 for sides 9, 11 and 13; "ideal" itself earns 99.3, 99.3 and 98.5 per
    cent of that.

    Raises:
        ValueError: a number is out of range, or the maze is larger than side 17.
    """
    _, episode_length, reward, _ = checked("ideal", episode_length, reward, 0.0)
    grid = maze_map(require_size(size))
    return reward * best_entries(grid, ideal_values(grid, episode_length))


def best_entries(grid: MazeMap, values: np.ndarray) -> float:
    """The mean over goals of `values` [F, T + 2] if cells are entered as early as their colours allow."""
    colour = ((grid.cells - grid.cells[grid.centre]).sum(1) % 2).numpy()
    total = 0.0
    for near in (1, 0):
        cells = np.flatnonzero((colour == near) & (np.arange(len(colour)) != grid.centre))
        times = np.minimum(2 * np.arange(1, len(cells) + 1) - near, values.shape[1] - 1)
        earned = values[cells][:, times]
        total += earned[linear_sum_assignment(earned, maximize=True)].sum()
    return float(total / (len(colour) - 1))


def play(maze: GridMaze, policy: Callable[[GridMaze], Tensor]) -> Tensor:
    """Reward [B] that `policy` earns in one batch of whole episodes. The maze is reset first."""
    maze.reset()
    total = torch.zeros(maze.batch_size, dtype=torch.float64, device=maze.device)
    done = False
    while not done:
        _, reward, done = maze.step(policy(maze))
        total += reward
    return total


def score(
    policy: str,
    size: int = 11,
    episodes: int = 1000,
    generator: torch.Generator | None = None,
    episode_length: int = 200,
    reward: float = 10.0,
    wall_penalty: float = 0.0,
) -> Score:
    """Reward per episode of one of POLICIES, measured in GridMaze, with its standard error.

    With the same seed all policies get the same goals. A fresh unseeded generator is used if None.

    Raises:
        ValueError: the policy is unknown, there are fewer than 2 episodes, or a number is out of range.
    """
    policy, episode_length, reward, wall_penalty = checked(policy, episode_length, reward, wall_penalty)
    episodes = require_integer("episodes", episodes, low=2)
    maze = GridMaze(size, episodes, episode_length, reward, wall_penalty, generator=generator)
    act: Callable[[GridMaze], Tensor]
    if policy == "random":
        act = RandomWalk(maze.generator)
    elif policy == "straight":
        act = StraightWalk(maze.generator)
    elif policy == "oracle":
        act = Oracle(maze_map(size))
    elif policy == "explorer":
        act = Explorer(maze_map(size), covering_path(size, episode_length))
    else:
        act = Ideal(maze_map(size), ideal_path(size, episode_length), episode_length)
    total = play(maze, act)
    return Score(total.mean().item(), total.std().item() / episodes**0.5, episodes)
