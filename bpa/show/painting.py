"""A trained plastic network that completes what the reader draws."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from bpa.arguments import require_choice, require_flag, require_integer, shown
from bpa.cells.lstm import LSTM
from bpa.network import Network
from bpa.show.widgets import Live, network_parameters, network_settings
from bpa.tasks.pictures import HALVES

MOST_PICTURES = 6


def allowed_settings(pictures: int = 3, ages: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """What a link may set, and to what."""
    settings = {"age": list(ages)} if len(ages) > 1 else {}
    return settings | {
        "picture": [str(number) for number in range(1, pictures + 1)],
        "hidden": [half for half in HALVES if half != "random"],
    }


def require_painter(net: Network | LSTM) -> int:
    """The side S of the pictures that `net` completes, of S * S inputs and outputs; it must have traces."""
    if net.plasticity == "none":
        raise ValueError("net must be plastic, so that it has traces to wipe, got plasticity 'none'")
    side = math.isqrt(net.input_size)
    if side**2 != net.input_size or side < 2 or net.num_actions != net.input_size:
        raise ValueError(
            f"net must have as many outputs as inputs, the pixels of a square, "
            f"got {net.input_size} inputs and {net.num_actions} outputs"
        )
    return side


def complete_in_page(
    net: Network | LSTM | Mapping[str, Network | LSTM],
    pictures: Tensor,
    bits: bool = False,
    presentations: int = 2,
    show_steps: int = 3,
    pause_steps: int = 1,
    hidden: str = "bottom",
    title: str = "Draw, and let a network complete it",
    caption: str = "",
) -> Live:
    """A network trained on `Pictures` or `Patterns` completes, in the page, what the reader draws.

    The network sees the pictures in turn, and then one half of one of them; it paints the other half, with
    its traces and with its traces wiped before the cue. The reader draws on the pictures and chooses which
    is asked for, which half is hidden, and which network is asked if there are several. A link in the text
    of the page drives the figure too, such as `<a href="#painting:picture=2,hidden=left">picture 2</a>`.

    Args:
        net: plastic, with as many inputs as outputs, S * S; its weights go into the page. Or several, of one
            size, by what they are called, such as {"0": newborn, "400": trained}: copies of one network at
            these ages, in iterations. The last is asked at first.
        pictures: [K, S, S] from 0 (dark) to 1 (light), one to six; as they look first.
        bits: the network sees +1 for a light pixel and -1 for a dark one, as in `Patterns`, and pictures must
            be 0 or 1. Otherwise each picture is scaled to mean 0 and standard deviation 1, as in `Pictures`.
        presentations, show_steps, pause_steps: as in the training.
        hidden: the half that is hidden at first: "top", "bottom", "left" or "right".
        title, caption: set above and below.

    Raises:
        ValueError: a network does not fit the pictures, has no trace, or the page cannot run it.

    Example:
        >>> import torch
        >>> from bpa import Network
        >>> from bpa.show.painting import complete_in_page
        >>> complete_in_page(Network(64, 8, 64, plasticity="plastic"), torch.rand(3, 8, 8))
        <live figure: Draw, and let a network complete it>
    """
    bits = require_flag("bits", bits)
    nets = dict(net) if isinstance(net, Mapping) else {"": net}
    if not nets or not all(re.fullmatch(r"\d+", age) for age in nets if isinstance(net, Mapping)):
        raise ValueError(f"net must be one or more networks by their age in iterations, got {shown([*nets])}")
    described = [
        {"age": age, "network": network_settings(each), "parameters": network_parameters(each)}
        for age, each in nets.items()
    ]
    sides = {require_painter(each) for each in nets.values()}
    if len(sides) > 1:
        raise ValueError(f"net must be networks for pictures of one size, got sides {sorted(sides)}")
    (side,) = sides
    if not isinstance(pictures, Tensor) or pictures.shape[1:] != (side, side):
        got = shown(tuple(pictures.shape)) if isinstance(pictures, Tensor) else type(pictures).__name__
        raise ValueError(f"pictures must be a tensor [K, {side}, {side}], got {got}")
    drawn = pictures.detach().to("cpu", torch.float32)
    if not 1 <= len(drawn) <= MOST_PICTURES:
        raise ValueError(f"pictures must be 1 to {MOST_PICTURES}, got {len(drawn)}")
    fits = (drawn == 0) | (drawn == 1) if bits else (drawn >= 0) & (drawn <= 1)
    if not bool(fits.all()):
        raise ValueError(f"pictures must be numbers {'0 or' if bits else 'from 0 to'} 1, got others")
    settings = allowed_settings(len(drawn), tuple(nets))
    data = {
        "networks": described,
        "side": side,
        "bits": bits,
        "pictures": [[round(value, 4) for value in picture.flatten().tolist()] for picture in drawn],
        "timing": {
            "presentations": require_integer("presentations", presentations, low=1),
            "showSteps": require_integer("show_steps", show_steps, low=1),
            "pauseSteps": require_integer("pause_steps", pause_steps, low=0),
        },
        "hidden": require_choice("hidden", hidden, settings["hidden"]),
        "settings": settings,
    }
    scripts = ["numbers.js", "board.js", "network.js", "settings.js", "episode.js", "grid.js", "painting.js"]
    return Live("painting.html", scripts, data, title, caption, height=900, name="painting")
