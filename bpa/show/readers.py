"""What figures share in which the reader is the agent: the length of an episode, and a scale of scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from bpa import data
from bpa.arguments import require_choice, require_integer, shown
from bpa.envs.baselines import affordable, expected_reward
from bpa.maze import GridMaze
from bpa.training.checkpoint import load_weights

EPISODES = 99  # those with a number of their own, for a link
# With whom a reader who plays the maze is compared: what they are called, and what they know.
SCALE = {
    "random": ("random walker", "knows nothing"),
    "straight": ("straight walker", "knows its nine cells and its last action"),
    "ideal": ("ideal agent", "knows the map, and all that it ever sensed"),
    "oracle": ("oracle", "knows the map, its cell and the goal"),
}


def episode_numbers() -> list[str]:
    """The numbers by which a link calls for an episode that is the same for everybody."""
    return [str(number) for number in range(1, EPISODES + 1)]


def require_lengths(episode_length: int | Sequence[int], most: int | None = None) -> list[int]:
    """The lengths of an episode that a reader can choose from; ValueError unless there is one, each once."""
    several = isinstance(episode_length, Sequence) and not isinstance(episode_length, str)
    given: Any = episode_length if several else [episode_length]
    lengths = [require_integer("episode_length", length, low=1, high=most) for length in given]
    if not lengths or len({*lengths}) < len(lengths):
        raise ValueError(f"episode_length must be one or more different numbers, got {shown(episode_length)}")
    return lengths


@lru_cache
def exact_scores(
    size: int, episode_length: int, reward: float, wall_penalty: float
) -> tuple[tuple[str, float], ...]:
    """What each of SCALE expects to earn in an episode, where that takes seconds."""
    rules = (size, episode_length, reward, wall_penalty)
    return tuple(
        (policy, expected_reward(policy, *rules))
        for policy in SCALE
        if affordable(policy, size, episode_length)
    )


def shipped_scores(agent: str, maze: GridMaze) -> dict[int, tuple[float, float]]:
    """What an agent that ships earns, and its standard error, by the length of the episode, as measured.

    Raises:
        ValueError: no such agent ships, or it was trained in a maze of another kind.
    """
    agent = require_choice("agent", agent, data.agents())
    _, config = load_weights(agent)
    trained = config.size, config.reward, config.wall_penalty
    if (maze.size, maze.reward, maze.wall_penalty) != trained:
        raise ValueError(
            f"agent {agent!r} lives in mazes of size {config.size} with reward {config.reward:g} and wall "
            f"penalty {config.wall_penalty:g}, got {maze.size}, {maze.reward:g} and {maze.wall_penalty:g}"
        )
    own, short = (
        json.loads((data.HERE / folder / f"{agent}.json").read_text(encoding="utf-8"))
        for folder in ("agents", "short")
    )
    return {
        length: (found["mean_reward"], found["standard_error"])
        for length, found in ((config.episode_length, own), (short["episode_length"], short))
    }


def maze_scale(
    maze: GridMaze, episode_length: int, measured: tuple[float, float] | None = None
) -> list[dict[str, Any]]:
    """The rows of the scale: who, what they know, and what they earn in episodes of such a length.

    Args:
        measured: what a trained agent earns, and its standard error, if there is one.
    """
    rows: list[dict[str, Any]] = []
    for policy, earned in exact_scores(maze.size, episode_length, maze.reward, maze.wall_penalty):
        name, knows = SCALE[policy]
        rows.append({"name": name, "knows": knows, "reward": earned})
    if measured is not None:
        mean, error = measured
        rows.append(
            {
                "name": "trained agent",
                "knows": "knows what it has learned, and what it senses",
                "reward": mean,
                "error": error,
            }
        )
    return rows
