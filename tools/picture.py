"""Draw the moving picture of README.md: one agent twice in one maze, with its traces and without them.

    python tools/picture.py

Both walk with the same weights, star, teleports and noise of actions; on the right every trace is wiped
before each step, for which `alpha` is set to zero. Of 21 episodes the picture shows the one whose reward,
with traces, is the median. The file is SVG with an animation in CSS: sharp at any size, still for readers
whose system asks for less motion, on a card of its own that light and dark pages both bear.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import torch

from bpa.arguments import require_integer
from bpa.show.play import Moment, episode
from bpa.show.plots import COLORS
from bpa.training.checkpoint import load_weights

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / ".github" / "agent.svg"
AGENT = "maze-11"
EPISODES = 21
CELL = 16  # of the drawing, as all lengths
MARGIN, HEAD, FOOT = 16, 44, 44
STEP, HOLD = 0.12, 3.0  # seconds
INK, FLOOR, CARD, EDGE = "#28323c", "#f3efe6", "#fffdf8", "#b9b2a4"


class Walk(NamedTuple):
    """One episode as it is drawn."""

    walls: list[tuple[int, int]]
    star: tuple[int, int]
    start: tuple[int, int]
    steps: list[
        tuple[tuple[int, int], tuple[int, int] | None]
    ]  # into which cell, and where a hit put it then
    side: int

    @property
    def hits(self) -> list[int]:
        """The steps that reached the star, counted from 1."""
        return [t for t, (_, put) in enumerate(self.steps, 1) if put is not None]


def cells(moment: Moment, mark: str) -> list[tuple[int, int]]:
    """The cells with a mark, row and column."""
    rows = enumerate(moment.text.splitlines())
    return [(r, c) for r, row in rows for c, found in enumerate(row) if found == mark]


def walk(moments: list[Moment]) -> Walk:
    """What the picture needs of an episode."""
    (start,), (star,) = cells(moments[0], "A"), cells(moments[0], "G")
    steps = []
    for moment in moments[1:]:
        (place,) = cells(moment, "A")
        steps.append((star, place) if moment.reward > 0 else (place, None))
    return Walk(cells(moments[0], "#"), star, start, steps, len(moments[0].text.splitlines()))


def walks(seed: int) -> tuple[Walk, Walk]:
    """The same episode with traces and without."""
    agent, config = load_weights(AGENT)
    intact = walk(list(episode(agent, config, seed, engine="eager")))
    with torch.no_grad():
        agent.alpha.zero_()
    return intact, walk(list(episode(agent, config, seed, engine="eager")))


def median_seed(episodes: int) -> int:
    """The seed from 1 on whose episode has the median reward; the first of equals."""
    agent, config = load_weights(AGENT)
    totals = {}
    for seed in range(1, episodes + 1):
        *_, last = episode(agent, config, seed, engine="eager")
        totals[seed] = last.total
    median = sorted(totals.values())[(episodes - 1) // 2]
    return next(seed for seed, total in totals.items() if total == median)


def at(cell: tuple[int, int]) -> str:
    """The middle of a cell, as a length for CSS."""
    row, column = cell
    return f"translate({column * CELL + CELL // 2}px,{row * CELL + CELL // 2}px)"


def percent(t: float, duration: float) -> str:
    """Time in steps as a share of the animation."""
    return f"{100 * t * STEP / duration:.2f}%"


def path_frames(name: str, path: Walk, duration: float) -> str:
    """Key frames that take a dot through the maze: from cell to cell it glides, from the star it jumps."""
    frames = [("0%", path.start)]
    for t, (into, put) in enumerate(path.steps, 1):
        frames.append((percent(t, duration), into))
        if put is not None:
            frames.append((percent(t + 0.1, duration), put))
    frames.append(("100%", frames[-1][1]))
    # Between equal neighbours nothing moves.
    kept = [
        frame
        for n, frame in enumerate(frames)
        if n in (0, len(frames) - 1) or not frames[n - 1][1] == frame[1] == frames[n + 1][1]
    ]
    return f"@keyframes {name}{{{''.join(f'{time}{{transform:{at(cell)}}}' for time, cell in kept)}}}"


def board(path: Walk, name: str, left: float, title: str, duration: float) -> tuple[str, str]:
    """The drawing of one episode, and its key frames."""
    width = path.side * CELL
    frames = [path_frames(name, path, duration)]
    walls = "".join(f"M{c * CELL} {r * CELL}h{CELL}v{CELL}h-{CELL}z" for r, c in path.walls)
    marks = []
    for n, t in enumerate(path.hits):
        frames.append(f"@keyframes {name}{n}{{0%,{percent(t, duration)}{{opacity:.12}}")
        frames.append(f"{percent(t + 0.1, duration)},100%{{opacity:1}}}}")
        x = CELL / 2 + (n % 14) * 12.5
        y = width + 16 + n // 14 * 14
        marks.append(f'<use href="#star" x="{x:g}" y="{y:g}" style="animation-name:{name}{n}"/>')
    dots = "".join(
        f'<circle r="{4.8 - 0.8 * n:.1f}" opacity="{0.35 - 0.08 * n:.2f}" '
        f'style="animation-delay:{n * 0.8 * STEP - duration:.3f}s"/>'
        for n in (3, 2, 1)
    )
    row, column = path.star
    drawing = (
        f'<g transform="translate({left:g} {HEAD})">'
        f'<text y="-12">{escape(title)}</text>'
        f'<rect width="{width}" height="{width}" fill="{FLOOR}"/><path d="{walls}" fill="{INK}"/>'
        f'<use href="#star" x="{column * CELL + CELL / 2:g}" y="{row * CELL + CELL / 2:g}"/>'
        f'<g class="{name}" fill="{COLORS["blue"]}">{dots}'
        f'<circle r="5" stroke="#fff" stroke-width="1.2"/></g>'
        f'<g class="tally">{"".join(marks)}</g></g>'
    )
    frames.append(
        f".{name} circle{{transform:{at(path.start)};animation:{name} {duration:g}s linear infinite}}"
    )
    return drawing, "".join(frames)


def picture(intact: Walk, wiped: Walk) -> str:
    """The whole file."""
    duration = len(intact.steps) * STEP + HOLD
    board_width = intact.side * CELL
    width, height = 2 * board_width + 3 * MARGIN, HEAD + board_width + FOOT
    card = f'width="{width - 1}" height="{height - 1}" rx="8" fill="{CARD}" stroke="{EDGE}"'
    left, frames = board(intact, "a", MARGIN, "with its traces", duration)
    right, more = board(wiped, "b", 2 * MARGIN + board_width, "traces wiped", duration)
    said = (
        f"The same trained agent twice in the same maze, {len(intact.steps)} steps long. With its traces it "
        f"finds the star, is put down elsewhere after every hit, and comes back: {len(intact.hits)} hits. "
        f"With its traces wiped before every step: {len(wiped.hits)}."
    )
    star = (
        '<path id="star" d="M0-6.6 1.6-2.2 6.3-2.1 2.6.8 3.9 5.4 0 2.7-3.9 5.4-2.6.8-6.3-2.1-1.6-2.2z" '
        f'fill="{COLORS["orange"]}" stroke="{INK}" stroke-width=".7"/>'
    )
    style = (
        f"text{{font:600 14px system-ui,sans-serif;fill:{INK}}}"
        f".tally use{{animation:{duration:g}s step-end infinite}}"
        f"{frames}{more}"
        "@media (prefers-reduced-motion:reduce){*{animation:none!important}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-labelledby="title desc"><title id="title">An agent with its memory and without it</title>'
        f'<desc id="desc">{escape(said)}</desc><style>{style}</style><defs>{star}</defs>'
        f'<rect x=".5" y=".5" {card}/>'
        f"{left}{right}</svg>\n"
    )


def main() -> int:
    """Draw it; 2 if what was asked for is no such number."""
    parser = argparse.ArgumentParser(description="Draw the moving picture of README.md.")
    parser.add_argument("--save", type=Path, default=PICTURE, help="where to")
    parser.add_argument("--episodes", type=int, default=EPISODES, help="of how many to show the median one")
    options = parser.parse_args()
    try:
        require_integer("episodes", options.episodes, low=1, high=1000)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    seed = median_seed(options.episodes)
    intact, wiped = walks(seed)
    options.save.write_text(picture(intact, wiped), encoding="utf-8", newline="\n")
    print(f"{options.save}: seed {seed}, {len(intact.hits)} stars with traces, {len(wiped.hits)} without")
    return 0


if __name__ == "__main__":
    sys.exit(main())
