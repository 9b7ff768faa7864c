"""What the two tables of a comparison say: medians, quartiles, intervals, tests, and when a goal is reached.

A run is one seed. A difference of two variants counts as shown only where its interval and its corrected
p-value agree, and never with fewer than FEWEST_SEEDS runs of each.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from bpa.arguments import require_choice, require_integer, require_number

FEWEST_SEEDS = 5  # of each variant; four against four can fall in 70 ways, and p is never below 0.028
RESAMPLES = 100_000
MOST_RANKED = 200  # runs of two variants, whose ranks are counted way by way
NEGLIGIBLE = 1e-15  # a median that so few resamples have is left out
BATCH = 10_000  # resamples that are in memory at once
LEVEL = 0.95  # of an interval; a p-value is set beside what is missing to 1


class Final(NamedTuple):
    """One line of final.csv: a trained network in fresh episodes, learning off."""

    task: str
    variant: str
    seed: int
    iterations: int  # fewer than asked for where training diverged for good
    seconds: float  # of training
    parameters: int
    episodes: int
    mean: float  # reward or loss of an episode
    lower_quartile: float
    median: float
    upper_quartile: float
    standard_error: float  # of the mean
    greedy: float | None = None  # mean of the same episodes with the likeliest actions, where it is rewarded
    left_out: int | None = None  # steps of training that were left out because they would have diverged
    rate_left: float | None = None  # what halvings after such steps left of the learning rate


class Point(NamedTuple):
    """One line of curves.csv: the mean over some iterations, of which `iteration` is the last."""

    task: str
    variant: str
    seed: int
    iteration: int
    score: float  # in the file the column is called "reward" or "loss"
    seconds: float  # since the run began


MARKS = Final._fields[7:13]  # what a run can be scored by


class Spread(NamedTuple):
    """Where the runs of one variant lie."""

    seeds: int
    lower_quartile: float
    median: float
    upper_quartile: float


class Reached(NamedTuple):
    """What a run took to come to a reward."""

    iterations: int
    episodes: int
    seconds: float


class Difference(NamedTuple):
    """How far the median of one variant lies above that of another, and what these runs say of the sign."""

    median: float  # of the first, less that of the second
    low: float  # of the interval
    high: float
    p: float  # of the rank-sum test
    corrected: float  # by Holm's rule, over all differences asked for at once
    sign: Literal[-1, 0, 1]  # 0: not shown


def scores_by_variant(finals: Iterable[Final], mark: str = "mean") -> dict[str, list[float]]:
    """For each variant a score of each of its runs: the mean, median or another mark of a `Final`."""
    mark = require_choice("mark", mark, MARKS)
    scores: dict[str, list[float]] = {}
    for final in finals:
        scores.setdefault(final.variant, []).append(getattr(final, mark))
    return scores


def spread(scores: Sequence[float]) -> Spread:
    """Number, median and quartiles of the scores of some runs."""
    if not len(scores):
        raise ValueError("scores must hold at least one number, got none")
    return Spread(len(scores), *np.quantile(np.asarray(scores, dtype=float), [0.25, 0.5, 0.75]).tolist())


def median_runs(finals: Iterable[Final]) -> dict[str, Final]:
    """For each variant the run with the median score; of two in the middle the lower. NaN comes last."""
    ranked: dict[str, list[Final]] = {}
    for final in sorted(finals, key=lambda final: (math.isnan(final.mean), final.mean)):
        ranked.setdefault(final.variant, []).append(final)
    return {variant: each[(len(each) - 1) // 2] for variant, each in ranked.items()}


def interquartile_mean(scores: Sequence[float]) -> float:
    """The mean of the scores without the lowest and the highest quarter of them, rounded down, each.

    Between mean and median: it heeds more runs than the median, and an outlier does not move it.
    [Agarwal et al. 2021]
    """
    if not len(scores):
        raise ValueError("scores must hold at least one number, got none")
    return float(middle_mean(np.asarray(scores, dtype=float)))


def middle_mean(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    """`interquartile_mean` along an axis."""
    count = scores.shape[axis]
    middle = np.arange(count // 4, count - count // 4)
    return np.sort(scores, axis=axis).take(middle, axis=axis).mean(axis=axis)


def interquartile_interval(
    scores: Sequence[float],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Bootstrap interval of the interquartile mean, corrected for bias and skew [Efron 1987].

    Where all runs score alike no correction is defined, and the percentiles are taken.

    Args:
        scores: of some runs, at least one. generator: of the resamples. resamples: at least 1.
        level: of the interval; above 0, below 1.

    Raises:
        ValueError: an argument is out of range.
    """
    from scipy.stats import bootstrap  # here, because it takes a second

    resamples, level = require_integer("resamples", resamples, low=1), checked_level(level)
    if not len(scores):
        raise ValueError("scores must hold at least one number, got none")
    # One run, resampled, is that run; scipy wants two.
    data = [np.repeat(np.asarray(scores, dtype=float), 2 if len(scores) == 1 else 1)]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of what is degenerate; it is looked for below
        asked = {"confidence_level": level, "rng": generator, "batch": min(BATCH, resamples)}
        found = bootstrap(data, middle_mean, n_resamples=resamples, method="BCa", **asked)
        if not np.isfinite(found.confidence_interval).all():
            found = bootstrap(
                data, middle_mean, n_resamples=0, bootstrap_result=found, method="percentile", **asked
            )
    low, high = found.confidence_interval
    return float(low), float(high)


def checked_level(level: float) -> float:
    """`level`, if it is above 0 and below 1."""
    if (level := require_number("level", level, low=0, above=True)) >= 1:
        raise ValueError(f"level must be below 1, got {level}")
    return level


def resampled_medians(scores: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Every median that a resample of `scores` can have, and how likely it is; nothing is drawn.

    A resample of S scores draws S times, with replacement. Its score at place m, from 1, is at most the k-th
    of ours if at least m of S draws are: a binomial tail. Of an even S the median lies between two places.
    """
    from scipy.stats import binom  # here, because it takes a second

    ordered = np.sort(np.asarray(scores, dtype=float))
    count = len(ordered)
    middle = (count + 1) // 2
    below = np.arange(count + 1) / count
    alone = np.diff(binom.sf(middle - 1, count, below))  # the score at place `middle` is our k-th
    if count % 2:
        return ordered, alone
    # With i < j: half of the draws are at most our i-th, one of them is it; the others from our j-th on.
    to_i, from_j = np.diff(below**middle), -np.diff((1 - below) ** middle)
    both = np.triu(math.comb(count, middle) * np.outer(to_i, from_j), 1)
    both += np.diag(alone - both.sum(1))
    likely = both > NEGLIGIBLE
    return ((ordered[:, None] + ordered) / 2)[likely], both[likely]


def difference_interval(
    first: Sequence[float], second: Sequence[float], level: float = LEVEL, method: str = "BCa"
) -> tuple[float, float]:
    """Bootstrap interval of median(first) - median(second), each resampled on its own; exact.

    Every resample there is counts, with its probability, so that no generator decides. An end is the least
    difference that a share of the resamples does not exceed.

    Args:
        first, second: the scores of two variants, at least one each.
        level: of the interval; above 0, below 1.
        method: "BCa" corrects for bias and skew [Efron 1987]; where all runs score alike it is not defined,
            and the percentiles are taken, as by "percentile".

    Raises:
        ValueError: an argument is out of range.
    """
    from scipy.special import ndtr, ndtri  # here, because it takes a second

    level, method = checked_level(level), require_choice("method", method, ("BCa", "percentile"))
    for name, scores in (("first", first), ("second", second)):
        if not len(scores):
            raise ValueError(f"{name} must hold at least one score, got none")
    (ones, one_likely), (others, other_likely) = resampled_medians(first), resampled_medians(second)
    gaps = np.subtract.outer(ones, others).ravel()
    order = np.argsort(gaps)
    gaps, so_far = gaps[order], np.outer(one_likely, other_likely).ravel()[order].cumsum()
    shares = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "BCa":
        observed = np.median(first) - np.median(second)
        slack = 1e-9 * max(1.0, abs(gaps[0]), abs(gaps[-1]))  # equal but for rounding
        before, up_to = np.concatenate([[0.0], so_far])[
            np.searchsorted(gaps, [observed - slack, observed + slack])
        ]
        bias = ndtri((before + up_to) / 2)
        z = bias + ndtri(shares)
        with np.errstate(all="ignore"):  # of what is degenerate
            corrected = ndtr(bias + z / (1 - acceleration(first, second) * z))
        shares = corrected if np.isfinite(corrected).all() else shares
    low, high = gaps[np.searchsorted(so_far, shares - 1e-12).clip(max=len(gaps) - 1)]
    return float(low), float(high)


def acceleration(first: Sequence[float], second: Sequence[float]) -> float:
    """How fast the spread of the difference of medians changes with it, by leaving out a run at a time."""
    pulls = []
    for scores, sign in ((np.asarray(first, dtype=float), 1), (np.asarray(second, dtype=float), -1)):
        count = len(scores)
        without = np.array([sign * np.median(np.delete(scores, k)) for k in range(count if count > 1 else 0)])
        pulls.append((count - 1) * (without.mean() - without) / count if len(without) else without)
    every = np.concatenate(pulls)
    squares = (every**2).sum()
    return float((every**3).sum() / squares**1.5 / 6) if squares else math.nan


def rank_sum(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p-value of Wilcoxon's rank-sum test: how likely ranks as uneven are if both score alike.

    Every way to choose the first variant's runs out of all is counted; equal scores share the mean of their
    ranks. From MOST_RANKED runs on, by the normal approximation.
    """
    from scipy.stats import mannwhitneyu, rankdata  # here, because it takes a second

    runs, both = len(first), [*first, *second]
    if len(both) > MOST_RANKED:
        return float(mannwhitneyu(first, second, alternative="two-sided", method="asymptotic").pvalue)
    # SciPy goes through all ways one by one where scores are equal: seconds in place of a millisecond.
    ranks = np.rint(2 * rankdata(both)).astype(int)  # twice each rank: whole numbers
    ways = np.zeros((runs + 1, ranks.sum() + 1))  # ways to choose so many runs with such a sum
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    distance = np.abs(np.arange(ways.shape[1]) - runs * (len(both) + 1))  # from the middle of twice the sum
    as_far = distance >= distance[ranks[:runs].sum()]
    return float(ways[runs, as_far].sum() / ways[runs].sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for being asked at once, in the order given [Holm 1979].

    The smallest of K is multiplied by K, the next by K - 1, and so on; none becomes smaller than one before
    it, or larger than 1. The probability of any false alarm then stays below that of a single test.
    """
    if not len(p_values):
        return []
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected.tolist()


def sign_shown(low: float, high: float, p: float, seeds: int, level: float = LEVEL) -> Literal[-1, 0, 1]:
    """The sign of a difference if these runs show one, else 0.

    Args:
        low, high: its interval. p: its p-value, corrected where several were asked for. seeds: runs of the
            variant that has fewer. level: of the interval.
    """
    if seeds < FEWEST_SEEDS or not p < 1 - level:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def differences(
    scores: Mapping[str, Sequence[float]], pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Difference]:
    """What the runs say of each of these pairs of variants, all asked at once.

    Args:
        scores: of the runs of each variant, as of `scores_by_variant`. pairs: first and second variant.
    """
    for variant in (variant for pair in pairs for variant in pair):
        require_choice("pairs", variant, scores)
    p_values = [rank_sum(scores[one], scores[two]) for one, two in pairs]
    found = {}
    for (one, two), p, corrected in zip(pairs, p_values, holm(p_values), strict=True):
        low, high = difference_interval(scores[one], scores[two])
        seeds = min(len(scores[one]), len(scores[two]))
        median = float(np.median(scores[one]) - np.median(scores[two]))
        sign = sign_shown(low, high, corrected, seeds)
        found[one, two] = Difference(median, low, high, p, corrected, sign)
    return found


def reached(points: Iterable[Point], goal: float, batch_size: int) -> dict[tuple[str, int], Reached | None]:
    """For each variant and seed, what it took until a point of the curve was at `goal` or above; None: never.

    Args:
        points: of tasks with rewards, those of a run in order. batch_size: episodes in an iteration.
    """
    found: dict[tuple[str, int], Reached | None] = {}
    for point in points:
        run = point.variant, point.seed
        if found.setdefault(run, None) is None and point.score >= goal:
            found[run] = Reached(point.iteration, point.iteration * batch_size, point.seconds)
    return found
