"""Chapter 11: right answers, each written another way, and typical wrong ones with the hint they get."""

import math

import numpy as np
import torch

from bpa.checks import chapter_11
from bpa.experiments import statistics


def by_fractions(scores, q):
    """Between the two neighbours, by how far the place is from each."""
    ordered = sorted(scores.tolist())
    place = q * (len(ordered) - 1)
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] if low == high else (high - place) * ordered[low] + (place - low) * ordered[high]


def in_order(scores):
    return torch.tensor(sorted(scores.tolist()))


def standing_at(scores, place):
    place = min(max(place, 0), len(scores) - 1)
    return torch.lerp(scores[math.floor(place)], scores[math.ceil(place)], place - math.floor(place))


def mirrored(scores, q):
    place = q * (len(scores) - 1)
    low, high = in_order(scores)[math.floor(place)], in_order(scores)[min(int(place) + 1, len(scores) - 1)]
    return low * (place % 1) + high * (1 - place % 1)


def formula(kind, inputs, H, A, bias=1, alpha=1, heads=1, value=1, gates=4, modulator=1, fanout=1):
    n = gates if kind == "lstm" else 1
    total = n * H * (inputs + H + bias)
    total += alpha * H * H * (kind not in ("none", "lstm")) + (kind in ("plastic", "retroactive"))
    total += (modulator * (H + 1) + fanout * 2 * H) * (kind in ("simple", "retroactive"))
    return total + heads * (A * H + bias * A) + heads * value * (H + bias)


def by_trying(kind, inputs, A, parameters, **left_out):
    sizes = range(1, 200)
    return min(sizes, key=lambda H: abs(formula(kind, inputs, H, A, **left_out) - parameters))


def by_halving(kind, inputs, A, parameters):
    """Halve the range of sizes until two are left, then take the nearer one."""
    low, high = 1, 200
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if formula(kind, inputs, middle, A) <= parameters else (low, middle)
    gap = parameters - formula(kind, inputs, low, A)
    return low if gap <= formula(kind, inputs, high, A) - parameters else high


def not_above(kind, inputs, A, parameters):
    return max(H for H in range(1, 200) if formula(kind, inputs, H, A) <= parameters)


def one_by_one(first, second, generator, resamples):
    """Each resample and its pairs by itself."""
    shares = []
    for _ in range(resamples):
        one, two = (generator.choice(scores.numpy(), len(scores)) for scores in (first, second))
        shares.append((np.sign(one[:, None] - two[None, :]).mean() + 1) / 2)
    return tuple(np.quantile(shares, [0.025, 0.975]))


def by_index(first, second, generator, resamples, level=0.95, joint=False, tie=0.5, other=True):
    """All resamples and all pairs at once."""
    chosen = generator.integers(16, size=(resamples, 16))
    one = first.numpy()[chosen][:, :, None]
    if not joint:
        chosen = generator.integers(16, size=(resamples, 16)) if other else np.arange(16)[None]
    two = second.numpy()[chosen][:, None, :]
    shares = (one > two).mean((1, 2)) + tie * (one == two).mean((1, 2))
    return np.quantile(shares, [0.5 - level / 2, 0.5 + level / 2])


def all_together(first, second, generator, resamples):
    both = np.concatenate([first, second])
    one, two = (both[generator.integers(32, size=(resamples, 16, 1))] for _ in range(2))
    return np.quantile((np.sign(one - two.transpose(0, 2, 1)).mean((1, 2)) + 1) / 2, [0.025, 0.975])


def rearranged(first, second, generator, resamples):
    one, two = generator.permutation(first.numpy()), generator.permutation(second.numpy())
    above = one[:, None] - two
    return [float((above > 0).mean() + (above == 0).mean() / 2)] * 2


def run_by_run(first, second, generator, resamples):
    one = generator.choice(first.numpy(), (resamples, len(first)))
    two = generator.choice(second.numpy(), (resamples, len(second)))
    return np.quantile(((np.sign(one - two) + 1) / 2).mean(1), [0.025, 0.975])


def medians(first, second, generator, resamples):
    one = generator.choice(first.numpy(), (resamples, len(first)))
    two = generator.choice(second.numpy(), (resamples, len(second)))
    return np.quantile(np.median(one, 1) - np.median(two, 1), [0.025, 0.975])


def step_down(p_values, factor=lambda k, number: number - k, largest=True, most=1.0, back=True):
    """One p-value after the other, from the smallest on."""
    adjusted, so_far = [0.0] * len(p_values), 0.0
    for k, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i].item())):
        scaled = factor(k, len(p_values)) * p_values[place].item()
        so_far = max(so_far, scaled) if largest else scaled
        adjusted[place if back else k] = min(most, so_far)
    return torch.tensor(adjusted, dtype=torch.float64)


def cumulative(p_values):
    ordered, places = p_values.sort()
    factors = torch.arange(len(p_values), 0, -1)
    return (ordered * factors).cummax(0).values.clamp(max=1)[places.argsort()]


def benjamini_hochberg(p_values):
    out, least = torch.empty_like(p_values), 1.0
    for rank, place in reversed(list(enumerate(p_values.argsort().tolist(), 1))):
        least = min(least, p_values[place].item() * len(p_values) / rank)
        out[place] = least
    return out


def largest_in_given_order(p_values):
    scaled = step_down(p_values, largest=False, most=math.inf)
    return torch.tensor([scaled[: k + 1].max().item() for k in range(len(scaled))]).clamp(max=1)


RIGHT = [
    (chapter_11.quantile, by_fractions),
    (chapter_11.quantile, lambda s, q: torch.quantile(s, q)),
    (chapter_11.quantile, lambda s, q: np.quantile(s.numpy(), q)),
    (chapter_11.quantile, lambda s, q: float(np.quantile(s.tolist(), q))),
    (chapter_11.matching_size, by_trying),
    (chapter_11.matching_size, by_halving),
    (chapter_11.improvement_interval, one_by_one),
    (chapter_11.improvement_interval, by_index),
    (chapter_11.improvement_interval, lambda *case: np.array(by_index(*case))),
    (chapter_11.holm, step_down),
    (chapter_11.holm, cumulative),
    (chapter_11.holm, lambda p: cumulative(p).tolist()),
    (chapter_11.holm, lambda p: statistics.holm(p.tolist())),
]


WRONG = [
    (chapter_11.quantile, lambda s, q: standing_at(s, q * (len(s) - 1)), "in order first"),
    (chapter_11.quantile, lambda s, q: standing_at(in_order(s), q * len(s)), "q times S - 1"),
    (chapter_11.quantile, lambda s, q: in_order(s)[math.floor(q * (len(s) - 1))], "one of the scores"),
    (chapter_11.quantile, lambda s, q: in_order(s)[round(q * (len(s) - 1))], "nearest score"),
    (chapter_11.quantile, mirrored, "weights are swapped"),
    (chapter_11.quantile, lambda s, q: standing_at(in_order(s), q * (len(s) + 1) - 1), r"S \+ 1"),
    (chapter_11.quantile, lambda s, q: by_fractions(s, 1 - q), "turned round"),
    (chapter_11.quantile, lambda s, q: s.mean(), "not right yet"),
    (chapter_11.quantile, lambda s, q: s.sort_ and None, "stopped with AttributeError"),
    (chapter_11.matching_size, lambda *case: by_trying(*case, alpha=0), "Alpha is missing"),
    (chapter_11.matching_size, lambda *case: by_trying(*case, bias=0), "biases are missing"),
    (chapter_11.matching_size, lambda *case: by_trying(*case, heads=0), "Both heads"),
    (chapter_11.matching_size, lambda *case: by_trying(*case, gates=1), "four of everything"),
    (chapter_11.matching_size, lambda *case: by_trying(*case, fanout=0), "an-out"),
    (chapter_11.matching_size, lambda *case: by_trying(*case, modulator=0), "h2mod"),
    (chapter_11.matching_size, lambda *case: by_trying(*case, value=0), "value head"),
    (
        chapter_11.matching_size,
        lambda *case: by_trying(*case, modulator=0, fanout=0),
        "an-out",
    ),
    (chapter_11.matching_size, not_above, "largest network"),
    (chapter_11.matching_size, lambda *case: not_above(*case) + 1, "smallest network"),
    (
        chapter_11.matching_size,
        lambda kind, *sizes: by_trying("lstm" if kind == "lstm" else "simple", *sizes),
        "parts of its own",
    ),
    (chapter_11.matching_size, lambda kind, inputs, A, parameters: round(parameters**0.5), "not right yet"),
    (chapter_11.improvement_interval, lambda *case: by_index(*case, joint=True), "no pairs"),
    (chapter_11.improvement_interval, rearranged, "Nothing varies"),
    (chapter_11.improvement_interval, lambda *case: by_index(*case, other=False), "Only the first side"),
    (chapter_11.improvement_interval, lambda *case: by_index(*case, tie=0), "not nothing"),
    (chapter_11.improvement_interval, lambda *case: by_index(*case, tie=1), "not one"),
    (chapter_11.improvement_interval, lambda *case: by_index(*case, level=0.9), "2.5 on each side"),
    (chapter_11.improvement_interval, lambda *case: by_index(*case, level=0.5), "quartiles"),
    (chapter_11.improvement_interval, lambda f, s, *rest: by_index(s, f, *rest), "wrong way round"),
    (chapter_11.improvement_interval, all_together, "all runs together"),
    (chapter_11.improvement_interval, run_by_run, "not right yet"),
    (chapter_11.improvement_interval, medians, "not right yet"),
    (chapter_11.improvement_interval, 0.5, "must be a function"),
    (chapter_11.holm, lambda p: (len(p) * p).clamp(max=1), "Bonferroni"),
    (chapter_11.holm, lambda p: step_down(p, largest=False), "largest so far"),
    (chapter_11.holm, lambda p: step_down(p, most=math.inf), "at most 1"),
    (chapter_11.holm, lambda p: step_down(p, back=False), "wrong places"),
    (chapter_11.holm, lambda p: step_down(p, factor=lambda k, number: k + 1), "other way"),
    (chapter_11.holm, benjamini_hochberg, "share of false alarms"),
    (chapter_11.holm, largest_in_given_order, "not in the order given"),
    (chapter_11.holm, lambda p: p, "not right yet"),
]
