"""Train RecurrentPPO, the LSTM agent of sb3-contrib, in the grid maze.

pip install -e ".[sb3]"
python examples/recurrent_ppo.py --steps 300000 --seed 0

Nothing here is ours but the environment, which any tool that speaks Gymnasium can use in the same way.

One run of this command earned 157 +- 7 an episode (mean of 200 fresh ones, and its standard error), where a
random walk earns 14.37. It took 8.6 minutes of processor time on a busy machine. In training it earned 26
after 64,000 steps, 46 after 128,000, 108 after 192,000 and 134 after 256,000. Other seeds were not tried.
"""

import argparse
from collections.abc import Callable

import numpy as np
from sb3_contrib import RecurrentPPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecEnv

import bpa  # noqa: F401 - registers the environment
from bpa.envs.baselines import expected_reward


def whole(low: int) -> Callable[[str], int]:
    """A reader of whole numbers of at least `low`, for argparse."""

    def read(text: str) -> int:
        if not text.removeprefix("-").isdecimal() or int(text) < low:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {low}, got {text}")
        return int(text)

    return read


def main(arguments: list[str] | None = None) -> tuple[float, float]:
    """Train, evaluate and print; return the mean reward per episode and its standard error."""
    parser = argparse.ArgumentParser(
        usage=argparse.SUPPRESS,  # what is wrong with an argument then takes one line
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=whole(1), default=300_000, help="steps to train for, whole rollouts")
    parser.add_argument("--mazes", type=whole(1), default=32, help="mazes side by side")
    parser.add_argument("--size", type=whole(5), default=9, help="side of a maze, an odd number")
    parser.add_argument("--episode-length", type=whole(2), default=200, help="steps of an episode")
    parser.add_argument("--episodes", type=whole(2), default=200, help="fresh episodes of the evaluation")
    parser.add_argument("--seed", type=whole(0), default=0, help="seed of weights, mazes and actions")
    options = parser.parse_args(arguments)
    if options.size % 2 == 0:
        parser.error(f"argument --size: must be an odd number, got {options.size}")
    settings = {"size": options.size, "episode_length": options.episode_length}

    def mazes(seed: int) -> VecEnv:
        return make_vec_env("bpa/GridMaze-v0", n_envs=options.mazes, seed=seed, env_kwargs=settings)

    agent = RecurrentPPO(
        "MlpLstmPolicy",
        mazes(options.seed),
        n_steps=options.episode_length,  # whole episodes: the LSTM is trained from the first step to the last
        batch_size=options.episode_length * max(options.mazes // 2, 1),
        learning_rate=1e-3,
        gamma=0.9,  # the published discount
        ent_coef=0.01,
        vf_coef=0.01,  # rewards of 10 make for large squares
        policy_kwargs={"lstm_hidden_size": 100, "shared_lstm": True, "enable_critic_lstm": False},
        seed=options.seed,
        device="cpu",
        verbose=1,
    )
    agent.learn(options.steps, log_interval=10)
    # Fresh mazes. Actions are drawn from the policy, as in training.
    rewards, _ = evaluate_policy(
        agent,
        mazes(options.seed + 1_000_000),
        options.episodes,
        deterministic=False,
        return_episode_rewards=True,
    )
    mean, error = float(np.mean(rewards)), float(np.std(rewards, ddof=1) / np.size(rewards) ** 0.5)
    walk = expected_reward("random", **settings)
    print(f"reward per episode {mean:.1f} +- {error:.1f}; a random walk earns {walk:.1f}")
    return mean, error


if __name__ == "__main__":
    main()
