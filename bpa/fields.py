"""What the fields of a dataclass may hold, stated once, in their metadata.

The check of the dataclass, the command line's help and the documentation all read it there. Fields whose type
is bool or Literal need no more than that type.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from bpa.arguments import plain, require_choice, require_flag, require_integer, require_number, shown

T = TypeVar("T")


def digits(number: int) -> str:
    """A whole number as one may write it in Python, TOML and on the command line: 1000, 10_000."""
    return str(number) if abs(number) < 10_000 else f"{number:_}"


class Whole(NamedTuple):
    """Whole numbers from `least` to `most`.

    Beyond `limit` a slip of the finger is likelier than a wish, and no machine could hold or end the run.
    """

    least: int
    most: int | None = None
    limit: int | None = None
    odd: bool = False

    def check(self, name: str, value: Any) -> int:
        """`value` as an int if it is one of these numbers; raise ValueError otherwise."""
        number = plain(value)
        if self.limit is not None and isinstance(number, int) and number > self.limit:
            raise ValueError(f"{name} must be at most {self.limit}, got {shown(number)}")
        number = require_integer(name, value, low=self.least, high=self.most)
        if self.odd and number % 2 == 0:
            raise ValueError(f"{name} must be an odd number of at least {self.least}, got {number}")
        return number

    def __str__(self) -> str:
        """Such as "odd, 5 to 1001"."""
        highest = self.limit if self.most is None else self.most
        numbers = f"at least {digits(self.least)}"
        if highest is not None:
            numbers = f"{digits(self.least)} to {digits(highest)}"
        return f"odd, {numbers}" if self.odd else numbers


class Real(NamedTuple):
    """Finite numbers from `least` to `most`; with `above` or `below` the bound itself is none of them."""

    least: float = 0.0
    most: float = math.inf
    above: bool = False
    below: bool = False

    def check(self, name: str, value: Any) -> float:
        """`value` as a float if it is one of these numbers; raise ValueError otherwise."""
        number = require_number(name, value, low=self.least, high=self.most, above=self.above)
        if self.below and number == self.most:
            raise ValueError(f"{name} must be below {self.most:g}, got {shown(number)}")
        return number

    def __str__(self) -> str:
        """Such as "above 0, at most 1"."""
        if not (self.above or self.below or self.most == math.inf):
            return f"{self.least:g} to {self.most:g}"
        low = f"{'above' if self.above else 'at least'} {self.least:g}"
        return (
            low if self.most == math.inf else f"{low}, {'below' if self.below else 'at most'} {self.most:g}"
        )


def ranged(default: T, numbers: Whole | Real) -> T:
    """A field with this default that holds such a number; or several, or None, where the default does."""
    return dataclasses.field(default=default, metadata={"range": numbers})


def ranges(kind: type) -> dict[str, Whole | Real]:
    """The range of each field of a dataclass that has one."""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return {field.name: field.metadata["range"] for field in fields if "range" in field.metadata}


@functools.cache
def types(kind: type) -> dict[str, Any]:
    """The type of each field of a dataclass."""
    return get_type_hints(kind)


def check_fields(thing: Any, prefix: str = "") -> None:
    """Check every field of a dataclass, and store plain numbers and text, whatever kind they came as.

    Args:
        thing: the instance, which may be frozen. prefix: in front of each name in a message.

    Raises:
        ValueError: a field is out of range; the message names it, what came and what is allowed.
    """
    for field in dataclasses.fields(thing):
        name, value, numbers = prefix + field.name, getattr(thing, field.name), field.metadata.get("range")
        kind = types(thing.__class__)[field.name]
        if numbers is not None and isinstance(value, tuple) and isinstance(field.default, tuple):
            value = tuple(numbers.check(name, each) for each in value)
        elif numbers is not None and not (value is None and field.default is None):
            value = numbers.check(name, value)
        elif get_origin(kind) is Literal:
            value = require_choice(name, value, get_args(kind))
        elif kind is bool:
            value = require_flag(name, value)
        object.__setattr__(thing, field.name, plain(value))
