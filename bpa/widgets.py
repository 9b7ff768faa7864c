"""Live figures that need neither a kernel nor a network: plain JavaScript in a sandboxed frame.

Each function returns a `Live`, which a notebook and the built page show alike. Everything that a figure
needs, its pictures and a network's weights too, is inside it as text, so it also works from a file.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bpa.plots import encode, png_bytes, require_text


class Live:
    """A live figure as HTML: an iframe that can run scripts and do nothing else."""

    def __init__(self, body: str, scripts: Sequence[str], data: Any, title: str, height: int):
        self.body = body
        self.scripts = tuple(scripts)  # names of files in bpa/live, in the order in which they run
        self.data = data  # what the scripts read, ready for JSON
        self.title = require_text("title", title)
        self.height = height  # CSS pixels, until the figure reports its own

    def document(self) -> str:
        """The page inside the frame."""
        # "</" would end the script element early, wherever it stands in the text.
        data = json.dumps(self.data, separators=(",", ":")).replace("</", "<\\/")
        scripts = "".join(f"<script>{source(name)}</script>" for name in ("frame.js", *self.scripts))
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{html.escape(self.title)}</title>'
            f"<style>{source('frame.css')}</style></head><body>"
            f'<main id="figure"><h2>{html.escape(self.title)}</h2>{self.body}</main>'
            f'<script type="application/json" id="data">{data}</script>{scripts}</body></html>'
        )

    def _repr_html_(self) -> str:
        return (
            f'<div class="bpa-figure"><iframe class="bpa-live" sandbox="allow-scripts" '
            f'title="{html.escape(self.title)}" srcdoc="{html.escape(self.document())}" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
            f"<script>{source('page.js')}</script></div>"
        )

    def __repr__(self) -> str:
        return f"<live figure: {self.title}>"


def source(name: str) -> str:
    """The text of a file in bpa/live."""
    return resources.files("bpa").joinpath("live", name).read_text(encoding="utf-8")


def frames(
    figures: Sequence[Figure], labels: Sequence[str], title: str, alt: str | Sequence[str], caption: str = ""
) -> Live:
    """A slider over figures drawn beforehand, with a play button. The figures are closed.

    Args:
        figures: matplotlib figures of one size, at least two.
        labels: what the slider says at each, such as "t = 3".
        title: heading of the live figure.
        alt: what the pictures show; one text for all, to which the label is added, or one for each.
        caption: what to look for.

    Raises:
        ValueError: there are fewer than two figures, or not as many labels or texts as figures.
    """
    if len(figures) < 2:
        raise ValueError(f"figures must be at least two, got {len(figures)}")
    if len(labels) != len(figures):
        raise ValueError(f"labels must be as many as figures, {len(figures)}, got {len(labels)}")
    alts = (
        [f"{require_text('alt', alt)} ({label})" for label in labels] if isinstance(alt, str) else list(alt)
    )
    if len(alts) != len(figures):
        raise ValueError(f"alt must be one text or as many as figures, {len(figures)}, got {len(alts)}")
    for text in alts:
        require_text("alt", text)
    width, height = (round(96 * inches) for inches in figures[0].get_size_inches())
    data = {
        "frames": ["data:image/png;base64," + encode(png_bytes(figure)) for figure in figures],
        "labels": [str(label) for label in labels],
        "alts": alts,
    }
    for figure in figures:
        plt.close(figure)
    body = (
        f'<img id="picture" width="{width}" height="{height}" alt="{html.escape(alts[0])}">'
        '<div class="row"><button id="play" type="button">Play</button>'
        f'<input id="slider" type="range" min="0" max="{len(figures) - 1}" step="1" value="0" '
        f'aria-label="{html.escape(title)}"><output id="label" for="slider"></output></div>'
        f'<p class="small">{html.escape(caption)}</p>'
    )
    return Live(body, ["frames.js"], data, title, height + 130)
