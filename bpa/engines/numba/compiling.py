"""Compiling the loops, and keeping what was compiled on disk."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from tqdm import tqdm

LOOPS = Path(__file__).parent


@functools.cache
def stamp() -> tuple[tuple[str, float, int], ...]:
    """Name, time and size of every source file of which something may be compiled into a loop.

    A compiled loop holds what it calls from other files, and Numba asks for changes of its own file alone.
    """
    files = sorted([*LOOPS.glob("*.py"), *LOOPS.parent.glob("*.py")])
    return tuple((str(file), file.stat().st_mtime, file.stat().st_size) for file in files)


class Cache(FunctionCache):
    """Numba's cache of one function, which never ends a run: what cannot be read or kept is compiled anew."""

    def __init__(self, function: Callable[..., Any]):
        super().__init__(function)
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As Numba's, and None where the files are damaged or cannot be read."""
        try:
            kept = super().load_overload(sig, target_context)
        except Exception as error:  # a damaged pickle raises anything
            warn_uncached(f"{type(error).__name__}: {error}", self.cache_path)
            kept = None
        if kept is None:
            say_compiling()
        return kept

    def save_overload(self, sig: Any, data: Any) -> None:
        """As Numba's, and nothing where there is no room or no right to write."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # a full disk, a folder that is a file; a damaged index is read here too
            warn_uncached(f"{type(error).__name__}: {error}", self.cache_path)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile `function` at its first call, without the interpreter's lock, and keep the result on disk.

    "contract" lets a product and a sum become one instruction. The flags that would let the compiler forget
    NaN and infinity, or take a sum in another order, are left off.
    """
    dispatcher: Any = numba.njit(function, nogil=True, fastmath={"contract"}, error_model="numpy")
    try:
        cache = Cache(function)
    except Exception as error:  # no folder that Numba may write to
        warn_uncached(f"{type(error).__name__}: {error}")
    else:
        dispatcher._cache = cache  # as dispatcher.enable_caching does
    return dispatcher


@functools.cache
def say_compiling() -> None:
    """Say once why the first call takes long: on a terminal, or in the log, of which a page shows nothing."""
    text = "Numba compiles the loops now: about ten seconds until an agent acts, ten more until it learns"
    if sys.stderr and not sys.stderr.closed and sys.stderr.isatty():
        tqdm.write(text, file=sys.stderr)  # which leaves a bar that is shown as it is
    else:
        logging.getLogger("bpa").info(text)


SAID: list[str] = []  # the warnings given


def warn_uncached(reason: str, folder: str | None = None) -> None:
    """Say once that every process will compile anew."""
    if not SAID:
        place = "has no folder for its cache" if folder is None else f"cannot use its cache in {folder}"
        SAID.append(
            f"Numba {place} ({reason}), so every process compiles anew; "
            "NUMBA_CACHE_DIR can name another folder"
        )
        logging.getLogger("bpa").warning(SAID[0])
