"""Checks of the exercises in chapter 2, "A network that rewires itself"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.network import outer
from bpa.noise import fresh_generator

Step = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def connected(w: Tensor, alpha: Tensor, hebb: Tensor) -> Tensor:
    """w_ij + alpha_j Hebb_ij: w [H, H], alpha [H], Hebb [B, H, H] -> [B, H, H]."""
    return w + alpha[None, None, :] * hebb


def activity(drive: Tensor, pre: Tensor, w: Tensor, alpha: Tensor, hebb: Tensor) -> Tensor:
    """x_j(t) = tanh( drive_j + sum_i (w_ij + alpha_ij Hebb_ij) x_i(t-1) ), [B, H]. [2018, eq. 1]"""
    return torch.tanh(drive + torch.einsum("bi,bij->bj", pre, w + alpha * hebb))


def unrolled(step: Step, xs: Tensor, pre: Tensor, hebb: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """T steps over xs [T, B, I]: every activity [T, B, H], then the last activity and the last trace."""
    activities = xs.new_zeros(len(xs), *pre.shape)
    for t in range(len(xs)):
        pre, hebb = step(xs[t], pre, hebb)
        activities[t] = pre
    return activities, pre, hebb


def decay_stepped(
    drive: Tensor, pre: Tensor, hebb: Tensor, w: Tensor, alpha: Tensor, eta: Tensor
) -> tuple[Tensor, Tensor]:
    """One plastic step with the decay rule, x(t) and Hebb(t+1). [2018, eqs. 1, 2]"""
    post = activity(drive, pre, w, alpha, hebb)
    return post, (1 - eta) * hebb + eta * outer(pre, post)


def recalled_from_history(h: Tensor, query: Tensor, eta: float) -> Tensor:
    """sum_i query_i Hebb_ij after the activities h [T, B, H], by way of Hebb [B, H, H] itself."""
    hebb = h.new_zeros(h.shape[1], h.shape[2], h.shape[2])
    for t in range(1, len(h)):
        hebb = hebb + eta * outer(h[t - 1], h[t])
    return (query[:, :, None] * hebb).sum(1)


@worth(1)
@exercise
def connections(answer: Callable[..., Any]) -> None:
    """Check `connections(w, alpha, hebb)` with one alpha for each post-synaptic neuron, [H].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [
        (
            torch.randn(size, size, generator=generator),
            torch.randn(size, generator=generator),
            torch.randn(batch, size, size, generator=generator),
        )
        for batch, size in ((1, 3), (4, 5), (3, 3))
    ]
    slips = [
        Slip(
            "Each alpha multiplies a row here. It belongs to a post-synaptic neuron j: a column.",
            lambda w, alpha, hebb: w + alpha[:, None] * hebb,
        ),
        Slip(
            "Alpha multiplies w too. It says how much the trace counts; w counts as it is.",
            lambda w, alpha, hebb: alpha * (w + hebb),
        ),
        Slip("Alpha multiplies w. It belongs to Hebb.", lambda w, alpha, hebb: alpha * w + hebb),
        Slip("The fixed part w is missing.", lambda w, alpha, hebb: alpha * hebb),
        Slip("Alpha is missing.", lambda w, alpha, hebb: w + hebb),
        Slip(
            "You average over the batch. Every episode keeps a trace of its own.",
            lambda w, alpha, hebb: w + alpha * hebb.mean(0),
        ),
    ]
    check_answer("connections", answer, connected, cases, slips)


def plastic_cell(input_size: int, hidden_size: int, generator: torch.Generator) -> Step:
    """A plastic step (x, pre, hebb) -> (post, hebb) with random weights, to be unrolled."""
    v, w, alpha = (
        torch.randn(rows, hidden_size, generator=generator) / hidden_size**0.5
        for rows in (input_size, hidden_size, hidden_size)
    )

    def step(x: Tensor, pre: Tensor, hebb: Tensor) -> tuple[Tensor, Tensor]:
        post = activity(x @ v, pre, w, alpha, hebb)
        return post, (hebb + 0.3 * outer(pre, post)).clamp(-1, 1)

    return step


@worth(1)
@exercise
def unroll(answer: Callable[..., Any]) -> None:
    """Check `unroll(step, xs, pre, hebb)` -> h [T, B, H], the last activity, the last trace.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [
        (
            plastic_cell(inputs, size, generator),
            torch.randn(steps, batch, inputs, generator=generator),
            0.5 * torch.randn(batch, size, generator=generator),
            0.5 * torch.randn(batch, size, size, generator=generator).clamp(-1, 1),
        )
        for steps, batch, inputs, size in ((2, 1, 3, 4), (5, 3, 2, 3), (4, 4, 4, 4))
    ]

    def from_the_same_state(step: Step, xs: Tensor, pre: Tensor, hebb: Tensor) -> Any:
        results = [step(x, pre, hebb) for x in xs]
        return torch.stack([post for post, _ in results]), *results[-1]

    def with_the_same_trace(step: Step, xs: Tensor, pre: Tensor, hebb: Tensor) -> Any:
        activities, trace = [], hebb
        for x in xs:
            pre, trace = step(x, pre, hebb)
            activities.append(pre)
        return torch.stack(activities), pre, trace

    def from_nothing(step: Step, xs: Tensor, pre: Tensor, hebb: Tensor) -> Any:
        return unrolled(step, xs, torch.zeros_like(pre), torch.zeros_like(hebb))

    def one_late(step: Step, xs: Tensor, pre: Tensor, hebb: Tensor) -> Any:
        activities, last, trace = unrolled(step, xs, pre, hebb)
        return torch.cat([pre[None], activities[:-1]]), last, trace

    def only_once(step: Step, xs: Tensor, pre: Tensor, hebb: Tensor) -> Any:
        return unrolled(step, xs[:1], pre, hebb)

    def batch_in_front(step: Step, xs: Tensor, pre: Tensor, hebb: Tensor) -> Any:
        activities, last, trace = unrolled(step, xs, pre, hebb)
        return activities.transpose(0, 1), last, trace

    def last_step_missing(step: Step, xs: Tensor, pre: Tensor, hebb: Tensor) -> Any:
        return unrolled(step, xs[:-1], pre, hebb)

    slips = [
        Slip("You return after the first step: the return stands inside the loop.", only_once),
        Slip("The batch stands in front. Time comes first: stack along axis 0.", batch_in_front),
        Slip("The last step is missing.", last_step_missing),
        Slip(
            "Every step starts from the first state. Hand the new activity and the new trace on.",
            from_the_same_state,
        ),
        Slip("The activity is handed on, the trace is not.", with_the_same_trace),
        Slip("You start from zeros. Start from the state that was handed in.", from_nothing),
        Slip("You keep the activity from before each step. Keep the one that the step returns.", one_late),
    ]
    check_answer("unroll", answer, unrolled, cases, slips)


@worth(2)
@exercise
def decay_step(answer: Callable[..., Any]) -> None:
    """Check `decay_step(drive, pre, hebb, w, alpha, eta)` -> x(t) [B, H], Hebb(t+1) [B, H, H].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for batch, size in ((1, 3), (4, 5), (3, 3)):
        drive, pre = torch.randn(2, batch, size, generator=generator)
        hebb = torch.randn(batch, size, size, generator=generator)
        w, alpha = torch.randn(2, size, size, generator=generator)
        eta = 0.1 + 0.4 * torch.rand(1, generator=generator)
        cases.append((drive, pre.tanh(), hebb, w, alpha, eta))

    def other_trace(trace: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]) -> Callable[..., Any]:
        def step(drive: Tensor, pre: Tensor, hebb: Tensor, w: Tensor, alpha: Tensor, eta: Tensor) -> Any:
            post = activity(drive, pre, w, alpha, hebb)
            return post, trace(pre, post, hebb, eta)

        return step

    def new_trace_first(
        drive: Tensor, pre: Tensor, hebb: Tensor, w: Tensor, alpha: Tensor, eta: Tensor
    ) -> Any:
        _, hebb = decay_stepped(drive, pre, hebb, w, alpha, eta)
        return activity(drive, pre, w, alpha, hebb), hebb

    def without_tanh(drive: Tensor, pre: Tensor, hebb: Tensor, w: Tensor, alpha: Tensor, eta: Tensor) -> Any:
        post = drive + torch.einsum("bi,bij->bj", pre, w + alpha * hebb)
        return post, (1 - eta) * hebb + eta * outer(pre, post)

    def over_columns(drive: Tensor, pre: Tensor, hebb: Tensor, w: Tensor, alpha: Tensor, eta: Tensor) -> Any:
        post = torch.tanh(drive + torch.einsum("bj,bij->bi", pre, w + alpha * hebb))
        return post, (1 - eta) * hebb + eta * outer(pre, post)

    slips = [
        Slip("The tanh is missing from the activity.", without_tanh),
        Slip("The sum runs over j. The old activity goes with i, the rows: bi,bij->bj.", over_columns),
        Slip(
            "The trace pairs the new activity with itself. Row i is the old activity, x_i(t-1).",
            other_trace(lambda pre, post, hebb, eta: (1 - eta) * hebb + eta * outer(post, post)),
        ),
        Slip(
            "Old and new activity are swapped: the row is the old one, the column the new one.",
            other_trace(lambda pre, post, hebb, eta: (1 - eta) * hebb + eta * outer(post, pre)),
        ),
        Slip(
            "The trace pairs the old activity with itself. Column j is the new activity, x_j(t).",
            other_trace(lambda pre, post, hebb, eta: (1 - eta) * hebb + eta * outer(pre, pre)),
        ),
        Slip(
            "Nothing decays. The old trace is multiplied by 1 - eta.",
            other_trace(lambda pre, post, hebb, eta: hebb + eta * outer(pre, post)),
        ),
        Slip(
            "The trace is clipped. The decay rule needs no clip.",
            other_trace(
                lambda pre, post, hebb, eta: ((1 - eta) * hebb + eta * outer(pre, post)).clamp(-1, 1)
            ),
        ),
        Slip(
            "The old trace is multiplied by eta. It keeps 1 - eta of itself.",
            other_trace(lambda pre, post, hebb, eta: eta * hebb + (1 - eta) * outer(pre, post)),
        ),
        Slip(
            "The new product is not multiplied by eta.",
            other_trace(lambda pre, post, hebb, eta: (1 - eta) * hebb + outer(pre, post)),
        ),
        Slip("The activity uses the new trace. Compute the activity first.", new_trace_first),
    ]
    check_answer("decay_step", answer, decay_stepped, cases, slips)


@worth(3)
@exercise
def recall_from_history(answer: Callable[..., Any]) -> None:
    """Check `recall_from_history(h, query, eta)`: h [T, B, H], query [B, H] -> sum_i query_i Hebb_ij, [B, H].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [
        (
            torch.randn(steps, batch, size, generator=generator).tanh(),
            torch.randn(batch, size, generator=generator),
            0.1 * steps,
        )
        for steps, batch, size in ((2, 1, 4), (6, 3, 5), (3, 3, 3))
    ]

    def attending(keys: slice, values: slice) -> Callable[[Tensor, Tensor, float], Tensor]:
        return lambda h, query, eta: eta * ((h[keys] * query).sum(-1, keepdim=True) * h[values]).sum(0)

    old, new = slice(None, -1), slice(1, None)
    slips = [
        Slip(
            "Old and new activity are swapped: the query is compared with the old one and brings back the "
            "new one.",
            attending(new, old),
        ),
        Slip(
            "You bring back the same activity that matched. Bring back the one that came after it.",
            attending(slice(None), slice(None)),
        ),
        Slip(
            "You bring back the activity that matched, and leave out the last. Bring back the one after it.",
            attending(old, old),
        ),
        Slip("Eta is missing.", lambda h, query, eta: attending(old, new)(h, query, 1.0)),
        Slip(
            "You take the mean over the steps. The trace is a sum.",
            lambda h, query, eta: attending(old, new)(h, query, eta / (len(h) - 1)),
        ),
        Slip(
            "The episodes of the batch are mixed. Each one has a history of its own.",
            lambda h, query, eta: eta * torch.einsum("tbi,ci,tbj->cj", h[:-1], query, h[1:]),
        ),
    ]
    check_answer("recall_from_history", answer, recalled_from_history, cases, slips)
