"""Drawn diagrams in one style: a neuron, a plastic connection, who gates what, and the two loops of learning.

Each function returns a `Picture`: SVG in the ink of the page around it, so it can be read in a light and in a
dark theme. One colour has one meaning throughout: ink is what does not change within an episode, blue is the
plastic part, purple the eligibility trace, vermilion the modulation, green learning by gradient descent,
orange a reward. Every function has a label in words, `alt`, which a page may replace by its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from xml.etree import ElementTree

from bpa.show.picture import Picture
from bpa.show.plots import COLORS

Point = tuple[float, float]
INK = "currentColor"
PLASTIC, TRACE, MODULATION = COLORS["blue"], COLORS["purple"], COLORS["vermilion"]
GRADIENT, REWARD = COLORS["green"], COLORS["orange"]
WORDS = "font-family: system-ui, -apple-system, 'Segoe UI', sans-serif"
FORMULA = "font-family: 'STIX Two Text', 'Cambria Math', Cambria, Georgia, 'Liberation Serif', serif"
SIZE = 15.0  # of letters, in pixels of a diagram drawn at its full width
# A name, its index if it has one, or anything else: "w_ij", "Hebb_ij", "x_{j}", " + ".
PIECE = re.compile(r"([A-Za-zα-ωΑ-Ω]+)(?:_(\w+))?|([^A-Za-zα-ωΑ-Ω]+)")


def towards_ink(color: str, share: int = 80) -> str:
    """So many per cent of a colour, the rest ink: darker on paper, lighter on a dark page."""
    return color if color == INK else f"color-mix(in srgb, {color} {share}%, currentColor)"


class Drawing:
    """An SVG of a given size, in pixels, to which shapes and letters are added. It needs no ids."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.root = ElementTree.Element(
            "svg",
            {
                "viewBox": f"0 0 {width:g} {height:g}",
                "fill": "none",
                "stroke-linecap": "round",
                "stroke-linejoin": "round",
            },
        )

    def add(self, tag: str, **attributes: str | float) -> ElementTree.Element:
        """A new element, numbers rounded to a tenth of a pixel."""
        settings = {
            name.replace("_", "-"): f"{value:.1f}".removesuffix(".0") if not isinstance(value, str) else value
            for name, value in attributes.items()
        }
        return ElementTree.SubElement(self.root, tag, settings)

    def line(
        self,
        points: Sequence[Point],
        color: str = INK,
        width: float = 1.6,
        dash: str = "",
        head: bool = False,
    ) -> None:
        """A line from point to point, with an arrow's head at its end if wanted."""
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.stroke(path, color, width, dash)
        if head:
            self.head(points[-2], points[-1], color)

    def curve(
        self,
        start: Point,
        first: Point,
        second: Point,
        end: Point,
        color: str = INK,
        width: float = 1.6,
        dash: str = "",
        head: bool = False,
    ) -> None:
        """A curve from start to end that leaves towards `first` and arrives from `second`."""
        coordinates = " ".join(f"{x:.1f} {y:.1f}" for x, y in (first, second, end))
        self.stroke(f"M{start[0]:.1f} {start[1]:.1f}C{coordinates}", color, width, dash)
        if head:
            self.head(second, end, color)

    def stroke(self, path: str, color: str, width: float, dash: str = "") -> None:
        """A line along a path."""
        settings: dict[str, str | float] = {"d": path, "stroke": towards_ink(color), "stroke_width": width}
        if dash:
            settings["stroke_dasharray"] = dash
        self.add("path", **settings)

    def head(self, before: Point, tip: Point, color: str) -> None:
        """The head of an arrow that comes from `before`."""
        angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
        corners = [
            (tip[0] - 9 * math.cos(angle + turn), tip[1] - 9 * math.sin(angle + turn))
            for turn in (0.42, -0.42)
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (tip, *corners))
        self.add("polygon", points=points, fill=towards_ink(color))

    def circle(self, center: Point, radius: float, color: str = INK, fill: bool = False) -> None:
        """A circle, tinted in its colour, or filled with it."""
        self.add(
            "circle",
            cx=center[0],
            cy=center[1],
            r=radius,
            stroke=towards_ink(color),
            stroke_width=1.6,
            fill=color,
            fill_opacity="1" if fill else "0.08",
        )

    def box(
        self, corner: Point, width: float, height: float, color: str = INK, tint: float = 0.08, dash: str = ""
    ) -> None:
        """A box with round corners, tinted in its colour."""
        settings: dict[str, str | float] = {
            "x": corner[0],
            "y": corner[1],
            "width": width,
            "height": height,
            "rx": 8,
            "stroke": towards_ink(color),
            "stroke_width": 1.6,
            "fill": color,
            "fill_opacity": f"{tint:g}",
        }
        if dash:
            settings["stroke_dasharray"] = dash
        self.add("rect", **settings)

    def star(self, center: Point, radius: float) -> None:
        """A reward."""
        corners = [
            (
                center[0] + radius * (1 if k % 2 == 0 else 0.42) * math.sin(k * math.pi / 5),
                center[1] - radius * (1 if k % 2 == 0 else 0.42) * math.cos(k * math.pi / 5),
            )
            for k in range(10)
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self.add("polygon", points=points, fill=REWARD, stroke=INK, stroke_width=0.8)

    def text(
        self, place: Point, words: str, color: str = INK, anchor: str = "middle", size: float = SIZE
    ) -> None:
        """Words, centred on a place or beside it. Letters with a colour are drawn towards the ink."""
        self.letters(place, color, anchor, size, WORDS).text = words

    def formula(
        self, place: Point, formula: str, color: str = INK, anchor: str = "middle", size: float = SIZE + 3
    ) -> None:
        """A formula: single letters are set in italics, names upright, what follows "_" as an index."""
        element = self.letters(place, color, anchor, size, FORMULA)
        lowered = False
        for name, index, other in PIECE.findall(formula):
            piece = ElementTree.SubElement(element, "tspan")
            piece.text = name or other
            if len(name) == 1:
                piece.set("font-style", "italic")
            if lowered:
                piece.set("dy", "-0.3em")
            lowered = bool(index)
            if index:
                below = ElementTree.SubElement(element, "tspan", {"font-size": "72%", "dy": "0.42em"})
                below.text = index
                if not index.isdigit():
                    below.set("font-style", "italic")

    def letters(self, place: Point, color: str, anchor: str, size: float, font: str) -> ElementTree.Element:
        """An empty piece of text."""
        element = self.add("text", x=place[0], y=place[1] + 0.35 * size, text_anchor=anchor)
        element.set(
            "style", f"{font}; font-size: {size:g}px; fill: {towards_ink(color, 60)}; white-space: pre"
        )
        return element

    def picture(self, alt: str, caption: str) -> Picture:
        """What has been drawn."""
        return Picture(self.root, alt, caption, round(self.width))


NEURON = (
    "A neuron. Lines come from four pre-synaptic neurons with the activities x 1, x 2, x i and x N and "
    "end at synapses, dots of different sizes, with the weights w 1 j, w 2 j, w i j and w N j. The post- "
    "synaptic neuron j adds up the products, the sum goes through tanh, and the result is its own "
    "activity x j."
)


def neuron(caption: str = "", alt: str = NEURON) -> Picture:
    """A neuron and its synapses: x_j = tanh( sum_i w_ij x_i ).

    Args:
        caption: what to look for, set below the picture.
        alt: what it shows, for those who cannot see it; must not be empty.
    """
    drawing = Drawing(600, 320)
    body = (330.0, 160.0)
    drawing.text((70, 22), "pre-synaptic, i")
    drawing.text((346, 22), "post-synaptic, j")
    drawing.text((212, 22), "synapses")
    inputs = ((62, "1", 4.0), (122, "2", 8.0), (198, "i", 6.0), (258, "N", 3.0))
    for y, index, strength in inputs:
        drawing.circle((70, y), 22)
        drawing.formula((70, y), f"x_{index}")
        angle = math.atan2(y - body[1], 70 - body[0])
        meet = (body[0] + 56 * math.cos(angle), body[1] + 56 * math.sin(angle))
        drawing.line([(92, y), meet])
        drawing.circle(meet, strength, fill=True)
        slope = math.atan2(meet[1] - y, meet[0] - 92)
        beside = (160 + 16 * math.sin(slope), y + 68 * math.tan(slope) - 16 * math.cos(slope))
        drawing.formula(beside, f"w_{index}j")
    for dot in (-7, 0, 7):
        drawing.circle((70, 160 + dot), 1.2, fill=True)
    drawing.circle(body, 46)
    drawing.formula(body, "Σ", size=34)
    drawing.line([(376, 160), (420, 160)], head=True)
    drawing.box((422, 132), 76, 56)
    drawing.stroke(
        "M"
        + "L".join(
            f"{460 + 26 * z / 3:.1f} {160 - 18 * math.tanh(z):.1f}" for z in [k / 4 for k in range(-12, 13)]
        ),
        INK,
        2,
    )
    drawing.text((460, 118), "tanh")
    drawing.line([(498, 160), (548, 160)], head=True)
    drawing.formula((572, 160), "x_j")
    drawing.formula((330, 296), "x_j = tanh( w_1j x_1 + w_2j x_2 + … + w_Nj x_N )")
    return drawing.picture(alt, caption)


PLASTIC_CONNECTION = (
    "A plastic connection from the pre-synaptic neuron i to the post-synaptic neuron j. It has two parts "
    "side by side: a solid line, the fixed weight w i j, and a dashed blue line, the plastic part alpha i "
    "j times Hebb i j. The activities of both neurons are multiplied, and the product, times eta, is "
    "added to Hebb i j."
)


def plastic_connection(caption: str = "", alt: str = PLASTIC_CONNECTION) -> Picture:
    """A connection w_ij + alpha_ij Hebb_ij, and the product of two activities that writes Hebb_ij.

    Args:
        caption: what to look for, set below the picture.
        alt: what it shows, for those who cannot see it; must not be empty.
    """
    drawing = Drawing(600, 350)
    pre, post = (80.0, 110.0), (520.0, 110.0)
    drawing.text((80, 50), "pre-synaptic, i")
    drawing.text((520, 50), "post-synaptic, j")
    drawing.curve((110, 96), (180, 50), (420, 50), (488, 94), width=2.4, head=True)
    drawing.curve((110, 124), (180, 160), (420, 160), (488, 126), PLASTIC, 2.4, "7 6", head=True)
    for place, index in ((pre, "x_i"), (post, "x_j")):
        drawing.circle(place, 34)
        drawing.formula(place, index)
    drawing.formula((300, 34), "w_ij")
    drawing.text((300, 82), "fixed: the same for the whole episode", size=13)
    drawing.formula((300, 128), "α_ij · Hebb_ij", PLASTIC)
    drawing.text((300, 172), "plastic: changes at every step", PLASTIC, size=13)
    drawing.curve((80, 144), (80, 236), (150, 244), (202, 244), head=True)
    drawing.formula((100, 190), "x_i(t − 1)", anchor="start", size=16)
    drawing.curve((520, 144), (520, 290), (300, 300), (229, 256), head=True)
    drawing.formula((502, 190), "x_j(t)", anchor="end", size=16)
    drawing.circle((220, 244), 16)
    drawing.formula((220, 244), "×", size=22)
    drawing.line([(236, 244), (318, 244)], head=True)
    drawing.formula((274, 230), "· η")
    drawing.box((320, 222), 96, 44, PLASTIC)
    drawing.formula((368, 244), "Hebb_ij", PLASTIC)
    drawing.curve((368, 222), (368, 205), (340, 205), (318, 186), PLASTIC, dash="3 4", head=True)
    drawing.formula((300, 328), "Hebb_ij(t + 1) = Clip( Hebb_ij(t) + η x_i(t − 1) x_j(t) )")
    return drawing.picture(alt, caption)


MODULATOR = (
    "Who says when to learn. All hidden neurons lead to one modulator, which computes a single number "
    "M(t). Its vermilion lines fan out to a gate above each column of Hebb, one for each post-synaptic "
    "neuron j, with the gain eta j. What the pre-synaptic neuron i and the post-synaptic neuron j would "
    "write into the cell in row i and column j gets in only as far as the gate of column j is open."
)


def modulator(caption: str = "", alt: str = MODULATOR) -> Picture:
    """M(t), computed from the activity, fans out and gates what is written into each column of Hebb.

    Args:
        caption: what to look for, set below the picture.
        alt: what it shows, for those who cannot see it; must not be empty.
    """
    drawing = Drawing(600, 470)
    drawing.formula((52, 26), "x(t)")
    for y in (66.0, 110.0, 154.0, 198.0, 242.0):
        drawing.circle((52, y), 16)
        drawing.line([(68, y), (132, 150 + (y - 154) * 0.2)], width=1.2)
    drawing.circle((172, 150), 40, MODULATION)
    drawing.formula((172, 150), "M(t)", MODULATION)
    drawing.text((172, 208), "modulator", MODULATION)
    left, top, wide, high = 320.0, 190.0, 64.0, 44.0
    indices = ("1", "2", "j", "H")
    for column, index in enumerate(indices):
        x = left + (column + 0.5) * wide
        drawing.stroke(f"M172 110V82Q172 70 184 70H{x - 12:.1f}Q{x:.1f} 70 {x:.1f} 82V120", MODULATION, 1.8)
        drawing.head((x, 82), (x, 123), MODULATION)
        gate = f"M{x - 13:.1f} 125h26l-26 26h26z"
        drawing.add(
            "path",
            d=gate,
            stroke=towards_ink(MODULATION),
            stroke_width=1.8,
            fill=MODULATION,
            fill_opacity="0.2",
        )
        drawing.formula((x + 17, 138), f"η_{index}", MODULATION, "start", 16)
        drawing.line([(x, 153), (x, top - 3)], MODULATION, 1.8, head=True)
        drawing.circle((x, top + 4 * high + 26), 17)
        drawing.formula((x, top + 4 * high + 26), f"x_{index}", size=15)
        y = top + (column + 0.5) * high
        drawing.circle((left - 28, y), 17)
        drawing.formula((left - 28, y), f"x_{'i' if index == 'j' else index}", size=15)
        for row in range(4):
            chosen = (row, column) == (2, 2)
            drawing.add(
                "rect",
                x=left + column * wide,
                y=top + row * high,
                width=wide,
                height=high,
                stroke=towards_ink(PLASTIC),
                stroke_width=1.2,
                fill=PLASTIC,
                fill_opacity="0.3" if chosen else "0.08",
            )
    drawing.formula((left + 2.5 * wide, top + 2.5 * high), "Hebb_ij", size=16)
    drawing.text((268, top + 4 * high + 18), "post-synaptic, j", anchor="end", size=13)
    drawing.formula((268, top + 4 * high + 38), "x_j(t)", anchor="end", size=15)
    drawing.text((268, top + 2 * high - 10), "pre-synaptic, i", anchor="end", size=13)
    drawing.formula((268, top + 2 * high + 10), "x_i(t − 1)", anchor="end", size=15)
    drawing.formula((300, 450), "Hebb_ij(t + 1) = Clip( Hebb_ij(t) + η_j(t) x_i(t − 1) x_j(t) )")
    return drawing.picture(alt, caption)


ELIGIBILITY = (
    "Four curves over the same time. First an event: the product of the two activities jumps up once, at "
    "step 4. Then its trace E i j, in purple, jumps with it and fades. The modulation M(t), in vermilion, "
    "is zero until a reward, a star, comes 10 steps later. Last, Hebb i j, in blue: it stays flat at the "
    "event and rises only at the reward, by M times what is left of the trace."
)


def eligibility(caption: str = "", alt: str = ELIGIBILITY) -> Picture:
    """An event, the trace that waits, a late reward, and the change of Hebb_ij that they make together.

    The curves follow Hebb(t+1) = Hebb(t) + M(t) E(t) and E(t+1) = (1 - eta) E(t) + eta x_i(t-1) x_j(t).

    Args:
        caption: what to look for, set below the picture.
        alt: what it shows, for those who cannot see it; must not be empty.
    """
    steps, event, reward, eta = 24, 4, 14, 0.12
    product = [1.0 if t == event else 0.0 for t in range(steps)]
    modulation = [1.0 if t == reward else 0.0 for t in range(steps)]
    trace, hebb = [0.0], [0.0]
    for t in range(steps - 1):
        hebb.append(hebb[t] + modulation[t] * trace[t])
        trace.append((1 - eta) * trace[t] + eta * product[t])
    drawing = Drawing(600, 400)
    left, step = 170.0, 17.0

    def at(t: float) -> float:
        return left + step * t

    rows = (
        ("x_i(t − 1) x_j(t)", "the event", product, 1.0, INK, 92.0),
        ("E_ij(t)", "its trace", trace, eta, TRACE, 172.0),
        ("M(t)", "the modulation", modulation, 1.0, MODULATION, 252.0),
        ("Hebb_ij(t)", "the connection", hebb, eta, PLASTIC, 332.0),
    )
    for t in (event, reward):
        drawing.line([(at(t + 0.5), 40), (at(t + 0.5), 344)], width=1, dash="2 5")
    for name, words, values, largest, color, base in rows:
        drawing.formula((left - 16, base - 30), name, color, "end", 16)
        drawing.text((left - 16, base - 9), words, color, "end", 13)
        drawing.line([(left, base), (at(steps), base)], width=0.8)
        path = "".join(
            f"{'M' if t == 0 else 'L'}{at(t):.1f} {base - 48 * value / largest:.1f}H{at(t + 1):.1f}"
            for t, value in enumerate(values)
        )
        drawing.stroke(path, color, 2.4)
    drawing.text((at(event + 0.5), 24), "something happens", size=13)
    drawing.text((at(reward + 0.5) + 18, 24), "a reward comes, late", anchor="start", size=13)
    drawing.star((at(reward + 0.5), 24), 11)
    drawing.line([(left, 360), (at(steps), 360)], head=True)
    drawing.text((at(steps) - 4, 380), "time t", anchor="end", size=13)
    return drawing.picture(alt, caption)


TWO_LOOPS = (
    "Two loops, one inside the other. The inner loop, in blue, runs within an episode: at each step the "
    "network acts, and its Hebbian trace changes and is carried to the next step, from Hebb = 0 at the "
    "start. The outer loop, in green, runs over many episodes: the loss of an episode goes back through "
    "all its steps, and gradient descent changes w, alpha and eta, which stay as they are within an "
    "episode."
)


def two_loops(caption: str = "", alt: str = TWO_LOOPS) -> Picture:
    """The inner loop changes Hebb within an episode, the outer one w, alpha and eta between episodes.

    Args:
        caption: what to look for, set below the picture.
        alt: what it shows, for those who cannot see it; must not be empty.
    """
    drawing = Drawing(620, 390)
    drawing.box((120, 66), 380, 196, PLASTIC, tint=0.05, dash="6 5")
    drawing.text((134, 88), "inner loop: one episode", PLASTIC, "start")
    drawing.text((134, 246), "w, α, η stay as they are; Hebb changes at every step", size=13, anchor="start")
    for x, name in ((140.0, "1"), (258.0, "2"), (408.0, "T")):
        drawing.box((x, 138), 78, 54)
        drawing.text((x + 39, 156), "step", size=13)
        drawing.formula((x + 39, 176), f"t = {name}", size=15)
    drawing.formula((176, 113), "Hebb = 0", PLASTIC, size=15)
    drawing.line([(176, 122), (176, 136)], PLASTIC, 2.2, head=True)
    drawing.line([(218, 165), (256, 165)], PLASTIC, 2.2, head=True)
    drawing.formula((237, 150), "Hebb", PLASTIC, size=13)
    drawing.line([(336, 165), (358, 165)], PLASTIC, 2.2)
    for dot in (366, 372, 378):
        drawing.circle((dot, 165), 1.3, PLASTIC, fill=True)
    drawing.line([(386, 165), (406, 165)], PLASTIC, 2.2, head=True)
    drawing.formula((372, 150), "Hebb", PLASTIC, size=13)
    drawing.box((16, 132), 76, 66)
    drawing.formula((54, 153), "w, α, η")
    drawing.text((54, 177), "learned", size=13)
    drawing.line([(92, 165), (118, 165)], width=2.2, head=True)
    drawing.line([(500, 165), (530, 165)], width=2.2, head=True)
    drawing.box((532, 138), 72, 54)
    drawing.text((568, 165), "loss")
    drawing.curve((568, 194), (568, 330), (440, 330), (310, 330), GRADIENT, 2.4)
    drawing.curve((310, 330), (180, 330), (54, 330), (54, 202), GRADIENT, 2.4, head=True)
    drawing.text((310, 306), "outer loop: thousands of episodes", GRADIENT)
    drawing.text((310, 352), "gradient descent, back through every step and every trace", GRADIENT, size=13)
    drawing.text((310, 36), "A new episode begins with a new task, and with nothing in Hebb.", size=13)
    return drawing.picture(alt, caption)
