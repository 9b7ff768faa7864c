"""Refusing bad input at the door: every error names the argument, what came and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import torch


def require_integer(name: str, value: Any, *, low: int, high: int | None = None) -> int:
    """Return `value` if it is a whole number in [low, high]; raise ValueError otherwise."""
    allowed = f"a whole number of at least {low}" if high is None else f"a whole number from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    if value < low or (high is not None and value > high):
        raise ValueError(f"{name} must be {allowed}, got {value}")
    return value


def require_number(
    name: str, value: Any, *, low: float, high: float = math.inf, above: bool = False, infinite: bool = False
) -> float:
    """Return `value` as a float in [low, high], or in (low, high] with `above`; raise ValueError otherwise.

    Infinity is refused unless `infinite` says that it has a meaning here; NaN is always refused.
    """
    start = f"above {low:g}" if above else f"of at least {low:g}"
    end = "" if high == math.inf else f" and at most {high:g}"
    allowed = f"a {'' if infinite else 'finite '}number {start}{end}"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    inside = (value > low if above else value >= low) and value <= high
    if not inside or (math.isinf(value) and not infinite):
        raise ValueError(f"{name} must be {allowed}, got {value}")
    return float(value)


def require_choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """Return `value` if it is one of `allowed`; raise ValueError otherwise."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value


def require_flag(name: str, value: Any) -> bool:
    """Return `value` if it is True or False; raise ValueError otherwise."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return value


def require_shape(
    name: str, value: Any, shape: tuple[int | str, ...], *, like: torch.Tensor | None = None
) -> None:
    """Raise ValueError unless `value` is a tensor of `shape`; a letter in `shape` stands for any length.

    With `like`, the dtype and the device must be those of `like` too.
    """
    letters = f"[{', '.join(map(str, shape))}]"
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} must be a tensor of shape {letters}, got {type(value).__name__}")
    fits = value.dim() == len(shape) and all(
        isinstance(want, str) or want == got for want, got in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must have shape {letters}, got {list(value.shape)}")
    if like is not None and (value.dtype != like.dtype or value.device != like.device):
        raise ValueError(f"{name} must be {like.dtype} on {like.device}, got {value.dtype} on {value.device}")


def require_uniform(name: str, value: Any, shape: tuple[int, ...], device: torch.device) -> None:
    """Raise ValueError unless `value` is float32 of `shape` on `device`, each number in [0, 1)."""
    require_shape(name, value, shape, like=torch.empty(0, dtype=torch.float32, device=device))
    require_range(name, value, low=0, below=1)


def require_range(name: str, value: torch.Tensor, *, low: float, below: float) -> None:
    """Raise ValueError unless every number of `value`, which has one at least, is in [low, below).

    The message names the first that is not, and where it lies. NaN is in no range.
    """
    least, most = torch.stack(torch.aminmax(value.detach())).tolist()
    if least >= low and most < below:  # of NaN neither is true
        return
    outside = ~((value >= low) & (value < below))
    place = outside.nonzero()[0]
    got = value[tuple(place)].item()
    raise ValueError(f"{name} must hold numbers in [{low}, {below}), got {got} at {place.tolist()}")


def require_actions(value: Any, batch_size: int, num_actions: int) -> None:
    """Raise ValueError unless `value` is int64 [B], every one from 0 to num_actions - 1."""
    require_shape("actions", value, (batch_size,))
    if value.dtype != torch.long or value.min() < 0 or value.max() >= num_actions:
        raise ValueError(
            f"actions must be int64 from 0 to {num_actions - 1}, got {value.dtype}: {value.tolist()}"
        )
