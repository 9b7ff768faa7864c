"""Live figures that need neither a kernel nor a network: plain JavaScript in a sandboxed frame.

Each function returns a `Live`, which a notebook and the built page show alike. Everything that a figure
needs, its pictures and a network's weights too, is inside it as text, so it also works from a file.
"""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from bpa.arguments import require_choice, require_integer
from bpa.cells.base import CELLS, cell_name
from bpa.cells.lstm import LSTM
from bpa.cells.plasticity import rule_name
from bpa.envs.baselines import affordable, expected_reward
from bpa.experiments.decode import LinearDecoder
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE, GridMaze
from bpa.network import Network
from bpa.show.picture import encode
from bpa.show.plots import least_width, require_text
from bpa.show.readers import episode_numbers, maze_scale, require_lengths, shipped_scores
from bpa.show.stills import still

SCRIPTED_CELLS = ("rnn", "lstm")  # names of `bpa.cells.base.CELLS`, those of live/network.js
SCRIPTED_RULES = ("hebb", "decay", "oja")  # those of live/network.js


class Live:
    """A live figure as HTML: an iframe that can run scripts, save a file where it offers one, and no more."""

    def __init__(
        self,
        body: str,
        scripts: Sequence[str],
        data: Any,
        title: str,
        caption: str = "",
        height: int = 600,
        downloads: bool = False,
        name: str = "",
    ):
        self.body = body  # name of a file in bpa/show/live
        self.scripts = tuple(scripts)  # names of files in bpa/show/live, in the order in which they run
        self.data = data  # what the scripts read, ready for JSON
        self.title = require_text("title", title)
        self.caption = caption
        self.height = height  # CSS pixels, until the figure reports its own
        self.name = name  # by which links of the page reach it, #NAME:SETTINGS; none if empty
        self.permissions = "allow-scripts allow-downloads" if downloads else "allow-scripts"

    def document(self) -> str:
        """The page inside the frame."""
        # "</" would end the script element early, wherever it stands in the text.
        data = json.dumps(self.data, separators=(",", ":")).replace("</", "<\\/")
        # A figure finds the sources of its worker by their names.
        scripts = "".join(
            f'<script data-source="{name}">{source(name)}</script>' for name in ("frame.js", *self.scripts)
        )
        return (
            f'<!doctype html><html lang="en" data-name="{self.name}"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width"><title>{html.escape(self.title)}</title>'
            f"<style>{source('frame.css')}</style></head><body>"
            f'<div id="figure"><h2>{html.escape(self.title)}</h2>{source(self.body)}'
            f'<p class="small">{html.escape(self.caption)}</p></div>'
            f'<script type="application/json" id="data">{data}</script>{scripts}</body></html>'
        )

    def _repr_html_(self) -> str:
        return (
            f'<div class="bpa-figure"><iframe class="bpa-live" data-name="{self.name}" '
            f'sandbox="{self.permissions}" '
            f'title="{html.escape(self.title)}" srcdoc="{html.escape(self.document())}" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
            f"<script>{source('page.js')}</script></div>"
        )

    def __repr__(self) -> str:
        return f"<live figure: {self.title}>"


def source(name: str) -> str:
    """The text of a file in bpa/show/live."""
    return resources.files("bpa.show").joinpath("live", name).read_text(encoding="utf-8")


def frames(
    figures: Sequence[Figure], labels: Sequence[str], title: str, alt: str | Sequence[str], caption: str = ""
) -> Live:
    """A slider over figures drawn beforehand, with a play button. The figures are closed.

    Args:
        figures: matplotlib figures of one size, at least two.
        labels: what the slider says at each, such as "t = 3".
        title: heading of the live figure.
        alt: what the pictures show; one text for all, to which the label is added, or one for each.
        caption: what to look for.

    Raises:
        ValueError: there are fewer than two figures, or not as many labels or texts as figures.
    """
    if len(figures) < 2:
        raise ValueError(f"figures must be at least two, got {len(figures)}")
    if len(labels) != len(figures):
        raise ValueError(f"labels must be as many as figures, {len(figures)}, got {len(labels)}")
    alts = (
        [f"{require_text('alt', alt)} ({label})" for label in labels] if isinstance(alt, str) else list(alt)
    )
    if len(alts) != len(figures):
        raise ValueError(f"alt must be one text or as many as figures, {len(figures)}, got {len(alts)}")
    for text in alts:
        require_text("alt", text)
    for figure in figures:
        if not isinstance(figure, Figure):
            raise ValueError(f"figures must be matplotlib figures, got {type(figure).__name__}")
    width, height = (round(96 * inches) for inches in figures[0].get_size_inches())
    pictures = [still(figure) for figure in figures]  # for the light and for the dark theme
    data = {
        "frames": [list(pair) for pair in zip(*pictures, strict=True)],
        "labels": [str(label) for label in labels],
        "alts": alts,
        "width": width,
        "height": height,
        "least": max(least_width(figure) for figure in figures),
    }
    for figure in figures:
        plt.close(figure)
    return Live("frames.html", ["frames.js"], data, title, caption, height + 130)


def maze_settings(size: int, episode_length: int, reward: float, wall_penalty: float) -> dict[str, Any]:
    """What the scripts need to know of a maze; the arguments are refused as `GridMaze` refuses them."""
    maze = GridMaze(size, 1, episode_length, reward, wall_penalty)
    return {
        "size": maze.size,
        "episodeLength": maze.episode_length,
        "reward": maze.reward,
        "wallPenalty": maze.wall_penalty,
    }


def play_maze(
    size: int = 11,
    episode_length: int | Sequence[int] = 200,
    reward: float = 10.0,
    wall_penalty: float = 0.0,
    seed: int | None = None,
    title: str = "You are the agent",
    caption: str = "",
    agent: str | None = None,
) -> Live:
    """The grid maze for the reader to play, by the rules of `GridMaze`, by keys, buttons, swipes or taps.

    You see what the agent senses, the 3 x 3 cells around it, or the whole map. After an episode the map
    shows the goal and your path. A folded scale says where your score stands among those of a random and a
    straight walker, of the ideal agent and of the oracle, which are exact. A link in the text of the page
    drives the figure too, such as `<a href="#maze:steps=50,episode=7">episode 7</a>`, the same one for
    everybody.

    Args:
        size, reward, wall_penalty: as for `GridMaze`.
        episode_length: as for `GridMaze`; or several, to choose from, the first of them at first.
        seed: the same goals and teleports every time; new ones if None.
        title, caption: set above and below.
        agent: the name of an agent that ships for such a maze; its measured score is on the scale too.

    Raises:
        ValueError: an argument is out of range, or the agent lives in another maze.

    Example:
        >>> from bpa.show.widgets import play_maze
        >>> play_maze(size=9, episode_length=100, seed=0)  # at the end of a cell, the figure itself
        <live figure: You are the agent>
    """
    if seed is not None:
        seed = require_integer("seed", seed, low=0, high=2**32 - 1)
    lengths = require_lengths(episode_length)
    maze = GridMaze(size, 1, lengths[0], reward, wall_penalty)
    measured = {} if agent is None else shipped_scores(agent, maze)
    data = {
        "maze": maze_settings(size, lengths[0], reward, wall_penalty),
        "scores": {length: maze_scale(maze, length, measured.get(length)) for length in lengths},
        "settings": {
            "steps": [str(length) for length in lengths],
            "view": ["sensed", "map"],
            "episode": episode_numbers(),
            "scale": ["open", "closed"],
        },
        "seed": seed,
    }
    scripts = ["network.js", "settings.js", "maze.js", "numbers.js", "board.js", "reader.js", "play.js"]
    return Live("play.html", scripts, data, title, caption, height=800, name="maze")


def network_settings(net: Network | LSTM) -> dict[str, Any]:
    """What the scripts need to know of a network besides its parameters.

    Raises:
        ValueError: the scripts cannot compute it.
    """
    cell = cell_name(net)
    if cell not in SCRIPTED_CELLS:
        names = " or ".join(f"bpa.{CELLS[known].partition(':')[2]}" for known in SCRIPTED_CELLS)
        raise ValueError(f"net must be a {names}, which the page can run, got {type(net).__name__}")
    if net.rule not in SCRIPTED_RULES:
        got = repr(net.rule) if isinstance(net.rule, str) else f"the function {rule_name(net.rule)!r}"
        names = ", ".join(map(repr, SCRIPTED_RULES))
        raise ValueError(f"net must have a rule that the page can run, one of {names}, got {got}")
    if net.alpha is None:
        alpha_shape = None
    else:
        alpha_shape = {2: "neuron" if net.alpha.shape[0] == 1 else "synapse", 1: "network"}[net.alpha.dim()]
    return {
        "cell": cell,
        "inputSize": net.input_size,
        "hiddenSize": net.hidden_size,
        "numActions": net.num_actions,
        "plasticity": net.plasticity,
        "rule": net.rule,
        "clip": min(net.clip, sys.float_info.max),  # JSON has no infinity
        "clipping": net.clipping,
        "modulator": net.modulator,
        "fanout": net.fanout,
        "alphaShape": alpha_shape,
    }


def network_parameters(net: Network | LSTM, halves: bool = False) -> dict[str, str]:
    """Each parameter as base64 of little-endian float32, or float16, row by row."""
    return {
        name: encode(
            tensor.detach().to("cpu", torch.float32).numpy().astype("<f2" if halves else "<f4").tobytes()
        )
        for name, tensor in net.state_dict().items()
    }


def named_network(
    name: str, net: Network | LSTM, decoder: LinearDecoder | None = None, halves: bool = False
) -> dict[str, Any]:
    """What the scripts need to know of an agent of the maze.

    Raises:
        ValueError: the network or the decoder does not fit, or the page cannot run the network.
    """
    if (net.input_size, net.num_actions) != (OBSERVATION_SIZE, NUM_ACTIONS):
        raise ValueError(
            f"net must have {OBSERVATION_SIZE} inputs and {NUM_ACTIONS} actions, "
            f"got {net.input_size} and {net.num_actions}"
        )
    settings = network_settings(net)
    if decoder is not None and decoder.weight.shape != (2, net.hidden_size):
        raise ValueError(
            f"decoder must read {net.hidden_size} neurons, got weights of shape {tuple(decoder.weight.shape)}"
        )
    if halves and any(tensor.abs().max() >= 65504 for tensor in net.state_dict().values()):
        raise ValueError(
            f"net must have weights below 65504 to be one of several, got larger ones in {name!r}"
        )
    return {
        "name": name,
        "settings": settings,
        "parameters": network_parameters(net, halves),
        "halves": halves,
        "decoder": decoder and {"weight": decoder.weight.tolist(), "bias": decoder.bias.tolist()},
    }


def watch_agent(
    net: Network | LSTM | Mapping[str, Network | LSTM],
    size: int = 11,
    episode_length: int = 200,
    reward: float = 10.0,
    wall_penalty: float = 0.0,
    seed: int | None = None,
    title: str = "A trained agent, live",
    caption: str = "",
    autoplay: bool = False,
    decoder: LinearDecoder | Mapping[str, LinearDecoder] | None = None,
    legend: str = "Network",
    slider: bool = False,
    chosen: str | None = None,
    receives: bool = False,
    name: str = "agent",
) -> Live:
    """A trained network that lives in the page: it senses, acts and rewires itself in the reader's browser.

    It shows the maze and the path, the Hebbian trace and the modulation where the network has them, and the
    steps between rewards. A switch takes the traces out of the activity (alpha counts as 0). Further levers
    freeze or wipe the traces, wipe the activity, force M(t), transplant traces or activity of another agent,
    go back a step, and begin the same episode again with the same noise; beside it the same agent lives the
    same episode left alone. Goal and agent can be dragged to another cell. What was done is told, with the
    rewards before it and since, and a button does the same in fresh episodes. Whole episodes are counted
    apart: left alone, without the traces, and operated on, every operation by itself; beside them stands what
    the ideal agent earns. A fold shows the probability of each action and the critic's value before every
    step, and the cells in which the ideal agent could be, and its goal, after the same senses and actions.

    Several networks, each with a name, may live in one figure: the reader chooses one, and it lives the same
    episode with the same noise, up to the same step, with all that was done. A table has the rewards of all
    of them, and a button runs the same episodes with each. Controls of what a network has not are off.

    Args:
        net: a `bpa.Network` or `bpa.LSTM` with 17 inputs, 4 actions and a rule of ours, or several by name.
            The weights go into the page: of one network as they are, about 120 KB of text for 100 neurons;
            of several rounded to float16, half as much each.
        size, episode_length, reward, wall_penalty: as for `GridMaze`.
        seed: the same episodes every time; new ones if None.
        title, caption: set above and below.
        autoplay: begin by itself, and go on from episode to episode until the reader does something; not for
            readers who asked their system for less motion.
        decoder: of the network's own activity, such as `bpa.experiments.decode.load_goal_decoder` gives; it
            shows where the agent thinks its goal is. With several networks by name, for any of them.
        legend: what the reader chooses, above the names.
        slider: the networks have an order, such as ages: they are chosen by a slider.
        chosen: name of the one that is chosen at first; the first one if None.
        receives: take networks of this maze that a learner of the same page hands over.
        name: by which links of the page reach the figure; small letters.

    Raises:
        ValueError: the network or the decoder does not fit, or the page cannot run the network.

    Example:
        >>> import bpa
        >>> from bpa.show.widgets import watch_agent
        >>> watch_agent(bpa.load("maze-11"), size=11, seed=0)
        <live figure: A trained agent, live>
        >>> both = {"short": bpa.load("maze-9"), "long": bpa.load("maze-11")}
        >>> watch_agent(both, seed=0, legend="Training", title="Two agents")
        <live figure: Two agents>
    """
    if seed is not None:
        seed = require_integer("seed", seed, low=0, high=2**32 - 1)
    if isinstance(net, Mapping):
        if not net:
            raise ValueError("net must have at least one network, got none")
        names = [require_text("name of a network", name) for name in net]
        decoders = {} if decoder is None else decoder
        if not isinstance(decoders, Mapping) or not decoders.keys() <= net.keys():
            raise ValueError(f"decoder must be a mapping of some of the names, {', '.join(names)}")
        told = [named_network(name, each, decoders.get(name), halves=True) for name, each in net.items()]
    elif isinstance(decoder, Mapping):
        raise ValueError("decoder must be of the one network, got a mapping")
    else:
        names = ["the agent"]
        told = [named_network("the agent", net, decoder)]
    if slider and receives:
        raise ValueError("slider must be False where networks are received: those that come have no order")
    chosen = require_choice("chosen", names[0] if chosen is None else chosen, names)
    maze = size, episode_length, reward, wall_penalty
    data = {
        "maze": maze_settings(*maze),
        "networks": told,
        "chosen": names.index(chosen),
        "legend": require_text("legend", legend),
        "slider": bool(slider),
        "receives": bool(receives),
        "ideal": expected_reward("ideal", *maze) if affordable("ideal", size, episode_length) else None,
        "seed": seed,
        "autoplay": bool(autoplay),
    }
    scripts = [
        "maze.js",
        "network.js",
        "networks.js",
        "settings.js",
        "numbers.js",
        "board.js",
        "belief.js",
        "lab.js",
        "mind.js",
        "choosing.js",
        "deeds.js",
        "agent.js",
    ]
    return Live("agent.html", scripts, data, title, caption, height=800, name=name)
