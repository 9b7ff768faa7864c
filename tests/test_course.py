"""What `make course` hands out: student copies, decks, the student edition of the site, assignments."""

import ast
import copy
import importlib.util
import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from bpa.checks.compare import EXERCISES, untouched
from bpa.grading.notebook import bound, code_cell, used
from bpa.show import predict

ROOT = Path(__file__).parents[1]
CHAPTERS = {
    path.stem: nbformat.read(path, 4) for path in sorted((ROOT / "book" / "chapters").glob("*.ipynb"))
}


def loaded():
    spec = importlib.util.spec_from_file_location("course", ROOT / "tools" / "course.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


course = loaded()


def names(cells, of):
    """The names that these code cells bind or use."""
    statements = (
        s for cell in cells if cell.cell_type == "code" for s in code_cell(1, cell.source).statements
    )
    return set().union(*map(of, statements))


@pytest.mark.parametrize("stem", CHAPTERS)
def test_a_student_copy_has_no_solution_and_needs_none(stem):
    whole, copy = CHAPTERS[stem], course.without_solutions(CHAPTERS[stem])
    taken = [cell for cell in whole.cells if cell not in copy.cells]
    assert taken
    assert all("solution" in cell.metadata.tags for cell in taken)
    assert [cell for cell in whole.cells if cell in copy.cells] == copy.cells
    text = "\n".join(cell.source for cell in copy.cells)
    assert not re.search(r"\w+_solution\b", text)
    only_there = names(taken, bound) - names(copy.cells, bound)
    assert only_there & names(copy.cells, used) == set()
    stubs = [cell for cell in copy.cells if "exercise" in cell.metadata.get("tags", [])]
    assert len(stubs) == len([e for e in EXERCISES.values() if e.chapter == stem[:2]])


def small_chapter():
    def tagged(cell, *tags):
        cell.metadata["tags"] = list(tags)
        return cell

    figure = new_output("display_data", {"text/html": "<figure><svg></svg></figure>"})
    return new_notebook(
        cells=[
            new_markdown_cell("# 1. A title"),
            tagged(new_markdown_cell("After this chapter you can\n\n- add"), "goals"),
            new_markdown_cell("## A part\n\nSome text.\n\n$$ x_i < 1 $$"),
            new_markdown_cell("More text."),
            new_code_cell("draw()", outputs=[figure]),
            tagged(new_markdown_cell("Before it.\n\n> **Predict.** Let $x = 1$."), "predict"),
            tagged(
                new_code_cell(
                    'predict("What is x?", ["One.", "Two."], right=0, why="It is.")', outputs=[figure]
                ),
                "predict",
            ),
            tagged(new_markdown_cell("### Exercise 1 (easy)"), "question"),
            tagged(new_code_cell("def f_solution(): secret"), "solution"),
        ]
    )


def test_a_deck_shows_sections_figures_and_predictions_and_no_solution():
    made = course.slides(small_chapter())
    assert [title for title, _, _ in made] == ["1. A title", "A part", "A part", "A part"]
    assert "\\[" in made[1][1]
    assert "x_i &lt; 1" in made[1][1]
    assert "Some text." in made[1][2]
    assert "More text." in made[1][2]
    assert made[2][1] == "<figure><svg></svg></figure>"
    assert "Before it." in made[2][2]
    assert "Before it." not in made[3][1]
    assert re.search(r"<blockquote>.*Let .*<p>What is x\?</p>.*<li>Two.</li>", made[3][1], re.DOTALL)
    assert "<details><summary>Answer</summary>One. It is.</details>" in made[3][1]
    assert course.first_sentence("\n> **Box.** x\n\nFirst, $x$.\nThen.") == "First, $x$."
    page = course.deck(small_chapter(), "0;")
    assert "secret" not in page
    assert "Exercise 1" not in page
    assert not re.search(r"(src|href)=.https?:", page)


def test_a_figure_stands_below_the_sentence_that_announces_it():
    chapter = small_chapter()
    chapter.cells[2].source = "## A part\n\nThe sheet below is a memory."
    chapter.cells.insert(4, new_code_cell("x = 1"))
    chapter.cells.insert(6, copy.deepcopy(chapter.cells[5]))
    part, second, asked = course.slides(chapter)[1:]
    assert re.search(r"The sheet below is a memory.*<figure>", part[1], re.DOTALL)
    assert "More text." in part[2]
    assert second[1] == "<figure><svg></svg></figure>"
    assert "<figure>" not in asked[1]


@pytest.mark.parametrize("stem", CHAPTERS)
def test_a_deck_asks_every_prediction_and_has_its_right_answer(stem):
    chapter = CHAPTERS[stem]
    asked = {"predict": predict}
    boxes = [body for _, body, _ in course.slides(chapter) if "<summary>Answer</summary>" in body]
    cells = [cell for cell in chapter.cells if "predict" in cell.metadata.get("tags", [])]
    questions = [eval(cell.source, asked) for cell in cells if cell.cell_type == "code"]
    assert questions
    for body, question in zip(boxes, questions, strict=True):
        assert body.startswith("<blockquote>")
        assert course.inline(question.question) in body
        right = f"{course.inline(question.answers[question.right])} {course.inline(question.why)}"
        assert f"<summary>Answer</summary>{right}</details>" in body


def test_mathjax_is_one_script_that_cannot_end_too_early():
    script = course.mathjax()
    assert len(script) > 1_000_000
    assert "</script" not in script


def test_the_student_site_has_no_solution_no_instructors_page_and_no_definition(tmp_path):
    built = tmp_path / "html"
    page = (
        '<ul><li><a href="instructors.html">For instructors</a></li><li><a href="x.html">X</a></li></ul>'
        '<article><div class="cell tag_solution docutils">secret</div><p>See <a href="instructors.html#a">it'
        '</a> and <a href="_modules/bpa/checks/chapter_01.html">source</a>.</p></article>'
        '<link href="instructors.html" rel="prev"/>'
    )
    index = {
        "docnames": ["index", "instructors"],
        "titles": ["Front", "For instructors, secret"],
        "terms": {"see": [0, 1], "secret": [0, 1], "sourc": 0, "lectur": 1, "onlythere": 1},
        "titleterms": {"front": 0, "secret": 1},
        "alltitles": {"Front": [[0, None]], "A secret": [[1, "a"]]},
        "indexentries": {"a secret": [[1, "b", False]], "f()": [[0, "c", False]]},
    }
    for name in ("index.html", "instructors.html", "_modules/bpa/checks/chapter_01.html"):
        (built / name).parent.mkdir(parents=True, exist_ok=True)
        (built / name).write_text(page)
    (built / "searchindex.js").write_text(f"Search.setIndex({json.dumps(index)})")
    (built / "_sources" / "chapters").mkdir(parents=True)
    (built / "_sources" / "instructors.md").write_text("secret")
    nbformat.write(small_chapter(), built / "_sources" / "chapters" / "01_x.ipynb")
    nbformat.write(small_chapter(), built / "_sources" / "chapters" / "unknown.ipynb")
    course.student_site(built, tmp_path / "site", {"01_x": small_chapter()})
    for path in (tmp_path / "site").rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "secret" not in text, path
            assert 'href="instructors' not in text, path
            assert "_modules/bpa/checks" not in text, path
    assert course.LATER in (tmp_path / "site" / "instructors.html").read_text()
    front = (tmp_path / "site" / "index.html").read_text()
    assert "x.html" in front
    assert "<p>See it and source.</p>" in front  # a sentence without a link is a sentence still
    found = course.searched((tmp_path / "site" / "searchindex.js").read_text())
    # "Front" is in the index of titles, and not on this page
    assert found["terms"] == {"see": [0], "sourc": [0], "lectur": [1]}
    assert found["titles"] == ["Front", ""]
    assert found["alltitles"] == {"Front": [[0, None]]}
    assert found["indexentries"] == {"f()": [[0, "c", False]]}
    assert not (tmp_path / "site" / "_sources" / "instructors.md").exists()


@pytest.mark.parametrize("name", course.ASSIGNMENTS)
def test_an_assignment_is_what_nbgrader_reads(name):
    sheet = course.assignment(name, CHAPTERS)
    nbformat.validate(sheet)
    known = {cell.metadata.nbgrader.grade_id for cell in sheet.cells}
    assert len(known) == len(sheet.cells)
    points = [cell.metadata.nbgrader.points for cell in sheet.cells if cell.metadata.nbgrader.grade]
    assert points == [EXERCISES[check].points for check in course.ASSIGNMENTS[name]]
    for cell in sheet.cells:
        if cell.metadata.nbgrader.solution:
            before, _, rest = cell.source.partition("### BEGIN SOLUTION")
            assert rest.rstrip().endswith("### END SOLUTION")
            function = ast.parse(before + "raise NotImplementedError").body[-1]
            assert isinstance(function, ast.FunctionDef)
            ast.parse(cell.source)


@pytest.mark.parametrize("name", course.ASSIGNMENTS)
def test_the_solution_of_an_assignment_passes_its_tests_and_the_stub_does_not(name, capsys):
    sheet = course.assignment(name, CHAPTERS)
    code = [cell.source for cell in sheet.cells if cell.cell_type == "code"]
    space = {}
    for source in code:
        exec(source, space)
    assert capsys.readouterr().out.count("✓") == len(course.ASSIGNMENTS[name])
    answer, tests = code[1], code[2]
    exec(answer.partition("### BEGIN SOLUTION")[0] + "...", space)
    with pytest.raises(AssertionError, match="not answered"):
        exec(tests, space)


@pytest.fixture(scope="module")
def listed():
    return course.exercise_list(CHAPTERS)


def test_the_list_of_exercises_has_all_that_a_chapter_says(listed):
    assert [entry["name"] for entry in listed["exercises"]] == list(EXERCISES)
    for entry in listed["exercises"]:
        exercise = EXERCISES[entry["name"]]
        assert (entry["function"], entry["points"]) == (exercise.function, exercise.points)
        assert entry["level"].split(",")[0] in ("easy", "medium", "hard", "harder", "open-ended")
        assert untouched_stub(entry)
        assert f"def {entry['function']}_solution(" in entry["solution"]
        assert f"checks.{entry['name']}({entry['function']}_solution)" in entry["solution"]
        assert len(entry["question"]) > 80
        assert len(entry["hint"]) > 20
        assert "<details" not in entry["hint"]
        assert len(entry["slips"]) >= 3 or entry["name"] == "senses_only", entry["name"]  # which is played
        assert all(" " in slip for slip in entry["slips"]), entry["slips"]
    assert json.loads(json.dumps(listed)) == listed
    for field in listed["exercises"][0]:
        assert f"`{field}`" in course.FIELDS


def untouched_stub(entry):
    space = {"torch": torch}
    exec(entry["stub"], space)
    return untouched(space[entry["function"]])


def test_the_folder_says_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "mathjax", lambda: "0;")
    monkeypatch.setattr(course, "executed", lambda notebook: notebook)
    left_out = course.make(tmp_path / "course", tmp_path / "nothing built", chromium=None)
    assert [line.split(":")[0].split(" ")[0] for line in left_out] == ["figures", "handouts", "the"]
    for folder, suffix in (("student", "ipynb"), ("lecturer", "ipynb"), ("slides", "html")):
        assert {path.stem for path in (tmp_path / "course" / folder).glob(f"*.{suffix}")} >= set(CHAPTERS)
    assert "handouts" not in (tmp_path / "course" / "README.md").read_text()
    shutil.rmtree(tmp_path / "course")


ANSWERS = (ROOT / "course" / "exam_answers.md").read_text(encoding="utf-8")


def test_every_exam_question_has_its_answer_and_the_public_page_has_none():
    page = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8")
    asked = re.findall(r"^\*\*(\d+)\.\*\* ", page, re.MULTILINE)
    assert re.findall(r"^## (\d+)$", ANSWERS, re.MULTILINE) == asked
    assert "Answer\n" not in page
    for line in ANSWERS.split("\n"):
        assert len(line) < 40 or line not in page, line


def test_the_numbers_in_the_answers_are_right():
    (program,) = re.findall(r"^```python\n(.*?)^```", ANSWERS, re.DOTALL | re.MULTILINE)
    exec(program, {})


def test_sessions_leave_ten_minutes():
    page = (ROOT / "book" / "instructors.md").read_text(encoding="utf-8").partition("### One day")[0]
    rows = re.findall(r"^\| \d+ \| [^|]* \| ([^|]*) \|", page, re.MULTILINE)
    assert [sum(map(int, re.findall(r"\((\d+)\)", row))) for row in rows] == [80] * 10
