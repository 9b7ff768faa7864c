"""Who computes in how many threads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

import torch

THREADS_BEFORE: ContextVar[int | None] = ContextVar("THREADS_BEFORE", default=None)


def loop_threads() -> int:
    """Threads for the loops of an engine: those that PyTorch has, or had before `one_torch_thread`."""
    return THREADS_BEFORE.get() or torch.get_num_threads()


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def one_torch_thread() -> Iterator[None]:
    """PyTorch's own operations in one thread, the loops of an engine in as many as PyTorch had.

    Idle threads of PyTorch stay awake for a while after an operation, on the very cores that the loops want:
    with two of them a training iteration took 1.2 times as long (B = 30, T = 200, H = 100, on two cores).
    """
    threads = loop_threads()
    token = THREADS_BEFORE.set(threads)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        THREADS_BEFORE.reset(token)
