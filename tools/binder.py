"""Write what Binder installs, `binder/requirements.txt` and its Python, or check both: see `--help`.

Binder needs the package's own dependencies and nothing that builds the book or tests it; it has a JupyterLab.
Which packages those are is read from the metadata of what is installed here, whose versions are those of
the lock. The answer is Binder's, wherever this runs: markers are asked about Linux and one Python.
"""

import argparse
import importlib.metadata
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYTHON = "3.11"  # Binder's builder reads no range
MACHINE = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": f"{PYTHON}.0",
    "python_version": PYTHON,
    "sys_platform": "linux",
}
# Binder has no GPU, and PyTorch's page of CPU builds saves gigabytes. With the ending +cpu nothing else will
# do. A CUDA build of torch installed here names more packages, which its CPU build does not want.
BUILDS = "https://download.pytorch.org/whl/cpu/torch/"
CUDA = ("nvidia-", "cuda-", "triton")
HEAD = f"""\
# What Binder installs: the package's own dependencies at the versions of requirements.lock.
# Written by tools/binder.py; postBuild installs the package itself.
--find-links {BUILDS}
"""


def read_lock(path: Path) -> dict[str, str]:
    """Version of every package of a lock, as Binder's machine reads it."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    pins = [Requirement(line) for line in lines if line.strip() and not line.startswith(("#", "-"))]
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate(MACHINE)
    }


def needed(requirements: list[str]) -> set[str]:
    """Names of the packages that these requirements bring to Binder's machine, directly or through others."""
    waiting, seen = [Requirement(line) for line in requirements], set()
    found = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        what = (name, frozenset(requirement.extras))
        if what in seen or name.startswith(CUDA):
            continue
        seen.add(what)
        found.add(name)
        for line in importlib.metadata.requires(name) or []:
            wanted = Requirement(line)
            extras = ("", *requirement.extras)
            marker = wanted.marker
            if marker is None or any(marker.evaluate(MACHINE | {"extra": extra}) for extra in extras):
                waiting.append(wanted)
    return found


def texts(root: Path) -> dict[str, str]:
    """What each file in `binder` must say; ValueError if the lock lacks a package."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8-sig"))["project"]
    pins = read_lock(root / "requirements.lock")
    names = sorted(needed(project["dependencies"]))
    if lacking := [name for name in names if name not in pins]:
        raise ValueError(f"requirements.lock has no {', '.join(lacking)}: run make lock")
    lines = [f"{name}=={pins[name]}{'+cpu' if name == 'torch' else ''}\n" for name in names]
    return {"requirements.txt": HEAD + "".join(lines), "runtime.txt": f"python-{PYTHON}\n"}


def main() -> int:
    """Write or check; 1 if the check fails, 2 if the lock lacks a package or one is not installed."""
    parser = argparse.ArgumentParser(description="Write what Binder installs from the lock, or check it.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if a file would change"
    )
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    options = parser.parse_args()
    try:
        wanted = texts(options.root)
    except importlib.metadata.PackageNotFoundError as error:
        print(
            f"{error.name} is not installed, so its requirements are unknown: run make setup", file=sys.stderr
        )
        return 2
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    folder = options.root / "binder"
    if not options.check:
        folder.mkdir(exist_ok=True)
        for name, text in wanted.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
        return 0
    changed = [
        name
        for name, text in wanted.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8-sig") != text
    ]
    for name in changed:
        print(f"binder/{name} does not follow the lock: tools/binder.py writes it")
    if not changed:
        print("binder installs what the lock names")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
