"""Every chapter has the anatomy that its readers count on: goals, predictions, a twin, exercises and more."""

import ast
import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

BOOK = Path(__file__).parents[1] / "book"
CHAPTERS = sorted((BOOK / "chapters").glob("*.ipynb"))
TIMES = re.compile(r"^\| about \d+ minutes.*\| about \d+ seconds", re.MULTILINE)
STUB = re.compile(r"```python\n.*?^def (\w+)\(.*?^    \.\.\.\n```", re.DOTALL | re.MULTILINE)
SOLVED = r"^def {}\(.*### BEGIN SOLUTION.*### END SOLUTION"
TIES = re.compile(r"\.\./|__file__|\.parents?\b|\b(?:get)?cwd\b|\b(?:results|benchmarks)/")
HEAD = "| Time to read | Time to run | You need |"
PARTS = ("What to remember", "**In the paper", "**Further reading.**", "**Next.**")
DROPDOWN = ":class: dropdown"


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def tagged(notebook: NotebookNode, tag: str, kind: str) -> list[NotebookNode]:
    """Cells of one kind that carry a tag."""
    return [
        cell for cell in notebook.cells if cell.cell_type == kind and tag in cell.metadata.get("tags", [])
    ]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Calls of an attribute, as ("plots.show", call)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func), node


def parsed(cell: NotebookNode) -> ast.Module:
    """A cell of code as its tree; nothing, if it holds text."""
    return ast.parse(cell.source if cell.cell_type == "code" else "")


def has_assertion(cell: NotebookNode) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(parsed(cell)))


def head_faults(notebook: NotebookNode) -> Iterator[str]:
    """Title, goals, minutes to read and seconds to run, then a picture before the first equation."""
    first, head = notebook.cells[:2]
    if not re.fullmatch(r"# \S.*", first.source):
        yield "the first cell is not a title"
    goals = tagged(notebook, "goals", "markdown")
    if goals != [head]:
        yield "the second cell does not hold the goals"
    _, _, after = head.source.partition("**After this chapter you can**")
    if not 3 <= len(re.findall(r"^- ", after, re.MULTILINE)) <= 5:
        yield "the head does not name 3 to 5 goals"
    if HEAD not in head.source or not TIMES.search(after):
        yield "the head does not say how many minutes to read and how many seconds to run"
    for cell in notebook.cells:
        if cell.cell_type == "code" and "plots.show(" in cell.source:
            break
        if cell.cell_type == "markdown" and "$$" in cell.source:
            yield "an equation comes before the first picture"
            break


def run_faults(notebook: NotebookNode) -> Iterator[str]:
    """Predictions before what they predict, the twin, the live figure and the broken idea."""
    predictions = tagged(notebook, "predict", "markdown")
    if not predictions:
        yield "nothing is to be predicted"
    for cell in predictions:
        if "**Predict.**" not in cell.source or DROPDOWN not in cell.source.partition("**Predict.**")[2]:
            yield f"{cell.id} is no question with a folded answer"
        place = notebook.cells.index(cell)
        if all(later.cell_type != "code" for later in notebook.cells[place + 1 : place + 3]):
            yield f"{cell.id} comes before nothing that runs"
    twins = tagged(notebook, "twin", "code")
    if not any(has_assertion(cell) for cell in twins):
        yield "no twin is asserted to be equal"
    if not any("widgets." in cell.source for cell in tagged(notebook, "play", "code")):
        yield "there is nothing to play with"
    if not tagged(notebook, "break", "code"):
        yield "nothing is broken"


def exercise_faults(notebook: NotebookNode) -> Iterator[str]:
    """Three exercises or more, each a stub, a hint, a folded solution and a check of that very function."""
    exercises = tagged(notebook, "exercise", "markdown")
    if len(exercises) < 3:
        yield f"there are {len(exercises)} exercises"
    for number, cell in enumerate(exercises, 1):
        place = notebook.cells.index(cell)
        stub = STUB.search(cell.source)
        if not stub or not cell.source.startswith(f"### Exercise {number}:"):
            yield f"{cell.id} has no number or no stub"
            continue
        name = stub[1]
        if not re.search(rf"\{{admonition\}} Hint\n{DROPDOWN}", cell.source):
            yield f"{cell.id} has no folded hint"
        solution, check = notebook.cells[place + 1 : place + 3]
        if not {"solution", "hide-input"} <= set(solution.metadata.get("tags", [])):
            yield f"{cell.id} has no folded solution"
        if not re.search(SOLVED.format(name), solution.source, re.DOTALL | re.MULTILINE):
            yield f"the solution of {cell.id} does not define {name} between the marks of a solution"
        given = [
            ast.unparse(call.args[0]) for called, call in calls(parsed(check)) if called.startswith("checks.")
        ]
        if "check" not in check.metadata.get("tags", []) or name not in given:
            yield f"{cell.id} does not check {name}"


def figure_faults(notebook: NotebookNode) -> Iterator[str]:
    """Words in place of every picture."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if re.search(r"!\[\s*\]", cell.source):
                yield f"{cell.id} has an image without alternative text"
            for directive in re.findall(r"\{(?:figure|image)\}.*?(?:```|:::)", cell.source, re.DOTALL):
                if not re.search(r":alt: *\S", directive):
                    yield f"{cell.id} has a figure without alternative text"
        tree = parsed(cell)
        shown = False
        for called, call in calls(tree):
            words = {keyword.arg: keyword.value for keyword in call.keywords}
            if called in ("plots.show", "widgets.frames"):
                shown = True
                for word in ("alt", "caption"):
                    if not getattr(words.get(word), "value", True) or word not in words:
                        yield f"{cell.id} shows a figure without {word}"
            elif called == "plt.show":
                yield f"{cell.id} shows a figure without alternative text"
        top = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        drawn = [name for node in top for name, _ in calls(node) if name in ("plt.subplots", "plt.figure")]
        if drawn and not shown:
            yield f"{cell.id} draws a figure that it does not show with alternative text"


def end_faults(notebook: NotebookNode) -> Iterator[str]:
    """The last cell sums up, names the paper's section and leads on."""
    last = notebook.cells[-1]
    if "summary" not in last.metadata.get("tags", []):
        yield "the last cell is no summary"
    yield from (f"the summary lacks: {part}" for part in PARTS if part not in last.source)


def faults(notebook: NotebookNode) -> list[str]:
    """What a chapter lacks; empty if it has everything."""
    parts = (head_faults, run_faults, exercise_faults, figure_faults, end_faults)
    return [fault for part in parts for fault in part(notebook)]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_anatomy(chapter):
    assert faults(read(chapter)) == []


def outside_faults(notebook: NotebookNode) -> list[str]:
    """What ties a chapter to its folder: a copy of it alone must run wherever `bpa` is installed."""
    found = []
    for cell in notebook.cells:
        if "../../" in cell.source:
            found.append(f"{cell.id} leaves the book")
        if cell.cell_type == "code":
            found += [f"{cell.id} reads a file of the project: {tie}" for tie in TIES.findall(cell.source)]
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_is_tied_to_no_folder(chapter):
    assert outside_faults(read(chapter)) == []


@pytest.mark.parametrize(
    "source",
    [
        'load_weights("../../results/agents/maze-11.safetensors")',
        'open("../notes.txt")',
        'json.loads(Path("results/maze/settings.json").read_text())',
        "above = [Path.cwd(), *Path.cwd().parents]",
        "os.getcwd()",
        "Path(__file__)",
    ],
)
def test_a_chapter_that_reads_a_file_of_the_project_is_caught(source):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    assert outside_faults(notebook)


def without(tag: str) -> Callable[[NotebookNode], None]:
    def change(notebook):
        notebook.cells = [cell for cell in notebook.cells if tag not in cell.metadata.get("tags", [])]

    return change


def replaced(identity: str, old: str, new: str) -> Callable[[NotebookNode], None]:
    def change(notebook):
        (cell,) = [cell for cell in notebook.cells if cell.id == identity]
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return change


def unfolded(notebook):
    (cell,) = [cell for cell in notebook.cells if cell.id == "exercise-2-solution"]
    cell.metadata.tags = ["solution"]


def shuffled(notebook):
    notebook.cells.append(notebook.cells.pop(-2))


MUTATIONS = [
    (without("goals"), "the second cell does not hold the goals"),
    (without("predict"), "nothing is to be predicted"),
    (without("twin"), "no twin is asserted to be equal"),
    (without("play"), "there is nothing to play with"),
    (without("break"), "nothing is broken"),
    (without("solution"), "exercise-1 has no folded solution"),
    (without("check"), "exercise-1 does not check"),
    (without("summary"), "the last cell is no summary"),
    (shuffled, "the last cell is no summary"),
    (unfolded, "exercise-2 has no folded solution"),
    (replaced("title", "# Cells", "Cells"), "the first cell is not a title"),
    (replaced("goals", "- ", ""), "the head does not name 3 to 5 goals"),
    (replaced("goals", "seconds", "moments"), "the head does not say how many"),
    (replaced("goals", "You build", "$$x$$ You build"), "an equation comes before the first picture"),
    (replaced("twin-outer", "assert ", ""), None),  # the other twin still is one
    (
        replaced("predict-signs", ":class: dropdown\n", ""),
        "predict-signs is no question",
    ),
    (replaced("exercise-1", "    ...\n", "    return 0\n"), "exercise-1 has no number or no stub"),
    (replaced("exercise-1", "Hint", "Aside"), "exercise-1 has no folded hint"),
    (replaced("exercise-1-solution", "### END SOLUTION", ""), "the solution of exercise-1 does not define"),
    (
        replaced("exercise-1-check", "(associate)", "(checks.associate)"),
        "exercise-1 does not check",
    ),
    (replaced("outer-figure", "alt=", "title="), "outer-figure shows a figure without alt"),
    (replaced("outer-figure", "caption=", "title="), "outer-figure shows a figure without caption"),
    (replaced("outer-figure", "plots.show(", "print("), "outer-figure draws a figure that it does not show"),
    (replaced("play-figure", "alt=alts", "alt=''"), "play-figure shows a figure without alt"),
    (
        replaced("hopfield", "A memory", "![](memory.png) A memory"),
        "hopfield has an image without",
    ),
    (replaced("summary", "**Next.**", "Next."), "the summary lacks: **Next.**"),
]


@pytest.mark.parametrize(("change", "fault"), MUTATIONS)
def test_a_chapter_that_lacks_something_is_caught(change, fault):
    notebook = copy.deepcopy(read(BOOK / "chapters" / "01_hebb.ipynb"))
    change(notebook)
    found = faults(notebook)
    if fault is None:
        assert found == []
    else:
        assert any(line.startswith(fault) for line in found), found


def test_fewer_than_three_exercises_are_too_few():
    notebook = read(BOOK / "chapters" / "04_real_images.ipynb")
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("exercise-3")]
    assert faults(notebook) == ["there are 2 exercises"]


def prose(path: Path) -> str:
    """All text of a notebook or a page."""
    if path.suffix == ".md":
        return path.read_text()
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def test_sections_that_the_introduction_sends_its_readers_to_exist():
    named = re.findall(r"^\d\. \{doc\}`(chapters/\w+)`, (.*)", prose(BOOK / "intro.md"), re.MULTILINE)
    assert len(named) == 5
    for chapter, text in named:
        headings = re.findall(r"^## ([^:\n]*)", prose(BOOK / f"{chapter}.ipynb"), re.MULTILINE)
        sections = re.findall(r'"([^"]+)"', text)
        assert sections
        assert set(sections) <= set(headings), chapter


def test_every_word_that_a_page_looks_up_is_in_the_glossary():
    _, _, entries = prose(BOOK / "glossary.md").partition("{glossary}")
    words = {entry.lower() for entry in re.findall(r"^(\w.*)$", entries, re.MULTILINE)}
    texts = "\n".join(prose(path) for path in (*BOOK.glob("*.md"), *CHAPTERS))
    used = set(re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", texts))
    assert len(used) > 50
    assert {word for word in used if word.lower() not in words} == set()
