"""Checks of the exercises in chapter 11, "The published experiment"."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bpa.cells.lstm import LSTM
from bpa.cells.sizes import count_parameters, matching_hidden_size
from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.network import Network
from bpa.noise import fresh_generator

KINDS = ("none", "plastic", "simple", "retroactive", "lstm")
RESAMPLES = 20_000  # of the definition, so that its own chance is small


def between(ordered: Tensor, place: float) -> Tensor:
    """What stands at `place`, counted from 0, of [S] numbers: between two of them on a straight line."""
    place = min(max(place, 0.0), len(ordered) - 1.0)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def quantile_of(scores: Tensor, q: float) -> Tensor:
    """The number that a share q of the ordered scores [S] lies below, linear between two of them: []."""
    return between(scores.sort().values, q * (len(scores) - 1))


@worth(1)
@exercise
def quantile(answer: Callable[..., Any]) -> None:
    """Check `quantile(scores, q)` -> the q-quantile of [S] scores, linear between two of them.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for runs, q in ((10, 0.25), (9, 0.9), (7, 0.35), (10, 0.75), (4, 0.5), (5, 1.0)):
        scores = 100 + 30 * torch.randn(runs, generator=generator, dtype=torch.float64)
        # Neither in order nor the other way round, so that sorting matters.
        scores = torch.cat([scores.sort().values[runs // 2 :], scores.sort().values[: runs // 2]])
        cases.append((scores, q))

    def swapped(scores: Tensor, q: float) -> Tensor:
        ordered, place = scores.sort().values, q * (len(scores) - 1)
        low = int(place)
        high = min(low + 1, len(scores) - 1)
        return (place - low) * ordered[low] + (1 - place + low) * ordered[high]

    slips = [
        Slip("The scores have to be put in order first.", lambda s, q: between(s, q * (len(s) - 1))),
        Slip(
            "The places run from 0 to S - 1: the quantile stands at q times S - 1, not at q times S.",
            lambda s, q: between(s.sort().values, q * len(s)),
        ),
        Slip(
            "You take one of the scores. Between two of them it is a mixture, by how far it is from each.",
            lambda s, q: s.sort().values[int(q * (len(s) - 1))],
        ),
        Slip(
            "You take the nearest score. Between two of them it is a mixture, by how far it is from each.",
            lambda s, q: s.sort().values[round(q * (len(s) - 1))],
        ),
        Slip("The two weights are swapped: the nearer score counts more.", swapped),
        Slip(
            "This is the rule with S + 1. Ours puts the smallest score at q = 0 and the largest at q = 1.",
            lambda s, q: between(s.sort().values, q * (len(s) + 1) - 1),
        ),
        Slip(
            "The order is turned round: q = 0 is the smallest score.",
            lambda s, q: quantile_of(s, 1 - q),
        ),
    ]
    check_answer("quantile", answer, quantile_of, cases, slips)


@functools.lru_cache(maxsize=1024)
def network(kind: str, inputs: int, hidden: int, outputs: int) -> nn.Module:
    """A network of the comparison; per-synapse alpha, fan-out where there is a modulator. Made once."""
    if kind == "lstm":
        return LSTM(inputs, hidden, outputs)
    return Network(inputs, hidden, outputs, plasticity=kind)


def matched(kind: str, inputs: int, outputs: int, parameters: int) -> int:
    """The hidden size at which `network` has about so many parameters."""
    return matching_hidden_size(lambda hidden: network(kind, inputs, hidden, outputs), parameters)


def parts(kind: str, inputs: int, hidden: int, outputs: int) -> dict[str, int]:
    """How many parameters each part of a network of the comparison has."""
    gates = 4 if kind == "lstm" else 1
    plastic, modulated = kind in KINDS[1:4], kind in KINDS[2:4]
    return {
        "i2h": gates * hidden * inputs,
        "i2h bias": gates * hidden,
        "w": gates * hidden * hidden,
        "alpha": plastic * hidden * hidden,
        "eta": int(kind in ("plastic", "retroactive")),
        "h2mod": modulated * (hidden + 1),
        "fan-out": modulated * 2 * hidden,
        "policy": outputs * hidden,
        "policy bias": outputs,
        "value": hidden,
        "value bias": 1,
    }


def counted(kind: str, inputs: int, outputs: int, parameters: int, *left_out: str) -> tuple[int, int]:
    """The largest size that does not exceed `parameters` without those parts, and the nearest one."""

    def count(hidden: int) -> int:
        each = parts(kind, inputs, hidden, outputs)
        return sum(number for part, number in each.items() if part not in left_out)

    size = 1
    while count(size + 1) <= parameters:
        size += 1
    below, above = parameters - count(size), count(size + 1) - parameters
    return size, size if below <= above else size + 1


@worth(2)
@exercise
def matching_size(answer: Callable[..., Any]) -> None:
    """Check `matching_size(kind, inputs, outputs, parameters)` -> the hidden size nearest in parameters.

    Raises:
        NotYet: the answer differs from what the networks of `bpa` need.
    """
    generator = fresh_generator()
    cases = []
    for kind in KINDS:
        inputs, outputs, hidden = (
            int(torch.randint(low, high, (), generator=generator))
            for low, high in ((5, 20), (3, 8), (20, 32))
        )
        with torch.device("meta"):
            low, high = (count_parameters(network(kind, inputs, hidden + more, outputs)) for more in range(2))
        # A fifth of the way from a size to the next and on both sides of the middle, where what is left
        # out shows.
        fifth, middle = low + (high - low) // 5, (low + high) // 2
        cases += [(kind, inputs, outputs, parameters) for parameters in (fifth, middle - 4, middle + 5)]

    def without(*left_out: str) -> Callable[..., int]:
        return lambda *case: counted(*case, *left_out)[1]

    slips = [
        Slip("Alpha is missing: where there is plasticity it has as many numbers as w.", without("alpha")),
        Slip(
            "The biases are missing: i2h, h2o and h2v have one for each output.",
            without("i2h bias", "policy bias", "value bias"),
        ),
        Slip(
            "Both heads are missing: h2o is [A, H], h2v is [1, H], each with its bias.",
            without("policy", "policy bias", "value", "value bias"),
        ),
        Slip("The value head is missing: h2v, [1, H], and its bias.", without("value", "value bias")),
        Slip("The modulator is missing: h2mod, [1, H], and its bias.", without("h2mod")),
        Slip(  # without the modulator too the nearest sizes are the same
            "The fan-out is missing, a weight and a bias for each neuron; the modulator before it has [1, H] "
            "and a bias.",
            without("fan-out"),
        ),
        Slip(
            "An LSTM has four of everything that leads into its cells: three gates and a candidate.",
            lambda kind, *sizes: counted("none" if kind == "lstm" else kind, *sizes)[1],
        ),
        Slip(
            'You count them all as "simple". Each kind has parts of its own.',
            lambda kind, *sizes: counted("lstm" if kind == "lstm" else "simple", *sizes)[1],
        ),
        Slip(
            "You take the largest network that does not exceed the budget. Take the nearest.",
            lambda *case: counted(*case)[0],
        ),
        Slip(
            "You take the smallest network that reaches the budget. Take the nearest.",
            lambda *case: counted(*case)[0] + 1,
        ),
    ]
    check_answer("matching_size", answer, matched, cases, slips, tolerance=0)


def drawn(runs: int, generator: np.random.Generator) -> np.ndarray:
    """How often each of so many runs is in a resample of as many, with replacement: [R, S]."""
    return generator.multinomial(runs, [1 / runs] * runs, size=RESAMPLES)


def above(first: Tensor, second: Tensor, tie: float = 0.5) -> np.ndarray:
    """1 where a score of the first is larger than one of the second, `tie` where equal: [S, S']."""
    difference = first.numpy()[:, None] - second.numpy()
    return (difference > 0) + tie * (difference == 0)


def share(pairs: np.ndarray, first_drawn: np.ndarray, second_drawn: np.ndarray) -> np.ndarray:
    """Mean over the pairs of each resample: [S, S'], [R, S], [R, S'] -> [R]."""
    return ((first_drawn @ pairs) * second_drawn).sum(1) / pairs.size


def percentiles(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The bounds between which a share `level` of the values lies, as much below as above."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high


@worth(2)
@exercise
def improvement_interval(answer: Callable[..., Any]) -> None:
    """Check `improvement_interval(first, second, generator, resamples)` -> (low, high), each a share.

    A bootstrap is a matter of chance, so the comparison allows for that of two draws.

    Raises:
        NotYet: the answer differs from the definition by more than chance.
    """
    torch_generator = fresh_generator()
    seed = int(torch.randint(2**31, (), generator=torch_generator))
    cases = []
    for shift, spread in ((0, 8), (-4, 11)):
        first = torch.randn(16, generator=torch_generator, dtype=torch.float64)
        first = spread * (first - first.mean()) / first.std()
        # Steps of 4 make ties. In order, both sides would move together if they were resampled jointly.
        first = 100 + 4 * (first / 4).sort().values.round()
        second = first + shift + 4 * (torch.arange(16) % 2)
        cases.append((first, second))

    # Drawn once for the definition and all slips: drawing is what takes time.
    definitions_generator = np.random.default_rng([seed, 1])
    one, other = (drawn(16, definitions_generator) for _ in range(2))

    def interval(
        first: Tensor,
        second: Tensor,
        first_drawn: np.ndarray = one,
        second_drawn: np.ndarray = other,
        tie: float = 0.5,
        level: float = 0.95,
    ) -> tuple[float, float]:
        """Bootstrap interval of the chance that a run of the first beats one of the second."""
        return percentiles(share(above(first, second, tie), first_drawn, second_drawn), level)

    def shuffled(first: Tensor, second: Tensor) -> tuple[float, float]:
        return (above(first, second).mean().item(),) * 2

    def pooled(first: Tensor, second: Tensor) -> tuple[float, float]:
        both = torch.cat([first, second])
        generator = np.random.default_rng([seed, 1])
        chance = [1 / len(both)] * len(both)
        one, other = (generator.multinomial(len(first), chance, size=RESAMPLES) for _ in range(2))
        return percentiles(share(above(both, both), one, other) * len(both) ** 2 / len(first) ** 2)

    slips = [
        Slip(
            "Both sides are resampled with the same indices. Runs of two variants are no pairs: draw anew.",
            functools.partial(interval, second_drawn=one),
        ),
        Slip(
            "Nothing varies: drawn without replacement, each resample is the same runs in another order.",
            shuffled,
        ),
        Slip(
            "Only the first side is resampled. The second is noisy too.",
            functools.partial(interval, second_drawn=np.ones_like(other)),
        ),
        Slip("You draw both sides from all runs together. Each side is drawn from its own.", pooled),
        Slip("A tie counts one half, not nothing.", functools.partial(interval, tie=0.0)),
        Slip("A tie counts one half, not one.", functools.partial(interval, tie=1.0)),
        Slip(
            "Five per cent lie outside in all, so 2.5 on each side.", functools.partial(interval, level=0.9)
        ),
        Slip(
            "These are the quartiles. An interval of 95 per cent leaves out 2.5 on each side.",
            functools.partial(interval, level=0.5),
        ),
        Slip(
            "The wrong way round: count the pairs in which the first side is the larger.",
            lambda first, second: interval(second, first),
        ),
    ]

    def given(first: Tensor, second: Tensor) -> Any:
        bounds = answer(first, second, np.random.default_rng([seed, 0]), 4000)
        return bounds.tolist() if hasattr(bounds, "tolist") else bounds

    check_answer(
        "improvement_interval",
        given if callable(answer) else answer,
        interval,
        cases,
        slips,
        tolerance=0.014,
    )


def holm_of(p_values: Tensor) -> Tensor:
    """Holm's adjusted p-values, in the order of those given: [K] -> [K]."""
    # Each is the largest, over all that are no larger than it, of p times how many are at least as large.
    at_least = (p_values[None, :] >= p_values[:, None]).sum(1)
    scaled = p_values * at_least
    upto = p_values[None, :] <= p_values[:, None]
    return torch.where(upto, scaled[None, :], 0.0).max(1).values.clamp(max=1.0)


@worth(3)
@exercise
def holm(answer: Callable[..., Any]) -> None:
    """Check `holm(p_values)` -> Holm's adjusted p-values [K], in the order of those given.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for number in (5, 10, 8):
        steps = torch.rand(number, generator=generator, dtype=torch.float64) / number
        p_values = 0.002 * steps + torch.linspace(0, 0.9, number, dtype=torch.float64) ** 3
        p_values[2] = p_values[1] * 1.01  # so that the factor falls by more than the p-value grows
        order = torch.randperm(number, generator=generator)
        cases.append((p_values[order if not order.diff().eq(1).all() else order.flip(0)],))

    def factors(p_values: Tensor) -> Tensor:
        """Number of p-values that are at least as large as each."""
        return len(p_values) - p_values.argsort().argsort()

    def other_way(p_values: Tensor) -> Tensor:
        ranks = p_values.argsort().argsort()
        by_rank = (p_values.sort().values * torch.arange(1, len(p_values) + 1)).cummax(0).values
        return by_rank[ranks].clamp(max=1)

    def false_discovery(p_values: Tensor) -> Tensor:
        number = len(p_values)
        by_rank = p_values.sort().values * number / torch.arange(1, number + 1)
        return by_rank.flip(0).cummin(0).values.flip(0)[p_values.argsort().argsort()].clamp(max=1)

    slips = [
        Slip(
            "This is Bonferroni's rule. In Holm's only the smallest p-value is multiplied by all K.",
            lambda p: (p * len(p)).clamp(max=1),
        ),
        Slip(
            "A larger p-value must not come out smaller: take the largest so far, from the smallest on.",
            lambda p: (p * factors(p)).clamp(max=1),
        ),
        Slip(
            "A p-value is at most 1.",
            lambda p: (p.sort().values * torch.arange(len(p), 0, -1)).cummax(0).values[p.argsort().argsort()],
        ),
        Slip(
            "The right numbers in the wrong places: give them back in the order you got.",
            lambda p: holm_of(p).sort().values,
        ),
        Slip("The factors run the other way: the smallest p-value gets the largest, K.", other_way),
        Slip(
            "This controls the share of false alarms, by another rule: p times K over its rank.",
            false_discovery,
        ),
        Slip(
            "The largest so far goes from the smallest p-value to the largest, not in the order given.",
            lambda p: (p * factors(p)).cummax(0).values.clamp(max=1),
        ),
    ]
    check_answer("holm", answer, holm_of, cases, slips)
