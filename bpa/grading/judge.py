"""Marks: each student's functions against the definitions, which stay in this process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from bpa import checks
from bpa.arguments import require_number
from bpa.checks.compare import EXERCISES, Exercise, NotYet
from bpa.grading.notebook import Cell, checked, defined, foul_play, read_notebook, sent_for
from bpa.grading.processes import Child, Nursery, Stopped

Status = Literal["right", "wrong", "unanswered", "crash", "time-out", "tampering"]


class Mark(NamedTuple):
    """What a student gets for an exercise, and why."""

    exercise: Exercise
    status: Status
    slip: str = ""  # one sentence that is the same for all who make it
    said: str = ""  # what the check or the process said, for this student alone

    @property
    def points(self) -> int:
        """All for a right answer, none for any other."""
        return self.exercise.points if self.status == "right" else 0


class Marked(NamedTuple):
    """A student's marks."""

    student: str
    marks: list[Mark]
    remarks: list[str]  # what does not change the points: check cells that are gone, say

    @property
    def points(self) -> int:
        """The sum of the points."""
        return sum(mark.points for mark in self.marks)

    @property
    def possible(self) -> int:
        """The sum of the points that there are."""
        return sum(mark.exercise.points for mark in self.marks)


def submissions(folder: Path) -> dict[str, list[Path]]:
    """Notebooks by student: of each folder in `folder`, or else each notebook in it is a student's.

    Raises:
        ValueError: there is no such folder, or no student in it.
    """
    if not folder.is_dir():
        raise ValueError(f"folder {folder} is not there")
    students = {
        entry.name: sorted(path for path in entry.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.name.startswith((".", "__"))
    }
    students |= {entry.stem: [entry] for entry in sorted(folder.glob("*.ipynb"))}
    if not students:
        raise ValueError(f"folder {folder} has neither notebooks nor folders of students")
    return dict(sorted(students.items()))


def chosen(only: Sequence[str], notebooks: Sequence[Sequence[Cell]]) -> list[Exercise]:
    """The exercises that count, in the order of the book.

    Args:
        only: names of exercises, or two digits for all of a chapter; none: those that at least half of the
            students' notebooks define, as a stub or more, and check.
        notebooks: the cells of each student's notebooks.

    Raises:
        ValueError: there is no exercise of a name, or none is left.
    """
    for name in only:
        if name not in EXERCISES and name not in {exercise.chapter for exercise in EXERCISES.values()}:
            raise ValueError(f"only must name exercises such as associate, or their part as 01, got {name!r}")
    if only:
        return [e for e in EXERCISES.values() if e.name in only or e.chapter in only]
    names = [(defined(cells), checked(cells)) for cells in notebooks]
    found = [
        exercise
        for exercise in EXERCISES.values()
        if 2 * sum(exercise.function in here and exercise.name in calls for here, calls in names)
        >= len(names)
    ]
    if not found:
        raise ValueError("no exercise is in at least half of the notebooks: only must name those that count")
    return found


def grade(
    folder: str | Path,
    only: Sequence[str] = (),
    seconds: float = 20.0,
    tell: Callable[[str], None] = lambda line: None,
    fork: bool | None = None,
) -> list[Marked]:
    """Mark every student's notebooks in a folder.

    A notebook is not run: of each function that counts, the cells that define it and what they need are run,
    in a process without `bpa.checks`, with a scratch folder as its home. Inputs are drawn here, results are
    judged here by the checks of the book.

    Args:
        folder: a folder for each student, or a notebook for each student.
        only: names of exercises, or two digits for all of a chapter. By default those that at least half of
            the students' notebooks define and check.
        seconds: wall clock for one exercise of one student, positive.
        tell: is given a line for each student.
        fork: whether one process imports PyTorch for all of them; None: on Linux.

    Returns:
        The marks, by student in the order of their names.

    Raises:
        ValueError: an argument is out of its range, or there is nothing to mark.
    """
    seconds = require_number("seconds", seconds, low=0, above=True)
    folder = Path(folder)
    students = submissions(folder)
    read = {student: read_all(paths) for student, paths in students.items()}
    exercises = chosen(only, [cells for cells, _ in read.values()])
    marked = []
    with Nursery([folder], seconds, fork) as nursery:
        for student, (cells, faults) in read.items():
            one = mark_all(student, cells, faults, exercises, nursery)
            marked.append(one)
            tell(f"{student}: {one.points} of {one.possible}")
    return marked


def read_all(paths: Sequence[Path]) -> tuple[list[Cell], list[str]]:
    """The cells of all notebooks of a student, and what is wrong with files that are none."""
    cells, faults = [], []
    for path in paths:
        try:
            cells += read_notebook(path)
        except ValueError as error:
            faults.append(f"{path.name}: {error}")
    return cells, faults


def mark_all(
    student: str, cells: Sequence[Cell], faults: list[str], exercises: Sequence[Exercise], nursery: Nursery
) -> Marked:
    """The marks of one student: a process for all exercises, a fresh one after each that broke off."""
    remarks = list(faults)
    here = defined(cells)
    gone = [e.name for e in exercises if e.function in here and e.name not in checked(cells)]
    if gone:
        remarks.append(f"The check is gone of {', '.join(gone)}.")
    foul = foul_play(cells, checks.__all__)
    waiting = []
    marks: dict[str, Mark] = {}
    for exercise in exercises:
        sent = sent_for(cells, exercise.function)
        if sent is None:
            said = faults[0] if faults else f"there is no function {exercise.function}"
            marks[exercise.name] = Mark(exercise, "crash" if faults else "unanswered", "", said)
        elif sent.fault:
            marks[exercise.name] = Mark(exercise, "crash", sent.fault.partition(":")[0], sent.fault)
        elif sent.stub:
            marks[exercise.name] = Mark(exercise, "unanswered")
        elif foul:
            marks[exercise.name] = Mark(exercise, "tampering", "", "; ".join(foul))
        else:
            waiting.append((exercise, sent))
    while waiting:
        with nursery.child() as child:
            while waiting:
                exercise, sent = waiting.pop(0)
                try:
                    answer = child.define(exercise.function, sent.cells)
                    if answer is None:
                        said = f"its cells do not define {exercise.function}"
                        marks[exercise.name] = Mark(exercise, "unanswered", "", said)
                    else:
                        marks[exercise.name] = judged(exercise, answer, child)
                except TypeError as error:
                    said = f"{exercise.function} must be a function, got {error}."
                    marks[exercise.name] = Mark(exercise, "wrong", "It is no function.", said)
                except Stopped as stop:
                    slip = stop.why.partition(":")[0] if stop.status == "crash" else ""
                    marks[exercise.name] = Mark(exercise, stop.status, slip, stop.why)
                    break
    return Marked(student, [marks[exercise.name] for exercise in exercises], remarks)


def judged(exercise: Exercise, answer: Callable[..., object], child: Child) -> Mark:
    """The mark of a function that answers from another process."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the check's own praise
            exercise.check(answer)
    except Exception as error:
        if child.crashed:
            return Mark(exercise, "crash", child.crashed.partition(":")[0], child.crashed)
        if isinstance(error, NotYet):
            return Mark(exercise, "wrong", error.slip, str(error))
        # What no check expects in a result: other numbers of results, sizes, kinds.
        return Mark(exercise, "wrong", "", f"its result cannot be compared: {type(error).__name__}: {error}")
    return Mark(exercise, "right")
