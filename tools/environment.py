"""Write environment.yml from pyproject.toml, or check that it says the same: see `--help`."""

import argparse
import difflib
import sys
import tomllib
from pathlib import Path

import yaml
from rattler import MatchSpec
from rattler.exceptions import InvalidMatchSpecError

ROOT = Path(__file__).parents[1]
HEAD = """\
# The conda way, meant for Windows above all:  conda env create -f environment.yml && conda activate bpa
# Written from pyproject.toml by tools/environment.py; edit there.
name: bpa
channels:
  - conda-forge
  - nodefaults
dependencies:
"""


def environment_text(pyproject: Path) -> str:
    """The environment.yml that belongs to a pyproject.toml: Python from conda, everything else by pip."""
    project = tomllib.loads(pyproject.read_text(encoding="utf-8-sig"))["project"]
    extras = project["optional-dependencies"]
    requirements = [*project["dependencies"], *(line for name in sorted(extras) for line in extras[name])]
    lines = [f"  - python {project['requires-python']}", "  - pip >=24", "  - pip:"]
    lines += [f"      - {requirement}" for requirement in requirements]
    return HEAD + "\n".join([*lines, "      - -e .", ""])


def faults(pyproject: Path, environment: Path) -> list[str]:
    """What is wrong with an environment.yml, as lines for people; empty if nothing is."""
    wanted, found = environment_text(pyproject), environment.read_text(encoding="utf-8-sig")
    names = (str(environment), f"made from {pyproject}")
    lines = list(difflib.unified_diff(found.splitlines(), wanted.splitlines(), *names, n=1, lineterm=""))
    for spec in yaml.safe_load(found)["dependencies"]:
        if isinstance(spec, str):
            try:
                MatchSpec(spec, strict=True)
            except InvalidMatchSpecError as error:
                lines.append(f"{environment}: {spec!r} is no conda match spec: {error}")
    return lines


def main() -> int:
    """Write or check; 1 if the check fails."""
    parser = argparse.ArgumentParser(description="Write environment.yml from pyproject.toml, or check it.")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit with 1 if it would change or holds what is no valid conda spec",
    )
    parser.add_argument("--pyproject", type=Path, default=ROOT / "pyproject.toml")
    parser.add_argument("--environment", type=Path, default=ROOT / "environment.yml")
    options = parser.parse_args()
    if not options.check:
        options.environment.write_text(environment_text(options.pyproject), encoding="utf-8", newline="\n")
        return 0
    found = faults(options.pyproject, options.environment)
    print("\n".join(found) or f"{options.environment.name} says what {options.pyproject.name} says")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
