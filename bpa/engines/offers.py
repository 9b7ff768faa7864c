"""How networks and environments answer when a fast engine asks what they are: with an offer, or a reason.

A network has `kernel_cell()`, an environment `kernel_view(noise)`. Each returns what compiled loops need, or
as text why no loop may stand for it. An engine knows no class of either, and what has no such method runs
eagerly.
"""

from __future__ import annotations

from typing import TypeVar

Offer = TypeVar("Offer")


def reason_of_class(thing: object, known: type) -> str | None:
    """Why loops made for `known` may not stand for the methods of `thing`; None if they may.

    A subclass may have changed any of them, and so may a function that was put into `thing` itself.
    """
    if type(thing) is not known:
        return f"its loops know bpa.{known.__name__} alone, not {type(thing).__name__}"
    for name in vars(thing):
        if callable(getattr(known, name, None)):
            return f"its loops know {known.__name__}.{name} alone, and this one has another"
    return None


def accepted(offer: Offer | str) -> Offer:
    """`offer`, if it is no reason against it.

    Raises:
        ValueError: it is one.
    """
    if isinstance(offer, str):
        raise ValueError(offer)
    return offer
