"""Refusing bad input at the door: every error names the argument, what came and what is allowed.

What is let in is returned plain, as Python's own int, float, bool or str, whatever kind of number came:
NumPy's, or a tensor without dimensions. Callers keep what is returned, so that it can be written as JSON.
"""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

LARGEST = 3.4028234663852886e38  # number of float32
MOST_SHOWN = 200  # characters of a value in a message


def shown(value: Any) -> str:
    """What came, for a message: one line of no more than MOST_SHOWN characters, whatever it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # a whole number of thousands of digits, or a class whose repr fails
        text = f"a value of type {type(value).__name__} that cannot be printed"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def plain(value: Any) -> Any:
    """`value` as Python's own int, float, bool or str if it is a scalar of any kind; all else as it is.

    Scalars are what has `__index__`, the real numbers of Python and NumPy, and arrays and tensors without
    dimensions. A tensor with dimensions is none, not even one with a single number in it.
    """
    if isinstance(value, torch.Tensor | np.ndarray) and (value.ndim or getattr(value, "is_meta", False)):
        return value
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        value = value.item()
    if isinstance(value, str):
        return str.__str__(value)  # of a subclass, such as a member of an enumeration, the text itself
    if isinstance(value, bool):
        return value
    try:
        return operator.index(value)
    except TypeError:
        pass
    try:
        return float(value) if isinstance(value, numbers.Real) else value
    except OverflowError:
        return value


def require_integer(name: str, value: Any, *, low: int, high: int | None = None) -> int:
    """Return `value` as an int if it is a whole number in [low, high]; raise ValueError otherwise."""
    allowed = f"a whole number of at least {low}" if high is None else f"a whole number from {low} to {high}"
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    if number < low or (high is not None and number > high):
        raise ValueError(f"{name} must be {allowed}, got {shown(number)}")
    return number


def require_number(
    name: str, value: Any, *, low: float, high: float = math.inf, above: bool = False, infinite: bool = False
) -> float:
    """Return `value` as a float in [low, high], or in (low, high] with `above`; raise ValueError otherwise.

    What float32 cannot hold is refused: networks and environments would compute with infinity in its place.
    Infinity is refused unless `infinite` says that it has a meaning here; NaN is always refused.
    """
    start = f"above {low:g}" if above else f"of at least {low:g}"
    end = "" if high == math.inf else f" and at most {high:g}"
    allowed = f"a {'' if infinite else 'finite '}number {start}{end}"
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    inside = (number > low if above else number >= low) and number <= high
    if not inside or (number == math.inf and not infinite):
        raise ValueError(f"{name} must be {allowed}, got {shown(number)}")
    if number != math.inf and number > LARGEST:
        raise ValueError(
            f"{name} must be {allowed}, no more than the {LARGEST:g} that float32 holds, got {shown(number)}"
        )
    return float(number)


def require_choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """Return `value` as a str if it is one of `allowed`; raise ValueError otherwise."""
    chosen = plain(value)
    if not isinstance(chosen, str) or chosen not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {shown(value)}")
    return chosen


def require_flag(name: str, value: Any) -> bool:
    """Return `value` as a bool if it is True or False, NumPy's too; raise ValueError otherwise."""
    flag = plain(value)
    if not isinstance(flag, bool):
        raise ValueError(f"{name} must be True or False, got {shown(value)}")
    return flag


def require_path(name: str, value: Any, allowed: str = "a path, as text or pathlib.Path") -> str:
    """Return `value` as a str if it is the path of a file or folder; raise ValueError otherwise.

    A "~" in front is the home folder, as in a shell, which leaves it to us in `--out=~/runs` or in a file.
    """
    path = os.fspath(value) if isinstance(value, os.PathLike) else plain(value)
    if not isinstance(path, str) or not path or "\0" in path or not is_encodable(path):
        raise ValueError(f"{name} must be {allowed}, got {shown(value)}")
    path = os.path.expanduser(path)
    if path == "~" or path.startswith(("~/", f"~{os.sep}")):
        raise ValueError(
            f"{name} must be a path without '~' where nobody's home is known, got {shown(value)}"
        )
    return path


def require_new_file(name: str, value: Any, suffixes: Sequence[str]) -> Path:
    """Return the path of a file that can be made: of a known kind, not there yet, in a folder that is.

    Raises:
        ValueError: it ends in none of `suffixes`, something has its name, or its folder is not there.
    """
    file = Path(require_path(name, value))
    if file.suffix.lower() not in suffixes:
        *others, last = suffixes
        known = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"{name} must end in {known}, got {file}")
    if os.path.lexists(file):
        raise ValueError(f"{name} {file} exists and is never overwritten")
    if not file.parent.is_dir():
        raise ValueError(f"{name} {file} must be in a folder that exists")
    return file


def require_new_folder(name: str, value: Any) -> Path:
    """Return the path of a folder that can be made: not there yet, in a folder that is.

    Raises:
        ValueError: something has its name, or its folder is not there.
    """
    folder = Path(require_path(name, value))
    if os.path.lexists(folder):
        raise ValueError(f"{name} {folder} exists and is never overwritten")
    if not folder.parent.is_dir():
        raise ValueError(f"{name} {folder} must be in a folder that exists")
    return folder


def is_encodable(path: str) -> bool:
    """Whether the file system can be asked for `path` at all; a lone half of a character is no text."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def require_device(name: str, value: Any) -> torch.device:
    """Return `value` as a device that is here, the CPU if None; raise ValueError otherwise."""
    try:
        device = torch.device("cpu" if value is None else value)
    except (RuntimeError, TypeError):
        raise ValueError(f"{name} must name a device, such as 'cpu' or 'cuda', got {shown(value)}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"{name} must be 'cpu' on this machine without CUDA, got {shown(value)}")
    return device


def require_generator(name: str, value: Any) -> torch.Generator:
    """Return `value` if it is a generator of PyTorch's; raise ValueError otherwise."""
    if not isinstance(value, torch.Generator):
        raise ValueError(f"{name} must be a torch.Generator or None, got {shown(value)}")
    return value


def require_shape(
    name: str, value: Any, shape: tuple[int | str, ...], *, like: torch.Tensor | None = None
) -> None:
    """Raise ValueError unless `value` is a tensor of `shape`; a letter stands for any length of at least 1.

    With `like`, the dtype and the device must be those of `like` too.
    """
    letters = f"[{', '.join(map(str, shape))}]"
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} must be a tensor of shape {letters}, got {type(value).__name__}")
    if value.layout != torch.strided:
        raise ValueError(f"{name} must be a dense tensor of shape {letters}, got {value.layout}")
    fits = value.dim() == len(shape) and all(
        isinstance(want, str) or want == got for want, got in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} must have shape {letters}, got {list(value.shape)}")
    for want, got in zip(shape, value.shape, strict=True):
        if isinstance(want, str) and got == 0:
            raise ValueError(
                f"{name} must have shape {letters} with {want} at least 1, got {list(value.shape)}"
            )
    if like is not None and (value.dtype != like.dtype or value.device != like.device):
        raise ValueError(f"{name} must be {like.dtype} on {like.device}, got {value.dtype} on {value.device}")


def require_classes(
    name: str, value: Any, shape: tuple[int | str, ...], count: int, *, like: torch.Tensor | None = None
) -> None:
    """Raise ValueError unless `value` is int64 of `shape`, every one from 0 to count - 1, where `like` is."""
    require_shape(name, value, shape)
    allowed = f"{name} must be int64 from 0 to {count - 1}"
    if value.dtype != torch.int64:
        raise ValueError(f"{allowed}, got {value.dtype}")
    if like is not None and value.device != like.device:
        raise ValueError(f"{allowed} on {like.device}, got some on {value.device}")
    lowest, highest = value.min().item(), value.max().item()
    if lowest < 0 or highest >= count:
        raise ValueError(f"{allowed}, got {lowest if lowest < 0 else highest}")


def real_numbers(name: str, value: torch.Tensor) -> torch.Tensor:
    """`value` if it holds floating point numbers; whole numbers and truth values become float32.

    Raises:
        ValueError: the numbers are complex.
    """
    if value.is_complex():
        raise ValueError(f"{name} must be real numbers, got {value.dtype}")
    return value if value.is_floating_point() else value.to(torch.float32)


def require_begun(environment: Any, asked: str) -> None:
    """Raise RuntimeError before the first reset of `environment`, where there is no episode to ask about."""
    if not hasattr(environment, "previous_action"):
        raise RuntimeError(f"no episode has begun: call reset() before {asked}")


class Stated(Protocol):
    """What has tensors by name, as every `torch.nn.Module`."""

    def state_dict(self) -> dict[str, Any]:
        """All tensors by name."""


def require_finite_weights(net: Stated) -> None:
    """Raise ValueError if a parameter of `net` holds numbers that are not finite: which, and how many."""
    for name, tensor in net.state_dict().items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            raise ValueError(
                f"weights must be finite, got {bad} of {tensor.numel()} numbers in {name!r} that are not"
            )


def require_finite_outputs(outputs: torch.Tensor) -> None:
    """Raise ValueError if a network of finite weights gave outputs that are not finite."""
    bad = int((~torch.isfinite(outputs)).sum())
    if bad:
        raise ValueError(f"weights must give finite outputs, got {bad} of {outputs.numel()} that are not")


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
