"""Marks: each student's functions against the definitions, which stay in this process."""

from __future__ import annotations

import contextlib
import io
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from bpa import checks
from bpa.arguments import require_number
from bpa.checks.compare import EXERCISES, Exercise, NotYet
from bpa.grading.notebook import Cell, Sent, checked, defined, foul_play, marked, read_notebook, sent_for
from bpa.grading.processes import Child, Nursery, Stopped

Status = Literal["right", "wrong", "unanswered", "crash", "time-out", "tampering"]


# Name, perhaps LATE, the student's number, the file's number, and what the student called it: Canvas.
# Name, the participant's number, and what the student called it: Moodle, where folders were not asked for.
FLAT = re.compile(r"([^_]+)(?:_LATE)?(_\d+)_(?:\d+|assignsubmission_file)_.+")
UNREAD = "a file cannot be read"  # the slip of exercises that may be in it


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


class Notebook(NamedTuple):
    """A notebook that was handed in: what it says, and what is in it."""

    name: str  # of the file
    cells: list[Cell]
    functions: set[str]  # and other names that its cells bind
    checks: set[str]  # that it calls
    answers: set[str]  # names that are bound in cells marked as the place of an answer

    def has(self, exercise: Exercise) -> bool:
        """Whether an exercise is in it, with its check or without.

        A name is not enough: Chapter 1 has a `decay_step` of its own, and Chapter 2 asks for one.
        """
        if exercise.function not in self.functions:
            return False
        if exercise.name in self.checks or exercise.function in self.answers:
            return True
        others = {e.function for e in EXERCISES.values() if e.chapter == exercise.chapter}
        alone = not (self.functions & others) - {exercise.function}
        return not self.answers and not (self.checks and alone)


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

    Canvas, and Moodle if asked to, put the files of all into one folder, with a student's name and number
    before each: they belong together.

    Raises:
        ValueError: there is no such folder, or no student in it.
    """
    if not folder.is_dir():
        raise ValueError(f"folder {folder} is not there")
    students = {
        entry.name: sorted(
            (path for path in entry.rglob("*.ipynb") if not left_behind(path.relative_to(entry))), key=as_stem
        )
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not left_behind(Path(entry.name))
    }
    for entry in sorted(folder.glob("*.ipynb"), key=as_stem):
        flat = FLAT.fullmatch(entry.stem)
        if not left_behind(Path(entry.name)):
            students.setdefault(flat[1] + flat[2] if flat else entry.stem, []).append(entry)
    if not students:
        raise ValueError(f"folder {folder} has neither notebooks nor folders of students")
    return dict(sorted(students.items()))


def left_behind(path: Path) -> bool:
    """Whether no student made a file: checkpoints of Jupyter, and what macOS packs beside files."""
    return any(part.startswith((".", "__")) for part in path.parts)


def as_stem(path: Path) -> str:
    """What notebooks are sorted by: `home (1).ipynb` comes after `home.ipynb`."""
    return str(path.with_suffix(""))


def chosen(only: Sequence[str], students: Sequence[Sequence[Notebook]]) -> list[Exercise]:
    """The exercises that count, in the order of the book.

    Args:
        only: names of exercises, or two digits for all of a chapter; none: those that at least half of the
            students define, as a stub or more, and check.
        students: the notebooks of each.

    Raises:
        ValueError: there is no exercise of a name, or none is left.
    """
    for name in only:
        if name not in EXERCISES and name not in {exercise.chapter for exercise in EXERCISES.values()}:
            raise ValueError(f"only must name exercises such as associate, or their part as 01, got {name!r}")
    if only:
        return [e for e in EXERCISES.values() if e.name in only or e.chapter in only]
    found = [
        exercise
        for exercise in EXERCISES.values()
        if 2
        * sum(
            any(exercise.function in each.functions and exercise.name in each.checks for each in notebooks)
            for notebooks in students
        )
        >= len(students)
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
        seconds: wall clock for one exercise of one student, positive; times the exercise's patience.
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
    exercises = chosen(only, [notebooks for notebooks, _ in read.values()])
    marked = []
    with Nursery([folder], seconds, fork) as nursery:
        for student, (notebooks, faults) in read.items():
            one = mark_all(student, notebooks, faults, exercises, nursery)
            marked.append(one)
            tell(f"{student}: {one.points} of {one.possible}")
    return marked


def read_all(paths: Sequence[Path]) -> tuple[list[Notebook], dict[str, str]]:
    """The notebooks of a student, and what is wrong with files that are none, by their names."""
    notebooks, faults = [], {}
    for path in paths:
        try:
            cells = read_notebook(path)
        except ValueError as error:
            faults[path.name] = f"{path.name} cannot be read: {error}"
        else:
            notebooks.append(Notebook(path.name, cells, defined(cells), checked(cells), marked(cells)))
    return notebooks, faults


def answer_to(exercise: Exercise, notebooks: Sequence[Notebook]) -> tuple[Notebook, Sent, list[str]] | None:
    """The notebook whose answer counts, what to run of it, and the files that have one; None: none has.

    A stub counts only where nothing else is there. Of several answers the last counts, by the files' names.
    """
    found = [
        (each, sent)
        for each in notebooks
        if each.has(exercise)
        for sent in [sent_for(each.cells, exercise.function, exercise.name)]
        if sent is not None
    ]
    if not found:
        return None
    answered = [pair for pair in found if not pair[1].stub]
    notebook, sent = (answered or found)[-1]
    return notebook, sent, [each.name for each, _ in answered]


def mark_all(
    student: str,
    notebooks: Sequence[Notebook],
    faults: dict[str, str],
    exercises: Sequence[Exercise],
    nursery: Nursery,
) -> Marked:
    """The marks of one student: a process for all exercises, a fresh one after each that broke off."""
    remarks, gone, several = list(faults.values()), [], defaultdict[str, list[str]](list)
    foul = {each.name: foul_play(each.cells, checks.__all__) for each in notebooks}
    chapters = {exercise.chapter for exercise in EXERCISES.values()}
    waiting = []
    marks: dict[str, Mark] = {}
    for exercise in exercises:
        found = answer_to(exercise, notebooks)
        if found is None:
            # A file that begins with the digits of a chapter has no other's exercises.
            lost = [
                f for name, f in faults.items() if name[:2] == exercise.chapter or name[:2] not in chapters
            ]
            said = lost[0] if lost else f"there is no function {exercise.function}"
            slip = UNREAD if lost else ""
            marks[exercise.name] = Mark(exercise, "crash" if lost else "unanswered", slip, said)
            continue
        notebook, sent, names = found
        if len(names) > 1:
            several[", ".join(names)].append(exercise.name)
        gone += [] if exercise.name in notebook.checks else [exercise.name]
        if sent.fault:
            marks[exercise.name] = Mark(exercise, "crash", sent.fault.partition(":")[0], sent.fault)
        elif sent.stub:
            marks[exercise.name] = Mark(exercise, "unanswered")
        elif foul[notebook.name]:
            marks[exercise.name] = Mark(exercise, "tampering", "", "; ".join(foul[notebook.name]))
        else:
            waiting.append((exercise, sent))
    remarks += [f"{', '.join(each)}: in {names}, the last one counts." for names, each in several.items()]
    if not notebooks and not faults:
        remarks.append("No notebook was handed in.")
    if gone:
        remarks.append(f"The check is gone of {', '.join(gone)}.")
    while waiting:
        with nursery.child() as child:
            while waiting:
                exercise, sent = waiting.pop(0)
                try:
                    answer = child.define(exercise.function, sent.cells, exercise.patience)
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
