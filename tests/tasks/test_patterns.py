"""Binary patterns: what an episode shows, what it asks, and that only what it showed holds the answer."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from bpa.tasks.patterns import Patterns, distinct_codes


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@st.composite
def tasks(draw):
    pattern_size = draw(st.integers(2, 14))
    missing = draw(st.floats(0.01, 0.99))
    shown = pattern_size - min(max(round(missing * pattern_size), 1), pattern_size - 1)
    return {
        "pattern_size": pattern_size,
        "num_patterns": draw(st.integers(1, min(2**shown, 6))),
        "batch_size": draw(st.integers(1, 5)),
        "presentations": draw(st.integers(1, 3)),
        "show_steps": draw(st.integers(1, 3)),
        "pause_steps": draw(st.integers(0, 2)),
        "missing": missing,
    }


def shown_in(task, inputs, episode):
    """The patterns that an episode shows, in order, read from its inputs step by step."""
    seen, t = [], 0
    for _ in range(task.presentations * task.num_patterns):
        steps = [tuple(inputs[t + k, episode].tolist()) for k in range(task.show_steps)]
        assert len(set(steps)) == 1, "a pattern stays the same while it is shown"
        seen.append(steps[0])
        t += task.show_steps
        for _ in range(task.pause_steps):
            assert not inputs[t, episode].any()
            t += 1
    return seen, t


@given(tasks(), st.integers(0, 2**32))
def test_an_episode_shows_its_patterns_and_asks_for_one_of_them(settings, seed):
    task = Patterns(**settings, generator=seeded(seed))
    inputs, targets, mask = task.sample()
    N, P = task.num_patterns, task.pattern_size
    assert inputs.shape == targets.shape == mask.shape == (task.episode_length, task.batch_size, P)
    assert task.input_size == task.output_size == P
    assert not mask[:-1].any()
    assert not targets[:-1].any()
    for episode in range(task.batch_size):
        seen, t = shown_in(task, inputs, episode)
        rounds = [seen[k : k + N] for k in range(0, len(seen), N)]
        assert all(len(set(one)) == N for one in rounds), "each pattern once a round"
        assert all(set(one) == set(rounds[0]) for one in rounds)
        assert set(sum(rounds[0], ())) <= {-1.0, 1.0}
        cue = [tuple(step.tolist()) for step in inputs[t:, episode]]
        assert len(cue) == task.show_steps
        assert len(set(cue)) == 1
        answer = tuple(targets[-1, episode].tolist())
        assert answer in rounds[0]
        missing = [bit == 0 for bit in cue[0]]
        assert missing == mask[-1, episode].tolist(), "what counts is what is missing"
        share = min(max(round(settings["missing"] * P), 1), P - 1)
        assert 0 < sum(missing) == task.num_missing == share < P
        matching = [
            one
            for one in rounds[0]
            if all(a == b for a, b, gone in zip(one, cue[0], missing, strict=True) if not gone)
        ]
        assert matching == [answer], "the shown bits belong to one pattern alone"


def test_missing_bits_cannot_be_guessed_from_the_shown_ones_or_from_the_order():
    task = Patterns(6, 3, batch_size=20_000, presentations=1, show_steps=1, generator=seeded(0))
    inputs, targets, mask = task.sample()
    cue, answer, missing = inputs[-1], targets[-1], mask[-1]
    # Every product of one missing and one shown bit, over many episodes: mean 0 within sampling error.
    pairs = missing[:, :, None] & ~missing[:, None, :]
    products = answer[:, :, None] * cue[:, None, :]
    counts = pairs.sum(0)
    means = (products * pairs).sum(0) / counts.clamp(min=1)
    assert (means.abs() < 4.5 / counts.clamp(min=1).sqrt()).all()
    assert answer[missing].mean().abs() < 4 / missing.sum().sqrt()
    # The pattern asked for was shown at a random place, and each bit is missing equally often.
    shown = inputs[:-1:2].transpose(0, 1)
    place = (shown == answer[:, None]).all(-1).long().argmax(1)
    assert chisquare(torch.bincount(place).numpy()).pvalue > 1e-3
    assert chisquare(missing.sum(0).numpy()).pvalue > 1e-3


def test_the_order_changes_from_round_to_round():
    task = Patterns(8, 3, batch_size=6000, presentations=2, show_steps=1, pause_steps=0, generator=seeded(1))
    first, second = task.sample().inputs[:-1].transpose(0, 1).split(3, dim=1)
    moved = (first[:, :, None] == second[:, None]).all(-1).long().argmax(2)  # [B, 3], a permutation
    order = moved[:, 0] * 9 + moved[:, 1] * 3 + moved[:, 2]
    counts = torch.bincount(order)
    assert chisquare(counts[counts > 0].numpy()).pvalue > 1e-3
    assert (counts > 0).sum() == 6


def test_noise_turns_shown_bits_and_then_every_bit_counts():
    task = Patterns(40, 2, batch_size=2000, missing=0.25, noise=0.2, generator=seeded(2))
    inputs, targets, mask = task.sample()
    cue = inputs[-1]
    assert mask[-1].all()
    shown = cue != 0
    assert (shown.sum(1) == 30).all()
    turned = (cue != targets[-1])[shown].float().mean()
    assert abs(turned - 0.2) < 0.01
    # Each bit on its own: as many are turned in an episode as a binomial with n = 30 has, and each as often.
    counts = (shown & (cue != targets[-1])).float().sum(1)
    assert abs(counts.var() - 30 * 0.2 * 0.8) < 0.7
    first, second = (cue[:, k] * targets[-1, :, k] for k in (0, 1))  # -1 where turned, 0 where missing
    both = (first != 0) & (second != 0)
    assert abs(np.corrcoef(first[both], second[both])[0, 1]) < 4 / both.sum().sqrt()
    assert torch.equal(inputs[-1], inputs[-3]), "the noise stays the same while the cue is shown"
    denoise = Patterns(40, 2, missing=0.0, noise=0.2, generator=seeded(2)).sample()
    assert (denoise.inputs[-1] != 0).all()
    assert denoise.mask[-1].all()


@pytest.mark.parametrize(("count", "bits"), [(3, 2), (2, 7), (4, 2)])
def test_codes_are_distinct_and_every_set_of_them_is_equally_likely(count, bits):
    codes = distinct_codes(30_000, count, bits, seeded(3))
    assert set(codes.unique().tolist()) <= {-1.0, 1.0}
    number = ((codes > 0).long() << torch.arange(bits)).sum(-1)
    ordered = number.sort(dim=1).values
    assert (ordered.diff(dim=1) > 0).all()
    name = (ordered * (2**bits) ** torch.arange(count)).sum(1)
    counts = name.unique(return_counts=True)[1]
    sets = {(3, 2): 4, (2, 7): 128 * 127 // 2, (4, 2): 1}[count, bits]
    if sets < 1000:
        assert len(counts) == sets
        assert sets == 1 or chisquare(counts.numpy()).pvalue > 1e-3
    else:
        # Two different codes: their exclusive or is any number but 0, each as often.
        differ = torch.bincount(number[:, 0] ^ number[:, 1], minlength=2**bits)
        assert chisquare(differ[1:].numpy()).pvalue > 1e-3
    for row in number.T:
        assert chisquare(torch.bincount(row, minlength=2**bits).numpy()).pvalue > 1e-3


@pytest.mark.parametrize(("count", "bits"), [(3, 2), (30, 10)])
def test_the_same_generator_gives_the_same_codes_dealt_or_drawn_until_distinct(count, bits):
    before = torch.get_rng_state()
    codes = [distinct_codes(500, count, bits, seeded(seed)) for seed in (5, 5, 6)]
    assert torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[0], codes[2])
    assert torch.equal(before, torch.get_rng_state())


def test_a_lesson_is_where_it_is_wanted():
    for device in ("cpu", "meta"):
        batch = Patterns(device=device).sample()
        assert {part.device.type for part in batch} == {device}
    assert Patterns().device.type == "cpu"


def test_the_same_seed_gives_the_same_lessons_and_each_lesson_is_new():
    before = torch.get_rng_state()
    one, other = Patterns(generator=seeded(4)), Patterns(generator=seeded(4))
    first = one.sample()
    assert all(torch.equal(a, b) for a, b in zip(first, other.sample(), strict=True))
    assert not torch.equal(first.inputs, one.sample().inputs)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(Patterns().sample().inputs, Patterns().sample().inputs)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pattern_size": 1}, "pattern_size must be a whole number of at least 2, got 1"),
        ({"num_patterns": 0}, "num_patterns must be a whole number of at least 1, got 0"),
        ({"pattern_size": 6, "num_patterns": 9}, "num_patterns must be at most 8, as many as the 3 bits"),
        ({"pattern_size": 50, "num_patterns": 3, "missing": 0.98}, "num_patterns must be at most 2"),
        ({"presentations": 0}, "presentations must be a whole number of at least 1, got 0"),
        ({"show_steps": 0}, "show_steps must be a whole number of at least 1, got 0"),
        ({"pause_steps": -1}, "pause_steps must be a whole number of at least 0, got -1"),
        ({"missing": 0.0}, "missing must be a finite number above 0 and at most 1, got 0.0"),
        ({"missing": 1.0}, "missing must be below 1"),
        ({"noise": 0.6}, "noise must be a finite number of at least 0 and at most 0.5, got 0.6"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
    ],
)
def test_a_wrong_setting_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        Patterns(**wrong)
