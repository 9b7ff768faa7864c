"""What is arranged around loops that run again and again: threads that wait, memory that is kept."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import time

import pytest
import torch

from bpa import GridMaze, Network, engines
from bpa.engines import memory, threads
from bpa.engines.numba import group_bounds, in_parallel
from bpa.maze import draw_noise
from bpa.training.rollout import rollout


def names_of(count):
    """The names of the threads in which the groups of a batch were run."""
    found = set()
    both = threading.Barrier(count)

    def loop(group, first, last):
        found.add(threading.current_thread().name)
        if group < count:  # so that no thread takes all groups
            both.wait(10)

    in_parallel(loop, group_bounds(32))
    return found


def test_the_same_threads_do_the_work_every_time():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        first, second = names_of(2), names_of(2)
    finally:
        torch.set_num_threads(before)
    assert first == second
    assert len(first) == 2
    assert threading.current_thread().name in first
    assert any(name.startswith("bpa") for name in first)


def test_what_fails_in_another_thread_is_raised():
    def loop(group, first, last):
        if threading.current_thread().name.startswith("bpa"):
            raise ZeroDivisionError("there")
        started.wait(10)

    started = threading.Event()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        threading.Timer(0.2, started.set).start()
        with pytest.raises(ZeroDivisionError, match="there"):
            in_parallel(loop, group_bounds(32))
    finally:
        torch.set_num_threads(before)


def test_whatever_fails_here_the_other_threads_are_waited_for():
    begun, failed, done = threading.Event(), threading.Event(), threading.Event()

    def loop(group, first, last):
        if not threading.current_thread().name.startswith("bpa"):
            begun.wait(10)
            failed.set()
            raise ZeroDivisionError("here")
        begun.set()
        failed.wait(10)
        time.sleep(0.2)
        done.set()

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(ZeroDivisionError, match="here"):
            in_parallel(loop, group_bounds(32))
    finally:
        torch.set_num_threads(before)
    assert done.is_set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_forked_process_has_threads_of_its_own():
    threads.helpers(1).submit(int).result()
    child = os.fork()
    if child == 0:  # a thread that is not there would be waited for without end
        done = threads.helpers(1).submit(lambda: 7)
        os._exit(done.result(timeout=10))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


PAGES = """
import ctypes, importlib.util, resource, sys

spec = importlib.util.spec_from_file_location("memory", sys.argv[1])
memory = importlib.util.module_from_spec(spec)
spec.loader.exec_module(memory)
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
size = 2**26  # more than glibc ever keeps by itself


def pages():
    \"\"\"How many pages the system is asked for, in four times of taking, filling and freeing.\"\"\"
    counts = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        place = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(size)))
        ctypes.memset(place, 1, size)
        libc.free(place)
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return sum(counts[1:])


before = pages()
with memory.memory_kept():
    within = pages()
print(before, within, pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_a_large_piece_of_memory_is_asked_for_once():
    """In a process that does nothing else: where a piece lies decides whether it can be given back."""
    done = subprocess.run(
        [sys.executable, "-c", PAGES, memory.__file__], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    before, within, after = map(int, done.stdout.split())
    assert 10 * within < min(before, after), done.stdout


def test_memory_is_kept_until_the_last_leaves(monkeypatch):
    told = []
    monkeypatch.setattr(memory, "set_malloc", told.append)
    with memory.memory_kept():
        with pytest.raises(ZeroDivisionError), memory.memory_kept():
            raise ZeroDivisionError
        assert memory.AFTER not in told
    assert told[-1] == memory.AFTER


def test_memory_that_cannot_be_told_is_left_alone(monkeypatch):
    for error in (OSError, AttributeError, TypeError):

        def nothing(name, error=error):
            raise error("no C library")

        monkeypatch.setattr(memory.ctypes, "CDLL", nothing)
        with memory.memory_kept():
            pass


def test_rooms_within_rooms_end_one_by_one():
    net, maze = Network(17, 6, 4), GridMaze(5, 2, 4)
    before = torch.get_num_threads()
    with engines.room_for_loops("numba", net, maze):
        with engines.room_for_loops("eager", net, maze):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
        rollout(net, maze, draw_noise(4, 2, torch.Generator()), "numba")
    assert torch.get_num_threads() == before
