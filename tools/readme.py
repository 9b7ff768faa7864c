"""Write the tables of README.md from `results` and `benchmarks`, or check them: see `--help`.

Each stands between two comments, which no reader sees: `<!-- NAME -->` and `<!-- /NAME -->`.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from bpa.experiments.reproduce import read_table
from bpa.experiments.statistics import Final, scores_by_variant, spread

ROOT = Path(__file__).parents[1]
VARIANTS = {  # in results -> for readers
    "none": "no plasticity",
    "plastic": "plastic, not modulated",
    "simple": "simple modulation",
    "retroactive": "retroactive modulation",
    "lstm": "LSTM",
}
COMPARISONS = {"maze-quick": "Maze", "cues-quick": "Cue task"}
USUAL = {"batch_size": 30, "hidden_size": 100, "episode_length": 200}
ENGINES = {"numba": "Numba", "triton": "Triton"}


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown; all columns but the first hold numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *rows])


def spread_text(runs: list[float]) -> str:
    """Median and quartiles, as in the chapters."""
    _, low, median, high = spread(runs)
    digits = 0 if median >= 100 else 1
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def results_table(root: Path) -> str:
    """Every variant in both tasks."""
    tables = [root / "results" / comparison / "final.csv" for comparison in COMPARISONS]
    columns = [scores_by_variant(read_table(path, Final)) for path in tables]
    runs = {len(each) for column in columns for each in column.values()}
    if len(runs) != 1:
        raise ValueError(
            f"{', '.join(COMPARISONS)} must have as many runs of each variant, got {sorted(runs)}"
        )
    (count,) = runs
    head = ["Network", *(f"{name}, {count} runs" for name in COMPARISONS.values())]
    rows = [[said, *(spread_text(column[name]) for column in columns)] for name, said in VARIANTS.items()]
    return table(head, rows)


def speed_table(root: Path) -> str:
    """The usual iteration on every machine that was measured, PyTorch beside each engine of ours."""
    rows = []
    for path in sorted((root / "benchmarks").glob("*.json")):
        report = json.loads(path.read_text(encoding="utf-8-sig"))
        usual = {
            case["engine"]: case["seconds_per_iteration"]
            for case in report["cases"]
            if all(case[name] == value for name, value in USUAL.items())
        }
        processor = re.sub(r"\(R\)|\(TM\)| Processor$", "", report["machine"]["processor"])
        for engine, name in ENGINES.items():
            if engine in usual and "eager" in usual:
                eager, ours = usual["eager"], usual[engine]
                rows.append(
                    [f"{processor}, {name}", f"{eager:.3f} s", f"{ours:.3f} s", f"{eager / ours:.1f}"]
                )
    return table(["Machine and engine", "PyTorch", "Engine", "Times faster"], rows)


TABLES = {"results": results_table, "speed": speed_table}


def written(text: str, root: Path) -> str:
    """README.md with its tables; ValueError if it lacks the place of one."""
    for name, made in TABLES.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if len(place.findall(text)) != 1:
            raise ValueError(
                f"README.md must have one place for a table, <!-- {name} --> to <!-- /{name} -->"
            )
        inside = f"\n{made(root)}\n\n"
        text = place.sub(lambda found, inside=inside: found[1] + inside + found[2], text)
    return text


def main() -> int:
    """Write or check; 1 if the check fails, 2 if there is no place for a table."""
    parser = argparse.ArgumentParser(description="Write the tables of README.md, or check them.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if it would change")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    options = parser.parse_args()
    readme = options.root / "README.md"
    text = readme.read_text(encoding="utf-8-sig")
    try:
        wanted = written(text, options.root)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if not options.check:
        readme.write_text(wanted, encoding="utf-8", newline="\n")
        return 0
    changed = text != wanted
    print(f"README.md {'is behind, tools/readme.py writes' if changed else 'has'} the tables of its figures")
    return int(changed)


if __name__ == "__main__":
    sys.exit(main())
