"""A trained plastic network that completes what the reader draws."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bpa.arguments import require_integer, shown
from bpa.cells.lstm import LSTM
from bpa.network import Network
from bpa.show.widgets import Live, network_parameters, network_settings
from bpa.tasks.pictures import HALVES

MOST_PICTURES = 6


def allowed_settings(pictures: int = 3) -> dict[str, list[str]]:
    """What a link may set, and to what."""
    return {
        "picture": [str(number) for number in range(1, pictures + 1)],
        "hidden": [half for half in HALVES if half != "random"],
    }


def complete_in_page(
    net: Network | LSTM,
    pictures: Tensor,
    presentations: int = 2,
    show_steps: int = 3,
    pause_steps: int = 1,
    title: str = "Draw, and let a network complete it",
    caption: str = "",
) -> Live:
    """A network trained on `bpa.tasks.Pictures` completes, in the page, the pictures that the reader draws.

    The network sees the pictures in turn, each scaled to mean 0 and standard deviation 1, and then one half
    of one of them; it paints the other half, with its traces and with its traces wiped before the cue. The
    reader draws on the pictures and chooses which is asked for and which half is hidden. A link in the text
    of the page drives the figure too, such as `<a href="#painting:picture=2,hidden=left">picture 2</a>`.

    Args:
        net: plastic, with as many inputs as outputs, S * S; its weights go into the page.
        pictures: [K, S, S] from 0 (dark) to 1 (light), one to six; as they look first.
        presentations, show_steps, pause_steps: as in the training, see `Pictures`.
        title, caption: set above and below.

    Raises:
        ValueError: the network does not fit the pictures, has no trace, or the page cannot run it.

    Example:
        >>> import torch
        >>> from bpa import Network
        >>> from bpa.show.painting import complete_in_page
        >>> complete_in_page(Network(64, 8, 64, plasticity="plastic"), torch.rand(3, 8, 8))
        <live figure: Draw, and let a network complete it>
    """
    settings = network_settings(net)
    if net.plasticity == "none":
        raise ValueError("net must be plastic, so that it has traces to wipe, got plasticity 'none'")
    side = math.isqrt(net.input_size)
    if side**2 != net.input_size or side < 2 or net.num_actions != net.input_size:
        raise ValueError(
            f"net must have as many outputs as inputs, the pixels of a square, "
            f"got {net.input_size} inputs and {net.num_actions} outputs"
        )
    if not isinstance(pictures, Tensor) or pictures.shape[1:] != (side, side):
        got = shown(tuple(pictures.shape)) if isinstance(pictures, Tensor) else type(pictures).__name__
        raise ValueError(f"pictures must be a tensor [K, {side}, {side}], got {got}")
    drawn = pictures.detach().to("cpu", torch.float32)
    if not 1 <= len(drawn) <= MOST_PICTURES:
        raise ValueError(f"pictures must be 1 to {MOST_PICTURES}, got {len(drawn)}")
    if not bool(((drawn >= 0) & (drawn <= 1)).all()):
        raise ValueError("pictures must be numbers from 0 to 1, got others")
    data = {
        "network": settings,
        "parameters": network_parameters(net),
        "side": side,
        "pictures": [[round(value, 4) for value in picture.flatten().tolist()] for picture in drawn],
        "timing": {
            "presentations": require_integer("presentations", presentations, low=1),
            "showSteps": require_integer("show_steps", show_steps, low=1),
            "pauseSteps": require_integer("pause_steps", pause_steps, low=0),
        },
        "settings": allowed_settings(len(drawn)),
    }
    scripts = ["board.js", "network.js", "settings.js", "episode.js", "grid.js", "painting.js"]
    return Live("painting.html", scripts, data, title, caption, height=900, name="painting")
