"""Checks of the exercises in chapter 14, "Fast weights, linear attention, DeltaNet"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.noise import fresh_generator


def attended(query: Tensor, key: Tensor, value: Tensor, beta: Tensor, first: int = 0) -> Tensor:
    """Answers [T, B, V] of a memory that is read `first` writes late, step by step."""
    fast = key.new_zeros(key.shape[1], key.shape[2], value.shape[2])
    memories = [fast] * first
    for k, v, strength in zip(key, value, beta, strict=True):
        fast = fast + strength[:, None, None] * k[:, :, None] * v[:, None, :]
        memories.append(fast)
    return torch.stack([(q[:, None] @ each)[:, 0] for q, each in zip(query, memories, strict=False)])


def scores_of(query: Tensor, key: Tensor) -> Tensor:
    """Each query with each key: [T, B, H] twice -> [B, T, T]."""
    return query.transpose(0, 1) @ key.permute(1, 2, 0)


def weighed(scores: Tensor, value: Tensor) -> Tensor:
    """Scores [B, T, T] and values [T, B, V] -> answers [T, B, V]."""
    return (scores @ value.transpose(0, 1)).transpose(0, 1)


def gated_write(
    fast: Tensor, key: Tensor, value: Tensor, beta: Tensor, gamma: Tensor, asked: str = "faded"
) -> Tensor:
    """F' + beta k (v - k G), where F' = gamma F; G is the memory asked: "faded", "fresh" or "none"."""
    faded = gamma[:, None, None] * fast
    memory = {"faded": faded, "fresh": fast, "none": torch.zeros_like(fast)}[asked]
    missing = value - (key[:, None] @ memory)[:, 0]
    return faded + beta[:, None, None] * key[:, :, None] * missing[:, None, :]


def faded(gamma: Tensor, begin: int = 1, end: int = 1) -> Tensor:
    """[T, T]: product of gamma over the steps s + begin to t + end - 1, on and below the diagonal."""
    T = len(gamma)
    mask = gamma.new_zeros(T, T)
    for t in range(T):
        for s in range(t + 1):
            mask[t, s] = gamma[s + begin : t + end].prod()
    return mask


def really_written(key: Tensor, value: Tensor, beta: Tensor) -> Tensor:
    """beta (v - k F) at each step of the delta rule, step by step: [T, V]."""
    fast = key.new_zeros(key.shape[1], value.shape[1])
    rows = []
    for k, v, strength in zip(key, value, beta, strict=True):
        rows.append(strength * (v - k @ fast))
        fast = fast + k[:, None] * rows[-1]
    return torch.stack(rows)


@worth(1)
@exercise
def attend(answer: Callable[..., Any]) -> None:
    """Check `attend(query, key, value, beta)` -> answers of linear attention, [T, B, V].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch, size, width in ((7, 3, 4, 5), (5, 5, 6, 6), (9, 2, 3, 2)):
        query, key = torch.randn(2, length, batch, size, generator=generator)
        value = torch.randn(length, batch, width, generator=generator)
        cases.append((query, key, value, torch.rand(length, batch, generator=generator)))

    def masked_on_other_axes(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
        scores = scores_of(q, k).permute(1, 2, 0).tril().permute(2, 0, 1)
        return weighed(scores * b.T[:, None, :], v)

    def of_all_episodes(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
        scores = scores_of(q, k).sum(0, keepdim=True).tril()
        return weighed(scores * b.T[:, None, :], v)

    def shares(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
        scores = scores_of(q, k).tril() * b.T[:, None, :]
        return weighed(scores / scores.sum(2, keepdim=True), v)

    def by_delta_rule(q: Tensor, k: Tensor, v: Tensor, b: Tensor) -> Tensor:
        each = [really_written(k[:, e], v[:, e], b[:, e]) for e in range(k.shape[1])]
        return attended(q, k, torch.stack(each, dim=1), torch.ones_like(b))

    slips = [
        Slip(
            "The mask lies on the wrong axes: tril works on the last two. Make the scores [B, T, T] first.",
            masked_on_other_axes,
        ),
        Slip("The scores are summed over the episodes. Each episode has its own.", of_all_episodes),
        Slip(
            "The scores are divided by the root of H. Here they are taken as they are.",
            lambda q, k, v, b: attended(q, k, v, b) / q.shape[2] ** 0.5,
        ),
        Slip("You divide by the sum of the scores. Here the scores themselves are the weights.", shares),
        Slip(
            "Queries and keys are scaled to length 1. Here they are taken as they are.",
            lambda q, k, v, b: attended(normalize(q, dim=2), normalize(k, dim=2), v, b),
        ),
        Slip(
            "Beta stands at the step that writes and at the step that asks. The first is enough.",
            lambda q, k, v, b: b[:, :, None] * attended(q, k, v, b),
        ),
        Slip("This is the delta rule. Linear attention adds without looking.", by_delta_rule),
        Slip(
            "The mask is missing: a step can see the future.",
            lambda q, k, v, b: weighed(scores_of(q, k) * b.T[:, None, :], v),
        ),
        Slip(
            "A step cannot read what it writes itself. Keep the diagonal.",
            lambda q, k, v, b: attended(q, k, v, b, first=1),
        ),
        Slip(
            "Beta stands at the step that asks. It belongs to the step that writes.",
            lambda q, k, v, b: weighed(scores_of(q, k).tril() * b.T[:, :, None], v),
        ),
        Slip("Beta is missing.", lambda q, k, v, b: attended(q, k, v, torch.ones_like(b))),
        Slip("Queries and keys are swapped.", lambda q, k, v, b: attended(k, q, v, b)),
        Slip(
            "The mask is turned round: a step sees only the future and itself.",
            lambda q, k, v, b: weighed(scores_of(q, k).triu() * b.T[:, None, :], v),
        ),
        Slip(
            "There is a softmax left. Here the scores themselves are the weights.",
            lambda q, k, v, b: weighed(
                torch.softmax(
                    scores_of(q, k).masked_fill(torch.ones(len(q), len(q)).triu(1) > 0, -torch.inf), dim=2
                )
                * b.T[:, None, :],
                v,
            ),
        ),
    ]
    check_answer("attend", answer, attended, cases, slips)


@worth(2)
@exercise
def gated_delta_step(answer: Callable[..., Any]) -> None:
    """Check `gated_delta_step(fast, key, value, beta, gamma)` -> the memory after a step, [B, H, V].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for batch, size, width in ((3, 4, 5), (4, 4, 4), (2, 6, 3)):
        fast = torch.randn(batch, size, width, generator=generator)
        key, value = (
            torch.randn(batch, size, generator=generator),
            torch.randn(batch, width, generator=generator),
        )
        beta, gamma = 0.2 + 0.7 * torch.rand(2, batch, generator=generator)
        cases.append((fast, key, value, beta, gamma))

    def with_unfaded(f: Tensor, k: Tensor, v: Tensor, b: Tensor, g: Tensor) -> Tensor:
        return gated_write(f, k, v, b, g) + (1 - g)[:, None, None] * f

    def kept_by_beta(f: Tensor, k: Tensor, v: Tensor, b: Tensor, g: Tensor) -> Tensor:
        return gated_write(f, k, v, b, g) + ((b - 1) * g)[:, None, None] * f

    def full_value(f: Tensor, k: Tensor, v: Tensor, b: Tensor, g: Tensor) -> Tensor:
        return gated_write(f, k, v / b[:, None], b, g)

    slips = [
        Slip(
            "You add to the memory that has not faded.",
            with_unfaded,
        ),
        Slip(
            "This is only what is written. What is left of the old memory belongs to it.",
            lambda f, k, v, b, g: gated_write(f, k, v, b, g) - g[:, None, None] * f,
        ),
        Slip(
            "Gamma says how much is kept, not how much is lost.",
            lambda f, k, v, b, g: gated_write(f, k, v, b, 1 - g),
        ),
        Slip(
            "The keys are scaled to length 1. Here they are taken as they are.",
            lambda f, k, v, b, g: gated_write(f, normalize(k, dim=1), v, b, g),
        ),
        Slip("Beta weighs the old memory too. It weighs what is written.", kept_by_beta),
        Slip("Beta weighs what is taken out, and not the value. It weighs both.", full_value),
        Slip(
            "You ask the memory before it has faded. What is missing is judged by the faded one.",
            lambda f, k, v, b, g: gated_write(f, k, v, b, g, asked="fresh"),
        ),
        Slip(
            "Nothing is taken out: this is the sum. Write only what is missing.",
            lambda f, k, v, b, g: gated_write(f, k, v, b, g, asked="none"),
        ),
        Slip("Gamma is missing.", lambda f, k, v, b, g: gated_write(f, k, v, b, torch.ones_like(g))),
        Slip("Beta is missing.", lambda f, k, v, b, g: gated_write(f, k, v, torch.ones_like(b), g)),
        Slip("Beta and gamma are swapped.", lambda f, k, v, b, g: gated_write(f, k, v, g, b)),
        Slip(
            "Gamma fades the new write too. It fades what was there before.",
            lambda f, k, v, b, g: g[:, None, None] * gated_write(f, k, v, b, torch.ones_like(g)),
        ),
        Slip(
            "Beta weighs the value alone. It weighs the whole correction.",
            lambda f, k, v, b, g: gated_write(f, k, b[:, None] * v, torch.ones_like(b), g),
        ),
        Slip(
            "The sign of what is missing is turned round: value minus what is there.",
            lambda f, k, v, b, g: 2 * g[:, None, None] * f - gated_write(f, k, v, b, g),
        ),
    ]
    check_answer("gated_delta_step", answer, gated_write, cases, slips)


@worth(2)
@exercise
def retention_mask(answer: Callable[..., Any]) -> None:
    """Check `retention_mask(gamma)` -> what is left at step t of a write at step s, [T, T].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [(0.2 + 0.7 * torch.rand(length, generator=generator),) for length in (4, 7, 5)]
    cases[1][0][3] = 0  # a gate that is shut

    def summed(gamma: Tensor) -> Tensor:
        totals = gamma.cumsum(0)
        return (totals[:, None] - totals).tril()

    slips = [
        Slip("You add the gates. What passes two of them is multiplied by both.", summed),
        Slip("Gamma says how much is kept, not how much is lost.", lambda gamma: faded(1 - gamma)),
        Slip(
            "The diagonal should be 1: a step reads what it has written itself.",
            lambda gamma: faded(gamma).tril(-1),
        ),
        Slip(
            "Above the diagonal everything is 0: a later step has written nothing yet.",
            lambda gamma: faded(gamma) + torch.ones(len(gamma), len(gamma)).triu(1),
        ),
        Slip(
            "You multiply all gates from the first on. What was written at step s meets those after s only.",
            lambda gamma: gamma.cumprod(0)[:, None].expand(-1, len(gamma)).tril(),
        ),
        Slip(
            "You take the last gate alone. What is older has passed all gates between.",
            lambda gamma: gamma[:, None].expand(-1, len(gamma)).tril(-1) + torch.eye(len(gamma)),
        ),
        Slip(
            "What a step writes is faded at that very step. It fades from the next one on.",
            lambda gamma: faded(gamma, begin=0),
        ),
        Slip(
            "One gate is missing: a memory fades before it is read at step t.",
            lambda gamma: faded(gamma, end=0),
        ),
        Slip(
            "You raise the last gate to a power. Each step has a gate of its own.",
            lambda gamma: torch.tril(
                gamma[:, None] ** (torch.arange(len(gamma))[:, None] - torch.arange(len(gamma))).clamp(min=0)
            ),
        ),
        Slip(
            "You raise the gate of the writing step to a power. Each step has a gate of its own.",
            lambda gamma: torch.tril(
                gamma[None, :] ** (torch.arange(len(gamma))[:, None] - torch.arange(len(gamma))).clamp(min=0)
            ),
        ),
        Slip("Rows and columns are swapped: the step that asks is the row.", lambda gamma: faded(gamma).T),
    ]
    check_answer("retention_mask", answer, faded, cases, slips)


@worth(3)
@exercise
def written_values(answer: Callable[..., Any]) -> None:
    """Check `written_values(key, value, beta)` -> what the delta rule really writes at each step, [T, V].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, size, width in ((6, 4, 5), (12, 5, 3), (5, 5, 5)):
        key = normalize(torch.randn(length, size, generator=generator), dim=1)
        value = torch.randn(length, width, generator=generator)
        cases.append((key, value, 0.2 + 0.7 * torch.rand(length, generator=generator)))

    def solved(key: Tensor, value: Tensor, left: Tensor, right: Tensor, diagonal: int = -1) -> Tensor:
        system = torch.eye(len(key)) + (left[:, None] * (key @ key.T)).tril(diagonal)
        return torch.linalg.solve(system, right[:, None] * value)

    def once(key: Tensor, value: Tensor, beta: Tensor) -> Tensor:
        return beta[:, None] * (value - (key @ key.T).tril(-1) @ (beta[:, None] * value))

    slips = [
        Slip(
            "This is beta times the value: nothing is taken out. (With upper=True, solve_triangular does not "
            "look below the diagonal.)",
            lambda k, v, b: b[:, None] * v,
        ),
        Slip(
            "This is what is missing. Beta times that is written.",
            lambda k, v, b: really_written(k, v, b) / b[:, None],
        ),
        Slip(
            "The 1 on the diagonal is missing: the system is I + A.",
            lambda k, v, b: torch.linalg.solve((b[:, None] * (k @ k.T)).tril(), b[:, None] * v),
        ),
        Slip(
            "The system looks into the future. Keep what is below the diagonal: tril(-1).",
            lambda k, v, b: torch.linalg.solve(
                torch.eye(len(k)) + (b[:, None] * (k @ k.T)).triu(1), b[:, None] * v
            ),
        ),
        Slip(
            "The system looks into the future too. Keep what is below the diagonal: tril(-1).",
            lambda k, v, b: torch.linalg.solve(torch.eye(len(k)) + b[:, None] * (k @ k.T), b[:, None] * v),
        ),
        Slip(
            "You subtract what the sum would hold. What is stored are the rows of U, not the values.",
            once,
        ),
        Slip(
            "Beta is missing on the side of the values.", lambda k, v, b: solved(k, v, b, torch.ones_like(b))
        ),
        Slip("Beta is missing in the system.", lambda k, v, b: solved(k, v, torch.ones_like(b), b)),
        Slip(
            "Beta in the system belongs to the row, the step that writes now.",
            lambda k, v, b: torch.linalg.solve(
                torch.eye(len(k)) + (b[None, :] * (k @ k.T)).tril(-1), b[:, None] * v
            ),
        ),
        Slip(
            "The diagonal is counted twice: strictly below it, tril(-1).",
            lambda k, v, b: solved(k, v, b, b, diagonal=0),
        ),
        Slip(
            "The sign is turned round: what is stored is subtracted, so it is added on the left.",
            lambda k, v, b: solved(k, v, -b, b),
        ),
    ]
    check_answer("written_values", answer, really_written, cases, slips, tolerance=1e-4)
