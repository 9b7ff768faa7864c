"""Figures of Matplotlib as SVG that belongs to the page around it: its ink, its paper, its theme.

What a figure draws in black and grey becomes the colour of the page's text (`currentColor`), what it draws in
white becomes the page's ground, and the ground of the figure itself is left away. Colours stay, and so does
everything that lies on a picture: black letters on a heat map are black in every theme.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib import colors, pyplot
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.typing import ColorType

INK = "#1c1c1d"  # nobody's colour by chance: what has it is the style's own ink
# The ground of the page: in the built book, in JupyterLab, in VS Code; elsewhere, whatever is there shows.
PAPER = "var(--pst-color-background, var(--jp-layout-color0, var(--vscode-editor-background, transparent)))"
# What a figure is written by, whatever style it was drawn in.
WRITING: dict[str, Any] = {
    "savefig.bbox": None,
    "savefig.dpi": "figure",
    "savefig.format": "svg",
    "savefig.transparent": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "bpa",
    "svg.image_inline": True,
    "text.usetex": False,
}
NO_DATE = {"Creator": None, "Date": None, "Format": None, "Type": None}
ON_PICTURE = "on-a-picture"  # marks what keeps its colours
MANY_POINTS = 600  # a cloud of more is smaller as a picture than as shapes
NUMBER = re.compile(r"-?\d+\.\d{3,}")
LOCAL = re.compile(r"#([\w.-]+)")


def neutral(color: ColorType) -> float | None:
    """The lightness of a grey, from 0 (black) to 1 (white); None if the colour has a hue."""
    channels = colors.to_rgb(color)
    return sum(channels) / 3 if max(channels) - min(channels) < 0.03 else None


def paint(name: str, color: str, on_picture: bool, is_text: bool) -> dict[str, str]:
    """What the property `name` ("fill" or "stroke") of this colour becomes, with its opacity.

    A grey is so much of the ink as it is darker than white, a little more to stay readable. Letters with a
    hue are mixed with the ink: no one colour can be read as text on white and on black.
    """
    if color == INK and not on_picture:
        return {name: "currentColor"}
    grey = neutral(color)
    if on_picture or (grey is None and not is_text and not (name == "fill" and min_channel(color) > 0.85)):
        return {name: color}
    if grey is None and is_text:
        return {name: f"color-mix(in srgb, {color} 60%, currentColor)"}
    lightness = sum(colors.to_rgb(color)) / 3 if grey is None else grey
    if lightness > 0.97:
        return {name: color if is_text else PAPER}  # white letters lie on something dark
    opacity = min(1.0, 1.2 * (1 - lightness))
    return {name: "currentColor"} | ({f"{name}-opacity": f"{opacity:.2f}"} if opacity < 1 else {})


def min_channel(color: str) -> float:
    """The smallest of a colour's three channels: near 1 if the colour is a tint of white."""
    return min(colors.to_rgb(color))


def repaint(style: str, on_picture: bool, is_text: bool) -> str:
    """A style attribute in the colours of the page."""
    given = dict(part.split(": ", 1) for part in style.split("; ") if ": " in part)
    made: dict[str, str] = {}
    for name, value in given.items():
        if name not in ("fill", "stroke") or not value.startswith("#"):
            made.setdefault(name, value)
            continue
        made.update(paint(name, value, on_picture, is_text))
        opacity = f"{name}-opacity"
        if opacity in made and opacity in given:
            made[opacity] = f"{float(made[opacity]) * float(given[opacity]):.2f}"
    return "; ".join(f"{name}: {value}" for name, value in made.items())


def plain(element: ElementTree.Element) -> None:
    """Names without name spaces, which HTML does not need, short numbers, and nothing between the tags."""
    for node in element.iter():
        node.tag = node.tag.rpartition("}")[2]
        for name in list(node.attrib):
            value = node.attrib.pop(name)
            if name in ("d", "x", "y", "width", "height"):
                value = NUMBER.sub(lambda found: f"{float(found[0]):.2f}", " ".join(value.split()))
            node.attrib[name.rpartition("}")[2]] = value
        if node.text is not None and not node.text.strip():
            node.text = None
        node.tail = None
        for child in list(node):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                node.remove(child)  # a style sheet of Matplotlib's would hold for all of the page


def recolor(element: ElementTree.Element, on_picture: bool = False, is_text: bool = False) -> None:
    """Paint an element and what is in it; what lies on a picture is marked by its id."""
    identity = element.get("id", "")
    on_picture = on_picture or identity.startswith(ON_PICTURE)
    if identity.startswith(("text_", "patch_")):  # a patch in a text is the box around it, or its arrow
        is_text = identity.startswith("text_")
    if "style" in element.attrib:
        element.set("style", repaint(element.attrib["style"], on_picture, is_text))
    elif element.get("fill", "").startswith("#"):  # the ground of a hatched bar
        element.set("style", repaint(f"fill: {element.attrib.pop('fill')}", on_picture, is_text))
    for child in element:
        recolor(child, on_picture, is_text)
    if identity.startswith(ON_PICTURE):
        element.set("fill", "#000000")  # Matplotlib leaves black out, and the ink would take its place


def rename(root: ElementTree.Element, prefix: str) -> None:
    """Keep the ids that something refers to, behind a prefix of the figure's own, and no other."""

    def everywhere(change: Callable[[str], str]) -> Iterable[tuple[ElementTree.Element, str, str]]:
        for node in root.iter():
            for name in ("href", "clip-path", "style"):
                value = node.get(name)
                if value is not None and (name == "href" or "url(#" in value) and value[:5] != "data:":
                    yield node, name, change(value)

    used = {found for _, _, value in everywhere(str) for found in LOCAL.findall(value)}
    for node, name, value in list(everywhere(lambda text: LOCAL.sub(rf"#{prefix}\1", text))):
        node.set(name, value)
    for node in root.iter():
        identity = node.attrib.pop("id", "")
        if identity in used:
            node.set("id", prefix + identity)


def pictures_of(axes: Axes) -> list[Artist]:
    """Images and meshes of colours."""
    return [*axes.images, *(each for each in axes.collections if isinstance(each, QuadMesh))]


def lying_on_pictures(figure: Figure) -> list[Artist]:
    """What is drawn on images and meshes and keeps its colours, after the figure has been drawn."""
    found: list[Artist] = []
    for axes in figure.axes:
        pictures = [picture.get_window_extent() for picture in pictures_of(axes)]
        if pictures:  # a line may end beside its picture, but it is there to be seen on it
            found += (*axes.lines, *axes.collections, *axes.patches)
        for text in axes.texts:
            box = text.get_window_extent()
            if any(box.overlaps(picture) for picture in pictures):
                found.append(text)
    return found


def mark_what_lies_on_pictures(figure: Figure) -> None:
    """Draw the figure, and give what lies on a picture an id by which `recolor` knows it."""
    figure.draw_without_rendering()
    for artist in lying_on_pictures(figure):
        artist.set_gid(ON_PICTURE)


def points_of(artist: Artist) -> int:
    """How many marks the artist draws."""
    if isinstance(artist, Line2D):
        return np.shape(artist.get_xydata())[0] if artist.get_marker() not in ("", " ", "None", None) else 0
    return np.shape(artist.get_offsets())[0] if isinstance(artist, Collection) else 0


def has_hue(artist: Artist) -> bool:
    """Whether none of its marks is black, white or grey: those follow the page, which a raster cannot."""
    drawn: list[ColorType | Sequence[ColorType]] = []
    if isinstance(artist, Line2D):
        drawn = [artist.get_markerfacecolor(), artist.get_markeredgecolor()]
    elif isinstance(artist, Collection):
        drawn = [artist.get_facecolor(), artist.get_edgecolor()]
    return all(neutral(color) is None for each in drawn for color in colors.to_rgba_array(each))


def rasterize_clouds(figure: Figure) -> None:
    """Draw coloured clouds of many points, and meshes, as pictures within the SVG; after a first drawing."""
    for axes in figure.axes:
        for artist in (*axes.lines, *axes.collections):
            if isinstance(artist, QuadMesh) or (points_of(artist) > MANY_POINTS and has_hue(artist)):
                artist.set_rasterized(True)


def flatten(element: ElementTree.Element) -> None:
    """Put what is in groups that say nothing in their place, and leave out what is empty."""
    children: list[ElementTree.Element] = []
    for child in element:
        flatten(child)
        if child.tag == "g" and not child.attrib:
            children.extend(child)
        elif len(child) or child.tag not in ("g", "defs"):
            children.append(child)
    element[:] = children


def without_latex(figure: Figure) -> None:
    """Have Matplotlib set the texts itself."""
    for text in figure.findobj(Text):
        text.set_usetex(False)


def inline_svg(figure: Figure) -> ElementTree.Element:
    """The figure as an SVG element to stand in a page, without a width; the same figure gives the same one.

    Ids begin with a hash of what is drawn, so that figures of one page do not take each other's shapes. No
    name spaces, no style sheet, no address: nothing is loaded, and nothing around it changes.
    """
    for patch in (figure.patch, *(axes.patch for axes in figure.axes)):
        if neutral(patch.get_facecolor()) == 1:
            patch.set_visible(False)  # the page shows through
    without_latex(figure)
    buffer = io.BytesIO()
    with pyplot.style.context(WRITING):
        mark_what_lies_on_pictures(figure)
        rasterize_clouds(figure)
        figure.savefig(buffer, metadata=NO_DATE)
    root = ElementTree.fromstring(buffer.getvalue())
    plain(root)
    recolor(root)
    rename(root, f"f{hashlib.sha256(ElementTree.tostring(root)).hexdigest()[:8]}-")
    flatten(root)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("fill", "currentColor")  # black, which Matplotlib leaves out
    root.set("stroke-linejoin", "round")
    return root
