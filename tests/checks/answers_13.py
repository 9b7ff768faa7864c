"""Chapter 13: right answers, each written another way, and typical wrong ones with the hint they get."""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import torch

from bpa.checks import chapter_13


def perplexity(losses, mask):
    return math.exp(sum(losses[mask].tolist()) / int(mask.sum()))


def perplexity_as_a_root(losses, mask):
    """One over the geometric mean of the chances."""
    return losses[mask].double().neg().exp().prod() ** (-1 / mask.sum())


def predict_next(symbols, count, concentration):
    now = symbols[-1].item()
    pairs = Counter(zip(symbols.tolist(), symbols.tolist()[1:], strict=False))
    row = [pairs[now, after] + concentration for after in range(count)]
    return torch.tensor(row) / sum(row)


def predict_next_by_mask(symbols, count, concentration):
    after = symbols[1:][symbols[:-1] == symbols[-1]]
    counts = torch.nn.functional.one_hot(after, count).sum(0)
    return (counts + concentration) / (len(after) + count * concentration)


def row_of(rows, symbols, count, concentration):
    """The prediction made of those symbols at which `rows` is True."""
    counts = torch.bincount(symbols[rows], minlength=count) + concentration
    return counts / counts.sum()


def after_present(symbols):
    return torch.cat([torch.tensor([False]), symbols[:-1] == symbols[-1]])


def before_present(symbols):
    return torch.cat([symbols[1:] == symbols[-1], torch.tensor([False])])


def counts_of(symbols, count):
    return torch.bincount(symbols[after_present(symbols)], minlength=count).double()


def plastic_step(
    drive, pre, cell, hebb, w, alpha, eta, clip, gates=(0, 1, 2, 3), active="g", read=None, plastic=(3,)
):
    B, H = pre.shape
    read = torch.stack([pre[b] @ (alpha * hebb[b]) for b in range(B)]) if read is None else read
    parts = [(drive + pre @ w)[:, n * H : (n + 1) * H] for n in gates]
    parts = [part + read if n in plastic else part for n, part in enumerate(parts)]
    i, f, o = (1 / (1 + torch.exp(-part)) for part in parts[:3])
    g = parts[3].tanh()
    cell = f * cell + i * g
    h = o * cell.tanh()
    post = {"g": g, "h": h, "c": cell, "raw": parts[3]}[active]
    after = torch.stack([hebb[b] + eta * torch.outer(pre[b], post[b]) for b in range(B)])
    return h, cell, after.clamp(min=-clip, max=clip)


def read_by_columns(drive, pre, cell, hebb, w, alpha, eta, clip):
    read = ((alpha * hebb) @ pre[:, :, None])[:, :, 0]
    return plastic_step(drive, pre, cell, hebb, w, alpha, eta, clip, read=read)


def written_first(drive, pre, cell, hebb, w, alpha, eta, clip):
    after = plastic_step(drive, pre, cell, hebb, w, 0 * alpha, eta, clip)[2]
    h, cell, _ = plastic_step(drive, pre, cell, after, w, alpha, eta, clip)
    return h, cell, after


def trace_turned(*arguments):
    h, cell, hebb = plastic_step(*arguments)
    return h, cell, hebb.mT


def written_with_new_output(drive, pre, cell, hebb, w, alpha, eta, clip):
    h, new_cell, _ = plastic_step(drive, pre, cell, hebb, w, alpha, eta, clip)
    g = candidate(drive, pre, hebb, w, alpha)
    return h, new_cell, (hebb + eta * torch.einsum("bi,bj->bij", h, g)).clamp(-clip, clip)


def candidate(drive, pre, hebb, w, alpha):
    H = pre.shape[1]
    return ((drive + pre @ w)[:, 3 * H :] + torch.einsum("bi,bij->bj", pre, alpha * hebb)).tanh()


def bare_cell(drive, pre, *rest):
    _, cell, hebb = plastic_step(drive, pre, *rest)
    H = pre.shape[1]
    return torch.sigmoid((drive + pre @ rest[2])[:, 2 * H : 3 * H]) * cell, cell, hebb


def written_turned(drive, pre, cell, hebb, w, alpha, eta, clip):
    h, new_cell, _ = plastic_step(drive, pre, cell, hebb, w, alpha, eta, clip)
    g = candidate(drive, pre, hebb, w, alpha)
    return h, new_cell, (hebb + eta * torch.einsum("bi,bj->bij", g, pre)).clamp(-clip, clip)


def table_of(symbols, count, concentration, pairs=slice(None)):
    """Counts plus concentration, float64 [A, A], of these pairs."""
    table = np.full((count, count), float(concentration))
    for now, after in list(zip(symbols.tolist(), symbols.tolist()[1:], strict=False))[pairs]:
        table[now, after] += 1
    return table


def row_from(symbols, count, concentration, pairs):
    row = table_of(symbols, count, concentration, pairs)[symbols[-1]]
    return row / row.sum()


def round_the_end(symbols, count, concentration):
    where = (torch.where(symbols == symbols[-1])[0] + 1) % len(symbols)
    counts = torch.bincount(symbols[where], minlength=count) + concentration
    return counts / counts.sum()


def stopped_in_the_loop(symbols, count, concentration):
    row = torch.full((count,), float(concentration))
    for now, after in pairwise(symbols):
        if now == symbols[-1]:
            row[after] += 1
            break
    return row / row.sum()


def past_the_end(symbols, count, concentration):
    return symbols[torch.where(symbols == symbols[-1])[0] + 1]


def cells(drive, pre, cell, hebb, w, alpha, eta, clip, way=""):
    """A step with one thing done in another way."""
    i, f, o, g = (drive + (0 if way == "no w" else pre @ w)).chunk(4, dim=1)
    read = (pre[:, :, None] * alpha * hebb).sum(1)
    g = {
        "outside": g.tanh() + read,
        "no tanh": g + read,
        "sigmoid": (g + read).sigmoid(),
    }.get(way, (g + read).tanh())
    f = 1 - f.sigmoid() if way == "forget" else f.sigmoid()
    cell = f * cell + i.sigmoid() * g
    h = cell.tanh() * (1 if way == "no gate" else o.sigmoid())
    product = eta * pre[:, :, None] * g[:, None]
    after = {
        "fading": (1 - eta) * hebb + product,
        "alpha": hebb + alpha * product,
    }.get(way, hebb + product)
    after = {
        "clip of the product": hebb + product.clamp(-clip, clip),
        "one side": after.clamp(max=clip),
        "old trace": hebb,
    }.get(way, after.clamp(-clip, clip))
    return (cell, h, after) if way == "cell first" else (h, cell, after)


def done(way):
    return lambda *arguments: cells(*arguments, way=way)


def episodes_of(losses, mask):
    return torch.stack([losses[:, b][mask[:, b]].mean() for b in range(losses.shape[1])])


def changed(position, value):
    def answer(*arguments):
        arguments = list(arguments)
        arguments[position] = value(arguments[position])
        return plastic_step(*arguments)

    return answer


def mixed(losses):
    """The chain rule: the mixture's joint chance of all so far, divided by that of all before."""
    totals = torch.logsumexp(-losses.double().cumsum(1), dim=0) - math.log(len(losses))
    return -torch.diff(totals, prepend=torch.zeros(1, dtype=torch.float64))


def mixed_in_loops(losses):
    K, T = losses.shape
    rows = []
    for t in range(T):
        weights = [math.exp(-losses[k, :t].sum()) for k in range(K)]
        chance = sum(
            weight * math.exp(-loss) for weight, loss in zip(weights, losses[:, t].tolist(), strict=True)
        )
        rows.append(-math.log(chance / sum(weights)))
    return torch.tensor(rows)


def weighed(losses, weights):
    return -(weights * torch.exp(-losses)).sum(0).log()


def before(losses):
    return losses.cumsum(1) - losses


def last_only(losses):
    return torch.softmax(-torch.nn.functional.pad(losses[:, :-1], (1, 0)), 0)


RIGHT = [
    (chapter_13.perplexity, perplexity),
    (chapter_13.perplexity, perplexity_as_a_root),
    (chapter_13.predict_next, predict_next),
    (chapter_13.predict_next, predict_next_by_mask),
    (chapter_13.plastic_step, plastic_step),
    (chapter_13.mixed_losses, mixed),
    (chapter_13.mixed_losses, mixed_in_loops),
    (chapter_13.perplexity, lambda losses, mask: np.exp(losses.numpy()[mask.numpy()].mean())),
    (chapter_13.predict_next, lambda s, A, c: predict_next(s, A, c).tolist()),
    (chapter_13.plastic_step, lambda *a: [part.numpy() for part in plastic_step(*a)]),
    (chapter_13.mixed_losses, lambda x: mixed(x).numpy()),
    (chapter_13.perplexity, lambda losses, mask: losses[mask].mean().exp().reshape(1)),
    (chapter_13.plastic_step, done("")),
]


WRONG = [
    (chapter_13.perplexity, lambda losses, mask: losses[mask].exp().mean(), "exponential of the mean"),
    (chapter_13.perplexity, lambda losses, mask: losses.mean().exp(), "mask marks"),
    (chapter_13.perplexity, lambda losses, mask: (losses * mask).mean().exp(), "divide by all steps"),
    (chapter_13.perplexity, lambda losses, mask: losses[mask].mean(), "This is the mean loss"),
    (chapter_13.perplexity, lambda losses, mask: 2 ** losses[mask].mean(), "base is e"),
    (chapter_13.perplexity, lambda losses, mask: (-losses[mask].mean()).exp(), "turn its sign"),
    (chapter_13.perplexity, lambda losses, mask: (losses * mask).sum(0).exp(), "One number is wanted"),
    (chapter_13.perplexity, lambda losses, mask: losses[~mask].mean().exp(), "mask is turned round"),
    (chapter_13.perplexity, lambda losses, mask: losses[mask].sum().exp(), "sum of the losses"),
    (chapter_13.perplexity, lambda losses, mask: losses[mask].mean().log(), "take a logarithm"),
    (
        chapter_13.perplexity,
        lambda losses, mask: episodes_of(losses, mask).exp().mean(),
        "perplexity of each episode",
    ),
    (
        chapter_13.perplexity,
        lambda losses, mask: episodes_of(losses, mask).mean().exp(),
        "mean of each episode first",
    ),
    (chapter_13.predict_next, lambda s, A, c: row_from(s, A, c, slice(1, None)), "first pair is missing"),
    (chapter_13.predict_next, lambda s, A, c: row_from(s, A, c, slice(-1)), "last pair is missing"),
    (chapter_13.predict_next, round_the_end, "round the end"),
    (chapter_13.predict_next, stopped_in_the_loop, "return is inside the loop"),
    (chapter_13.predict_next, past_the_end, "stopped with IndexError"),
    (chapter_13.predict_next, lambda s, A, c: table_of(s, A, c)[s[-1]], "These are counts"),
    (
        chapter_13.predict_next,
        lambda s, A, c: table_of(s, A, c)[s[-1]] / table_of(s, A, c).sum(),
        "all counts of the table",
    ),
    (chapter_13.predict_next, lambda s, A, c: table_of(s, A, c), "Its shape is"),
    (chapter_13.predict_next, lambda s, A, c: predict_next(s, A, 0), "bare frequencies"),
    (
        chapter_13.predict_next,
        lambda s, A, c: (counts_of(s, A) + c) / (counts_of(s, A).sum() + c),
        "once below the line",
    ),
    (
        chapter_13.predict_next,
        lambda s, A, c: (counts_of(s, A) + c) / counts_of(s, A).sum(),
        "do not add up to 1",
    ),
    (chapter_13.predict_next, lambda s, A, c: row_of(s >= 0, s, A, c), "count all symbols"),
    (chapter_13.predict_next, lambda s, A, c: row_of(before_present(s), s, A, c), "came before"),
    (chapter_13.predict_next, lambda s, A, c: predict_next(s, A, 1), "You add 1"),
    (chapter_13.predict_next, lambda s, A, c: predict_next(s[:-1], A, c), "one symbol ago"),
    (chapter_13.predict_next, lambda s, A, c: torch.ones(A) / A, "largest difference"),
    (chapter_13.plastic_step, lambda *a: plastic_step(*a, active="h"), "not the output h"),
    (chapter_13.plastic_step, lambda *a: plastic_step(*a, active="c"), "not the cell"),
    (chapter_13.plastic_step, lambda *a: plastic_step(*a, active="raw"), "after its tanh"),
    (chapter_13.plastic_step, lambda *a: plastic_step(*a, plastic=(0, 1, 2, 3)), "in all four parts"),
    (chapter_13.plastic_step, changed(5, torch.ones_like), "Alpha is missing"),
    (chapter_13.plastic_step, changed(5, torch.zeros_like), "plastic term is missing"),
    (chapter_13.plastic_step, changed(7, lambda clip: 1e9), "clip is missing"),
    (chapter_13.plastic_step, changed(6, lambda eta: 1.0), "Eta is missing"),
    (chapter_13.plastic_step, lambda *a: plastic_step(*a, gates=(0, 1, 3, 2)), "i, f, g, o"),
    (chapter_13.plastic_step, lambda *a: plastic_step(*a, gates=(1, 0, 2, 3)), "forget gate are swapped"),
    (chapter_13.plastic_step, read_by_columns, "by columns"),
    (chapter_13.plastic_step, written_first, "write first"),
    (chapter_13.plastic_step, trace_turned, "Result 3: The largest difference"),
    (chapter_13.plastic_step, written_turned, "written with its indices swapped"),
    (chapter_13.plastic_step, written_with_new_output, "output before this step"),
    (chapter_13.plastic_step, bare_cell, "tanh of the cell is missing"),
    (chapter_13.plastic_step, lambda *a: plastic_step(*a)[:2], "2 results where 3"),
    (chapter_13.plastic_step, lambda *a: plastic_step(*a)[0], "1 result where 3"),
    (chapter_13.plastic_step, done("outside"), "outside the tanh"),
    (chapter_13.plastic_step, done("no tanh"), "tanh of the candidate is missing"),
    (chapter_13.plastic_step, done("sigmoid"), "candidate is no gate"),
    (chapter_13.plastic_step, done("fading"), "Your trace fades"),
    (chapter_13.plastic_step, done("clip of the product"), "clip what is added"),
    (chapter_13.plastic_step, done("one side"), "one side only"),
    (chapter_13.plastic_step, done("alpha"), "Alpha is in what is written"),
    (chapter_13.plastic_step, done("old trace"), "trace that you found"),
    (chapter_13.plastic_step, done("no w"), "pre @ w is missing"),
    (chapter_13.plastic_step, done("forget"), "forget gate is turned round"),
    (chapter_13.plastic_step, done("no gate"), "output gate is missing"),
    (chapter_13.plastic_step, done("cell first"), "You return the cell first"),
    (chapter_13.mixed_losses, lambda x: weighed(x, torch.softmax(-x.cumsum(1), 0)), "present loss"),
    (chapter_13.mixed_losses, lambda x: weighed(x, torch.tensor(1 / len(x))), "never change"),
    (chapter_13.mixed_losses, lambda x: (torch.softmax(-before(x), 0) * x).sum(0), "You mix the losses"),
    (
        chapter_13.mixed_losses,
        lambda x: x[before(x).argmin(0), torch.arange(x.shape[1])],
        "follow the best one",
    ),
    (chapter_13.mixed_losses, lambda x: weighed(x, torch.exp(-before(x))), "do not add up to 1"),
    (chapter_13.mixed_losses, lambda x: weighed(x, last_only(x)), "last step alone"),
    (chapter_13.mixed_losses, lambda x: weighed(x, torch.softmax(before(x), 0)), "turned round"),
    (chapter_13.mixed_losses, lambda x: x.mean(0), "largest difference"),
    (chapter_13.mixed_losses, lambda x: mixed(x).neg().exp(), "This is the probability"),
    (chapter_13.mixed_losses, lambda x: mixed(x).cumsum(0), "all steps so far together"),
    (
        chapter_13.mixed_losses,
        lambda x: weighed(x, torch.softmax(-before(x), 1)),
        "over the predictors, dim=0",
    ),
    (
        chapter_13.mixed_losses,
        lambda x: weighed(x, torch.softmax(-x.sum(1), 0)[:, None]),
        "know all losses",
    ),
    (chapter_13.mixed_losses, lambda x: x[x.sum(1).argmin()], "best in the end"),
    (chapter_13.mixed_losses, lambda x: x.min(0).values, "best one of each step"),
    (chapter_13.mixed_losses, lambda x: -mixed(x), "sign is turned round"),
]
