"""Pictures for the page's face of a figure that changes: small PNGs, one for each theme.

A slider needs dozens of pictures, and as SVG they would weigh too much. So each is drawn twice: as it is, on
white, and with its blacks, greys and whites turned for a dark page. What lies on an image keeps its colours.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib import colors, pyplot
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from PIL import Image

from bpa.show.picture import encode
from bpa.show.plots import SAVING
from bpa.show.svg import INK, lying_on_pictures, neutral, without_latex

STILL_COLORS = 64  # a palette: a plot needs no more, and weighs a third
STILL_LEVEL = 8  # of compression: the highest, 9, takes two or three times as long and saves a fiftieth
STILL_DPI = 144  # as the style of the book: sharp on a dense screen
NIGHT_INK, NIGHT_PAPER = "#e8e8e8", "#121212"  # those of a live figure in the dark theme, in frame.css


def night(color: Any) -> tuple[float, float, float, float]:
    """A colour for the dark theme: greys are turned round between ink and paper, hues stay."""
    red, green, blue, alpha = colors.to_rgba(color)
    lightness = neutral((red, green, blue))
    if lightness is None and min(red, green, blue) > 0.85:
        lightness = (red + green + blue) / 3  # a tint of white is paper
    if lightness is None:
        return red, green, blue, alpha
    darkest = sum(colors.to_rgb(INK)) / 3
    share = min(max((lightness - darkest) / (1 - darkest), 0.0), 1.0)
    ink, paper = np.array(colors.to_rgb(NIGHT_INK)), np.array(colors.to_rgb(NIGHT_PAPER))
    red, green, blue = (ink + share * (paper - ink)).tolist()
    return red, green, blue, alpha


def turn(artist: Artist) -> None:
    """Give one artist its colours of the dark theme."""
    if isinstance(artist, Text):
        artist.set_color(night(artist.get_color()))
    elif isinstance(artist, Line2D):
        edge, face = artist.get_markeredgecolor(), artist.get_markerfacecolor()
        artist.set_color(night(artist.get_color()))
        artist.set_markeredgecolor(night(edge))
        if not colors.same_color(face, "none"):
            artist.set_markerfacecolor(night(face))
    elif isinstance(artist, Patch):
        artist.set_edgecolor(night(artist.get_edgecolor()))
        artist.set_facecolor(night(artist.get_facecolor()))
    elif isinstance(artist, Collection) and artist.get_array() is None:
        faces, edges = artist.get_facecolor(), artist.get_edgecolor()
        artist.set_facecolor([night(face) for face in np.atleast_2d(faces)] if len(faces) else "none")
        artist.set_edgecolor([night(edge) for edge in np.atleast_2d(edges)] if len(edges) else "none")


def darken(figure: Figure) -> None:
    """Turn a figure that has been drawn for the dark theme, in place."""
    kept = {id(artist) for artist in lying_on_pictures(figure)}
    for artist in figure.findobj():
        if id(artist) in kept:
            continue
        turn(artist)
        if isinstance(artist, Text) and (box := artist.get_bbox_patch()) is not None:
            turn(box)


def small_png(canvas: FigureCanvasAgg) -> bytes:
    """The figure as PNG with a palette of few colours."""
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba()))
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    buffer = io.BytesIO()
    flat.quantize(STILL_COLORS, dither=Image.Dither.NONE).save(buffer, "PNG", compress_level=STILL_LEVEL)
    return buffer.getvalue()


def still(figure: Figure) -> tuple[str, str]:
    """The figure for the light and for the dark theme, as addresses that hold the picture. It is changed.

    It is laid out once, so that both have everything in the same places, and drawn into memory: `savefig`
    would lay it out anew each time, draw it twice, and write a file to be read again.
    """
    without_latex(figure)
    figure.set_dpi(STILL_DPI)
    with pyplot.style.context(SAVING):
        canvas = FigureCanvasAgg(figure)
        light = small_png(canvas)
        figure.set_layout_engine("none")
        darken(figure)
        dark = small_png(canvas)
    start = "data:image/png;base64,"
    return start + encode(light), start + encode(dark)
