"""The owner's address: unset, nothing is made up; set, one tool carries it to all who need it."""

import builtins
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf8"))
CHAPTERS = sorted((ROOT / "book" / "chapters").glob("*.ipynb"))
OURS = "https://example.org/owner/step-by-step"


def address(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "tools" / "address.py", "--root", root, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def first_code(chapter: Path) -> nbformat.NotebookNode:
    cells = nbformat.read(chapter, as_version=4).cells
    return next(cell for cell in cells if cell.cell_type == "code")


@pytest.fixture
def project(tmp_path):
    """A copy of the files that depend on the address, and a function that sets it."""
    files = [
        "README.md",
        "pyproject.toml",
        "CITATION.cff",
        "LICENSE",
        "results/README.md",
        "book/_config.yml",
        "book/chapters/ruff.toml",
    ]
    for name in [*files, *(path.relative_to(ROOT) for path in CHAPTERS)]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)

    shutil.copytree(ROOT / "bpa", tmp_path / "bpa")  # so that ruff knows which imports are ours

    def set_address(value):
        config = tmp_path / "book" / "_config.yml"
        lines = config.read_text(encoding="utf8").splitlines()
        kept = [f"address: {json.dumps(value)}" if line.startswith("address:") else line for line in lines]
        config.write_text("\n".join(kept), encoding="utf8")
        return tmp_path

    return set_address


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_every_file_follows_the_address():
    checked = address(ROOT, "--check")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_chapter_begins_with_the_same_quiet_cell():
    cells = [first_code(chapter) for chapter in CHAPTERS]
    assert len(cells) == 16
    assert {cell.id for cell in cells} == {"find-bpa"}
    assert len({(cell.source, json.dumps(cell.metadata)) for cell in cells}) == 1
    assert "remove-cell" in cells[0].metadata.tags  # the page shows nothing of it
    assert cells[0].metadata.jupyter.source_hidden
    lines = cells[0].source.splitlines()
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 74


def test_nothing_is_made_up_while_no_address_is_set():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
    known = CONFIG["address"]
    assert project.get("urls", {}) == ({"Repository": known} if known else {})
    assert citation.get("repository-code", "") == known


def without_bpa(monkeypatch) -> None:
    """No `bpa` can be imported, as where nothing is installed."""
    real = builtins.__import__

    def absent(name, *arguments, **keywords):
        if name.partition(".")[0] == "bpa":
            raise ModuleNotFoundError("No module named 'bpa'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", absent)


def test_unset_the_cell_says_in_one_line_what_to_do(project, monkeypatch):
    root = project("")
    assert address(root).returncode == 0
    source = first_code(root / "book" / "chapters" / "01_hebb.ipynb").source
    exec(source, {})
    ran = []
    monkeypatch.setattr(subprocess, "run", ran.append)
    without_bpa(monkeypatch)
    with pytest.raises(ModuleNotFoundError) as refusal:
        exec(source, {})
    assert str(refusal.value) == "No module named 'bpa': %pip install FOLDER, your copy of this project"
    assert ran == []


def test_set_it_reaches_every_file_and_can_be_taken_back(project, monkeypatch):
    before = contents(project(""))
    root = project(OURS)
    checked = address(root, "--check")
    assert checked.returncode == 1
    assert len(checked.stdout.splitlines()) == 16 + 3
    assert address(root).returncode == 0
    assert address(root, "--check").returncode == 0

    readme = (root / "README.md").read_text(encoding="utf8")
    assert f"[`results/README.md`]({OURS}/blob/HEAD/results/README.md)" in readme
    assert f"[`LICENSE`]({OURS}/blob/HEAD/LICENSE)" in readme
    assert f'<img src="{OURS}/raw/HEAD/.github/agent.svg"' in readme
    assert "conda env create -f environment.yml\n" in readme  # in a block of code nothing is a link
    project_file = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf8"))
    assert project_file["project"]["urls"] == {"Repository": OURS}
    assert project_file["project"]["scripts"] == {"bpa": "bpa.cli:main"}
    assert yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf8"))["repository-code"] == OURS

    chapters = sorted((root / "book" / "chapters").glob("*.ipynb"))
    for command in (["check"], ["format", "--check"]):
        subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", *chapters], cwd=root, check=True
        )
    (source,) = {first_code(chapter).source for chapter in chapters}
    ran = []
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", lambda command, check: ran.append((command, check)))
        exec(source, {})
        assert ran == []  # installed: nothing
        without_bpa(patch)
        exec(source, {})
    pip = [sys.executable, "-m", "pip", "install", "--quiet", f"backpropamine @ git+{OURS}"]
    assert ran == [(pip, True)]

    assert address(project("")).returncode == 0
    assert contents(root) == before


def test_other_cells_of_a_chapter_stay_as_they_are(project):
    root = project(OURS)
    path = root / "book" / "chapters" / "01_hebb.ipynb"
    before = nbformat.read(path, as_version=4).cells
    before = [cell for cell in before if cell.id != "find-bpa"]
    assert address(root).returncode == 0
    after = nbformat.read(path, as_version=4)
    nbformat.validate(after)
    assert [cell for cell in after.cells if cell.id != "find-bpa"] == before
    assert after.cells[2].id == "find-bpa"


def test_a_repository_may_be_named_with_its_ending(project):
    root = project(f"{OURS}.git")
    assert address(root).returncode == 0
    assert yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf8"))["repository-code"] == OURS


def test_a_configuration_with_a_byte_order_mark_is_read(project):
    root = project(OURS)
    config = root / "book" / "_config.yml"
    config.write_text(config.read_text(encoding="utf8"), encoding="utf-8-sig", newline="\r\n")
    assert address(root).returncode == 0
    assert address(root, "--check").returncode == 0
    assert yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf8"))["repository-code"] == OURS


@pytest.mark.parametrize(
    "wrong",
    [
        "http://example.org/owner/name",
        "example.org/owner/name",
        "https://example.org",
        "https://example.org/owner/name/",
        'https://example.org/a"; import os',
        "https://example.org/owner/a name",
        "git@example.org:owner/name",
        7,
        ["https://example.org/owner/name"],
    ],
)
def test_what_is_no_address_is_refused_and_writes_nothing(project, wrong):
    root = project(wrong)
    before = contents(root)
    for arguments in ([], ["--check"]):
        refused = address(root, *arguments)
        assert refused.returncode == 2
        assert refused.stderr.count("\n") == 1
        assert "address must be https://HOST/OWNER/NAME or empty, got" in refused.stderr
    assert contents(root) == before
