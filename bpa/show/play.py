"""One episode of an agent, to be looked at: as text, step by step, or as a film."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from bpa.arguments import require_finite_outputs, require_finite_weights, require_integer, require_new_file
from bpa.cells.base import RecurrentPolicy
from bpa.envs.gymnasium import drawn, written
from bpa.maze import draw_noise
from bpa.training.checkpoint import write_atomically
from bpa.training.config import TrainConfig
from bpa.training.rollout import rollout
from bpa.training.tasks import build_task

FILMS = (".gif", ".mp4")
ACTIONS = ("up", "down", "left", "right")


class Moment(NamedTuple):
    """The maze between two steps, and what led there."""

    step: int  # 0 at the start
    action: int | None  # the last one taken; None at the start
    reward: float  # for that action
    total: float  # reward so far
    modulation: float | None  # M(t) of that step; None at the start and without a modulator
    text: str  # the maze, a line a row: # wall, . free, G goal, A agent
    picture: np.ndarray  # uint8 [24 n, 24 n, 3]


@torch.no_grad()
def episode(
    net: RecurrentPolicy, config: TrainConfig, seed: int = 1, engine: str = "auto", greedy: bool = False
) -> Iterator[Moment]:
    """The T + 1 moments of one fresh episode of `net` in the maze that `config` describes.

    Args:
        seed: of goal, actions and teleports; 0 to 2**63 - 1.
        engine: one of `bpa.engines.ENGINES`, whatever the network was trained with.
        greedy: take the likeliest action in place of a sampled one.

    Raises:
        ValueError: the seed is out of range, the task is not the maze, weights or outputs are not finite, or
            the engine was asked for by name and cannot run this.
    """
    seed = require_integer("seed", seed, low=0, high=2**63 - 1)
    if config.task != "maze":
        raise ValueError(f"task must be 'maze' to be looked at, got {config.task!r}")
    require_finite_weights(net)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    maze = build_task(config, 1, generator)  # on the CPU, where it is looked at
    env = build_task(config, 1, generator, device=next(net.parameters()).device)
    noise = draw_noise(maze.episode_length, 1, generator)
    seen = rollout(net, env, type(noise)(*(part.to(env.device) for part in noise)), engine, greedy)
    require_finite_outputs(seen.logits)
    maze.reset(noise.goal)
    total = 0.0
    yield Moment(0, None, 0.0, total, None, written(maze, 0), drawn(maze, 0))
    for t, action in enumerate(seen.actions.cpu()):
        reward = maze.step(action, noise.teleport[t])[1].item()
        total += reward
        modulation = None if seen.modulation is None else seen.modulation[t, 0].item()
        yield Moment(t + 1, int(action), reward, total, modulation, written(maze, 0), drawn(maze, 0))


def described(moment: Moment) -> str:
    """The moment as text: the maze, and a line below it."""
    said = f"step {moment.step}"
    if moment.action is not None:
        said += f", {ACTIONS[moment.action]}, reward {moment.reward:g}"
    said += f", {moment.total:g} so far"
    if moment.modulation is not None:
        said += f", M {moment.modulation:+.2f}"
    return f"{moment.text}{said}\n"


def save_film(moments: list[Moment], path: str | Path, fps: int = 10) -> None:
    """Write the episode as a film, .gif or .mp4; .mp4 needs the program ffmpeg.

    Args:
        fps: steps a second, 1 to 50.

    Raises:
        ValueError: the file exists or cannot be written, is of another kind, ffmpeg is missing, or there is
            no moment.
    """
    path = require_new_file("save", path, FILMS)
    fps = require_integer("fps", fps, low=1, high=50)
    if path.suffix.lower() == ".mp4" and shutil.which("ffmpeg") is None:
        raise ValueError(f"save {path} needs the program ffmpeg, which is not installed; .gif does not")
    if not moments:
        raise ValueError("moments must hold at least one, got none")
    try:
        if path.suffix.lower() == ".gif":
            first, *others = [Image.fromarray(moment.picture) for moment in moments]
            film, pause = io.BytesIO(), round(1000 / fps)
            first.save(film, format="gif", save_all=True, append_images=others, duration=pause, loop=0)
            write_atomically(path, film.getvalue())
        else:
            save_with_ffmpeg(moments, path, fps)
    except OSError as error:
        raise ValueError(f"save {path} cannot be written: {error.strerror or error}") from None


def save_with_ffmpeg(moments: list[Moment], path: Path, fps: int) -> None:
    """Write the film by handing raw pictures to ffmpeg; OSError with its last line if that fails."""
    rows, columns = moments[0].picture.shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{columns}x{rows}", "-r", str(fps), "-i", "-"]
    even = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]  # what every player can show
    partial = path.with_name(path.name + ".partial")
    command = ["ffmpeg", "-y", "-loglevel", "error", *raw, *even, "-f", "mp4", str(partial)]
    try:
        shown = subprocess.run(
            command, input=b"".join(m.picture.tobytes() for m in moments), capture_output=True
        )
        if shown.returncode:
            raise OSError(
                shown.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["ffmpeg failed"]
            )
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
