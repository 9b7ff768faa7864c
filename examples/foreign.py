"""Somebody else's environment: any of Gymnasium with discrete actions, in a batch.

python examples/foreign.py --env CartPole-v1 --iterations 100

Where an environment is in another package, its name stands before a colon; Gymnasium then imports it. POPGym,
the extra "popgym", is a collection of such tasks for memory. In this one cards come up, and every
action must name the suit of the last card but three:

python examples/foreign.py --env popgym:popgym-RepeatPreviousEasy-v0 --length 60
"""

from __future__ import annotations

import gymnasium
import tyro

import bpa
from bpa.experiments.evaluate import Score


def main(env: str = "CartPole-v1", iterations: int = 100, length: int = 100, seed: int = 0) -> Score:
    """Train a neuromodulated network in `env`, in episodes of at most `length` steps, and score it."""
    batch = gymnasium.make_vec(
        env, num_envs=16, vectorization_mode="sync", wrappers=[gymnasium.wrappers.FlattenObservation]
    )
    # Episodes end when they end: each is masked from then on. A time limit is not an end, so the
    # value of what would have followed is added to the return.
    ours = bpa.envs.from_gymnasium(batch, episode_length=length, bootstrap=True)
    config = bpa.TrainConfig(
        iterations=iterations,
        seed=seed,
        hidden_size=32,
        learning_rate=3e-3,
        gamma=0.95,
        value_coef=0.01,
        quiet=True,
    )
    result = bpa.train(config, env=ours)
    score = bpa.evaluate(result.network, ours, episodes=100)
    print(f"{env}: reward {score.mean:.1f} +- {score.standard_error:.1f} an episode")
    batch.close()
    return score


if __name__ == "__main__":
    tyro.cli(main)
