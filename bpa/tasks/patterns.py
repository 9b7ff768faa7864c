"""Binary patterns: see a few of them, then complete one of which only a part is shown."""

from __future__ import annotations

import torch
from torch import Tensor

from bpa.arguments import require_device, require_integer, require_number
from bpa.noise import given_or_fresh, integers, uniform
from bpa.tasks.base import Batch


def signs(bits: Tensor) -> Tensor:
    """float32 +1 and -1 for bits 1 and 0."""
    return 2 * bits.float() - 1


def chosen(items: Tensor, which: Tensor) -> Tensor:
    """One of the K items [B, K, N] of each episode, by its number [B]: [B, N]."""
    return items[torch.arange(len(items), dtype=torch.int64, device=items.device), which]


def distinct_codes(batch_size: int, count: int, bits: int, generator: torch.Generator) -> Tensor:
    """Random +1 and -1, [B, K, bits]: K rows an episode, no two of them equal, uniform over such sets.

    Args:
        count: K, at most 2**bits.
    """
    if bits < 63 and 2**bits <= 16 * count:  # few are left over: deal from the shuffled deck of all codes
        deck = uniform(batch_size, 2**bits, generator=generator).argsort(dim=1)[:, :count]
        places = torch.arange(bits, dtype=torch.int64, device=deck.device)
        return signs(deck[:, :, None] >> places & 1)
    codes = signs(integers(2, batch_size, count, bits, generator=generator))
    while True:
        # The inner product of two codes is `bits` only if they are equal. Dealing again every code that
        # equals an earlier one leaves the rest as they are, so the sets stay uniform.
        twice = ((codes @ codes.mT).tril(-1) == bits).any(-1)
        if not twice.any():
            return codes
        codes[twice] = signs(integers(2, int(twice.sum()), bits, generator=generator))


def shown_in_turn(
    items: Tensor,
    cue: Tensor,
    presentations: int,
    show_steps: int,
    pause_steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Inputs [T, B, N] that show K items an episode, in a new random order each round, and last the cue.

    T = presentations * K * (show_steps + pause_steps) + show_steps.

    Args:
        items: [B, K, N]. cue: [B, N]. presentations: rounds. show_steps: of an item, and of the cue.
        pause_steps: zeros after each item.
    """
    B, K, N = items.shape
    pause = items.new_zeros(pause_steps, B, N)
    parts = []
    for _ in range(presentations):
        for shown in uniform(K, B, generator=generator).argsort(0).to(items.device):
            parts += [chosen(items, shown).expand(show_steps, B, N), pause]
    return torch.cat([*parts, cue.expand(show_steps, B, N)])


def asked_last(inputs: Tensor, answer: Tensor, counts: Tensor, device: torch.device) -> Batch:
    """The batch that wants `answer` [B, N] at the last step, where `counts` [B, N] is True."""
    targets, mask = torch.zeros_like(inputs), torch.zeros_like(inputs, dtype=torch.bool)
    targets[-1], mask[-1] = answer, counts
    return Batch(inputs.to(device), targets.to(device), mask.to(device))


class Patterns:
    """Memorise binary patterns, then complete one of them from a part. [2018, sec. 4.1]

    Description:
        In each episode K new patterns of N bits are shown, one after the other, with a pause after each. The
        round is repeated, each time in a new random order. Then a part of one pattern is shown, the cue, and
        the network must fill in what is missing. No two patterns of an episode agree on the bits that the
        cue shows, so the answer is always there to be remembered; and the missing bits are independent of
        the shown ones, so it can only be remembered.

    Observation:
        Inputs [T, B, N]: the bits as +1 and -1, 0 in a pause and for a missing bit.
        T = presentations * K * (show_steps + pause_steps) + show_steps.

    Targets:
        [T, B, N]: the whole pattern, during the last step. What counts is the missing bits; with noise, when
        no shown bit is certain either, every bit. Who knows nothing does best with 0 and has a mean
        squared error of 1; who guesses has half the bits right.

    Configuration:
        pattern_size: N, at least 2. num_patterns: K, at least 1. batch_size: B, at least 1.
        presentations: rounds, at least 1. show_steps, at least 1. pause_steps, at least 0.
        missing: share of the bits that the cue leaves out, above 0 and below 1; with noise also 0. Which
        ones is drawn anew for each episode. The number is rounded, to at least 1 missing and 1 shown.
        noise: probability that a bit which the cue shows is turned round, 0 to 0.5.
        generator: source of all noise, a fresh unseeded one if None. device: of what `sample` returns.

        [2018] has pattern_size 1000, num_patterns 5, presentations 2, show_steps 10, pause_steps 3 and
        missing 0.5. There each input bit fixes the output of one neuron; in a `bpa.Network` it reaches all
        neurons through i2h.

    Raises:
        ValueError: a setting is out of range, or there are more patterns than the shown bits can tell apart.
    """

    def __init__(
        self,
        pattern_size: int = 50,
        num_patterns: int = 3,
        batch_size: int = 30,
        presentations: int = 2,
        show_steps: int = 3,
        pause_steps: int = 1,
        missing: float = 0.5,
        noise: float = 0.0,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ):
        self.pattern_size = pattern_size = require_integer("pattern_size", pattern_size, low=2)
        self.num_patterns = num_patterns = require_integer("num_patterns", num_patterns, low=1)
        self.batch_size = require_integer("batch_size", batch_size, low=1)
        self.presentations = presentations = require_integer("presentations", presentations, low=1)
        self.show_steps = show_steps = require_integer("show_steps", show_steps, low=1)
        self.pause_steps = pause_steps = require_integer("pause_steps", pause_steps, low=0)
        self.noise = noise = require_number("noise", noise, low=0, high=0.5)
        self.missing = missing = require_number("missing", missing, low=0, above=noise == 0, high=1)
        if missing == 1:
            raise ValueError("missing must be below 1, got 1: a cue that shows nothing asks for nothing")
        self.num_missing = 0
        if missing > 0:
            self.num_missing = min(max(round(missing * pattern_size), 1), pattern_size - 1)
        num_shown = pattern_size - self.num_missing
        if num_shown < 63 and num_patterns > 2**num_shown:  # beyond, no number of patterns is too large
            raise ValueError(
                f"num_patterns must be at most {2**num_shown}, as many as the {num_shown} bits that a cue "
                f"shows can tell apart, got {num_patterns}"
            )
        self.generator = given_or_fresh(generator)
        self.device = require_device("device", device)
        self.input_size = self.output_size = pattern_size
        self.episode_length = presentations * num_patterns * (show_steps + pause_steps) + show_steps

    def sample(self) -> Batch:
        """B new episodes."""
        B, K, N = self.batch_size, self.num_patterns, self.pattern_size
        is_missing = uniform(B, N, generator=self.generator).argsort(1) < self.num_missing
        patterns = signs(integers(2, B, K, N, generator=self.generator))
        codes = distinct_codes(B, K, N - self.num_missing, self.generator)
        patterns[~is_missing[:, None].expand(B, K, N)] = codes.flatten()

        asked = chosen(patterns, integers(K, B, generator=self.generator))
        turned = uniform(B, N, generator=self.generator) < self.noise
        cue = torch.where(turned, -asked, asked).masked_fill(is_missing, 0)
        inputs = shown_in_turn(
            patterns, cue, self.presentations, self.show_steps, self.pause_steps, self.generator
        )
        return asked_last(inputs, asked, is_missing | (self.noise > 0), self.device)
