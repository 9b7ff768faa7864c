"""Chapter 6: right answers, each written another way, and typical wrong ones with the hint they get."""

import numpy as np
import torch

from bpa.checks import chapter_06


def gathered(h, eta, kept=None):
    """The definition as a weighted sum over the past, with a way to get the forgetting wrong."""
    kept = 1 - eta if kept is None else kept
    T = len(h)
    weights = eta * torch.tensor([kept ** (T - 1 - t) for t in range(1, T)])
    return torch.einsum("t,tbi,tbj->bij", weights, h[:-1], h[1:])


def gathered_one_by_one(h, eta):
    T, B, H = h.shape
    trace = torch.zeros(B, H, H)
    for b in range(B):
        for t in range(1, T):
            trace[b] = torch.lerp(trace[b], torch.outer(h[t - 1, b], h[t, b]), eta)
    return trace


def added_before_forgetting(h, eta):
    trace = torch.zeros(h.shape[1], h.shape[2], h.shape[2])
    for t in range(1, len(h)):
        trace = (1 - eta) * (trace + eta * h[t - 1][:, :, None] * h[t][:, None])
    return trace


def with_itself(h, eta):
    trace = torch.zeros(h.shape[1], h.shape[2], h.shape[2])
    for now in h:
        trace = (1 - eta) * trace + eta * now[:, :, None] * now[:, None]
    return trace


def two_traces(h, m, eta, clip, new_first=False, late=0, kept=None):
    """The definition, with three ways to get it wrong."""
    kept = 1 - eta if kept is None else kept
    hebb = torch.zeros(h.shape[1], h.shape[2], h.shape[2])
    gathering = torch.zeros_like(hebb)
    for t in range(1, len(h)):
        old = gathering
        gathering = kept * old + eta * torch.einsum("bi,bj->bij", h[t - 1], h[t])
        hebb = hebb + m[t - late][:, None, None] * (gathering if new_first else old)
        hebb = torch.minimum(torch.maximum(hebb, torch.tensor(-clip)), torch.tensor(clip))
    return hebb


def two_traces_from_history(h, m, eta, clip):
    """E from the whole past at every step."""
    hebb = torch.zeros(h.shape[1], h.shape[2], h.shape[2])
    for t in range(2, len(h)):
        hebb = (hebb + m[t][:, None, None] * gathered(h[:t], eta)).clip(-clip, clip)
    return hebb


def two_traces_by_numpy(h, m, eta, clip):
    """Nested lists of float64."""
    h, m = h.double().numpy(), m.double().numpy()
    hebb = gathering = np.zeros((h.shape[1], h.shape[2], h.shape[2]))
    for pre, post, gain in zip(h[:-1], h[1:], m[1:], strict=True):
        hebb = (hebb + np.einsum("b,bij->bij", gain, gathering)).clip(-clip, clip)
        gathering = gathering + eta * (np.einsum("bi,bj->bij", pre, post) - gathering)
    return hebb.tolist()


def simple(h, m, eta, clip):
    hebb = torch.zeros(h.shape[1], h.shape[2], h.shape[2])
    for t in range(1, len(h)):
        hebb = (hebb + m[t][:, None, None] * h[t - 1][:, :, None] * h[t][:, None]).clamp(-clip, clip)
    return hebb


def wrapped_round(h):
    """The activities, with the last ones before the first."""
    return torch.cat([h[-1:], h])


def rate(wait, kept):
    return 1 - torch.exp(torch.log(kept) / wait)


def rate_by_bisection(wait, kept):
    low, high = torch.zeros_like(kept), torch.ones_like(kept)
    for _ in range(60):
        middle = (low + high) / 2
        too_slow = (1 - middle.double()) ** wait.double() > kept
        low, high = torch.where(too_slow, middle, low), torch.where(too_slow, high, middle)
    return low


def earned(m, eta):
    credits = [torch.zeros_like(m[0])]
    for later in m.flip(0)[:-1]:
        credits.append(eta * later + (1 - eta) * credits[-1])
    return torch.stack(credits[::-1])


def earned_pair_by_pair(m, eta, first=1):
    credits = torch.zeros_like(m)
    for s in range(len(m)):
        for t in range(s + first, len(m)):
            credits[s] += eta * (1 - eta) ** (t - s - first) * m[t]
    return credits


RIGHT = [
    (chapter_06.eligibility_after, gathered),
    (chapter_06.eligibility_after, gathered_one_by_one),
    (chapter_06.retroactive_trace, two_traces),
    (chapter_06.retroactive_trace, two_traces_from_history),
    (chapter_06.retroactive_trace, two_traces_by_numpy),
    (chapter_06.rate_for, rate),
    (chapter_06.rate_for, lambda n, k: (1 - k.double() ** (1 / n)).numpy()),
    (chapter_06.rate_for, rate_by_bisection),
    (chapter_06.earned, earned),
    (chapter_06.earned, earned_pair_by_pair),
]


WRONG = [
    (chapter_06.eligibility_after, lambda h, e: gathered(h, e, kept=1.0), "Nothing is forgotten"),
    (chapter_06.eligibility_after, lambda h, e: gathered(h, e) / e, "share eta of a new pair"),
    (chapter_06.eligibility_after, lambda h, e: gathered(h, 1 - e), "are swapped: eta enters"),
    (chapter_06.eligibility_after, added_before_forgetting, "forget first, then add"),
    (chapter_06.eligibility_after, lambda h, e: gathered(h, e).mT, "Rows and columns are swapped"),
    (chapter_06.eligibility_after, with_itself, "new activity with itself"),
    (chapter_06.eligibility_after, lambda h, e: gathered(h[:-1], e), "last pair is missing"),
    (chapter_06.eligibility_after, lambda h, e: gathered(h[1:], e), "first pair is missing"),
    (chapter_06.eligibility_after, lambda h, e: gathered(h[:2], e), "inside the loop"),
    (chapter_06.eligibility_after, lambda h, e: gathered(wrapped_round(h), e), "paired with the last one"),
    (chapter_06.eligibility_after, lambda h, e: gathered(h, e)[0], "Its shape is"),
    (chapter_06.eligibility_after, lambda h, e: -gathered(h, e), "largest difference"),
    (chapter_06.retroactive_trace, lambda *a: two_traces(*a, new_first=True), "You use the new E"),
    (chapter_06.retroactive_trace, lambda *a: two_traces(*a, late=1), "one step late"),
    (
        chapter_06.retroactive_trace,
        lambda h, m, e, c: two_traces(h, torch.cat([m[1:], 0 * m[:1]]), e, c),
        "one step early",
    ),
    (
        chapter_06.retroactive_trace,
        lambda h, m, e, c: h.new_zeros(*h.shape[1:], h.shape[2]),
        "inside the loop",
    ),
    (
        chapter_06.retroactive_trace,
        lambda h, m, e, c: two_traces(h[1:], m[1:], e, c),
        "first pair is missing",
    ),
    (
        chapter_06.retroactive_trace,
        lambda h, m, e, c: two_traces(h[:-1], m[:-1], e, c),
        "last step is missing",
    ),
    (
        chapter_06.retroactive_trace,
        lambda h, m, e, c: two_traces(wrapped_round(h), torch.cat([m[:1], m]), e, c),
        "paired with the last one",
    ),
    (chapter_06.retroactive_trace, simple, "simple modulation"),
    (chapter_06.retroactive_trace, lambda h, m, e, c: two_traces(h, m**0, e, c), "M is not used"),
    (chapter_06.retroactive_trace, lambda *a: two_traces(*a, kept=1.0), "E forgets nothing"),
    (
        chapter_06.retroactive_trace,
        lambda h, m, e, c: two_traces(h, m, e, 1e9).clamp(-c, c),
        "clip at the end",
    ),
    (chapter_06.retroactive_trace, lambda h, m, e, c: two_traces(h, m, e, 1e9), "clip is missing"),
    (chapter_06.retroactive_trace, lambda *a: two_traces(*a).mT, "Rows and columns are swapped"),
    (chapter_06.retroactive_trace, lambda h, m, e, c: gathered(h, e), "This is E"),
    (chapter_06.retroactive_trace, lambda h, m, e, c: two_traces(h, m.abs(), e, c), "counts as positive"),
    (chapter_06.retroactive_trace, lambda *a: 0.5 * two_traces(*a), "largest difference"),
    (chapter_06.rate_for, lambda n, k: k ** (1 / n), "kept at each step"),
    (chapter_06.rate_for, lambda n, k: -n / torch.log(k), "time constant"),
    (chapter_06.rate_for, lambda n, k: torch.log(1 / k) / n, "small rates only"),
    (chapter_06.rate_for, lambda n, k: (1 - k) / n, "no straight line"),
    (chapter_06.rate_for, lambda n, k: 1 - k ** (1 / (n - 1)), "too few"),
    (chapter_06.rate_for, lambda n, k: 1 - k ** (1 / (n + 1)), "too many"),
    (chapter_06.rate_for, lambda n, k: 1 - (1 - k) ** (1 / n), "share that is left"),
    (chapter_06.rate_for, lambda n, k: 1 - k**n, "root is that of wait"),
    (chapter_06.rate_for, lambda n, k: 1 / n, "largest difference"),
    (chapter_06.earned, lambda m, e: earned_pair_by_pair(m, e, first=0), "own modulation"),
    (chapter_06.earned, lambda m, e: earned(m.flip(0), e).flip(0), "from the past"),
    (chapter_06.earned, lambda m, e: earned(m, e) / e, "Eta is missing"),
    (chapter_06.earned, lambda m, e: e * (m.sum(0) - m.cumsum(0)), "Nothing is forgotten"),
    (chapter_06.earned, lambda m, e: e * torch.cat([m[1:], 0 * m[:1]]), "not the next one alone"),
    (chapter_06.earned, lambda m, e: (1 - e) * earned(m, e), "One step of forgetting"),
    (chapter_06.earned, lambda m, e: earned(m, 1 - e), "Eta and 1 - eta are swapped"),
    (chapter_06.earned, lambda m, e: earned(m.abs(), e), "largest difference"),
]
