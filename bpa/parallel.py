"""One training run in several processes, each with a share of the batch: torchrun -m bpa train ..."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Team(NamedTuple):
    """The processes of a run."""

    rank: int = 0
    size: int = 1

    def share(self, batch_size: int) -> slice:
        """The episodes of a batch that this process takes.

        Raises:
            ValueError: the batch cannot be split evenly.
        """
        if batch_size % self.size:
            raise ValueError(
                f"batch_size must be a multiple of the {self.size} processes that share it, got {batch_size}"
            )
        each = batch_size // self.size
        return slice(self.rank * each, (self.rank + 1) * each)


def join_team() -> Team:
    """The team that torchrun has announced in the environment; a team of one without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return Team(dist.get_rank(), dist.get_world_size())


def average_gradients(team: Team, net: nn.Module) -> None:
    """Give every process the mean of the gradients of all."""
    if team.size == 1:
        return
    gradients = [parameter.grad for parameter in net.parameters() if parameter.grad is not None]
    whole = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(whole)
    for gradient, mean in zip(gradients, whole.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_((mean / team.size).view_as(gradient))


def summed(team: Team, numbers: list[float], like: Tensor) -> list[float]:
    """The sums of these numbers over all processes; they travel on the device of `like`."""
    if team.size == 1:
        return numbers
    held = torch.tensor(numbers, dtype=torch.float64, device=like.device)
    dist.all_reduce(held)
    return held.tolist()
