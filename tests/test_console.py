"""Consoles that cannot encode, and streams that are missing, closed or full, end no command."""

import io
import os
import subprocess
import sys

import pytest

from bpa.cli import main
from bpa.console import forgiving_streams
from bpa.experiments import bench, reproduce
from bpa.train import TrainConfig

TINY = ["--iterations", "2", "--batch-size", "2", "--hidden-size", "5", "--episode-length", "8", "--quiet"]
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}


class Console(io.TextIOWrapper):
    """A stream of some encoding, as a console's, whose bytes can be looked at."""

    def __init__(self, encoding, errors="strict"):
        super().__init__(io.BytesIO(), encoding=encoding, errors=errors, newline="\n")

    def said(self):
        self.flush()
        return self.buffer.getvalue().decode(self.encoding, "surrogateescape")


def consoles(monkeypatch, encoding):
    """stdout and stderr of this encoding, from now on; pytest puts its own there before each test."""
    streams = Console(encoding), Console(encoding)
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    return streams


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_every_command_that_names_a_path(tmp_path, monkeypatch, encoding):
    monkeypatch.chdir(tmp_path)
    out, err = consoles(monkeypatch, encoding)
    small = ["--config", "λ.toml", "--variants", "none", "--seeds", "1", "--workers", "1"]
    (tmp_path / "λ.toml").write_text("iterations = 2\nepisode_length = 8\nbatch_size = 2\n", encoding="utf-8")
    for command in (
        ["train", *TINY, "--out", "λ"],
        ["plot", "λ", "--save", "λ.png"],
        ["play", "λ", "--save", "λ.gif"],
        ["play", "λ"],
        ["reproduce", "maze", "--quick", "--out", "λλ", *small],
    ):
        assert main(command) == 0
    said = out.said()
    for line in (r"\u03bb: 2 iterations", "\\u03bb.png\n", "\\u03bb.gif\n", r"\u03bb\u03bb: 1 of 1 runs"):
        assert line in said
    assert err.said() == ""
    assert main(["train", *TINY, "--out", "λ"]) == 2
    assert r"out \u03bb" in err.said()
    assert err.said().count("\n") == 1
    assert (out.errors, err.errors) == ("strict", "strict"), "the streams are the caller's again"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "UTF-8"])
def test_what_the_parser_refuses_is_one_short_line_everywhere(monkeypatch, encoding):
    monkeypatch.setattr(sys, "stdout", Console(encoding))
    for flag, said in (
        (["--size", "x"], "Error parsing --size: invalid literal for int() with base 10: 'x'"),
        (["--speed", "9"], "Unrecognized options: --speed, 9"),
        (["--out"], "Missing value for argument '--out'. Expected 1 values."),
    ):
        monkeypatch.setattr(sys, "stderr", Console(encoding))
        assert main(["train", *flag]) == 2
        assert sys.stderr.said() == f"bpa: error: {said}\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_help_is_shown_and_the_streams_given_back(monkeypatch, encoding):
    out, err = consoles(monkeypatch, encoding)
    with pytest.raises(SystemExit):
        main(["reproduce", "--help"])
    assert "--workers" in out.said()
    assert (out.errors, err.errors) == ("strict", "strict")


def test_bytes_of_a_path_that_are_no_text(monkeypatch):
    path = os.fsdecode(b"caf\xe9")
    for errors, expected in (("strict", r"caf\udce9 α"), ("surrogateescape", "caf\udce9 α")):
        monkeypatch.setattr(sys, "stdout", Console("utf-8", errors))
        with forgiving_streams():
            print(path, "α", end="")
        assert sys.stdout.said() == expected
        assert sys.stdout.errors == errors


@pytest.mark.parametrize("missing", ["none", "closed"])
def test_missing_streams(tmp_path, monkeypatch, missing):
    streams = [None, None] if missing == "none" else [Console("utf-8"), Console("utf-8")]
    for name, stream in zip(("stdout", "stderr"), streams, strict=True):
        monkeypatch.setattr(sys, name, stream)
        if stream is not None:
            stream.close()
    quiet = [flag for flag in TINY if flag != "--quiet"]
    assert main(["train", *quiet, "--out", str(tmp_path / "run")]) == 0
    assert main(["play", str(tmp_path / "run")]) == 0
    assert main(["fly"]) == 2
    assert [sys.stdout, sys.stderr] == streams


def shell(command, **environment):
    """What a command line says and how it ends."""
    line = command.replace("bpa ", f"{sys.executable} -m bpa ", 1)
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        encoding="ascii",
        errors="replace",
        env=os.environ | environment,
    )


@pytest.mark.skipif(os.name != "posix", reason="a shell's redirections")
def test_real_consoles():
    closed = shell("bpa --version >&- 2>&-")
    assert (closed.returncode, closed.stdout, closed.stderr) == (0, "", "")
    full = shell("bpa --version >/dev/full")
    assert (full.returncode, full.stderr) == (1, "bpa: [Errno 28] No space left on device\n")
    # A command is quoted by its repr, in which such a locale has it as bytes that are no text.
    unable = shell("bpa evaluate nowhere-λ", **C_LOCALE)
    assert unable.returncode == 2
    assert unable.stderr.startswith("bpa: error: nowhere-")
    assert unable.stderr.count("\n") == 1


def test_children_speak_utf8_whatever_the_console(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    config = TrainConfig(out=str(tmp_path / "λ"), iterations=1)
    (tmp_path / "λ").mkdir()  # which is refused, by name
    with pytest.raises(ChildProcessError, match=r"λ failed: .*λ"):
        list(reproduce.side_by_side([reproduce.Job("none", config, 1)], workers=2))


def test_what_a_measuring_child_said_is_read_whatever_it_is(monkeypatch):
    talk = "import sys; sys.stderr.buffer.write(bytes([99, 233, 10])); print('λ'); sys.exit(1)"
    run = subprocess.run
    monkeypatch.setattr(
        bench.subprocess, "run", lambda command, **options: run([sys.executable, "-c", talk], **options)
    )
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with pytest.raises(ValueError, match=r"eager failed at .*: c\ufffd$"):
        bench.measure(bench.Case("eager", 2, 3, 4), 0.01)
