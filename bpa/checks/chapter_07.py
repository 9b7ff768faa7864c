"""Checks of the exercises in chapter 7, "The cue-reward task"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.noise import fresh_generator


def target_inside(actions: Tensor, rewards: Tensor) -> Tensor:
    """Whether the target was in the pair: yes and right, or no and wrong; bool, as the arguments."""
    return (actions == 1) == (rewards > 0)


def cues_shown(pairs: Tensor, num_cues: int) -> Tensor:
    """Which cues each trial showed: pairs [..., 2] -> bool [..., N]."""
    return (pairs[..., None] == torch.arange(num_cues)).any(-2)


def consistent(pairs: Tensor, inside: Tensor, num_cues: int) -> Tensor:
    """Cues shown exactly when the target was: pairs [B, R, 2], inside [B, R] -> bool [B, N]."""
    return (cues_shown(pairs, num_cues) == inside[..., None]).all(1)


def share_by_trial(actions: Tensor, answers: Tensor) -> Tensor:
    """Share right in each trial over the episodes: actions, answers [T, B] -> [R]."""
    rights = [(mine == right)[right >= 0].float() for mine, right in zip(actions.T, answers.T, strict=True)]
    return torch.stack(rights).mean(0)


def likelier(pairs: Tensor, possible: Tensor) -> Tensor:
    """1 where more than half of the possible cues are shown: pairs [B, 2], possible [B, N] -> int64 [B]."""
    shown = (cues_shown(pairs, possible.shape[1]) & possible).sum(1)
    return (2 * shown > possible.sum(1)).long()


@worth(1)
@exercise
def was_in(answer: Callable[..., Any]) -> None:
    """Check `was_in(actions, rewards)` -> whether the target was in the pair, bool.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for shape in ((12,), (5, 4), (20,)):
        actions = torch.randint(2, shape, generator=generator)
        rewards = 2.0 * torch.randint(2, shape, generator=generator) - 1
        # All four cases, whatever was drawn.
        actions.view(-1)[:4] = torch.tensor([0, 0, 1, 1])
        rewards.view(-1)[:4] = torch.tensor([1.0, -1.0, 1.0, -1.0])
        cases.append((actions, rewards))
    slips = [
        Slip("This is the reward alone. A right no means: not in.", lambda a, r: r > 0),
        Slip("This is the answer alone. A wrong yes means: not in.", lambda a, r: a == 1),
        Slip("This is turned round: true where the target was not in.", lambda a, r: ~target_inside(a, r)),
        Slip("A wrong no means that the target was in.", lambda a, r: (a == 1) & (r > 0)),
        Slip(
            "It takes both, answer and reward: a right no and a wrong yes mean not in.",
            lambda a, r: (a == 1) | (r > 0),
        ),
        Slip(
            "Actions are 0 and 1: times the reward, no always gives 0.",
            lambda a, r: a * r,
        ),
    ]
    check_answer("was_in", answer, target_inside, cases, slips)


@worth(2)
@exercise
def still_possible(answer: Callable[..., Any]) -> None:
    """Check `still_possible(pairs, inside, num_cues)` -> which cues may still be the target, bool [B, N].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for batch, trials, num_cues in ((40, 2, 6), (50, 3, 5), (40, 3, 7)):
        pairs = torch.rand(batch, trials, num_cues, generator=generator).argsort(2)[:, :, :2]
        target = torch.randint(num_cues, (batch,), generator=generator)
        cases.append((pairs, (pairs == target[:, None, None]).any(2), num_cues))
    slips = [
        Slip(
            "What was shown when the target was not in is not struck out.",
            lambda p, i, n: (cues_shown(p, n) | ~i[..., None]).all(1),
        ),
        Slip(
            "When the target was in, the cues that were not shown are out.",
            lambda p, i, n: (~cues_shown(p, n) | i[..., None]).all(1),
        ),
        Slip(
            "You use the last trial alone. A cue must fit all of them.",
            lambda p, i, n: consistent(p[:, -1:], i[:, -1:], n),
        ),
        Slip(
            "A cue must fit every trial, not any one.",
            lambda p, i, n: (cues_shown(p, n) == i[..., None]).any(1),
        ),
        Slip("This is turned round: true where a cue is out.", lambda p, i, n: ~consistent(p, i, n)),
        Slip("In and not in are swapped.", lambda p, i, n: consistent(p, ~i, n)),
        Slip(
            "You look at the first cue of each pair alone.",
            lambda p, i, n: consistent(p[:, :, :1], i, n),
        ),
    ]
    check_answer("still_possible", answer, consistent, cases, slips)


def drawn_trials(
    length: int, trials: int, batch_size: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random actions and answers [T, B], with so many Go steps at places of each episode's own."""
    actions = torch.randint(2, (length, batch_size), generator=generator)
    places = torch.rand(length, batch_size, generator=generator).argsort(0)[:trials]
    answers = torch.full((length, batch_size), -1)
    answers.scatter_(0, places, torch.randint(2, (trials, batch_size), generator=generator))
    return actions, answers


@worth(2)
@exercise
def right_by_trial(answer: Callable[..., Any]) -> None:
    """Check `right_by_trial(actions, answers)` -> the share right in each trial, [R].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [drawn_trials(*sizes, generator) for sizes in ((14, 4, 7), (20, 5, 9), (18, 6, 8))]

    def by_step(a: Tensor, w: Tensor) -> Tensor:
        asked = w >= 0
        trials = int(asked.sum(0)[0])
        rights = (a == w)[asked].float()  # step after step, the episodes mixed
        return rights.reshape(trials, -1).mean(1)

    def by_episode(a: Tensor, w: Tensor) -> Tensor:
        return ((a == w) & (w >= 0)).sum(0) / (w >= 0).sum(0)

    slips = [
        Slip("Trials are numbered within each episode. You mix the episodes, step by step.", by_step),
        Slip("This is the share of each episode. That of each trial is wanted.", by_episode),
        Slip("This is one share for all trials.", lambda a, w: (a == w)[w >= 0].float().mean()),
        Slip("This is the share of wrong answers.", lambda a, w: 1 - share_by_trial(a, w)),
        Slip(
            "This is the share of yes among the answers. Compare with the right ones.",
            lambda a, w: share_by_trial(a, torch.where(w >= 0, 1, -1)),
        ),
        Slip("You count steps without a Go.", lambda a, w: (a == w).float().mean(1)),
    ]
    check_answer("right_by_trial", answer, share_by_trial, cases, slips)


@worth(3)
@exercise
def best_answers(answer: Callable[..., Any]) -> None:
    """Check `best_answers(pairs, possible)` -> the perfect player's answers, int64 [B].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for num_cues in (6, 5, 8):
        pairs = torch.rand(60, num_cues, generator=generator).argsort(1)[:, :2]
        left = torch.rand(60, num_cues, generator=generator).argsort(1)
        size = torch.randint(1, 5, (60, 1), generator=generator)
        possible = left < size
        # A tie, one of two; certain, one of one; likely, two of three; none of two; two of five.
        for row, (inside, outside) in enumerate([(1, 1), (1, 0), (2, 1), (0, 2), (2, 3)]):
            others = [cue for cue in range(num_cues) if cue not in pairs[row].tolist()]
            possible[row] = False
            possible[row, pairs[row, :inside]] = True
            possible[row, others[:outside]] = True
        cases.append((pairs, possible))

    def shown(pairs: Tensor, possible: Tensor) -> Tensor:
        return possible.gather(1, pairs).sum(1)

    slips = [
        Slip(
            "At exactly one half the answer is no.",
            lambda p, c: (2 * shown(p, c) >= c.sum(1)).long(),
        ),
        Slip(
            "That the target may be in the pair is not enough for a yes.",
            lambda p, c: (shown(p, c) > 0).long(),
        ),
        Slip(
            "You say yes only if it is certain. More likely than not is enough.",
            lambda p, c: (shown(p, c) == c.sum(1)).long(),
        ),
        Slip("Yes and no are swapped.", lambda p, c: 1 - likelier(p, c)),
        Slip(
            "This never says yes. Compare with half of the cues that are still possible, not of all.",
            lambda p, c: (2 * shown(p, c) > c.shape[1]).long(),
        ),
        Slip(
            "You look at the first cue of the pair alone.",
            lambda p, c: (2 * shown(p[:, :1], c) > c.sum(1)).long(),
        ),
        Slip(
            "Both cues need not be possible. One of one is certain.", lambda p, c: (shown(p, c) == 2).long()
        ),
    ]
    check_answer("best_answers", answer, likelier, cases, slips)
