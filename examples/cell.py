"""A cell of your own: a GRU whose connection back to itself has a Hebbian part.

python examples/cell.py --iterations 200

The same class acts in an environment, for rewards, and answers in a supervised task.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import tyro
from torch import Tensor, nn

import bpa
from bpa.cells.base import RecurrentNetwork
from bpa.network import clipped, outer, plastic_input


class GRUHidden(NamedTuple):
    """What it carries from one step to the next. The activity comes first."""

    h: Tensor  # [B, H]
    hebb: Tensor  # Hebbian trace of the candidate's connection, [B, H, H]


class PlasticGRU(RecurrentNetwork[GRUHidden]):
    """A GRU; the candidate also reads h(t-1) through alpha * Hebb(t).

    The base has `forward`, `unroll` and the heads. What is left to say is the first state and one step.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_actions: int,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        _, H, _ = self.declare_sizes(input_size, hidden_size, num_actions)
        self.i2h = nn.Linear(input_size, 3 * H)  # reset gate, update gate, candidate
        self.h2h = nn.Linear(H, 3 * H)
        self.alpha = nn.Parameter(torch.empty(H, H))
        self.eta = nn.Parameter(torch.empty(1))
        self.h2o = nn.Linear(H, num_actions)
        self.h2v = nn.Linear(H, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-(H**-0.5), H**-0.5, generator=generator)
            self.eta.fill_(0.1)

    def initial_state(self, batch_size: int) -> GRUHidden:
        """All zero, as at the start of an episode."""
        H = self.hidden_size
        return GRUHidden(self.alpha.new_zeros(batch_size, H), self.alpha.new_zeros(batch_size, H, H))

    def step(self, drive: Tensor, hidden: GRUHidden) -> GRUHidden:
        """One step from the drive i2h(input(t)) [B, 3 H]."""
        h, hebb = hidden
        reset_in, update_in, candidate_in = drive.chunk(3, dim=1)
        reset_back, update_back, candidate_back = self.h2h(h).chunk(3, dim=1)
        reset, update = torch.sigmoid(reset_in + reset_back), torch.sigmoid(update_in + update_back)
        candidate = torch.tanh(candidate_in + reset * candidate_back + plastic_input(h, self.alpha, hebb))
        hebb = clipped(hebb, self.eta * outer(h, candidate), clip=2.0)
        return GRUHidden(update * h + (1 - update) * candidate, hebb)


def main(iterations: int = 200, seed: int = 0) -> tuple[float, float]:
    """Train one in the grid maze and one to recall pairs: the reward, and the share of right answers."""
    settings: dict[str, Any] = {"iterations": iterations, "seed": seed, "learning_rate": 3e-3, "quiet": True}
    generator = torch.Generator().manual_seed(seed)

    env = bpa.GridMaze(size=5, batch_size=20, episode_length=40)
    net = PlasticGRU(env.observation_size, 24, env.num_actions, generator)
    agent = bpa.train(bpa.TrainConfig(**settings), env=env, network=net).network
    reward = bpa.evaluate(agent, env, episodes=200).mean

    task = {"num_pairs": 3, "num_keys": 6, "num_values": 4}
    config = bpa.TrainConfig(task="recall", **settings).updated({"recall": task})
    history = bpa.train(config, network=PlasticGRU(11, 24, 4, generator)).history
    last = history[-20:]
    accuracy = sum(record.accuracy for record in last) / len(last)

    print(
        f"reward {reward:.1f} an episode in the maze; {accuracy:.0%} of the answers right, guessing gets 25%"
    )
    return reward, accuracy


if __name__ == "__main__":
    tyro.cli(main)
