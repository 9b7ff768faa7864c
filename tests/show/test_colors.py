"""One palette: pages, live figures, the mark and the favicon have the colours of the static figures."""

import re
from pathlib import Path

import pytest
from matplotlib.colors import to_rgb

from bpa.show.plots import COLORS, WALL_COLOR
from bpa.show.widgets import source

STATIC = Path(__file__).parents[2] / "book" / "_static"
TEXTS = {
    "frame.css": source("frame.css"),
    **{name: (STATIC / name).read_text(encoding="utf-8") for name in ("book.css", "logo.svg", "favicon.svg")},
}


def hues(text):
    """Colours that are no grey; the tint of a dark button counts as one."""
    found = re.findall(r"#(?:[0-9a-f]{6}|[0-9a-f]{3})\b", text)
    return {color for color in found if max(to_rgb(color)) - min(to_rgb(color)) > 0.06}


@pytest.mark.parametrize("name", TEXTS)
def test_every_colour_is_one_of_the_palette(name):
    assert hues(TEXTS[name]) <= set(COLORS.values())
    assert len(hues(TEXTS[name])) >= 2


def test_the_pages_name_the_colours_as_the_figures_do():
    named = dict(re.findall(r"--bpa-(\w+): (#\w+);", TEXTS["book.css"]))
    assert named == {name: color for name, color in COLORS.items() if name != "black"}


def test_ink_and_walls_of_live_figures_are_those_of_static_ones():
    settings = dict(re.findall(r"--(\w+): (#\w+);", TEXTS["frame.css"].partition("[data-theme")[0]))
    assert settings["ink"] == COLORS["black"]
    assert settings["wall"] == WALL_COLOR
    assert settings["goal"] == COLORS["vermilion"]
    assert settings["agent"] == settings["signal"] == COLORS["blue"]


def test_the_mark_and_the_favicon_are_one():
    assert TEXTS["logo.svg"] == TEXTS["favicon.svg"]
