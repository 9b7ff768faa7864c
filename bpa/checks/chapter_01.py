"""Checks of the exercises in chapter 1, "Cells that fire together"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.network import clipped, outer
from bpa.noise import fresh_generator


def associated(pre: Tensor, post: Tensor) -> Tensor:
    """Hebb_ij = sum_k pre_ki post_kj / N: [K, N] and [K, N'] -> [N, N']."""
    return outer(pre, post).sum(0) / pre.shape[1]


def completed(hebb: Tensor, cue: Tensor) -> Tensor:
    """A cue [N] with zeros where nothing is known, filled with the sign of sum_i cue_i Hebb_ij."""
    arriving = (cue[:, None] * hebb).sum(0)  # the sum runs over i, down the rows of each column j
    return torch.where(cue == 0, arriving.sign(), cue)


def second_neuron_stepped(x: Tensor, v1: Tensor, v2: Tensor, eta: float) -> Tensor:
    """One step of Oja's rule for v2 [N], which sees what the first neuron, v1 [N], leaves of x [N]."""
    left = x - (x @ v1) * v1
    y2 = left @ v2
    return v2 + eta * y2 * (left - y2 * v2)


@worth(1)
@exercise
def associate(answer: Callable[..., Any]) -> None:
    """Check `associate(pre, post)`: pre [K, N], post [K, N'] -> Hebb [N, N'], K outer products over N.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [
        (torch.randn(pairs, before, generator=generator), torch.randn(pairs, after, generator=generator))
        for pairs, before, after in ((1, 4, 3), (3, 6, 5), (7, 5, 5))
    ]
    slips = [
        Slip(
            "Rows and columns are swapped: row i belongs to the pre-synaptic neuron.",
            lambda pre, post: outer(post, pre).sum(0) / pre.shape[1],
        ),
        Slip(
            "The sum is not divided by N, the number of pre-synaptic neurons.",
            lambda pre, post: outer(pre, post).sum(0),
        ),
        Slip(
            "You divide by K, the number of pairs: that is a mean. Divide by N, the number of pre-synaptic "
            "neurons.",
            lambda pre, post: outer(pre, post).mean(0),
        ),
        Slip(
            "You divide by the number of post-synaptic neurons. Divide by that of the pre-synaptic ones.",
            lambda pre, post: outer(pre, post).sum(0) / post.shape[1],
        ),
        Slip(
            "You keep the last pair only. Every pair adds to what is there.",
            lambda pre, post: outer(pre, post)[-1] / pre.shape[1],
        ),
        Slip(
            "You return after the first pair: the return stands inside the loop.",
            lambda pre, post: outer(pre, post)[0] / pre.shape[1],
        ),
        Slip(
            "The first pair is missing.",
            lambda pre, post: outer(pre, post)[1:].sum(0) / pre.shape[1],
        ),
        Slip(
            "The last pair is missing.",
            lambda pre, post: outer(pre, post)[:-1].sum(0) / pre.shape[1],
        ),
    ]
    check_answer("associate", answer, associated, cases, slips)


@worth(1)
@exercise
def complete(answer: Callable[..., Any]) -> None:
    """Check `complete(hebb, cue)`: the known part of cue [N] kept, the zeros filled from Hebb [N, N].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for size in (15, 24, 40):  # 39 unknown pixels in all: no wrong answer is right by chance
        cue = torch.randint(0, 2, (size,), generator=generator) * 2.0 - 1.0
        cue[torch.randperm(size, generator=generator)[: size // 2]] = 0.0
        cases.append((torch.randn(size, size, generator=generator), cue))
    slips = [
        Slip(
            "Known pixels must stay as they are: only the zeros of the cue are filled.",
            lambda hebb, cue: torch.sign(cue @ hebb),
        ),
        Slip(
            "Take the sign of what arrives: pixels are +1 or -1.",
            lambda hebb, cue: torch.where(cue == 0, cue @ hebb, cue),
        ),
        Slip(
            "Rows and columns are swapped: the sum runs over i, the rows, so it is cue @ hebb.",
            lambda hebb, cue: torch.where(cue == 0, torch.sign(hebb @ cue), cue),
        ),
        Slip(
            "The sign is turned round.",
            lambda hebb, cue: torch.where(cue == 0, -torch.sign(cue @ hebb), cue),
        ),
        Slip(
            "You fill the known pixels and leave the unknown ones.",
            lambda hebb, cue: torch.where(cue == 0, cue, torch.sign(cue @ hebb)),
        ),
    ]
    check_answer("complete", answer, completed, cases, slips)


@worth(2)
@exercise
def soft_clip(answer: Callable[..., Any]) -> None:
    """Check `soft_clip(hebb, increment, clip)`: an increment scaled by the room left in its direction.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for shape, clip in (((4, 4), 1.0), ((2, 3, 3), 2.0), ((5,), 0.5)):
        hebb = clip * (2 * torch.rand(shape, generator=generator) - 1)
        increment = 0.3 * torch.randn(shape, generator=generator)
        # One connection meets the bound, so that a hard clip and none at all never give the same.
        hebb.view(-1)[0], increment.view(-1)[0] = 0.9 * clip, 0.5 * clip
        cases.append((hebb, increment, clip))
    slips = [
        Slip(
            "That is the hard clip. Here the increment is scaled first, and nothing is cut off.",
            lambda hebb, increment, clip: clipped(hebb, increment, clip),
        ),
        Slip(
            "Up and down are swapped: a positive increment meets 1 - Hebb / clip.",
            lambda hebb, increment, clip: (
                hebb + increment * torch.where(increment > 0, 1 + hebb / clip, 1 - hebb / clip)
            ),
        ),
        Slip(
            "The room depends on the sign of the increment, not on the size of Hebb alone: a connection at "
            "the upper bound may still go down, at up to twice the full speed.",
            lambda hebb, increment, clip: hebb + increment * (1 - hebb.abs() / clip),
        ),
        Slip(
            "Both directions use the same factor. A negative increment meets 1 + Hebb / clip.",
            lambda hebb, increment, clip: hebb + increment * (1 - hebb / clip),
        ),
        Slip(
            "The bound is missing: Hebb is measured in units of clip, Hebb / clip.",
            lambda hebb, increment, clip: hebb + increment * torch.where(increment > 0, 1 - hebb, 1 + hebb),
        ),
        Slip(
            "You return the increment. Add it to Hebb.",
            lambda hebb, increment, clip: (
                increment * torch.where(increment > 0, 1 - hebb / clip, 1 + hebb / clip)
            ),
        ),
    ]
    check_answer(
        "soft_clip",
        answer,
        lambda hebb, increment, clip: clipped(hebb, increment, clip, "soft"),
        cases,
        slips,
    )


@worth(3)
@exercise
def second_neuron_step(answer: Callable[..., Any]) -> None:
    """Check `second_neuron_step(x, v1, v2, eta)`: Oja's rule on what a first neuron leaves of x [N].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [
        (*torch.randn(3, size, generator=generator).unbind(0), 0.1 * (number + 1))
        for number, size in enumerate((2, 3, 6))
    ]

    def oja(seen: Tensor, y: Tensor, w: Tensor, eta: float) -> Tensor:
        return w + eta * y * (seen - y * w)

    def left(x: Tensor, v1: Tensor) -> Tensor:
        return x - (x @ v1) * v1

    slips = [
        Slip(
            "The second neuron sees all of x and will end where the first one does. Take y1 v1 away first.",
            lambda x, v1, v2, eta: oja(x, x @ v2, v2, eta),
        ),
        Slip(
            "You add y1 v1 to x. Take it away.",
            lambda x, v1, v2, eta: oja(x + (x @ v1) * v1, (x + (x @ v1) * v1) @ v2, v2, eta),
        ),
        Slip(
            "y2 comes from what is left of x, not from x itself.",
            lambda x, v1, v2, eta: oja(left(x, v1), x @ v2, v2, eta),
        ),
        Slip(
            "You use y1, the activity of the first neuron, where y2 belongs.",
            lambda x, v1, v2, eta: oja(left(x, v1), x @ v1, v2, eta),
        ),
        Slip(
            "The forgetting term is missing: what is left minus y2 v2.",
            lambda x, v1, v2, eta: v2 + eta * (left(x, v1) @ v2) * left(x, v1),
        ),
        Slip(
            "You return the change. Add it to v2.",
            lambda x, v1, v2, eta: oja(left(x, v1), left(x, v1) @ v2, v2, eta) - v2,
        ),
    ]
    check_answer("second_neuron_step", answer, second_neuron_stepped, cases, slips)
