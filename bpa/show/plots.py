"""Pictures of mazes, paths, traces and learning, with alternative text, readable in colour and in grey.

The colours follow those of Okabe and Ito, which people with any kind of colour vision can tell apart, moved
in lightness until each can be seen on a white and on a dark page. Every colour comes with its own line style.
Colour maps rise steadily in lightness, so a grey print keeps the order. Functions that draw take the axes
first and return what they drew on them; `show` turns a figure into something that a notebook and a built page
show alike.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from numpy.lib.stride_tricks import sliding_window_view

from bpa.arguments import require_integer, require_number
from bpa.show.picture import LETTER, NARROW, READABLE, Picture, encode, require_text
from bpa.show.svg import INK, inline_svg, without_latex

COLORS = {
    "blue": "#0064c0",
    "orange": "#df7b00",
    "green": "#008953",
    "vermilion": "#b63a0d",
    "sky": "#219ddc",
    "purple": "#b3668f",
    "black": INK,  # white in the dark theme
}
LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
TIME_MAP = "viridis"  # what comes in an order: from dark to light
SIGNED_MAP = "cividis"  # what has a sign: dark blue below zero, grey at zero, light yellow above
WALL_COLOR = "#4d4d4d"

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=list(COLORS.values())) + cycler(linestyle=LINE_STYLES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 144,  # twice the usual: sharp on a dense screen
    "figure.facecolor": "white",  # of a PNG; as SVG a figure has no ground of its own
    "figure.figsize": (6.4, 3.6),
    "font.size": 10,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "image.cmap": TIME_MAP,
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "patch.edgecolor": INK,
    "savefig.facecolor": "white",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
# Matplotlib's own settings below ours, so that nothing of a matplotlibrc that was made for others remains.
STYLES = ("default", STYLE)
# What a figure is saved by, whatever style it was drawn in: no program but this one, and all of the figure.
SAVING: dict[str, Any] = {
    "savefig.bbox": None,
    "savefig.dpi": "figure",
    "savefig.facecolor": "auto",
    "savefig.transparent": False,
    "text.usetex": False,
}
LARGEST = 150_000  # characters of an SVG; a figure that would be larger is a PNG on a white card


def use_style() -> None:
    """Give every figure made from here on the book's style; `with plt.style.context(STYLES)` is for a few.

    Settings of your own, in a matplotlibrc or made before, hold no longer; what you set afterwards does.
    """
    plt.style.use(STYLES)


def require_figure(value: Any) -> Figure:
    """`value` if it is a figure."""
    if not isinstance(value, Figure):
        raise ValueError(f"figure must be a matplotlib Figure, got {type(value).__name__}")
    return value


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes. Text is set by Matplotlib, never by LaTeX."""
    buffer = io.BytesIO()
    without_latex(require_figure(figure))
    with plt.style.context(SAVING):
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def show(figure: Figure, alt: str, caption: str = "") -> Picture:
    """The figure as something to end a cell with: shown alike in a notebook and in the built page.

    It becomes SVG in the ink of the page, light or dark: see `bpa.show.svg`. The figure is closed, so that
    the notebook does not show it a second time.

    Args:
        figure: what was drawn.
        alt: what the picture shows, for those who cannot see it; must not be empty.
        caption: what to look for, set below the picture.

    Raises:
        ValueError: there is no figure, or no alternative text.
    """
    require_text("alt", alt)
    width = round(require_figure(figure).get_size_inches()[0] * 96)  # a CSS inch has 96 pixels
    drawing = inline_svg(figure)
    if len(ElementTree.tostring(drawing)) > LARGEST:
        figure.patch.set_visible(True)
        drawing = ElementTree.Element("img", src=f"data:image/png;base64,{encode(png_bytes(figure))}")
    plt.close(figure)
    return Picture(drawing, alt, caption, width, least_width(figure))


def least_width(figure: Figure) -> int:
    """CSS pixels to which a figure may shrink until its smallest letters cannot be read, after a drawing."""
    undrawn = {
        id(text)
        for axes in figure.axes
        if not axes.axison
        for axis in (axes.xaxis, axes.yaxis)
        for text in axis.findobj(Text)
    }
    sizes = [
        float(text.get_fontsize()) * 96 / 72  # a point is 1/72 of an inch
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and id(text) not in undrawn
    ]
    width = figure.get_size_inches()[0] * 96
    return min(math.ceil(width * LETTER / min(sizes)) if sizes else NARROW, READABLE)


def cells_of(name: str, value: Any, size: int) -> np.ndarray:
    """`value` as integers [..., 2] within a maze of this size."""
    cells = np.asarray(value)
    if cells.shape[-1:] != (2,) or cells.dtype.kind not in "iu" or cells.min() < 0 or cells.max() >= size:
        raise ValueError(
            f"{name} must hold (row, column) pairs of integers from 0 to {size - 1}, got {value}"
        )
    return cells


def draw_maze(axes: Axes, walls: Any, goal: Any = None, agent: Any = None) -> Axes:
    """The maze from above: walls dark, the goal a star, the agent a ring.

    Args:
        walls: bool [n, n], as `GridMaze.walls`.
        goal, agent: (row, column), or None to leave it out.
    """
    walls = np.asarray(walls)
    if walls.ndim != 2 or walls.shape[0] != walls.shape[1] or walls.dtype != bool:
        raise ValueError(f"walls must be bool [n, n], got {walls.dtype} {list(walls.shape)}")
    size = len(walls)
    floor = np.full((size, size, 3), 0.95)  # not the white of the card, so that its edge shows
    floor[walls] = [int(WALL_COLOR[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    axes.imshow(floor)
    if goal is not None:
        row, column = cells_of("goal", goal, size)
        axes.scatter(
            column,
            row,
            marker="*",
            s=(900 / size) * 2,
            color=COLORS["vermilion"],
            edgecolors="black",
            linewidths=0.8,
            zorder=4,
        )
    if agent is not None:
        row, column = cells_of("agent", agent, size)
        axes.scatter(
            column,
            row,
            marker="o",
            s=900 / size,
            facecolors="none",
            edgecolors=COLORS["blue"],
            linewidths=2.5,
            zorder=4,
        )
    axes.set_axis_off()
    return axes


def draw_path(
    axes: Axes, walls: Any, cells: Any, rewards: Any, goal: Any, total_steps: int | None = None
) -> LineCollection:
    """The maze and the path walked in it, from dark (first) to light (last step).

    The line also drifts from the upper left to the lower right of its corridor as time passes, so repeated
    passes lie side by side. A step onto the goal ends at the star; a dot marks where the agent was put next.

    Args:
        walls: bool [n, n]. goal: (row, column).
        cells: int [T + 1, 2], the agent's cell before each step and after the last one.
        rewards: [T]; above 0 where the step reached the goal.
        total_steps: number of steps that the colours span; T if None. Give the length of the whole episode
            to draw a part of it in the colours of the whole.
    """
    draw_maze(axes, walls, goal=goal)
    size = len(np.asarray(walls))
    cells = cells_of("cells", cells, size).astype(float)
    found = np.asarray(rewards) > 0
    steps = len(cells) - 1
    if found.shape != (steps,):
        raise ValueError(
            f"rewards must have one number a step, [{steps}] for {steps + 1} cells, got {list(found.shape)}"
        )
    span = require_integer("total_steps", steps if total_steps is None else total_steps, low=1)
    drift = 0.56 * (np.arange(steps + 1) / span - 0.5)[:, None]
    begins, ends = cells[:-1] + drift[:-1], cells[1:] + drift[1:]
    ends[found] = np.asarray(goal)
    lines = LineCollection(
        list(np.stack([begins[:, ::-1], ends[:, ::-1]], axis=1)),
        array=np.arange(steps),
        cmap=TIME_MAP,
        norm=plt.Normalize(0, span),
        linewidths=2,
        capstyle="round",
    )
    axes.add_collection(lines)
    starts = np.concatenate([cells[:1] + drift[:1], (cells[1:] + drift[1:])[found]])
    times = np.concatenate([[0], np.flatnonzero(found) + 1])
    axes.scatter(
        starts[:, 1],
        starts[:, 0],
        c=times,
        cmap=TIME_MAP,
        vmin=0,
        vmax=span,
        s=36,
        edgecolors="black",
        linewidths=0.6,
        zorder=3,
    )
    return lines


def draw_trace(axes: Axes, trace: Any, limit: float | None = None) -> AxesImage:
    """A signed matrix such as a Hebbian trace: dark blue below zero, grey at zero, light yellow above.

    Args:
        trace: [H, H], row pre-synaptic, column post-synaptic.
        limit: the values at the ends of the colour scale are -limit and limit; the largest one if None.
    """
    matrix = np.asarray(trace, dtype=float)
    if matrix.ndim != 2:
        raise ValueError(f"trace must be a matrix [H, H], got shape {list(matrix.shape)}")
    if limit is None:
        limit = float(np.abs(matrix).max()) or 1.0
    require_number("limit", limit, low=0, above=True)
    image = axes.imshow(matrix, cmap=SIGNED_MAP, vmin=-limit, vmax=limit)
    axes.set(xlabel="post-synaptic neuron j", ylabel="pre-synaptic neuron i")
    axes.grid(False)
    return image


def draw_modulation(axes: Axes, modulation: Any, rewards: Any = None) -> Axes:
    """M(t) over an episode, with a dotted line at every step that was rewarded.

    Args:
        modulation: [T]. rewards: [T] or None.
    """
    modulation = np.asarray(modulation, dtype=float)
    if modulation.ndim != 1:
        raise ValueError(f"modulation must be [T], that of one episode, got shape {list(modulation.shape)}")
    axes.plot(np.arange(1, len(modulation) + 1), modulation, color=COLORS["blue"], linestyle="-")
    if rewards is not None:
        found = (np.flatnonzero(np.asarray(rewards) > 0) + 1).tolist()
        for count, step in enumerate(found):
            axes.axvline(
                step,
                color=COLORS["vermilion"],
                linestyle=":",
                linewidth=1.2,
                label="reward" if count == 0 else None,
            )
        if len(found):
            # Above the axes: within them it would hide a part of M(t).
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    axes.axhline(0, color=INK, linewidth=0.8, linestyle="-", zorder=0)
    axes.set(xlabel="step t", ylabel="modulation M(t)")
    return axes


def moving_average(values: Any, window: int) -> np.ndarray:
    """Mean of the last `window` values at each place along the last axis, of fewer where there are fewer.

    Every window is summed on its own: from a difference of running sums one huge value would never go away.
    """
    values = np.asarray(values, dtype=float)
    require_integer("window", window, low=1)
    begun = values[..., : window - 1]
    with np.errstate(invalid="ignore"):  # infinity and minus infinity in one window: no mean, no warning
        means = begun.cumsum(-1) / np.arange(1, begun.shape[-1] + 1)
        if values.shape[-1] < window:
            return means
        whole = sliding_window_view(values, window, axis=-1).mean(-1)
    return np.concatenate([means, whole], axis=-1)


def draw_learning_curves(
    axes: Axes, curves: Mapping[str, Any], window: int = 1, iterations: Any = None
) -> Axes:
    """Reward over iterations, one line a label: the median over runs, with a band between the quartiles.

    Args:
        curves: label -> reward [N] of one run, or [S, N] of S runs. A single run has no band; its unsmoothed
            values show as a pale line if the window is above 1.
        window: each run is first smoothed by the mean of its last `window` values.
        iterations: [N], at which all curves have their values; 1 to N if None.
    """
    for label, values in curves.items():
        runs = np.atleast_2d(np.asarray(values, dtype=float))
        if runs.ndim != 2 or runs.shape[1] == 0:
            raise ValueError(f"curves[{label!r}] must be [N] or [S, N], got shape {list(runs.shape)}")
        places = np.arange(1, runs.shape[1] + 1) if iterations is None else np.asarray(iterations)
        if places.shape != runs.shape[1:]:
            raise ValueError(f"iterations must be [{runs.shape[1]}], got shape {list(places.shape)}")
        smooth = moving_average(runs, window)
        with np.errstate(invalid="ignore"):  # where runs are infinite there may be nothing to draw
            low, middle, high = np.quantile(smooth, [0.25, 0.5, 0.75], axis=0)
        (line,) = axes.plot(places, middle, label=label)
        if len(runs) > 1:
            axes.fill_between(places, low, high, color=line.get_color(), alpha=0.25, linewidth=0)
        elif window > 1:
            axes.plot(
                places, runs[0], color=line.get_color(), linestyle="-", alpha=0.3, linewidth=0.6, zorder=1
            )
    axes.set(xlabel="iteration", ylabel="reward per episode")
    if len(curves) > 1:
        axes.legend()
    return axes


def draw_finals(axes: Axes, scores: Mapping[str, Any]) -> Axes:
    """Scores of trained networks, one column a label: a dot each, the median as a bar, a box of quartiles.

    Colours are those of `draw_learning_curves` for labels in the same order.

    Args:
        scores: label -> [S], the scores of S runs.
    """
    for place, (label, values) in enumerate(scores.items()):
        runs = np.asarray(values, dtype=float)
        if runs.ndim != 1 or len(runs) == 0:
            raise ValueError(f"scores[{label!r}] must be [S], got shape {list(runs.shape)}")
        color = list(COLORS.values())[place % len(COLORS)]
        low, median, high = np.quantile(runs, [0.25, 0.5, 0.75])
        axes.bar(place, high - low, 0.7, low, color=color, alpha=0.25)
        axes.plot([place - 0.35, place + 0.35], [median, median], color=color, linestyle="-")
        across = place + 0.5 * (np.arange(1, len(runs) + 1) / (len(runs) + 1) - 0.5)
        axes.plot(across, runs, color=color, linestyle="none", marker="o", markersize=3)
    axes.set_xticks(range(len(scores)), list(scores), rotation=30, ha="right")
    axes.set(ylabel="reward per episode")
    return axes
