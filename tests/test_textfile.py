"""Text files: what Windows editors make of them is read, or refused in one line, on every system alike."""

import ast
import csv
import json
from pathlib import Path

import pytest

from bpa import TrainConfig
from bpa.cli import main
from bpa.experiments import reproduce
from bpa.show import curves
from bpa.training import checkpoint as runs

ROOT = Path(__file__).parents[1]
TINY = ["--iterations", "2", "--batch-size", "2", "--hidden-size", "5", "--episode-length", "8", "--quiet"]


def in_windows_dress(text):
    """The same text as editors of Windows save it, by encoding; the last two are not UTF-8."""
    lines = text.replace("\n", "\r\n")
    return {
        "CRLF": lines.encode("utf-8"),
        "BOM": text.encode("utf-8-sig"),
        "BOM and CRLF": lines.encode("utf-8-sig"),
        "UTF-16": lines.encode("utf-16"),
        "cp1252": lines.encode("cp1252"),
    }


DRESSES = list(in_windows_dress(""))
UTF8 = DRESSES[:3]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder."""
    folder = tmp_path_factory.mktemp("text") / "run"
    assert main(["train", *TINY, "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("dress", DRESSES)
def test_a_file_of_settings(tmp_path, capsys, dress):
    path = tmp_path / "settings.toml"
    path.write_bytes(
        in_windows_dress("# für später, größer\nhidden_size = 6\n\n[cues]\ncue_bits = 7\n")[dress]
    )
    out = tmp_path / "run"
    code = main(["train", *TINY, "--task", "cues", "--config", str(path), "--out", str(out)])
    said = capsys.readouterr().err
    if dress in UTF8:
        assert (code, runs.read_settings(out).cues.cue_bits) == (0, 7)
    else:
        assert code == 2
        assert said == f"bpa: error: config {path} is no TOML: it is not UTF-8 text; save it as UTF-8\n"
        assert not out.exists()


@pytest.mark.parametrize("dress", DRESSES)
def test_history_and_settings_of_a_run(trained, tmp_path, dress):
    history = (trained / "history.csv").read_text(encoding="utf-8") + "é"  # a torn last line
    config = TrainConfig(out="é")
    settings = json.dumps(config.as_dict(), indent=2, ensure_ascii=False)
    (tmp_path / "history.csv").write_bytes(in_windows_dress(history)[dress])
    (tmp_path / "config.json").write_bytes(in_windows_dress(settings)[dress])
    if dress in UTF8:
        assert runs.read_history(tmp_path / "history.csv") == runs.read_history(trained / "history.csv")
        assert runs.read_settings(tmp_path) == config
        curves.save_curves([str(tmp_path)], tmp_path / "curve.png")
        return
    with pytest.raises(
        ValueError, match=r"history.csv cannot be read: it is not UTF-8 text; save it as UTF-8"
    ):
        runs.read_history(tmp_path / "history.csv")
    with pytest.raises(ValueError, match=r"config.json .*save it as UTF-8"):
        runs.read_settings(tmp_path)


@pytest.mark.parametrize("dress", DRESSES)
def test_tables_and_settings_of_a_comparison(tmp_path, dress):
    row = reproduce.Point("maze", "é", 0, 1, 2.0, 3.0)
    text = "task,variant,seed,iteration,reward,seconds\nmaze,é,0,1,2.0,3.0\n"
    (tmp_path / "curves.csv").write_bytes(in_windows_dress(text)[dress])
    (tmp_path / "settings.json").write_bytes(in_windows_dress('{"a": "é"}')[dress])
    if dress in UTF8:
        assert reproduce.read_table(tmp_path / "curves.csv", reproduce.Point) == [row]
        assert reproduce.read_json(tmp_path / "settings.json") == {"a": "é"}
        return
    for read in (
        lambda: reproduce.read_table(tmp_path / "curves.csv", reproduce.Point),
        lambda: reproduce.read_json(tmp_path / "settings.json"),
    ):
        with pytest.raises(ValueError, match=r"(curves.csv|settings.json) .*save it as UTF-8"):
            read()


def test_what_is_written_is_utf8_with_plain_line_ends(trained):
    for name in ("history.csv", "config.json"):
        data = (trained / name).read_bytes()
        assert b"\r" not in data
        assert data.endswith(b"\n")
        data.decode("ascii")
    assert len(list(csv.reader((trained / "history.csv").open(encoding="utf-8")))) == 3


OPENS = {"open": 1, "fdopen": 1, "NamedTemporaryFile": 0, "TemporaryFile": 0}  # where the mode stands
RUNS = {"run", "Popen", "check_output", "call", "check_call"}


def careless(source):
    """Lines that leave an encoding, or the line ends of what is written, to the system."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        bare, unended = "encoding" not in named, "newline" not in named
        wrong = False
        if name in RUNS:
            wrong = bare and bool({"text", "universal_newlines"} & named.keys())
        elif name in ("read_text", "TextIOWrapper"):
            wrong = bare
        elif name == "write_text":
            wrong = bare or unended
        elif name in OPENS and owner not in ("os", "Image", "webbrowser", "tarfile"):
            place = 0 if name == "open" and owner not in ("", "io", "codecs", "gzip") else OPENS[name]
            given = call.args[place] if len(call.args) > place else named.get("mode")
            mode = (
                ("w+b" if name.endswith("File") else "r")
                if given is None
                else str(getattr(given, "value", ast.unparse(given)))
            )
            wrong = "b" not in mode and (bare or (unended and bool(set(mode) & set("wax+"))))
        if wrong:
            found.append(call.lineno)
    return found


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("open(path)", True),
        ("open(path, 'a')", True),
        ("open(path, 'a', encoding='utf-8')", True),
        ("open(path, mode='w', encoding='utf-8', newline='\\n')", False),
        ("open(path, encoding='utf-8')", False),
        ("open(path, 'rb')", False),
        ("path.open()", True),
        ("path.open('wb')", False),
        ("Image.open(path)", False),
        ("os.open(os.devnull, os.O_WRONLY)", False),
        ("path.read_text()", True),
        ("path.read_text(encoding='utf-8')", False),
        ("path.write_text('', encoding='utf-8')", True),
        ("path.write_text('', encoding='utf-8', newline='\\n')", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command, text=True, encoding='utf-8')", False),
        ("subprocess.run(command)", False),
        ("tempfile.NamedTemporaryFile('w')", True),
    ],
)
def test_careless_lines_are_found(line, wrong):
    assert careless(line) == ([1] if wrong else [])


def test_no_file_leaves_its_encoding_to_the_system():
    files = [
        path
        for folder in ("bpa", "tools", "book", "benchmarks", "examples")
        for path in ROOT.glob(f"{folder}/**/*.py")
    ]
    assert len(files) > 40
    found = [f"{path.relative_to(ROOT)}:{line}" for path in files for line in careless(path.read_bytes())]
    assert found == []
