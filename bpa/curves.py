"""Learning curves of runs on disk, drawn into a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot

from bpa.arguments import require_integer
from bpa.plots import STYLE, draw_learning_curves
from bpa.runs import FREE_TO_CHANGE, read_history, read_settings

PICTURES = (".png", ".svg", ".pdf")


def labelled(settings: Sequence[dict[str, Any]]) -> list[str]:
    """A label for each of these settings: what they differ in, or the plasticity if in nothing."""
    different = [name for name in settings[0] if len({str(each.get(name)) for each in settings}) > 1]
    named = [name for name in different if name not in ("seed", *FREE_TO_CHANGE)] or ["plasticity"]
    return [", ".join(f"{name.replace('_', ' ')} {each[name]}" for name in named) for each in settings]


def save_curves(folders: Sequence[str], path: str | Path, window: int = 100) -> None:
    """Draw the score of runs over iterations; runs of one label share a curve, as long as the shortest.

    Args:
        folders: run folders, at least one, of tasks with the same kind of score.
        path: .png, .svg or .pdf; nothing may be there yet.
        window: iterations over which each run is averaged.

    Raises:
        ValueError: a folder is no run, runs do not fit together, or the file exists or cannot be written.
    """
    path = Path(path)
    require_integer("window", window, low=1)
    if path.suffix.lower() not in PICTURES:
        raise ValueError(f"save must end in {', '.join(PICTURES)}, got {path}")
    if path.exists():
        raise ValueError(f"save {path} exists and is never overwritten")
    histories = [read_history(Path(folder) / "history.csv") for folder in folders]
    for folder, history in zip(folders, histories, strict=True):
        if not history:
            raise ValueError(f"{folder} has no iteration to draw yet")
    scores = {history[0]._fields[1] for history in histories}
    if len(scores) > 1:
        raise ValueError(
            f"runs must have one kind of score to share a picture, got {', '.join(sorted(scores))}"
        )
    groups: dict[str, list[list[float]]] = {}
    labels = labelled([read_settings(folder).named_settings() for folder in folders])
    for label, history in zip(labels, histories, strict=True):
        groups.setdefault(label, []).append([record[1] for record in history])
    curves = {
        f"{label} ({len(values)} runs)" if len(values) > 1 else label: [
            each[: min(map(len, values))] for each in values
        ]
        for label, values in groups.items()
    }
    with pyplot.style.context(STYLE):
        figure, axes = pyplot.subplots()
        draw_learning_curves(axes, curves, window)
        if scores == {"accuracy"}:
            axes.set_ylabel("share of right answers")
        try:
            figure.savefig(path)
        except OSError as error:
            raise ValueError(f"save {path} cannot be written: {error.strerror}") from None
        finally:
            pyplot.close(figure)
