"""One training run in several processes, each with a share of the batch: torchrun -m bpa train ..."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from bpa.cells.base import Trainable


class Team(NamedTuple):
    """The processes of a run."""

    rank: int = 0
    size: int = 1

    def shard(self, batch_size: int) -> slice:
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


def announced(name: str) -> int:
    """What torchrun has announced in the environment; ValueError if it is no whole number."""
    try:
        return int(os.environ[name])
    except ValueError:
        raise ValueError(
            f"{name} must be a whole number, as torchrun sets it, got {os.environ[name]!r}"
        ) from None


def own_device(device: torch.device) -> torch.device:
    """The device of this process: where torchrun has started several, each has a card of its own.

    Raises:
        ValueError: there are more processes on this machine than cards.
    """
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    local_rank, count = announced("LOCAL_RANK"), torch.cuda.device_count()
    if local_rank >= count:
        raise ValueError(
            f"device 'cuda' must be one for each process on a machine: here are {count}, and this is process "
            f"{local_rank + 1}"
        )
    return torch.device("cuda", local_rank)


def join_team(device: torch.device) -> Team:
    """The team that torchrun has announced in the environment; a team of one without it.

    Args:
        device: where this process computes, which decides how the team talks.
    """
    if "WORLD_SIZE" not in os.environ or announced("WORLD_SIZE") == 1:
        return Team()
    if not dist.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Team(dist.get_rank(), dist.get_world_size())


def leave_team() -> None:
    """Part from the team, if there is one, before the program ends."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


class FromFirst(torch.autograd.Function):
    """A tensor of the first process, in all of them; their gradients meet there."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """The first process's tensor, in place of the one that each brings."""
        tensor = tensor.clone()
        dist.broadcast(tensor, src=0)
        return tensor

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The sum of all gradients for the first process, nothing for the others."""
        whole = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(whole)
        return whole if dist.get_rank() == 0 else torch.zeros_like(whole)


def values_of_the_first(team: Team, values: Tensor) -> Tensor:
    """The value of the batch's first episode, for all of them: [T, B] -> [T, B].

    The first episode is with the first process. The gradients of all processes reach it there.
    """
    first = values[:, :1].contiguous()
    if team.size > 1:
        first = FromFirst.apply(first)
    return first.expand_as(values)


def average_gradients(team: Team, net: Trainable) -> None:
    """Give every process the mean of the gradients of all."""
    if team.size == 1:
        return
    # A parameter that one shard has not used, having ended early, may be used in another.
    parameters = list(net.parameters())
    used = parameters[0].new_tensor([p.grad is not None for p in parameters])
    flat = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
    whole = torch.cat([*flat, used])
    dist.all_reduce(whole)
    *means, used = whole.split([*(p.numel() for p in parameters), len(parameters)])
    for parameter, mean, uses in zip(parameters, means, used.tolist(), strict=True):
        parameter.grad = (mean / team.size).view_as(parameter) if uses else None


def summed(team: Team, numbers: list[float], like: Tensor) -> list[float]:
    """The sums of these numbers over all processes; they travel on the device of `like`."""
    if team.size == 1:
        return numbers
    held = torch.tensor(numbers, dtype=torch.float64, device=like.device)
    dist.all_reduce(held)
    return held.tolist()
