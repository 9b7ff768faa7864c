"""Learning curves of runs on disk, drawn into a file."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import pyplot
from matplotlib.figure import Figure

from bpa.arguments import require_integer, require_new_file
from bpa.experiments.reproduce import read_table, score_name
from bpa.experiments.statistics import Final, Point, scores_by_variant
from bpa.show.plots import COLORS, STYLES, draw_finals, draw_learning_curves, png_bytes
from bpa.training.checkpoint import FREE_TO_CHANGE, read_history, read_settings, write_atomically

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
    path = require_new_file("save", path, PICTURES)
    require_integer("window", window, low=1)
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
    with pyplot.style.context(STYLES):
        figure = Figure()  # not pyplot's, which would ask for a window system
        axes = figure.subplots()
        draw_learning_curves(axes, curves, window)
        if scores == {"accuracy"}:
            axes.set_ylabel("share of right answers")
        try:
            drawn = io.BytesIO()
            figure.savefig(drawn, format=path.suffix[1:].lower())
            write_atomically(path, drawn.getvalue())
        except OSError as error:
            raise ValueError(f"save {path} cannot be written: {error.strerror}") from None


def comparison(points: Sequence[Point], finals: Sequence[Final]) -> Figure:
    """Learning curves and final scores of the variants side by side: medians, quartiles, a dot a run.

    A run that diverged for good goes on at its last point, since its weights stay as they are. More variants
    than there are colours have their final scores alone.

    Args:
        points, finals: the rows of the two tables of `bpa.experiments.reproduce`; at least one run.
    """
    if not points or not finals:
        raise ValueError("points and finals must hold at least one run, got none")
    score = score_name(points[0].task)
    places = sorted({point.iteration for point in points})
    curves: dict[str, dict[int, list[float]]] = {}
    for point in points:
        curves.setdefault(point.variant, {}).setdefault(point.seed, []).append(point.score)
    padded = {
        variant: [each + each[-1:] * (len(places) - len(each)) for each in of_seed.values()]
        for variant, of_seed in curves.items()
    }
    with pyplot.style.context(STYLES):
        figure = Figure(figsize=(7.2, 3.6))
        if len(padded) > len(COLORS):
            right = figure.subplots()
        else:
            left, right = figure.subplots(1, 2, width_ratios=[3, 2])
            draw_learning_curves(left, padded, iterations=places)
            left.set(ylabel=f"{score} per episode, in training")
        draw_finals(right, scores_by_variant(finals))
        right.set(ylabel=f"{score} per episode, in fresh ones")
    return figure


def save_comparison(folder: str | Path) -> Path:
    """Draw `comparison` from the tables in a folder of `bpa.experiments.reproduce`, into its figure.png."""
    folder = Path(folder)
    figure = comparison(read_table(folder / "curves.csv", Point), read_table(folder / "final.csv", Final))
    write_atomically(folder / "figure.png", png_bytes(figure))
    return folder / "figure.png"
