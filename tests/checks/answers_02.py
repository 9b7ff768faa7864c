"""Chapter 2: right answers, each written another way, and typical wrong ones with the hint they get."""

import numpy as np
import torch

from bpa.checks import chapter_02


def loop(step, xs, pre, hebb):
    kept = []
    for x in xs:
        pre, hebb = step(x, pre, hebb)
        kept.append(pre)
    return kept, (pre, hebb)


def stacked(step, xs, pre, hebb):
    kept, (pre, hebb) = loop(step, xs, pre, hebb)
    return torch.stack(kept), pre, hebb


def recursive(step, xs, pre, hebb):
    if len(xs) == 0:
        return xs.new_zeros(0, *pre.shape), pre, hebb
    pre, hebb = step(xs[0], pre, hebb)
    rest, last, trace = recursive(step, xs[1:], pre, hebb)
    return torch.cat([pre[None], rest]), last, trace


def without_memory(step, xs, pre, hebb):
    return stacked(lambda x, *_: step(x, pre, hebb), xs, pre, hebb)


def with_a_frozen_trace(step, xs, pre, hebb):
    return stacked(lambda x, now, _: step(x, now, hebb), xs, pre, hebb)


def late(step, xs, pre, hebb):
    kept, last = loop(step, xs, pre, hebb)
    return torch.stack([pre, *kept[:-1]]), *last


def backwards(step, xs, pre, hebb):
    return stacked(step, xs.flip(0), pre, hebb)


def once(step, xs, pre, hebb):
    pre, hebb = step(xs[0], pre, hebb)
    return torch.stack([pre]), pre, hebb


def as_lists(step, xs, pre, hebb):
    kept, (pre, hebb) = loop(step, xs, pre, hebb)
    return [[row.numpy() for row in activity] for activity in kept], pre.tolist(), hebb


def batch_first(step, xs, pre, hebb):
    kept, last = loop(step, xs, pre, hebb)
    return torch.stack(kept, dim=1), *last


def activity(drive, pre, hebb, w, alpha):
    return torch.tanh(drive + torch.einsum("bi,bij->bj", pre, w + alpha * hebb))


def with_trace(trace):
    def step(drive, pre, hebb, w, alpha, eta):
        post = activity(drive, pre, hebb, w, alpha)
        return post, trace(pre, post, hebb, eta)

    return step


def pairs(pre, post):
    return torch.einsum("bi,bj->bij", pre, post)


def trace_first(drive, pre, hebb, w, alpha, eta):
    post = activity(drive, pre, hebb, w, alpha)
    hebb = torch.lerp(hebb, pairs(pre, post), eta.item())
    return activity(drive, pre, hebb, w, alpha), hebb


def no_tanh(drive, pre, hebb, w, alpha, eta):
    post = drive + torch.einsum("bi,bij->bj", pre, w + alpha * hebb)
    return post, torch.lerp(hebb, pairs(pre, post), eta.item())


def rows_summed_wrong(drive, pre, hebb, w, alpha, eta):
    post = torch.tanh(drive + torch.einsum("bj,bij->bi", pre, w + alpha * hebb))
    return post, torch.lerp(hebb, pairs(pre, post), eta.item())


def attention(h, query, eta):
    scores = torch.einsum("tbi,bi->tb", h[:-1], query)
    return eta * torch.einsum("tb,tbj->bj", scores, h[1:])


def one_by_one(h, query, eta):
    result = torch.zeros_like(query)
    for t in range(1, len(h)):
        result = result + eta * (h[t - 1] * query).sum(1, keepdim=True) * h[t]
    return result


RIGHT = [
    (chapter_02.connections, lambda w, alpha, hebb: w + hebb @ torch.diag(alpha)),
    (chapter_02.connections, lambda w, alpha, hebb: torch.stack([w + alpha * trace for trace in hebb])),
    (chapter_02.unroll, stacked),
    (chapter_02.unroll, recursive),
    (chapter_02.unroll, as_lists),
    (chapter_02.connections, lambda w, alpha, hebb: w.numpy() + np.einsum("j,bij->bij", alpha, hebb)),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: torch.lerp(hebb, pairs(pre, post), eta.item())),
    ),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: hebb + eta * (pre[:, :, None] * post[:, None] - hebb)),
    ),
    (chapter_02.recall_from_history, attention),
    (chapter_02.recall_from_history, one_by_one),
]


WRONG = [
    (chapter_02.connections, lambda w, alpha, hebb: w + torch.diag(alpha) @ hebb, "multiplies a row"),
    (chapter_02.connections, lambda w, alpha, hebb: alpha * (w + hebb), "multiplies w too"),
    (
        chapter_02.connections,
        lambda w, alpha, hebb: alpha * w + hebb,
        "Alpha multiplies w. It belongs to Hebb",
    ),
    (chapter_02.connections, lambda w, alpha, hebb: alpha * hebb, "w is missing"),
    (chapter_02.connections, lambda w, alpha, hebb: w + hebb, "Alpha is missing"),
    (chapter_02.connections, lambda w, alpha, hebb: w + alpha * hebb.mean(0), "trace of its own"),
    (chapter_02.connections, lambda w, alpha, hebb: w - alpha * hebb, "largest difference"),
    (chapter_02.unroll, without_memory, "from the first state"),
    (chapter_02.unroll, with_a_frozen_trace, "the trace is not"),
    (chapter_02.unroll, lambda step, xs, pre, hebb: stacked(step, xs, 0 * pre, 0 * hebb), "start from zeros"),
    (chapter_02.unroll, late, "before each step"),
    (chapter_02.unroll, backwards, "largest difference"),
    (chapter_02.unroll, batch_first, "Time comes first"),
    (chapter_02.unroll, once, "inside the loop"),
    (
        chapter_02.unroll,
        lambda step, xs, pre, hebb: stacked(step, xs[:-1], pre, hebb),
        "last step is missing",
    ),
    (chapter_02.unroll, lambda *arguments: loop(*arguments)[0], "results where 3 are wanted"),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: hebb + eta * (pairs(post, post) - hebb)),
        "new activity with",
    ),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: hebb + eta * (pairs(post, pre) - hebb)),
        "are swapped",
    ),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: hebb + eta * (pairs(pre, pre) - hebb)),
        "old activity with",
    ),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: hebb + eta * pairs(pre, post)),
        "Nothing decays",
    ),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: eta * hebb + (1 - eta) * pairs(pre, post)),
        "keeps 1 - eta",
    ),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: hebb - eta * hebb + pairs(pre, post)),
        "not multiplied by eta",
    ),
    (chapter_02.decay_step, trace_first, "uses the new trace"),
    (chapter_02.decay_step, rows_summed_wrong, "sum runs over j"),
    (chapter_02.decay_step, no_tanh, "tanh is missing"),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: (hebb + eta * (pairs(pre, post) - hebb)).clamp(-1, 1)),
        "needs no clip",
    ),
    (
        chapter_02.decay_step,
        with_trace(lambda pre, post, hebb, eta: (hebb + eta * pairs(pre, post)).clamp(-1, 1)),
        "difference",
    ),
    (
        chapter_02.recall_from_history,
        lambda h, query, eta: attention(h.flip(0), query, eta),
        "Old and new activity are swapped",
    ),
    (
        chapter_02.recall_from_history,
        lambda h, query, eta: eta * (((h * query).sum(2, keepdim=True)) * h).sum(0),
        "that came after it",
    ),
    (
        chapter_02.recall_from_history,
        lambda h, query, eta: eta * ((h[:-1] * query).sum(2, keepdim=True) * h[:-1]).sum(0),
        "leave out the last",
    ),
    (chapter_02.recall_from_history, lambda h, query, eta: attention(h, query, 1.0), "Eta is missing"),
    (
        chapter_02.recall_from_history,
        lambda h, query, eta: attention(h, query, eta) / (len(h) - 1),
        "The trace is a sum",
    ),
    (
        chapter_02.recall_from_history,
        lambda h, query, eta: eta * torch.einsum("tbi,ci,tbj->cj", h[:-1], query, h[1:]),
        "history of its own",
    ),
    (chapter_02.recall_from_history, lambda h, query, eta: -attention(h, query, eta), "largest difference"),
]
