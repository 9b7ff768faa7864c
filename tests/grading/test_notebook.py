"""What of a notebook is run for a function, and what in it is foul."""

import json
from pathlib import Path

import pytest

from bpa import checks
from bpa.checks.compare import EXERCISES
from bpa.grading.notebook import checked, code_cell, foul_play, read_notebook, sent_for

CHAPTERS = sorted((Path(__file__).parents[2] / "book" / "chapters").glob("*.ipynb"))


def cells(*sources):
    return [code_cell(number, source) for number, source in enumerate(sources, start=1)]


def sent(name, *sources):
    """The lines that are sent for a function, by the number of their cell."""
    found = sent_for(cells(*sources), name)
    return {place[5:]: [line for line in source.split("\n") if line] for place, source in found.cells}


def test_a_function_gets_what_it_needs_and_nothing_else():
    assert sent(
        "f",
        "import torch\nimport math",
        "big = train()\nSIZE = 3",
        "def helper(x):\n    return torch.ones(SIZE)",
        "def f(big):\n    return helper(big)\nprint(f(1))",
        "pre = g = 3",
    ) == {
        "1": ["import torch"],
        "2": ["SIZE = 3"],
        "3": ["def helper(x):", "    return torch.ones(SIZE)"],
        "4": ["def f(big):", "    return helper(big)"],
    }


def test_lines_stay_where_they_stand_in_the_cell():
    (entry,) = sent_for(cells("a = 1\n\n\n@b\ndef f():\n    return 1"), "f").cells
    assert entry == ("cell 1", "\n\n\n@b\ndef f():\n    return 1")


def test_what_changes_a_table_belongs_to_it():
    assert sent("f", "T = {}\nL = []\nT['a'] = 1\nL.append(2)\nprint(T)", "def f():\n    return T, L")[
        "1"
    ] == [
        "T = {}",
        "L = []",
        "T['a'] = 1",
        "L.append(2)",
    ]


def test_the_last_function_of_a_name_counts_as_in_the_notebook():
    stub, answer = "def f(x):\n    '''Say.'''\n    ...", "def f(x):\n    return f(x - 1)"
    assert sent("f", stub, answer) == {"2": ["def f(x):", "    return f(x - 1)"]}
    assert sent_for(cells(answer, stub), "f").stub
    assert sent_for(cells("for f in train():\n    f = 1", stub), "f").stub
    assert sent("f", stub, answer, "f = faster(f)")["3"] == ["f = faster(f)"]
    assert "2" in sent("f", stub, answer, "f = faster(f)")
    assert sent("f", "f, big = train(), 3", "def f(x):\n    return big") == {
        "1": ["f, big = train(), 3"],
        "2": ["def f(x):", "    return big"],
    }
    assert sent_for(cells("def f(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()"), "f").stub
    assert not sent_for(cells("def f(x):\n    raise ValueError()"), "f").stub
    assert sent_for(cells("x = 1"), "f") is None


def test_the_checks_are_taken_out_of_imports():
    first = "try:\n    import bpa.checks  # noqa\nexcept ModuleNotFoundError:\n    pass"
    lines = sent("f", first, "from bpa import Network, checks", "def f():\n    return bpa, Network, checks")
    assert "checks" not in str(lines["1"])
    assert lines["2"] == ["exec('from bpa import Network')"]


def test_what_comes_later_had_not_happened_when_the_check_ran():
    answer = "def f(x):\n    return SIZE * helper(x)"
    before = ["import torch\nSIZE = 3", answer, "checks.f(f)"]
    later = ["SIZE = 4\nimport torch as helper", "del SIZE", "def helper(x):\n    return x"]
    assert sent("f", *before[:2], *later)["1"] == ["SIZE = 3"]
    found = dict(sent_for(cells(*before, *later), "f", "f").cells)
    assert set(found) == {"cell 1", "cell 2", "cell 4", "cell 6"}  # `helper` had not been there before
    assert "SIZE = 4" not in found["cell 4"]
    again = [*before, "SIZE = 5", "checks.f(f)"]
    assert "SIZE = 5" in str(sent_for(cells(*again), "f", "f").cells)


@pytest.mark.parametrize(
    ("typed", "left"),
    [
        ("%matplotlib inline\n!ls", "pass\npass"),
        ("if True:\n    !pip install x", "if True:\n    pass"),
        ("files = !ls\nbest = %timeit -o f()", "files = None\nbest = None"),
        ("torch.einsum?\n?torch\nf??", "pass\npass\npass"),
        ("%time x = 3", "x = 3"),
        ("%%time\nx = 3", "\nx = 3"),
        ("%%bash\nfor f in *; do ls; done", ""),
        ("%%writefile x.py\nx = 3", ""),
    ],
)
def test_what_only_ipython_understands_is_no_crash(typed, left):
    cell = code_cell(1, typed)
    assert cell.source == left
    assert cell.fault == ""


@pytest.mark.parametrize(
    "source", ["x = (\n    7\n    % 4\n)", "x = '''\n%d of them\n!ls\nreally?\n'''", "# right?\nx = 1"]
)
def test_python_that_looks_like_ipython_stays(source):
    assert code_cell(1, source).source == source


def test_cells_that_are_no_python():
    assert "SyntaxError" in sent_for(cells("def f(:\n    return 1"), "f").fault
    long = "def f(: " + "x + " * 40
    assert "(cell 1, line 1: def f(: x + x + x" in sent_for(cells(long), "f").fault
    assert sent_for(cells(long), "f").fault.endswith("x + ...)")
    assert "(cell 1, line 1: def f(:)" in sent_for(cells("def f(:\n    return 1"), "f").fault
    assert sent_for(cells("def g(:\n    pass", "def f():\n    return 1"), "f").fault == ""


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_holds_nothing_foul_and_its_stubs_are_stubs(path):
    found = read_notebook(path)
    assert foul_play(found, checks.__all__) == []
    here = [exercise for exercise in EXERCISES.values() if exercise.chapter == path.stem[:2]]
    assert {exercise.name for exercise in here} == checked(found)
    for exercise in here:
        assert sent_for(found, exercise.function).stub, exercise.name


def test_points_follow_the_difficulty_that_the_question_states():
    points = {"easy": 1, "medium": 2}
    for path in CHAPTERS:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        question = ""
        for cell in notebook["cells"]:
            tags, source = cell["metadata"].get("tags", []), "".join(cell["source"])
            if "question" in tags:
                question = source.split("\n")[0]
            if "check" in tags:
                name = source.split("checks.")[1].split("(")[0]
                level = question.rsplit("(", 1)[1].rstrip(")").split(",")[0]
                assert EXERCISES[name].points == points.get(level, 3), (path.stem, question)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import torch as t\nt.equal = print", "replaces t.equal (cell 1, line 2: t.equal = print)"),
        ("import numpy\ndel numpy.allclose", "replaces numpy.allclose"),
        ("import bpa.network\nbpa.network.Network = 3", "replaces bpa.network.Network"),
        ("def f():\n    __builtins__.print = 3", "replaces __builtins__.print"),
        ("import torch\nvars(torch)['equal'] = print", "replaces parts of torch"),
        ("import torch\ntorch.__dict__.update(x=1)", "looks into torch.__dict__"),
        ("checks = None", "defines checks anew"),
        ("import fake as checks", "puts fake in the place of the checks"),
        ("from bpa.checks import ridge", "reads bpa.checks.ridge"),
        ("from bpa import checks\nchecks.compare.EXERCISES", "looks into checks.compare"),
        ("from bpa import checks\ninspect.getsource(checks.ridge)", "takes checks.ridge without calling it"),
        ("path = 'site-packages/bpa/checks'", "names the checks in a text"),
    ],
)
def test_foul_play_is_seen(source, fault):
    assert any(fault in told for told in foul_play(cells(source), checks.__all__))


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.manual_seed(1)\ntorch.backends.cudnn.benchmark = True",
        "import torch\nx = torch.zeros(3)\nx.grad = None\nx.data[0] = 1",
        "from bpa import checks\ntry:\n    checks.ridge(ridge)\nexcept checks.NotYet:\n    pass",
        "class Mine:\n    def __init__(self):\n        self.torch = 1",
        "'''A text on bpa.checks\nof two lines.'''",
    ],
)
def test_honest_code_is_not_called_foul(source):
    assert foul_play(cells(source), checks.__all__) == []
