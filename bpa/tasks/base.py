"""What a supervised task is: what is sensed, what is wanted, and what counts."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class Batch(NamedTuple):
    """One batch of episodes, time first, ready for `net.unroll(batch.inputs)`.

    Targets are numbers, one for each output, or classes, one for each step; the mask has their shape.
    """

    inputs: Tensor  # float32 [T, B, I]
    targets: Tensor  # float32 [T, B, A], or int64 [T, B] of classes below A; 0 where nothing counts
    mask: Tensor  # bool, as targets: True where the target counts

    def shard(self, part: slice) -> Batch:
        """Some of its episodes."""
        return Batch(*(tensor[:, part] for tensor in self))


class SupervisedTask(Protocol):
    """A task that says what should have been answered: `bpa.tasks.patterns`, `pictures`, `sequences`."""

    input_size: int  # I
    output_size: int  # A

    def sample(self) -> Batch:
        """One batch of new episodes."""
