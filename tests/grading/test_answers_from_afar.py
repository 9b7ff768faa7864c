"""The checks judge a function in another process as they judge one here: same marks, same hints.

The answers are those of tests/checks, run in a process without `bpa.checks`: one right one and one typical
wrong one of each exercise, and all of them where the variable EVERY_ANSWER is set, which takes minutes.
"""

import importlib
import os
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from bpa.checks.compare import EXERCISES
from bpa.grading.judge import judged
from bpa.grading.processes import Nursery

FOLDER = Path(__file__).parents[1] / "checks"
sys.path.insert(0, str(FOLDER))

NAMES = "class Names:\n    def __getattr__(self, name):\n        return name\n\n\n"
OF_EACH = 10**6 if os.environ.get("EVERY_ANSWER") else 1
SLOW = {"senses_only": 1}  # an answer is called 12,000 times


def test_an_exercise_that_calls_often_has_more_time(nursery):
    assert EXERCISES["senses_only"].patience == 5
    cell = [("cell 1", "def f(x):\n    return x")]
    with nursery.child() as child:
        for patience in (5, 1):
            assert child.define("f", cell, patience)(3) == 3
            assert child.limit == 60 * patience >= child.left > 60 * patience - 30


@pytest.fixture(scope="module")
def nursery():
    with Nursery([], seconds=60) as started:
        yield started


def cells_of(chapter):
    """The answers of a chapter as the cell of a student who has no checks."""
    source = (FOLDER / f"answers_{chapter}.py").read_text(encoding="utf-8")
    names = re.findall(r"\bchapter_\d\d\b", re.findall(r"^from bpa\.checks import .*$", source, re.M)[0])
    source = re.sub(r"^from bpa\.checks import .*$", "", source, flags=re.M)
    return NAMES + "".join(f"{name} = Names()\n" for name in names) + source


def rows(chapter):
    """Table, place in it and expected hint of the answers that are tried, by exercise."""
    answers = importlib.import_module(f"answers_{chapter}")
    found = defaultdict(list)
    for table in ("RIGHT", "WRONG"):
        tried = Counter()
        for place, row in enumerate(getattr(answers, table)):
            name = row[0].__name__
            tried[name] += 1
            if tried[name] <= min(OF_EACH, SLOW.get(name, OF_EACH)):
                found[name].append((table, place, row[2] if table == "WRONG" else None))
    return found


def fits(mark, hint):
    """Whether a mark is what a check says of the same answer here."""
    if hint is None:
        return mark.status == "right" and mark.points == mark.exercise.points
    if "stopped with" in hint:
        return mark.status == "crash" and hint.removeprefix("stopped with ") in mark.said
    return mark.status == "wrong" and mark.points == 0 and re.search(hint, mark.said) is not None


@pytest.mark.parametrize("chapter", sorted({exercise.chapter for exercise in EXERCISES.values()}))
def test_marks_are_those_that_the_checks_give_here(chapter, nursery):
    cell = cells_of(chapter)
    others = []
    with nursery.child() as child:
        for name, tried in rows(chapter).items():
            for table, place, hint in tried:
                last = f"submitted = {table}[{place}][1]"
                try:
                    answer = child.define("submitted", [("1", cell), ("2", last)], EXERCISES[name].patience)
                except TypeError as refused:  # it is no function, which the judge says
                    if "must be a function" not in str(hint):
                        others.append((name, table, place, str(refused)))
                    continue
                mark = judged(EXERCISES[name], answer, child)
                if not fits(mark, hint):
                    others.append((name, table, place, hint, mark))
    assert others == []
