"""Figures with controls: ipywidgets in a live notebook, and a second face for a page without a kernel."""

from __future__ import annotations

import html
import inspect
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from bpa.show.plots import least_width, require_text, show
from bpa.show.stills import still
from bpa.show.widgets import Live

MOST_FRAMES = 60  # of one figure in a page; in the book one weighs 5 to 90 KB, both themes together

Drawn = Figure | tuple[Figure, str]


@dataclass(frozen=True)
class Control:
    """One thing that the reader can change: its values, how they are written, and where it starts."""

    name: str
    kind: str  # "slider", "choice" or "switch"
    values: tuple[Any, ...]  # of the live control
    paged: tuple[Any, ...]  # of the page: all of them, or some
    start: Any

    @property
    def label(self) -> str:
        """The name as a reader sees it."""
        return self.name.replace("_", " ")

    def widget(self) -> ipywidgets.ValueWidget:
        """The control of a live notebook."""
        style = {"description_width": "initial"}
        if self.kind == "switch":
            return ipywidgets.Checkbox(value=self.start, description=self.label, style=style)
        options = [(text(value), value) for value in self.values]
        make = ipywidgets.SelectionSlider if self.kind == "slider" else ipywidgets.Dropdown
        return make(options=options, value=self.start, description=self.label, style=style)


def text(value: Any) -> str:
    """A value as a reader sees it."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def between(name: str, low: float, high: float, step: float) -> tuple[Any, ...]:
    """All values from low to high, both included."""
    numbers = (low, high, step)
    if not all(isinstance(n, Real) and not isinstance(n, bool) and math.isfinite(n) for n in numbers):
        raise ValueError(f"{name} must be (low, high, step) in numbers, got {numbers}")
    if step <= 0 or high <= low:
        raise ValueError(f"{name} must rise from low to high in steps above 0, got {numbers}")
    count = round((high - low) / step)
    if not math.isclose(low + count * step, high, rel_tol=1e-6, abs_tol=1e-9):
        raise ValueError(f"{name} must reach high in whole steps, got {numbers}")
    if all(isinstance(n, int) for n in numbers):
        return tuple(range(int(low), int(high) + 1, int(step)))
    return tuple(round(low + place * step, 10) for place in range(count + 1))


def control(name: str, given: Any, start: Any, paged: Sequence[Any] | None) -> Control:
    """A control from its short form: (low, high, step), a list of choices, or True or False."""
    if isinstance(given, bool):
        kind, values = "switch", (False, True)
        start = given if start is inspect.Parameter.empty else start
    elif isinstance(given, tuple) and len(given) == 3:
        kind, values = "slider", between(name, *given)
        start = values[len(values) // 2] if start is inspect.Parameter.empty else start
    elif isinstance(given, list | range) and len(given) >= 2:
        kind, values = ("slider" if isinstance(given, range) else "choice"), tuple(given)
        start = values[0] if start is inspect.Parameter.empty else start
    else:
        raise ValueError(
            f"{name} must be (low, high, step), a list of two choices or more, True or False, got {given!r}"
        )
    shown = values if paged is None else tuple(paged)
    for role, wanted in (("start, the default of draw,", (start,)), ("page", shown)):
        if missing := [value for value in wanted if value not in values]:
            raise ValueError(f"{name}: {role} must be among its values, got {missing[0]!r}")
    if start not in shown:
        raise ValueError(f"{name}: page must hold the start, {start!r}, got {list(shown)}")
    return Control(name, kind, values, shown, start)


class Explorer:
    """A figure and its controls: one object, two faces."""

    def __init__(
        self,
        draw: Callable[..., Drawn],
        controls: Sequence[Control],
        title: str,
        alt: str | Callable[..., str],
        caption: str,
    ):
        self.draw = draw
        self.controls = tuple(controls)
        self.title = title
        self.alt = alt
        self.caption = caption

    def drawn(self, values: Mapping[str, Any]) -> tuple[Figure, str, str]:
        """The figure for these values, its text and its alternative text."""
        result = self.draw(**values)
        figure, said = result if isinstance(result, tuple) else (result, "")
        if not isinstance(figure, Figure):
            raise ValueError(f"draw must return a matplotlib Figure, got {type(figure).__name__}")
        if callable(self.alt):
            alt = require_text("alt", self.alt(**values))
        else:
            alt = (
                self.alt + " (" + ", ".join(f"{c.label} {text(values[c.name])}" for c in self.controls) + ")"
            )
        return figure, said, alt

    def page(self) -> Live:
        """The face for a page: every combination of the controls, drawn beforehand."""
        frames: list[tuple[str, str]] = []  # for the light and for the dark theme
        alts, texts = [], []
        size, least = (0, 0), 0
        for combination in itertools.product(*(c.paged for c in self.controls)):
            values = {c.name: value for c, value in zip(self.controls, combination, strict=True)}
            figure, said, alt = self.drawn(values)
            width, height = figure.get_size_inches()
            size = (round(96 * width), round(96 * height))
            frames.append(still(figure))
            least = max(least, least_width(figure))
            plt.close(figure)
            alts.append(alt)
            texts.append(said)
        data = {
            "controls": [
                {
                    "label": c.label,
                    "kind": c.kind,
                    "values": [text(value) for value in c.paged],
                    "start": c.paged.index(c.start),
                }
                for c in self.controls
            ],
            "frames": [list(pair) for pair in zip(*frames, strict=True)],
            "alts": alts,
            "texts": texts,
            "width": size[0],
            "height": size[1],
            "least": least,
        }
        height = size[1] + 60 * (len(self.controls) + 2)
        return Live("controls.html", ["controls.js"], data, self.title, self.caption, height)

    def panel(self) -> ipywidgets.VBox:
        """The face for a live notebook: the figure is drawn anew whenever a control changes."""
        changing = {c.name: c.widget() for c in self.controls}
        picture = ipywidgets.HTML()

        def redraw(_: Any = None) -> None:
            values = {name: widget.value for name, widget in changing.items()}
            figure, said, alt = self.drawn(values)
            paragraph = f"<p>{html.escape(said)}</p>" if said else ""
            picture.value = show(figure, alt=alt, caption=self.caption)._repr_html_() + paragraph

        for widget in changing.values():
            widget.observe(redraw, names="value")
        redraw()
        head = ipywidgets.HTML(f"<b>{html.escape(self.title)}</b>")
        return ipywidgets.VBox([head, *changing.values(), picture])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = self.panel()._repr_mimebundle_(**kwargs)
        return {**bundle, "text/html": self.page()._repr_html_(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        names = ", ".join(c.label for c in self.controls)
        return f"<{self.title}: move {names}>"


def explore(
    draw: Callable[..., Drawn],
    *,
    title: str,
    alt: str | Callable[..., str],
    caption: str = "",
    page: Mapping[str, Sequence[Any]] | None = None,
    **controls: Any,
) -> Explorer:
    """A figure that changes when the reader moves a control, in a live notebook and in the built page alike.

    In a notebook with a kernel `draw` runs at every change. The page has no kernel: it holds a picture for
    every combination of the controls, drawn when the notebook ran.

    Args:
        draw: makes the figure; its parameters are the controls, their defaults where each one starts. It
            returns a matplotlib figure, or a figure and a sentence that is shown below it.
        title: heading of the figure.
        alt: what it shows, for those who cannot see it; a text, to which the values are added, or a function
            of the same parameters.
        caption: what to look for.
        page: for each control that has too many values for a page, those that the page shows.
        controls: (low, high, step) for a slider, a list of choices, a range, or True or False for a switch.

    Raises:
        ValueError: a control is none, `draw` has another parameter, or the page would hold more than 60
            pictures.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> from bpa.show import explore
        >>> def power(exponent=2):
        ...     figure, axes = plt.subplots()
        ...     axes.plot([x**exponent for x in range(5)])
        ...     return figure
        >>> explore(power, title="Powers", alt="A curve that rises", exponent=[1, 2, 3])
        <Powers: move exponent>
    """
    require_text("title", title)
    if not callable(alt):
        require_text("alt", alt)
    if not controls:
        raise ValueError("controls must be one or more, got none")
    parameters = inspect.signature(draw).parameters
    if set(parameters) != set(controls):
        raise ValueError(
            f"controls must be the parameters of draw, {sorted(parameters)}, got {sorted(controls)}"
        )
    paged = dict(page or {})
    if unknown := sorted(set(paged) - set(controls)):
        raise ValueError(f"page must name controls, {sorted(controls)}, got {unknown}")
    made = [control(name, controls[name], parameters[name].default, paged.get(name)) for name in parameters]
    count = math.prod(len(c.paged) for c in made)
    if count > MOST_FRAMES:
        raise ValueError(
            f"page must leave at most {MOST_FRAMES} pictures, got {count}; name fewer values of a control"
        )
    return Explorer(draw, made, title, alt, caption)
