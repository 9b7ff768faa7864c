"""What is handed out: a wheel that runs the chapters anywhere, and a source distribution whose tests run."""

import email
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import nbformat
import pytest

import bpa

ROOT = Path(__file__).parents[1]
NO_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "_build", "build", "dist", "runs", "__pycache__", "*.egg-info", "PKG-INFO", ".*_cache"
)
BUILD = """
from setuptools import build_meta

print(build_meta.build_sdist("out"), build_meta.build_wheel("out"), sep="\\n")
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution and the wheel, built in a copy, so that nothing is left here."""
    folder = tmp_path_factory.mktemp("built") / "copy of the project"
    shutil.copytree(ROOT, folder, ignore=NO_SOURCE)
    litter = ["book/_build/html/index.html", "tests/__pycache__/a.pyc", "bpa/engines/__pycache__/b.nbi"]
    for name in [*litter, "book/chapters/.ipynb_checkpoints/01_hebb.ipynb", "runs/demo/config.json"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("what people have lying about")
    said = subprocess.run([sys.executable, "-c", BUILD], cwd=folder, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return [folder / "out" / name for name in said.stdout.splitlines()[-2:]]


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """The source distribution, unpacked where no git is."""
    folder = tmp_path_factory.mktemp("unpacked")
    safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # the first 3.11s had none
    with tarfile.open(built[0]) as archive:
        archive.extractall(folder, **safely)
    (inside,) = folder.iterdir()
    return inside


def test_source_distribution_holds_what_is_kept_in_git_and_nothing_else(unpacked):
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("this is no checkout, or there is no git: what is kept cannot be asked")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kept = {name for name in said.splitlines() if (ROOT / name).exists()}
    files = (path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file())
    held = {path.as_posix() for path in files if path.parts[0] != "backpropamine.egg-info"}
    assert held - kept == {"PKG-INFO", "setup.cfg"}
    assert kept - held == set()


def test_tests_of_the_source_distribution_run_outside_of_git(unpacked):
    where = [sys.executable, "-c", "import bpa; print(bpa.__file__)"]
    found = subprocess.run(where, cwd=unpacked, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(found).is_relative_to(unpacked)
    # All are collected, and those run that read the files of the project and take no time.
    files = " or ".join(f"test_{name}.py" for name in ("project", "data", "chapters", "address"))
    chosen = f"({files}) and not (pages_with_code or caught or fails or agent)"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", chosen, "tests"]
    run = subprocess.run(command, cwd=unpacked, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    passed, deselected = re.search(r"(\d+) passed.* (\d+) deselected", run.stdout.splitlines()[-1]).groups()
    assert int(passed) > 100
    assert int(deselected) > 4000


def test_wheel_holds_the_package_its_data_and_nothing_else(built):
    wheel = built[1]
    assert wheel.name == f"backpropamine-{bpa.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < 3_000_000
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    package = [
        path for path in (ROOT / "bpa").rglob("*") if path.is_file() and path.parent.name != "__pycache__"
    ]
    assert held == {path.relative_to(ROOT).as_posix() for path in package}


def test_metadata_is_complete(built):
    with zipfile.ZipFile(built[1]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        said = email.message_from_bytes(archive.read(name))
    assert said["Name"] == "backpropamine"
    for field in (
        "Version",
        "Summary",
        "Author",
        "Maintainer",
        "License-Expression",
        "Keywords",
        "Requires-Python",
    ):
        assert said[field], field
    assert said["Description-Content-Type"] == "text/markdown"
    assert said.get_all("License-File") == ["LICENSE"]
    assert "Typing :: Typed" in said.get_all("Classifier")
    assert "# Backpropamine, step by step" in said.get_payload()


def test_make_test_runs_the_chapters_so():
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    (recipe,) = re.findall(r"^test:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert re.search(r"tools/portable\.py .*--nbval-cell-timeout=\d+ .*\btests\n", recipe)


def write_chapter(book: Path, name: str, *sources: str) -> None:
    """A chapter of these cells."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (book / "chapters").mkdir(exist_ok=True)
    nbformat.write(
        nbformat.v4.new_notebook(cells=cells, metadata=metadata), book / "chapters" / f"{name}.ipynb"
    )


ALONE = """
import sys
from pathlib import Path

import bpa
from bpa.training.checkpoint import load_weights

assert Path(bpa.__file__).is_relative_to(sys.prefix), bpa.__file__
assert [path.name for path in Path.cwd().iterdir()] == ["good.ipynb"]
assert load_weights("maze-9")[1].size == 9

from bpa import Network, engines

engines.choose("numba", Network(5, 4, 3))
"""


def test_chapters_run_alone_against_the_wheel(tmp_path, monkeypatch):
    """What reads the project's files or writes to stderr fails, whatever PYTHONPATH says."""
    write_chapter(tmp_path, "good", ALONE)
    write_chapter(
        tmp_path,
        "bad",
        'open("../../results/README.md")',
        'open("../good/good.ipynb")',
        "import sys\n\nprint('careful', file=sys.stderr)",
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    kept = tmp_path / "kept"
    (kept / "venv").mkdir(parents=True)
    (kept / "venv" / "of before").touch()
    command = [sys.executable, ROOT / "tools" / "portable.py", "--book", tmp_path, "--keep", kept]
    command += ["-p", "no:cacheprovider"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    assert re.search(r"\b2 failed, 2 passed", run.stdout), run.stdout + run.stderr
    assert "No such file or directory: '../../results/README.md'" in run.stdout
    assert "The cell wrote to stderr" in run.stdout
    assert not (kept / "venv" / "of before").exists()
    # What was compiled is found again where paths and times of the sources are the same.
    (installed,) = (kept / "venv").rglob("bpa/engines/numba/vectors.py")
    source = ROOT / "bpa" / "engines" / "numba" / "vectors.py"
    assert installed.stat().st_mtime == source.stat().st_mtime
    assert list((kept / "compiled").rglob("vectors.dot-*.nbc"))


def test_of_two_runs_at_once_one_has_the_folder_that_is_kept(tmp_path):
    portable = runpy.run_path(str(ROOT / "tools" / "portable.py"))
    kept, other = tmp_path / "kept", tmp_path / "other"
    with portable["home"](kept, other) as first, portable["home"](kept, other) as second:
        assert (first, second) == (kept, other)
    with portable["home"](kept, other) as later, portable["home"](None, other) as unkept:
        assert (later, unkept) == (kept, other)
