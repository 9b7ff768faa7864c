"""What ships in the package: trained agents, and the tables that the chapters read.

Agents are networks with 100 neurons and simple modulation, one for each size of the maze: `maze-9`, `maze-11`
and `maze-13`. Beside each lies a JSON file of the same name, what `bpa evaluate` says of it;
`decoders` has the linear decoder of its goal, which `bpa.experiments.decode` reads, and `short` what it
earns in episodes of 50 steps. `mazes` is one more, which was trained in mazes of 7 to 13 cells at once.
Comparisons are folders that `bpa reproduce` filled: `settings.json`, `final.csv` and, where a chapter draws
them, `curves.csv`; that of `maze` has the network of one run of each variant too, `weights/lstm.safetensors`
and so on. `cpu` is a report of `bpa bench`.

All of them are copies; the project's folders `results` and `benchmarks` say how they were made. To read one::

    from bpa import data
    from bpa.training.checkpoint import load_weights

    net, config = load_weights("maze-11")
    settings = json.loads((data.path("maze-quick") / "settings.json").read_text())
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from bpa.arguments import require_choice

__all__ = ["agents", "comparisons", "path"]

HERE = Path(str(resources.files(__name__)))  # a folder: pip unpacks every wheel


def agents() -> tuple[str, ...]:
    """Names of the trained agents, the smallest maze first."""
    names = [file.stem for file in (HERE / "agents").glob("*.safetensors")]
    return tuple(sorted(names, key=lambda name: int(name.split("-")[1])))


def comparisons() -> tuple[str, ...]:
    """Names of the comparisons, by the alphabet."""
    return tuple(sorted(file.parent.name for file in HERE.glob("*/settings.json")))


def path(name: str) -> Path:
    """Where it lies: the weights of an agent or of `mazes`, the folder of a comparison, or the report `cpu`.

    Raises:
        ValueError: nothing of that name ships; the message says what does.
    """
    places = {agent: HERE / "agents" / f"{agent}.safetensors" for agent in agents()}
    places |= {comparison: HERE / comparison for comparison in comparisons()}
    places["mazes"] = HERE / "sizes" / "mazes.safetensors"
    places["cpu"] = HERE / "benchmarks" / "cpu.json"
    return places[require_choice("name", name, places)]
