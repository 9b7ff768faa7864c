"""Try what is handed out as strangers would: both ends of the ranges, the wheel, the source distribution.

    lowest      the lowest versions that pyproject.toml admits, every extra, on the oldest Python
    highest     the newest versions, every extra, on the newest Python that is found here
    wheel       the wheel and what it needs alone: the command, then chapters, each in an empty folder
    sdist       the source distribution, unpacked, installed from there, and tested there
    platforms   the index has a wheel of every locked package for each Python and platform that we name

Each stage makes its environments from nothing, in a temporary folder, with uv; the wheel and the source
distribution are built first.  `lowest` and `highest` run tests against the installed wheel: the package is
taken away from the files beside them.  Torch is PyTorch's build for the CPU where its page answers; elsewhere
the index's, which on Linux brings 3 GB of CUDA.  What uv and pytest said is kept in build/release.

    python tools/release.py                             every stage
    python tools/release.py wheel --chapters "0*"       one of them, with the first nine chapters
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOGS = ROOT / "build" / "release"
NO_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", "_build", "_generated", "build", "dist", "runs", "__pycache__", "*.egg-info", ".*_cache"
)
CPU_BUILDS = "https://download.pytorch.org/whl/cpu/"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
BIN = Path("Scripts" if os.name == "nt" else "bin")
UV = (
    shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv",
    "--no-config",
    "--no-python-downloads",
)

# Tests that ask whether versions fit: of every dependency something, of the equations all.
RANGE_TESTS = (
    "tests/test_network.py",
    "tests/test_maze.py",
    "tests/test_package.py",
    "tests/test_examples.py::test_a_memory_task_of_popgym_is_trained",
    "tests/test_examples.py::test_the_checker_of_stable_baselines_has_nothing_to_say",
    "tests/test_train.py::test_the_history_goes_to_tensorboard_too",
    "tests/envs/test_gymnasium.py",
    "tests/envs/test_vector.py",
    "tests/training/test_checkpoint.py",
    "tests/show/test_plots.py",
    "tests/show/test_widgets.py",
)
# And those that ask whether everything came along.
SDIST_TESTS = (
    "tests/test_data.py",
    "tests/test_house.py",
    "tests/test_bibliography.py",
    "tests/test_address.py",
    "tests/test_maze.py",
)
PLATFORMS = {  # uv's name: ours
    "x86_64-manylinux_2_28": "Linux x86-64",
    "aarch64-manylinux_2_28": "Linux ARM",
    "aarch64-apple-darwin": "macOS 14, Apple silicon",
    "x86_64-pc-windows-msvc": "Windows x86-64",
}
WITHOUT = {"x86_64-apple-darwin": "Intel Macs", "aarch64-pc-windows-msvc": "Windows on ARM"}  # as we say


class Failed(Exception):
    """A stage that found something wrong, which it says."""


class Trial:
    """One stage: a temporary folder outside the repository, and a log.

    Args:
        name: of the stage, and of its log.
        folder: an empty folder.
        built: where the wheel and the source distribution are.
        chapters: a pattern for the names of the chapters to run.
    """

    def __init__(self, name: str, folder: Path, built: Path, chapters: str):
        self.folder, self.built, self.chapters = folder, built, chapters
        self.log = LOGS / f"{name}.log"
        self.log.write_text("", encoding="utf-8", newline="\n")

    def run(self, *command: str | Path, cwd: Path | None = None) -> None:
        """Run a command outside the repository; what it says goes into the log."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONSAFEPATH": ""}
        for variable in ("PYTHONPATH", "VIRTUAL_ENV"):
            environment.pop(variable, None)
        with self.log.open("a", encoding="utf-8", newline="\n") as log:
            print("$", *command, file=log, flush=True)
            place = cwd or self.folder
            done = subprocess.run(command, cwd=place, env=environment, stdout=log, stderr=subprocess.STDOUT)
        if done.returncode:
            said = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            raise Failed("\n".join([*said[-20:], f"exit code {done.returncode}, see {self.log}"]))

    def environment(self, python: str, *requirements: str, resolution: str = "highest") -> Path:
        """Make an environment of these requirements, and return its Python.

        A version that has no wheel here is not chosen; the project itself may be a folder of sources.
        """
        home = self.folder / "venv"
        interpreter = home / BIN / "python"
        self.run(*UV, "venv", "--quiet", "--python", python, home)
        wanted, pinned = self.folder / "wanted.txt", self.folder / "pinned.txt"
        wanted.write_text("\n".join(requirements), encoding="utf-8", newline="\n")
        options = ["--python", interpreter, *torch_builds()]
        chosen = ["--resolution", resolution, "--only-binary", ":all:", "--no-binary", "backpropamine"]
        self.run(*UV, "pip", "compile", "--quiet", *chosen, *options, wanted, "-o", pinned)
        self.run(*UV, "pip", "install", *options, "-r", pinned)
        return interpreter

    def unpacked(self) -> Path:
        """The source distribution, unpacked."""
        (archive,) = self.built.glob("*.tar.gz")
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # the first 3.11s had none
        with tarfile.open(archive) as file:
            file.extractall(self.folder / "sdist", **safely)
        (inside,) = (self.folder / "sdist").iterdir()
        return inside

    def wheel(self, *extras: str) -> str:
        """The requirement that is the wheel, with extras."""
        (wheel,) = self.built.glob("*.whl")
        return f"backpropamine[{','.join(extras)}] @ {wheel.as_uri()}"


def torch_builds() -> list[str]:
    """uv's option for PyTorch's CPU builds, on Linux and where their index answers."""
    if sys.platform != "linux":
        return []
    try:
        with urllib.request.urlopen(CPU_BUILDS, timeout=5):
            return ["--torch-backend", "cpu"]
    except (urllib.error.URLError, TimeoutError):
        return []


def pythons() -> list[str]:
    """Which of the Pythons that we name are here, oldest first."""
    find = [*UV, "python", "find", "--no-project", "--system"]
    return [
        python for python in PYTHONS if not subprocess.run([*find, python], capture_output=True).returncode
    ]


def megabytes(folder: Path) -> int:
    """What a folder takes on disk."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) >> 20


def build(folder: Path) -> None:
    """Build both in `folder`, from a copy, with the build tools that pyproject.toml asks for."""
    shutil.copytree(ROOT, folder / "source", ignore=NO_SOURCE)
    command = [*UV, "build", "--quiet", "--python", sys.executable, "--out-dir", folder, folder / "source"]
    subprocess.run(command, check=True)
    shutil.rmtree(folder / "source")


def test_range(trial: Trial, python: str, resolution: str) -> None:
    """Run tests, without the package beside them, where every extra is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    interpreter = trial.environment(python, trial.wheel(*extras), resolution=resolution)
    source = trial.unpacked()
    shutil.rmtree(source / "bpa")
    trial.run(interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", *RANGE_TESTS, cwd=source)


def lowest(trial: Trial) -> None:
    """The lowest versions on the oldest Python."""
    test_range(trial, pythons()[0], "lowest-direct")


def highest(trial: Trial) -> None:
    """The newest versions on the newest Python."""
    test_range(trial, pythons()[-1], "highest")


def wheel(trial: Trial) -> None:
    """The command, and chapters with nothing beside them, where the wheel and a kernel are installed."""
    python = trial.environment(pythons()[-1], trial.wheel())
    command = python.parent / "bpa"
    trial.run(python, "-c", "import bpa; print(bpa.__file__, bpa.Network, bpa.GridMaze)")
    trial.run(command, "--help")
    trial.run(command, "evaluate", "maze-11", "--episodes", "30")
    print(f"  {megabytes(trial.folder / 'venv')} MB without a kernel", flush=True)
    trial.run(*UV, "pip", "install", "--python", python, "nbclient", "ipykernel")
    source = trial.unpacked() / "book" / "chapters"
    chapters = sorted(source.glob(f"{trial.chapters}.ipynb"))
    if not chapters:
        raise Failed(f"no chapter is called {trial.chapters!r}")
    for chapter in chapters:
        alone = trial.folder / "alone" / chapter.stem
        alone.mkdir(parents=True)
        shutil.copy(chapter, alone)
        started = time.monotonic()
        trial.run(python.parent / "jupyter-execute", "--timeout=600", chapter.name, cwd=alone)
        print(f"  {chapter.name}: {time.monotonic() - started:.0f} s", flush=True)


def sdist(trial: Trial) -> None:
    """What came along is enough to install and to test."""
    source = trial.unpacked()
    python = trial.environment(pythons()[0], f"backpropamine[test,book] @ {source.as_uri()}")
    trial.run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SDIST_TESTS, cwd=source)


def platforms(trial: Trial) -> None:
    """Nothing is installed: the index is asked what it has."""
    os.environ.setdefault("MACOSX_DEPLOYMENT_TARGET", "14.0")
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "-o", trial.folder / "found.txt"]
    missing = []
    for platform, name in {**PLATFORMS, **WITHOUT}.items():
        for python in PYTHONS:
            place = ["--python-platform", platform, "--python-version", python]
            try:
                trial.run(*UV, "pip", "compile", *options, *place, ROOT / "requirements-dev.lock")
            except Failed:
                missing.append((platform, python))
        have = [python for python in PYTHONS if (platform, python) not in missing]
        print(f"  {name}: {', '.join(have) or 'none'}", flush=True)
    if wrong := [f"{PLATFORMS[platform]} {python}" for platform, python in missing if platform in PLATFORMS]:
        raise Failed(f"a locked package has no wheel for {', '.join(wrong)}, see {trial.log}")


STAGES: dict[str, Callable[[Trial], None]] = {
    stage.__name__: stage for stage in (lowest, highest, wheel, sdist, platforms)
}


def main() -> int:
    """Run the stages; 1 if one of them fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="one of these; all if none is given")
    parser.add_argument("--chapters", default="*", help="a pattern: the chapters that `wheel` runs")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.stages if name not in STAGES]:
        parser.error(f"STAGE must be one of {', '.join(STAGES)}, got {unknown[0]!r}")
    found = pythons()
    if not found:
        parser.error(f"no Python of {', '.join(PYTHONS)} is found here")
    print(f"Python {', '.join(found)} found, not here: {', '.join(sorted({*PYTHONS} - {*found})) or 'none'}")
    LOGS.mkdir(parents=True, exist_ok=True)
    failures = []
    with tempfile.TemporaryDirectory(prefix="bpa-release-", ignore_cleanup_errors=True) as temporary:
        built = Path(temporary).resolve() / "built"
        build(built)
        for file in sorted(built.glob("backpropamine*")):
            print(f"built {file.name}, {file.stat().st_size / 1e6:.1f} MB")
        for name in arguments.stages or STAGES:
            folder = built.parent / name
            folder.mkdir()
            print(f"{name} begins", flush=True)
            started = time.monotonic()
            try:
                STAGES[name](Trial(name, folder, built, arguments.chapters))
                outcome = "fine"
            except Failed as failure:
                failures.append(name)
                print(failure)
                outcome = "FAILED"
            seconds, size = time.monotonic() - started, megabytes(folder)
            print(f"{name}: {outcome} after {seconds:.0f} s, {size} MB on disk", flush=True)
            shutil.rmtree(folder, ignore_errors=True)
    if failures:
        print(f"failed: {', '.join(failures)}", file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
