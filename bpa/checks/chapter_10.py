"""Checks of the exercises in chapter 10, "Train an agent while you watch"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE, GridMaze, MazeNoise, draw_noise
from bpa.network import Hidden, Network
from bpa.noise import fresh_generator
from bpa.training.rollout import sample


def hits(rewards: Tensor) -> Tensor:
    """Steps of one episode at which the goal was reached, counted from 1: rewards [T] -> int64 [K]."""
    return (rewards > 0).nonzero()[:, 0] + 1


def gaps(rewards: Tensor) -> Tensor:
    """Steps that each reward took, from the reward before it or from the start: [T] -> int64 [K]."""
    return torch.diff(hits(rewards), prepend=torch.zeros(1, dtype=torch.long))


def around(values: Tensor, rewards: Tensor, before: int, after: int, last: int | None = None) -> Tensor:
    """Mean of `values` at each lag from -before to after around every reward whose lags all exist.

    values, rewards [T, B] -> [before + after + 1]. `last` is the last lag, `after` unless a slip is meant.
    """
    T = len(values)
    steps, episodes = (rewards > 0).nonzero().T
    whole = (steps >= before) & (steps + after < T)
    lags = torch.arange(-before, after + 1 if last is None else last)
    return values[steps[whole, None] + lags, episodes[whole, None]].mean(0)


def scaled_down(gradients: list[Tensor], bound: float) -> list[Tensor]:
    """All gradients times bound / norm if their common norm exceeds the bound, unchanged otherwise."""
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    return [gradient * min(1.0, bound / norm.item()) for gradient in gradients]


Freeze = Callable[[Hidden, Hidden], Hidden]


def emptied(before: Hidden, after: Hidden) -> Hidden:
    """The new activity, no trace."""
    return Hidden(after.h, torch.zeros_like(before.hebb), after.eligibility)  # type: ignore[arg-type]


def played(net: Network, maze: GridMaze, noise: MazeNoise, freeze: int, kept: Freeze) -> Tensor:
    """Actions [T, B] of episodes whose state goes through `kept(before, after)` from step `freeze` on."""
    observation, hidden = maze.reset(noise.goal), net.initial_state(maze.batch_size)
    actions = []
    with torch.no_grad():
        for t in range(maze.episode_length):
            logits, _, after = net(observation, hidden)
            hidden = kept(hidden, after) if t >= freeze else after
            actions.append(sample(logits, noise.action[t]))
            observation, _, _ = maze.step(actions[-1], noise.teleport[t])
    return torch.stack(actions)


def keep_hebb(before: Hidden, after: Hidden) -> Hidden:
    """The new activity, the old trace."""
    return Hidden(after.h, before.hebb, after.eligibility)


def frozen_play(net: Network, maze: GridMaze, noise: MazeNoise, freeze: int) -> Tensor:
    """Actions [T, B] of episodes in which Hebb acts all the time and stops changing at step `freeze`."""
    return played(net, maze, noise, freeze, keep_hebb)


@worth(1)
@exercise
def times_between(answer: Callable[..., Any]) -> None:
    """Check `times_between(rewards)` -> the number of steps that each reward of an episode took, [K].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length in (12, 50, 200):
        rewards = 10.0 * (torch.rand(length, generator=generator) < 0.25)
        rewards[torch.randint(2, length - 2, (2,), generator=generator)] = 10.0
        rewards[0] = 0.0
        rewards[-1] = 0.0
        rewards[rewards == 0] = -0.1 * (torch.rand(int((rewards == 0).sum()), generator=generator) < 0.3)
        cases.append((rewards,))
    slips = [
        Slip(
            "The first wait is one short: the step with index 0 is the first step, not the zeroth.",
            lambda rewards: torch.diff(hits(rewards) - 1, prepend=torch.zeros(1, dtype=torch.long)),
        ),
        Slip(
            "The wait for the first reward is missing. It counts from the start of the episode.",
            lambda rewards: torch.diff(hits(rewards)),
        ),
        Slip("These are the times of the rewards. Wanted are the steps between them.", hits),
        Slip(
            "You count the steps between two rewards without the step that was rewarded.",
            lambda rewards: gaps(rewards) - 1,
        ),
        Slip(
            "The time from the last reward to the end was not rewarded: leave it out.",
            lambda rewards: torch.cat([gaps(rewards), len(rewards) - hits(rewards)[-1:]]),
        ),
        Slip(
            "Only the first wait comes back. Is the return inside the loop?",
            lambda rewards: gaps(rewards)[:1],
        ),
        Slip(
            "A negative reward, for a bump into a wall, is no hit.",
            lambda rewards: gaps((rewards != 0).float()),
        ),
    ]
    check_answer("times_between", answer, gaps, cases, slips)


@worth(2)
@exercise
def around_rewards(answer: Callable[..., Any]) -> None:
    """Check `around_rewards(values, rewards, before, after)` -> mean value at each lag, [before + after + 1].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch, before, after in ((30, 4, 3, 5), (80, 10, 2, 8), (25, 3, 4, 0)):
        rewards = 10.0 * (torch.rand(length, batch, generator=generator) < 0.15)
        rewards[length // 2, 0] = rewards[0, 1] = rewards[-1, 2] = 10.0
        cases.append((torch.randn(length, batch, generator=generator), rewards, before, after))

    def wrapped(values: Tensor, rewards: Tensor, before: int, after: int) -> Tensor:
        steps, episodes = (rewards > 0).nonzero().T
        lags = torch.arange(-before, after + 1)
        return values[(steps[:, None] + lags) % len(values), episodes[:, None]].mean(0)

    def cut(values: Tensor, rewards: Tensor, before: int, after: int) -> Tensor:
        steps, episodes = (rewards > 0).nonzero().T
        means = []
        for lag in range(-before, after + 1):
            there = (steps + lag >= 0) & (steps + lag < len(values))
            means.append(values[steps[there] + lag, episodes[there]].mean())
        return torch.stack(means)

    def shifted(values: Tensor, rewards: Tensor, before: int, after: int) -> Tensor:
        steps, episodes = (rewards > 0).nonzero().T
        whole = (steps >= before) & (steps + after < len(values))
        lags = torch.arange(-before, after + 1)
        return values[(steps[whole, None] + lags + 1) % len(values), episodes[whole, None]].mean(0)

    slips = [
        Slip("An index below 0 counts from the end: rewards near an edge must be left out.", wrapped),
        Slip("Use the same rewards at every lag: leave out those whose lags do not all exist.", cut),
        Slip(
            "The last lag is missing: `after` itself belongs to the window.",
            lambda values, rewards, before, after: around(values, rewards, before, after, last=after),
        ),
        Slip("The window is shifted: lag 0 is the step that was rewarded.", shifted),
        Slip(
            "These are sums. Divide by the number of rewards whose lags all exist.",
            lambda values, rewards, before, after: (
                around(values, rewards, before, after) * (rewards[before : len(values) - after] > 0).sum()
            ),
        ),
        Slip(
            "The window is the wrong way round: the first number belongs to the earliest step.",
            lambda values, rewards, before, after: around(values, rewards, before, after).flip(0),
        ),
    ]
    check_answer("around_rewards", answer, around, cases, slips)


@worth(2)
@exercise
def clip_gradients(answer: Callable[..., Any]) -> None:
    """Check `clip_gradients(gradients, bound)` -> the gradients, scaled down to a common norm of `bound`.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()

    def draw(scale: float) -> list[Tensor]:
        return [
            scale * torch.randn(shape, generator=generator) for shape in ((4, 3), (3,), (5, 4), (1,), (2, 2))
        ]

    # Once far above the bound, once below it, once with single parts below and the whole above.
    cases = [(*draw(3.0), 1.5), (*draw(0.05), 4.0), (*draw(1.0), 4.0)]
    slips = [
        Slip(
            "Each tensor is clipped by its own norm. One norm is taken over all of them.",
            lambda gradients, bound: [scaled_down([gradient], bound)[0] for gradient in gradients],
        ),
        Slip(
            "You cut off single numbers. That turns the direction; scaling keeps it.",
            lambda gradients, bound: [gradient.clamp(-bound, bound) for gradient in gradients],
        ),
        Slip(
            "A gradient below the bound is scaled up. It should stay as it is.",
            lambda gradients, bound: [
                gradient * bound / torch.cat([g.flatten() for g in gradients]).norm()
                for gradient in gradients
            ],
        ),
        Slip("The gradients come back as they were: nothing is clipped.", lambda gradients, bound: gradients),
        Slip(
            "The sign is turned round: scale by a positive factor.",
            lambda gradients, bound: [-gradient for gradient in scaled_down(gradients, bound)],
        ),
        Slip(
            "The root is missing: the norm is the root of the sum of squares.",
            lambda gradients, bound: [
                gradient * min(1.0, bound / torch.cat([g.flatten() for g in gradients]).square().sum().item())
                for gradient in gradients
            ],
        ),
        Slip(
            "Norms do not add up; their squares do.",
            lambda gradients, bound: [
                gradient * min(1.0, bound / sum(g.norm().item() for g in gradients)) for gradient in gradients
            ],
        ),
    ]

    # The machinery copies tensors among the arguments, so the list travels as single arguments.
    def as_list(function: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: function(list(arguments[:-1]), arguments[-1])

    check_answer(
        "clip_gradients",
        as_list(answer) if callable(answer) else answer,
        as_list(scaled_down),
        cases,
        [Slip(slip.hint, as_list(slip.function)) for slip in slips],
    )


@worth(3)
@exercise
def play_frozen(answer: Callable[..., Any]) -> None:
    """Check `play_frozen(net, maze, noise, freeze)` -> actions [T, B], Hebb kept from step `freeze` on.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for hidden_size, length, batch, freeze in ((12, 40, 4, 15), (20, 60, 3, 1), (16, 50, 5, 30)):
        net = Network(OBSERVATION_SIZE, hidden_size, NUM_ACTIONS, generator=generator)
        with torch.no_grad():  # traces that matter, and a policy that follows from them
            for name, spread in (("w", 0.8), ("alpha", 1.5), ("h2o.weight", 6.0)):
                net.get_parameter(name).normal_(0, spread / hidden_size**0.5, generator=generator)
        noise = draw_noise(length, batch, generator)
        cases.append((net, GridMaze(7, batch, length), noise, freeze))
    slips = [
        Slip(
            "The trace never stops changing. The new state has the new h, and the Hebb from before the step.",
            lambda net, maze, noise, freeze: frozen_play(net, maze, noise, maze.episode_length),
        ),
        Slip(
            "The trace never changes at all. It is kept from step `freeze` on.",
            lambda net, maze, noise, freeze: frozen_play(net, maze, noise, 0),
        ),
        Slip(
            "The trace is emptied. It should stay as it is at step `freeze`, and go on acting.",
            lambda net, maze, noise, freeze: played(net, maze, noise, freeze, emptied),
        ),
        Slip(
            "The activity is frozen too. Only Hebb is kept; h goes on.",
            lambda net, maze, noise, freeze: played(net, maze, noise, freeze, lambda before, after: before),
        ),
        Slip(
            "The freeze comes a step late: step `freeze`, counted from 0, is the first that changes nothing.",
            lambda net, maze, noise, freeze: frozen_play(net, maze, noise, freeze + 1),
        ),
        Slip(
            "The freeze comes a step early: every step before step `freeze` still changes the trace.",
            lambda net, maze, noise, freeze: frozen_play(net, maze, noise, freeze - 1),
        ),
    ]
    check_answer("play_frozen", answer, frozen_play, cases, slips)
