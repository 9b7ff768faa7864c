"""How an exercise is checked: the reader's function against the definition, on fresh random inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class NotYet(AssertionError):
    """An answer that is not right yet. The message says what differs and names the likely slip."""


class Slip(NamedTuple):
    """A typical wrong answer, and what to say to whoever gives it."""

    hint: str
    function: Callable[..., Any]


def as_tensors(value: Any) -> list[Tensor]:
    """What a function returned, as a flat list of float64 tensors; ValueError if it is something else."""
    if isinstance(value, tuple | list):
        return [tensor for part in value for tensor in as_tensors(part)]
    try:
        return [torch.as_tensor(value, dtype=torch.float64, device="cpu").detach()]
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"expected numbers or tensors, got {type(value).__name__}") from None


def fresh(case: Sequence[Any]) -> list[Any]:
    """A copy of the arguments, so that a function that writes into them harms nobody."""
    return [argument.clone() if isinstance(argument, Tensor) else argument for argument in case]


def same(got: Any, expected: Any, tolerance: float) -> bool:
    """Whether both are the same numbers in the same shapes, to `tolerance` relative and absolute."""
    got, expected = as_tensors(got), as_tensors(expected)
    return len(got) == len(expected) and all(
        mine.shape == right.shape and torch.allclose(mine, right, rtol=tolerance, atol=tolerance)
        for mine, right in zip(got, expected, strict=True)
    )


def difference(got: Any, expected: Any) -> str:
    """One sentence on how `got` differs from `expected`."""
    mine, right = as_tensors(got), as_tensors(expected)
    if len(mine) != len(right):
        return f"It returns {len(mine)} results where {len(right)} are wanted."
    for number, (one, other) in enumerate(zip(mine, right, strict=True), start=1):
        which = "" if len(mine) == 1 else f"Result {number}: "
        if one.shape != other.shape:
            return f"{which}Its shape is {list(one.shape)}, it should be {list(other.shape)}."
        if not one.isfinite().all() and other.isfinite().all():
            return f"{which}It holds numbers that are not finite."
    gaps = [
        (one - other).abs().max().item() if one.numel() else 0.0
        for one, other in zip(mine, right, strict=True)
    ]
    worst = max(range(len(gaps)), key=gaps.__getitem__)
    which = "" if len(mine) == 1 else f"Result {worst + 1}: "
    return f"{which}The largest difference from the definition is {gaps[worst]:.3g}."


def check_answer(
    name: str,
    answer: Callable[..., Any],
    definition: Callable[..., Any],
    cases: Sequence[Sequence[Any]],
    slips: Sequence[Slip] = (),
    tolerance: float = 1e-5,
) -> None:
    """Compare `answer` with `definition` on every case; print a line if they agree.

    Args:
        name: what the exercise calls the function.
        answer: the reader's function.
        definition: the right one. It gets its own copy of the arguments.
        cases: argument lists, fresh random ones for every call of a check.
        slips: typical wrong answers. One that explains every case is named in the message.
        tolerance: relative and absolute, in float64 comparison.

    Raises:
        NotYet: the answer is not a function, fails, changes its arguments, or differs.
    """
    if not callable(answer):
        raise NotYet(f"{name} must be a function, got {type(answer).__name__}.")
    results = []
    for case in cases:
        arguments = fresh(case)
        try:
            got = answer(*arguments)
        except Exception as error:
            raise NotYet(f"{name} stopped with {type(error).__name__}: {error}") from error
        if got is None:
            raise NotYet(f"{name} returns nothing yet. Does it end with a return?")
        try:
            as_tensors(got)
        except ValueError as error:
            raise NotYet(f"{name}: {error}.") from None
        if not all(
            same(now, before, 0)
            for now, before in zip(arguments, case, strict=True)
            if isinstance(now, Tensor)
        ):
            raise NotYet(f"{name} changes its arguments. Return new tensors instead.")
        results.append((got, definition(*fresh(case))))
    if all(same(got, expected, tolerance) for got, expected in results):
        print(f"✓ {name}: right on {len(cases)} fresh inputs.")
        return
    for slip in slips:
        explained = [slip.function(*fresh(case)) for case in cases]
        if all(same(got, wrong, tolerance) for (got, _), wrong in zip(results, explained, strict=True)):
            raise NotYet(f"{name} is not right yet. {slip.hint}")
    got, expected = next((g, e) for g, e in results if not same(g, e, tolerance))
    raise NotYet(f"{name} is not right yet. {difference(got, expected)}")
