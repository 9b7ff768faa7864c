"""How an answer is compared with the definition, and what is said of it."""

import numpy as np
import pytest
import torch

from bpa.checks import NotYet, Slip, check_answer
from bpa.checks.compare import exercise, untouched
from bpa.noise import fresh_generator


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
        (lambda x: (2 * x, x), r"Its shape is \[2, 2\], it should be \[2\]"),
        (lambda x: (2 * x, x[:1]), "returns 2 results where 1 is wanted"),
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


def test_of_several_results_each_is_named_and_those_that_are_right_are_said_to_be():
    def three(x, by):
        return x, by * x, x.sum()

    case = [(torch.tensor([1.0, 2.0]), 0.5)]
    check_answer("pair", lambda x: torch.stack([x, 2 * x]), lambda x: (x, 2 * x), [case[0][:1]])
    with pytest.raises(NotYet) as refused:
        check_answer("three", lambda x, by: (x, x, x.sum()), three, case, names=("same", "scaled", "total"))
    assert str(refused.value).splitlines() == [
        "three is not right yet. Result 2 (scaled): The largest difference from the definition is 1. "
        "Results 1 (same) and 3 (total) are right already.",
        "For example,",
        "  x = [1., 2.]",
        "  by = 0.5",
        "  result 2: yours  [1., 2.]",
        "  result 2: wanted [0.5, 1. ]",
        "  They differ first at [0]: 1 in place of 0.5.",
    ]
    with pytest.raises(NotYet, match="It returns 1 result where 3 are wanted"):
        check_answer("three", lambda x, by: x, three, case)


def test_a_way_without_a_return_is_shown_with_its_arguments():
    with pytest.raises(NotYet, match=r"root returns nothing for n = 4\. Does every way through it end with"):
        check_answer("root", lambda n: 3 if n == 9 else None, lambda n: n**0.5, [(9,), (4,)])


def test_gradients_do_not_matter_to_the_comparison():
    scale = torch.tensor(2.0, requires_grad=True)
    check_answer("double", lambda x: scale * x, double, CASES)


def test_fresh_generators_differ():
    draws = {torch.rand(1, generator=fresh_generator()).item() for _ in range(8)}
    assert len(draws) > 1


def stub(x):
    """Twice x."""
    ...


def passing(x):
    pass


def forgets_to_return(x):
    double(x)


def returns_zero(x):
    return 0


def test_a_stub_is_known_by_its_body():
    assert untouched(stub)
    assert untouched(passing)
    for answer in (forgets_to_return, returns_zero, lambda x: None, double, None, torch.relu, len):
        assert not untouched(answer)


@exercise
def check_double(answer):
    check_answer("double", answer, double, CASES)
    return "checked"


def test_an_untouched_stub_is_told_so_and_lets_the_notebook_go_on(capsys):
    assert check_double(stub) is None
    assert capsys.readouterr().out.startswith("stub: not answered yet.")
    assert check_double(double) == "checked"
    with pytest.raises(NotYet, match="returns nothing yet"):
        check_double(forgets_to_return)


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: (2 * x).tolist(),
        lambda x: list(2 * x),
        lambda x: (2 * x).numpy(),
        lambda x: 2 * x.double(),
        lambda x: [[float(2 * v) for v in row] for row in x] if x.ndim == 2 else [float(2 * v) for v in x],
    ],
)
def test_right_answers_in_unusual_form_pass(answer, capsys):
    check_answer("double", answer, double, CASES)
    assert "right on 2" in capsys.readouterr().out


def test_where_one_number_is_wanted_an_array_of_one_will_do(capsys):
    def total(x):
        return x.sum()

    for answer in (lambda x: [x.sum()], lambda x: x.sum().reshape(1, 1), lambda x: x.sum().numpy()[None]):
        check_answer("total", answer, total, CASES)
    assert capsys.readouterr().out.count("right on 2") == 3
    with pytest.raises(NotYet, match=r"One number is wanted, and its shape is \[2\]"):
        check_answer("total", lambda x: x, total, CASES)
    with pytest.raises(NotYet, match="largest difference from the definition is 1"):
        check_answer("total", lambda x: [x.sum() + 1], total, CASES)


SEVEN = [(torch.arange(1.0, 8.0) / 10,)]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda y: -y, "sign is turned round"),
        (lambda y: y.roll(1), "one place too late"),
        (lambda y: y.roll(-1), "one place too early"),
        (lambda y: y.flip(0), "wrong way round"),
        (lambda y: y[1:], "first entry is missing"),
        (lambda y: y[:-1], "last entry is missing"),
        (lambda y: y.atanh(), "tanh is missing"),
        (lambda y: y.tanh(), "one tanh too many"),
        (lambda y: y + 0.1, "not right yet. The largest difference"),
    ],
)
def test_common_slips_are_named(change, hint):
    def definition(x):
        return (2 * x).sin() * 0.9

    with pytest.raises(NotYet, match=hint):
        check_answer("wave", lambda x: change(definition(x)), definition, SEVEN)
    square = [(torch.arange(9.0).reshape(3, 3),)]
    with pytest.raises(NotYet, match="Rows and columns are swapped"):
        check_answer("double", lambda x: 2 * x.T, double, square)


def test_a_message_shows_the_smallest_wrong_case():
    cases = [(torch.arange(40.0), 3.0), (torch.tensor([1.0, 2.0, 3.0]), 0.5)]
    with pytest.raises(NotYet) as refused:
        check_answer("scale", lambda x, by: torch.cat([x[:1] * by, x[1:]]), lambda x, by: x * by, cases)
    assert str(refused.value).splitlines()[1:] == [
        "For example,",
        "  x = [1., 2., 3.]",
        "  by = 0.5",
        "  yours  [0.5, 2. , 3. ]",
        "  wanted [0.5, 1. , 1.5]",
        "  They differ first at [1]: 2 in place of 1.",
    ]


def test_the_rows_of_a_matrix_stand_one_below_the_other():
    with pytest.raises(NotYet) as refused:
        check_answer("double", lambda x: x, double, [(torch.eye(2),)])
    lines = str(refused.value).splitlines()[2:]
    assert len(lines) == 7
    assert [lines[top].index("[[") + 1 for top in (0, 2, 4)] == [lines[top].index("[") for top in (1, 3, 5)]


def test_a_notebook_shows_the_message_and_no_path_through_the_package():
    (line,) = NotYet("double is not right yet.")._render_traceback_()
    assert line == "double is not right yet."
    shown = NotYet("word " * 40 + "\nFor example,\n  x = 1")._render_traceback_()
    assert max(len(line) for part in shown for line in part.splitlines()) <= 74
    assert shown[-2:] == ["For example,", "  x = 1"]


def test_inputs_that_tell_two_answers_apart_are_drawn_anew():
    """A slip that happens to be right, or to be like another, would be praised, or get the wrong hint."""
    draws = iter([2.0, 0.0, 3.0, 5.0])
    seen = []

    @exercise
    def check_square(answer):
        case = torch.tensor([next(draws)])
        seen.append(case.item())
        check_answer("square", answer, torch.square, [(case,)], [Slip("You double it.", lambda x: 2 * x)])

    check_square(torch.square)
    assert seen == [2.0, 0.0, 3.0]  # 2 x and x^2 are the same at 2 and at 0
    with pytest.raises(NotYet, match="You double it"):
        check_square(lambda x: 2 * x)


def test_inputs_that_never_tell_them_apart_are_taken_in_the_end(capsys):
    draws = []

    @exercise
    def check_square(answer):
        draws.append(1)
        check_answer("square", answer, torch.square, [(torch.zeros(2),)], [Slip("No.", lambda x: 2 * x)])

    check_square(torch.square)
    assert len(draws) == 20
    assert "right on 1" in capsys.readouterr().out
