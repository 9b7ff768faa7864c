"""Checks of the exercises in chapter 8, "The grid maze"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import NotYet, Slip, check_answer, exercise, worth
from bpa.maze import MOVES, NUM_ACTIONS, GridMaze, maze_walls
from bpa.noise import fresh_generator

CHANCE_REWARD = 7.7  # what a uniformly random walker earns in an episode of the default maze
WANTED_REWARD = 20.0
EPISODES = 60


def random_walls(size: int, generator: torch.Generator) -> Tensor:
    """A maze [n, n] from which some pillars were taken out, so that every free cell can still be reached."""
    walls = maze_walls(size)
    inside = torch.zeros_like(walls)
    inside[1:-1, 1:-1] = True
    return walls & ~(inside & (torch.rand(size, size, generator=generator) < 0.5))


def windows(walls: Tensor) -> Tensor:
    """The 3 x 3 neighbourhood of each free cell, row by row: walls bool [n, n] -> [F, 9]."""
    rows, columns = (~walls).nonzero().T
    around = torch.arange(-1, 2)
    cut = walls[rows[:, None, None] + around[:, None], columns[:, None, None] + around]
    return cut.flatten(1).long()


def same_rows(rows: Tensor) -> Tensor:
    """For each row, how many rows are equal to it, itself included: [N, K] -> [N]."""
    return (rows[:, None] == rows).all(-1).sum(1)


def alike(walls: Tensor) -> Tensor:
    """For each free cell, row by row, how many free cells look like it, itself included: [F]."""
    return same_rows(windows(walls))


def told(observation: Tensor, episode_length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Steps taken, previous reward and previous action, each [B], from the observation [B, 17]."""
    return (
        (observation[:, 11] * episode_length).round(),
        observation[:, 12],
        observation[:, 13:].argmax(1),
    )


def transition(walls: Tensor, stay: bool = True) -> Tensor:
    """P [F, F], from row to column, of a uniformly random walker; `stay`: a blocked move is a step too."""
    cells = (~walls).nonzero()
    index = torch.full(walls.shape, -1)
    index[cells[:, 0], cells[:, 1]] = torch.arange(len(cells))
    moves = torch.zeros(len(cells), len(cells), dtype=torch.float64)
    for move in torch.tensor(MOVES):
        ahead = index[cells[:, 0] + move[0], cells[:, 1] + move[1]]
        free = ahead >= 0
        moves[free.nonzero()[:, 0], ahead[free]] += 1
        if stay:
            moves[~free, ~free] += 1
    return moves / moves.sum(1, keepdim=True)


def first_hits(walls: Tensor, goal: Tensor, stay: bool = True) -> Tensor:
    """Mean steps of a random walker from each free cell to the goal, [F]: h = 1 + P h, and h(goal) = 0."""
    cells = (~walls).nonzero()
    elsewhere = (cells != goal).any(1)
    inner = transition(walls, stay)[elsewhere][:, elsewhere]
    steps = torch.zeros(len(cells), dtype=torch.float64)
    steps[elsewhere] = torch.linalg.solve(
        torch.eye(len(inner), dtype=torch.float64) - inner, torch.ones(len(inner), dtype=torch.float64)
    )
    return steps


@worth(1)
@exercise
def read_observation(answer: Callable[..., Any]) -> None:
    """Check `read_observation(observation, episode_length)` -> steps taken, previous reward, previous action.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for batch, length in ((1, 200), (5, 120), (3, 37)):
        maze = GridMaze(7, batch, length, reward=2.5, wall_penalty=0.5, generator=generator)
        observation = maze.reset()
        for _ in range(int(torch.randint(7, 30, (), generator=generator))):
            observation, _, _ = maze.step(torch.randint(4, (batch,), generator=generator))
        observation[:, 12] = torch.randn(batch, generator=generator)
        cases.append((observation, length))
    slips = [
        Slip(
            "The time is a fraction of the episode there. Multiply it by the episode's length.",
            lambda observation, length: (observation[:, 11], *told(observation, length)[1:]),
        ),
        Slip(
            "The action is four numbers, one of them 1. Which of the four is it, 0 to 3?",
            lambda observation, length: (*told(observation, length)[:2], observation[:, 13:]),
        ),
        Slip(
            "The action is counted from the wrong place: the one-hot starts at index 13.",
            lambda observation, length: (
                *told(observation, length)[:2],
                observation[:, 12:].argmax(1),
            ),
        ),
        Slip(
            "Count from 0: after nine cells come a 0 (index 9), a 1 (10), the time (11), the reward (12).",
            lambda observation, length: (
                (observation[:, 10] * length).round(),
                observation[:, 11],
                told(observation, length)[2],
            ),
        ),
    ]
    check_answer("read_observation", answer, told, cases, slips, tolerance=1e-3)


@worth(1)
@exercise
def looks_alike(answer: Callable[..., Any]) -> None:
    """Check `looks_alike(walls)` -> for each free cell, how many free cells look the same, [F].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [(random_walls(size, generator),) for size in (7, 9, 11)]
    slips = [
        Slip("A cell looks like itself. Count it too.", lambda walls: alike(walls) - 1),
        Slip(
            "You compare how many walls there are. Where they are matters too.",
            lambda walls: same_rows(windows(walls).sum(1, keepdim=True)),
        ),
        Slip(
            "You compare the four cells next to it. The corners are sensed too.",
            lambda walls: same_rows(windows(walls)[:, [1, 3, 5, 7]]),
        ),
        Slip(
            "You give one number for each pattern. Give one for each free cell, row by row.",
            lambda walls: windows(walls).unique(dim=0, return_counts=True)[1],
        ),
        Slip("The order is wrong. Go row by row, not column by column.", lambda walls: alike(walls.T)),
    ]
    check_answer("looks_alike", answer, alike, cases, slips)


@worth(2)
@exercise
def hitting_time(answer: Callable[..., Any]) -> None:
    """Check `hitting_time(walls, goal)` -> a random walker's mean number of steps to the goal, [F].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for size in (5, 7, 9):
        walls = random_walls(size, generator)
        cells = (~walls).nonzero()
        cases.append((walls, cells[torch.randint(len(cells), (), generator=generator)]))
    slips = [
        Slip(
            "Your walker never bumps. A move into a wall takes a step too and leaves it where it is.",
            lambda walls, goal: first_hits(walls, goal, stay=False),
        ),
        Slip(
            "One step is missing: at the goal the number is 0, elsewhere it is 1 + P h.",
            lambda walls, goal: first_hits(walls, goal) - 1,
        ),
        Slip(
            "One step is too many: at the goal the number is 0.",
            lambda walls, goal: first_hits(walls, goal) + 1,
        ),
        Slip(
            "From the goal itself no step is needed: its number is 0, not the mean time of a return.",
            lambda walls, goal: (
                first_hits(walls, goal)
                + ((~walls).nonzero() == goal).all(1) * (1 + (transition(walls) @ first_hits(walls, goal)))
            ),
        ),
    ]
    check_answer("hitting_time", answer, first_hits, cases, slips, tolerance=1e-3)


@worth(3, function="agent", patience=5)
@exercise
def senses_only(answer: Callable[..., Any]) -> float:
    """Check `agent(observation, memory)` -> action, memory: a hand-made agent that beats chance.

    It is run in fresh episodes of the default maze. `observation` is a list of 17 numbers, `memory` is None
    at the start of an episode and from then on whatever the agent returned. Returns its mean reward.

    Raises:
        NotYet: it is no such function, or earns less than WANTED_REWARD.
    """
    if not callable(answer):
        raise NotYet(f"agent must be a function, got {type(answer).__name__}.")
    maze = GridMaze(batch_size=EPISODES, generator=fresh_generator())
    observations = maze.reset()
    memories: list[Any] = [None] * EPISODES
    total = 0.0
    for _ in range(maze.episode_length):
        actions = []
        for episode, observation in enumerate(observations.tolist()):
            try:
                action, memories[episode] = answer(observation, memories[episode])
            except Exception as error:
                raise NotYet(f"agent stopped with {type(error).__name__}: {error}") from error
            if isinstance(action, bool) or action not in range(NUM_ACTIONS):
                raise NotYet(f"agent must return an action from 0 to 3 first, got {action!r}.")
            actions.append(int(action))
        observations, reward, _ = maze.step(torch.tensor(actions))
        total += reward.sum().item()
    mean = total / EPISODES
    if mean < WANTED_REWARD:
        raise NotYet(
            f"agent earns {mean:.1f} an episode; a random walker earns {CHANCE_REWARD}, "
            f"and {WANTED_REWARD:.0f} are wanted. Does it step back to where it came from?"
        )
    print(f"✓ agent: {mean:.1f} reward per episode over {EPISODES} fresh episodes.")
    return mean
