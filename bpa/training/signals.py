"""Being stopped from outside without being torn: Ctrl-C and a polite kill wait for the end of a step."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def deferred_signals(then: Callable[[], object] | None = None) -> Iterator[list[int]]:
    """Within, SIGINT and SIGTERM are only noted in the list that this gives; a second one interrupts at once.

    `then` is called at the first one.

    Signals reach the main thread alone. In another thread nothing is changed and the list stays empty.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        if len(noted) > 1:
            raise KeyboardInterrupt
        if then is not None:
            then()

    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextlib.contextmanager
def children_without_interrupts() -> Iterator[None]:
    """Processes that are started within ignore SIGINT from their first moment, as this one does meanwhile.

    Ctrl-C in a terminal reaches a command and all its processes; then only the command hears it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
