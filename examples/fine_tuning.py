"""Fine-tuning: an agent that ships learns a maze of other rules than its own.

python examples/fine_tuning.py --iterations 100

It has learned in mazes of 11 by 11 cells, where walls cost nothing. Here are smaller ones, where they cost 1.
"""

from __future__ import annotations

import tyro

import bpa
from bpa.experiments.evaluate import Score


def main(iterations: int = 100, seed: int = 0, episodes: int = 200) -> tuple[Score, Score]:
    """Score the agent, train a copy of it, and score the copy in the same episodes."""
    net = bpa.load("maze-11")
    env = bpa.GridMaze(size=9, wall_penalty=1.0)
    config = bpa.TrainConfig(iterations=iterations, seed=seed, learning_rate=3e-4, quiet=True)
    tuned = bpa.train(config, env=env, network=net).network

    before = bpa.evaluate(net, env, episodes, seed=1, greedy=True)
    after = bpa.evaluate(tuned, env, episodes, seed=1, greedy=True)
    for name, score in (("before", before), ("after", after)):
        print(f"{name:6} {score.mean:6.1f} +- {score.standard_error:.1f} reward an episode")
    return before, after


if __name__ == "__main__":
    tyro.cli(main)
