"""Run the chapters as readers do who have nothing of this project but one of them and the installed package.

The wheel is built and installed into a bare environment outside the project, each chapter is copied alone
into an empty folder, and pytest runs the copies with a kernel of that environment. The other packages come
from the environment that runs this, by a `.pth` file. Arguments of pytest go on to it:

    python tools/portable.py -n 2 -m "not pages" tests

With --keep FOLDER the environment is made there, always anew, and what Numba compiles stays beside it. The
next run has it compiled already if no source of the loops has changed.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

ROOT = Path(__file__).parents[1]
PACKAGE = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")  # with the folder bpa, all of a wheel
KERNEL = "bpa-wheel"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
PYTHON = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")
FIND = "import bpa; print(bpa.__path__[0])"


def build_wheel(root: Path, folder: Path) -> Path:
    """Build the wheel in `folder`, from a copy: what an earlier build left here would go into it."""
    source = folder / "source"
    shutil.copytree(root / "bpa", source / "bpa", ignore=shutil.ignore_patterns("__pycache__"))
    for name in PACKAGE:
        shutil.copy(root / name, source)
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([*PIP, "wheel", *options, source], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@contextlib.contextmanager
def home(kept: Path | None, otherwise: Path) -> Iterator[Path]:
    """The folder for the environment: `kept` while no other run has it, without an environment of before."""
    with contextlib.ExitStack() as stack:
        if kept is not None:
            kept.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(FileLock(kept / "lock", timeout=0))
            except Timeout:
                kept = None
            else:
                shutil.rmtree(kept / "venv", ignore_errors=True)
        yield otherwise if kept is None else kept.resolve()


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel in a new environment below `folder`, and return its Python.

    An editable install is not seen there: its own `.pth` file is read in its own environment only.
    """
    prefix = folder / "venv"
    venv.create(prefix, symlinks=os.name != "nt")
    python = prefix / PYTHON
    options = ["--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*PIP, "--python", python, "install", *options, wheel], check=True)
    others = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    places = {"base": str(prefix), "platbase": str(prefix)}
    paths = Path(sysconfig.get_path("purelib", "venv", places), "others.pth")
    paths.write_text("\n".join(others), encoding="utf-8", newline="\n")
    environment = os.environ | {"PYTHONPATH": ""}
    said = subprocess.run(
        [python, "-c", FIND], cwd=folder, env=environment, stdout=subprocess.PIPE, encoding="utf-8"
    )
    package = Path(said.stdout.strip())
    if said.returncode or not package.is_relative_to(prefix):
        raise RuntimeError(f"{python} imports bpa from elsewhere, not from {wheel.name}")
    for path in package.rglob("*.py"):  # as old as the source: what was compiled of it may be as old
        source = (ROOT / "bpa" / path.relative_to(package)).stat()
        os.utime(path, ns=(source.st_atime_ns, source.st_mtime_ns))
    return python


def write_kernel(python: Path, folder: Path, **variables: str) -> None:
    """A kernel of that Python, which sees no PYTHONPATH, in a folder for JUPYTER_PATH."""
    place = folder / "kernels" / KERNEL
    place.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    environment = {"PYTHONPATH": ""} | variables
    spec = {"argv": command, "display_name": KERNEL, "language": "python", "env": environment}
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8", newline="\n")


def copy_chapters(book: Path, folder: Path) -> Path:
    """Each chapter into a folder of its own, and above them the book's rules for pytest."""
    # The rules may use tools, and look for them where they lie in the project.
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    chapters = folder / "book" / "chapters"
    for chapter in sorted((book / "chapters").glob("*.ipynb")):
        alone = chapters / chapter.stem
        alone.mkdir(parents=True)
        shutil.copy(chapter, alone)
    shutil.copy(ROOT / "book" / "conftest.py", chapters.parent)
    return chapters


def main() -> int:
    """Prepare, run pytest, tidy up; pytest's exit code."""
    parser = argparse.ArgumentParser(
        description="Run every chapter alone, against the installed wheel.",
        epilog="Other arguments go on to pytest.",
        allow_abbrev=False,
    )
    parser.add_argument("--book", type=Path, default=ROOT / "book", help="folder of the book")
    parser.add_argument("--keep", type=Path, help="folder where compiled loops stay for the next run")
    options, others = parser.parse_known_args()
    with contextlib.ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="bpa-", ignore_cleanup_errors=True)
        folder = Path(stack.enter_context(temporary)).resolve()
        place = stack.enter_context(home(options.keep, folder))
        python = install(build_wheel(ROOT, folder), place)
        compiled = {} if place == folder else {"NUMBA_CACHE_DIR": str(place / "compiled")}
        write_kernel(python, folder / "jupyter", **compiled)
        chapters = copy_chapters(options.book, folder)
        paths = [str(folder / "jupyter"), *filter(None, [os.environ.get("JUPYTER_PATH")])]
        command = [sys.executable, "-m", "pytest", f"--rootdir={ROOT}", "-c", ROOT / "pyproject.toml"]
        command += ["--nbval-lax", f"--nbval-kernel-name={KERNEL}", chapters, *others]
        environment = os.environ | {"JUPYTER_PATH": os.pathsep.join(paths)}
        return subprocess.run(command, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
