"""`make release-check`: its stages are named, and the tests that it runs elsewhere are there."""

import contextlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def release():
    """The tool as a module."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_unknown_stage_is_refused_before_anything_is_built():
    command = [sys.executable, ROOT / "tools" / "release.py", "wheels"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "STAGE must be one of lowest, highest, wheel, sdist, platforms, got 'wheels'" in done.stderr


def test_every_stage_is_described(release):
    described = re.findall(r"^    (\w+)  +\w", release.__doc__, re.MULTILINE)
    assert described[: len(release.STAGES)] == list(release.STAGES)


def test_what_it_tests_elsewhere_is_here(release):
    for test in release.RANGE_TESTS + release.SDIST_TESTS:
        file, _, function = test.partition("::")
        assert f"def {function}" in (ROOT / file).read_text(encoding="utf-8")


def test_it_asks_for_the_pythons_that_the_metadata_names(release):
    named = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert list(release.PYTHONS) == named


def test_a_command_that_fails_is_told_with_its_last_lines(release, tmp_path, monkeypatch):
    monkeypatch.setattr(release, "LOGS", tmp_path)
    trial = release.Trial("wheel", tmp_path, tmp_path, "*")
    trial.run(sys.executable, "-c", "print('fine')")
    with pytest.raises(release.Failed, match=r"no such thing\nexit code 1, see .*wheel.log"):
        trial.run(sys.executable, "-c", "import sys; sys.exit('no such thing')")
    assert "fine" in (tmp_path / "wheel.log").read_text()


def test_where_the_page_of_cpu_builds_does_not_answer_the_index_is_asked(release, monkeypatch):
    def silent(*arguments, **settings):
        raise release.urllib.error.URLError("no route")

    monkeypatch.setattr(release.sys, "platform", "linux")
    monkeypatch.setattr(release.urllib.request, "urlopen", silent)
    assert release.torch_builds() == []
    monkeypatch.setattr(release.urllib.request, "urlopen", lambda *_, **__: contextlib.nullcontext())
    assert release.torch_builds() == ["--torch-backend", "cpu"]
    monkeypatch.setattr(release.sys, "platform", "darwin")
    assert release.torch_builds() == []
