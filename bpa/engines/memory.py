"""Memory that an iteration frees and the next one takes again."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator

# What glibc's mallopt sets, by its numbers in malloc.h, within `memory_kept` and after it.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
WITHIN = {TRIM_THRESHOLD: 2**30, MMAP_MAX: 0}
AFTER = {TRIM_THRESHOLD: 2**17, MMAP_MAX: 2**16}  # what glibc begins with
USERS: set[object] = set()  # one for each `memory_kept` that is entered: malloc is the whole process's
LOCK = threading.Lock()


def set_malloc(options: dict[int, int]) -> None:
    """Set options of glibc's malloc; nothing where the C library is another one."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in options.items():
            mallopt(option, value)


@contextlib.contextmanager
def memory_kept() -> Iterator[None]:
    """Freed memory stays with the process, up to 1 GB at the end of its heap, large pieces too.

    Else glibc gives them back to the system, and each page of 4 KB that is taken again is a fault that the
    system answers with zeros: 8,900 in a training iteration of B = 60, T = 200, H = 100, and a fifth of its
    time.
    """
    me = object()
    with LOCK:
        USERS.add(me)
        set_malloc(WITHIN)
    try:
        yield
    finally:
        with LOCK:
            USERS.remove(me)
            if not USERS:
                set_malloc(AFTER)
