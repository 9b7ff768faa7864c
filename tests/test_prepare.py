"""A home that cannot be written in and a first, slow scan of fonts are nothing that a page would say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
PREPARE = [sys.executable, ROOT / "tools" / "prepare.py"]
OF_HOME = re.compile("MPLCONFIGDIR|IPYTHONDIR|(JUPYTER|XDG)_.*")
# Matplotlib warns of a scan that takes more than five seconds; here it does so at once.
IMPATIENT = """
import threading

class Timer(threading.Timer):
    def __init__(self, interval, *arguments, **others):
        super().__init__(0 if interval == 5 else interval, *arguments, **others)

threading.Timer = Timer
"""


@pytest.fixture
def environment(tmp_path):
    """No home, no folder of settings named, fonts never scanned and slow to scan."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(IMPATIENT, encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "temporary").mkdir()
    return {name: value for name, value in os.environ.items() if not OF_HOME.fullmatch(name)} | {
        "HOME": str(tmp_path / "file" / "home"),
        "PYTHONPATH": str(tmp_path / "slow"),
        "TMPDIR": str(tmp_path / "temporary"),
    }


def run(command, environment, **options):
    """What a command says and how it ends."""
    return subprocess.run(command, capture_output=True, encoding="utf-8", env=environment, **options)


@pytest.fixture
def page(tmp_path):
    """A page of a book that draws."""
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "_toc.yml").write_text("format: jb-book\nroot: page\n", encoding="utf-8")
    (folder / "_config.yml").write_text("execute: {timeout: 60}\n", encoding="utf-8")
    cell = nbformat.v4.new_code_cell("import matplotlib.pyplot as plt\n\nplt.plot([1, 2])\nplt.close()")
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=metadata), folder / "page.ipynb")
    return folder / "page.ipynb"


def test_a_page_that_draws_is_run_without_a_home(page, environment):
    command = [sys.executable, ROOT / "tools" / "execute.py", "--book", page.parent, "--jobs", "1"]
    done = run(command, environment)
    assert (done.returncode, "page.ipynb ran" in done.stdout) == (0, True), done.stderr
    assert not re.search("atplotlib|IPython", done.stderr)
    assert list(Path(environment["TMPDIR"]).iterdir()) == [], "what was made for the kernels is removed"


def test_a_page_that_draws_passes_its_test_without_a_home(page, environment):
    shutil.copy(ROOT / "book" / "conftest.py", page.parent)
    (page.parents[1] / "tools").mkdir()
    shutil.copy(PREPARE[1], page.parents[1] / "tools")
    options = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=60", "-p", "no:cacheprovider"]
    done = run([sys.executable, "-m", "pytest", *options, page], environment, cwd=page.parent)
    assert "1 passed" in done.stdout, done.stdout


def test_fonts_are_scanned_once_and_quietly(tmp_path, environment):
    fonts = environment | {"MPLCONFIGDIR": str(tmp_path / "fonts")}
    scanned = run(PREPARE, fonts)
    assert (scanned.returncode, scanned.stdout + scanned.stderr) == (0, "")
    assert list((tmp_path / "fonts").glob("fontlist*.json"))
    later = run([sys.executable, "-c", "import matplotlib.pyplot"], fonts)
    assert (later.returncode, later.stdout + later.stderr) == (0, "")


def test_a_command_is_run_so_prepared_and_its_code_is_passed_on(environment):
    tried = (
        "import os, sys, tempfile\n"
        "for name in sys.argv[1:]:\n    tempfile.TemporaryFile(dir=os.environ[name])\n"
        "sys.exit(3)"
    )
    variables = [
        "MPLCONFIGDIR",
        "IPYTHONDIR",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
    ]
    done = run([*PREPARE, sys.executable, "-c", tried, *variables], environment)
    assert (done.returncode, done.stdout + done.stderr) == (3, "")
