"""Checks of the exercises in chapter 6, "Yesterday's dopamine"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.noise import fresh_generator


def pairs(pre: Tensor, post: Tensor) -> Tensor:
    """x_i(t-1) x_j(t) of every step: [S, B, H] and [S, B, H] -> [S, B, H, H]."""
    return pre[:, :, :, None] * post[:, :, None, :]


def entered(h: Tensor) -> Tensor:
    """What enters the traces in an episode h [T, B, H]: nothing at its first step, [T, B, H, H]."""
    return torch.cat([h.new_zeros(1, *h.shape[1:], h.shape[2]), pairs(h[:-1], h[1:])])


def gathered(entering: Tensor, eta: float, kept: float | None = None) -> Tensor:
    """E after S steps: entering [S, ...], of which eta enters and 1 - eta (or `kept`) stays -> [...]."""
    trace = torch.zeros_like(entering[0])
    for new in entering:
        trace = (1 - eta if kept is None else kept) * trace + eta * new
    return trace


def two_traces(entering: Tensor, m: Tensor, eta: float, clip: float, new_first: bool = False) -> Tensor:
    """Hebb [B, H, H] after S steps: entering [S, B, H, H], m [S, B]; by the old E, or the new one."""
    hebb = eligibility = torch.zeros_like(entering[0])
    for pair, gain in zip(entering, m, strict=True):
        old = eligibility
        eligibility = (1 - eta) * old + eta * pair
        used = eligibility if new_first else old
        hebb = (hebb + gain[:, None, None] * used).clamp(-clip, clip)
    return hebb


def after(h: Tensor, eta: float) -> Tensor:
    """E [B, H, H] after the activities h [T, B, H]."""
    return gathered(entered(h), eta)


def learned(h: Tensor, m: Tensor, eta: float, clip: float) -> Tensor:
    """Hebb [B, H, H] after the activities h [T, B, H] with modulation m [T, B]."""
    return two_traces(entered(h), m, eta, clip)


def credits(m: Tensor, eta: float, first: int = 1) -> Tensor:
    """What each step earns, [T, B]: sum over n >= first of eta (1 - eta)^(n - first) m(s + n)."""
    steps = torch.arange(len(m))
    wait = steps[None, :] - steps[:, None] - first  # [s, t]
    weight = torch.where(wait >= 0, eta * (1 - eta) ** wait.clamp(min=0).double(), 0.0)
    return (weight @ m.double()).to(m.dtype)


@worth(1)
@exercise
def eligibility_after(answer: Callable[..., Any]) -> None:
    """Check `eligibility_after(h, eta)` -> the eligibility trace after an episode of T steps, [B, H, H].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch, size in ((7, 3, 4), (10, 2, 5), (8, 4, 4)):
        h = torch.randn(length, batch, size, generator=generator).tanh()
        cases.append((h, 0.1 + 0.3 * torch.rand((), generator=generator).item()))
    slips = [
        Slip("Nothing is forgotten: what was there keeps a share 1 - eta.", lambda h, eta: kept_all(h, eta)),
        Slip("Only a share eta of a new pair enters.", lambda h, eta: after(h, eta) / eta),
        Slip(
            "Eta and 1 - eta are swapped: eta enters, 1 - eta stays.",
            lambda h, eta: after(h, 1 - eta),
        ),
        Slip(
            "What has just entered is forgotten at once: forget first, then add.",
            lambda h, eta: (1 - eta) * after(h, eta),
        ),
        Slip("Rows and columns are swapped: the old activity is the row.", lambda h, eta: after(h, eta).mT),
        Slip("You pair the new activity with itself.", lambda h, eta: gathered(pairs(h, h), eta)),
        Slip("The last pair is missing.", lambda h, eta: after(h[:-1], eta)),
        Slip(
            "The first pair is missing: it is that of the first two steps.",
            lambda h, eta: after(h[1:], eta),
        ),
        Slip(
            "Only the first pair is in it. Does the return stand inside the loop?",
            lambda h, eta: after(h[:2], eta),
        ),
        Slip(
            "The first step is paired with the last one. Nothing came before it.",
            lambda h, eta: gathered(pairs(h.roll(1, 0), h), eta),
        ),
    ]
    check_answer("eligibility_after", answer, after, cases, slips)


def kept_all(h: Tensor, eta: float) -> Tensor:
    """The sum of all pairs times eta: a trace that forgets nothing."""
    return gathered(entered(h), eta, kept=1.0)


@worth(2)
@exercise
def retroactive_trace(answer: Callable[..., Any]) -> None:
    """Check `retroactive_trace(h, m, eta, clip)` -> the Hebbian trace after an episode of T steps, [B, H, H].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch, size, clip in ((12, 3, 4, 0.15), (16, 2, 5, 0.12), (14, 4, 4, 0.18)):
        h = torch.randn(length, batch, size, generator=generator).tanh()
        m = 0.3 + 0.7 * torch.randn(length, batch, generator=generator).tanh()
        cases.append((h, m, 0.2 + 0.3 * torch.rand((), generator=generator).item(), clip))

    def late(m: Tensor) -> Tensor:
        return torch.cat([m[:1], m[:-1]])

    slips = [
        Slip(
            "You use the new E. Hebb takes the old one, gathered before this step.",
            lambda h, m, eta, clip: two_traces(entered(h), m, eta, clip, new_first=True),
        ),
        Slip(
            "M is one step late: M(t) meets the E gathered before step t.",
            lambda h, m, eta, clip: learned(h, late(m), eta, clip),
        ),
        Slip(
            "M is one step early: M(t) meets the E gathered before step t.",
            lambda h, m, eta, clip: learned(h, torch.cat([m[1:], 0 * m[:1]]), eta, clip),
        ),
        Slip(
            "Nothing is learned. Does the return stand inside the loop?",
            lambda h, m, eta, clip: 0 * learned(h, m, eta, clip),
        ),
        Slip(
            "The first pair is missing: it is that of the first two steps.",
            lambda h, m, eta, clip: learned(h[1:], m[1:], eta, clip),
        ),
        Slip(
            "The last step is missing: its modulation counts as well.",
            lambda h, m, eta, clip: learned(h[:-1], m[:-1], eta, clip),
        ),
        Slip(
            "The first step is paired with the last one. Nothing came before it.",
            lambda h, m, eta, clip: two_traces(pairs(h.roll(1, 0), h), m, eta, clip),
        ),
        Slip(
            "E is not used: this is simple modulation.",
            lambda h, m, eta, clip: two_traces(entered(h), m, 1.0, clip, new_first=True),
        ),
        Slip("M is not used.", lambda h, m, eta, clip: learned(h, torch.ones_like(m), eta, clip)),
        Slip(
            "E forgets nothing. It keeps a share 1 - eta.",
            lambda h, m, eta, clip: two_traces(
                torch.cat([entered(h)[:1], *[kept_all(h[: t + 1], eta)[None] for t in range(1, len(h))]]),
                m,
                1.0,
                clip,
            ),
        ),
        Slip(
            "You clip at the end. Clip at every step: what was cut off is gone.",
            lambda h, m, eta, clip: learned(h, m, eta, torch.inf).clamp(-clip, clip),
        ),
        Slip("The clip is missing.", lambda h, m, eta, clip: learned(h, m, eta, torch.inf)),
        Slip(
            "Rows and columns are swapped: the old activity is the row.",
            lambda h, m, eta, clip: learned(h, m, eta, clip).mT,
        ),
        Slip(
            "A negative M counts as positive. It unlearns.",
            lambda h, m, eta, clip: learned(h, m.abs(), eta, clip),
        ),
        Slip("This is E. Hebb is wanted.", lambda h, m, eta, clip: after(h, eta)),
    ]
    check_answer("retroactive_trace", answer, learned, cases, slips)


def rate(wait: Tensor, kept: Tensor) -> Tensor:
    """The eta with (1 - eta)^wait = kept; two tensors of one shape."""
    return -torch.expm1(kept.log() / wait)


@worth(2)
@exercise
def rate_for(answer: Callable[..., Any]) -> None:
    """Check `rate_for(wait, kept)` -> the rate eta at which a share is left after so many steps.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for shape in ((5,), (2, 3), (7,)):
        wait = torch.randint(2, 40, shape, generator=generator).float()
        cases.append((wait, 0.1 + 0.8 * torch.rand(shape, generator=generator)))
    slips = [
        Slip("This is the share that is kept at each step, 1 - eta.", lambda n, k: 1 - rate(n, k)),
        Slip("This is the time constant. The rate is wanted.", lambda n, k: -n / k.log()),
        Slip(
            "This is 1 / tau, right for small rates only. Solve (1 - eta)^n = k.",
            lambda n, k: -k.log() / n,
        ),
        Slip("Forgetting is no straight line: (1 - eta)^n, not 1 - n eta.", lambda n, k: (1 - k) / n),
        Slip("One step of forgetting too few.", lambda n, k: rate(n - 1, k)),
        Slip("One step of forgetting too many.", lambda n, k: rate(n + 1, k)),
        Slip(
            "`kept` is the share that is left, not the one that is lost.",
            lambda n, k: rate(n, 1 - k),
        ),
        Slip("You raise kept to the power wait. Take the root: the power 1 / wait.", lambda n, k: 1 - k**n),
        Slip("1 / wait gives a pair the most credit. Here a given share must be left.", lambda n, k: 1 / n),
    ]
    check_answer("rate_for", answer, rate, cases, slips)


@worth(3)
@exercise
def earned(answer: Callable[..., Any]) -> None:
    """Check `earned(m, eta)` -> the credit of each step of an episode without clip, [T, B].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for length, batch in ((9, 3), (12, 2), (6, 4)):
        m = torch.randn(length, batch, generator=generator).tanh()
        cases.append((m, 0.15 + 0.3 * torch.rand((), generator=generator).item()))

    def backwards(m: Tensor, eta: float) -> Tensor:
        return credits(m.flip(0), eta).flip(0)

    def next_only(m: Tensor, eta: float) -> Tensor:
        return torch.cat([eta * m[1:], torch.zeros_like(m[:1])])

    slips = [
        Slip(
            "A step earns from its own modulation here. With the old E it earns from later ones only.",
            lambda m, eta: credits(m, eta, first=0),
        ),
        Slip("A step earns from the past here. It earns from later modulations.", backwards),
        Slip("Eta is missing: only a share eta entered E.", lambda m, eta: credits(m, eta) / eta),
        Slip("Nothing is forgotten between a step and its reward.", forgets_nothing),
        Slip("All later modulations count, not the next one alone.", next_only),
        Slip(
            "One step of forgetting too many: n steps later n - 1 of them have passed.",
            lambda m, eta: (1 - eta) * credits(m, eta),
        ),
        Slip("Eta and 1 - eta are swapped.", lambda m, eta: credits(m, 1 - eta)),
        Slip(
            "A negative modulation counts as positive. Its credit is negative.",
            lambda m, eta: credits(m.abs(), eta),
        ),
    ]
    check_answer("earned", answer, credits, cases, slips)


def forgets_nothing(m: Tensor, eta: float) -> Tensor:
    """eta times the sum of all later modulations, [T, B]."""
    return eta * (m.flip(0).cumsum(0).flip(0) - m)
