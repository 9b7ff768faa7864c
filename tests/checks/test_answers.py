"""The checks of the exercises: right answers pass, typical wrong ones are refused with a hint at the slip.

The tables lie in `answers_NN.py`, a file a chapter. Their answers are written there by themselves, not taken
from the checks: RIGHT holds (check, answer), WRONG holds (check, answer, hint).
"""

import importlib
from pathlib import Path

import answers_11
import pytest

from bpa import checks
from bpa.checks import NotYet, chapter_08, chapter_10, chapter_11, chapter_12, chapter_13, chapter_16

TABLES = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("answers_*.py"))]
RIGHT = [(check, answer) for table in TABLES for check, answer in table.RIGHT]
WRONG = [(check, answer, hint) for table in TABLES for check, answer, hint in table.WRONG]
FIRST = dict(reversed(RIGHT))  # the first right answer to each check

# There is one way to run a network step by step; every other exercise has two right answers or more.
ONE_WAY = {chapter_10.play_frozen, chapter_12.transplanted, chapter_13.plastic_step}


def name(check):
    """Chapter and name, as in `chapter_03.ridge`."""
    return f"{check.__module__.rsplit('.', 1)[1]}.{check.__name__}"


def test_every_check_has_two_right_answers_and_at_least_three_wrong_ones():
    machinery = {"NotYet", "Slip", "check_answer"}
    exercises = {getattr(checks, exercise) for exercise in checks.__all__ if exercise not in machinery}
    assert exercises == set(FIRST)
    accepted = [check for check, _ in RIGHT]
    refused = [check for check, _, _ in WRONG]
    assert [name(check) for check in exercises - ONE_WAY if accepted.count(check) < 2] == []
    assert [name(check) for check in exercises if refused.count(check) < 3] == []


# A check draws fresh inputs at each call, so each answer is given three times.


@pytest.mark.parametrize(
    ("check", "answer"), RIGHT, ids=[f"{name(check)}-{answer.__name__}" for check, answer in RIGHT]
)
def test_a_right_answer_passes(check, answer, capsys):
    for _ in range(3):
        check(answer)
    praise = "✓ agent: " if check is chapter_08.senses_only else f"✓ {check.__name__}: right on"
    assert capsys.readouterr().out.count(praise) == 3


@pytest.mark.parametrize(
    ("check", "answer", "hint"), WRONG, ids=[f"{name(check)}-{hint}" for check, _, hint in WRONG]
)
def test_a_wrong_answer_is_refused_with_its_hint_and_no_praise(check, answer, hint, capsys):
    for _ in range(3):
        with pytest.raises(NotYet, match=hint):
            check(answer)
    assert capsys.readouterr().out == ""


# Not these: a walk through mazes, an interval within its tolerance, two times yes among six. What was
# right for one call may be right for the next.
ALIKE = {chapter_08.senses_only, chapter_11.improvement_interval, chapter_16.treats_alone}


@pytest.mark.parametrize("check", [check for check in FIRST if check not in ALIKE], ids=name)
def test_an_answer_learned_by_heart_is_refused(check):
    """Inputs are fresh at every call: what was right for one call is wrong for the next."""
    results = []

    def recording(*arguments):
        results.append(FIRST[check](*arguments))
        return results[-1]

    check(recording)
    replay = iter(results)
    with pytest.raises(NotYet):
        check(lambda *_: next(replay))


@pytest.mark.parametrize("check", FIRST, ids=name)
def test_a_stub_is_refused(check):
    def stub(*arguments):
        raise NotImplementedError

    with pytest.raises(NotYet, match="stopped with NotImplementedError"):
        check(stub)


def test_a_yes_or_no_comes_in_no_fixed_order():
    seen = set()
    for _ in range(10):
        answers = []

        def recording(*arguments, answers=answers):
            answers.append(bool(FIRST[chapter_16.treats_alone](*arguments)))
            return answers[-1]

        chapter_16.treats_alone(recording)
        assert sorted(answers) == [False] * 4 + [True] * 2
        seen.add(tuple(answers))
    assert len(seen) > 2


def test_chance_refuses_no_right_bootstrap(capsys):
    for _ in range(10):
        chapter_11.improvement_interval(answers_11.by_index)
    assert capsys.readouterr().out.count("✓") == 10
