"""Sequences: little languages and their exact Bayesian, and recall under growing load."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from bpa.tasks.sequences import AssociativeRecall, Languages, accuracy_by_load, contexts
from bpa.training.supervised import masked_cross_entropy


def seeded(seed):
    return torch.Generator().manual_seed(seed)


languages = st.builds(
    dict,
    num_symbols=st.integers(2, 5),
    sequence_length=st.integers(4, 25),
    order=st.integers(1, 3),
    concentration=st.sampled_from([0.05, 0.3, 1.0, 4.0]),
    batch_size=st.integers(1, 4),
)


@given(languages, st.integers(0, 2**32))
def test_the_bayesian_counts_as_plain_loops_do_and_its_total_is_the_evidence(kind, seed):
    task = Languages(**kind, generator=seeded(seed))
    batch = task.sample()
    A, k, a = kind["num_symbols"], kind["order"], kind["concentration"]
    losses = task.bayes_loss(batch)
    T = kind["sequence_length"] - 1
    assert batch.inputs.shape == (T, kind["batch_size"], A)
    assert task.input_size == task.output_size == A
    assert not batch.targets[~batch.mask].any()
    assert torch.equal(batch.mask, torch.arange(T)[:, None].expand(T, kind["batch_size"]) >= k - 1)
    for b in range(kind["batch_size"]):
        symbols = [row.index(1.0) for row in batch.inputs[:, b].tolist()] + [batch.targets[-1, b].item()]
        assert batch.targets[k - 1 :, b].tolist() == symbols[k:]
        seen = {}
        for t in range(T):
            if t < k - 1:
                assert losses[t, b] == 0
                continue
            after = seen.setdefault(tuple(symbols[t - k + 1 : t + 1]), [0] * A)
            p = (after[symbols[t + 1]] + a) / (sum(after) + A * a)
            assert losses[t, b].item() == pytest.approx(-math.log(p))
            after[symbols[t + 1]] += 1
        # The chain rule: predictions multiply to the marginal likelihood of the rows, known in closed form.
        evidence = 0.0
        for after in seen.values():
            evidence += math.lgamma(A * a) - math.lgamma(A * a + sum(after))
            evidence += sum(math.lgamma(a + n) - math.lgamma(a) for n in after)
        assert losses[:, b].sum().item() == pytest.approx(-evidence)


def test_contexts_are_numbers_to_base_a_with_the_newest_digit_last():
    symbols = torch.tensor([[1, 0], [2, 2], [0, 1]])
    assert contexts(symbols, 3, 2).tolist() == [[1 * 3 + 2, 0 * 3 + 2], [2 * 3 + 0, 2 * 3 + 1]]


@pytest.mark.parametrize("order", [1, 2])
def test_sequences_follow_their_tables(order):
    task = Languages(3, 10_000, order, concentration=1.0, batch_size=2, generator=seeded(0))
    tables = task.draw_tables()
    symbols = task.draw_symbols(tables)
    context = contexts(symbols[:-1], 3, order)
    for b in range(2):
        for row in range(3**order):
            after = symbols[order:, b][context[:, b] == row]
            expected = tables[b, row] * len(after)
            keep = expected > 5
            if len(after) < 100 or keep.sum() < 2 or not keep.all():
                continue
            assert chisquare(torch.bincount(after, minlength=3).numpy(), expected.numpy()).pvalue > 1e-4


def test_tables_are_dirichlet_and_differ_from_sequence_to_sequence():
    task = Languages(4, concentration=0.3, batch_size=4000, generator=seeded(1))
    tables = task.draw_tables()
    assert torch.allclose(tables.sum(2), torch.ones(4000, 4, dtype=torch.float64))
    # Moments of a symmetric Dirichlet: mean 1 / A, variance (1 / A)(1 - 1 / A) / (A a + 1).
    assert abs(tables.mean() - 0.25) < 1e-6
    assert tables.mean(0).sub(0.25).abs().max() < 0.02
    assert abs(tables.var(dim=0).mean() - 0.25 * 0.75 / 2.2) < 0.003
    assert len(tables[:, 0, 0].unique()) == 4000
    again = [task.draw_tables()[0, 0, 0].item() for _ in range(10)]
    assert len(set(again)) == 10


def test_sequences_of_one_language_are_drawn_independently():
    task = Languages(3, 20, batch_size=9000, generator=seeded(8))
    symbols = task.draw_symbols(task.draw_tables()[:1].expand(9000, 3, 3))
    assert abs(np.corrcoef(symbols[-1, ::2], symbols[-1, 1::2])[0, 1]) < 4 / 4500**0.5
    first = symbols[0, ::2] * 3 + symbols[0, 1::2]
    assert chisquare(torch.bincount(first, minlength=9).numpy()).pvalue > 1e-3


def test_no_predictor_beats_the_bayesian_and_it_beats_those_that_assume_otherwise():
    task = Languages(4, 60, concentration=0.3, batch_size=1500, generator=seeded(2))
    batch = task.sample()
    floor = task.bayes_loss(batch)[batch.mask].mean()
    for other in (0.1, 1.0):
        wrong = Languages(4, 60, concentration=other, batch_size=1500)
        assert wrong.bayes_loss(batch)[batch.mask].mean() > floor + 0.005
    uniform = masked_cross_entropy(torch.zeros(59, 1500, 4), batch.targets, batch.mask)
    assert uniform.item() == pytest.approx(math.log(4))
    assert floor < 1.0 < uniform
    late = task.bayes_loss(batch)
    assert late[-10:].mean() < late[5:15].mean() < late[0].mean() == pytest.approx(math.log(4))


def test_over_all_languages_no_symbol_and_no_step_is_special():
    batch = Languages(4, 30, batch_size=8000, generator=seeded(3)).sample()
    for t in (0, 5, 28):
        pair = batch.inputs[t].argmax(1) * 4 + batch.targets[t]
        same = torch.bincount(pair, minlength=16)[::5]
        assert chisquare(torch.bincount(batch.targets[t], minlength=4).numpy()).pvalue > 1e-3
        assert chisquare(same.numpy()).pvalue > 1e-3


recalls = st.integers(1, 6).flatmap(
    lambda pairs: st.builds(
        dict,
        num_pairs=st.just(pairs),
        num_keys=st.integers(pairs, 9),
        num_values=st.integers(2, 5),
        batch_size=st.integers(1, 4),
    )
)


@given(recalls, st.integers(0, 2**32))
def test_every_question_is_about_a_pair_that_was_shown(kind, seed):
    task = AssociativeRecall(**kind, generator=seeded(seed))
    batch = task.sample()
    N, K, V = kind["num_pairs"], kind["num_keys"], kind["num_values"]
    assert (task.input_size, task.output_size, task.episode_length) == (K + V + 1, V, 3 * N)
    assert not batch.targets[~batch.mask].any()
    assert batch.inputs.shape == (3 * N, kind["batch_size"], K + V + 1)
    for b in range(kind["batch_size"]):
        known = {}
        for n in range(N):
            key, value, question = batch.inputs[3 * n : 3 * n + 3, b].tolist()
            assert sum(key) == sum(value) == 1
            assert 1.0 in key[:K]
            assert 1.0 in value[K : K + V]
            assert key.index(1.0) not in known, "keys are different ones"
            known[key.index(1.0)] = value.index(1.0) - K
            assert question[-1] == 1.0
            assert sum(question) == 2
            assert batch.targets[3 * n + 2, b] == known[question.index(1.0)]
            assert batch.mask[3 * n : 3 * n + 3, b].tolist() == [False, False, True]


def test_questions_and_values_are_uniform_and_a_key_says_nothing_about_its_value():
    task = AssociativeRecall(4, 6, 3, batch_size=6000, generator=seeded(4))
    batch = task.sample()
    keys = batch.inputs[0::3, :, :6].argmax(2)
    asked = (batch.inputs[2::3, :, :6].argmax(2)[:, None] == keys).long()  # [question, key, B]
    for n in range(1, 4):
        counts = asked[n].sum(1)
        assert counts[n + 1 :].sum() == 0
        assert chisquare(counts[: n + 1].numpy()).pvalue > 1e-3
    values = batch.inputs[1::3, :, 6:9].argmax(2)
    together = torch.bincount((keys[2] * 3 + values[2]), minlength=18)
    assert chisquare(together.numpy()).pvalue > 1e-3
    # Values of one episode, and of neighbouring episodes, know nothing of each other; nor do keys.
    for one, other, count in (
        (values[0], values[3], 3),
        (values[2, ::2], values[2, 1::2], 3),
        (keys[1, ::2], keys[1, 1::2], 6),
    ):
        assert chisquare(torch.bincount(one * count + other, minlength=count**2).numpy()).pvalue > 1e-3


def test_accuracy_is_counted_at_each_load():
    batch = AssociativeRecall(3, 5, 4, batch_size=50, generator=seeded(5)).sample()
    outputs = torch.nn.functional.one_hot(batch.targets, 4).float()
    assert accuracy_by_load(outputs, batch).tolist() == [1.0, 1.0, 1.0]
    outputs[5, :20] = outputs[5, :20].roll(1, dims=-1)
    assert accuracy_by_load(outputs, batch).tolist() == [1.0, 0.6, 1.0]
    with pytest.raises(ValueError, match="outputs must have shape"):
        accuracy_by_load(outputs[:, :-1], batch)


def test_a_lesson_of_another_shape_has_no_floor():
    task = Languages(3, 20, batch_size=4, generator=seeded(9))
    with pytest.raises(ValueError, match=r"batch\.inputs must have shape"):
        task.bayes_loss(Languages(3, 10, batch_size=4).sample())


def test_the_largest_and_the_shortest_languages_are_allowed():
    assert Languages(10, 5, order=4, batch_size=1, generator=seeded(0)).sample().inputs.shape == (4, 1, 10)
    batch = Languages(2, 3, order=2, batch_size=2, generator=seeded(0)).sample()
    assert batch.mask.tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize("task", [Languages, AssociativeRecall])
def test_the_same_seed_gives_the_same_lessons(task):
    before = torch.get_rng_state()
    one, other = task(generator=seeded(6)), task(generator=seeded(6))
    first = one.sample()
    assert all(torch.equal(a, b) for a, b in zip(first, other.sample(), strict=True))
    assert not torch.equal(first.inputs, one.sample().inputs)
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(task().sample().inputs, task().sample().inputs)
    for device in ("cpu", "meta"):
        assert {part.device.type for part in task(device=device).sample()} == {device}


@pytest.mark.parametrize(
    ("task", "wrong", "said"),
    [
        (Languages, {"num_symbols": 1}, "num_symbols must be a whole number from 2 to 10000, got 1"),
        (Languages, {"num_symbols": 10_001}, "num_symbols must be a whole number from 2 to 10000, got 10001"),
        (Languages, {"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        (AssociativeRecall, {"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        (AssociativeRecall, {"num_keys": 0}, "num_keys must be a whole number of at least 1, got 0"),
        (Languages, {"order": 0}, "order must be a whole number from 1 to 13, got 0"),
        (Languages, {"order": 2 * 10**9}, "order must be a whole number from 1 to 13, got 2000000000"),
        (Languages, {"num_symbols": 30, "order": 3}, "order must leave at most 10000 contexts of 30 symbols"),
        (
            Languages,
            {"sequence_length": 2, "order": 2},
            "sequence_length must be a whole number of at least 3",
        ),
        (Languages, {"concentration": 0.0}, "concentration must be a finite number above 0, got 0.0"),
        (AssociativeRecall, {"num_pairs": 17}, "num_pairs must be at most 16, one for each key, got 17"),
        (AssociativeRecall, {"num_pairs": 0}, "num_pairs must be a whole number of at least 1, got 0"),
        (AssociativeRecall, {"num_values": 1}, "num_values must be a whole number of at least 2, got 1"),
    ],
)
def test_a_wrong_setting_is_refused(task, wrong, said):
    with pytest.raises(ValueError, match=said):
        task(**wrong)
