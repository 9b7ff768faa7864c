"""Who computes in how many threads."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import torch

THREADS_BEFORE: ContextVar[int | None] = ContextVar("THREADS_BEFORE", default=None)


def loop_threads() -> int:
    """Threads for the loops of an engine: those that PyTorch has, or had before `one_torch_thread`."""
    return THREADS_BEFORE.get() or torch.get_num_threads()


@functools.cache
def helpers(count: int) -> ThreadPoolExecutor:
    """`count` threads that wait for work, always the same: to start them anew would take a while."""
    return ThreadPoolExecutor(count, thread_name_prefix="bpa")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=helpers.cache_clear)  # threads are not in a process's copy


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
