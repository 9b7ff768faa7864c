"""A picture as one piece of HTML: a drawing with a label for those who cannot see it, and a caption."""

from __future__ import annotations

import base64
import html
from typing import Any
from xml.etree import ElementTree

READABLE = 480  # CSS pixels: a picture that is narrower than this may scroll, a wider one need not
LETTER = 9  # CSS pixels: the height of the smallest letters that can be read on a phone
NARROW = 340  # CSS pixels: what fits any phone and never scrolls


class Picture:
    """Something drawn, to end a cell with: shown alike in a notebook and in the built page.

    On a narrow screen it shrinks until its letters would be too small to read; then it scrolls sideways.
    """

    def __init__(
        self, drawing: ElementTree.Element, alt: str, caption: str, width: int, least: int = READABLE
    ):
        """Keep what to show.

        Args:
            drawing: an `svg` or `img` element without a size; it gets its label and its width here.
            alt: what it shows, in words; must not be empty.
            caption: what to look for, set below it; may be empty.
            width: CSS pixels where there is room.
            least: CSS pixels below which its letters would be too small.
        """
        self.drawing = drawing
        self.alt = require_text("alt", alt)
        self.caption = caption
        self.width = width
        least = min(width, least)
        scrolls = f"; min-width: {least}px" if least > NARROW else ""
        drawing.set("style", f"display: block; width: {width}px; max-width: 100%; height: auto{scrolls}")
        if drawing.tag == "svg":
            drawing.set("role", "img")
            drawing.set("aria-label", alt)
        else:
            drawing.set("alt", alt)

    def _repr_html_(self) -> str:
        drawing = ElementTree.tostring(self.drawing, encoding="unicode")
        caption = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        # What scrolls must be within reach of the keyboard.
        tab = ' tabindex="0"' if "min-width" in self.drawing.get("style", "") else ""
        return (
            '<figure class="bpa-figure" style="margin: 1em 0">'
            f'<div class="bpa-scroll" style="overflow-x: auto"{tab}>{drawing}</div>{caption}</figure>'
        )

    def __repr__(self) -> str:
        return f"{self.alt} {self.caption}".strip()


def encode(data: bytes) -> str:
    """Bytes as base64 text."""
    return base64.b64encode(data).decode("ascii")


def require_text(name: str, value: Any) -> str:
    """`value` if it is text with something in it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be text that says what the picture shows, got {value!r}")
    return value
