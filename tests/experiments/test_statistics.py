"""Statistics of a few runs: each against loops, counting, or what it promises."""

import itertools
import math
import statistics

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, strategies

from bpa.experiments.statistics import (
    FEWEST_SEEDS,
    MOST_RANKED,
    Final,
    Point,
    Reached,
    Spread,
    acceleration,
    difference_interval,
    differences,
    holm,
    interquartile_interval,
    interquartile_mean,
    median_runs,
    rank_sum,
    reached,
    resampled_medians,
    scores_by_variant,
    sign_shown,
    spread,
)


def finals_of(variant, *means):
    return [Final("maze", variant, n, 3, 1.0, 9, 5, mean, 0, -mean, 9, 1) for n, mean in enumerate(means)]


def test_scores_are_gathered_and_spread():
    finals = finals_of("none", 3.0, 1.0, 2.0, 10.0) + finals_of("simple", 5.0)
    assert scores_by_variant(finals) == {"none": [3.0, 1.0, 2.0, 10.0], "simple": [5.0]}
    assert scores_by_variant(finals, "median")["simple"] == [-5.0]
    assert spread([3.0, 1.0, 2.0, 10.0]) == Spread(4, 1.75, 2.5, 4.75)
    with pytest.raises(ValueError, match="mark must be one of 'mean', 'lower_quartile'"):
        scores_by_variant(finals, "task")
    with pytest.raises(ValueError, match="scores must hold at least one number"):
        spread([])


def test_the_run_in_the_middle_speaks_for_its_variant():
    finals = (
        finals_of("none", 3.0, 1.0, 2.0, 10.0) + finals_of("simple", 5.0) + finals_of("lstm", 1.0, 9.0, 4.0)
    )
    middle = median_runs(finals)
    assert {variant: (final.seed, final.mean) for variant, final in middle.items()} == {
        "none": (2, 2.0),
        "simple": (0, 5.0),
        "lstm": (2, 4.0),
    }
    (last,) = median_runs(finals_of("none", 3.0, math.nan, 1.0, 2.0, math.nan)).values()
    assert last.mean == 3.0, "a run without a score hides the order of the others"


def every_difference(first, second):
    """Of every pair of resamples there is, all equally likely, the difference of medians; in order."""
    medians = [
        [statistics.median(drawn) for drawn in itertools.product(scores, repeat=len(scores))]
        for scores in (first, second)
    ]
    return sorted(one - other for one in medians[0] for other in medians[1])


def least_that_holds(ordered, share):
    """The least number that a share of them does not exceed."""
    return ordered[max(math.ceil(share * len(ordered) - 1e-9) - 1, 0)]


def skew_by_loops(first, second):
    """What BCa calls acceleration [Efron 1987], for a difference of medians."""
    cubes = squares = 0.0
    for scores in (first, second):  # of the second with the other sign
        sign = 1 if scores is first else -1
        without = [sign * statistics.median(scores[:k] + scores[k + 1 :]) for k in range(len(scores))]
        pulls = [(len(scores) - 1) * (statistics.fmean(without) - each) / len(scores) for each in without]
        cubes += sum(pull**3 for pull in pulls)
        squares += sum(pull**2 for pull in pulls)
    return cubes / squares**1.5 / 6


def corrected_shares(first, second, ordered, level):
    """The shares at which BCa takes its quantiles [Efron 1987], for a difference of medians."""
    normal = statistics.NormalDist()
    observed = statistics.median(first) - statistics.median(second)
    rank = sum((each < observed) + 0.5 * (each == observed) for each in ordered) / len(ordered)
    bias, skew = normal.inv_cdf(rank), skew_by_loops(first, second)
    shares = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + normal.inv_cdf(tail)
        shares.append(normal.cdf(bias + z / (1 - skew * z)))
    return shares


SAMPLES = [
    ([9.5, 7.25, 8.0, 11.0], [1.0, 2.5, 7.75]),
    ([9.5, 7.25, 8.0, 11.0, 30.0], [1.0, 8.5, 7.75, 3.0]),
    ([2.0, 2.0, 5.0], [1.0, 2.0, 2.0, 9.0]),  # ties
]


@pytest.mark.parametrize(("first", "second"), SAMPLES)
def test_the_skew_is_that_of_leaving_out_a_run_of_either(first, second):
    assert acceleration(first, second) == pytest.approx(skew_by_loops(first, second))
    assert acceleration(second, first) == pytest.approx(-skew_by_loops(first, second))


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize(("first", "second"), SAMPLES)
def test_the_interval_is_that_of_every_resample_there_is(first, second, level):
    ordered = every_difference(first, second)
    shares = corrected_shares(first, second, ordered, level)
    assert shares != pytest.approx([(1 - level) / 2, (1 + level) / 2], abs=1e-4)
    expected = [least_that_holds(ordered, share) for share in shares]
    assert difference_interval(first, second, level) == pytest.approx(expected, rel=1e-12)
    plain = [least_that_holds(ordered, share) for share in ((1 - level) / 2, (1 + level) / 2)]
    assert difference_interval(first, second, level, "percentile") == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8])
def test_medians_of_resamples_are_as_likely_as_counted(count):
    scores = [float(2**k) for k in range(count)]  # no two pairs have one mean
    values, likely = resampled_medians(scores[::-1])
    if count <= 4:
        every = [statistics.median(drawn) for drawn in itertools.product(scores, repeat=count)]
        counted = {value: every.count(value) / len(every) for value in set(every)}
        assert dict(zip(values, likely, strict=True)) == pytest.approx(counted)
    assert likely.sum() == pytest.approx(1)
    assert len(set(values)) == len(values) == (count if count % 2 else count * (count + 1) / 2)


def test_large_resampling_agrees():
    first, second = np.random.default_rng(0).normal(size=(2, 10))
    values, likely = resampled_medians(first)
    drawn = np.median(np.random.default_rng(1).choice(first, size=(100_000, 10)), axis=1)
    for share in (0.1, 0.3, 0.6, 0.9):
        bound = np.quantile(drawn, share) + 1e-9
        assert likely[values <= bound].sum() == pytest.approx((drawn <= bound).mean(), abs=0.01)
    low, high = difference_interval(first, second)
    assert low < np.median(first) - np.median(second) < high
    assert difference_interval(second, first) == pytest.approx((-high, -low), abs=1e-9)


def test_many_runs_take_no_time_and_lose_nothing():
    values, likely = resampled_medians(np.arange(200.0))
    assert likely.sum() == pytest.approx(1, abs=1e-9)
    assert len(values) < 20_000
    assert likely @ values == pytest.approx(99.5)


@pytest.mark.parametrize("method", ["BCa", "percentile"])
def test_the_interval_covers_the_true_difference_about_as_often_as_it_says(method):
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(200):
        first, second = generator.normal(1, 1, 15), generator.normal(0, 1, 15)
        low, high = difference_interval(first, second, 0.8, method)
        covered.append(low <= 1.0 <= high)
    assert 0.7 < np.mean(covered) < 0.95


def test_where_no_correction_is_defined_the_percentiles_are_taken():
    assert difference_interval([3.0], [1.0]) == (2.0, 2.0)
    assert difference_interval([3.0, 3.0, 3.0], [1.0, 1.0]) == (2.0, 2.0)
    assert interquartile_interval([4.0, 4.0], np.random.default_rng(0), 50) == (4.0, 4.0)
    assert interquartile_interval([4.0], np.random.default_rng(0), 50) == (4.0, 4.0)


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert interquartile_mean([100.0, 3.0, -50.0, 4.0]) == 3.5
    assert interquartile_mean([7.0, 1.0, 4.0]) == 4.0  # of three none is left out
    ten = [37.0, 111.3, 122.1, 124.5, 124.5, 127.5, 131.0, 142.4, 148.1, 155.6]
    assert interquartile_mean(ten[::-1]) == pytest.approx(statistics.fmean(ten[2:8]))
    assert interquartile_mean(ten) == pytest.approx(scipy.stats.trim_mean(ten, 0.25))  # as rliable has it
    with pytest.raises(ValueError, match="scores must hold at least one number, got none"):
        interquartile_mean([])


def test_the_interval_of_the_interquartile_mean():
    scores = [9.5, 7.25, 8.0, 11.0, 30.0, 9.0]
    low, high = interquartile_interval(scores, np.random.default_rng(0), 20_000)
    assert min(scores) < low < interquartile_mean(scores) < high < max(scores)
    drawn = np.random.default_rng(3).choice(scores, size=(20_000, 6))
    means = [interquartile_mean(each) for each in drawn]
    assert np.mean([low <= mean <= high for mean in means]) == pytest.approx(0.95, abs=0.02)
    assert (low, high) == interquartile_interval(scores, np.random.default_rng(0), 20_000)
    for arguments, said in (
        (([], np.random.default_rng(0)), "scores must hold at least one number, got none"),
        (([1.0], np.random.default_rng(0), 0), "resamples must be a whole number of at least 1"),
        (([1.0], np.random.default_rng(0), 10, 1.0), "level must be below 1"),
    ):
        with pytest.raises(ValueError, match=said):
            interquartile_interval(*arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([], [1.0]), "first must hold at least one score"),
        (([1.0], []), "second must hold at least one score"),
        (([1.0], [1.0], 1.0), "level must be below 1"),
        (([1.0], [1.0], 0.0), "level must be a finite number above 0"),
        (([1.0], [1.0], 0.9, "basic"), "method must be one of 'BCa', 'percentile', got 'basic'"),
    ],
)
def test_an_interval_of_nothing_is_refused(arguments, said):
    first, second, *rest = arguments
    with pytest.raises(ValueError, match=said):
        difference_interval(first, second, *rest)


def rank_sum_by_counting(first, second):
    """Among all ways to deal out the ranks, the share whose rank sum is as far from the middle."""
    both = sorted([*first, *second])
    ranks = {score: both.index(score) + (both.count(score) + 1) / 2 for score in both}
    middle = len(first) * (len(both) + 1) / 2
    distance = abs(sum(ranks[score] for score in first) - middle)
    ways = list(itertools.combinations([ranks[score] for score in both], len(first)))
    return sum(abs(sum(way) - middle) >= distance for way in ways) / len(ways)


def test_the_rank_sum_test_counts_what_is_as_uneven():
    for first, second in (([5, 6, 7], [1, 2, 3]), ([1, 4, 9, 12], [2, 3, 8, 7, 6]), ([1], [0])):
        assert rank_sum(first, second) == pytest.approx(rank_sum_by_counting(first, second))
    ten = list(range(10))
    assert rank_sum(ten, [score + 8.5 for score in ten]) == pytest.approx(4 / 184756)
    assert rank_sum([3, 3], [3, 3, 3]) == 1


@given(
    strategies.lists(strategies.integers(0, 4), min_size=1, max_size=5),
    strategies.lists(strategies.integers(0, 4), min_size=1, max_size=5),
)
def test_equal_scores_are_counted_too(first, second):
    assert rank_sum(first, second) == pytest.approx(rank_sum_by_counting(first, second))
    assert rank_sum(first, second) == pytest.approx(rank_sum(second, first))


def test_many_runs_are_counted_up_to_a_limit_and_approximated_beyond():
    generator = np.random.default_rng(0)
    most = generator.normal(size=(2, MOST_RANKED // 2))
    most[0] += 0.2
    more = np.append(most[0], 0.0), most[1]
    for first, second, method in ((*most, "exact"), (*more, "asymptotic")):
        right = scipy.stats.mannwhitneyu(first, second, alternative="two-sided", method=method).pvalue
        assert rank_sum(first, second) == pytest.approx(right)


@pytest.mark.parametrize("seed", range(5))
def test_holms_rule_rejects_step_by_step(seed):
    """From the smallest p on, each is set against the level divided by those left, up to the first above."""
    generator = np.random.default_rng(seed)
    p_values = (generator.random(7) ** 3).round(2).tolist()  # some of them equal
    corrected = holm(p_values)
    for level in (0.01, 0.05, 0.2, 0.5):
        rejected = set()
        for place, k in enumerate(np.argsort(p_values, kind="stable")):
            if p_values[k] * (len(p_values) - place) > level:
                break
            rejected.add(int(k))
        assert {k for k, p in enumerate(corrected) if p <= level} == rejected
    assert all(1 >= after >= before for before, after in zip(p_values, corrected, strict=True))
    assert holm([]) == []


def test_a_sign_is_shown_only_where_interval_and_p_value_agree_and_seeds_suffice():
    assert sign_shown(0.1, 2.0, 0.04, FEWEST_SEEDS) == 1
    assert sign_shown(-2.0, -0.1, 0.04, FEWEST_SEEDS) == -1
    assert sign_shown(-0.1, 2.0, 0.04, 10) == 0, "zero lies within"
    assert sign_shown(0.0, 2.0, 0.04, 10) == 0
    assert sign_shown(0.1, 2.0, 0.06, 10) == 0, "the test does not agree"
    assert sign_shown(0.1, 2.0, math.nan, 10) == 0
    assert sign_shown(0.1, 2.0, 0.001, FEWEST_SEEDS - 1) == 0, "too few seeds"
    assert sign_shown(0.1, 2.0, 0.06, 10, level=0.9) == 1


def test_differences_of_several_pairs_are_corrected_together():
    generator = np.random.default_rng(0)
    scores = {
        "low": generator.normal(0, 1, 8),
        "high": generator.normal(9, 1, 8),
        "alike": generator.normal(0, 1, 8),
    }
    scores["few"] = scores["high"][:4]
    pairs = [("high", "low"), ("low", "high"), ("alike", "low"), ("few", "low")]
    found = differences(scores, pairs)
    assert [found[pair].sign for pair in pairs] == [1, -1, 0, 0]
    assert [found[pair].corrected for pair in pairs] == holm([found[pair].p for pair in pairs])
    for (one, two), each in found.items():
        assert each.median == np.median(scores[one]) - np.median(scores[two])
        assert each.low <= each.median <= each.high
        assert each.p == rank_sum(scores[one], scores[two])
    with pytest.raises(ValueError, match="pairs must be one of 'low', 'high', 'alike', 'few', got 'LOW'"):
        differences(scores, [("high", "LOW")])


def test_what_it_took_to_come_to_a_reward():
    curve = [(10, 80.0), (20, 120.0), (30, 90.0), (40, 160.0)]
    points = [Point("maze", "simple", 0, n, score, n / 4) for n, score in curve]
    points += [Point("maze", "none", 5, 10, 3.0, 1.0)]
    assert reached(points, 100, 30) == {("simple", 0): Reached(20, 600, 5.0), ("none", 5): None}
    assert reached(points, 160, 30)["simple", 0] == Reached(40, 1200, 10.0)
    assert reached(points, 161, 30)["simple", 0] is None
