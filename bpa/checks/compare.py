"""How an exercise is checked: the reader's function against the definition, on fresh random inputs."""

from __future__ import annotations

import contextlib
import dis
import functools
import inspect
import itertools
import textwrap
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

WIDTH = 74  # characters that a page and a notebook show without scrolling
SMALL = 12  # numbers in an argument that a message can still show
IDLE = {"RESUME", "NOP", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "POP_TOP"}

DRAWS = 20  # of inputs, before those that leave two answers alike are taken as they are

Result = TypeVar("Result")
Check = TypeVar("Check", bound=Callable[..., Any])
redraw: ContextVar[bool] = ContextVar("redraw", default=False)


class NotYet(AssertionError):
    """An answer that is not right yet. The message says what differs and names the likely slip.

    Args:
        message: what the reader is told.
        slip: its sentence on the slip alone, the same for everybody who makes it; empty where none is known.
    """

    def __init__(self, message: str, slip: str = "") -> None:
        super().__init__(message)
        self.slip = slip

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message alone. Where in `bpa` it was raised helps nobody."""
        return [textwrap.fill(line, WIDTH) for line in str(self).splitlines()]


class Alike(Exception):
    """These inputs do not tell a slip from the definition, or from another slip: draw others."""


class Slip(NamedTuple):
    """A typical wrong answer, and what to say to whoever gives it."""

    hint: str
    function: Callable[..., Any]


class Exercise(NamedTuple):
    """What is marked."""

    name: str  # of the check, as in `checks.NAME`
    function: str  # what the reader's function is called
    points: int  # 1 for an easy exercise, 2 for a medium one, 3 for a hard or open one
    chapter: str  # two digits
    check: Callable[[Callable[..., Any]], Any]
    patience: float = 1.0  # how many times as long as others it may take to mark


EXERCISES: dict[str, Exercise] = {}  # by the name of the check, in the order of the book


def untouched(answer: object) -> bool:
    """Whether a function is a stub still: its body does nothing, not even by mistake.

    Known by the body, not by what it returns: a function that computes and forgets its `return` is no stub.
    """
    if not inspect.isfunction(answer) or answer.__name__ == "<lambda>":
        return False
    code = list(dis.get_instructions(answer))
    returned = [step.argval for step in code if step.opname in ("LOAD_CONST", "RETURN_CONST")]
    return {step.opname for step in code} <= IDLE and returned[-1:] == [None]


def exercise(
    check: Callable[[Callable[..., Any]], Result],
) -> Callable[[Callable[..., Any]], Result | None]:
    """Let a check say "not answered yet" of an untouched stub, so that a notebook runs to its end.

    Its inputs are random. Where they happen to make a typical slip right, or like another, it draws again.
    """

    @functools.wraps(check)
    def checked(answer: Callable[..., Any]) -> Result | None:
        if untouched(answer):
            print(
                f"{answer.__name__}: not answered yet.\n"
                "Put your answer in the place of the dots, run that cell, then this one."
            )
            return None
        for draw in range(1, DRAWS + 1):
            token = redraw.set(draw < DRAWS)
            try:
                return check(answer)
            except Alike:
                continue
            finally:
                redraw.reset(token)
        raise AssertionError("the last draw is taken as it is")

    return checked


def worth(points: int, function: str = "", patience: float = 1.0) -> Callable[[Check], Check]:
    """Say how many points an exercise gives, and what its function is called if not as its check is.

    `patience` is for a check that calls the function thousands of times.

    It stands above `@exercise` and puts the exercise on the list of those that can be marked.
    """

    def listed(check: Check) -> Check:
        chapter = check.__module__.rpartition("_")[2]
        EXERCISES[check.__name__] = Exercise(
            check.__name__, function or check.__name__, points, chapter, check, patience
        )
        return check

    return listed


def as_tensor(value: Any) -> Tensor:
    """A number, an array, a tensor or a list of them as one float64 tensor; ValueError if it is none."""
    if isinstance(value, tuple | list):
        parts = [as_tensor(part) for part in value]
        if any(part.shape != parts[0].shape for part in parts):
            raise ValueError("expected entries of one shape")
        return torch.stack(parts) if parts else torch.zeros(0, dtype=torch.float64, device="cpu")
    try:
        return torch.as_tensor(value, dtype=torch.float64, device="cpu").detach()
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"expected numbers or tensors, got {type(value).__name__}") from None


def as_tensors(value: Any, wanted: int | None = None) -> list[Tensor]:
    """What a function returned as one tensor a result, float64.

    Args:
        value: what came: a number, a tensor, an array, or a list or tuple of them.
        wanted: how many results there should be; None takes a list or tuple as several results. One result
            may come as a list of numbers or of tensors, which is then stacked.

    Raises:
        ValueError: it holds something that is no number.
    """
    if wanted == 1:
        with contextlib.suppress(ValueError):  # parts of several shapes are several results
            return [as_tensor(value)]
    return [as_tensor(part) for part in value] if isinstance(value, tuple | list) else [as_tensor(value)]


def fresh(case: Sequence[Any]) -> list[Any]:
    """A copy of the arguments, so that a function that writes into them harms nobody."""
    return [argument.clone() if isinstance(argument, Tensor) else argument for argument in case]


def close(got: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float) -> bool:
    """Whether both are the same numbers in the same shapes, to `tolerance` relative and absolute."""
    return len(got) == len(expected) and all(
        mine.shape == right.shape and torch.allclose(mine, right, rtol=tolerance, atol=tolerance)
        for mine, right in zip(got, expected, strict=True)
    )


def both(got: Any, expected: Any) -> tuple[list[Tensor], list[Tensor]]:
    """What an answer and a definition returned, as one tensor a result.

    Several results of one shape may come stacked, as one tensor or array. Where one number is wanted, an
    array that holds just one will do.
    """
    right = as_tensors(expected)
    mine = as_tensors(got, len(right))
    stacked = len(mine) == 1 < len(right) and mine[0].ndim > 0
    if stacked and [part.shape for part in mine[0]] == [part.shape for part in right]:
        mine = list(mine[0])
    if len(mine) == len(right):
        pairs = zip(mine, right, strict=True)
        mine = [one.reshape(()) if not other.ndim and one.numel() == 1 else one for one, other in pairs]
    return mine, right


def same(got: Any, expected: Any, tolerance: float) -> bool:
    """`close` for what an answer and a definition returned."""
    return close(*both(got, expected), tolerance)


def called(number: int, names: Sequence[str]) -> str:
    """One of several results in a message: "3", or "3 (dx)" where it has a name."""
    return f"{number} ({names[number - 1]})" if names else f"{number}"


def difference(got: Any, expected: Any, names: Sequence[str] = ()) -> str:
    """One sentence on how `got` differs from `expected`; `names` says what each result is."""
    mine, right = both(got, expected)
    if len(mine) != len(right):
        return (
            f"It returns {len(mine)} {'result' if len(mine) == 1 else 'results'} where {len(right)} "
            f"{'is' if len(right) == 1 else 'are'} wanted."
        )
    for number, (one, other) in enumerate(zip(mine, right, strict=True), start=1):
        which = "" if len(mine) == 1 else f"Result {called(number, names)}: "
        if one.shape != other.shape:
            if not other.ndim:
                return f"{which}One number is wanted, and its shape is {list(one.shape)}."
            return f"{which}Its shape is {list(one.shape)}, it should be {list(other.shape)}."
        if not one.isfinite().all() and other.isfinite().all():
            return f"{which}It holds numbers that are not finite."
    gaps = [
        (one - other).abs().max().item() if one.numel() else 0.0
        for one, other in zip(mine, right, strict=True)
    ]
    worst = max(range(len(gaps)), key=gaps.__getitem__)
    which = "" if len(mine) == 1 else f"Result {called(worst + 1, names)}: "
    return f"{which}The largest difference from the definition is {gaps[worst]:.3g}."


def right_already(results: Sequence[tuple[Any, Any]], tolerance: float, names: Sequence[str] = ()) -> str:
    """A sentence on which of several results are right in every case; empty where none is."""
    pairs = [both(got, expected) for got, expected in results]
    count = len(pairs[0][1])
    if any(len(mine) != count or len(right) != count for mine, right in pairs):
        return ""
    found = [
        called(place + 1, names)
        for place in range(count)
        if all(close([mine[place]], [right[place]], tolerance) for mine, right in pairs)
    ]
    if not found:
        return ""
    if len(found) == 1:
        return f" Result {found[0]} is right already."
    return f" Results {', '.join(found[:-1])} and {found[-1]} are right already."


def shifted(tensor: Tensor, steps: int) -> Tensor:
    """The entries moved along the first axis, the last one round to the front."""
    return tensor.roll(steps, 0) if tensor.ndim else tensor


# What goes wrong everywhere, as what would have to be done to the wanted result to get this one.
COMMON: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    ("The sign is turned round: a minus too many, or one too few.", lambda right: -right),
    (
        "Rows and columns are swapped: it is the right result, transposed.",
        lambda right: right.mT if right.ndim >= 2 else right,
    ),
    ("Everything stands one place too late.", lambda right: shifted(right, 1)),
    ("Everything stands one place too early.", lambda right: shifted(right, -1)),
    ("The order is the wrong way round.", lambda right: right.flip(0) if right.ndim else right),
    ("The first entry is missing.", lambda right: right[1:] if right.ndim else right),
    ("The last entry is missing.", lambda right: right[:-1] if right.ndim else right),
    (
        "The tanh is missing.",
        lambda right: right.atanh() if right.numel() and right.abs().max() < 1 else right,
    ),
    ("There is one tanh too many.", lambda right: right.tanh()),
)


def common_slip(results: Sequence[tuple[Any, Any]], tolerance: float) -> str:
    """The hint of `COMMON` that explains every result, or an empty text."""
    pairs = []
    for got, expected in results:
        mine, right = both(got, expected)
        if len(mine) != 1 or len(right) != 1:
            return ""
        pairs.append((mine, right))
    for hint, change in COMMON:
        changed = [(mine, [change(right[0])]) for mine, right in pairs]
        if all(close(mine, wrong, tolerance) for mine, wrong in changed):
            return hint
    return ""


def written(value: Any) -> str:
    """A value as a short text; empty where it is too large to read."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bool | int | str):
        return repr(value)
    if not isinstance(value, Tensor | np.ndarray | tuple | list | np.generic):
        return ""
    try:
        tensor = as_tensor(value)
    except ValueError:
        return ""
    if tensor.numel() > SMALL:
        return ""
    return str(np.array2string(tensor.numpy(), precision=3, suppress_small=True, separator=", "))


def below(label: str, text: str) -> str:
    """The text behind a label, the rows of a matrix one below the other."""
    return label + text.replace("\n", "\n" + " " * len(label))


def argument_names(answer: Callable[..., Any], count: int) -> list[str]:
    """The names that a function gives its arguments, as far as it says."""
    try:
        names = list(inspect.signature(answer).parameters)
    except (TypeError, ValueError):
        names = []
    return names if len(names) == count else [f"argument {place}" for place in range(1, count + 1)]


def example(answer: Callable[..., Any], case: Sequence[Any], got: Any, expected: Any) -> str:
    """Input, result and what was wanted of one small case; empty where they do not fit on a few lines.

    Of several results it shows those that differ.
    """
    mine, right = both(got, expected)
    given = [written(argument) for argument in case]
    if len(mine) != len(right) or not all(given):
        return ""
    lines = ["For example,"]
    lines += [
        below(f"  {name} = ", text)
        for name, text in zip(argument_names(answer, len(case)), given, strict=True)
    ]
    for number, (one, other) in enumerate(zip(mine, right, strict=True), start=1):
        if len(right) > 1 and close([one], [other], 1e-5):
            continue
        which = "" if len(right) == 1 else f"result {number}: "
        yours, wanted = written(one), written(other)
        if not yours or not wanted:
            return ""
        lines += [below(f"  {which}yours  ", yours), below(f"  {which}wanted ", wanted)]
        if one.shape == other.shape and one.ndim and not torch.allclose(one, other, rtol=1e-5, atol=1e-5):
            place = (~torch.isclose(one, other, rtol=1e-5, atol=1e-5)).nonzero()[0].tolist()
            lines.append(
                f"  They differ first at {place}: {one[tuple(place)]:.4g} in place of "
                f"{other[tuple(place)]:.4g}."
            )
    return "\n" + "\n".join(lines)


def told_inputs(answer: Callable[..., Any], case: Sequence[Any]) -> str:
    """As in " for steps = 3, copies = 2": the arguments of a case of plain numbers; empty for others."""
    if not all(isinstance(argument, bool | int | float | str) for argument in case):
        return ""
    given = zip(argument_names(answer, len(case)), case, strict=True)
    return " for " + ", ".join(f"{name} = {written(argument)}" for name, argument in given)


def size_of(case: Sequence[Any]) -> int:
    """How many numbers the arguments of a case hold."""
    return sum(argument.numel() for argument in case if isinstance(argument, Tensor))


def any_alike(answers: Sequence[Sequence[Any]], tolerance: float) -> bool:
    """Whether two of these answers, each given to every case, are the same everywhere."""
    return any(
        all(same(one, other, tolerance) for one, other in zip(*pair, strict=True))
        for pair in itertools.combinations(answers, 2)
    )


def check_answer(
    name: str,
    answer: Callable[..., Any],
    definition: Callable[..., Any],
    cases: Sequence[Sequence[Any]],
    slips: Sequence[Slip] = (),
    tolerance: float = 1e-5,
    names: Sequence[str] = (),
) -> None:
    """Compare `answer` with `definition` on every case; print a line if they agree.

    Args:
        name: what the exercise calls the function.
        answer: the reader's function.
        definition: the right one. It gets its own copy of the arguments.
        cases: argument lists, fresh random ones for every call of a check.
        slips: typical wrong answers. One that explains every case is named in the message.
        tolerance: relative and absolute, in float64 comparison.
        names: what each of several results is, for the messages.

    Raises:
        NotYet: the answer is not a function, fails, changes its arguments, or differs.
    """
    if not callable(answer):
        raise NotYet(f"{name} must be a function, got {type(answer).__name__}.")
    wanted = [definition(*fresh(case)) for case in cases]
    slipped = [[slip.function(*fresh(case)) for case in cases] for slip in slips]
    if redraw.get() and any_alike([wanted, *slipped], tolerance):
        raise Alike(name)
    results: list[tuple[Any, Any]] = []
    for case, expected in zip(cases, wanted, strict=True):
        arguments = fresh(case)
        try:
            got = answer(*arguments)
        except NotYet:  # from a check that looks at the result first
            raise
        except Exception as error:
            raise NotYet(f"{name} stopped with {type(error).__name__}: {error}") from error
        if got is None:
            way = "Does every way through it end with a return?" if results else "Does it end with a return?"
            told = told_inputs(answer, case) or " yet"
            raise NotYet(f"{name} returns nothing{told}. {way}", "It returns nothing.")
        try:
            as_tensors(got, len(as_tensors(expected)))
        except ValueError as error:
            raise NotYet(f"{name}: {error}.") from None
        if not all(
            same(now, before, 0)
            for now, before in zip(arguments, case, strict=True)
            if isinstance(now, Tensor)
        ):
            raise NotYet(
                f"{name} changes its arguments. Return new tensors instead.", "It changes its arguments."
            )
        results.append((got, expected))
    if all(same(got, expected, tolerance) for got, expected in results):
        print(f"✓ {name}: right on {len(cases)} fresh inputs.")
        return
    wrong = [place for place, (got, expected) in enumerate(results) if not same(got, expected, tolerance)]
    smallest = min(wrong, key=lambda place: size_of(cases[place]))
    shown = example(answer, cases[smallest], *results[smallest])
    for slip, explained in zip(slips, slipped, strict=True):
        if all(
            same(got, wrong_one, tolerance) for (got, _), wrong_one in zip(results, explained, strict=True)
        ):
            raise NotYet(f"{name} is not right yet. {slip.hint}{shown}", slip.hint)
    hint = common_slip(results, tolerance)
    told = difference(*results[wrong[0]], names) + right_already(results, tolerance, names)
    raise NotYet(f"{name} is not right yet. {hint}{' ' if hint else ''}{told}{shown}", hint)
