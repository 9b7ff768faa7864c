"""Folders with spaces and of every script, folders that may only be read, a missing home: all work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bpa.cli import main
from bpa.training.checkpoint import load_weights, read_history

TINY = ["--iterations", "2", "--batch-size", "2", "--hidden-size", "5", "--episode-length", "8", "--quiet"]
SETTINGS = "iterations = 2\nepisode_length = 8\nbatch_size = 2\nhidden_size = 5\n"
NAMES = ["two words", "Ω μάθηση", "迷宫", "🧠 é"]


def every_command(run, settings):
    """Command lines that write to `run` and beside it, in order."""
    beside = Path(run).parent
    small = ["--config", settings, "--variants", "none", "--seeds", "1", "--workers", "1"]
    return [
        ["train", *TINY, "--out", run],
        ["train", "--out", run, "--resume", "--iterations", "3"],
        ["evaluate", run, "--episodes", "2"],
        ["plot", run, "--save", str(beside / "ein Bild – 画.png")],
        ["play", run, "--save", str(beside / "ein Film – 画.gif")],
        ["reproduce", "maze", "--quick", "--out", f"{run} all", *small],
    ]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_in_folders_of_every_script(tmp_path, capsys, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / "settings – 设.toml").write_text(SETTINGS, encoding="utf-8")
    for command in every_command(str(folder / name), str(folder / "settings – 设.toml")):
        assert main(command) == 0, capsys.readouterr().err
    assert capsys.readouterr().err == ""
    assert len(read_history(folder / name / "history.csv")) == 3
    assert {path.name for path in folder.iterdir()} == {
        name,
        f"{name} all",
        "settings – 设.toml",
        "ein Bild – 画.png",
        "ein Film – 画.gif",
    }
    assert (folder / f"{name} all" / "figure.png").stat().st_size > 1000
    assert list(tmp_path.iterdir()) == [folder]


def test_relative_paths_in_such_a_folder(tmp_path, monkeypatch, capsys):
    (tmp_path / NAMES[1]).mkdir()
    monkeypatch.chdir(tmp_path / NAMES[1])
    assert main(["train", *TINY]) == 0
    assert main(["evaluate", "runs/maze-simple-0", "--episodes", "2"]) == 0
    assert [path.name for path in Path("runs").iterdir()] == ["maze-simple-0"]


def test_processes_side_by_side_in_such_a_folder(tmp_path):
    (tmp_path / "s.toml").write_text(SETTINGS, encoding="utf-8")
    out = tmp_path / NAMES[3]
    command = ["reproduce", "maze", "--quick", "--config", str(tmp_path / "s.toml"), "--out", str(out)]
    assert main([*command, "--variants", "none", "--seeds", "1", "--workers", "2"]) == 0
    assert len((out / "final.csv").read_text(encoding="utf-8").splitlines()) == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder."""
    folder = tmp_path_factory.mktemp("folders") / "run"
    assert main(["train", *TINY, "--out", str(folder)]) == 0
    return folder


watched: list[str] = []  # folders below which every change is noted
changed: list[str] = []


def note(event, arguments):
    """An audit hook, which stays for good: what is changed below a watched folder."""
    if not watched:
        return
    writes = event in ("os.mkdir", "os.rename", "os.remove") or (
        event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    )
    if writes and str(arguments[0]).startswith(tuple(watched)):
        changed.append(str(arguments[0]))


def test_a_folder_that_may_only_be_read_is_read_and_left_alone(trained, tmp_path):
    """Nothing is refused to root, who may run this, so what is tried is noted."""
    sys.addaudithook(note)
    watched.append(str(trained))
    try:
        assert main(["evaluate", str(trained), "--episodes", "2"]) == 0
        assert main(["play", str(trained)]) == 0
        assert main(["plot", str(trained), "--save", str(tmp_path / "curve.png")]) == 0
        assert load_weights(trained)[1].iterations == 2
        assert changed == []
        (trained / "new").touch()
        assert changed == [str(trained / "new")], "the hook sees what is changed"
    finally:
        watched.clear()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a folder that refuses even root")
def test_where_nothing_can_be_written_one_line_says_so(trained, tmp_path, monkeypatch, capsys):
    for command, said in (
        (["train", *TINY, "--out", "/proc/self/run"], "out /proc/self/run cannot be made"),
        (
            ["plot", str(trained), "--save", "/proc/self/curve.png"],
            "save /proc/self/curve.png cannot be written",
        ),
        (
            ["play", str(trained), "--save", "/proc/self/film.gif"],
            "save /proc/self/film.gif cannot be written",
        ),
        (
            ["reproduce", "maze", "--quick", "--out", "/proc/self/all", "--variants", "none"],
            "out /proc/self/all cannot be made",
        ),
    ):
        assert main(command) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    monkeypatch.chdir("/proc/self")
    assert main(["evaluate", str(trained), "--episodes", "2"]) == 0
    assert main(["train", *TINY]) == 2
    assert "runs/maze-simple-0 cannot be made" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("home", "commands"),
    [
        ({}, ["train FLAGS --out run", "evaluate run --episodes 2", "play run --save film.gif"]),
        ({"HOME": "/nowhere/at/all"}, ["train FLAGS --out run", "plot run --save curve.png"]),
    ],
)
def test_a_missing_home(tmp_path, home, commands):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOME", "XDG_"))}
    lines = [command.replace("FLAGS", " ".join(TINY)).split() for command in commands]
    program = f"from bpa.cli import main\nassert [main(line) for line in {lines}] == [0] * {len(lines)}"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", env=kept | home, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    made = {path.name for path in tmp_path.iterdir()}
    assert made == ({"run", "curve.png"} if home else {"run", "film.gif"})
