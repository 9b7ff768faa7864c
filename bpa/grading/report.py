"""Marks as a table for a spreadsheet, and as a page for the lecturer."""

from __future__ import annotations

import csv
import html
import io
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from bpa.grading.judge import Mark, Marked, Status

STATUSES: tuple[Status, ...] = get_args(Status)

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid var(--line) }
td.number, th.number { text-align: right }
section { overflow-x: auto }
pre { white-space: pre-wrap; margin: .25rem 0; padding: .5rem; background: var(--soft) }
summary { cursor: pointer }
"""


def unspoiled(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_csv(marked: Sequence[Marked]) -> str:
    """A row for each student: points, points possible, both and the reason by exercise, and remarks."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    exercises = [mark.exercise for mark in marked[0].marks]
    reasons = [heading for e in exercises for heading in (e.name, f"{e.name}: why")]
    writer.writerow(["student", "points", "of", *reasons, "remarks"])
    for one in marked:
        cells = [cell for mark in one.marks for cell in (str(mark.points), unspoiled(reason(mark)))]
        remarks = unspoiled(" ".join(one.remarks))
        writer.writerow([unspoiled(one.student), one.points, one.possible, *cells, remarks])
    return table.getvalue()


def reason(mark: Mark) -> str:
    """Status and slip in a few words."""
    said = mark.said.partition("\n")[0] if mark.status != "wrong" or not mark.slip else mark.slip
    return f"{mark.status}: {said}" if said else mark.status


def slips(marked: Sequence[Marked], place: int) -> Counter[str]:
    """How often each slip and each other reason occurs in one exercise, the most frequent first."""
    marks = [one.marks[place] for one in marked if one.marks[place].status not in ("right", "unanswered")]
    return Counter(f"{mark.status}: {mark.slip}" if mark.slip else mark.status for mark in marks)


def class_table(marked: Sequence[Marked]) -> list[list[str]]:
    """For each exercise its name, its points, how many have each status, and its slips with their numbers."""
    rows = []
    for place, mark in enumerate(marked[0].marks):
        counted = Counter(one.marks[place].status for one in marked)
        told = [f"{number} × {slip}" for slip, number in slips(marked, place).most_common()]
        numbers = [str(counted[status]) for status in STATUSES]
        rows.append([mark.exercise.name, str(mark.exercise.points), *numbers, "\n".join(told)])
    return rows


def feedback(one: Marked) -> str:
    """What a student is told, in a sentence for each kind of answer."""
    names = {
        status: [mark.exercise.name for mark in one.marks if mark.status == status] for status in STATUSES
    }
    told = [f"{one.points} of {one.possible} points."]
    if names["right"]:
        told.append(f"Right: {', '.join(names['right'])}.")
    for mark in one.marks:
        if mark.status == "wrong":
            said = mark.said.partition("\n")[0]
            told.append(f"{mark.exercise.name} is not right yet: {mark.slip}" if mark.slip else said)
        elif mark.status == "crash":
            told.append(f"{mark.exercise.name} stopped: {mark.said}.")
        elif mark.status == "time-out":
            told.append(f"{mark.exercise.name} took too long: {mark.said}.")
    if names["unanswered"]:
        told.append(f"Not answered: {', '.join(names['unanswered'])}.")
    if names["tampering"]:
        told.append(f"Not marked, please see your lecturer: {', '.join(names['tampering'])}.")
    return " ".join(told)


def as_html(marked: Sequence[Marked]) -> str:
    """One page that needs no other file: the class, then each student."""
    heads = ["exercise", "points", *STATUSES, "slips and other reasons"]
    points = sum(one.points for one in marked) / len(marked)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'><title>Marks</title>",
        f"<style>{STYLE}</style></head><body><main><h1>Marks</h1>",
        f"<p>{len(marked)} students, {points:.1f} of {marked[0].possible} points on average.</p>",
        f"<h2>The class</h2><section>{table_of(heads, class_table(marked))}</section><h2>Students</h2>",
    ]
    for one in marked:
        rows = [
            [mark.exercise.name, f"{mark.points} of {mark.exercise.points}", mark.status, mark.said]
            for mark in one.marks
        ]
        remarks = "".join(f"<p><em>{html.escape(remark)}</em></p>" for remark in one.remarks)
        parts.append(
            f"<h3>{html.escape(one.student)}</h3><p>{html.escape(feedback(one))}</p>{remarks}"
            f"<details><summary>Each exercise</summary><section>"
            f"{table_of(['exercise', 'points', 'status', 'what was said'], rows)}</section></details>"
        )
    return "\n".join([*parts, "</main></body></html>\n"])


def table_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; texts of several lines keep them."""
    head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(map(cell_of, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def cell_of(text: str) -> str:
    """A cell of a table."""
    escaped = html.escape(text)
    if "\n" in text:
        return f"<td><pre>{escaped}</pre></td>"
    return f"<td class='number'>{escaped}</td>" if text.isdigit() else f"<td>{escaped}</td>"


def write(path: Path, text: str) -> None:
    """A new file; a spreadsheet on Windows is told that it is UTF-8."""
    encoding = "utf-8-sig" if path.suffix == ".csv" and sys.platform == "win32" else "utf-8"
    with path.open("x", encoding=encoding, newline="") as file:
        file.write(text)
