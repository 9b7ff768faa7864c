"""Floors and ceilings: exact figures, measured ones, and the two against each other."""

import itertools
import tracemalloc
from collections import defaultdict, deque
from fractions import Fraction

import numpy as np
import pytest
import torch
from mazes import MOVES, free_cells, seeded

from bpa import GridMaze
from bpa.envs import baselines
from bpa.maze import maze_walls


def search(start, free):
    """Steps from `start` to every free cell, by breadth-first search with a queue."""
    steps, queue = {start: 0}, deque([start])
    while queue:
        row, column = queue.popleft()
        for down, right in MOVES:
            ahead = (row + down, column + right)
            if ahead in free and ahead not in steps:
                steps[ahead] = steps[row, column] + 1
                queue.append(ahead)
    return steps


@pytest.mark.parametrize("n", [5, 7, 9, 11, 13, 15])
def test_distances_are_those_of_a_search_with_a_queue(n):
    grid = baselines.maze_map(n)
    free = free_cells(n)
    assert [tuple(cell) for cell in grid.cells.tolist()] == free
    for k, cell in enumerate(free):
        steps = search(cell, set(free))
        assert grid.distances[k].tolist() == [steps[other] for other in free]


def plain_random_reward(n, T, reward, penalty):
    """The random walk's expected reward, in plain loops over goals, steps, cells and actions."""
    free = free_cells(n)
    centre = (n // 2, n // 2)
    goals = [cell for cell in free if cell != centre]
    total = 0.0
    for goal in goals:
        probability = dict.fromkeys(free, 0.0)
        probability[centre] = 1.0
        for _ in range(T):
            after = dict.fromkeys(free, 0.0)
            for (row, column), p in probability.items():
                for down, right in MOVES:
                    ahead = (row + down, column + right)
                    if ahead not in after:
                        total -= penalty * p / 4
                        ahead = (row, column)
                    after[ahead] += p / 4
            found = after.pop(goal)
            total += reward * found
            probability = {cell: p + found / len(after) for cell, p in after.items()} | {goal: 0.0}
    return total / len(goals)


def plain_oracle_reward(n, T, reward, first_found):
    """An oracle's expected reward, by recursion on the steps left; `first_found` gives the first time."""
    free = free_cells(n)
    goals = [cell for cell in free if cell != (n // 2, n // 2)]
    total = 0.0
    for goal in goals:
        steps = search(goal, set(free))
        away = [steps[cell] for cell in free if cell != goal]
        worth = []  # after a teleport, by steps left
        for left in range(T + 1):
            worth.append(sum(reward + worth[left - d] for d in away if d <= left) / len(away))
        found = first_found(goal, steps)
        total += reward + worth[T - found] if found <= T else 0.0
    return total / len(goals)


@pytest.mark.parametrize(("n", "T"), [(5, 17), (7, 40), (9, 3), (9, 60)])
def test_expected_rewards_equal_plain_loops(n, T):
    found = baselines.expected_reward("random", n, T, 3.0, 0.25)
    assert found == pytest.approx(plain_random_reward(n, T, 3.0, 0.25), rel=1e-9)

    def at_once(goal, steps):
        return steps[n // 2, n // 2]

    found = baselines.expected_reward("oracle", n, T, 3.0, 0.25)
    assert found == pytest.approx(plain_oracle_reward(n, T, 3.0, at_once), rel=1e-9)

    walked = [(n // 2, n // 2)]
    for action in baselines.covering_path(n, T).tolist():
        walked.append((walked[-1][0] + MOVES[action][0], walked[-1][1] + MOVES[action][1]))

    def on_the_sweep(goal, steps):
        return walked.index(goal) if goal in walked else T + 1

    found = baselines.expected_reward("explorer", n, T, 3.0, 0.25)
    assert found == pytest.approx(plain_oracle_reward(n, T, 3.0, on_the_sweep), rel=1e-9)


def renewed_random_reward(n, T):
    """The random walk's expected number of goals by renewal, without ever following a walk past its goal.

    The walk's matrix M is symmetric, so that from a start spread over all cells it stays spread. With p(t)
    the probability of standing on the goal t steps after it, u(t) that from the centre and
    q(t) = (1 - p(t)) / (F - 1) that from any cell but the goal, goals are reached at the rate h of
    u = h * (p - q), a convolution.
    """
    free = free_cells(n)
    place = {cell: k for k, cell in enumerate(free)}
    move = np.zeros((len(free), len(free)))
    for cell in free:
        for down, right in MOVES:
            move[place[cell], place.get((cell[0] + down, cell[1] + right), place[cell])] += 1 / 4
    power, back, away = np.eye(len(free)), [], []
    for _ in range(T + 1):
        back.append(np.diagonal(power).copy())
        away.append(power[place[n // 2, n // 2]].copy())
        power = power @ move
    kernel = np.array(back) - (1 - np.array(back)) / (len(free) - 1)
    rate = np.zeros_like(kernel)
    for t in range(1, T + 1):
        rate[t] = away[t] - (rate[1:t] * kernel[t - 1 : 0 : -1]).sum(0)
    return np.delete(rate.sum(0), place[n // 2, n // 2]).mean()


@pytest.mark.parametrize(("n", "T"), [(11, 200), (15, 90), (21, 60)])
def test_the_random_walk_agrees_with_its_renewal_equation(n, T):
    assert baselines.expected_reward("random", n, T, 1.0) == pytest.approx(
        renewed_random_reward(n, T), rel=1e-9
    )


@pytest.mark.parametrize("n", [5, 7, 9, 15, 17])
def test_goals_of_one_kind_stand_for_all(n):
    grid = baselines.maze_map(n)
    goals, share = baselines.distinct_goals(grid)
    assert share.sum() == pytest.approx(1)
    assert grid.centre not in goals
    counts = np.round(share * (len(grid.cells) - 1)).astype(int)
    assert set(counts) <= {4, 8}
    profiles = np.sort(grid.distances.numpy(), axis=1)
    of_all = [tuple(row) for cell, row in enumerate(profiles) if cell != grid.centre]
    of_kinds = [
        tuple(profiles[goal]) for goal, count in zip(goals, counts, strict=True) for _ in range(count)
    ]
    assert sorted(of_all) == sorted(of_kinds)


def test_large_mazes_take_little_memory():
    """Tables of all pairs of cells would be 400 MB each."""
    tracemalloc.start()
    assert baselines.expected_reward("random", 101, 20, 1e6) == pytest.approx(1119.7885)
    assert baselines.expected_reward("oracle", 101) == pytest.approx(29.9065, abs=1e-4)
    oracle = baselines.score("oracle", 101, 200, seeded(0))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50e6
    assert abs(oracle.mean - 29.9065) < 3.5 * oracle.standard_error


def test_what_takes_minutes_is_known_before():
    assert baselines.affordable("random", 101, 200)
    assert baselines.affordable("oracle", 101, 200)
    assert not baselines.affordable("random", 201, 200)
    assert baselines.affordable("straight", 45, 200)
    assert not baselines.affordable("straight", 67, 200)
    assert not baselines.affordable("straight", 11, 10**8)
    assert baselines.affordable("oracle", 251, 200)
    assert not baselines.affordable("oracle", 1001, 200)
    assert not baselines.affordable("random", 11, 10**8)
    assert not baselines.affordable("oracle", 11, 10**8)


@pytest.mark.parametrize(
    ("policy", "known"),
    [
        ("random", {9: 14.5, 11: 7.7}),
        ("oracle", {9: 419, 11: 327}),
    ],
)
def test_the_figures_known_before_are_met_within_one_per_cent(policy, known):
    for n, figure in known.items():
        assert baselines.expected_reward(policy, n) == pytest.approx(figure, rel=0.01)


@pytest.mark.parametrize(
    ("n", "random", "straight", "explorer", "bound", "oracle"),
    [
        (9, 14.37, 76.67, 379.87, 382.94, 416.23),
        (11, 7.72, 43.79, 274.98, 279.76, 324.23),
        (13, 5.38, 27.29, 207.62, 213.24, 269.57),
    ],
)
def test_the_figures_that_the_docstrings_name(n, random, straight, explorer, bound, oracle):
    known = {"random": random, "straight": straight, "explorer": explorer, "oracle": oracle}
    for policy, figure in known.items():
        assert baselines.expected_reward(policy, n) == pytest.approx(figure, abs=0.005)
    assert baselines.explorer_bound(n) == pytest.approx(bound, abs=0.005)


# Figures known before for side 13 (random 5.8, oracle 273) are 7.7 and 1.3 per cent above the exact ones.
@pytest.mark.parametrize("policy", baselines.POLICIES)
@pytest.mark.parametrize("n", [9, 11, 13])
def test_what_is_measured_is_what_is_expected(policy, n):
    exact = baselines.expected_reward(policy, n)
    measured = baselines.score(policy, n, 4000, seeded(n))
    assert measured.episodes == 4000
    assert abs(measured.mean - exact) < 3.5 * measured.standard_error
    assert 0.002 < measured.standard_error / exact < 0.03


def test_a_wall_costs_the_random_walk_and_no_one_else():
    kind = {"size": 7, "episode_length": 50, "reward": 10.0}
    exact = baselines.expected_reward("random", wall_penalty=0.5, **kind)
    measured = baselines.score("random", episodes=4000, generator=seeded(0), wall_penalty=0.5, **kind)
    assert exact < 0 < baselines.expected_reward("random", **kind)
    assert abs(measured.mean - exact) < 3.5 * measured.standard_error
    for policy in ("straight", "oracle", "explorer", "ideal"):
        assert baselines.expected_reward(policy, wall_penalty=0.5, **kind) == baselines.expected_reward(
            policy, **kind
        )
        measured = [
            baselines.score(policy, episodes=50, generator=seeded(0), wall_penalty=penalty, **kind)
            for penalty in (0.0, 0.5)
        ]
        assert measured[0] == measured[1]


def straight_by_loops(n, T):
    """What the straight walker earns with reward 1, in fractions: each place and last action by itself."""
    walls = maze_walls(n).tolist()
    free = [(r, c) for r in range(n) for c in range(n) if not walls[r][c]]
    centre = (n // 2, n // 2)
    moves, undone = [(-1, 0), (1, 0), (0, -1), (0, 1)], {0: 1, 1: 0, 2: 3, 3: 2}
    total = Fraction(0)
    for goal in free:
        if goal == centre:
            continue
        standing = {(centre, 0): Fraction(1)}
        for _ in range(T):
            after = defaultdict(Fraction)
            for ((r, c), last), share in standing.items():
                ways = {a: (r + d, c + e) for a, (d, e) in enumerate(moves) if not walls[r + d][c + e]}
                onwards = [a for a in ways if a != undone[last]] or list(ways)
                chance = {a: Fraction(1, len(onwards)) for a in onwards}
                if last in ways:
                    chance = {a: each / 4 for a, each in chance.items()}
                    chance[last] += Fraction(3, 4)
                for a, each in chance.items():
                    if ways[a] != goal:
                        after[ways[a], a] += share * each
                        continue
                    total += share * each / (len(free) - 1)
                    for cell in free:
                        if cell != goal:
                            after[cell, a] += share * each / (len(free) - 1)
            standing = after
    return float(total)


@pytest.mark.parametrize(("n", "T"), [(5, 1), (5, 6), (7, 4)])
def test_the_straight_walker_earns_what_loops_find(n, T):
    assert baselines.expected_reward("straight", n, T, 1.0) == pytest.approx(
        straight_by_loops(n, T), rel=1e-9
    )


def test_a_straight_walker_never_meets_a_wall_and_goes_back_only_where_it_must():
    maze, walk = GridMaze(9, 200, 60, generator=seeded(1)), baselines.StraightWalk(seeded(2))
    grid = baselines.maze_map(9)
    maze.reset()
    turned = total = 0
    last = torch.zeros(200, dtype=torch.long)
    for _ in range(60):
        cell = grid.cell_at[maze.agent[:, 0], maze.agent[:, 1]]
        actions = walk(maze)
        assert (grid.successors[cell, actions] != cell).all()
        ways = (grid.successors[cell] != cell[:, None]).sum(1)
        back = actions == torch.tensor(baselines.BACK)[last]
        assert not (back & (ways > 1)).any(), "it goes back where another way is open"
        total, turned = total + (ways > 2).sum(), turned + ((ways > 2) & (actions != last)).sum()
        maze.step(actions)
        last = actions
    assert 0.1 < turned / total < 0.5


@pytest.mark.parametrize(("n", "share"), [(5, 1.0), (7, 0.99), (9, 0.99), (11, 0.98), (13, 0.97)])
def test_the_sweep_covers_the_maze_and_comes_near_its_bound(n, share):
    grid = baselines.maze_map(n)
    path = baselines.covering_path(n)
    times = baselines.first_entries(grid, path, 200)
    assert (times <= len(path)).all(), "a cell is never entered"
    assert times.max() == len(path), "the sweep goes on after the last cell"
    bound, reached = baselines.explorer_bound(n), baselines.expected_reward("explorer", n)
    assert share * bound <= reached <= bound + 1e-9
    assert bound < baselines.expected_reward("oracle", n)


def test_no_sweep_of_a_small_maze_beats_the_one_found_or_the_bound():
    T = 7  # short enough to try all 4 ** 7 sweeps
    grid = baselines.maze_map(5)
    values = baselines.finding_values(grid, T)
    best = 0.0
    for path in itertools.product(range(4), repeat=T):
        times = baselines.first_entries(grid, torch.tensor(path), T)
        earned = [values[cell, times[cell]] for cell in range(9) if cell != grid.centre]
        best = max(best, float(np.mean(earned)))
    assert baselines.expected_reward("explorer", 5, T, 1.0) == pytest.approx(best)
    assert baselines.explorer_bound(5, T, 1.0) >= best
    assert baselines.explorer_bound(5, 1, 1.0) == pytest.approx(1 / 8), "one step enters one of eight cells"


def test_an_explorer_is_never_told_the_goal():
    """Before its first reward it acts the same whatever the goal; after it, it walks straight."""
    maze = GridMaze(9, 64, generator=seeded(0))
    grid = baselines.maze_map(9)
    path = baselines.covering_path(9)
    explorer = baselines.Explorer(grid, path)
    maze.reset()
    rewarded = torch.zeros(64, dtype=torch.bool)
    for t in range(60):
        actions = explorer(maze)
        if t < len(path):
            assert (actions[~rewarded] == path[t]).all()
        agent = grid.cell_at[maze.agent[:, 0], maze.agent[:, 1]]
        before = grid.distances[agent, maze.goal_index]
        _, reward, _ = maze.step(actions)
        agent = grid.cell_at[maze.agent[:, 0], maze.agent[:, 1]]
        after = grid.distances[agent, maze.goal_index]
        straight = (reward > 0) | (after == before - 1)
        assert straight[rewarded].all()
        rewarded |= reward > 0
    assert rewarded.all()


def test_an_oracle_takes_the_first_of_the_shortest_ways():
    grid = baselines.maze_map(7)
    every = torch.arange(len(grid.cells))
    homing = baselines.homing_actions(grid, every[:, None], every)
    for cell, goal in itertools.product(range(len(grid.cells)), repeat=2):
        lengths = [grid.distances[grid.successors[cell, action], goal].item() for action in range(4)]
        assert homing[cell, goal] == lengths.index(min(lengths))


def test_an_explorer_begins_every_episode_anew():
    grid, path = baselines.maze_map(7), baselines.covering_path(7, 60)
    explorer, totals = baselines.Explorer(grid, path), []
    maze, twin = (GridMaze(7, 50, 60, generator=seeded(3)) for _ in range(2))
    for _ in range(3):
        totals.append(baselines.play(maze, explorer))
        assert torch.equal(totals[-1], baselines.play(twin, baselines.Explorer(grid, path)))
    assert not torch.equal(totals[0], totals[1])
    maze.reset()
    maze.step(torch.zeros(50, dtype=torch.long))
    times = []
    baselines.play(maze, lambda maze: times.append(maze.time) or explorer(maze))
    assert times == list(range(60)), "an episode that had begun is begun again"


@pytest.mark.parametrize("policy", baselines.POLICIES)
def test_a_score_is_mean_and_standard_error_of_whole_episodes(policy):
    score = baselines.score(policy, 7, 40, seeded(4), episode_length=45, reward=10.0)
    maze = GridMaze(7, 40, 45, 10.0, generator=seeded(4))
    act = {
        "random": lambda: baselines.RandomWalk(maze.generator),
        "straight": lambda: baselines.StraightWalk(maze.generator),
        "oracle": lambda: baselines.Oracle(baselines.maze_map(7)),
        "explorer": lambda: baselines.Explorer(baselines.maze_map(7), baselines.covering_path(7, 45)),
        "ideal": lambda: baselines.Ideal(baselines.maze_map(7), baselines.ideal_path(7, 45), 45),
    }[policy]()
    total = baselines.play(maze, act).numpy()
    assert score.mean == pytest.approx(total.mean())
    assert score.standard_error == pytest.approx(np.std(total, ddof=1) / 40**0.5)
    small = baselines.score(policy, 7, 40, seeded(4), episode_length=45, reward=0.5)
    assert small.mean == pytest.approx(score.mean / 20)


def test_the_same_seed_gives_the_same_score():
    for policy in baselines.POLICIES:
        scores = [baselines.score(policy, 7, 20, seeded(seed), 30) for seed in (1, 1, 2)]
        assert scores[0] == scores[1]
        assert scores[0] != scores[2]
    assert torch.equal(baselines.covering_path(7), baselines.covering_path(7))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"policy": "greedy"},
            "policy must be one of 'random', 'straight', 'oracle', 'explorer', 'ideal', got 'greedy'",
        ),
        ({"episodes": 1}, "episodes must be a whole number of at least 2, got 1"),
        ({"size": 6}, "size must be an odd number of at least 5, got 6"),
        ({"episode_length": 0}, "episode_length must be a whole number of at least 1, got 0"),
        ({"reward": -1.0}, "reward must be a finite number of at least 0, got -1.0"),
    ],
)
def test_wrong_settings_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        baselines.score(**{"policy": "random", **wrong})
    if "episodes" not in wrong:
        with pytest.raises(ValueError, match=said):
            baselines.expected_reward(**{"policy": "random", **wrong})
    if "policy" not in wrong and "episodes" not in wrong:
        with pytest.raises(ValueError, match=said):
            baselines.explorer_bound(**wrong)
        with pytest.raises(ValueError, match=said):
            baselines.ideal_bound(**wrong)
    with pytest.raises(ValueError, match="wall_penalty must be a finite number of at least 0"):
        baselines.expected_reward("random", wall_penalty=-0.5)
    with pytest.raises(ValueError, match="episode_length must be a whole number of at least 1, got 0"):
        baselines.covering_path(7, 0)
    with pytest.raises(ValueError, match="beam_width must be a whole number of at least 1, got 0"):
        baselines.covering_path(7, beam_width=0)
