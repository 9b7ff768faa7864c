"""Chapter 15: right answers, each written another way, and typical wrong ones with the hint they get."""

import math

import torch

from bpa import Network
from bpa.checks import chapter_15
from bpa.network import clipped


def stretch(steps, copies):
    for length in range(1, steps + 1):
        pieces = len(range(0, steps, length))
        if pieces + length - 1 <= copies:
            return length
    return 0


def stretch_by_counting(steps, copies):
    """Walk the episode and count what is held."""
    for length in range(1, steps + 1):
        stored = sum(t % length == 0 for t in range(steps))
        most = max(stored + min(length, steps - first) - 1 for first in range(0, steps, length))
        if most <= copies:
            return length
    return 0


def stretch_or_nothing(steps, copies):
    for length in range(1, steps + 1):
        if -(-steps // length) + length - 1 <= copies:
            return length
    return None


def planted_stretch(steps, copies, up=math.ceil, extra=-1):
    fit = [k for k in range(1, steps + 1) if up(steps / k) + k + extra <= copies]
    return fit[0] if fit else 0


def longest(steps, copies):
    return max((k for k in range(1, steps + 1) if -(-steps // k) + k - 1 <= copies), default=0)


def never_zero(steps, copies):
    return stretch(steps, copies) or min(range(1, steps + 1), key=lambda k: -(-steps // k) + k)


def soft(hebb, increment, clip, dnew):
    room = 1 - increment.sign() * hebb / clip
    return dnew - dnew * increment.abs() / clip, dnew * room


def soft_by_autograd(hebb, increment, clip, dnew):
    hebb, increment = hebb.clone().requires_grad_(), increment.clone().requires_grad_()
    return torch.autograd.grad(clipped(hebb, increment, clip, "soft"), (hebb, increment), dnew)


def traces(x, y, m, hebb, eligibility, eta, clip):
    return (hebb + m * eligibility).clamp(-clip, clip), (1 - eta) * eligibility + eta * torch.outer(x, y)


def mended_by_autograd(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility):
    m, eta = (torch.tensor(number, dtype=torch.float64) for number in (m, eta))
    inputs = [part.clone().requires_grad_() for part in (x, y, m, hebb, eligibility, eta)]
    return torch.autograd.grad(traces(*inputs, clip), inputs, (dhebb, deligibility))


def planted(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility, fixed=()):
    product = x[:, None] * y[None, :]
    mask = (hebb + m * eligibility).abs() <= clip
    ds = dhebb * mask if "clip" in fixed else dhebb
    after = (1 - eta) * eligibility + eta * product
    dm = (ds * (eligibility if "old" in fixed else after)).sum()
    dproduct = eta * deligibility
    off = (product - eligibility) if "sign" in fixed else (eligibility - product)
    dx, dy = dproduct @ y, x @ dproduct
    return dx, dy, dm, ds, m * ds + (1 - eta) * deligibility, (deligibility * off).sum()


def mended(*case):
    return planted(*case, fixed=("clip", "old", "sign"))


def mended_number_by_number(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility):
    H = range(len(x))
    dx, dy, before, gathered = (torch.zeros_like(part) for part in (x, y, hebb, hebb))
    dm = deta = 0.0
    for i in H:
        for j in H:
            ds = dhebb[i, j] if -clip <= hebb[i, j] + m * eligibility[i, j] <= clip else 0.0
            later = deligibility[i, j]
            dm += ds * eligibility[i, j]
            dx[i] += eta * later * y[j]
            dy[j] += eta * later * x[i]
            before[i, j] = ds
            gathered[i, j] = m * ds + later - eta * later
            deta += later * (x[i] * y[j] - eligibility[i, j])
    return dx, dy, dm, before, gathered, deta


def mask_of_the_old_trace(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility):
    wide = planted(x, y, m, hebb, eligibility, eta, clip, dhebb * (hebb.abs() < clip), deligibility)
    right = mended(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility)
    dm = (dhebb * (hebb.abs() < clip) * eligibility).sum()
    return right[0], right[1], dm, wide[3], wide[4], right[5]


def oja_by_autograd(x, y, eta, hebb, dnew):
    inputs = [part.clone().requires_grad_() for part in (x, y, torch.tensor(eta, dtype=x.dtype), hebb)]
    pre, post, rate, old = inputs
    return torch.autograd.grad(old + rate * post * (pre[:, None] - post * old), inputs, dnew)


def oja(x, y, eta, hebb, dnew, power=2, rate=None, back=None, forgetting=1):
    rate = eta if rate is None else rate
    dx = rate * torch.einsum("ij,j->i", dnew, y)
    dy = rate * torch.einsum("ij,ij->j", dnew, x[:, None] - power * y * hebb)
    deta = torch.einsum("ij,j,ij->", dnew, y, x[:, None] - forgetting * y * hebb)
    return dx, dy, deta, dnew * (1 - eta * y**2 if back is None else back)


def oja_by_network(x, y, eta, hebb, dnew):
    net = Network(1, len(x), 1, plasticity="plastic", rule="oja").double()
    net.eta.data.fill_(eta)
    inputs = [part.clone().requires_grad_() for part in (x, y, hebb)]
    new, _ = net.rewire(*(part[None] for part in inputs))
    dx, dy, dhebb, deta = torch.autograd.grad(new[0], [*inputs, net.eta], dnew)
    return dx, dy, deta[0], dhebb


RIGHT = [
    (chapter_15.shortest_stretch, stretch),
    (chapter_15.shortest_stretch, stretch_by_counting),
    (chapter_15.soft_clip_back, soft),
    (chapter_15.soft_clip_back, lambda *case: torch.stack(soft(*case))),
    (chapter_15.soft_clip_back, lambda *case: torch.stack(soft(*case)).numpy()),
    (chapter_15.soft_clip_back, soft_by_autograd),
    (chapter_15.soft_clip_back, lambda *case: [part.tolist() for part in soft(*case)]),
    (chapter_15.mended_back, mended),
    (chapter_15.mended_back, mended_by_autograd),
    (chapter_15.mended_back, mended_number_by_number),
    (chapter_15.oja_back, oja),
    (chapter_15.oja_back, oja_by_autograd),
    (chapter_15.oja_back, oja_by_network),
    (chapter_15.oja_back, lambda *case: tuple(part.numpy() for part in oja(*case))),
]


def with_first(first):
    """A right answer to the soft clip but for its first result."""
    return lambda *case: (first(*case), soft(*case)[1])


def with_second(second):
    return lambda *case: (soft(*case)[0], second(*case))


def with_ds(ds, late=False):
    """A right answer to the slips but for the gradient of s; M and E get it whole where it is `late`."""

    def gradients(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility):
        right = mended(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility)
        cut = ds(hebb + m * eligibility, clip, dhebb)
        handed = dhebb if late else cut
        gathered = m * handed + (1 - eta) * deligibility
        return right[0], right[1], (handed * eligibility).sum(), cut, gathered, right[5]

    return gradients


def without_product(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility):
    *most, _ = mended(x, y, m, hebb, eligibility, eta, clip, dhebb, deligibility)
    return *most, (deligibility * torch.outer(x, y)).sum()


def oja_by_rows(x, y, eta, hebb, dnew):
    dx, _, deta, dhebb = oja(x, y, eta, hebb, dnew)
    return dx, eta * (dnew * (x[:, None] - 2 * y[:, None] * hebb)).sum(0), deta, dhebb


WRONG = [
    (
        chapter_15.shortest_stretch,
        stretch_or_nothing,
        r"returns nothing for steps = \d+, copies = \d+\. Does every",
    ),
    (chapter_15.shortest_stretch, lambda *c: stretch(*c) or -1, "the answer is 0"),
    (
        chapter_15.shortest_stretch,
        lambda steps, copies: min(range(1, steps + 1), key=lambda k: -(-steps // k) + k),
        "fewest traces",
    ),
    (chapter_15.shortest_stretch, lambda s, c: max(2, stretch(s, c)) if stretch(s, c) else 0, "allows K = 1"),
    (
        chapter_15.shortest_stretch,
        lambda s, c: (-(-s // stretch(s, c)) + stretch(s, c) - 1) if stretch(s, c) else 0,
        "number of traces that are held",
    ),
    (chapter_15.soft_clip_back, lambda h, i, c, d: soft(h, i, c, torch.ones_like(d)), "dnew is missing"),
    (chapter_15.soft_clip_back, lambda h, i, c, d: (d * (1 - i / c), d * (1 - h / c)), "increment upwards"),
    (chapter_15.soft_clip_back, with_second(lambda h, i, c, d: soft(h, h, c, d)[1]), "not on that of hebb"),
    (chapter_15.soft_clip_back, lambda h, i, c, d: h + i, "returns 1 result where 2 are wanted"),
    (
        chapter_15.soft_clip_back,
        with_second(lambda h, i, c, d: d * i),
        r"Result 1 \(of hebb\) is right already",
    ),
    (chapter_15.mended_back, with_ds(lambda s, c, d: d.clamp(-c, c)), "itself is cut off"),
    (chapter_15.mended_back, with_ds(lambda s, c, d: d * (s.abs() > c)), "wrong way round"),
    (chapter_15.mended_back, with_ds(lambda s, c, d: d * (s.abs() <= c), late=True), "to hebb only"),
    (
        chapter_15.mended_back,
        without_product,
        r"6 \(of eta\): The largest.*Results 1 \(of x\), 2 .* and 5 \(of eligibility\) are right already",
    ),
    (chapter_15.oja_back, oja_by_rows, "belongs to column j"),
    (chapter_15.oja_back, lambda x, y, e, h, d: oja(x, y, e, h, d, back=-e * y**2), "stands alone as well"),
    (chapter_15.shortest_stretch, lambda *c: planted_stretch(*c, up=math.floor), "round T / K up"),
    (chapter_15.shortest_stretch, lambda *c: planted_stretch(*c, extra=0), "counted twice"),
    (chapter_15.shortest_stretch, lambda steps, copies: -(-steps // copies), "rebuilt stretch are forgotten"),
    (chapter_15.shortest_stretch, longest, "longest stretch"),
    (chapter_15.shortest_stretch, never_zero, "the answer is 0"),
    (chapter_15.shortest_stretch, lambda steps, copies: round(steps**0.5), "square-root law"),
    (chapter_15.shortest_stretch, lambda steps, copies: 1, "largest difference"),
    (chapter_15.soft_clip_back, with_first(lambda h, i, c, d: d), "passes whole"),
    (chapter_15.soft_clip_back, with_first(lambda h, i, c, d: -d * i.abs() / c), "stands alone as well"),
    (chapter_15.soft_clip_back, with_first(lambda h, i, c, d: d * (1 - i / c)), "take its size"),
    (chapter_15.soft_clip_back, with_first(lambda h, i, c, d: d * (1 + i.abs() / c)), "less room"),
    (
        chapter_15.soft_clip_back,
        with_second(lambda h, i, c, d: soft(h, -i, c, d)[1]),
        "directions are swapped",
    ),
    (chapter_15.soft_clip_back, with_second(lambda h, i, c, d: d), "not scaled by the room"),
    (chapter_15.soft_clip_back, lambda h, i, c, d: soft(h, i, 1.0, d), "clip is missing"),
    (chapter_15.soft_clip_back, lambda *case: soft(*case)[::-1], "results are swapped"),
    (
        chapter_15.soft_clip_back,
        lambda h, i, c, d: (d * ((h + i).abs() <= c), d * ((h + i).abs() <= c)),
        "hard clip's mask",
    ),
    (chapter_15.soft_clip_back, lambda *case: soft(*case)[0], "1 result where 2 are wanted"),
    (chapter_15.soft_clip_back, lambda h, i, c, d: soft(h, i, c, 2 * d), "largest difference"),
    (chapter_15.mended_back, planted, "planted function still"),
    (chapter_15.mended_back, lambda *c: planted(*c, fixed=("clip", "old")), "Left: the sign"),
    (chapter_15.mended_back, lambda *c: planted(*c, fixed=("clip", "sign")), "Left: which eligibility"),
    (chapter_15.mended_back, lambda *c: planted(*c, fixed=("old", "sign")), "Left: the clip: it must"),
    (chapter_15.mended_back, lambda *c: planted(*c, fixed=("clip",)), "the old one; and the sign"),
    (chapter_15.mended_back, lambda *c: planted(*c, fixed=("old",)), "it cut; and the sign"),
    (chapter_15.mended_back, lambda *c: planted(*c, fixed=("sign",)), "it cut; and which"),
    (chapter_15.mended_back, mask_of_the_old_trace, "trace before the step"),
    (chapter_15.mended_back, lambda *c: (mended(*c)[1], mended(*c)[0], *mended(*c)[2:]), "are swapped"),
    (chapter_15.mended_back, lambda *c: mended(*c)[:5], "5 results where 6 are wanted"),
    (chapter_15.mended_back, lambda *c: [-part for part in mended(*c)], "largest difference"),
    (chapter_15.oja_back, lambda *c: oja(*c, power=1), "factor 2"),
    (chapter_15.oja_back, lambda *c: oja(*c, power=0), "missing in the gradient of y"),
    (chapter_15.oja_back, lambda *c: oja(*c, back=1), "handed on whole"),
    (chapter_15.oja_back, lambda *c: oja(*c, rate=1), "Eta is missing"),
    (chapter_15.oja_back, lambda *c: oja(*c, forgetting=0), "of eta lacks"),
    (chapter_15.oja_back, lambda *c: oja(*c, power=0, back=1, forgetting=0), "This is Hebb's rule"),
    (
        chapter_15.oja_back,
        lambda x, y, e, h, d: [oja(y, x, e, h.T, d.T)[k] for k in (1, 0, 2)] + [oja(y, x, e, h.T, d.T)[3].T],
        "Pre and post are swapped",
    ),
    (chapter_15.oja_back, lambda x, y, e, h, d: oja(x, y, e, h, -d), "largest difference"),
    (chapter_15.oja_back, 3, "must be a function"),
]
