"""The steps of a network with traces in the loops, for an environment that is called between them."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from bpa.engines.cell import FIXED, RETROACTIVE, LoopNetwork, wants_gradient
from bpa.engines.eager import Unrolled
from bpa.engines.numba import (
    fresh_run,
    in_parallel,
    no_ends,
    outputs,
    padded_square,
    settings,
    start_of,
    weights_for_loop,
)
from bpa.engines.numba.traces import Room, finish_group, step_group
from bpa.engines.offers import accepted
from bpa.engines.threads import loop_threads

ENOUGH = 2**17  # numbers of a trace that a thread must have in a step to be worth waking for


def shares(batch_size: int, size: int) -> list[tuple[int, int]]:
    """First and last + 1 of the episodes of each thread, in one step of networks with `size` neurons.

    Between two steps nothing stays in the nearest cache, so that groups of a few would gain nothing.
    """
    threads = max(1, min(loop_threads(), batch_size, batch_size * size**2 // ENOUGH))
    ends = [batch_size * n // threads for n in range(threads + 1)]
    return list(pairwise(ends))


class Steps:
    """B episodes of `net` on their way, of at most so many steps; a `bpa.engines.walking.Walk`."""

    def __init__(self, net: LoopNetwork, steps: int, batch_size: int):
        self.net, self.cell, self.steps = net, accepted(net.kernel_cell()), 0
        self.hidden = net.initial_state(batch_size)
        # One step more, where `value_of` looks ahead.
        self.run = fresh_run(self.hidden, steps + 1, keep=wants_gradient(net))
        self.weights = weights_for_loop(settings(self.cell), self.cell.parameters)
        h = self.run.h[0]
        self.bounds = shares(*self.hidden.h.shape)
        none = h.new_zeros(batch_size, 0, 0)
        kind = self.cell.kind
        self.room = Room(
            torch.zeros_like(h),
            torch.zeros_like(h),
            torch.zeros_like(h),
            none if kind == FIXED else padded_square(self.run.hebb),
            padded_square(self.run.eligibility) if kind == RETROACTIVE else none,
        )

    def walked(self, observation: Tensor, run: Any, room: Room[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [B, A] and value [B] of the next step, which is put down in `run` and `room`."""
        drives = self.cell.i2h(observation)
        in_parallel(step_group, self.bounds, self.weights, drives, self.steps, run, room)
        return self.net.heads(run.h[self.steps + 1, :, : drives.shape[1]])

    @torch.no_grad()
    def step(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """As of a `Walk`."""
        found = self.walked(observation, self.run, self.room)
        self.steps += 1
        return found

    @torch.no_grad()
    def value_of(self, observation: Tensor) -> Tensor:
        """As of a `Walk`: what it writes into the run, the next step writes anew."""
        return self.walked(observation, self.run._replace(every=0), Room(*map(torch.clone, self.room)))[1]

    def finish(self, observations: Tensor) -> Unrolled:
        """As of a `Walk`."""
        kept = math.ceil(self.steps / self.run.every) if self.run.every else 0
        run = self.run._replace(
            h=self.run.h[: self.steps + 1],
            modulation=self.run.modulation[: self.steps],
            hebb_kept=self.run.hebb_kept[:kept],
            eligibility_kept=self.run.eligibility_kept[:kept],
        )
        in_parallel(finish_group, self.bounds, self.weights, run, self.room)
        drives = self.cell.i2h(observations)
        nothing = drives.new_zeros(*drives.shape[:2], 0)
        start = start_of(drives, self.hidden)
        _, h, modulation, hidden = outputs(
            self.cell, run, self.weights, start, self.hidden, no_ends(self.cell), nothing, nothing
        )
        logits, values = self.net.heads(h)
        return Unrolled(logits, values, modulation, h, hidden)
