"""Chapter 8: right answers, each written another way, and typical wrong ones with the hint they get."""

import random

import numpy as np
import torch

from bpa.checks import chapter_08


def read(observation, episode_length):
    rows = observation.tolist()
    return (
        torch.tensor([round(row[11] * episode_length) for row in rows]),
        torch.tensor([row[12] for row in rows]),
        torch.tensor([row[13:17].index(1.0) for row in rows]),
    )


def read_at_once(observation, episode_length):
    return (observation[:, 11] * episode_length).round(), observation[:, 12], observation[:, 13:].argmax(1)


def windows(walls):
    n = len(walls)
    return [
        tuple(bool(walls[r + dr, c + dc]) for dr in (-1, 0, 1) for dc in (-1, 0, 1))
        for r in range(n)
        for c in range(n)
        if not walls[r, c]
    ]


def alike(walls):
    patterns = windows(walls)
    return torch.tensor([patterns.count(pattern) for pattern in patterns])


def alike_by_pairs(walls):
    """Each window laid on each other one: how many have no cell that differs."""
    patterns = torch.tensor(windows(walls))
    return (patterns[:, None] != patterns).any(2).logical_not().sum(1)


def hits(walls, goal, bump=True):
    """By squaring the walk again and again, h = (1 + P + P^2 + ...) 1, not by solving equations."""
    cells = [tuple(cell) for cell in (~walls).nonzero().tolist()]
    goal = tuple(goal.tolist())
    at = cells.index(goal)
    walk = np.zeros((len(cells), len(cells)))
    for here, (r, c) in enumerate(cells):
        ahead = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
        onto = [cell if cell in cells else (r, c) for cell in ahead if bump or cell in cells]
        for cell in onto:
            walk[here, cells.index(cell)] += 1 / len(onto)
    walk[at] = 0
    steps = np.ones(len(cells))
    steps[at] = 0
    for _ in range(16):
        steps, walk = steps + walk @ steps, walk @ walk
    return torch.tensor(steps)


def hits_step_by_step(walls, goal):
    """A walker's chances of being under way still, summed over all steps."""
    ways = torch.stack([walls.roll(1, 0), walls.roll(-1, 0), walls.roll(1, 1), walls.roll(-1, 1)])
    under_way = torch.ones(walls.shape, dtype=torch.float64)
    steps = torch.zeros(walls.shape, dtype=torch.float64)
    under_way[tuple(goal)] = 0
    while under_way[~walls].max() > 1e-9:
        steps += under_way
        ahead = [under_way.roll(*way) for way in ((1, 0), (-1, 0), (1, 1), (-1, 1))]
        under_way = torch.where(ways, under_way, torch.stack(ahead)).mean(0)
        under_way[tuple(goal)] = 0
    return steps[~walls]


def straight(observation, memory):
    """Keep going, never back unless it must, turn now and then."""
    free = [action for action, at in enumerate((1, 7, 3, 5)) if observation[at] == 0]
    if memory not in free or random.random() < 0.25:
        onward = [action for action in free if memory is None or action != memory ^ 1]
        memory = random.choice(onward or free)
    return memory, memory


def never_back(observation, memory):
    """Any free way but the one it came, unless there is no other."""
    free = [action for action, at in enumerate((1, 7, 3, 5)) if not observation[at]]
    action = random.choice([action for action in free if (memory, action) not in BACK] or free)
    return action, action


BACK = [(0, 1), (1, 0), (2, 3), (3, 2)]


def returning(walls, goal):
    """The mean time of a return in the place of 0 at the goal, from the walker's own long walk."""
    cells = (~walls).nonzero()
    steps = hits(walls, goal)
    ahead = torch.tensor([(-1, 0), (1, 0), (0, -1), (0, 1)]) + goal
    onto = [goal.tolist() if walls[r, c] else [r, c] for r, c in ahead.tolist()]
    back = 1 + sum(steps[(cells == torch.tensor(cell)).all(1)].item() for cell in onto) / 4
    return torch.where((cells == goal).all(1), back, steps)


RIGHT = [
    (chapter_08.read_observation, lambda o, T: tuple(part.numpy() for part in read(o, T))),
    (chapter_08.looks_alike, lambda w: alike(w).tolist()),
    (chapter_08.hitting_time, lambda w, g: hits(w, g).numpy()),
    (chapter_08.senses_only, lambda o, m: (torch.tensor((a := straight(o, m))[0]), a[1])),
    (chapter_08.read_observation, read),
    (chapter_08.read_observation, read_at_once),
    (chapter_08.looks_alike, alike),
    (chapter_08.looks_alike, alike_by_pairs),
    (chapter_08.hitting_time, hits),
    (chapter_08.hitting_time, hits_step_by_step),
    (chapter_08.senses_only, straight),
    (chapter_08.senses_only, never_back),
]


WRONG = [
    (chapter_08.read_observation, lambda o, T: (o[:, 11], *read(o, T)[1:]), "fraction of the episode"),
    (chapter_08.read_observation, lambda o, T: (*read(o, T)[:2], o[:, 13:]), "four numbers, one of them 1"),
    (chapter_08.read_observation, lambda o, T: (o[:, 10] * T, o[:, 11], read(o, T)[2]), "Count from 0"),
    (chapter_08.read_observation, lambda o, T: (*read(o, T)[:2], o[:, 12:].argmax(1)), "wrong place"),
    (chapter_08.read_observation, lambda o, T: (*read(o, T)[:2], o.argmax(1)), "not right yet"),
    (chapter_08.read_observation, lambda o, T: read(o, T)[::-1], "not right yet"),
    (chapter_08.looks_alike, lambda w: alike(w) - 1, "Count it too"),
    (chapter_08.looks_alike, lambda w: torch.tensor([len(set(windows(w)))]), "shape"),
    (
        chapter_08.looks_alike,
        lambda w: torch.tensor([[sum(p) for p in windows(w)].count(sum(p)) for p in windows(w)]),
        "Where they are",
    ),
    (
        chapter_08.looks_alike,
        lambda w: torch.tensor([[p[1::2] for p in windows(w)].count(p[1::2]) for p in windows(w)]),
        "corners are sensed",
    ),
    (chapter_08.looks_alike, lambda w: alike(w.T), "not column by column"),
    (chapter_08.looks_alike, lambda w: alike(w)[:-1], "last entry is missing"),
    (chapter_08.looks_alike, lambda w: torch.ones(len(windows(w))), "not right yet"),
    (chapter_08.hitting_time, lambda w, g: hits(w, g, bump=False), "never bumps"),
    (chapter_08.hitting_time, lambda w, g: hits(w, g) - 1, "One step is missing"),
    (chapter_08.hitting_time, lambda w, g: hits(w, g) + 1, "One step is too many"),
    (chapter_08.hitting_time, returning, "From the goal itself"),
    (chapter_08.hitting_time, lambda w, g: hits(w, g)[1:], "shape"),
    (chapter_08.hitting_time, lambda w, g: (~w).nonzero().sub(g).abs().sum(1), "not right yet"),
    (chapter_08.senses_only, None, "must be a function"),
    (chapter_08.senses_only, lambda o, m: (random.randrange(4), None), "step back"),
    (chapter_08.senses_only, lambda o, m: (0, m), "are wanted"),
    (chapter_08.senses_only, lambda o, m: (1 - (m or 0), 1 - (m or 0)), "are wanted"),
    (chapter_08.senses_only, lambda o, m: (4, m), "from 0 to 3"),
    (chapter_08.senses_only, lambda o, m: 0, "TypeError"),
]
