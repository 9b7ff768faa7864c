"""The machinery of the self-checks, and the checks of chapters 1 and 2.

Wrong answers and right ones are written here by themselves, not taken from the checks.
"""

import numpy as np
import pytest
import torch

from bpa import checks
from bpa.checks import NotYet, Slip, check_answer
from bpa.noise import fresh_generator

# The machinery


def double(x):
    return 2 * x


CASES = [(torch.tensor([1.0, 2.0]),), (torch.tensor([[3.0], [-1.0]]),)]
TRIPLE = Slip("You triple it.", lambda x: 3 * x)


def test_a_right_answer_prints_one_line(capsys):
    check_answer("double", lambda x: x + x, double, CASES, [TRIPLE])
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert "double: right on 2 fresh inputs" in captured.out
    assert captured.err == ""


def raises_type_error(x):
    return x + "1"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "double must be a function, got NoneType"),
        (3.0, "double must be a function, got float"),
        (lambda x: None, "returns nothing yet"),
        (lambda x: "2x", "expected numbers or tensors, got str"),
        (raises_type_error, "double stopped with TypeError"),
        (lambda: 1.0, "double stopped with TypeError"),
        (lambda x: x.mul_(2), "changes its arguments"),
        (lambda x: (2 * x, x), "returns 2 results where 1 are wanted"),
        (lambda x: (2 * x).flatten(), r"Its shape is \[2\], it should be \[2, 1\]"),
        (lambda x: (2 * x)[None], r"Its shape is \[1, 2\], it should be \[2\]"),
        (lambda x: x / 0, "not finite"),
        (lambda x: 2 * x + 0.5, r"largest difference from the definition is 0\.5"),
        (lambda x: 3 * x, "You triple it"),
    ],
)
def test_a_wrong_answer_is_refused_and_told_why(answer, message, capsys):
    with pytest.raises(NotYet, match=message):
        check_answer("double", answer, double, CASES, [TRIPLE])
    assert capsys.readouterr().out == ""


def test_a_slip_is_named_only_where_it_explains_every_case():
    def triple_of_columns(x):
        return 3 * x if x.ndim == 2 else 2.5 * x

    with pytest.raises(NotYet) as refused:
        check_answer("double", triple_of_columns, double, CASES, [TRIPLE])
    assert "triple" not in str(refused.value)


def test_an_answer_right_on_some_cases_only_is_refused():
    with pytest.raises(NotYet):
        check_answer("double", lambda x: 2 * x if x.ndim == 1 else x, double, CASES)


def test_small_errors_pass_and_larger_ones_do_not(capsys):
    check_answer("double", lambda x: 2 * x + 1e-6, double, CASES)
    with pytest.raises(NotYet):
        check_answer("double", lambda x: 2 * x + 1e-3, double, CASES)


def test_the_definition_gets_arguments_of_its_own():
    cases = [(torch.ones(3),)]

    def definition(x):
        return x.add_(1)

    check_answer("increment", lambda x: x + 1, definition, cases)
    assert torch.equal(cases[0][0], torch.ones(3))


def test_numbers_arrays_and_several_results_are_compared():
    case = [(torch.tensor([1.0, 2.0]),)]
    check_answer("total", lambda x: 3.0, torch.sum, case)
    check_answer("double", lambda x: np.array([2.0, 4.0]), double, case)
    check_answer("pair", lambda x: [x, 2 * x], lambda x: (x, 2 * x), case)
    with pytest.raises(NotYet, match="Result 2: The largest difference"):
        check_answer("pair", lambda x: (x, 3 * x), lambda x: (x, 2 * x), case)


def test_gradients_do_not_matter_to_the_comparison():
    scale = torch.tensor(2.0, requires_grad=True)
    check_answer("double", lambda x: scale * x, double, CASES)


def test_fresh_generators_differ():
    draws = {torch.rand(1, generator=fresh_generator()).item() for _ in range(8)}
    assert len(draws) > 1


# Chapter 1


def oja(seen, y, w, eta):
    return w + eta * y * (seen - y * w)


def second_neuron(x, w1, w2, eta):
    projector = torch.eye(len(x)) - torch.outer(w1, w1)
    seen = projector @ x
    y2 = torch.dot(w2, seen)
    return (1 - eta * y2**2) * w2 + eta * y2 * seen


CHAPTER_01 = {
    "associate": (
        [
            lambda pre, post: pre.T @ post / pre.shape[1],
            lambda pre, post: sum(torch.outer(a, b) for a, b in zip(pre, post, strict=True)) / len(pre[0]),
        ],
        [
            (lambda pre, post: post.T @ pre / pre.shape[1], "Rows and columns are swapped"),
            (lambda pre, post: pre.T @ post, "not divided by N"),
            (lambda pre, post: pre.T @ post / len(pre), "divide by K"),
            (lambda pre, post: pre.T @ post / post.shape[1], "number of post-synaptic"),
            (lambda pre, post: torch.outer(pre[-1], post[-1]) / pre.shape[1], "last pair only"),
            (lambda pre, post: -pre.T @ post / pre.shape[1], "largest difference"),
            (lambda pre, post: torch.einsum("ki,kj->kij", pre, post) / pre.shape[1], "Its shape is"),
        ],
    ),
    "complete": (
        [
            lambda hebb, cue: cue + (cue == 0) * torch.sign(hebb.T @ cue),
            lambda hebb, cue: torch.where(cue != 0, cue, torch.einsum("i,ij->j", cue, hebb).sign()),
        ],
        [
            (lambda hebb, cue: (cue @ hebb).sign(), "Known pixels must stay"),
            (lambda hebb, cue: cue + (cue == 0) * (cue @ hebb), "Take the sign"),
            (lambda hebb, cue: cue + (cue == 0) * (hebb @ cue).sign(), "Rows and columns are swapped"),
            (lambda hebb, cue: cue - (cue == 0) * (cue @ hebb).sign(), "turned round"),
            (lambda hebb, cue: (cue != 0) * (cue @ hebb).sign(), "leave the unknown"),
            (lambda hebb, cue: cue, "largest difference"),
            (lambda hebb, cue: cue.copy_(cue + (cue == 0) * (cue @ hebb).sign()), "changes its arguments"),
        ],
    ),
    "soft_clip": (
        [
            lambda hebb, increment, clip: (
                hebb + increment.relu() * (clip - hebb) / clip - (-increment).relu() * (clip + hebb) / clip
            ),
            lambda hebb, increment, clip: hebb + increment - increment.abs() * hebb / clip,
        ],
        [
            (lambda hebb, increment, clip: (hebb + increment).clamp(-clip, clip), "hard clip"),
            (lambda hebb, increment, clip: hebb + increment + increment.abs() * hebb / clip, "swapped"),
            (lambda hebb, increment, clip: hebb + increment * (1 - hebb.abs() / clip), "full speed"),
            (lambda hebb, increment, clip: hebb + increment * (1 - hebb / clip), "Both directions"),
            (lambda hebb, increment, clip: hebb + increment - increment.abs() * hebb, "bound is missing"),
            (lambda hebb, increment, clip: increment - increment.abs() * hebb / clip, "Add it to Hebb"),
            (lambda hebb, increment, clip: hebb + increment, "largest difference"),
        ],
    ),
    "second_neuron_step": (
        [
            second_neuron,
            lambda x, w1, w2, eta: oja(x - w1 * (w1 * x).sum(), w2 @ (x - w1 * (w1 @ x)), w2, eta),
        ],
        [
            (lambda x, w1, w2, eta: oja(x, w2 @ x, w2, eta), "sees all of x"),
            (
                lambda x, w1, w2, eta: oja(x + (w1 @ x) * w1, w2 @ (x + (w1 @ x) * w1), w2, eta),
                "Take it away",
            ),
            (lambda x, w1, w2, eta: oja(x - (w1 @ x) * w1, w2 @ x, w2, eta), "not from x itself"),
            (lambda x, w1, w2, eta: oja(x - (w1 @ x) * w1, w1 @ x, w2, eta), "You use y1"),
            (
                lambda x, w1, w2, eta: w2 + eta * (w2 @ (x - (w1 @ x) * w1)) * (x - (w1 @ x) * w1),
                "forgetting term is missing",
            ),
            (lambda x, w1, w2, eta: second_neuron(x, w1, w2, eta) - w2, "Add it to w2"),
            (lambda x, w1, w2, eta: second_neuron(x, w1, w2, -eta), "largest difference"),
        ],
    ),
}

# Chapter 2


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


CHAPTER_02 = {
    "connections": (
        [
            lambda w, alpha, hebb: w + hebb @ torch.diag(alpha),
            lambda w, alpha, hebb: torch.stack([w + alpha * trace for trace in hebb]),
        ],
        [
            (lambda w, alpha, hebb: w + torch.diag(alpha) @ hebb, "multiplies a row"),
            (lambda w, alpha, hebb: alpha * (w + hebb), "multiplies w too"),
            (lambda w, alpha, hebb: alpha * w + hebb, "Alpha multiplies w. It belongs to Hebb"),
            (lambda w, alpha, hebb: alpha * hebb, "w is missing"),
            (lambda w, alpha, hebb: w + hebb, "Alpha is missing"),
            (lambda w, alpha, hebb: w + alpha * hebb.mean(0), "trace of its own"),
            (lambda w, alpha, hebb: w - alpha * hebb, "largest difference"),
        ],
    ),
    "unroll": (
        [stacked, recursive],
        [
            (without_memory, "from the first state"),
            (with_a_frozen_trace, "the trace is not"),
            (lambda step, xs, pre, hebb: stacked(step, xs, 0 * pre, 0 * hebb), "start from zeros"),
            (late, "before each step"),
            (backwards, "largest difference"),
            (batch_first, "Its shape is|largest difference"),
            (lambda *arguments: loop(*arguments)[0], "results where 3 are wanted"),
        ],
    ),
    "decay_step": (
        [
            with_trace(lambda pre, post, hebb, eta: torch.lerp(hebb, pairs(pre, post), eta.item())),
            with_trace(lambda pre, post, hebb, eta: hebb + eta * (pre[:, :, None] * post[:, None] - hebb)),
        ],
        [
            (
                with_trace(lambda pre, post, hebb, eta: hebb + eta * (pairs(post, post) - hebb)),
                "new activity with",
            ),
            (with_trace(lambda pre, post, hebb, eta: hebb + eta * (pairs(post, pre) - hebb)), "are swapped"),
            (
                with_trace(lambda pre, post, hebb, eta: hebb + eta * (pairs(pre, pre) - hebb)),
                "old activity with",
            ),
            (with_trace(lambda pre, post, hebb, eta: hebb + eta * pairs(pre, post)), "Nothing decays"),
            (
                with_trace(lambda pre, post, hebb, eta: eta * hebb + (1 - eta) * pairs(pre, post)),
                "keeps 1 - eta",
            ),
            (
                with_trace(lambda pre, post, hebb, eta: hebb - eta * hebb + pairs(pre, post)),
                "not multiplied by eta",
            ),
            (trace_first, "uses the new trace"),
            (rows_summed_wrong, "largest difference"),
            (
                with_trace(lambda pre, post, hebb, eta: (hebb + eta * pairs(pre, post)).clamp(-1, 1)),
                "difference",
            ),
        ],
    ),
    "recall_from_history": (
        [attention, one_by_one],
        [
            (lambda h, query, eta: attention(h.flip(0), query, eta), "Old and new activity are swapped"),
            (
                lambda h, query, eta: eta * (((h * query).sum(2, keepdim=True)) * h).sum(0),
                "that came after it",
            ),
            (
                lambda h, query, eta: eta * ((h[:-1] * query).sum(2, keepdim=True) * h[:-1]).sum(0),
                "leave out the last",
            ),
            (lambda h, query, eta: attention(h, query, 1.0), "Eta is missing"),
            (lambda h, query, eta: attention(h, query, eta) / (len(h) - 1), "The trace is a sum"),
            (
                lambda h, query, eta: eta * torch.einsum("tbi,ci,tbj->cj", h[:-1], query, h[1:]),
                "history of its own",
            ),
            (lambda h, query, eta: -attention(h, query, eta), "largest difference"),
        ],
    ),
}

EXERCISES = CHAPTER_01 | CHAPTER_02
RIGHT = [(name, answer) for name, (right, _) in EXERCISES.items() for answer in right]
WRONG = [(name, *wrong) for name, (_, wrongs) in EXERCISES.items() for wrong in wrongs]


def test_every_exercise_has_two_right_answers_and_at_least_three_wrong_ones():
    for right, wrong in EXERCISES.values():
        assert len(right) >= 2
        assert len(wrong) >= 3


# Twice, because the inputs are new ones at every call.
@pytest.mark.parametrize("attempt", range(2))
@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_a_right_answer_written_differently_is_accepted(name, answer, attempt, capsys):
    getattr(checks, name)(answer)
    assert f"{name}: right on" in capsys.readouterr().out


@pytest.mark.parametrize("attempt", range(2))
@pytest.mark.parametrize(("name", "answer", "hint"), WRONG)
def test_a_typical_wrong_answer_is_refused_with_its_hint(name, answer, hint, attempt):
    with pytest.raises(NotYet, match=hint):
        getattr(checks, name)(answer)


@pytest.mark.parametrize("name", EXERCISES)
def test_an_answer_learned_by_heart_is_refused(name):
    """Inputs are fresh at every call: what was right for one call is wrong for the next."""
    right = EXERCISES[name][0][0]
    results = []

    def recording(*arguments):
        results.append(right(*arguments))
        return results[-1]

    getattr(checks, name)(recording)
    replay = iter(results)
    with pytest.raises(NotYet):
        getattr(checks, name)(lambda *_: next(replay))


@pytest.mark.parametrize("name", EXERCISES)
def test_a_stub_is_refused(name):
    def stub(*arguments):
        raise NotImplementedError

    with pytest.raises(NotYet, match="stopped with NotImplementedError"):
        getattr(checks, name)(stub)
