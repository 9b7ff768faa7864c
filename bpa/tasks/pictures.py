"""Pictures: see a few real ones, then complete one of which only half is shown."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bpa.arguments import plain, require_choice, require_device, require_integer
from bpa.noise import given_or_fresh, integers
from bpa.tasks.base import Batch
from bpa.tasks.patterns import asked_last, chosen, shown_in_turn

SOURCES = ("digits", "photographs")
SPLITS = ("train", "test")
HALVES = ("top", "bottom", "left", "right", "random")
DIGIT_SIZE = 8
STRIPS = 10  # vertical strips into which a photograph is cut; strips 3 and 7 are for testing
FLATTEST = 0.02  # standard deviation of a patch below which there is nothing to see in it, white being 1


def digits(split: str) -> Tensor:
    """Handwritten digits, float32 [count, 8, 8] from 0 to 1: the first three quarters, or those for testing.

    Source: the optical recognition data of the UCI repository, as it ships inside scikit-learn.
    """
    from sklearn.datasets import load_digits  # here, because importing it takes a second

    split = require_choice("split", split, SPLITS)
    pictures = torch.from_numpy(load_digits().images).float() / 16
    border = len(pictures) * 3 // 4
    return pictures[:border] if split == "train" else pictures[border:]


def photographs(shrink: int) -> Tensor:
    """The two photographs of scikit-learn, grey, float32 [2, rows, columns] from 0 to 1.

    Args:
        shrink: side in pixels of the squares that are averaged into one, at least 1.
    """
    from sklearn.datasets import load_sample_images

    shrink = require_integer("shrink", shrink, low=1)
    colours = torch.from_numpy(np.stack(load_sample_images().images)).float()
    # How bright red, green and blue look (ITU-R BT.601).
    luma = colours @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float32, device="cpu")
    return torch.nn.functional.avg_pool2d(luma / 255, shrink)


def strip_columns(columns: int, split: str) -> list[range]:
    """Columns of each vertical strip that is for this split: no column is in strips of both."""
    split = require_choice("split", split, SPLITS)
    width = columns // STRIPS
    return [range(k * width, (k + 1) * width) for k in range(STRIPS) if (k in (3, 7)) == (split == "test")]


def patch_corners(pictures: Tensor, size: int, split: str) -> Tensor:
    """(picture, row, column) of the top left corner of every patch to be had, int64 [count, 3].

    A patch lies within one strip, so that patches of the two splits share no pixel; flat ones are left out.

    Raises:
        ValueError: patches of this size do not fit into a strip.
    """
    strips = strip_columns(pictures.shape[2], split)
    highest = min(len(strips[0]), pictures.shape[1])
    if size > highest:
        raise ValueError(
            f"patch_size must be at most {highest}, the width of the strips that keep training and test "
            f"apart at this shrink, got {size}"
        )
    mean = torch.nn.functional.avg_pool2d(pictures.double(), size, stride=1)
    square = torch.nn.functional.avg_pool2d(pictures.double().square(), size, stride=1)
    usable = square - mean.square() > FLATTEST**2
    inside = torch.zeros(usable.shape[2], dtype=torch.bool, device="cpu")
    for columns in strips:
        inside[columns.start : columns.stop - size + 1] = True
    return (usable & inside).nonzero()


def standardised(pictures: Tensor) -> Tensor:
    """Each picture [..., S, S] with mean 0 and standard deviation 1."""
    centred = pictures - pictures.mean((-2, -1), keepdim=True)
    return centred / centred.square().mean((-2, -1), keepdim=True).sqrt()


class Pictures:
    """Memorise real pictures, then complete one of them from a half. [2018, sec. 4.2]

    Description:
        In each episode K pictures are shown, one after the other, with a pause after each. The round is
        repeated, each time in a new random order. Then one half of one picture is shown, and the
        network must fill in the other. Training and test pictures are strictly apart, so whoever completes a
        test picture has memorised it within the episode, or guesses well.

        "digits" are handwritten, 8 x 8. "photographs" are square patches of two photographs, a temple and a
        flower, grey and made smaller. Those photographs are cut into ten vertical strips; training
        patches lie within eight of them, test patches within the other two, and no patch lies across a
        border. Patches of one episode do not overlap.

    Observation:
        Inputs [T, B, S * S], row by row: each picture scaled to mean 0 and standard deviation 1, 0 in a pause
        and in the hidden half. T = presentations * K * (show_steps + pause_steps) + show_steps.

    Targets:
        [T, B, S * S]: the whole picture, during the last step. What counts is the hidden half. Who always
        says 0 has a mean squared error of about 1; the shown half alone allows a better guess, see
        `guess_error`.

    Configuration:
        source: "digits" or "photographs". split: "train" or "test".
        num_pictures: K, at least 1. batch_size: B, at least 1. presentations: rounds, at least 1.
        show_steps, at least 1. pause_steps, at least 0.
        hidden: the half that is hidden, "top", "bottom", "left", "right", or "random", one of those four
        for each episode. In a picture of odd side the hidden half is the smaller one.
        patch_size: S of photographs, at least 2; 12 if None. Digits have 8.
        shrink: photographs only, squares of so many pixels a side are averaged into one, at least 1.
        generator: source of all noise, a fresh unseeded one if None. device: of what `sample` returns.

    Raises:
        ValueError: a setting is out of range, or there are more pictures than there are to be had.
    """

    def __init__(
        self,
        source: str = "digits",
        split: str = "train",
        num_pictures: int = 3,
        batch_size: int = 30,
        presentations: int = 2,
        show_steps: int = 3,
        pause_steps: int = 1,
        hidden: str = "random",
        patch_size: int | None = None,
        shrink: int = 2,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ):
        self.source = source = require_choice("source", source, SOURCES)
        self.split = split = require_choice("split", split, SPLITS)
        self.num_pictures = num_pictures = require_integer("num_pictures", num_pictures, low=1)
        self.batch_size = require_integer("batch_size", batch_size, low=1)
        self.presentations = presentations = require_integer("presentations", presentations, low=1)
        self.show_steps = show_steps = require_integer("show_steps", show_steps, low=1)
        self.pause_steps = pause_steps = require_integer("pause_steps", pause_steps, low=0)
        self.hidden = require_choice("hidden", hidden, HALVES)
        if source == "digits":
            if patch_size is not None and plain(patch_size) != DIGIT_SIZE:
                raise ValueError(f"patch_size must be {DIGIT_SIZE} or None for digits, got {patch_size!r}")
            self.size = DIGIT_SIZE
            self.pictures = digits(split)
            self.corners = torch.zeros(len(self.pictures), 3, dtype=torch.int64, device="cpu")
            self.corners[:, 0] = torch.arange(len(self.pictures), dtype=torch.int64, device="cpu")
            blocked = 1
        else:
            self.size = require_integer("patch_size", 12 if patch_size is None else patch_size, low=2)
            self.pictures = photographs(shrink)
            self.corners = patch_corners(self.pictures, self.size, split)
            # A chosen patch leaves no room for those that begin less than S away from it. Half of what
            # surely fits is quickly drawn at random.
            blocked = 2 * (2 * self.size - 1) ** 2
        highest = 1 + (len(self.corners) - 1) // blocked
        if num_pictures > highest:
            raise ValueError(
                f"num_pictures must be at most {highest} for {source} of this size, so that the pictures of "
                f"an episode are different ones, got {num_pictures}"
            )
        self.generator = given_or_fresh(generator)
        self.device = require_device("device", device)
        self.input_size = self.output_size = self.size**2
        self.episode_length = presentations * num_pictures * (show_steps + pause_steps) + show_steps

    def draw_below(self, high: int, *shape: int) -> Tensor:
        """Whole numbers below `high`, on the CPU, where the pictures are."""
        return integers(high, *shape, generator=self.generator).cpu()

    def draw(self) -> Tensor:
        """Corners of K different pictures for each episode, int64 [B, K, 3]; patches do not overlap."""
        which = self.draw_below(len(self.corners), self.batch_size, self.num_pictures)
        while True:
            corners = self.corners[which]
            apart = (corners[:, :, None] - corners[:, None]).abs()  # [B, K, K, 3]
            overlap = (apart[..., 0] == 0) & (apart[..., 1:] < self.size).all(-1)
            again = overlap.tril(-1).any(-1)
            if not again.any():
                return corners
            which[again] = self.draw_below(len(self.corners), int(again.sum()))

    def cut(self, corners: Tensor) -> Tensor:
        """The pictures at `corners` [..., 3], scaled: [..., S, S]."""
        window = torch.arange(self.size, dtype=torch.int64, device="cpu")
        picture, row, column = corners[..., None, None].unbind(-3)
        return standardised(self.pictures[picture, row + window[:, None], column + window])

    def hidden_pixels(self) -> Tensor:
        """Which pixels each cue hides, bool [B, S, S]."""
        B, S = self.batch_size, self.size
        masks = torch.zeros(4, S, S, dtype=torch.bool, device="cpu")
        masks[0, : S // 2] = masks[1, S - S // 2 :] = masks[2, :, : S // 2] = masks[3, :, S - S // 2 :] = True
        if self.hidden != "random":
            return masks[HALVES.index(self.hidden)].expand(B, S, S)
        return masks[self.draw_below(4, B)]

    def sample(self) -> Batch:
        """B new episodes."""
        B, K = self.batch_size, self.num_pictures
        pictures = self.cut(self.draw()).flatten(2)  # [B, K, S * S]
        hidden = self.hidden_pixels().flatten(1)
        asked = chosen(pictures, self.draw_below(K, B))
        inputs = shown_in_turn(
            pictures,
            asked.masked_fill(hidden, 0),
            self.presentations,
            self.show_steps,
            self.pause_steps,
            self.generator,
        )
        return asked_last(inputs, asked, hidden, self.device)


def guess_error(train: Pictures, test: Pictures, batches: int = 200, ridge: float = 0.1) -> float:
    """Mean squared error of a linear guess at the hidden half from the shown one, without any memory.

    One ridge regression for each hidden half, from `batches` batches of `train`, judged on as many of `test`.
    It is what pictures in general give away; what a network does better, it does by memory or by a guess
    that is not linear.

    Args:
        train, test: tasks with the same pictures' size and the same `hidden`.
        batches: batches drawn from each. ridge: penalty on squared weights, for each picture.
    """
    batches = require_integer("batches", batches, low=1)

    def cues_and_answers(task: Pictures) -> tuple[Tensor, Tensor, Tensor]:
        drawn = [task.sample() for _ in range(batches)]
        parts = [(one.inputs[-1].cpu(), one.targets[-1].cpu(), one.mask[-1].cpu()) for one in drawn]
        cues, answers, masks = (torch.cat(part).double() for part in zip(*parts, strict=True))
        return cues, answers, masks.bool()

    cues, answers, masks = cues_and_answers(train)
    new_cues, new_answers, new_masks = cues_and_answers(test)
    squares = torch.zeros((), dtype=torch.float64, device="cpu")
    for half in masks.unique(dim=0):
        mine, theirs = (masks == half).all(1), (new_masks == half).all(1)
        x, y = cues[mine][:, ~half], answers[mine][:, half]
        penalty = ridge * len(x) * torch.eye(x.shape[1], dtype=torch.float64, device="cpu")
        weights = torch.linalg.solve(x.T @ x + penalty, x.T @ y)
        squares += (new_cues[theirs][:, ~half] @ weights - new_answers[theirs][:, half]).square().sum()
    return (squares / new_masks.sum()).item()
