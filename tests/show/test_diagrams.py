"""Diagrams: whole, labelled, in the page's ink and the book's palette, and nothing sticks out."""

import re
from xml.etree import ElementTree

import pytest

from bpa.show import diagrams
from bpa.show.plots import COLORS

DRAWN = [
    diagrams.neuron,
    diagrams.plastic_connection,
    diagrams.modulator,
    diagrams.eligibility,
    diagrams.two_loops,
]


def drawing_of(draw):
    """The svg element, which must be valid XML."""
    return ElementTree.fromstring(draw()._repr_html_()).find(".//svg")


def words_of(draw):
    return " ".join("".join(text.itertext()) for text in drawing_of(draw).iter("text"))


@pytest.mark.parametrize("draw", DRAWN)
def test_a_diagram_is_labelled_and_needs_nothing(draw):
    page = draw(caption="Look & see.")._repr_html_()
    drawing = ElementTree.fromstring(page).find(".//svg")
    assert drawing.get("role") == "img"
    assert len(drawing.get("aria-label")) > 100
    assert "Look &amp; see.</figcaption>" in page
    assert "figcaption" not in draw()._repr_html_()
    assert "://" not in page
    assert "<script" not in page
    assert 'id="' not in page, "so two of them on one page do not disturb each other"
    assert draw()._repr_html_() == draw()._repr_html_()


@pytest.mark.parametrize("draw", DRAWN)
def test_a_diagram_may_have_a_label_of_its_own_but_not_none(draw):
    assert 'aria-label="two words"' in draw(alt="two words")._repr_html_()
    for nothing in ("", "  ", None):
        with pytest.raises(ValueError, match="alt must be text that says what the picture shows"):
            draw(alt=nothing)


@pytest.mark.parametrize("draw", DRAWN)
def test_a_diagram_has_the_ink_of_the_page_and_the_colours_of_the_book(draw):
    mixed = r"color-mix\(in srgb, (#[0-9a-f]{6}) \d\d%, currentColor\)"
    for element in drawing_of(draw).iter():
        given = [element.get("fill"), element.get("stroke")]
        given += re.findall(r"fill: ([^;]+);", element.get("style", ""))
        for color in given:
            if color in (None, "none", "currentColor"):
                continue
            own = re.fullmatch(mixed, color)
            assert (own[1] if own else color) in COLORS.values()
            assert color != COLORS["black"]


def places(drawing):
    """Every point of the shapes, and the corners of the letters by a generous guess of their width."""
    for element in drawing.iter():
        number = {
            name: float(element.get(name)) for name in ("x", "y", "width", "height") if element.get(name)
        }
        if element.tag == "text":
            size = float(re.search(r"font-size: ([\d.]+)px", element.get("style"))[1])
            width = 0.53 * size * len("".join(element.itertext()))
            left = number["x"] - width * {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
            yield from ((left, number["y"] - size), (left + width, number["y"] + 0.5 * size))
        elif element.tag == "rect":
            yield number["x"], number["y"]
            yield number["x"] + number["width"], number["y"] + number["height"]
        elif element.tag == "circle":
            x, y, radius = (float(element.get(name)) for name in ("cx", "cy", "r"))
            yield from ((x - radius, y - radius), (x + radius, y + radius))
        elif element.tag == "polygon":
            yield from (tuple(map(float, point.split(","))) for point in element.get("points").split())
        elif element.tag == "path" and not re.search(
            "[a-zHV]", element.get("d")
        ):  # steps and gates are within
            values = [float(value) for value in re.findall(r"-?[\d.]+", element.get("d"))]
            yield from zip(values[::2], values[1::2], strict=True)


@pytest.mark.parametrize("draw", DRAWN)
def test_nothing_sticks_out_of_a_diagram(draw):
    drawing = drawing_of(draw)
    left, top, width, height = map(float, drawing.get("viewBox").split())
    assert width <= 620, "its letters are readable on a phone"
    for x, y in places(drawing):
        assert left <= x <= left + width, (x, y)
        assert top <= y <= top + height, (x, y)


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (diagrams.neuron, ["tanh", "wij", "xj", "synapses", "pre-synaptic, i", "post-synaptic, j"]),
        (diagrams.plastic_connection, ["αij · Hebbij", "wij", "Hebbij(t) + η xi(t − 1) xj(t)", "Clip("]),
        (diagrams.modulator, ["M(t)", "ηj", "ηH", "Hebbij(t) + ηj(t) xi(t − 1) xj(t)"]),
        (diagrams.eligibility, ["Eij(t)", "M(t)", "Hebbij(t)", "a reward comes, late"]),
        (diagrams.two_loops, ["inner loop", "outer loop", "w, α, η", "Hebb = 0", "gradient descent"]),
    ],
)
def test_a_diagram_names_its_parts_by_the_letters_of_the_book(draw, words):
    text = words_of(draw)
    for word in words:
        assert word in text


def steps_of(color):
    """The step curve of this colour as heights above its base line, one a step."""
    (path,) = [
        element.get("d")
        for element in drawing_of(diagrams.eligibility).iter("path")
        if color in element.get("stroke") and "H" in element.get("d")
    ]
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)H", path)]
    return [heights[0] - height for height in heights]


def test_the_curves_of_the_trace_in_time_follow_the_equations():
    """E fades by 1 - eta, Hebb rises once, by what is left of E when M is 1, and one step after it."""
    trace, modulation, hebb = (steps_of(COLORS[name]) for name in ("purple", "vermilion", "blue"))
    begin, reward = trace.index(48.0), modulation.index(48.0)
    assert [later / earlier for earlier, later in zip(trace[begin:], trace[begin + 1 :], strict=False)][
        :8
    ] == pytest.approx([0.88] * 8, abs=0.01)
    assert trace[:begin] == [0] * begin
    assert sum(modulation) == 48
    assert hebb == [0] * (reward + 1) + [trace[reward]] * (len(hebb) - reward - 1)


def test_formulas_set_variables_in_italics_and_names_upright():
    drawing = diagrams.Drawing(100, 100)
    drawing.formula((50, 50), "Hebb_ij + η x_2")
    text = drawing.root.find("text")
    assert "".join(text.itertext()) == "Hebbij + η x2"
    italic = {piece.text for piece in text.iter("tspan") if piece.get("font-style") == "italic"}
    assert italic == {"ij", "η", "x"}
