"""A sheet of 64 pixels with a synapse between every two of them, on which the reader draws in the page."""

from __future__ import annotations

import sys

import torch

from bpa.arguments import shown
from bpa.noise import integers
from bpa.show.controls import text
from bpa.show.widgets import Live

SIDE = 8
LETTERS = {  # rows from top to bottom, # for ink
    "A": "...##... ..####.. .##..##. ##....## ######## ######## ##....## ##....##",
    "B": "######.. ##...##. ##...##. ######.. ######.. ##....## ##....## ######..",
    "C": "..####.. .######. ###..##. ##...... ##...... ###..##. .######. ..####..",
    "D": "#####... ######.. ##..###. ##...##. ##...##. ##..###. ######.. #####...",
    "E": "#######. #######. ##...... #####... #####... ##...... #######. #######.",
    "F": "#######. #######. ##...... ######.. ######.. ##...... ##...... ##......",
    "G": "..#####. .######. ##...... ##..#### ##..#### ##....## .######. ..####..",
    "H": "##....## ##....## ##....## ######## ######## ##....## ##....## ##....##",
    "I": ".######. .######. ...##... ...##... ...##... ...##... .######. .######.",
    "J": "....#### ....#### .....##. .....##. ##...##. ##...##. .#####.. ..###...",
    "K": "##...##. ##..##.. ##.##... ####.... ####.... ##.##... ##..##.. ##...##.",
    "L": "##...... ##...... ##...... ##...... ##...... ##...... ######## ########",
    "M": "##....## ###..### ######## ##.##.## ##.##.## ##....## ##....## ##....##",
    "N": "##....## ###...## ####..## ##.##.## ##.##.## ##..#### ##...### ##....##",
    "O": "..####.. .######. ###..### ##....## ##....## ###..### .######. ..####..",
    "P": "######.. ##...##. ##...##. ######.. #####... ##...... ##...... ##......",
    "Q": "..####.. .##..##. ##....## ##....## ##.##.## ##..###. .######. ..###.##",
    "R": "######.. ##...##. ##...##. ######.. #####... ##.##... ##..##.. ##...##.",
    "S": "..###### .####### ##...... #######. .####### ......## #######. ######..",
    "T": "######## ######## ...##... ...##... ...##... ...##... ...##... ...##...",
    "U": "##....## ##....## ##....## ##....## ##....## ##....## ######## .######.",
    "V": "##....## ##....## ##....## .##..##. .##..##. ..####.. ..####.. ...##...",
    "W": "##....## ##....## ##....## ##.##.## ##.##.## ######## ###..### ##....##",
    "X": "##....## ###..### .######. ..####.. ..####.. .######. ###..### ##....##",
    "Y": "##....## .##..##. ..####.. ...##... ...##... ...##... ...##... ...##...",
    "Z": "######## ######## ....###. ...###.. ..###... .###.... ######## ########",
}
PATTERNS = len(LETTERS)  # of each kind, letters and random ones
# The rules to choose from: what the page calls them, which rule of live/network.js each is, whether clipped.
RULES: dict[str, tuple[str, str, bool]] = {
    "plain": ("plain Hebb", "hebb", False),
    "clip": ("Hebb with a clip", "hebb", True),
    "decay": ("decay", "decay", False),
    "oja": ("Oja's rule", "oja", False),
}
RATES = (1 / SIDE**2, 0.05, 0.1, 0.2, 0.5, 1.0)
BOUNDS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0)
READINGS = 9  # the most of one cue


def letter(name: str) -> torch.Tensor:
    """One of LETTERS as a pattern [64] of +1.0 (ink) and -1.0 (paper), row by row.

    Example:
        >>> from bpa.show.sheet import letter
        >>> letter("O")[:8].tolist()
        [-1.0, -1.0, 1.0, 1.0, 1.0, 1.0, -1.0, -1.0]
    """
    if name not in LETTERS:
        raise ValueError(f"name must be a letter from A to Z, got {shown(name)}")
    pixels = [1.0 if mark == "#" else -1.0 for mark in LETTERS[name].replace(" ", "")]
    return torch.tensor(pixels, dtype=torch.float32, device="cpu")


def random_patterns(seed: int = 0) -> torch.Tensor:
    """As many random patterns as there are letters, [26, 64] of +1.0 and -1.0."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    return 2.0 * integers(2, PATTERNS, SIDE**2, generator=generator).to(torch.float32) - 1.0


def random_names() -> list[str]:
    """What the page calls them."""
    return [f"R{k}" for k in range(1, PATTERNS + 1)]


def plastic_sheet(
    letters: str = "OBIHU", title: str = "A sheet that learns by Hebb's rule", caption: str = ""
) -> Live:
    """A sheet of 8 x 8 pixels to draw on; it stores by Hebb's rule and completes what is rubbed out.

    The reader sees the synapses between two rows of pixels as wires, and all of them as a matrix; chooses the
    rule, its rate, the bound of the clip and how many letters or random patterns are stored. Each number is
    computed as `bpa.Network` would. A link in the text of the page drives the figure too, such as
    `<a href="#sheet:letters=20,recall=1">twenty letters</a>`. Its settings are those of `allowed_settings`.

    Args:
        letters: those that have a button and are stored first, two or more different ones from A to Z; the
            others follow in the order of the alphabet.
        title, caption: set above and below.

    Raises:
        ValueError: letters are not such.

    Example:
        >>> from bpa.show.sheet import plastic_sheet
        >>> plastic_sheet("OBIHU")
        <live figure: A sheet that learns by Hebb's rule>
    """
    if not isinstance(letters, str) or len(letters) < 2 or {*letters} - {*LETTERS}:
        raise ValueError(f"letters must be two or more from A to Z, got {shown(letters)}")
    if len({*letters}) < len(letters):
        raise ValueError(f"letters must be different ones, got {shown(letters)}")
    order = [*letters, *(name for name in LETTERS if name not in letters)]
    random = zip(random_names(), random_patterns(), strict=True)
    data = {
        "side": SIDE,
        "buttons": len(letters),
        "patterns": {
            "letters": [[name, letter(name).int().tolist()] for name in order],
            "random": [[name, pattern.int().tolist()] for name, pattern in random],
        },
        "rules": {
            name: {"label": label, "rule": rule, "bounded": bounded}
            for name, (label, rule, bounded) in RULES.items()
        },
        "unbounded": sys.float_info.max,  # JSON has no infinity
        "rates": RATES,
        "settings": allowed_settings(),
        "start": {
            "letter": letters[1],
            "sliders": {"letters": "0", "eta": text(RATES[0]), "bound": text(0.3)},
        },
    }
    scripts = ["numbers.js", "board.js", "network.js", "settings.js", "memory.js", "grid.js", "sheet.js"]
    return Live("sheet.html", scripts, data, title, caption, height=1100, name="sheet")


def allowed_settings() -> dict[str, list[str]]:
    """What a link may set, and to what. It takes effect in this order."""
    return {
        "kind": ["letters", "random"],
        "letters": [str(count) for count in range(PATTERNS + 1)],
        "rule": [*RULES],
        "eta": [text(rate) for rate in RATES],
        "bound": [text(bound) for bound in BOUNDS],
        "put": [*LETTERS, *random_names()],
        "cue": ["whole", "half"],
        "recall": [str(count) for count in range(READINGS + 1)],
    }
