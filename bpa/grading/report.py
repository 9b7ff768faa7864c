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

from bpa.grading.judge import UNREAD, Mark, Marked, Status

STATUSES: tuple[Status, ...] = get_args(Status)

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem; border-bottom: 1px solid var(--line) }
td.number, th.number { text-align: right }
section { overflow-x: auto }
td:last-child { min-width: 14rem }
ul { padding-left: 1.25rem } td ul { margin: 0; list-style: none; padding: 0 }
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


def slips(marked: Sequence[Marked], place: int) -> list[tuple[str, int]]:
    """How often each slip and each other reason occurs in one exercise, slips first, then by number."""
    marks = [one.marks[place] for one in marked if one.marks[place].status not in ("right", "unanswered")]
    counted = Counter(f"{mark.status}: {mark.slip}" if mark.slip else mark.status for mark in marks)
    return sorted(counted.items(), key=lambda entry: (not entry[0].startswith("wrong"), -entry[1]))


def class_table(marked: Sequence[Marked]) -> list[list[str]]:
    """For each exercise its name, its points, how many have each status, and its slips with their numbers."""
    rows = []
    for place, mark in enumerate(marked[0].marks):
        counted = Counter(one.marks[place].status for one in marked)
        told = [f"{number} × {slip}" for slip, number in slips(marked, place)]
        numbers = [str(counted[status]) for status in STATUSES]
        rows.append([mark.exercise.name, str(mark.exercise.points), *numbers, "\n".join(told)])
    return rows


def sentences(one: Marked) -> list[str]:
    """What a student is told: the points, what is right, what is not yet and why, and what is missing."""
    kinds: dict[str, list[str]] = {}
    for mark in one.marks:
        absent = mark.status == "unanswered" and mark.said
        kinds.setdefault("absent" if absent else mark.status, []).append(mark.exercise.name)
    told = [f"{one.points} of {one.possible} points."]
    if "right" in kinds:
        told.append(f"Right: {', '.join(kinds['right'])}.")
    for mark in one.marks:
        name, said = mark.exercise.name, mark.said.partition("\n")[0].rstrip(".")
        if mark.status == "wrong":
            told.append(f"{name} is not right yet: {mark.slip}" if mark.slip else f"{said}.")
        elif mark.status == "time-out":
            told.append(f"{name} took too long: {said}.")
        elif mark.status == "crash" and mark.slip != UNREAD:  # which is a remark
            told.append(f"{name} stopped: {said}.")
    unread = [mark.exercise.name for mark in one.marks if mark.slip == UNREAD]
    if unread:
        told.append(f"Not marked, because a file could not be read: {', '.join(unread)}.")
    if "unanswered" in kinds:
        told.append(f"Not answered: {', '.join(kinds['unanswered'])}.")
    if "absent" in kinds:
        told.append(f"No function of this name was handed in: {', '.join(kinds['absent'])}.")
    if "tampering" in kinds:
        told.append(f"Not marked, please see your lecturer: {', '.join(kinds['tampering'])}.")
    return told


def feedback(one: Marked) -> str:
    """`sentences` in one line."""
    return " ".join(sentences(one))


def as_html(marked: Sequence[Marked]) -> str:
    """One page for the lecturer that needs no other file: the class, then each student."""
    heads = ["exercise", "points", *STATUSES, "slips and other reasons"]
    points = sum(one.points for one in marked) / len(marked)
    roll = [[one.student, str(one.points), " ".join(one.remarks)] for one in marked]
    parts = [
        f"<p>{len(marked)} students, {points:.1f} of {marked[0].possible} points on average.</p>",
        f"<h2>The class</h2><section>{table_of(heads, class_table(marked))}</section>",
        f"<h2>Points</h2><section>{table_of(['student', 'points', 'remarks'], roll)}</section>",
        "<h2>Students</h2>",
        *(f"<h3>{html.escape(one.student)}</h3>{told(one, remarks=one.remarks)}" for one in marked),
    ]
    return page_of("Marks", parts)


def as_feedback(one: Marked) -> str:
    """One student's page, to give away: what was said of each exercise, and of nobody else's."""
    unread = [remark for remark in one.remarks if "cannot be read" in remark]
    return page_of("Your marks", [f"<p>{html.escape(one.student)}</p>{told(one, unread, ' open')}"])


def told(one: Marked, remarks: Sequence[str], folded: str = "") -> str:
    """What a student is told, remarks, and a table of the exercises."""
    rows = [
        [mark.exercise.name, f"{mark.points} of {mark.exercise.points}", mark.status, mark.said]
        for mark in one.marks
    ]
    heads = ["exercise", "points", "status", "what was said"]
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences(one))
    noted = "".join(f"<li><em>{html.escape(remark)}</em></li>" for remark in remarks)
    return (
        f"<ul>{items}{noted}</ul><details{folded}><summary>Each exercise</summary>"
        f"<section>{table_of(heads, rows)}</section></details>"
    )


def page_of(title: str, parts: Sequence[str]) -> str:
    """A page that needs no other file."""
    head = (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width'><title>{title}</title>"
        f"<style>{STYLE}</style></head><body><main><h1>{title}</h1>"
    )
    return "\n".join([head, *parts, "</main></body></html>\n"])


def table_of(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; texts of several lines keep them."""
    head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(map(cell_of, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def cell_of(text: str) -> str:
    """A cell of a table; what shows numbers below each other keeps its columns."""
    escaped = html.escape(text)
    if "\n  " in text:
        return f"<td><pre>{escaped}</pre></td>"
    if "\n" in text:
        return f"<td><ul>{''.join(f'<li>{line}</li>' for line in escaped.splitlines())}</ul></td>"
    return f"<td class='number'>{escaped}</td>" if text.isdigit() else f"<td>{escaped}</td>"


def write(path: Path, text: str) -> None:
    """A new file; a spreadsheet on Windows is told that it is UTF-8."""
    encoding = "utf-8-sig" if path.suffix == ".csv" and sys.platform == "win32" else "utf-8"
    with path.open("x", encoding=encoding, newline="") as file:
        file.write(text)
