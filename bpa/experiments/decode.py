"""What of its goal can be read in an agent: Chapter 12's linear decoder, ready for agents that ship."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bpa import data
from bpa.arguments import require_choice, require_finite_weights, require_integer
from bpa.cells.base import RecurrentPolicy
from bpa.maze import GridMaze, draw_noise
from bpa.training.config import TrainConfig
from bpa.training.rollout import rollout
from bpa.training.tasks import build_task

PRICE = 100.0  # of a squared weight, on standardised activity
BATCH = 100  # episodes at once


class LinearDecoder(NamedTuple):
    """Row and column of the goal as a linear function of the activity, x [H] -> weight x + bias [2]."""

    weight: Tensor  # float64 [2, H]
    bias: Tensor  # float64 [2]
    r_squared: float  # after the first reward, on episodes that it was not fitted on
    cells_off: float  # there, the mean distance from the goal, in cells

    def read(self, h: Tensor) -> Tensor:
        """The goal that is read: h [..., H] -> row and column [..., 2]."""
        return h.to(self.weight.dtype) @ self.weight.T + self.bias


class Lives(NamedTuple):
    """What the agents of some episodes had in them at each step."""

    h: Tensor  # float64 [T, B, H], after each step
    goals: Tensor  # float64 [B, 2]
    knows: Tensor  # bool [T, B], whether a reward had been sensed by then


@torch.no_grad()
def record(net: RecurrentPolicy[Any], config: TrainConfig, episodes: int, seed: int, engine: str) -> Lives:
    """Live so many fresh episodes."""
    generator = torch.Generator(device="cpu").manual_seed(seed)
    h, goals, knows = [], [], []
    for begun in range(0, episodes, BATCH):
        maze = build_task(config, min(BATCH, episodes - begun), generator)
        if not isinstance(maze, GridMaze):
            raise ValueError(f"task must be 'maze' to have a goal, got {config.task!r}")
        noise = draw_noise(maze.episode_length, maze.batch_size, generator)
        seen = rollout(net, maze, noise, engine)
        rewards = (seen.rewards > 0).cumsum(0) > 0
        knows.append(torch.cat([torch.zeros_like(rewards[:1]), rewards[:-1]]))  # sensed one step later
        h.append(seen.h.double())
        goals.append(maze.goal.double())
    return Lives(torch.cat(h, 1), torch.cat(goals), torch.cat(knows, 1))


def fit_goal_decoder(
    net: RecurrentPolicy[Any], config: TrainConfig, episodes: int = 600, seed: int = 4, engine: str = "auto"
) -> LinearDecoder:
    """Ridge regression of the goal on the activity, fitted on two thirds of fresh episodes.

    As in Chapter 12, but on every step, those before the first reward too: so an agent that cannot know its
    goal is read as the middle of the maze.

    Args:
        net, config: an agent, and the maze that it lives in.
        episodes: at least 3; the last third is for the score.
        seed: of all noise in the episodes.
        engine: one of `bpa.engines.ENGINES`.

    Raises:
        ValueError: a number is out of range, weights are not finite, or the task is not the maze.
    """
    episodes = require_integer("episodes", episodes, low=3)
    require_finite_weights(net)
    lives = record(net, config, episodes, require_integer("seed", seed, low=0, high=2**63 - 1), engine)
    fitted = torch.arange(episodes, dtype=torch.int64, device="cpu") < 2 * episodes // 3
    x = lives.h[:, fitted].flatten(0, 1)
    y = lives.goals[fitted].expand(len(lives.h), -1, -1).flatten(0, 1)
    middle, spread = x.mean(0), x.std(0, unbiased=False).clamp(min=1e-12)
    z, guess = (x - middle) / spread, y.mean(0)
    penalty = PRICE * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    weight = torch.linalg.solve(z.T @ z + penalty, z.T @ (y - guess)).T / spread
    decoder = LinearDecoder(weight, guess - weight @ middle, 0.0, 0.0)
    r_squared, cells_off = scores(decoder, guess, lives, ~fitted)
    return decoder._replace(r_squared=r_squared, cells_off=cells_off)


def scores(decoder: LinearDecoder, guess: Tensor, lives: Lives, episodes: Tensor) -> tuple[float, float]:
    """R squared and cells off, in some episodes after the first reward; `guess` is the constant guess."""
    knows = lives.knows[:, episodes]
    truth = lives.goals[episodes].expand(*knows.shape, 2)[knows]
    wrong = decoder.read(lives.h[:, episodes][knows]) - truth
    r_squared = 1 - (wrong.square().sum() / (guess - truth).square().sum()).item()
    return r_squared, wrong.norm(dim=-1).mean().item()


def as_json(decoder: LinearDecoder) -> str:
    """The text of a file that `load_goal_decoder` reads."""
    told = {
        "r_squared": round(decoder.r_squared, 4),
        "cells_off": round(decoder.cells_off, 4),
        "bias": [round(number, 6) for number in decoder.bias.tolist()],
        "weight": [[round(number, 6) for number in row] for row in decoder.weight.tolist()],
    }
    return json.dumps(told) + "\n"


def load_goal_decoder(name: str) -> LinearDecoder:
    """The decoder of an agent that ships, by the agent's name.

    Raises:
        ValueError: no agent of that name ships; the message says which do.

    Example:
        >>> from bpa.experiments.decode import load_goal_decoder
        >>> load_goal_decoder("maze-11").weight.shape
        torch.Size([2, 100])
    """
    agent = require_choice("name", name, data.agents())
    told = json.loads((data.HERE / "decoders" / f"{agent}.json").read_text(encoding="utf-8"))
    weight, bias = (
        torch.tensor(told[part], dtype=torch.float64, device="cpu") for part in ("weight", "bias")
    )
    return LinearDecoder(weight, bias, told["r_squared"], told["cells_off"])
