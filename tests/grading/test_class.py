"""A class of thirty invented students, marked as a lecturer would: who gets what, and why."""

import csv
import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from bpa import checks, cli
from bpa.checks.compare import EXERCISES
from bpa.grading import judge, report

ONLY = ("associate", "complete", "connections", "unroll", "keep_sign", "mended_loss")
CALLS = {name: f"checks.{name}({EXERCISES[name].function})" for name in ONLY}

STUBS = {
    "associate": "def associate(pre, post):\n    '''K pairs.'''\n    ...",
    "complete": "def complete(hebb, cue):\n    ...",
    "connections": "def connections(w, alpha, hebb):\n    ...",
    "unroll": "def unroll(step, xs, pre, hebb):\n    ...",
    "mended_loss": "def mended_loss(logits, values, actions, rewards):\n    ...",
    "keep_sign": "def keep_sign(net, sign):\n    ...",
}

RIGHT = {
    "associate": "def associate(pre, post):\n    return pre.T @ post / pre.shape[1]",
    "complete": "def complete(hebb, cue):\n    return torch.where(cue == 0, (cue @ hebb).sign(), cue)",
    "connections": "def connections(w, alpha, hebb):\n    return w + alpha * hebb",
    "unroll": """def unroll(step, xs, pre, hebb):
    activities = []
    for x in xs:
        pre, hebb = step(x, pre, hebb)
        activities.append(pre)
    return torch.stack(activities), pre, hebb""",
    "mended_loss": """from bpa.training.a2c import a2c_loss
def mended_loss(logits, values, actions, rewards):
    return a2c_loss(logits, values, actions, rewards, concentration_coef=0)""",
    "keep_sign": """import copy
def keep_sign(net, sign):
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.alpha[other.alpha * sign <= 0] = 0
    return other""",
}

UNUSUAL = {
    "associate": """import numpy as np
def associate(pre, post):
    return np.einsum('ki,kj->ij', pre, post) / pre.shape[1]""",
    "complete": """def complete(hebb, cue):
    filled = []
    for j in range(len(cue)):
        arriving = sum(float(cue[i]) * float(hebb[i, j]) for i in range(len(cue)))
        filled.append(float(cue[j]) or (1.0 if arriving > 0 else -1.0))
    return filled""",
    "connections": "connections = lambda w, alpha, hebb: torch.add(w, torch.mul(hebb, alpha)).double()",
    "unroll": """def unroll(step, xs, pre, hebb):
    if len(xs) == 1:
        pre, hebb = step(xs[0], pre, hebb)
        return [pre], pre, hebb
    pre, hebb = step(xs[0], pre, hebb)
    later, last, trace = unroll(step, xs[1:], pre, hebb)
    return [pre, *later], last, trace""",
    "keep_sign": """import bpa
class Keeper:
    def __call__(self, net, sign):
        other = bpa.Network(**net.settings())
        other.load_state_dict(net.state_dict())
        other.alpha.data = torch.where(net.alpha * sign > 0, net.alpha, torch.zeros(()))
        return other
keep_sign = Keeper()""",
}

# Right answers in notebooks that a grader may trip over: what stands before, the answer, what comes after.
PROGRAMS = "import multiprocessing\ndef associate(pre, post):\n    with multiprocessing.Pool(2) as pool:\n"
PROGRAMS += "        return pool.map(abs, [1, 2])"
HONEST = {
    "colab": (
        "!pip -q install numpy\nfiles = !ls\n%cd /content",
        f"%%time\n{RIGHT['associate']}\ntorch.sign?",
        "",
    ),
    "bash": ("%%bash\nfor f in *; do ls; done", RIGHT["associate"], "import asyncio\nawait asyncio.sleep(0)"),
    "later": ("SIZE = 1", RIGHT["associate"].replace("pre.T", "SIZE * pre.T"), "SIZE = None\ndel torch"),
    "compiled": ("", f"@torch.jit.script\n{RIGHT['associate']}", ""),  # which reads the lines of the cell
    # a library that runs a program by itself: refused, survived, and no tampering
    "library": ("import platform", f"{RIGHT['associate']} + 0 * len(platform.processor())", ""),
    "below": (STUBS["associate"], STUBS["associate"], f"{RIGHT['associate']}\nchecks.associate(associate)"),
}

# Five typical wrong answers to one exercise, with the slip that is named.
WRONG = [
    ("def associate(pre, post):\n    return post.T @ pre / pre.shape[1]", "Rows and columns are swapped"),
    ("def associate(pre, post):\n    return pre.T @ post", "not divided by N"),
    ("def associate(pre, post):\n    return pre.T @ post / len(pre)", "that is a mean"),
    ("def associate(pre, post):\n    return -pre.T @ post / pre.shape[1]", "sign is turned round"),
    ("def associate(pre, post):\n    pre.T @ post / pre.shape[1]", "returns nothing"),
    ("def associate(pre, post):\n    return pre[1:].T @ post[1:] / pre.shape[1]", "first pair is missing"),
    ("associate = 3", "It is no function"),
    ("def associate(pre, post):\n    return {'result': pre}", "expected numbers or tensors, got dict"),
    ("async def associate(pre, post):\n    return pre", "expected numbers or tensors, got coroutine"),
]

CRASHES = [
    ("def associate(pre, post):\n    return pre @ post", "RuntimeError: mat1 and mat2"),
    ("def associate(pre, post):\n    return pre.T @@ post", "SyntaxError"),
    (
        "def associate(pre, post):\n    return helper(pre)",
        "NameError: name 'helper' is not defined (cell 5 of crash-2.ipynb, line 2: return helper(pre))",
    ),
    ("import os\ndef associate(pre, post):\n    os._exit(0)", "its process has ended"),
    ("def associate(pre, post):\n    raise SystemExit", "SystemExit"),
    ("def associate(pre, post):\n    return associate(pre, post)", "RecursionError"),
    ("def associate(pre, post):\n    return torch.zeros(10**11)", "memory"),
    (PROGRAMS, "PermissionError: it starts or ends a process"),  # refused, and no tampering
]

SLOW = [
    "def associate(pre, post):\n    while True:\n        pass",
    "import signal\ndef associate(pre, post):\n    import threading\n    threading.Event().wait()",
]

# What is tried, and what the marks say of it. Where the source gives it away, nothing of the notebook is run.
CHEATS = [
    (
        "torch.allclose = lambda *a, **k: True\ndef associate(pre, post):\n    return pre",
        "replaces torch.allclose",
    ),
    (
        "setattr(torch, 'allclose', print)\ndef associate(pre, post):\n    return pre",
        "replaces parts of torch",
    ),
    (
        "import time\ntime.monotonic = lambda: 0\ndef associate(pre, post):\n    return pre",
        "replaces time.mono",
    ),
    (
        "class checks:\n    associate = print\ndef associate(pre, post):\n    return pre",
        "defines checks anew",
    ),
    ("checks.associate = print\ndef associate(pre, post):\n    return pre", "replaces checks.associate"),
    (
        "from bpa.checks.chapter_01 import memory\ndef associate(pre, post):\n    return memory(pre, post)",
        "reads bpa.checks.chapter_01",
    ),
    (
        "def associate(pre, post):\n    return checks.associate.__wrapped__(pre)",
        "takes checks.associate without calling it",
    ),
    (
        "import importlib\ndef associate(pre, post):\n"
        "    return importlib.import_module('.'.join(['bpa', 'checks']))",
        "checks",  # its import, or the file that it would be read from
    ),
    (
        "import glob\ndef associate(pre, post):\n    return len(open(PLACE + '/chapter_01.py').read())",
        "it reads ",
    ),
    ("import os\ndef associate(pre, post):\n    os.system('true')", "starts or ends a process"),
    (
        "import socket\ndef associate(pre, post):\n    socket.create_connection(('127.0.0.1', 9))",
        "uses the network",
    ),
    ("def associate(pre, post):\n    open('/tmp/bpa-left-behind', 'w')", "it writes /tmp/bpa-left-behind"),
    (
        # whatever descriptor the channel has, a message is written into it
        "import os\ndef associate(pre, post):\n"
        "    for d in range(3, 64):\n"
        "        try:\n            os.write(d, b'\\0\\0\\0\\x02\\0\\0\\0\\0{}')\n"
        "        except OSError:\n            pass\n"
        "    return pre",
        "writes into the channel of results",
    ),
]


def cell(source, kind="code", tags=()):
    return {"cell_type": kind, "source": source, "metadata": {"tags": list(tags)}, "outputs": []}


def notebook(path, answers, checking=True, names=ONLY, before="", after=""):
    """A student's notebook: stubs but for these answers, among cells that nobody needs."""
    cells = [
        cell("# A title", "markdown"),
        cell("%matplotlib inline\nimport torch\n\nfrom bpa import checks"),
        cell("raise RuntimeError('no answer needs this cell')"),
        cell(before),
    ]
    for name in names:
        cells.append(cell(answers.get(name, STUBS[name])))
        if checking:
            praise = {
                "output_type": "stream",
                "name": "stdout",
                "text": f"✓ {name}: right on 3 fresh inputs.",
            }
            cells.append({**cell(CALLS[name]), "outputs": [praise]})  # who looks at it is deceived
    cells.append(cell(after))
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    path.write_text(text, encoding="utf-8")
    return text


def folders_of_students(folder):
    """Students who hand in more than one file, or files that no notebook is."""
    # helpers of one name in two notebooks, and what macOS and Jupyter leave behind
    answers = {
        "associate": "def associate(pre, post):\n    return times(pre.T, post) / pre.shape[1]",
        "connections": "def connections(w, alpha, hebb):\n    return w + times(alpha)(hebb)",
    }
    helpers = ("def times(a, b):\n    return a @ b", "def times(a):\n    return lambda b: a * b")
    notebook(folder / "two" / "01_a.ipynb", answers, names=ONLY[:2], before=helpers[0])
    notebook(folder / "two" / "02_b.ipynb", answers, names=ONLY[2:4], before=helpers[1])
    notebook(folder / "two" / ".ipynb_checkpoints" / "01_a-checkpoint.ipynb", {})
    (folder / "two" / "__MACOSX").mkdir()
    for name in ("._01_a.ipynb", "__MACOSX/._01_a.ipynb"):
        (folder / "two" / name).write_bytes(b"\0\5\x16\7 Mac OS X")
    # a browser's second download is the later one, whatever letters say
    notebook(folder / "twice" / "home.ipynb", {"associate": WRONG[0][0], "complete": RIGHT["complete"]})
    notebook(folder / "twice" / "home (1).ipynb", {"associate": RIGHT["associate"]})
    text = notebook(folder / "torn" / "02_b.ipynb", {"connections": RIGHT["connections"]}, names=ONLY[2:4])
    (folder / "torn" / "01_a.ipynb").write_text(text[: len(text) // 2], encoding="utf-8")
    # Chapter 1 has a decay_step of its own, and is no answer to that of Chapter 2
    own = "def decay_step(hebb):\n    return hebb"
    notebook(folder / "=1+1 Ünal, 'Ö' & <b>" / "α β.ipynb", RIGHT, names=ONLY[:2], before=own)


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """The marks of the class, by student."""
    folder = tmp_path_factory.mktemp("class")
    place = str(Path(checks.__file__).parent)
    notebook(folder / "right" / "home.ipynb", RIGHT)
    notebook(folder / "unusual" / "home.ipynb", UNUSUAL)
    notebook(folder / "untagged.ipynb", RIGHT, checking=False)
    notebook(folder / "empty.ipynb", {})
    folders_of_students(folder)
    for name, (before, answer, after) in HONEST.items():
        notebook(folder / f"honest-{name}.ipynb", {"associate": answer}, before=before, after=after)
    (folder / "nothing").mkdir()
    (folder / "broken.ipynb").write_text("no notebook")
    for kind, sources in {"wrong": WRONG, "crash": CRASHES, "cheat": CHEATS}.items():
        for number, (source, _) in enumerate(sources):
            also = {"complete": RIGHT["complete"]} if kind == "crash" else {}
            answer = source.replace("PLACE", repr(place[:-1]) + f" + {place[-1]!r}")
            notebook(folder / f"{kind}-{number}.ipynb", {"associate": answer, **also})
    slow = tmp_path_factory.mktemp("slow")  # apart, since each of them takes all the seconds that it is given
    for number, source in enumerate(SLOW):
        answers = {"associate": source, "complete": RIGHT["complete"]}
        notebook(slow / f"slow-{number}.ipynb", answers)
    lines = []
    found = judge.grade(folder, ONLY, seconds=8, tell=lines.append)
    found += judge.grade(slow, ONLY, seconds=2, tell=lines.append)
    assert len(lines) == len(found) >= 30
    return {one.student: {mark.exercise.name: mark for mark in one.marks} for one in found}, found


def test_right_answers_get_all_points_in_whatever_form(marked):
    for student in ("right", "untagged"):
        assert {mark.status for mark in marked[0][student].values()} == {"right"}, marked[0][student]
    unusual = marked[0]["unusual"]
    assert {name for name in ONLY if unusual[name].status == "right"} == set(UNUSUAL), unusual
    assert unusual["keep_sign"].points == EXERCISES["keep_sign"].points


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_notebook_is_marked_whatever_stands_around_the_answer(marked, name):
    mark = marked[0][f"honest-{name}"]["associate"]
    assert (mark.status, mark.points) == ("right", 1), mark


def test_each_notebook_of_a_student_stands_for_itself(marked):
    two = marked[0]["two"]
    assert [two[name].status for name in ("associate", "connections")] == ["right", "right"]
    assert [one.remarks for one in marked[1] if one.student == "two"] == [[]]


def test_of_two_answers_the_later_file_counts_and_a_stub_counts_for_nothing(marked):
    twice = marked[0]["twice"]
    assert [twice[name].status for name in ("associate", "complete")] == ["right", "right"]
    (one,) = [one for one in marked[1] if one.student == "twice"]
    assert one.remarks == ["associate: in home.ipynb, home (1).ipynb, the last one counts."]


def test_a_torn_file_is_told_and_takes_no_other_chapter_with_it(marked):
    torn = marked[0]["torn"]
    tried = ("connections", "associate", "mended_loss")  # of chapters 2, 1 and 16
    assert [torn[name].status for name in tried] == ["right", "crash", "unanswered"]
    assert torn["associate"].slip == "a file cannot be read"
    (one,) = [one for one in marked[1] if one.student == "torn"]
    assert one.remarks[0].startswith("01_a.ipynb cannot be read: it is no notebook")


def test_an_exercise_has_the_time_that_it_needs(tmp_path):
    agent = "def agent(observation, memory):\n    while True:\n        pass"
    notebook(tmp_path / "ada.ipynb", {"agent": agent}, names=ONLY[:1], before=agent, checking=False)
    (one,) = judge.grade(tmp_path, ["associate", "senses_only"], seconds=0.5)
    assert [mark.status for mark in one.marks] == ["unanswered", "time-out"]
    assert one.marks[1].said == "not ready after 2.5 seconds"


def test_files_as_moodle_and_canvas_hand_them_out(tmp_path):
    notebook(tmp_path / "lovelaceada_12_345_01_hebb.ipynb", RIGHT, names=ONLY[:1])
    notebook(tmp_path / "lovelaceada_LATE_12_346_02_plastic_network-1.ipynb", RIGHT, names=ONLY[2:3])
    notebook(tmp_path / "Bob Bell_78_assignsubmission_file" / "01_hebb.ipynb", RIGHT, names=ONLY[:1])
    notebook(tmp_path / "Cy Cole_9_assignsubmission_file_01_hebb.ipynb", RIGHT, names=ONLY[:1])
    notebook(tmp_path / "eve_v2.ipynb", RIGHT, names=ONLY[:1])
    found = {student: [path.name for path in paths] for student, paths in judge.submissions(tmp_path).items()}
    assert found == {
        "Bob Bell_78_assignsubmission_file": ["01_hebb.ipynb"],
        "Cy Cole_9": ["Cy Cole_9_assignsubmission_file_01_hebb.ipynb"],
        "eve_v2": ["eve_v2.ipynb"],
        "lovelaceada_12": [
            "lovelaceada_12_345_01_hebb.ipynb",
            "lovelaceada_LATE_12_346_02_plastic_network-1.ipynb",
        ],
    }


def test_a_name_is_not_yet_an_exercise(tmp_path):
    folders_of_students(tmp_path)
    marks = {one.student: one.marks for one in judge.grade(tmp_path, ["associate", "decay_step"])}
    right, other = marks["=1+1 Ünal, 'Ö' & <b>"]
    assert (right.status, other.status) == ("right", "unanswered")
    assert marks["torn"][1].said == "there is no function decay_step"


def test_no_answer_is_not_a_wrong_answer(marked):
    for student in ("empty", "nothing"):
        assert {mark.status for mark in marked[0][student].values()} == {"unanswered"}
    assert {mark.status for mark in marked[0]["broken"].values()} == {"crash"}
    assert "no notebook" in marked[0]["broken"]["associate"].said


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_wrong_answer_gets_no_point_and_its_slip_is_named(marked, number):
    mark = marked[0][f"wrong-{number}"]["associate"]
    assert (mark.status, mark.points) == ("wrong", 0)
    assert WRONG[number][1] in f"{mark.slip} {mark.said}"


@pytest.mark.parametrize("number", range(len(CRASHES)))
def test_a_crash_is_told_from_a_wrong_answer_and_costs_no_other_exercise(marked, number):
    marks = marked[0][f"crash-{number}"]
    assert (marks["associate"].status, marks["associate"].points) == ("crash", 0)
    assert CRASHES[number][1] in marks["associate"].said
    assert marks["complete"].status == "right"


@pytest.mark.parametrize("number", range(len(SLOW)))
def test_what_never_ends_is_ended(marked, number):
    marks = marked[0][f"slow-{number}"]
    assert (marks["associate"].status, marks["complete"].status) == ("time-out", "right")


@pytest.mark.parametrize("number", range(len(CHEATS)))
def test_tampering_gets_no_point_and_is_told(marked, number):
    mark = marked[0][f"cheat-{number}"]["associate"]
    assert (mark.status, mark.points) == ("tampering", 0), mark
    assert CHEATS[number][1] in mark.said


def test_a_check_that_is_gone_is_remarked_and_costs_nothing(marked):
    (one,) = [one for one in marked[1] if one.student == "untagged"]
    assert one.remarks == [f"The check is gone of {', '.join(ONLY)}."]
    assert one.points == one.possible == sum(EXERCISES[name].points for name in ONLY)


def test_the_tables_say_who_got_what(marked):
    rows = list(csv.DictReader(report.as_csv(marked[1]).splitlines()))
    assert len(rows) == len(marked[1])
    by_name = {row["student"]: row for row in rows}
    assert by_name["right"]["points"] == by_name["right"]["of"] == "7"
    assert by_name["wrong-2"]["associate: why"].startswith("wrong: You divide by K")
    table = {row[0]: row for row in report.class_table(marked[1])}
    counted = Counter(mark.status for marks in marked[0].values() for mark in [marks["associate"]])
    assert table["associate"][2:8] == [str(counted[status]) for status in report.STATUSES]
    assert "1 × wrong: You divide by K" in table["associate"][8]


def test_the_page_needs_no_other_file_and_shows_what_students_typed_as_text(marked):
    page = report.as_html(marked[1])
    assert "http" not in page
    assert "<script" not in page
    (one,) = [one for one in marked[1] if one.student == "wrong-2"]
    assert "associate is not right yet: You divide by K" in report.feedback(one)
    mark = one.marks[0]._replace(status="crash", said="<script>alert(1)</script>")
    assert "<script" not in report.as_html([one._replace(marks=[mark])])
    assert "&lt;b&gt;" in page


def told(marked, student):
    (one,) = [one for one in marked[1] if one.student == student]
    return report.sentences(one)


def test_a_student_is_told_what_is_missing_and_why(marked):
    assert told(marked, "empty")[1:] == [f"Not answered: {', '.join(ONLY)}."]
    assert told(marked, "nothing")[1:] == [f"No function of this name was handed in: {', '.join(ONLY)}."]
    (nothing,) = [one for one in marked[1] if one.student == "nothing"]
    assert nothing.remarks == ["No notebook was handed in."]
    assert "Not marked, because a file could not be read: associate, complete." in told(marked, "torn")
    assert "associate: expected numbers or tensors, got dict." in told(marked, "wrong-7")
    assert told(marked, "right")[:2] == ["7 of 7 points.", f"Right: {', '.join(ONLY)}."]
    assert "Not marked, please see your lecturer: associate." in told(marked, "cheat-9")


def test_the_slips_of_a_class_come_before_its_crashes(marked):
    (row,) = [row for row in report.class_table(marked[1]) if row[0] == "associate"]
    kinds = [line.split(" × ")[1].partition(":")[0] == "wrong" for line in row[-1].splitlines()]
    assert sum(kinds) >= 7
    assert kinds == sorted(kinds, reverse=True)


def test_a_page_for_one_student_names_no_other_and_says_nothing_of_the_evidence(marked):
    (one,) = [one for one in marked[1] if one.student == "wrong-2"]
    page = report.as_feedback(one)
    assert "You divide by K" in page
    assert "<details open>" in page
    assert "wrong-2" in page
    assert not re.search(r"(wrong|crash|cheat|honest)-(?!2\b)\w", page)


def test_no_cell_of_a_table_is_a_formula(marked):
    one = marked[1][0]._replace(student="=1+1")
    assert "'=1+1" in report.as_csv([one])


def test_the_command_writes_both_files_once(tmp_path, capsys):
    notebook(tmp_path / "class" / "ada.ipynb", RIGHT)
    table, page = tmp_path / "marks.csv", tmp_path / "marks.html"
    asked = [
        "grade",
        str(tmp_path / "class"),
        "--csv",
        str(table),
        "--html",
        str(page),
        "--feedback",
        str(tmp_path / "pages"),
        "--only",
        "associate",
    ]
    assert cli.main(asked) == 0
    assert "ada: 1 of 1" in capsys.readouterr().out
    assert "ada,1,1,1,right" in table.read_text()
    assert "ada" in page.read_text()
    assert "Right: associate." in (tmp_path / "pages" / "ada.html").read_text()
    assert cli.main(asked) == 2
    assert "exists and is never overwritten" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folder": "nowhere"}, "folder nowhere is not there"),
        ({"only": ["nothing"]}, "only must name exercises such as associate"),
        ({"seconds": 0}, "seconds must be"),
        ({"folder": "."}, "neither notebooks nor folders"),
    ],
)
def test_bad_input_is_refused(change, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if not change.get("folder"):
        notebook(tmp_path / "class" / "ada.ipynb", {})
    with pytest.raises(ValueError, match=message):
        judge.grade(**{"folder": "class", **change})


def test_without_a_choice_what_half_of_the_class_has_counts(tmp_path):
    for student in ("ada", "bob", "eve"):
        notebook(tmp_path / f"{student}.ipynb", {})
    path = tmp_path / "eve.ipynb"
    told = json.loads(path.read_text())
    told["cells"] += [cell("def ridge(x, y, penalty): ..."), cell("checks.ridge(ridge)")]
    path.write_text(json.dumps(told))
    read = [judge.read_all([tmp_path / f"{student}.ipynb"])[0] for student in ("ada", "bob", "eve")]
    assert {exercise.name for exercise in judge.chosen([], read)} == set(ONLY)
    assert [exercise.name for exercise in judge.chosen(["04"], read)] == [
        "hide_half",
        "nearest_picture",
        "ridge",
    ]


def test_a_process_of_its_own_where_none_can_be_forked(tmp_path):
    answers = {"associate": CRASHES[3][0], "mended_loss": RIGHT["mended_loss"]}
    notebook(tmp_path / "ada.ipynb", answers)
    (one,) = judge.grade(tmp_path, ["associate", "mended_loss"], seconds=30, fork=False)
    assert [mark.status for mark in one.marks] == ["crash", "right"]


def test_no_process_is_left(marked):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    ours = [line for line in listed.splitlines() if "bpa-student-" in line]
    assert ours == []
