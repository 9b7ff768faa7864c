"""Figures as SVG: whole, alone, in the page's own ink."""

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt

from bpa.show import plots
from bpa.show.svg import INK, MANY_POINTS, PAPER, inline_svg, paint, repaint

matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _clean():
    with plt.style.context(plots.STYLES):
        yield
    plt.close("all")


def text_of(figure):
    return ElementTree.tostring(inline_svg(figure), encoding="unicode")


def a_figure_of_everything(shift=0.0):
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([0, 1, 2 + shift], [0, 1, 0], label="a & b")
    left.plot([0, 1, 2], [1, 0, 1], color="black", marker="o", label="$w + \\alpha$")
    left.bar([0, 1], [1, 2], hatch="//", edgecolor="white")
    left.fill_between([0, 1], [0, 1], alpha=0.25)
    left.set_title("M(t) < 5 %")
    left.legend(frameon=True)
    image = right.imshow(np.arange(9).reshape(3, 3))
    right.text(1, 1, "on it", color="black")
    right.text(0, 0, "on it", color="white")
    figure.colorbar(image)
    return figure


def ids_and_uses(page):
    return re.findall(r'\bid="([^"]*)"', page), re.findall(r'(?:href="|url\()#([^")]*)', page)


def test_a_figure_is_whole_and_asks_for_nothing():
    page = text_of(a_figure_of_everything())
    tags = {node.tag for node in ElementTree.fromstring(page).iter()}  # valid XML
    assert tags == {"svg", "g", "path", "defs", "use", "clipPath", "rect", "image", "pattern"}
    assert "://" not in page, "no address, not even of a name space"
    assert not re.search(r"\bon\w+=|javascript:", page)
    for source in re.findall(r'href="([^"]*)"', page):
        assert source.startswith(("#", "data:image/png;base64,"))


def test_ids_are_those_that_are_used_and_no_other_figure_has_them():
    pages = [text_of(a_figure_of_everything(shift)) for shift in (0.0, 0.5)]
    both = []
    for page in pages:
        ids, uses = ids_and_uses(page)
        assert len(ids) == len(set(ids)) > 5
        assert set(ids) == set(uses)
        both += ids
    assert len(both) == len(set(both))


def test_the_same_figure_gives_the_same_text():
    assert text_of(a_figure_of_everything()) == text_of(a_figure_of_everything())


def colors_of(page):
    return set(re.findall(r"(?:fill|stroke)(?:: |=\")([^;\"]+)", page)) - {"none"}


def test_what_is_black_white_and_grey_is_the_pages_ink_and_paper():
    figure, axes = plt.subplots()
    axes.plot([0, 1], color="black", label="black")
    axes.plot([0, 2], color=plots.COLORS["black"])
    axes.plot([0, 3], color="#595959", marker="o", markerfacecolor="white")
    axes.scatter([0, 1], [0, 1], color="k", s=9)
    axes.text(0, 0, "letters", bbox={"facecolor": "white", "edgecolor": "#333333"})
    axes.text(0, 0, "black letters", color="black")
    axes.legend(frameon=True)
    assert colors_of(text_of(figure)) == {"currentColor", PAPER}


def test_letters_of_a_colour_are_drawn_towards_the_ink():
    figure, axes = plt.subplots()
    axes.text(0.5, 0.5, "vermilion", color=plots.COLORS["vermilion"])
    mixed = f"color-mix(in srgb, {plots.COLORS['vermilion']} 60%, currentColor)"
    assert colors_of(text_of(figure)) == {"currentColor", mixed}


@pytest.mark.parametrize("draw", ["imshow", "pcolormesh"])
def test_what_lies_on_a_heat_map_keeps_its_colour_and_what_lies_beside_it_does_not(draw):
    figure, axes = plt.subplots()
    getattr(axes, draw)(np.arange(9.0).reshape(3, 3))
    bare = text_of(figure).count("#000000")
    axes.text(1, 1, "x")  # in the style's ink
    axes.text(1, 1, "x", color="white")
    axes.text(1, 1, "x", color="black")
    axes.plot([0, 1], [0, 1], color="#333333")
    assert bare == 0
    page = text_of(figure)
    assert {"#ffffff", "#333333", "#000000", INK} < colors_of(page)
    assert page.count("#000000") == 4, "each of the four fills what has no colour of its own with black"
    axes.set_title("title")
    axes.text(-3, 1, "beside")
    assert page.count("currentColor") < text_of(figure).count("currentColor")
    assert text_of(figure).count(INK) == page.count(INK)


def test_clouds_of_colour_and_meshes_are_pictures_and_black_ones_stay_in_the_pages_ink():
    places = np.random.default_rng(0).normal(size=(2, MANY_POINTS + 1))
    for draw, drawn in (
        (lambda axes: axes.scatter(*places), True),
        (lambda axes: axes.plot(*places, ".", color=plots.COLORS["blue"]), True),
        (lambda axes: axes.plot(*places, color=plots.COLORS["blue"]), False),
        (lambda axes: axes.plot(*places, ".", color="black"), False),
        (lambda axes: axes.scatter(*places[:, 1:]), False),
    ):
        figure, axes = plt.subplots()
        draw(axes)
        assert ("<image" in text_of(figure)) == drawn


@pytest.mark.parametrize(
    ("color", "made"),
    [
        (INK, {"fill": "currentColor"}),
        ("#000000", {"fill": "currentColor"}),
        ("#ffffff", {"fill": PAPER}),
        ("#808080", {"fill": "currentColor", "fill-opacity": "0.60"}),
        ("#eef4f9", {"fill": "currentColor", "fill-opacity": "0.05"}),  # a tint of the paper
        ("#0064c0", {"fill": "#0064c0"}),
    ],
)
def test_a_shape_is_painted(color, made):
    assert paint("fill", color, on_picture=False, is_text=False) == made
    assert paint("fill", color, on_picture=True, is_text=False) == {"fill": color}


def test_white_letters_stay_white():
    assert paint("fill", "#ffffff", on_picture=False, is_text=True) == {"fill": "#ffffff"}


def test_opacities_of_a_grey_multiply_in_any_order():
    for style in ("fill: #808080; fill-opacity: 0.5", "fill-opacity: 0.5; fill: #808080"):
        made = dict(part.split(": ") for part in repaint(style, False, False).split("; "))
        assert made == {"fill": "currentColor", "fill-opacity": "0.30"}
