"""The ideal agent: its table against the definition, its play against its table, and what it may not know."""

import functools
from fractions import Fraction

import numpy as np
import pytest
import torch
from mazes import MOVES, free_cells, seeded

from bpa import GridMaze
from bpa.envs import baselines, ideal
from bpa.envs.maze_map import distinct_goals, maze_map


def seen_from(cell, free):
    """The 3 x 3 neighbourhood: which of its cells are free."""
    return tuple((cell[0] + i, cell[1] + j) in free for i in (-1, 0, 1) for j in (-1, 0, 1))


def best_of_all(n, T, reward, penalty):
    """The most that any agent with these senses can earn in expectation, from the definition, in fractions.

    It knows nothing of sweeps and of sets: what is believed is a distribution over pairs of cell and goal,
    and what follows is every view and reward that an action can bring, each with its probability.
    """
    free = free_cells(n)
    centre = (n // 2, n // 2)
    views = {cell: seen_from(cell, free) for cell in free}

    @functools.cache
    def worth(belief, left):
        if left == 0:
            return Fraction(0)
        best = None
        for down, right in MOVES:
            brings = {}  # by what is sensed: the probabilities of what is then so
            earned = Fraction(0)
            for (cell, goal), probability in belief:
                ahead = (cell[0] + down, cell[1] + right)
                got = Fraction(0)
                if ahead not in views:
                    ahead, got = cell, -penalty
                if ahead == goal:
                    got += reward
                    landings = [(other, probability / (len(free) - 1)) for other in free if other != goal]
                else:
                    landings = [(ahead, probability)]
                earned += probability * got
                for landing, part in landings:
                    now = brings.setdefault((views[landing], got), {})
                    now[landing, goal] = now.get((landing, goal), 0) + part
            for now in brings.values():
                total = sum(now.values())
                then = frozenset((pair, part / total) for pair, part in now.items())
                earned += total * worth(then, left - 1)
            best = earned if best is None else max(best, earned)
        return best

    goals = [cell for cell in free if cell != centre]
    return worth(frozenset(((centre, goal), Fraction(1, len(goals))) for goal in goals), T)


@pytest.mark.parametrize("T", [1, 2, 5, 9, 11])
def test_in_the_smallest_maze_no_agent_of_any_kind_does_better(T):
    """There the sweep is the best of all, so that the figure is the optimum itself, and so is the bound."""
    best = float(best_of_all(5, T, Fraction(3), Fraction(1, 4)))
    assert baselines.expected_reward("ideal", 5, T, 3.0, 0.25) == pytest.approx(best, rel=1e-12)
    assert baselines.ideal_bound(5, T, 3.0) >= best - 1e-12


@pytest.mark.parametrize(("n", "T"), [(7, 6), (9, 5), (11, 5)])
def test_in_larger_mazes_no_agent_of_any_kind_does_better(n, T):
    """There cells look alike, so that it can be lost; and so few steps let the search try all ways."""
    best = float(best_of_all(n, T, Fraction(1), Fraction(0)))
    assert baselines.expected_reward("ideal", n, T, 1.0) == pytest.approx(best, rel=1e-12)
    assert baselines.ideal_bound(n, T, 1.0) >= best - 1e-12


def plain_goals_to_come(n, goal, steps):
    """W(0), ..., W(steps) for one goal, by recursion over sets of cells as Python has them."""
    free = free_cells(n)
    views = {cell: seen_from(cell, free) for cell in free}
    others = frozenset(free) - {goal}

    def divided(cells):
        parts = {}
        for cell in cells:
            parts.setdefault(views[cell], set()).add(cell)
        return [frozenset(part) for part in parts.values()]

    @functools.cache
    def after_a_teleport(left):
        return sum(len(part) / len(others) * worth(part, left) for part in divided(others))

    @functools.cache
    def worth(cells, left):
        if left == 0:
            return 0.0
        best = 0.0
        for down, right in MOVES:
            there = {(row + down, column + right) for row, column in cells}
            if not there <= views.keys():
                assert not there & views.keys(), "cells that look alike have the same walls"
                there = cells
            earned = (goal in there) / len(cells) * (1 + after_a_teleport(left - 1))
            for part in divided(there - {goal}):
                earned += len(part) / len(cells) * worth(part, left - 1)
            best = max(best, earned)
        return best

    return [after_a_teleport(left) for left in range(steps + 1)]


@pytest.mark.parametrize(("n", "T", "every"), [(5, 25, 1), (7, 25, 1), (9, 20, 5), (11, 12, 13)])
def test_what_is_to_come_equals_a_plain_recursion_for_goals_of_every_kind(n, T, every):
    grid = maze_map(n)
    values = baselines.ideal_values(grid, T)
    assert values.shape == (len(grid.cells), T + 2)
    assert (values[:, T + 1] == 0).all()
    cells = free_cells(n)
    for cell in range(0, len(cells), every):
        if cell != grid.centre:
            plain = plain_goals_to_come(n, cells[cell], T)
            assert values[cell, T::-1] == pytest.approx(1 + np.array(plain), rel=1e-12)


@pytest.mark.parametrize("n", [5, 7, 9, 11, 13, 15])
def test_probabilities_add_up_and_the_sets_are_as_many_as_stated(n):
    beliefs = ideal.beliefs_of(maze_map(n))
    assert len(beliefs.goal) == len(beliefs.cells) == ideal.SETS[n]
    np.testing.assert_allclose(beliefs.first.sum(1), 1)
    moved = beliefs.move.sum(1).reshape(4, -1)
    np.testing.assert_allclose((moved + beliefs.reach)[beliefs.open], 1)
    assert not (moved + beliefs.reach)[~beliefs.open].any()
    assert (beliefs.open.sum(0) >= 2).all(), "there is no dead end"
    goals, _ = distinct_goals(maze_map(n))
    bits = ideal.bits_of(maze_map(n))
    assert all(not cells & bits[goals[kind]] for cells, kind in zip(beliefs.cells, beliefs.goal, strict=True))


@pytest.mark.parametrize("n", [5, 9, 11])
def test_every_goal_is_turned_into_one_of_its_kind(n):
    grid = maze_map(n)
    goals, share = distinct_goals(grid)
    kinds, turns = ideal.turns_of(grid, goals)
    counts = np.bincount(np.delete(kinds, grid.centre), minlength=len(goals))
    np.testing.assert_allclose(counts / counts.sum(), share)
    assert (kinds[goals] == np.arange(len(goals))).all()
    for cell, (kind, turn) in enumerate(zip(kinds, turns, strict=True)):
        if cell != grid.centre:
            offset = tuple((grid.cells[cell] - n // 2).tolist())
            goal = tuple((grid.cells[goals[kind]] - n // 2).tolist())
            assert ideal.turned(ideal.TURNS[turn], offset) == goal


def test_more_time_earns_more_but_never_more_than_a_goal_a_step():
    for n in (5, 7, 9):
        grid = maze_map(n)
        coming = ideal.goals_to_come(ideal.beliefs_of(grid), 60)
        gained = np.diff(coming, axis=1)
        assert (coming[:, 0] == 0).all()
        assert (gained > 0).all()
        assert (gained < 1).all()
        told = baselines.finding_values(grid, 60)[distinct_goals(grid)[0], 60::-1] - 1
        assert (coming <= told + 1e-12).all(), "nobody gains by forgetting where it is"
    earned = [baselines.expected_reward("ideal", 7, T) for T in range(1, 40, 4)]
    assert (np.diff(earned) > 0).all()


@pytest.mark.parametrize(("n", "T"), [(5, 1), (5, 60), (7, 100), (9, 30), (9, 200), (11, 200)])
def test_it_stands_between_a_random_walk_and_those_who_are_told_more(n, T):
    earned = {policy: baselines.expected_reward(policy, n, T) for policy in baselines.POLICIES}
    assert earned["random"] * (1 if T == 1 else 2) <= earned["ideal"] <= earned["explorer"] + 1e-9
    assert earned["ideal"] <= baselines.ideal_bound(n, T) + 1e-9
    assert baselines.ideal_bound(n, T) <= baselines.explorer_bound(n, T) + 1e-9


@pytest.mark.parametrize(
    ("n", "T", "figure", "bound"),
    [
        (7, 100, 242.75, 244.63),
        (9, 200, 360.97, 363.45),
        (11, 200, 227.21, 228.86),
        (13, 200, 177.89, 180.64),
    ],
)
def test_the_figures_that_the_docstrings_name(n, T, figure, bound):
    assert baselines.expected_reward("ideal", n, T) == pytest.approx(figure, abs=0.005)
    assert baselines.ideal_bound(n, T) == pytest.approx(bound, abs=0.005)


@pytest.mark.parametrize(("n", "T"), [(5, 40), (7, 100), (7, 37)])
def test_what_is_measured_in_other_mazes_is_what_is_expected(n, T):
    exact = baselines.expected_reward("ideal", n, T)
    measured = baselines.score("ideal", n, 4000, seeded(n), T)
    assert abs(measured.mean - exact) < 3 * measured.standard_error
    assert measured.standard_error < 0.03 * exact


@pytest.mark.parametrize("n", [7, 9, 11])
def test_it_is_always_in_one_of_the_cells_in_which_it_could_be(n):
    grid, T = maze_map(n), 120
    agent = ideal.Ideal(grid, baselines.ideal_path(n, T), T)
    maze = GridMaze(n, 60, T, generator=seeded(1))
    where = []

    def watched(maze):
        actions = agent(maze)
        could = agent.could_be()
        cell = grid.cell_at[maze.agent[:, 0], maze.agent[:, 1]]
        looks = ideal.views_of(grid)
        assert could[torch.arange(60), cell].all()
        known = torch.from_numpy(agent.goal)
        assert ((known == maze.goal_index) | (known < 0)).all()
        for episode in range(60):
            assert len(set(looks[could[episode].numpy()])) == 1, "cells of one set look alike"
            assert known[episode] < 0 or not could[episode, known[episode]]
        where.append(could.sum(1))
        return actions

    baselines.play(maze, watched)
    counts = torch.stack(where).double()
    assert (counts[0] == 1).all(), "it starts where it knows to be"
    assert counts.max() >= 2, "it is lost after a teleport"
    assert 1.1 < counts.mean() < 3, "and soon finds itself"


def test_it_reads_nothing_but_what_is_sensed():
    class Senses:
        """A maze of which nothing can be read but sizes, clock and observation."""

        def __init__(self, maze):
            self.observation, self.previous_action = maze.observation, None
            self.device, self.time, self.episode_length = maze.device, maze.time, maze.episode_length

    maze, twin = (GridMaze(9, 80, 100, generator=seeded(5)) for _ in range(2))
    agents = [ideal.Ideal(maze_map(9), baselines.ideal_path(9, 100), 100) for _ in range(2)]
    sensing = baselines.play(maze, lambda maze: agents[0](Senses(maze)))
    assert torch.equal(sensing, baselines.play(twin, agents[1]))
    assert sensing.mean() > 100


def test_it_begins_every_episode_anew():
    grid, path = maze_map(7), baselines.ideal_path(7, 60)
    agent = ideal.Ideal(grid, path, 60)
    maze, twin = (GridMaze(7, 50, 60, generator=seeded(3)) for _ in range(2))
    totals = []
    for _ in range(3):
        totals.append(baselines.play(maze, agent))
        assert torch.equal(totals[-1], baselines.play(twin, ideal.Ideal(grid, path, 60)))
    assert not torch.equal(totals[0], totals[1])


def test_it_keeps_up_with_somebody_else_who_acts():
    """Asked for advice only, it follows what is done in its place, walks into walls included."""
    grid, T = maze_map(7), 80
    agent, random = ideal.Ideal(grid, baselines.ideal_path(7, T), T), baselines.RandomWalk(seeded(0))
    maze = GridMaze(7, 200, T, wall_penalty=0.5, generator=seeded(2))
    maze.reset()
    done = False
    while not done:
        advice = agent(maze)
        cell = grid.cell_at[maze.agent[:, 0], maze.agent[:, 1]]
        knowing = torch.from_numpy(agent.belief) >= 0
        assert agent.could_be()[torch.arange(200), cell].all()
        assert (grid.successors[cell, advice] != cell)[knowing].all(), "it walks into a wall"
        _, _, done = maze.step(random(maze))
    assert knowing.float().mean() > 0.5


def test_mazes_that_are_too_large_and_mazes_of_another_length_are_refused():
    said = "size must be at most 17 for the ideal agent, got 19"
    for ask in (
        lambda: baselines.expected_reward("ideal", 19),
        lambda: baselines.ideal_bound(19),
        lambda: baselines.score("ideal", 19, 10),
        lambda: ideal.beliefs_of(maze_map(19)),
    ):
        with pytest.raises(ValueError, match=said):
            ask()
    with pytest.raises(ValueError, match="size must be an odd number of at least 5, got 8"):
        baselines.expected_reward("ideal", 8)
    maze = GridMaze(5, 2, 30)
    maze.reset()
    with pytest.raises(ValueError, match=r"maze must have episodes of 20 steps.*got 30"):
        ideal.Ideal(maze_map(5), baselines.ideal_path(5, 20), 20)(maze)
    with pytest.raises(ValueError, match="episode_length must be a whole number of at least 1, got 0"):
        ideal.Ideal(maze_map(5), baselines.ideal_path(5, 20), 0)


@pytest.mark.parametrize(("n", "T"), [(7, 100), (9, 200), (11, 5), (11, 200)])
def test_its_sweep_is_as_good_as_the_explorers_and_near_the_bound(n, T):
    grid = maze_map(n)
    values = baselines.ideal_values(grid, T)
    earned = baselines.sweep_earnings(grid, baselines.ideal_path(n, T), values)
    assert earned >= baselines.sweep_earnings(grid, baselines.covering_path(n, T), values)
    assert 10 * earned == baselines.expected_reward("ideal", n, T)
    assert T < 100 or 10 * earned > 0.99 * baselines.ideal_bound(n, T)


def test_what_takes_minutes_is_known_before():
    assert all(baselines.affordable("ideal", n, 200) for n in ideal.SETS)
    assert not baselines.affordable("ideal", 19, 200)
    assert baselines.affordable("ideal", 11, 10_000)
    assert not baselines.affordable("ideal", 17, 10_000)
    assert not baselines.affordable("ideal", 5, 10**6)
