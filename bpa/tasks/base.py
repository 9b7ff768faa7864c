"""What a supervised world teaches in one batch of episodes: what is sensed, what is wanted, what counts."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Lesson(NamedTuple):
    """One batch of episodes, time first, ready for `net.unroll(lesson.inputs)`.

    Targets are numbers, one for each output, or classes, one for each step; the mask has their shape.
    """

    inputs: Tensor  # float32 [T, B, I]
    targets: Tensor  # float32 [T, B, A], or int64 [T, B] of classes below A; 0 where nothing counts
    mask: Tensor  # bool, as targets: True where the target counts

    def part(self, share: slice) -> Lesson:
        """The lesson of some of its episodes."""
        return Lesson(*(tensor[:, share] for tensor in self))
