"""Copy what ships in the package from `results` and `benchmarks` into `bpa/data`, or check the copies."""

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DRAWN = (  # comparisons whose curves a chapter reads
    "maze",
    "maze-quick",
    "cues",
    "cues-quick",
    "changes",
    "repeat-previous",
    "count-recall",
)
SHIPPED = {  # folder -> what of it ships
    "results": (
        "agents/*.safetensors",
        "agents/*.json",
        "sizes/*.safetensors",
        "decoders/*.json",
        "short/*.json",
        "*/settings.json",
        "*/final.csv",
        *(f"{name}/curves.csv" for name in DRAWN),
        "maze/weights/*.safetensors",
    ),
    "": ("benchmarks/cpu.json",),
}


def sources(root: Path) -> dict[Path, Path]:
    """Source of every file that ships, by its place in `bpa/data`."""
    return {
        file.relative_to(root / folder): file
        for folder, patterns in SHIPPED.items()
        for pattern in patterns
        for file in (root / folder).glob(pattern)
    }


def copies(target: Path) -> set[Path]:
    """The places in `bpa/data` that are filled, modules apart."""
    files = (file.relative_to(target) for file in target.rglob("*") if file.is_file())
    return {file for file in files if file.suffix not in (".py", ".pyc")}


def faults(root: Path) -> list[str]:
    """What differs between sources and copies, as lines for people; empty if nothing does."""
    target, wanted = root / "bpa" / "data", sources(root)
    lines = [f"bpa/data/{place} has no source" for place in copies(target) - wanted.keys()]
    for place, source in wanted.items():
        copy = target / place
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            lines.append(f"bpa/data/{place} is no copy of {source.relative_to(root)}")
    return sorted(line.replace("\\", "/") for line in lines)


def write(root: Path) -> None:
    """Make the copies, and remove those whose source has gone."""
    target, wanted = root / "bpa" / "data", sources(root)
    for place in copies(target) - wanted.keys():
        (target / place).unlink()
    for place, source in wanted.items():
        (target / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target / place)


def main() -> int:
    """Write or check; 1 if the check fails."""
    parser = argparse.ArgumentParser(description="Copy what ships into bpa/data, or check that it is there.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if one differs")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    options = parser.parse_args()
    if not options.check:
        write(options.root)
        return 0
    found = faults(options.root)
    print("\n".join([*found, "make data copies them"]) if found else "bpa/data holds what ships")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
