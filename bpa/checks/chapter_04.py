"""Checks of the exercises in chapter 4, "Real images"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bpa.checks.compare import Slip, check_answer, exercise, worth
from bpa.noise import fresh_generator


def halved(pictures: Tensor, half: str, more: int = 0) -> Tensor:
    """Pictures [B, S, S], S even, with one half set to 0, or so many rows or columns more than that.

    half is "top", "bottom", "left" or "right".
    """
    turns = {"top": 0, "right": 1, "bottom": 2, "left": 3}[half]  # quarter turns that bring it to the top
    turned = torch.rot90(pictures, turns, (1, 2)).clone()
    turned[:, : pictures.shape[1] // 2 + more] = 0
    return torch.rot90(turned, -turns, (1, 2))


def nearest_shown(shown: Tensor, cue: Tensor, hidden: Tensor) -> Tensor:
    """For each episode the shown picture that differs least from the cue where the cue is not hidden.

    shown [K, B, N], cue [B, N], hidden bool [B, N] -> [B, N].
    """
    gaps = ((shown - cue) * ~hidden).square().sum(-1)  # [K, B]
    return shown[gaps.argmin(0), torch.arange(shown.shape[1])]


def ridge_weights(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """W [n, m] that makes |x W - y|^2 + penalty |W|^2 least: x [R, n], y [R, m], by an augmented system."""
    n, m = x.shape[1], y.shape[1]
    rows = torch.cat([x.double(), penalty**0.5 * torch.eye(n, dtype=torch.float64)])
    return torch.linalg.lstsq(rows, torch.cat([y.double(), y.new_zeros(n, m).double()])).solution


@worth(1)
@exercise
def hide_half(answer: Callable[..., Any]) -> None:
    """Check `hide_half(pictures, half)`: [B, S, S] -> the same with that half 0.

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [
        (torch.randn(batch, size, size, generator=generator), half)
        for (batch, size), half in zip(
            ((4, 4), (1, 6), (3, 8), (4, 4)), ("top", "bottom", "left", "right"), strict=True
        )
    ]
    across = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}
    mirror = {"top": "left", "left": "top", "bottom": "right", "right": "bottom"}
    slips = [
        Slip(
            "You hide the other half: the one that is named should be 0.",
            lambda pictures, half: halved(pictures, across[half]),
        ),
        Slip(
            "Rows and columns are swapped: top and bottom are rows, left and right are columns.",
            lambda pictures, half: halved(pictures, mirror[half]),
        ),
        Slip(
            "Nothing is hidden: the pictures come back as they are.",
            lambda pictures, half: pictures,
        ),
        Slip(
            "One row or column too few is hidden: S // 2 of them are half.",
            lambda pictures, half: halved(pictures, half, more=-1),
        ),
        Slip(
            "One row or column too many is hidden: S // 2 of them are half.",
            lambda pictures, half: halved(pictures, half, more=1),
        ),
        Slip(
            "You return the half alone. The picture keeps its shape; its hidden half is 0.",
            lambda pictures, half: {
                "top": pictures[:, pictures.shape[1] // 2 :],
                "bottom": pictures[:, : pictures.shape[1] // 2],
                "left": pictures[:, :, pictures.shape[1] // 2 :],
                "right": pictures[:, :, : pictures.shape[1] // 2],
            }[half],
        ),
    ]
    check_answer("hide_half", answer, halved, cases, slips)


@worth(2)
@exercise
def nearest_picture(answer: Callable[..., Any]) -> None:
    """Check `nearest_picture(shown, cue, hidden)` -> the shown picture most like the cue, [B, N].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = []
    for count, batch, size in ((3, 40, 8), (2, 60, 6), (5, 30, 10)):
        # Of different size, so that the likest is not the one with the largest product; the hidden half is
        # anything but 0 in what was shown, so that it matters if it is compared.
        shown = torch.randn(count, batch, size, generator=generator)
        shown = shown * (0.3 + 2 * torch.rand(count, batch, 1, generator=generator))
        hidden = torch.rand(batch, size, generator=generator).argsort(1) < size // 2
        asked = shown[torch.randint(count, (batch,), generator=generator), torch.arange(batch)]
        blurred = asked + 0.1 * torch.randn(batch, size, generator=generator)
        cases.append((shown, blurred.masked_fill(hidden, 0), hidden))
    slips = [
        Slip(
            "You compare the hidden half too, where the cue is 0. Leave it out.",
            lambda shown, cue, hidden: nearest_shown(shown, cue, torch.zeros_like(hidden)),
        ),
        Slip(
            "The mask is the wrong way round: hidden is True where the cue hides a pixel.",
            lambda shown, cue, hidden: nearest_shown(shown, cue, ~hidden),
        ),
        Slip(
            "That is the picture least like the cue.",
            lambda shown, cue, hidden: shown[
                ((shown - cue) * ~hidden).square().sum(-1).argmax(0), torch.arange(shown.shape[1])
            ],
        ),
        Slip(
            "You return the cue with only its hidden half filled in. Return the shown picture itself.",
            lambda shown, cue, hidden: torch.where(hidden, nearest_shown(shown, cue, hidden), cue),
        ),
        Slip(
            "You return the number of the picture. Return the picture itself.",
            lambda shown, cue, hidden: ((shown - cue) * ~hidden).square().sum(-1).argmin(0),
        ),
        Slip(
            "You take the largest product with the cue, which favours large pictures. Compare differences.",
            lambda shown, cue, hidden: shown[
                (shown * cue * ~hidden).sum(-1).argmax(0), torch.arange(shown.shape[1])
            ],
        ),
        Slip(
            "You return the mean of what was shown. Choose one.",
            lambda shown, cue, hidden: shown.mean(0),
        ),
        Slip(
            "You add up the differences with their signs; they cancel. Square them first.",
            lambda shown, cue, hidden: shown[
                ((shown - cue) * ~hidden).sum(-1).abs().argmin(0), torch.arange(shown.shape[1])
            ],
        ),
    ]
    check_answer("nearest_picture", answer, nearest_shown, cases, slips)


@worth(2)
@exercise
def ridge(answer: Callable[..., Any]) -> None:
    """Check `ridge(x, y, penalty)`: x [R, n], y [R, m] -> W [n, m].

    Raises:
        NotYet: the answer differs from the definition.
    """
    generator = fresh_generator()
    cases = [
        (
            torch.randn(rows, inputs, generator=generator, dtype=torch.float64),
            torch.randn(rows, outputs, generator=generator, dtype=torch.float64),
            penalty,
        )
        for rows, inputs, outputs, penalty in ((9, 4, 3, 0.5), (5, 5, 5, 2.0), (7, 6, 2, 1.0))
    ]

    def solved(x: Tensor, y: Tensor, penalty: float, less: float = 0.0) -> Tensor:
        inner = x.T @ x + penalty * torch.eye(x.shape[1], dtype=x.dtype)
        return torch.linalg.solve(inner + less, x.T @ y)

    slips = [
        Slip(
            "The penalty is missing. It is added to the diagonal of x^T x.",
            lambda x, y, penalty: torch.linalg.pinv(x) @ y,
        ),
        Slip(
            "You add the penalty to every entry of x^T x. It belongs to the diagonal alone.",
            lambda x, y, penalty: torch.linalg.pinv(x.T @ x + penalty) @ (x.T @ y),
        ),
        Slip(
            "The penalty is squared.",
            lambda x, y, penalty: solved(x, y, penalty**2),
        ),
        Slip(
            "The penalty has the wrong sign.",
            lambda x, y, penalty: solved(x, y, -penalty),
        ),
        Slip("You return the predictions x W. Return W.", lambda x, y, penalty: x @ solved(x, y, penalty)),
        Slip(
            "You take means over the rows of x. The sums are wanted: x^T x and x^T y as they are.",
            lambda x, y, penalty: solved(x, y, penalty * len(x)),
        ),
        Slip("W is transposed: [n, m], so that x W has the shape of y.", lambda *a: solved(*a).T),
    ]
    check_answer("ridge", answer, ridge_weights, cases, slips)
