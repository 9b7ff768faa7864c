"""Make what a lecturer hands out: build/course, a folder for a server or a stick.

    student/       the chapters without their solutions; they run to their end unanswered
    lecturer/      the chapters with solutions, the answers to the exam questions, the exercises as JSON
    slides/        a deck for each chapter, one file that needs no network; N shows the notes
    handouts/      the decks with their notes as PDF, where Chromium is there
    site/          the built book without solutions, instructors' page and the source of the checks
    assignments/   a homework and an exam as nbgrader reads them, with their solutions

Figures come from the book's cache of executed chapters; `make course` builds the book first.
The decks are our own few lines of HTML and JavaScript: reveal.js, which nbconvert writes for, is fetched from
another host.
"""

import argparse
import ast
import contextlib
import copy
import html
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import unittest.mock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from jupyter_cache import get_cache
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from nbformat import NotebookNode
from sphinx.search.en import SearchEnglish

import bpa
from bpa.checks.compare import EXERCISES, Exercise, NotYet

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
ANSWERS = ROOT / "course"
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"
INDEX = "Search.setIndex("
LATER = "This page is in the lecturer's edition."

ASSIGNMENTS = {  # checks, in the order of the sheet
    "homework": ("associate", "complete", "soft_clip", "unroll", "decay_step", "gains", "modulated_trace"),
    "exam": ("connections", "eligibility_after", "rate_for", "bootstrapped_returns", "leave_one_out"),
}
HEADS = {
    "homework": "# Homework\n\nTwo weeks. Each question takes a function; leave its name as it is.",
    "exam": "# Exam\n\nNinety minutes. Each question takes a function; leave its name as it is.",
}


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return cell.metadata.get("tags", [])


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """A copy without the cells tagged `solution`, and otherwise the same."""
    kept = copy.deepcopy(notebook)
    kept.cells = [cell for cell in kept.cells if "solution" not in tags(cell)]
    return kept


def markdown() -> MarkdownIt:
    """Markdown with maths that MathJax finds."""

    def maths(content: str, options: dict) -> str:
        left, right = ("\\[", "\\]") if options["display_mode"] else ("\\(", "\\)")
        return left + html.escape(content) + right

    return MarkdownIt("commonmark", {"html": True}).enable("table").use(dollarmath_plugin, renderer=maths)


def pictures(cell: NotebookNode) -> Iterator[str]:
    """What a cell shows, as HTML: figures, live ones too, but no tables and no text."""
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        shown = "".join(data.get("text/html", ""))
        if "<svg" in shown or "<iframe" in shown or "<img" in shown:
            yield shown
        elif "image/png" in data:
            yield f'<img alt="" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'


def prediction(cell: NotebookNode) -> str:
    """The question of a `predict(...)` cell, its answers, and the right one folded behind; or nothing."""
    for node in ast.walk(ast.parse(cell.source)) if "predict" in tags(cell) else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "predict":
            given = dict(zip(("question", "answers", "right", "why"), node.args, strict=False))
            given |= {part.arg: part.value for part in node.keywords}
            try:
                asked = {name: ast.literal_eval(value) for name, value in given.items()}
            except ValueError:  # a text that is made as the chapter runs
                return ""
            items = "".join(f"<li>{inline(answer)}</li>" for answer in asked["answers"])
            right = f"{inline(asked['answers'][asked['right']])} {inline(asked['why'])}"
            return (
                f"<p>{inline(asked['question'])}</p><ol>{items}</ol>"
                f"<details><summary>Answer</summary>{right}</details>"
            )
    return ""


def first_sentence(text: str) -> str:
    """The first line of running text: the book writes a sentence a line."""
    return next((line for line in text.split("\n") if re.match(r"[\w*`$]", line)), "")


def inline(text: str) -> str:
    """A line of Markdown as HTML."""
    return markdown().renderInline(text)


def slides(notebook: NotebookNode) -> list[tuple[str, str, str]]:
    """Heading, body and notes of every slide of a chapter.

    A section gives a slide with its displayed equations or its first sentence; its text is the note. A figure
    that follows the sentence stands below it. Every prediction, with the box that sets its scene, and every
    other figure has a slide of its own. Goals and summary are shown as they are; exercises stay in the
    notebook.
    """
    render = markdown().render
    made: list[tuple[str, str, str]] = []
    heading = scene = ""
    alone = False  # whether the last slide is a sentence that waits for its figure
    for cell in notebook.cells:
        if set(tags(cell)) & {"question", "hint", "solution", "exercise", "check"}:
            continue
        if cell.cell_type == "markdown":
            text = cell.source
            title = re.match(r"#{1,3} +(.*)\n*", text)
            if title:
                heading, text = title[1], text[title.end() :]
            if "predict" in tags(cell):
                text, box, said = text.partition("> **Predict.**")
                scene = render(box + said)
            equations = "\n\n".join(re.findall(r"\$\$.*?\$\$", text, re.DOTALL))
            if {"goals", "summary"} & set(tags(cell)):
                made.append((heading, render(text), ""))
                alone = False
            elif text and (title or equations):
                made.append((heading, render(equations or first_sentence(text)), render(text)))
                alone = not equations
            elif made:
                made[-1] = (*made[-1][:2], made[-1][2] + render(text))
        else:
            asked = prediction(cell)
            bodies = [
                *([scene + asked] if asked else ()),
                *(pictures(cell) if "predict" not in tags(cell) else ()),
            ]
            scene = ""
            if bodies and alone and not asked:
                made[-1] = (heading, made[-1][1] + bodies.pop(0), made[-1][2])
                alone = False
            alone = alone and not bodies
            made += [(heading, body, "") for body in bodies]
    return [(title, body, notes) for title, body, notes in made if title]


DECK = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>TITLE</title>
<style>
:root { color-scheme: light dark }
body { font: 24px/1.4 system-ui, sans-serif; margin: 0 }
main { box-sizing: border-box; min-height: 100vh; padding: 3vh 6vw 7vh; max-width: 1500px; margin: auto }
h1 { font-size: 1.5em } main svg:not(mjx-container svg), main img { max-width: 100%; max-height: 66vh }
iframe { width: 100%; max-width: 100% }
blockquote { margin: 0; padding-left: 1em; border-left: 4px solid #888 }
aside { font-size: .7em; border-top: 1px solid #888; margin-top: 2em; display: none }
.notes aside { display: block } nav { position: fixed; right: 1em; bottom: .5em; font-size: 16px }
nav button { font: inherit } code { font-size: .9em } main { overflow-x: auto }
@media print { :root { color-scheme: light } nav { display: none } body { font-size: 14px }
  main { min-height: 0; break-inside: avoid; padding: 1em 0; border-bottom: 1px solid #888 }
  main svg:not(mjx-container svg), main img { max-height: 40vh } aside { display: block; font-size: .85em } }
</style>
<script>MathJax = {startup: {typeset: false}, options: {enableMenu: false}};</script>
<script>MATHJAX</script></head>
<body>
SLIDES
<nav><button id="back" aria-label="Previous slide">&larr;</button> <span id="place" aria-live="polite"></span>
<button id="next" aria-label="Next slide">&rarr;</button> <button id="notes">Notes (N)</button></nav>
<script>
"use strict";
const all = [...document.querySelectorAll("template")];
let at = 0;
async function typeset() {
  if (window.MathJax && MathJax.typesetPromise) await MathJax.typesetPromise();
  fit();
}
// What is higher than the screen is made smaller, down to a half: nobody scrolls on a wall. A live figure
// keeps its size, since it answers to the size that it gets.
function fit() {
  const main = document.querySelector("main");
  if (!main || location.search === "?all" || main.querySelector("iframe")) return;
  main.style.zoom = 1;
  const high = document.body.classList.contains("notes") ? 0 : main.scrollHeight;
  main.style.zoom = high > innerHeight ? Math.max(0.5, innerHeight / high) : 1;
}
addEventListener("resize", fit);
// A slide is made when it is shown, so that only its own live figure runs.
function make(template) {
  const main = document.createElement("main");
  main.append(template.content.cloneNode(true));
  document.body.prepend(main);
  return main;
}
function clear() { document.querySelectorAll("main").forEach((main) => main.remove()); }
function show(place) {
  at = Math.min(Math.max(place, 0), all.length - 1);
  clear();
  make(all[at]);
  document.getElementById("place").textContent = `${at + 1} of ${all.length}`;
  history.replaceState(null, "", `#${at + 1}`);
  scrollTo(0, 0);
  typeset();
}
function showAll() { clear(); [...all].reverse().forEach(make); return typeset(); }
document.getElementById("back").onclick = () => show(at - 1);
document.getElementById("next").onclick = () => show(at + 1);
function notes() { document.body.classList.toggle("notes"); fit(); }
document.getElementById("notes").onclick = notes;
addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea, summary")) return;
  if (["ArrowRight", "PageDown"].includes(event.key)) show(at + 1);
  else if (["ArrowLeft", "PageUp"].includes(event.key)) show(at - 1);
  else if (event.key === "Home") show(0);
  else if (event.key === "End") show(all.length - 1);
  else if (event.key === "n") notes();
});
addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1));
addEventListener("load", () => {
  if (location.search === "?all") showAll();
  else show(Number(location.hash.slice(1) || 1) - 1);
});
</script>
</body></html>
"""


def mathjax() -> str:
    """MathJax in one script, as it may stand in a page."""
    for folder in map(Path, sys.path):
        if (folder / MATHJAX).is_file():
            return (folder / MATHJAX).read_text(encoding="utf-8").replace("</script", "<\\/script")
    raise FileNotFoundError(f"{MATHJAX} is not there: make setup installs sphinx-mathjax-offline")


def deck(notebook: NotebookNode, script: str) -> str:
    """The slides of a chapter as one page."""
    parts = [
        f"<template><h1>{inline(title)}</h1>{body}"
        f"{notes and f'<aside><h2>Notes</h2>{notes}</aside>'}</template>"
        for title, body, notes in slides(notebook)
    ]
    title = html.escape(notebook.cells[0].source.lstrip("# ").split("\n")[0])
    page = DECK.replace("TITLE", title).replace("MATHJAX</script>", "PLACE</script>")
    return page.replace("SLIDES", "\n".join(parts)).replace("PLACE</script>", f"{script}</script>")


def executed(notebook: NotebookNode) -> NotebookNode:
    """The chapter with its outputs if the book's cache has them, else as it is."""
    folder = BOOK / "_build" / ".jupyter_cache"
    if not folder.exists():
        return notebook
    cache = get_cache(folder)
    try:
        outputs = cache.get_cache_bundle(cache.match_cache_notebook(notebook).pk).nb
    except KeyError:
        return notebook
    found = copy.deepcopy(notebook)
    code = (cell for cell in outputs.cells if cell.cell_type == "code")
    for cell in (cell for cell in found.cells if cell.cell_type == "code"):
        cell.outputs = next(code).outputs
    return found


def print_pages(chromium: str, page: Path, pdf: Path) -> bool:
    """Print every slide of a deck with its notes; whether that went well."""
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-pdf-header-footer",
        "--virtual-time-budget=20000",
    ]
    asked = [chromium, *flags, f"--print-to-pdf={pdf}", f"{page.resolve().as_uri()}?all"]
    return subprocess.run(asked, capture_output=True, timeout=180).returncode == 0 and pdf.exists()


def student_page(text: str, name: str) -> BeautifulSoup:
    """A built page without its solutions; one that is the lecturer's keeps its frame alone."""
    page = BeautifulSoup(text, "html.parser")
    for cell in page.select(".tag_solution"):
        cell.decompose()
    for link in page.select("a[href]"):
        where = link["href"].split("#")[0]
        if where.endswith("instructors.html") or "_modules/bpa/checks" in where:
            item = link.find_parent("li")
            if item is not None and len(item.find_all("a")) == 1:
                item.decompose()
            elif link.find_parent("p") is not None:
                link.unwrap()  # the sentence goes on
            else:
                link.decompose()
    for link in page.select('link[href$="instructors.html"]'):
        link.decompose()
    if is_lecturers(name):
        article = page.select_one("article") or page.body
        article.clear()
        article.append(LATER)
    return page


def words(page: BeautifulSoup) -> frozenset[str]:
    """The words of a page as the search index writes them."""
    language = SearchEnglish({})
    # Code is coloured name by name, and a heading may end where a paragraph begins without a space.
    article = page.select_one("article") or page
    found = {word for gap in ("", " ") for word in language.split(article.get_text(gap))}
    return frozenset(form for word in found for form in (word, word.lower(), language.stem(word).lower()))


def searched(index: str) -> dict[str, Any]:
    """What a search index of Sphinx holds."""
    return json.loads(index[len(INDEX) : index.rindex(")")])


def student_index(index: str, said: dict[str, frozenset[str]]) -> str:
    """The search index of the built book, which knows of each page no more than the student's page says.

    Args:
        index: as Sphinx has written it.
        said: the words of each page, by its name in the index.
    """
    data = searched(index)
    names = data["docnames"]
    for part in ("terms", "titleterms"):
        kept = {
            word: [k for k in (pages if isinstance(pages, list) else [pages]) if word in said[names[k]]]
            for word, pages in data[part].items()
        }
        data[part] = {word: pages for word, pages in kept.items() if pages}
    for part in ("alltitles", "indexentries"):
        kept = {
            title: [place for place in places if not is_lecturers(f"{names[place[0]]}.html")]
            for title, places in data[part].items()
        }
        data[part] = {title: places for title, places in kept.items() if places}
    data["titles"] = [
        "" if is_lecturers(f"{name}.html") else title
        for name, title in zip(names, data["titles"], strict=True)
    ]
    return f"{INDEX}{json.dumps(data, separators=(',', ':'))})"


def is_lecturers(name: str) -> bool:
    """Whether a page of the site, by its path, is the lecturer's alone."""
    return name == "instructors.html" or name.startswith("_modules/bpa/checks")


def student_site(built: Path, out: Path, chapters: dict[str, NotebookNode]) -> None:
    """The built book for students: pages without solutions, sources without solutions."""
    shutil.copytree(built, out)
    index = out / "searchindex.js"
    text = index.read_text(encoding="utf-8")
    said = dict.fromkeys(searched(text)["docnames"], frozenset[str]())
    for path in out.rglob("*.html"):
        name = path.relative_to(out).as_posix()
        page = student_page(path.read_text(encoding="utf-8"), name)
        if name.removesuffix(".html") in said:
            said[name.removesuffix(".html")] = words(page)
        path.write_text(str(page), encoding="utf-8", newline="\n")
    index.write_text(student_index(text, said), encoding="utf-8", newline="\n")
    for path in [*out.rglob("*.ipynb"), *out.rglob("*.ipynb.txt")]:
        name = path.name.removesuffix(".txt").removesuffix(".ipynb")
        if name in chapters:
            nbformat.write(without_solutions(chapters[name]), path)
        else:
            path.unlink()
    for path in out.rglob("instructors.*"):
        if path.suffix != ".html":
            path.unlink()


def graded(cell: NotebookNode, identity: str, points: int | None, solution: bool) -> NotebookNode:
    """A cell as nbgrader reads it."""
    cell.metadata = nbformat.from_dict(
        {
            "nbgrader": {
                "grade": points is not None,
                "grade_id": identity,
                "locked": not solution,
                "schema_version": 3,
                "solution": solution,
                "task": False,
                **({} if points is None else {"points": points}),
            }
        }
    )
    return cell


def answer_cell(stub: str, solution: str, function: str) -> str:
    """The solution in the place of the stub's dots, between the marks that nbgrader cuts at."""
    solved = re.sub(rf"\b{function}_solution\b", function, solution)
    tree = ast.parse(solved)
    own = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    first = own.body[1] if ast.get_docstring(own) else own.body[0]
    lines = solved.split("\n")[: own.end_lineno]
    # What stands between the head and the body, the docstring, is the student's too.
    head, body = lines[: first.lineno - 1], lines[first.lineno - 1 :]
    indent = " " * first.col_offset
    head = [line for line in head if not line.startswith("# @title")]
    return "\n".join([*head, f"{indent}### BEGIN SOLUTION", *body, f"{indent}### END SOLUTION"])


def assignment(name: str, chapters: dict[str, NotebookNode]) -> NotebookNode:
    """A sheet of exercises as nbgrader's source notebook."""
    imports = "import torch\n\nfrom bpa import checks"
    sheet = nbformat.v4.new_notebook()
    sheet.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    sheet.cells = [
        graded(nbformat.v4.new_markdown_cell(HEADS[name], id="head"), "head", None, False),
        graded(nbformat.v4.new_code_cell(imports, id="imports"), "imports", None, False),
    ]
    for check in ASSIGNMENTS[name]:
        exercise = EXERCISES[check]
        (chapter,) = (found for stem, found in chapters.items() if stem.startswith(exercise.chapter))
        question, stub, solution = exercise_cells(chapter, check)
        identity = check.replace("_", "-")
        source = answer_cell(stub.source, solution.source, exercise.function)
        tests = (
            f"checks.{check}({exercise.function})\n### BEGIN HIDDEN TESTS\n"
            f"from bpa.checks.compare import untouched\n\n"
            f'assert not untouched({exercise.function}), "not answered"\n### END HIDDEN TESTS'
        )
        text = re.sub(r"^### Exercise \d+", "## Question", question.source)
        sheet.cells += [
            graded(
                nbformat.v4.new_markdown_cell(text, id=f"{identity}-question"), f"{identity}-q", None, False
            ),
            graded(nbformat.v4.new_code_cell(source, id=f"{identity}-answer"), f"{identity}-a", None, True),
            graded(
                nbformat.v4.new_code_cell(tests, id=f"{identity}-test"),
                f"{identity}-t",
                exercise.points,
                False,
            ),
        ]
    return sheet


def calls_check(cell: NotebookNode, check: str) -> bool:
    """Whether a cell is the check of this name."""
    return "check" in tags(cell) and f"checks.{check}(" in cell.source


def exercise_cells(chapter: NotebookNode, check: str) -> tuple[NotebookNode, NotebookNode, NotebookNode]:
    """Question, stub and solution of an exercise."""
    place = next(k for k, cell in enumerate(chapter.cells) if calls_check(cell, check))
    question = next(c for c in reversed(chapter.cells[:place]) if "question" in tags(c))
    solution = next(c for c in chapter.cells[place:] if "solution" in tags(c))
    return question, chapter.cells[place - 1], solution


def slips(exercise: Exercise) -> list[str]:
    """The sentences by which the check of an exercise names typical wrong answers."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(exercise.check))))
    found = [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Slip"
        if isinstance(node.args[0], ast.Constant)
    ]

    # Some are made as the check runs, so it runs, up to where an answer would be compared.
    def compared(*given: Any, **named: Any) -> None:
        found.extend(slip.hint for slip in named.get("slips", given[4] if len(given) > 4 else ()))

    with (
        unittest.mock.patch.object(sys.modules[exercise.check.__module__], "check_answer", compared),
        contextlib.suppress(NotYet),  # two checks look at the answer first
    ):
        exercise.check(lambda *arguments: arguments[0])
    return list(dict.fromkeys(found))


def exercise_list(chapters: dict[str, NotebookNode]) -> dict[str, Any]:
    """All exercises as `lecturer/exercises.json` has them, for other systems; `read_me` says what is what."""
    found = []
    for exercise in EXERCISES.values():
        (chapter,) = (notebook for stem, notebook in chapters.items() if stem.startswith(exercise.chapter))
        place = next(k for k, cell in enumerate(chapter.cells) if calls_check(cell, exercise.name))
        question, stub, solution = exercise_cells(chapter, exercise.name)
        hint = next(cell for cell in chapter.cells[place:] if "hint" in tags(cell))
        head, _, text = question.source.partition("\n")
        number, title, level = re.fullmatch(r"### Exercise (\d+): (.*) \(([^()]*)\)", head).groups()
        found.append(
            {
                "name": exercise.name,
                "function": exercise.function,
                "chapter": int(exercise.chapter),
                "number": int(number),
                "title": title,
                "level": level,
                "points": exercise.points,
                "question": text.strip(),
                "stub": stub.source,
                "hint": re.sub(r"</?details>|<summary>.*</summary>", "", hint.source).strip(),
                "solution": solution.source,
                "slips": slips(exercise),
            }
        )
    return {"format": 1, "version": bpa.__version__, "exercises": found}


FIELDS = """
`lecturer/exercises.json` has every exercise for other systems, solutions included: UTF-8, an object with
`format` (1), `version` (of `bpa`) and `exercises`, a list in the order of the book. Of each:

| Field | What it is |
|---|---|
| `name` | of its check, `bpa.checks.NAME(function)`, which raises `NotYet` for a wrong answer |
| `function` | what the student's function is called |
| `chapter`, `number` | where it stands in the book |
| `title`, `level` | of its heading; the level begins with easy, medium, harder, hard or open-ended |
| `points` | 1, 2 or 3 |
| `question`, `hint` | Markdown with `$` maths |
| `stub`, `solution` | Python; the solution defines `FUNCTION_solution`, and calls the check |
| `slips` | the sentences by which the check names typical wrong answers |
"""


def read_me(made: dict[str, str]) -> str:
    """What is in the folder, and the commands."""
    lines = [
        "# The course",
        "",
        *(f"- `{folder}/`: {what}" for folder, what in made.items()),
        "",
        "Hand out `student/`, `slides/` and `site/`; keep `lecturer/` and `assignments/` to yourself.",
        "Collect a folder for each student with notebooks in it, then, for Chapter 1 and for the homework,",
        "",
        "    bpa grade FOLDER --only 01 --csv marks.csv --html marks.html",
        f"    bpa grade FOLDER --only {' '.join(ASSIGNMENTS['homework'])} --csv marks.csv",
        FIELDS,
    ]
    return "\n".join(lines)


def make(out: Path, built: Path, chromium: str | None) -> list[str]:
    """Fill `out`, which must not be there; returns what was left out, a line each."""
    chapters = {path.stem: nbformat.read(path, 4) for path in sorted((BOOK / "chapters").glob("*.ipynb"))}
    left_out, made = [], {}
    for folder in ("student", "lecturer", "slides", "assignments"):
        (out / folder).mkdir(parents=True)
    script, bare = mathjax(), []
    for stem, notebook in chapters.items():
        nbformat.write(without_solutions(notebook), out / "student" / f"{stem}.ipynb")
        nbformat.write(notebook, out / "lecturer" / f"{stem}.ipynb")
        shown = executed(notebook)
        if not any(cell.get("outputs") for cell in shown.cells):
            bare.append(stem)
        (out / "slides" / f"{stem}.html").write_text(deck(shown, script), encoding="utf-8", newline="\n")
    listed = json.dumps(exercise_list(chapters), indent=1, ensure_ascii=False)
    (out / "lecturer" / "exercises.json").write_text(listed + "\n", encoding="utf-8", newline="\n")
    for path in ANSWERS.glob("*.md"):
        shutil.copy(path, out / "lecturer")
    for name in ASSIGNMENTS:
        (out / "assignments" / "source" / name).mkdir(parents=True)
        nbformat.write(assignment(name, chapters), out / "assignments" / "source" / name / f"{name}.ipynb")
    made |= {
        "student": "the chapters without solutions",
        "lecturer": "the chapters with solutions, the answers to the exam questions, the exercises as JSON",
        "slides": "a deck for each chapter; arrows turn the page, N shows the notes",
        "assignments": "a homework and an exam, sources for nbgrader",
    }
    if bare:
        left_out.append(f"figures on the slides of {', '.join(bare)}: the book is not built, or older")
    if chromium is None:
        left_out.append("handouts: no Chromium was found on the path")
    else:
        (out / "handouts").mkdir()
        for stem in chapters:
            if not print_pages(chromium, out / "slides" / f"{stem}.html", out / "handouts" / f"{stem}.pdf"):
                left_out.append(f"the handout {stem}: Chromium could not print it")
        made["handouts"] = "the decks with their notes, to print"
    if (built / "index.html").exists():
        student_site(built, out / "site", chapters)
        made["site"] = "the book without solutions; open index.html"
    else:
        left_out.append("the site: the book is not built, make book does it")
    (out / "README.md").write_text(read_me(made), encoding="utf-8", newline="\n")
    return left_out


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Make the folder that a lecturer hands out.")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "course", help="folder, made anew")
    parser.add_argument("--site", type=Path, default=BOOK / "_build" / "html", help="the built book")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    chromium = os.environ.get("BPA_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    for line in make(options.out, options.site, chromium):
        print(f"left out: {line}")
    print(f"The course is in {options.out}")


if __name__ == "__main__":
    main()
