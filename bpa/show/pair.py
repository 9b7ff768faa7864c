"""Two plastic cells that the reader drives in the page, with every number of every step."""

from __future__ import annotations

from typing import Any

from bpa.arguments import require_choice, require_number, shown
from bpa.show.controls import text
from bpa.show.widgets import Live

PLASTIC = ("plastic", "simple", "retroactive")  # the plasticities to choose from
INPUTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
# What each slider offers.
VALUES: dict[str, tuple[float, ...]] = {
    "w": (-0.5, -0.1, 0.0, 0.1, 0.5),
    "alpha": (-1.0, 0.0, 0.5, 1.0, 2.0),
    "eta": (0.0, 0.05, 0.1, 0.2, 0.3, 0.5),
    "clip": (0.25, 0.5, 1.0, 2.0),
}
LONGEST = 200  # steps
AT_ONCE = 40  # steps of a link


def allowed_settings(plasticity: str = "plastic") -> dict[str, list[str]]:
    """What a link may set, and to what."""
    settings = {"begin": ["yes"], "steps": [str(count) for count in range(1, AT_ONCE + 1)]}
    settings |= {name: [text(value) for value in INPUTS] for name in ("one", "two")}
    if plasticity != "plastic":
        settings["m"] = [text(value) for value in INPUTS]
    used = {name: values for name, values in VALUES.items() if name != "eta" or plasticity != "simple"}
    return settings | {name: [text(value) for value in values] for name, values in used.items()}


def two_cells(
    plasticity: str = "plastic",
    w: float = 0.0,
    alpha: float = 1.0,
    eta: float = 0.1,
    clip: float = 1.0,
    title: str = "Two cells, step by step",
    caption: str = "",
) -> Live:
    """Two cells and their four connections, driven by the reader step by step, with the numbers of each step.

    Each cell has an input of its own. The reader chooses what comes in and, where there is a modulator, what
    M(t) is, and steps forth and back; when a slider moves, the same steps are lived again with that number.
    All is computed as `bpa.Network` would, with `i2h` the identity and one alpha. A link in the text of the
    page drives the figure too, such as `<a href="#pair:one=1,two=1,steps=10">bell and food</a>`; its settings
    are those of `allowed_settings`.

    Args:
        plasticity: "plastic", "simple" (the reader holds M(t)) or "retroactive" (and E fades).
        w: of the connection from cell 1 to cell 2 at first; that of the others is 0.
        alpha, eta, clip: at first; "simple" has no eta. Each, and w, is one of its VALUES.
        title, caption: set above and below.

    Raises:
        ValueError: an argument is none of these.

    Example:
        >>> from bpa.show.pair import two_cells
        >>> two_cells(eta=0.2)
        <live figure: Two cells, step by step>
    """
    plasticity = require_choice("plasticity", plasticity, PLASTIC)
    start: dict[str, Any] = {"one": "1", "two": "0", "m": "0"}
    for name, value in {"w": w, "alpha": alpha, "eta": eta, "clip": clip}.items():
        if require_number(name, value, low=min(VALUES[name])) not in VALUES[name]:
            allowed = ", ".join(map(text, VALUES[name]))
            raise ValueError(f"{name} must be one of {allowed}, got {shown(value)}")
        start[name] = text(value)
    data = {
        "plasticity": plasticity,
        "settings": allowed_settings(plasticity),
        "start": start,
        "most": LONGEST,
    }
    scripts = ["numbers.js", "board.js", "network.js", "settings.js", "pair.js", "twocells.js"]
    return Live("pair.html", scripts, data, title, caption, height=1000, name="pair")
