"""Checks of the exercises in chapter 14, "Fast weights, linear attention, DeltaNet"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from bpa.checks.compare import Slip, check_answer, exercise
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
    slips = [
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
    slips = [
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


@exercise
def retention_mask(answer: Callable[..., Any]) -> None:
    """Check `retention_mask(gamma)` -> what is left at step t of a write at step s, [T, T].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [(0.2 + 0.7 * torch.rand(length, generator=generator),) for length in (4, 7, 5)]
    cases[1][0][3] = 0  # a gate that is shut
    slips = [
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
        Slip("This is beta times the value: nothing is taken out.", lambda k, v, b: b[:, None] * v),
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
