"""Chapter 5: right answers, each written another way, and typical wrong ones with the hint they get."""

import numpy as np
import torch

from bpa.checks import chapter_05


def linear_gains(m, weight, bias):
    return torch.nn.functional.linear(m[:, None], weight, bias)


def gains_loop(m, weight, bias):
    return torch.stack([torch.stack([w * one + b for w, b in zip(weight, bias, strict=True)]) for one in m])[
        ..., 0
    ]


def trace(h, m, clip, late=0, pair=lambda old, new: torch.einsum("bi,bj->bij", old, new)):
    """The definition, with two ways to get it wrong."""
    hebb = torch.zeros(h.shape[1], h.shape[2], h.shape[2])
    for t in range(1, len(h)):
        hebb = hebb + m[t - late][:, None, None] * pair(h[t - 1], h[t])
        hebb = torch.minimum(torch.maximum(hebb, torch.tensor(-clip)), torch.tensor(clip))
    return hebb


def trace_one_by_one(h, m, clip):
    T, B, H = h.shape
    hebb = torch.zeros(B, H, H)
    for b in range(B):
        for t in range(1, T):
            hebb[b] = (hebb[b] + m[t, b] * torch.outer(h[t - 1, b], h[t, b])).clip(-clip, clip)
    return hebb


def trace_by_numpy(h, m, clip):
    """Nested lists of float64."""
    h, m = h.double().numpy(), m.double().numpy()
    hebb = np.zeros((h.shape[1], h.shape[2], h.shape[2]))
    for pre, post, gain in zip(h, h[1:], m[1:], strict=False):
        hebb = np.clip(hebb + np.einsum("b,bi,bj->bij", gain, pre, post), -clip, clip)
    return hebb.tolist()


def trace_one_step_early(h, m, clip):
    """Each pair with the modulation of the step after it."""
    return trace(h[:-1], m[1:], clip)


def trace_wrapped_round(h, m, clip):
    return trace(torch.cat([h[-1:], h]), torch.cat([m[:1], m]), clip)


def recalled(hebb, pre, post):
    return (pre[:, None] @ hebb @ post[:, :, None])[:, 0, 0]


def erase(hebb, pre, post):
    return -recalled(hebb, pre, post) / (pre.norm(dim=1) * post.norm(dim=1)) ** 2


def erase_by_secant(hebb, pre, post):
    """The overlap is linear in M, so two tries find where it is zero."""
    pair = torch.einsum("bi,bj->bij", pre, post)
    none, one = recalled(hebb, pre, post), recalled(hebb + pair, pre, post)
    return none / (none - one)


def stores(group):
    sign = 2.0 * group - 1
    return 0.5 * sign[:, None], torch.ones(len(group)) / 2


def stores_solved(group):
    """Two equations for each neuron: weight + bias = 1 or 0, bias - weight the other."""
    high, low = group.float(), (~group).float()
    return ((high - low) / 2).reshape(-1, 1), (high + low) / 2


RIGHT = [
    (chapter_05.gains, linear_gains),
    (chapter_05.gains, gains_loop),
    (chapter_05.gains, lambda m, w, b: [(w[:, 0] * one + b).tolist() for one in m]),
    (chapter_05.modulated_trace, trace),
    (chapter_05.modulated_trace, trace_one_by_one),
    (chapter_05.modulated_trace, trace_by_numpy),
    (chapter_05.erasing_modulation, erase),
    (chapter_05.erasing_modulation, erase_by_secant),
    (chapter_05.two_stores, stores),
    (chapter_05.two_stores, stores_solved),
]


WRONG = [
    (chapter_05.gains, lambda m, w, b: m[:, None] * w.T, "bias is missing"),
    (chapter_05.gains, lambda m, w, b: m[:, None] * (w[:, 0] + b), "multiplies the bias too"),
    (chapter_05.gains, lambda m, w, b: m[:, None] * b + w[:, 0], "Weight and bias are swapped"),
    (chapter_05.gains, lambda m, w, b: m[:, None] + b, "weight is missing"),
    (chapter_05.gains, lambda m, w, b: linear_gains(m, w, b).tanh(), "tanh too many"),
    (chapter_05.gains, lambda m, w, b: (m.mean() * w[:, 0] + b).repeat(len(m), 1), "M of its own"),
    (chapter_05.gains, lambda m, w, b: linear_gains(m, w, b).T, "Its shape is|largest difference"),
    (chapter_05.gains, lambda m, w, b: linear_gains(m, w, b).relu(), "largest difference"),
    (chapter_05.modulated_trace, lambda h, m, c: trace(h, m, c, late=1), "one step late"),
    (chapter_05.modulated_trace, trace_one_step_early, "one step early"),
    (chapter_05.modulated_trace, lambda h, m, c: trace(h[:2], m[:2], c), "inside the loop"),
    (chapter_05.modulated_trace, lambda h, m, c: trace(h[1:], m[1:], c), "first pair is missing"),
    (chapter_05.modulated_trace, lambda h, m, c: trace(h[:-1], m[:-1], c), "last pair is missing"),
    (chapter_05.modulated_trace, trace_wrapped_round, "paired with the last one"),
    (chapter_05.modulated_trace, lambda h, m, c: -trace(h, m, c), "wrong sign"),
    (chapter_05.modulated_trace, lambda h, m, c: trace(h, m**0, c), "M is not used"),
    (
        chapter_05.modulated_trace,
        lambda h, m, c: trace(h, m, c, pair=lambda x, y: y[:, :, None] * x[:, None]),
        "Rows and columns are swapped",
    ),
    (
        chapter_05.modulated_trace,
        lambda h, m, c: trace(
            torch.cat([0 * h[:1], h]),
            torch.cat([m[:1], m]),
            c,
            pair=lambda x, y: y[:, :, None] * y[:, None],
        ),
        "new activity with itself",
    ),
    (chapter_05.modulated_trace, lambda h, m, c: trace(h, m, 1e9).clamp(-c, c), "clip at the end"),
    (chapter_05.modulated_trace, lambda h, m, c: trace(h, m, 1e9), "clip is missing"),
    (chapter_05.modulated_trace, lambda h, m, c: trace(h, m.abs(), c), "counts as positive"),
    (chapter_05.modulated_trace, lambda h, m, c: trace(h, m.clamp(min=0), c), "counts as zero"),
    (chapter_05.modulated_trace, lambda h, m, c: 0 * trace(h, m, c), "largest difference"),
    (chapter_05.erasing_modulation, lambda h, x, y: -erase(h, x, y), "sign is wrong"),
    (chapter_05.erasing_modulation, lambda h, x, y: -recalled(h, x, y), "squared lengths of both"),
    (
        chapter_05.erasing_modulation,
        lambda h, x, y: -recalled(h, x, y) / (x.norm(dim=1) * y.norm(dim=1)),
        "squares of both lengths",
    ),
    (
        chapter_05.erasing_modulation,
        lambda h, x, y: -recalled(h, x, y) / (x * x).sum(1),
        "not by that of the old",
    ),
    (
        chapter_05.erasing_modulation,
        lambda h, x, y: -recalled(h, x, y) / (y * y).sum(1),
        "not by that of the new",
    ),
    (
        chapter_05.erasing_modulation,
        lambda h, x, y: -recalled(h, y, x) / (x.norm(dim=1) * y.norm(dim=1)) ** 2,
        "Rows and columns are swapped",
    ),
    (chapter_05.erasing_modulation, lambda h, x, y: -torch.ones(len(x)), "largest difference"),
    (chapter_05.two_stores, lambda g: (2.0 * g[:, None] - 1, torch.zeros(len(g))), "would unlearn"),
    (chapter_05.two_stores, lambda g: stores(~g), "groups are swapped"),
    (chapter_05.two_stores, lambda g: (stores(g)[0], torch.zeros(len(g))), "bias is missing"),
    (chapter_05.two_stores, lambda g: (2 * stores(g)[0], torch.ones(len(g))), "gain is 2"),
    (
        chapter_05.two_stores,
        lambda g: (torch.where(g, 0.5, 0.0)[:, None], torch.where(g, 0.5, 0.0)),
        "never learns",
    ),
    (chapter_05.two_stores, lambda g: (stores(g)[0][:, 0], stores(g)[1]), r"Its shape is \[4\]"),
    (chapter_05.two_stores, lambda g: stores(g)[0], "1 result where 2 are wanted"),
]
