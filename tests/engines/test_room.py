"""What is arranged around loops that run again and again: threads that wait, memory that is kept."""

from __future__ import annotations

import os
import platform
import threading

import pytest
import torch

from bpa import GridMaze, Network, engines
from bpa.engines import memory, threads
from bpa.engines.numba import in_parallel
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

    in_parallel(loop, 32)
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
            in_parallel(loop, 32)
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_forked_process_has_threads_of_its_own():
    threads.helpers(1).submit(int).result()
    child = os.fork()
    if child == 0:  # a thread that is not there would be waited for without end
        done = threads.helpers(1).submit(lambda: 7)
        os._exit(done.result(timeout=10))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def faults():
    """How many pages this process had to ask the system for."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_a_large_piece_of_memory_is_asked_for_once():
    size = 2**24  # numbers of 4 bytes: larger than what glibc ever keeps by itself

    def pages(times):
        before = faults()
        for _ in range(times):
            torch.ones(size)
        return faults() - before

    with memory.memory_kept():
        pages(3)
        within = pages(4)
    assert within < 1000
    assert pages(4) > 10 * max(within, 100)


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
