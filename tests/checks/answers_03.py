"""Chapter 3: right answers, each written another way, and typical wrong ones with the hint they get."""

import numpy as np
import torch

from bpa.checks import chapter_03


def error_by_loops(outputs, targets, mask):
    terms = [(outputs[tuple(place)] - targets[tuple(place)]).item() ** 2 for place in mask.nonzero().tolist()]
    return sum(terms) / len(terms)


def error_by_weights(outputs, targets, mask):
    return ((outputs - targets) ** 2 * mask).sum() / mask.sum()


def gradient_by_loops(pre, hebb, post, upstream, rate=lambda x: 1 - x * x):
    B, H = pre.shape
    result = torch.zeros(H, H)
    for b in range(B):
        for i in range(H):
            for j in range(H):
                result[i, j] += upstream[b, j] * rate(post[b, j]) * pre[b, i] * hebb[b, i, j]
    return result


def gradient_by_matrices(pre, hebb, post, upstream):
    delta = upstream - upstream * post**2
    return (pre[:, :, None] * hebb * delta[:, None, :]).sum(0)


def sizes(alpha, inputs, hidden, outputs, linear=1, value=True, eta=True):
    plastic = {"none": 0, "synapse": hidden**2, "neuron": hidden, "network": 1}[alpha]
    heads = outputs * (hidden + linear) + (hidden + linear if value else 0)
    return hidden * (inputs + linear) + hidden**2 + plastic + (eta and alpha != "none") + heads


def by_state_dict(alpha, inputs, hidden, outputs):
    from bpa import Network

    kind = {"plasticity": "none"} if alpha == "none" else {"plasticity": "plastic", "alpha": alpha}
    return sum(value.nelement() for value in Network(inputs, hidden, outputs, **kind).state_dict().values())


def swapped(net, inputs, cue_steps, order=lambda b, B: (b + 1) % B, keep=True, early=0):
    """Episode by episode: live on its own through the past, then be asked with another one's trace."""
    past = len(inputs) - cue_steps - early
    batch = inputs.shape[1]
    states = [net.unroll(inputs[:past, b : b + 1], engine="eager").hidden for b in range(batch)]
    results = []
    for b in range(batch):
        state = states[b]._replace(hebb=states[order(b, batch)].hebb)
        if not keep:
            state = states[order(b, batch)]
        results.append(net.unroll(inputs[past:, b : b + 1], state, engine="eager").logits[-1])
    return torch.cat(results)


def swapped_at_once(net, inputs, cue_steps):
    state = net.unroll(inputs[:-cue_steps]).hidden
    return net.unroll(inputs[-cue_steps:], state._replace(hebb=state.hebb.roll(-1, 0))).logits[-1]


RIGHT = [
    (chapter_03.masked_error, error_by_loops),
    (chapter_03.masked_error, error_by_weights),
    (chapter_03.masked_error, lambda o, t, m: float(np.mean(((o - t).numpy() ** 2)[m.numpy()]))),
    (chapter_03.alpha_gradient, lambda *a: gradient_by_loops(*a).tolist()),
    (chapter_03.alpha_gradient, gradient_by_loops),
    (chapter_03.alpha_gradient, gradient_by_matrices),
    (chapter_03.parameter_count, sizes),
    (chapter_03.parameter_count, by_state_dict),
    (chapter_03.swapped_traces, swapped),
    (chapter_03.swapped_traces, swapped_at_once),
]


WRONG = [
    (chapter_03.masked_error, lambda o, t, m: ((o - t) ** 2).mean(), "mean over everything"),
    (chapter_03.masked_error, lambda o, t, m: ((o - t) ** 2 * m).mean(), "Divide by the number of True"),
    (chapter_03.masked_error, lambda o, t, m: ((o - t)[-1] ** 2).mean(), "shown bits do not count"),
    (chapter_03.masked_error, lambda o, t, m: ((o - t) ** 2 * m).sum(), "This is the sum"),
    (chapter_03.masked_error, lambda o, t, m: ((o - t).abs() * m).sum() / m.sum(), "absolute error"),
    (chapter_03.masked_error, lambda o, t, m: ((o - t) * m).sum() / m.sum(), "of both signs cancel"),
    (chapter_03.masked_error, lambda o, t, m: (((o - t) * m).sum() / m.sum()) ** 2, "square the mean"),
    (chapter_03.masked_error, lambda o, t, m: error_by_loops(o, t, m) ** 0.5, "root of it"),
    (chapter_03.masked_error, lambda o, t, m: error_by_loops(o, t, ~m), "wrong way round"),
    (chapter_03.masked_error, lambda o, t, m: -error_by_loops(o, t, m), "largest difference"),
    (
        chapter_03.alpha_gradient,
        lambda *a: gradient_by_loops(*a, rate=lambda x: 1),
        "slope of the tanh is missing",
    ),
    (chapter_03.alpha_gradient, lambda *a: gradient_by_loops(*a, rate=lambda x: 1 - x), "square is missing"),
    (
        chapter_03.alpha_gradient,
        lambda p, h, x, u: gradient_by_loops(p, torch.ones_like(h), x, u),
        "gradient of w",
    ),
    (
        chapter_03.alpha_gradient,
        lambda p, h, x, u: gradient_by_matrices(p, h.mT, x, u).T,
        "Rows and columns are swapped",
    ),
    (chapter_03.alpha_gradient, lambda *a: gradient_by_loops(*a) / len(a[0]), "gradients add up"),
    (
        chapter_03.alpha_gradient,
        lambda p, h, x, u: gradient_by_matrices(x, h, x, u),
        "You use the new activity",
    ),
    (
        chapter_03.alpha_gradient,
        lambda p, h, x, u: (p[:, :, None] * h * (u * (1 - p**2))[:, None, :]).sum(0),
        "belongs to the new activity",
    ),
    (
        chapter_03.alpha_gradient,
        lambda p, h, x, u: gradient_by_loops(torch.ones_like(p), h, x, u),
        "sender was silent",
    ),
    (
        chapter_03.alpha_gradient,
        lambda p, h, x, u: p[:, :, None] * h * (u * (1 - x**2))[:, None, :],
        "sum over the batch",
    ),
    (chapter_03.alpha_gradient, lambda *a: -gradient_by_loops(*a), "largest difference"),
    (chapter_03.parameter_count, lambda *a: sizes(*a, linear=0), "biases are missing"),
    (chapter_03.parameter_count, lambda *a: sizes(*a, value=False), "value head"),
    (chapter_03.parameter_count, lambda *a: sizes(*a, eta=False), "Eta is missing"),
    (chapter_03.parameter_count, lambda *a: sizes(*a) + (a[0] == "none"), "has no eta"),
    (chapter_03.parameter_count, lambda *a: sizes(*a) - a[2] ** 2, "w is missing"),
    (
        chapter_03.parameter_count,
        lambda alpha, *a: sizes("none", *a) + (alpha != "none"),
        "Alpha is missing",
    ),
    (
        chapter_03.parameter_count,
        lambda alpha, *a: sizes("none" if alpha == "none" else "synapse", *a),
        "in every network",
    ),
    (chapter_03.parameter_count, lambda *a: sizes(*a) + (a[0] != "none") * a[2] ** 2, "no parameter"),
    (chapter_03.parameter_count, lambda *a: sizes(*a) + 1000, "largest difference"),
    (chapter_03.swapped_traces, lambda n, x, c: n.unroll(x).logits[-1], "Nothing is swapped"),
    (chapter_03.swapped_traces, lambda *a: swapped(*a, order=lambda b, B: (b - 1) % B), "wrong way round"),
    (chapter_03.swapped_traces, lambda *a: swapped(*a, keep=False), "activity too"),
    (chapter_03.swapped_traces, lambda *a: swapped(*a, order=lambda b, B: B - 1 - b), "reverse the batch"),
    (chapter_03.swapped_traces, lambda *a: swapped(*a, early=1), "too early"),
    (
        chapter_03.swapped_traces,
        lambda *a: swapped(*a, order=lambda b, B: min(b + 1, B - 1)),
        "keeps its own trace",
    ),
    (chapter_03.swapped_traces, lambda *a: swapped(*a, order=lambda b, B: 0), "largest difference"),
    (chapter_03.swapped_traces, lambda n, x, c: n.unroll(x).logits, "Its shape is"),
    (chapter_03.swapped_traces, 3, "must be a function"),
]
