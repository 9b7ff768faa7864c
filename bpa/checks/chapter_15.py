"""Checks of the exercises in chapter 15, "Making it fast"."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.noise import fresh_generator


def fitting(
    steps: int, copies: int, whole: bool = True, rebuilt: int = -1, last: bool = False, best: bool = False
) -> int:
    """The smallest stretch K with ceil(T / K) + K - 1 <= copies, or 0.

    Each option is a slip: a stretch that is not full is forgotten, the traces that are rebuilt are counted
    wrongly, the longest stretch is taken, the best one is returned where none fits.
    """
    stretches = range(1, steps + 1)

    def held(k: int) -> int:
        return (math.ceil(steps / k) if whole else steps // k) + k + rebuilt

    fit = [k for k in stretches if held(k) <= copies]
    if not fit:
        return min(stretches, key=held) if best else 0
    return fit[-1] if last else fit[0]


def stored_alone(steps: int, copies: int) -> int:
    """The slip of `fitting` in which a rebuilt stretch takes no memory."""
    return next((k for k in range(1, steps + 1) if math.ceil(steps / k) <= copies), 0)


def soft_clip_gradients(hebb: Tensor, increment: Tensor, clip: float, dnew: Tensor) -> list[Tensor]:
    """Gradients of Hebb and of the increment, from Hebb + increment * room."""
    up = increment > 0
    room = torch.where(up, 1 - hebb / clip, 1 + hebb / clip)
    by_hebb = 1 + torch.where(up, -increment, increment) / clip
    return [dnew * by_hebb, dnew * room]


def retroactive_gradients(
    x: Tensor,
    y: Tensor,
    m: float,
    hebb: Tensor,
    eligibility: Tensor,
    eta: float,
    clip: float,
    dhebb: Tensor,
    deligibility: Tensor,
    *,
    masked: bool = True,
    old: bool = True,
    sign: float = 1.0,
) -> list[Tensor]:
    """Gradients of x, y, m, hebb, eligibility and eta after one step of the two traces.

    Each option is a planted slip: a clip without its mask, the new eligibility in place of the old one, the
    sign of the gradient of eta.
    """
    cut = (hebb + m * eligibility).abs() > clip
    ds = dhebb.masked_fill(cut, 0) if masked else dhebb
    pairs = torch.outer(x, y)
    written = eligibility if old else (1 - eta) * eligibility + eta * pairs
    return [
        eta * torch.mv(deligibility, y),
        eta * torch.mv(deligibility.T, x),
        (ds * written).sum(),
        ds,
        m * ds + (1 - eta) * deligibility,
        sign * (deligibility * (pairs - eligibility)).sum(),
    ]


def oja_gradients(
    x: Tensor,
    y: Tensor,
    eta: float,
    hebb: Tensor,
    dnew: Tensor,
    *,
    twice: float = 2.0,
    faded: bool = True,
    rated: bool = True,
    term: bool = True,
) -> list[Tensor]:
    """Gradients of x, y, eta and Hebb after Hebb + eta y_j (x_i - y_j Hebb).

    Each option is a slip: the square of y counted once, the old trace handed on whole, eta missing in the
    gradients of the activities, the second term missing in that by eta.
    """
    rate = eta if rated else 1.0
    forgotten = dnew * hebb  # what stands behind - eta y_j^2
    dx = rate * torch.mv(dnew, y)
    dy = rate * (torch.mv(dnew.T, x) - twice * y * forgotten.sum(0))
    deta = (torch.mv(dnew, y) * x).sum() - (forgotten.sum(0) * y**2).sum() * term
    return [dx, dy, deta, dnew - eta * y**2 * dnew if faded else dnew]


@worth(1)
@exercise
def shortest_stretch(answer: Callable[..., Any]) -> None:
    """Check `shortest_stretch(steps, copies)` -> the smallest stretch that fits into so many traces, or 0.

    Raises:
        NotYet: the answer differs from the definition.
    """
    slips = [
        Slip(
            "The last stretch may be a short one, and its trace is stored too: round T / K up.",
            lambda steps, copies: fitting(steps, copies, whole=False),
        ),
        Slip(
            "One trace is counted twice: the first of a rebuilt stretch is the stored one.",
            lambda steps, copies: fitting(steps, copies, rebuilt=0),
        ),
        Slip(
            "The traces of the rebuilt stretch are forgotten. They are held beside the stored ones.",
            stored_alone,
        ),
        Slip(
            "This is the longest stretch that fits. The shortest one rebuilds less.",
            lambda steps, copies: fitting(steps, copies, last=True),
        ),
        Slip(
            "Where nothing fits, the answer is 0.",
            lambda steps, copies: fitting(steps, copies, best=True),
        ),
        Slip(
            "Where nothing fits, the answer is 0.",
            lambda steps, copies: fitting(steps, copies) or -1,
        ),
        Slip(
            "This is the square-root law, whatever the budget. With more memory, rebuild less.",
            lambda steps, copies: round(math.sqrt(steps)),
        ),
        Slip(
            "This is the stretch that needs the fewest traces, whatever the budget. With more memory, "
            "rebuild less.",
            lambda steps, copies: fitting(steps, 0, best=True),
        ),
        Slip(
            "A memory that holds all traces allows K = 1: then no step is run twice.",
            lambda steps, copies: 2 if copies >= steps else fitting(steps, copies),
        ),
        Slip(
            "This is the number of traces that are held. Wanted is the K with which it fits.",
            lambda steps, copies: math.ceil(steps / k) + k - 1 if (k := fitting(steps, copies)) else 0,
        ),
    ]
    generator = fresh_generator()
    while True:  # until these cases tell every slip from the definition and from every other
        cases = []
        for _ in range(8):
            steps = int(torch.randint(20, 300, (), generator=generator))
            least = min(math.ceil(steps / k) + k - 1 for k in range(1, steps + 1))
            cases.append((steps, least + int(torch.randint(-2, 12, (), generator=generator))))
        # All traces fit; and nothing does.
        cases[0] = (cases[0][0], cases[0][0] + int(torch.randint(3, (), generator=generator)))
        cases[1] = (cases[1][0], int(torch.randint(2, 6, (), generator=generator)))
        answers = {tuple(f(*case) for case in cases) for f in (fitting, *(slip.function for slip in slips))}
        if len(answers) == len(slips) + 1:
            break
    check_answer("shortest_stretch", answer, fitting, cases, slips)


@worth(2)
@exercise
def soft_clip_back(answer: Callable[..., Any]) -> None:
    """Check `soft_clip_back(hebb, increment, clip, dnew)` -> gradients of hebb and increment.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for size, clip in ((4, 2.0), (5, 0.7), (3, 3.0)):
        hebb, increment, dnew = torch.randn(3, size, size, generator=generator, dtype=torch.float64)
        hebb = clip * hebb.tanh()
        increment = torch.where(increment < 0, -0.1, 0.1) + increment
        cases.append((hebb, increment, clip, dnew))

    def by_the_trace(hebb: Tensor, increment: Tensor, clip: float, dnew: Tensor) -> list[Tensor]:
        """The direction is read from the trace and not from the increment."""
        right = soft_clip_gradients(hebb, increment, clip, dnew)
        return [right[0], soft_clip_gradients(hebb, hebb, clip, dnew)[1]]

    def signed(hebb: Tensor, increment: Tensor, clip: float, dnew: Tensor) -> list[Tensor]:
        return [dnew * (1 - increment / clip), soft_clip_gradients(hebb, increment, clip, dnew)[1]]

    slips = [
        Slip(
            "The gradient of hebb passes whole. Hebb stands in the room as well.",
            lambda h, i, c, d: [d, soft_clip_gradients(h, i, c, d)[1]],
        ),
        Slip(
            "Of the gradient of hebb only the part from the room is there. Hebb stands alone as well.",
            lambda h, i, c, d: [-d * i.abs() / c, soft_clip_gradients(h, i, c, d)[1]],
        ),
        Slip("An increment downwards changes the room the other way: take its size, |increment|.", signed),
        Slip(
            "The sign of the room's part is turned round: a larger trace leaves less room.",
            lambda h, i, c, d: [d * (1 + i.abs() / c), soft_clip_gradients(h, i, c, d)[1]],
        ),
        Slip(
            "The two directions are swapped: upwards the room is 1 - hebb / clip.",
            lambda h, i, c, d: [soft_clip_gradients(h, i, c, d)[0], soft_clip_gradients(h, -i, c, d)[1]],
        ),
        Slip(
            "The gradient of the increment is not scaled by the room.",
            lambda h, i, c, d: [soft_clip_gradients(h, i, c, d)[0], d],
        ),
        Slip("The clip is missing in the quotients.", lambda h, i, c, d: soft_clip_gradients(h, i, 1.0, d)),
        Slip(
            "dnew is missing: by the chain rule it multiplies both.",
            lambda h, i, c, d: soft_clip_gradients(h, i, c, torch.ones_like(d)),
        ),
        Slip(
            "Both are those of an increment upwards. Downwards the room is 1 + hebb / clip.",
            lambda h, i, c, d: [d * (1 - i / c), d * (1 - h / c)],
        ),
        Slip("Which room it is depends on the sign of the increment, not on that of hebb.", by_the_trace),
        Slip(
            "The two results are swapped: hebb first, then the increment.",
            lambda h, i, c, d: soft_clip_gradients(h, i, c, d)[::-1],
        ),
        Slip(
            "This is the hard clip's mask. The soft one cuts nothing off.",
            lambda h, i, c, d: [d * ((h + i).abs() <= c)] * 2,
        ),
    ]
    names = ("of hebb", "of the increment")
    check_answer("soft_clip_back", answer, soft_clip_gradients, cases, slips, names=names)


PLANTED: dict[str, tuple[Any, str]] = {  # what a slip is called where others are left with it
    "masked": (False, "the clip: it must stop the gradient where it cut"),
    "old": (False, "which eligibility M was multiplied by: the old one"),
    "sign": (-1.0, "the sign of the gradient of eta"),
}


@worth(2)
@exercise
def mended_back(answer: Callable[..., Any]) -> None:
    """Check `mended_back(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility)` -> six gradients.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for size, m, eta, clip in ((4, 0.8, 0.3, 0.6), (5, -0.5, 0.1, 0.4), (3, 0.9, 0.6, 0.5)):
        x, y = torch.randn(2, size, generator=generator, dtype=torch.float64).tanh()
        hebb, eligibility, dhebb, dgathered = torch.randn(
            4, size, size, generator=generator, dtype=torch.float64
        )
        hebb = (0.5 * hebb).clamp(-clip, clip)
        hebb[0, 0], eligibility[0, 0] = clip, math.copysign(1.0, m)  # one at least is cut
        cases.append((x, y, m, hebb, eligibility, eta, clip, dhebb, dgathered))

    def left(names: tuple[str, ...]) -> Slip:
        options = {name: PLANTED[name][0] for name in names}
        if len(names) == len(PLANTED):
            hint = "This is the planted function still."
        else:
            hint = "Left: " + "; and ".join(PLANTED[name][1] for name in names) + "."
        return Slip(hint, lambda *case: retroactive_gradients(*case, **options))

    def with_ds(ds: Callable[..., Tensor], late: bool = False) -> Callable[..., list[Tensor]]:
        """The right gradients but for another one of S; where it is `late`, M and E get `dhebb` whole."""

        def gradients(*case: Any) -> list[Tensor]:
            _, _, m, hebb, eligibility, eta, clip, dhebb, deligibility = case
            right = retroactive_gradients(*case)
            cut = ds(hebb, m * eligibility, clip, dhebb)
            used = dhebb if late else cut
            return [
                *right[:2], (used * eligibility).sum(), cut, m * used + (1 - eta) * deligibility, right[5]
            ]  # fmt: skip

        return gradients

    slips = [left(names) for count in (3, 2, 1) for names in itertools.combinations(PLANTED, count)] + [
        Slip(
            "The clip is asked about the trace before the step. It cut the sum, s.",
            with_ds(lambda hebb, change, clip, dhebb: dhebb * (hebb.abs() < clip)),
        ),
        Slip(
            "The gradient itself is cut off at the clip. It passes whole where s was not cut, and is 0 where "
            "it was.",
            with_ds(lambda hebb, change, clip, dhebb: dhebb.clamp(-clip, clip)),
        ),
        Slip(
            "The mask is the wrong way round: the gradient passes where the clip did not cut.",
            with_ds(lambda hebb, change, clip, dhebb: dhebb * ((hebb + change).abs() > clip)),
        ),
        Slip(
            "The clip stops the gradient on its way to hebb only. M and E stand before the clip too.",
            with_ds(lambda hebb, change, clip, dhebb: dhebb * ((hebb + change).abs() <= clip), late=True),
        ),
        Slip(
            "The gradients of x and y are swapped: row i is pre-synaptic.",
            lambda x, y, *rest: [
                rest[3] * torch.mv(rest[6].T, x),
                rest[3] * torch.mv(rest[6], y),
                *retroactive_gradients(x, y, *rest)[2:],
            ],
        ),
    ]
    names = ("of x", "of y", "of m", "of hebb", "of eligibility", "of eta")
    check_answer("mended_back", answer, retroactive_gradients, cases, slips, names=names)


@worth(3)
@exercise
def oja_back(answer: Callable[..., Any]) -> None:
    """Check `oja_back(x, y, eta, hebb, dnew)` -> gradients of x, y, eta and hebb.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for size, eta in ((4, 0.3), (5, 0.1), (3, 0.7)):
        x, y = torch.randn(2, size, generator=generator, dtype=torch.float64).tanh()
        hebb, dnew = torch.randn(2, size, size, generator=generator, dtype=torch.float64)
        cases.append((x, y, eta, hebb, dnew))

    def slip(hint: str, **options: Any) -> Slip:
        return Slip(hint, lambda *case: oja_gradients(*case, **options))

    def turned(x: Tensor, y: Tensor, eta: float, hebb: Tensor, dnew: Tensor) -> list[Tensor]:
        """x and y have changed places."""
        dy, dx, deta, dhebb = oja_gradients(y, x, eta, hebb.T, dnew.T)
        return [dx, dy, deta, dhebb.T]

    def by_rows(x: Tensor, y: Tensor, eta: float, hebb: Tensor, dnew: Tensor) -> list[Tensor]:
        """In the gradient of y, y scales the rows of hebb."""
        dx, _, deta, dhebb = oja_gradients(x, y, eta, hebb, dnew)
        return [dx, eta * (torch.mv(dnew.T, x) - 2 * torch.mv((dnew * hebb).T, y)), deta, dhebb]

    def alone(x: Tensor, y: Tensor, eta: float, hebb: Tensor, dnew: Tensor) -> list[Tensor]:
        """Of the gradient of hebb the part from the forgetting term only."""
        return [*oja_gradients(x, y, eta, hebb, dnew)[:3], -eta * y**2 * dnew]

    slips = [
        Slip("In the gradient of y, y_j belongs to column j of hebb: `y[None, :] * hebb`.", by_rows),
        Slip("Hebb stands alone as well: its gradient begins with dnew.", alone),
        slip("y stands squared before Hebb, so its derivative has a factor 2 there.", twice=1.0),
        slip("The forgetting term is missing in the gradient of y.", twice=0.0),
        slip("Hebb is handed on whole. Oja's rule takes eta y_j^2 of it away.", faded=False),
        slip("Eta is missing in the gradients of x and y.", rated=False),
        slip("The gradient of eta lacks the forgetting term.", term=False),
        slip("This is Hebb's rule: nothing is forgotten.", twice=0.0, faded=False, term=False),
        Slip("Pre and post are swapped: y, the post-synaptic one, is squared.", turned),
    ]
    names = ("of x", "of y", "of eta", "of hebb")
    check_answer("oja_back", answer, oja_gradients, cases, slips, names=names)
