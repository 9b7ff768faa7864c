"""Checks of the exercises in chapter 5, "Who says when to learn"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.noise import fresh_generator


def fanned_out(m: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """eta_j = weight_j M + bias_j: m [B], weight [H, 1], bias [H] -> [B, H]."""
    return m[:, None] * weight[:, 0] + bias


def trace_after(h: Tensor, m: Tensor, clip: float) -> Tensor:
    """Hebb after the activities h [T, B, H] with modulation m [T, B], from zero, clipped at each step."""
    return written(h[:-1], h[1:], m[1:], clip)


def written(pre: Tensor, post: Tensor, m: Tensor, clip: float) -> Tensor:
    """Hebb [B, H, H] after S updates: pre, post [S, B, H] and m [S, B]."""
    hebb = pre.new_zeros(pre.shape[1], pre.shape[2], post.shape[2])
    for old, new, gain in zip(pre, post, m, strict=True):
        increment = gain[:, None, None] * old[:, :, None] * new[:, None, :]
        hebb = (hebb + increment).clamp(-clip, clip)
    return hebb


def overlap(hebb: Tensor, pre: Tensor, post: Tensor) -> Tensor:
    """sum_ij pre_i Hebb_ij post_j: [B, H, H], [B, H], [B, H] -> [B]."""
    return torch.einsum("bi,bij,bj->b", pre, hebb, post)


def squares(values: Tensor) -> Tensor:
    """Sum of squares of each row: [B, H] -> [B]."""
    return values.square().sum(1)


def erasing(hebb: Tensor, pre: Tensor, post: Tensor) -> Tensor:
    """The M [B] with which one more update by pre and post makes their overlap with Hebb zero."""
    return -overlap(hebb, pre, post) / (squares(pre) * squares(post))


@worth(1)
@exercise
def gains(answer: Callable[..., Any]) -> None:
    """Check `gains(m, weight, bias)` -> the plasticity rate of every neuron, [B, H].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    # Once as many episodes as neurons, so that no mistake shows in the shape alone.
    cases = [(draw(batch).tanh(), draw(size, 1), draw(size)) for batch, size in ((3, 5), (4, 4), (1, 6))]
    slips = [
        Slip("The bias is missing: it is the rate at M = 0.", lambda m, w, b: fanned_out(m, w, 0 * b)),
        Slip(
            "M multiplies the bias too. It multiplies the weight alone.",
            lambda m, w, b: fanned_out(m, w + b[:, None], 0 * b),
        ),
        Slip(
            "Weight and bias are swapped.",
            lambda m, w, b: fanned_out(m, b[:, None], w[:, 0]),
        ),
        Slip(
            "The weight is missing: every neuron gets the same M.",
            lambda m, w, b: fanned_out(m, torch.ones_like(w), b),
        ),
        Slip(
            "A tanh too many: M has been through one, a gain may be any number.",
            lambda m, w, b: fanned_out(m, w, b).tanh(),
        ),
        Slip(
            "All episodes get the same gains. Each has an M of its own.",
            lambda m, w, b: fanned_out(m.mean().expand(len(m)), w, b),
        ),
    ]
    check_answer("gains", answer, fanned_out, cases, slips)


@worth(2)
@exercise
def modulated_trace(answer: Callable[..., Any]) -> None:
    """Check `modulated_trace(h, m, clip)` -> the trace after an episode of T steps, [B, H, H].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch, size, clip in ((9, 3, 4, 0.5), (14, 2, 5, 0.4), (11, 4, 4, 0.6)):
        h = torch.randn(length, batch, size, generator=generator).tanh()
        m = 0.4 + 0.6 * torch.randn(length, batch, generator=generator).tanh()
        cases.append((h, m, clip))

    slips = [
        Slip(
            "M is one step late: the pair of x(t-1) and x(t) is weighed with M(t), made from x(t).",
            lambda h, m, clip: written(h[:-1], h[1:], m[:-1], clip),
        ),
        Slip(
            "M is one step early: the pair of x(t-1) and x(t) is weighed with M(t), made from x(t).",
            lambda h, m, clip: written(h[:-2], h[1:-1], m[2:], clip),
        ),
        Slip(
            "Only the first pair is in it. Does the return stand inside the loop?",
            lambda h, m, clip: written(h[:1], h[1:2], m[1:2], clip),
        ),
        Slip(
            "The first pair is missing: it is that of the first two steps.",
            lambda h, m, clip: written(h[1:-1], h[2:], m[2:], clip),
        ),
        Slip("The last pair is missing.", lambda h, m, clip: written(h[:-2], h[1:-1], m[1:-1], clip)),
        Slip(
            "The first step is paired with the last one. Nothing came before it.",
            lambda h, m, clip: written(h.roll(1, 0), h, m, clip),
        ),
        Slip(
            "M counts with the wrong sign: the increment is added.",
            lambda h, m, clip: written(h[:-1], h[1:], -m[1:], clip),
        ),
        Slip("M is not used.", lambda h, m, clip: written(h[:-1], h[1:], torch.ones_like(m[1:]), clip)),
        Slip(
            "Rows and columns are swapped: the old activity is the row.",
            lambda h, m, clip: written(h[1:], h[:-1], m[1:], clip),
        ),
        Slip("You pair the new activity with itself.", lambda h, m, clip: written(h, h, m, clip)),
        Slip(
            "You clip at the end. Clip at every step: what was cut off is gone.",
            lambda h, m, clip: written(h[:-1], h[1:], m[1:], torch.inf).clamp(-clip, clip),
        ),
        Slip("The clip is missing.", lambda h, m, clip: written(h[:-1], h[1:], m[1:], torch.inf)),
        Slip(
            "A negative M counts as positive. It unlearns.",
            lambda h, m, clip: written(h[:-1], h[1:], m[1:].abs(), clip),
        ),
        Slip(
            "A negative M counts as zero. It unlearns.",
            lambda h, m, clip: written(h[:-1], h[1:], m[1:].relu(), clip),
        ),
    ]
    check_answer("modulated_trace", answer, trace_after, cases, slips)


@worth(2)
@exercise
def erasing_modulation(answer: Callable[..., Any]) -> None:
    """Check `erasing_modulation(hebb, pre, post)` -> the M that unlearns a pair, [B].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for batch, size in ((3, 4), (5, 6), (2, 3)):
        hebb = torch.randn(batch, size, size, generator=generator)
        pre, post = torch.randn(2, batch, size, generator=generator).tanh()
        cases.append((hebb, pre, post))
    slips = [
        Slip("The sign is wrong: this M would learn the pair once more.", lambda *case: -erasing(*case)),
        Slip("Divide by the squared lengths of both activities.", lambda h, x, y: -overlap(h, x, y)),
        Slip(
            "Divide by the squares of both lengths: one for asking, one for writing.",
            lambda h, x, y: -overlap(h, x, y) / (squares(x) * squares(y)).sqrt(),
        ),
        Slip(
            "Divide by both squared lengths, not by that of the old activity alone.",
            lambda h, x, y: -overlap(h, x, y) / squares(x),
        ),
        Slip(
            "Divide by both squared lengths, not by that of the new activity alone.",
            lambda h, x, y: -overlap(h, x, y) / squares(y),
        ),
        Slip(
            "Rows and columns are swapped: the old activity comes in at the rows.",
            lambda h, x, y: erasing(h.mT, x, y),
        ),
    ]
    check_answer("erasing_modulation", answer, erasing, cases, slips)


def stores(group: Tensor) -> tuple[Tensor, Tensor]:
    """Fan-out weight [H, 1] and bias [H]: gain 1 at M = 1 and 0 at M = -1 in the group, else the reverse."""
    return torch.where(group, 0.5, -0.5)[:, None], torch.full(group.shape, 0.5)


@worth(3)
@exercise
def two_stores(answer: Callable[..., Any]) -> None:
    """Check `two_stores(group)` -> fan-out weight [H, 1] and bias [H] for two stores and one signal.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for size in (4, 7, 10):
        group = torch.rand(size, generator=generator) < 0.5
        group[:2] = torch.tensor([True, False])
        cases.append((group,))
    slips = [
        Slip(
            "These gains are 1 and -1: the silent half would unlearn. It should stand still, with gain 0.",
            lambda group: (2 * stores(group)[0], torch.zeros(group.shape)),
        ),
        Slip("The two groups are swapped.", lambda group: stores(~group)),
        Slip(
            "The bias is missing: half of the gain would be left, with either sign.",
            lambda group: (stores(group)[0], torch.zeros(group.shape)),
        ),
        Slip(
            "At M = 1 the gain is 2. Weight and bias add up to 1 there.",
            lambda group: (2 * stores(group)[0], torch.ones(group.shape)),
        ),
        Slip(
            "Your second group never learns. At M = -1 it should have the gain 1.",
            lambda group: (0.5 * group[:, None], 0.5 * group),
        ),
    ]
    check_answer("two_stores", answer, stores, cases, slips)
