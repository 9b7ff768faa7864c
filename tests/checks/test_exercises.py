"""Each exercise as its reader meets it: the stub cell and the check cell alone, and what is typed between."""

from pathlib import Path

import nbformat
import pytest
import torch
from test_answers import RIGHT, WRONG, name

from bpa import checks
from bpa.checks import NotYet

CHAPTERS = sorted((Path(__file__).parents[2] / "book" / "chapters").glob("*.ipynb"))


def exercises():
    """Chapter, stub cell and check cell of every exercise."""
    for path in CHAPTERS:
        cells = nbformat.read(path, as_version=4).cells
        for place, cell in enumerate(cells):
            if "exercise" in cell.metadata.get("tags", []):
                yield pytest.param(
                    path.stem, cell.source, cells[place + 1].source, id=f"{path.stem}-{cell.id}"
                )


EXERCISES = list(exercises())


def stub_in(source):
    """The namespace after a stub cell was run, and the function that it defines."""
    space = {"checks": checks, "torch": torch}
    before = set(space)
    exec(source, space)
    (function,) = [
        value
        for key, value in space.items()
        if key not in before and getattr(getattr(value, "__code__", None), "co_filename", "") == "<string>"
    ]
    return space, function


def check_of(source):
    """The check that a cell calls."""
    called = source.split("checks.")[1].split("(")[0]
    return getattr(checks, called)


def answers(table, check):
    return [row[1] for row in table if row[0] is check]


def test_every_check_has_its_exercise():
    called = {check_of(param.values[2]) for param in EXERCISES}
    assert called == {check for check, _ in RIGHT}


@pytest.mark.parametrize(("chapter", "stub", "check"), EXERCISES)
def test_an_exercise_judges_what_is_typed_into_it(chapter, stub, check, capsys):
    space, function = stub_in(stub)
    exec(check, space)
    assert f"{function.__name__}: not answered yet" in capsys.readouterr().out
    judge = check_of(check)
    assert name(judge).startswith(f"chapter_{chapter[:2]}.")
    space[function.__name__] = answers(RIGHT, judge)[0]
    exec(check, space)
    assert capsys.readouterr().out.startswith("✓")
    space[function.__name__] = answers(WRONG, judge)[0]
    with pytest.raises(NotYet):
        exec(check, space)
    assert capsys.readouterr().out == ""
