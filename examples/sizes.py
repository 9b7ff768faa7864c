"""One agent for mazes of several sizes, made of environments that exist.

python examples/sizes.py --start maze-11 --iterations 300

Every batch has a maze of another size. The agent learns in all of them, and is scored in each.
"""

from __future__ import annotations

import tyro
from torch import Generator, Tensor

import bpa
from bpa.engines.view import KernelView, TeleportNoise
from bpa.envs.baselines import expected_reward
from bpa.maze import MazeNoise
from bpa.training.presets import PRESETS


class Mazes:
    """B episodes of T steps in a maze whose size is drawn for each batch."""

    def __init__(self, sizes: tuple[int, ...], batch_size: int = 30, episode_length: int = 200):
        self.generator = Generator()  # the only source of noise: all mazes share it
        self.mazes = [bpa.GridMaze(n, batch_size, episode_length, generator=self.generator) for n in sizes]
        self.batch_size, self.episode_length = batch_size, episode_length
        self.observation_size, self.num_actions = self.mazes[0].observation_size, self.mazes[0].num_actions
        self.maze = self.mazes[0]

    def sample_noise(self) -> MazeNoise:
        """Draw the size of the next episodes, then their noise."""
        self.maze = self.mazes[int(self.maze.draw()[0] * len(self.mazes))]
        return self.maze.sample_noise()

    def reset(self, noise: MazeNoise | None = None) -> Tensor:
        """Start B new episodes: the first observation, [B, 17]."""
        return self.maze.reset(noise or self.sample_noise())

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, bool]:
        """Move each agent: observation [B, 17], reward [B], and done."""
        return self.maze.step(actions)

    def kernel_view(self, noise: TeleportNoise | None = None) -> KernelView | str:
        """What the compiled loops need to run it: all that they need of the maze drawn last."""
        return self.maze.kernel_view(noise)


def main(
    sizes: tuple[int, ...] = (7, 9, 11, 13),
    iterations: int = 300,
    batch_size: int = 30,
    start: str | None = None,
    seed: int = 0,
    episodes: int = 200,
    out: str | None = None,
) -> dict[int, float]:
    """Train one network in all sizes, and score its likeliest actions as a share of the ideal agent's."""
    config = PRESETS["quick"].replace(
        iterations=iterations,
        seed=seed,
        quiet=True,
        out=out,
        gamma=0.95,
        learning_rate=1.5e-3,
        concentration_coef=0.004,
        concentration_schedule="linear",
    )
    network = None if start is None else bpa.load(start)
    net = bpa.train(config, env=Mazes(sizes, batch_size), network=network).network
    shares = {}
    for n in sizes:
        score = bpa.evaluate(net, bpa.GridMaze(n), episodes, greedy=True)
        shares[n] = score.mean / expected_reward("ideal", n)
        reward = f"{score.mean:.1f} +- {score.standard_error:.1f} reward an episode"
        print(f"{n} x {n}: {reward}, {shares[n]:.0%} of what the ideal agent earns")
    return shares


if __name__ == "__main__":
    tyro.cli(main)
