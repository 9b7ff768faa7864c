"""Every chapter has the anatomy that its readers count on: goals, predictions, a twin, exercises and more."""

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt
from nbformat import NotebookNode
from pybtex.database import Entry, parse_file
from pybtex.richtext import Text

BOOK = Path(__file__).parents[1] / "book"
CHAPTERS = sorted((BOOK / "chapters").glob("*.ipynb"))
TIMES = re.compile(r"^\| about \d+ minutes.*\| about \d+ seconds", re.MULTILINE)
TIES = re.compile(r"\.\./|__file__|\.parents?\b|\b(?:get)?cwd\b|\b(?:results|benchmarks)/")
HEAD = "| Time to read | Time to run | You need |"
PARTS = ("What to remember", "**In the paper", "**Further reading.**", "**Next.**")
ANSWER = "solution"  # a solution's function is called NAME_solution


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def tagged(notebook: NotebookNode, tag: str, kind: str) -> list[NotebookNode]:
    """Cells of one kind that carry a tag."""
    return [
        cell for cell in notebook.cells if cell.cell_type == kind and tag in cell.metadata.get("tags", [])
    ]


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Calls of a name or an attribute, as ("plots.show", call)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            yield ast.unparse(node.func), node


def parsed(cell: NotebookNode) -> ast.Module:
    """A cell of code as its tree; nothing, if it holds text."""
    return ast.parse(cell.source if cell.cell_type == "code" else "")


def has_assertion(cell: NotebookNode) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(parsed(cell)))


def head_faults(notebook: NotebookNode) -> Iterator[str]:
    """Title with its number, goals, minutes and seconds, then a picture before the first equation."""
    first, head = notebook.cells[:2]
    if not re.match(r"# \d+\. \S", first.source):
        yield "the first cell is not a title with its number"
    goals = tagged(notebook, "goals", "markdown")
    if goals != [head]:
        yield "the second cell does not hold the goals"
    _, _, after = head.source.partition("**After this chapter you can**")
    if not 3 <= len(re.findall(r"^- ", after, re.MULTILINE)) <= 5:
        yield "the head does not name 3 to 5 goals"
    if HEAD not in head.source or not TIMES.search(after):
        yield "the head does not say how many minutes to read and how many seconds to run"
    for cell in notebook.cells:
        if cell.cell_type == "code" and re.search(r"plots\.show\(|widgets\.|diagrams\.", cell.source):
            break
        if cell.cell_type == "markdown" and "$$" in cell.source:
            yield "an equation comes before the first picture"
            break


def folded(cell: NotebookNode) -> bool:
    """Whether JupyterLab and Colab keep the source of a cell out of sight until it is asked for."""
    hidden = cell.metadata.get("jupyter", {}).get("source_hidden")
    return bool(hidden) and cell.metadata.get("cellView") == "form"


def run_faults(notebook: NotebookNode) -> Iterator[str]:
    """Predictions before what they predict, the twin, the live figure and the broken idea."""
    cells = notebook.cells
    questions = tagged(notebook, "predict", "code")
    if not questions:
        yield "nothing is to be predicted"
    for cell in tagged(notebook, "predict", "markdown"):
        if "> **Predict.**" not in cell.source or "<details>" in cell.source:
            yield f"{cell.id} is no question in a box, or gives its answer away"
        if "?" in cell.source.partition("> **Predict.**")[2]:
            yield f"{cell.id} asks in its box, and the choices below it ask again"
        if cells[cells.index(cell) + 1] not in questions:
            yield f"{cell.id} is followed by no choice of answers"
    for cell in questions:
        place = cells.index(cell)
        if "predict(" not in cell.source or "remove-input" not in cell.metadata.tags or not folded(cell):
            yield f"{cell.id} shows its answer before it asks"
        if "predict" not in cells[place - 1].metadata.get("tags", []):
            yield f"{cell.id} has no question before it"
        results = [later for later in cells[place + 1 : place + 4] if later.cell_type == "code"]
        if not any("hide-output" in later.metadata.get("tags", []) for later in results):
            yield f"{cell.id} comes before no result that is folded"
    twins = tagged(notebook, "twin", "code")
    if not any(has_assertion(cell) for cell in twins):
        yield "no twin is asserted to be equal"
    if not any(re.search(r"\bexplore\(|widgets\.", cell.source) for cell in tagged(notebook, "play", "code")):
        yield "there is nothing to play with"
    if not any(re.search(r"\bexplore\(|widgets\.\w+_", cell.source) for cell in cells):
        yield "nothing moves that the author did not draw beforehand"
    broken = tagged(notebook, "break", "code")
    if not broken:
        yield "nothing is broken"
    for cell in broken:
        said = [word for line in printed(cell) for word in re.findall(r"[A-Za-z]{2,}", line)]
        if printed(cell) and len(said) < 3:
            yield f"{cell.id} prints numbers and does not say in words what they are"


def printed(cell: NotebookNode) -> list[str]:
    """The fixed part of every text that a cell prints."""
    return [
        " ".join(
            str(node.value)
            for part in call.args
            for node in ast.walk(part)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        for called, call in calls(parsed(cell))
        if called == "print"
    ]


def stub_of(cell: NotebookNode) -> str | None:
    """The name of the function that a reader is to write here; None if the cell is no stub."""
    functions = [node for node in parsed(cell).body if isinstance(node, ast.FunctionDef)]
    if len(functions) != 1:
        return None
    body = functions[0].body[1:] if ast.get_docstring(functions[0]) else []
    empty = len(body) == 1 and isinstance(body[0], ast.Expr) and ast.unparse(body[0]) == "..."
    return functions[0].name if empty else None


def checked(cell: NotebookNode) -> list[str]:
    """What a cell hands to a check."""
    return [ast.unparse(call.args[0]) for called, call in calls(parsed(cell)) if called.startswith("checks.")]


def exercise_faults(notebook: NotebookNode) -> Iterator[str]:
    """Three exercises or more: a question, a stub to type into, its check, a hint, a folded solution."""
    questions = tagged(notebook, "question", "markdown")
    if len(questions) < 3:
        yield f"there are {len(questions)} exercises"
    for number, cell in enumerate(questions, 1):
        place = notebook.cells.index(cell)
        stub, check, hint, solution = notebook.cells[place + 1 : place + 5]
        tags = [part.metadata.get("tags", []) for part in (stub, check, hint, solution)]
        if not cell.source.startswith(f"### Exercise {number}: "):
            yield f"{cell.id} has no number"
        name = stub_of(stub)
        if name is None or "exercise" not in tags[0]:
            yield f"{cell.id} has no stub to type into"
            continue
        if "check" not in tags[1] or name not in checked(check):
            yield f"{cell.id} does not check {name}"
        if "hint" not in tags[2] or "<summary>Hint</summary>\n\n" not in hint.source:
            yield f"{cell.id} has no folded hint"
        if not {"solution", "hide-input"} <= set(tags[3]) or not folded(solution):
            yield f"{cell.id} has no folded solution"
        wanted = f"{name}_{ANSWER}"
        if not solution.source.startswith("# @title ") or wanted not in checked(solution):
            yield f"the solution of {cell.id} does not check {wanted}"
    for cell in tagged(notebook, "solution", "code"):
        if not folded(cell):
            yield f"{cell.id} is not folded"
        if printed(cell) and "hide-output" not in cell.metadata.tags:
            yield f"{cell.id} shows what it prints before it is asked"


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
            if called in ("plots.show", "widgets.frames", "explore"):
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


# What the page folds by a tag, JupyterLab folds by this.
IN_LAB = {"hide-input": "source_hidden", "remove-input": "source_hidden", "hide-output": "outputs_hidden"}


SHOWS = {
    r"plots\.show|explore|(widgets|diagrams)\.\w+|\w+\.picture": "figure",
    r"table|\w+_table|outcome": "table",
    r"Markdown": "text",
}


def shown_kind(cell: NotebookNode) -> str | None:
    """What the last line of a cell puts on the page, where that can be seen from its name."""
    *_, last = [None, *parsed(cell).body]
    if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call):
        return None
    name = ast.unparse(last.value.func)
    return next((kind for pattern, kind in SHOWS.items() if re.fullmatch(pattern, name)), None)


def fold_faults(notebook: NotebookNode) -> Iterator[str]:
    """What the page folds is folded in JupyterLab too, and the other way round; its name says what it is."""
    for cell in notebook.cells:
        tags, folded = cell.metadata.get("tags", []), cell.metadata.get("jupyter", {})
        kind = shown_kind(cell) if "hide-input" in tags else None
        names = cell.metadata.get("mystnb", {})
        for verb in ("show", "hide"):
            if kind and kind not in names.get(f"code_prompt_{verb}", ""):
                yield f"{cell.id} folds the code of a {kind} under another name"
        for tag, name in IN_LAB.items():
            if tag in tags and not folded.get(name):
                yield f"{cell.id} has {tag}, but not {name}"
        for name in ("source_hidden", "outputs_hidden"):
            shown = not {"remove-cell", *(tag for tag in IN_LAB if IN_LAB[tag] == name)} & {*tags}
            if folded.get(name) and shown:
                yield f"{cell.id} has {name}, and the page shows it"


def end_faults(notebook: NotebookNode) -> Iterator[str]:
    """The last cell sums up, names the paper's section and leads on."""
    last = notebook.cells[-1]
    if "summary" not in last.metadata.get("tags", []):
        yield "the last cell is no summary"
    yield from (f"the summary lacks: {part}" for part in PARTS if part not in last.source)


def faults(notebook: NotebookNode) -> list[str]:
    """What a chapter lacks; empty if it has everything."""
    parts = (head_faults, run_faults, exercise_faults, figure_faults, fold_faults, end_faults)
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


def bound(tree: ast.AST) -> set[str]:
    """Every name that a cell binds, in its functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(part.asname or part.name).partition(".")[0] for part in node.names}
    return names


def unnamed(notebook: NotebookNode) -> list[str]:
    """Names that an open cell takes from one that the page does not show, and that no text names."""
    text = " ".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    removed: set[str] = set()
    seen: set[str] = set()
    found = []
    for cell in notebook.cells:
        tree, tags = parsed(cell), cell.metadata.get("tags", [])
        if "remove-input" in tags:
            removed |= bound(tree)
            continue
        if "hide-input" not in tags:
            used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            borrowed = (used & removed) - seen - bound(tree)
            found += [f"{cell.id} takes {name}" for name in sorted(borrowed) if f"`{name}" not in text]
        seen |= bound(tree)
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_what_comes_from_a_cell_that_is_not_shown_is_named(chapter):
    assert unnamed(read(chapter)) == []


def test_a_name_from_a_cell_that_is_not_shown_is_caught():
    code, text = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
    hidden = code("import torch\n\nside = 8", metadata={"tags": ["remove-input"]})
    shown = code("torch.ones(side)", id="shown")
    folded = code("torch.ones(side)", metadata={"tags": ["hide-input"]})
    assert unnamed(nbformat.v4.new_notebook(cells=[hidden, folded, shown])) == [
        "shown takes side",
        "shown takes torch",
    ]
    words = text("The cell that drew the picture has imported `torch` and set `side`.")
    assert unnamed(nbformat.v4.new_notebook(cells=[hidden, words, shown])) == []
    own = code("import torch\n\nside = 9\ntorch.ones(side)")
    assert unnamed(nbformat.v4.new_notebook(cells=[hidden, own, shown])) == []


def repeated(notebook: NotebookNode) -> list[str]:
    """Lines of text, longer than a phrase, that stand in a chapter more than once."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    lines = Counter(line for cell in cells for line in cell.source.splitlines() if len(line) > 60)
    return [line for line, times in lines.items() if times > 1]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_no_line_of_text_stands_in_a_chapter_twice(chapter):
    assert repeated(read(chapter)) == []


def test_a_line_that_was_put_in_twice_is_caught():
    line = "- A median hides the runs that failed, so count them against a floor, and say which."
    again = nbformat.v4.new_markdown_cell(f"{line}\n{line}\n- Short.\n- Short.")
    assert repeated(nbformat.v4.new_notebook(cells=[again])) == [line]


HIDDEN = {"cellView": "form", "jupyter": {"source_hidden": True}}


def whole() -> NotebookNode:
    """The smallest chapter that has everything."""
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    stub = 'def twice{0}(x):\n    """Two x."""\n    {1}'
    cells = [
        text("# 3. Twice", id="title"),
        text(
            "Why?\n\n**After this chapter you can**\n\n- add;\n- double;\n- halve.\n\n"
            f"{HEAD}\n|---|---|---|\n| about 5 minutes | about 5 seconds | nothing |",
            id="goals",
            metadata={"tags": ["goals"]},
        ),
        code('widgets.play_maze(alt="A maze", caption="Play.")', id="hero", metadata={"tags": ["play"]}),
        text("> **Predict.** We add $x$ to itself.", id="ask", metadata={"tags": ["predict"]}),
        code(
            '# @title Predict\npredict("What is x + x?", ["x", "2 x"], right=1, why="So.")',
            id="ask-choice",
            metadata={"tags": ["predict", "remove-input"], **HIDDEN},
        ),
        code(
            "print(x + x)",
            id="ask-result",
            metadata={"tags": ["hide-output"], "jupyter": {"outputs_hidden": True}},
        ),
        code(
            "figure, axes = plt.subplots()\nplots.show(figure, alt='A line', caption='Rises.')", id="figure"
        ),
        code("assert x + x == 2 * x", id="twin", metadata={"tags": ["twin"]}),
        code("x * x", id="broken", metadata={"tags": ["break"]}),
    ]
    solved = stub.format("_solution", "return x + x")
    for number in (1, 2, 3):
        cells += [
            text(f"### Exercise {number}: double (easy)", id=f"e{number}", metadata={"tags": ["question"]}),
            code(stub.format("", "..."), id=f"e{number}-stub", metadata={"tags": ["exercise"]}),
            code("checks.twice(twice)", id=f"e{number}-check", metadata={"tags": ["check"]}),
            text(
                "<details>\n<summary>Hint</summary>\n\nAdd.\n\n</details>",
                id=f"e{number}-hint",
                metadata={"tags": ["hint"]},
            ),
            code(
                "\n\n".join(["# @title Solution", solved, "\nchecks.twice(twice_solution)"]),
                id=f"e{number}-solution",
                metadata={"tags": ["solution", "hide-input"], **HIDDEN},
            ),
        ]
    cells.append(text("\n".join(PARTS), id="summary", metadata={"tags": ["summary"]}))
    return nbformat.v4.new_notebook(cells=cells)


def without(tag: str) -> Callable[[NotebookNode], None]:
    def change(notebook):
        notebook.cells = [cell for cell in notebook.cells if tag not in cell.metadata.get("tags", [])]

    return change


def found_cell(notebook: NotebookNode, identity: str) -> NotebookNode:
    (cell,) = [cell for cell in notebook.cells if cell.id == identity]
    return cell


def replaced(identity: str, old: str, new: str) -> Callable[[NotebookNode], None]:
    def change(notebook):
        cell = found_cell(notebook, identity)
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return change


def retagged(identity: str, *tags: str) -> Callable[[NotebookNode], None]:
    def change(notebook):
        found_cell(notebook, identity).metadata.tags = list(tags)

    return change


def shown(identity: str) -> Callable[[NotebookNode], None]:
    def change(notebook):
        del found_cell(notebook, identity).metadata["jupyter"]

    return change


def moved(identity: str, places: int) -> Callable[[NotebookNode], None]:
    def change(notebook):
        cell = found_cell(notebook, identity)
        place = notebook.cells.index(cell)
        notebook.cells.insert(place + places, notebook.cells.pop(place))

    return change


MUTATIONS = [
    (without("goals"), "the second cell does not hold the goals"),
    (without("predict"), "nothing is to be predicted"),
    (without("twin"), "no twin is asserted to be equal"),
    (without("play"), "there is nothing to play with"),
    (without("break"), "nothing is broken"),
    (without("solution"), "e1 has no folded solution"),
    (without("check"), "e1 does not check"),
    (without("exercise"), "e1 has no stub"),
    (without("summary"), "the last cell is no summary"),
    (moved("summary", -1), "the last cell is no summary"),
    (replaced("title", "3. ", ""), "the first cell is not a title with its number"),
    (replaced("goals", "- ", ""), "the head does not name 3 to 5 goals"),
    (replaced("goals", "seconds", "moments"), "the head does not say how many"),
    (lambda notebook: found_cell(notebook, "goals").update(source="$$x$$ Why?"), "an equation comes before"),
    (replaced("hero", "widgets.play_maze", "print"), "there is nothing to play with"),
    (replaced("hero", "widgets.play_maze", "widgets.frames"), "nothing moves that the author did not draw"),
    (replaced("ask", "**Predict.**", "Now"), "ask is no question"),
    (replaced("ask", "> ", ""), "ask is no question in a box"),
    (
        replaced("ask", "itself.", "itself. <details>$2 x$</details>"),
        "ask is no question in a box, or gives",
    ),
    (replaced("ask", "itself.", "itself. What is $x + x$?"), "ask asks in its box, and the choices"),
    (moved("ask-choice", 1), "ask is followed by no choice"),
    (shown("ask-choice"), "ask-choice shows its answer before it asks"),
    (retagged("ask-choice", "predict"), "ask-choice shows its answer before it asks"),
    (retagged("ask-result"), "ask-choice comes before no result that is folded"),
    (retagged("ask"), "ask-choice has no question before it"),
    (replaced("twin", "assert ", ""), "no twin is asserted"),
    (replaced("e1-stub", "...", "return 0"), "e1 has no stub"),
    (replaced("e1-hint", "Hint", "Aside"), "e1 has no folded hint"),
    (replaced("e1-hint", "\n\nAdd", "\nAdd"), "e1 has no folded hint"),
    (replaced("e1-check", "(twice)", "(checks.twice)"), "e1 does not check twice"),
    (replaced("e1-solution", "checks.twice(twice_solution)", "checks.twice(twice)"), "the solution of e1"),
    (replaced("e1-solution", "# @title Solution", "# The solution"), "the solution of e1"),
    (shown("e2-solution"), "e2-solution is not folded"),
    (shown("ask-result"), "ask-result has hide-output, but not outputs_hidden"),
    (retagged("ask-result"), "ask-result has outputs_hidden, and the page shows it"),
    (retagged("e2-solution", "solution"), "e2 has no folded solution"),
    (replaced("e3", "Exercise 3", "Exercise 4"), "e3 has no number"),
    (replaced("figure", "alt=", "title="), "figure shows a figure without alt"),
    (replaced("figure", "caption=", "title="), "figure shows a figure without caption"),
    (replaced("figure", "plots.show(", "print("), "figure draws a figure that it does not show"),
    (replaced("figure", "'A line'", "''"), "figure shows a figure without alt"),
    (replaced("ask", "We add", "![](memory.png) We add"), "ask has an image without"),
    (replaced("broken", "x * x", 'print(f"{x:3.1f} {x * x}")'), "broken prints numbers and does not say"),
    (replaced("e1-solution", "return x + x", "print(x)"), "e1-solution shows what it prints"),
    (retagged("figure", "hide-input"), "figure folds the code of a figure under another name"),
    (replaced("summary", "**Next.**", "Next."), "the summary lacks: **Next.**"),
]


@pytest.mark.parametrize(("change", "fault"), MUTATIONS)
def test_a_chapter_that_lacks_something_is_caught(change, fault):
    notebook = whole()
    assert faults(notebook) == []
    change(notebook)
    found = faults(notebook)
    assert any(line.startswith(fault) for line in found), found


def test_fewer_than_three_exercises_are_too_few():
    notebook = whole()
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("e3")]
    assert faults(notebook) == ["there are 2 exercises"]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_the_number_in_the_title_is_that_of_the_file(chapter):
    assert read(chapter).cells[0].source.startswith(f"# {int(chapter.stem[:2])}. ")


def prose(path: Path) -> str:
    """All text of a notebook or a page."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


# What only Sphinx reads, in text from which code and maths were taken.
SPHINX = {
    "a directive": re.compile(r"^\s*(?::::|```\s*\{)", re.MULTILINE),
    "a role": re.compile(r"\{[a-z:]+\}`"),
    "a label": re.compile(r"^\([\w-]+\)=", re.MULTILINE),
    "a substitution": re.compile(r"\{\{"),
}


def portable_faults(text: str) -> list[str]:
    """What JupyterLab, VS Code, Colab or a code host would show as it stands."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    fences = [token for token in tokens if token.type == "fence" and token.info.startswith("{")]
    bare = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", "", text, flags=re.DOTALL)
    found = [f"a directive: {token.info}" for token in fences]
    found += [f"{name}: {match[0]}" for name, pattern in SPHINX.items() for match in pattern.finditer(bare)]
    # A fold whose text follows the summary directly is shown as raw Markdown.
    found += [
        f"a fold without an empty line: {match[0]!r}"
        for match in re.finditer(r"</summary>\n(?!\n)|[^\n]\n</details>", text)
    ]
    if text.count("<details>") != text.count("</details>"):
        found.append("a fold that is not closed")
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_reads_right_without_sphinx(chapter):
    assert [
        fault
        for cell in read(chapter).cells
        for fault in portable_faults(cell.source)
        if cell.cell_type == "markdown"
    ] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (":::{admonition} Hint\n:::", "a directive"),
        ("```{note}\nx\n```", "a directive"),
        ("see {doc}`02_plastic_network`", "a role"),
        ("(here)=\n## Here", "a label"),
        ("{{ number }}", "a substitution"),
        ("<details>\n<summary>Hint</summary>\nAdd.\n\n</details>", "a fold without"),
        ("<details>\n<summary>Hint</summary>\n\nAdd.\n</details>", "a fold without"),
        ("<details>\n<summary>Hint</summary>\n\nAdd.", "a fold that is not closed"),
        ("$\\frac{a}{b}$ and `x` and\n\n```python\n{1: 2}\n```", None),
    ],
)
def test_what_only_sphinx_reads_is_caught(text, fault):
    found = portable_faults(text)
    assert any(line.startswith(fault) for line in found) if fault else found == [], found


def anchor(heading: str) -> str:
    """The address of a heading within its page, as myst-parser makes it."""
    return re.sub(r"[^\w\u4e00-\u9fff\- ]", "", heading.strip().lower().replace(" ", "-"))


def links(text: str) -> list[tuple[str, str]]:
    """Text and address of every link and image in plain Markdown."""
    return re.findall(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)", text)


def dead_links(path: Path) -> list[str]:
    """Links of a page to files or headings of the book that are not there."""
    dead = []
    for _, address in links(prose(path)):
        name, _, heading = address.partition("#")
        if re.match(r"[a-z]+:", address):
            continue
        target = (path.parent / name) if name else path
        if not target.exists() or (
            heading and heading not in map(anchor, re.findall(r"^#+ (.*)$", prose(target), re.MULTILINE))
        ):
            dead.append(address)
    return dead


PAGES = [path for path in sorted(BOOK.rglob("*.md")) if "_build" not in path.parts]


@pytest.mark.parametrize("page", [*CHAPTERS, *PAGES], ids=lambda path: path.stem)
def test_links_within_the_book_lead_somewhere(page):
    assert dead_links(page) == []


def test_dead_links_are_caught(tmp_path):
    (tmp_path / "other.md").write_text("## Hebb's rule\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#hebbs-rule) [b](other.md#oja) [c](none.md) [d](https://x.org)", encoding="utf-8"
    )
    assert dead_links(page) == ["other.md#oja", "none.md"]


def test_chapters_look_words_up_in_the_glossary():
    looked_up = {a for path in CHAPTERS for _, a in links(prose(path)) if a.startswith("../glossary.md#")}
    assert len(looked_up) > 50


def test_glossary_is_in_order():
    words = re.findall(r"^## (.*)$", prose(BOOK / "glossary.md"), re.MULTILINE)
    assert words == sorted(words, key=str.lower)
    assert len(words) > 100


def surnames(entry: Entry) -> str:
    """Hebb; Ba and Hinton; Miconi et al."""
    people = [" ".join((*person.prelast_names, *person.last_names)) for person in entry.persons["author"]]
    names = [str(Text.from_latex(name)) for name in people]
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names)


SOURCES = parse_file(str(BOOK / "references.bib")).entries


def address_of(entry: Entry) -> str:
    """Where a source can be read: its DOI, arXiv or page; for a book without any, the bibliography."""
    fields = entry.fields
    if "doi" in fields:
        return f"https://doi.org/{fields['doi']}"
    if "eprint" in fields:
        return f"https://arxiv.org/abs/{fields['eprint']}"
    return fields.get("url", "bibliography.md")


def cited(page: Path) -> Iterator[tuple[str, str]]:
    """Words and address of every link that looks like a citation, and of every link to a source."""
    addresses = {address_of(entry) for entry in SOURCES.values()}
    for words, address in links(prose(page)):
        address = address.removeprefix("../")
        scholarly = re.match(r"https?://(?:dx\.)?(?:doi|arxiv)\.org", address)
        if scholarly or (address in addresses and re.search(r"\b(?:19|20)\d\d\b", words)):
            yield words, address


def citations(entry: Entry) -> set[tuple[str, str]]:
    """The links by which an entry may be cited."""
    who, year = surnames(entry), entry.fields["year"]
    return {(words, address_of(entry)) for words in (f"{who} ({year})", f"{who}, {year}", year)}


def test_every_source_is_cited():
    used = {link for page in (*CHAPTERS, *PAGES) for link in cited(page)}
    keys = {
        key
        for page in PAGES
        for found in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", prose(page))
        for key in found.split(",")
    }
    assert {key for key, entry in SOURCES.items() if key not in keys and not citations(entry) & used} == set()


@pytest.mark.parametrize("page", [*CHAPTERS, *PAGES], ids=lambda path: path.stem)
def test_citations_name_who_wrote_it_and_when(page):
    known = set().union(*map(citations, SOURCES.values()))
    assert set(cited(page)) - known == set()


def test_sections_that_the_introduction_sends_its_readers_to_exist():
    named = re.findall(
        r"^\d\. \[[^\]]*\]\((chapters/\w+\.ipynb)\), (.*)", prose(BOOK / "intro.md"), re.MULTILINE
    )
    assert len(named) == 5
    for chapter, text in named:
        headings = re.findall(r"^## ([^:\n]*)", prose(BOOK / chapter), re.MULTILINE)
        sections = re.findall(r'"([^"]+)"', text)
        assert sections
        assert set(sections) <= set(headings), chapter
