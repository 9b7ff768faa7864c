"""How fast each engine trains, beside what the machine could do: `bpa bench`.

A case is one engine at one size. Each is measured in a process of its own, so that peak memory is its own,
by iterations like those of training. Rounds go through all cases in turn, so that a disturbance hits all of
them, and medians are taken over the rounds: compare figures of one run, never of two.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import torch
from tqdm.auto import tqdm

from bpa.arguments import require_choice, require_integer, require_number
from bpa.engines import ENGINES, room_for_loops
from bpa.experiments.compact import compact_rollout
from bpa.maze import NUM_ACTIONS, OBSERVATION_SIZE, GridMaze, draw_noise
from bpa.network import Network
from bpa.train import a2c_loss
from bpa.training.adam import Adam
from bpa.training.rollout import rollout

# Floating-point operations of one training iteration, for each element of Hebb and step: B T H^2 of them.
# A multiplication and a sum in one instruction count as two, a minimum or maximum as one.
FORWARD_FLOP = 8  # Hebb + x u (2), clip (2), w + alpha Hebb (2), its product with x, summed (2)
REBUILD_FLOP = 4  # the first two of these again
# Hebb + x u and clip (4), dx both ways (6), dalpha (3), dHebb (2), the clip's mask (1), du (2), dw (2)
BACKWARD_FLOP = 20
# Bytes that move between a core and the cache that holds Hebb, by the same measure; what a group of episodes
# shares is left out.
FORWARD_BYTES = 8  # Hebb in and out
REBUILD_BYTES = 2  # Hebb out, every second step
BACKWARD_BYTES = 12  # Hebb in, its gradient in and out


COMPACT = "compact"  # an eager loop written for this case, beside the engines
RIVALS = ("eager", COMPACT)  # what the others are set beside; their memory grows with B T H^2


class Case(NamedTuple):
    """What is measured at once."""

    engine: str  # or COMPACT
    batch_size: int
    hidden_size: int
    episode_length: int


class Peak(NamedTuple):
    """What this machine can do with all threads that PyTorch uses."""

    threads: int
    gflops: float  # 10^9 multiplications and sums a second, in registers
    gigabytes_per_second: float  # in and out of the cache that holds what a thread of the first case rebuilds
    nearest_gigabytes_per_second: float  # in and out of the cache that holds one Hebb of it


def flop(case: Case) -> float:
    """Floating-point operations on Hebb of one training iteration: B T H^2 times what an element takes."""
    elements = case.batch_size * case.episode_length * case.hidden_size**2
    return elements * float(FORWARD_FLOP + REBUILD_FLOP + BACKWARD_FLOP)


def bytes_moved(case: Case) -> float:
    """Bytes of Hebb and its gradient that one training iteration moves."""
    elements = case.batch_size * case.episode_length * case.hidden_size**2
    return elements * float(FORWARD_BYTES + REBUILD_BYTES + BACKWARD_BYTES)


def bound(case: Case, peak: Peak) -> float:
    """Seconds that an iteration takes at the least: the longer of computing and moving."""
    return max(flop(case) / peak.gflops, bytes_moved(case) / peak.gigabytes_per_second) / 1e9


def cases(
    engines: Sequence[str], batch_sizes: Sequence[int], hidden_sizes: Sequence[int], lengths: Sequence[int]
) -> list[Case]:
    """The first of each list is the centre, which every engine runs; the others vary one size at a time.

    RIVALS run the centre alone.
    """
    engines = [require_choice("engines", engine, (*ENGINES, COMPACT)) for engine in engines]
    named = {"batch_sizes": batch_sizes, "hidden_sizes": hidden_sizes, "episode_lengths": lengths}
    for name, values in named.items():
        if len(values) == 0:
            raise ValueError(f"{name} must hold at least one number, got none")
        named[name] = [require_integer(name, value, low=1) for value in values]
    batch_sizes, hidden_sizes, lengths = named.values()
    b, h, t = batch_sizes[0], hidden_sizes[0], lengths[0]
    others = [
        *((size, h, t) for size in batch_sizes[1:]),
        *((b, size, t) for size in hidden_sizes[1:]),
        *((b, h, size) for size in lengths[1:]),
    ]
    return [Case(engine, b, h, t) for engine in engines] + [
        Case(engine, *sizes) for engine in engines if engine not in RIVALS for sizes in others
    ]


def peak_memory() -> float:
    """The most memory that this process has held, in MB; NaN where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def measure_here(case: Case, seconds: float) -> dict[str, Any]:
    """Train in the 11 x 11 maze for about `seconds`, at least three iterations, after three to warm up."""
    memory_before = peak_memory()
    generator = torch.Generator(device="cpu").manual_seed(0)
    # Triton's own device is CUDA; its interpreter runs on the CPU too.
    device = torch.device("cuda" if case.engine == "triton" and torch.cuda.is_available() else "cpu")
    net = Network(OBSERVATION_SIZE, case.hidden_size, NUM_ACTIONS, generator=generator).to(device)
    maze = GridMaze(11, case.batch_size, case.episode_length, generator=generator, device=device)
    optimizer = Adam(net.parameters(), lr=1e-4, eps=1e-4)

    def iterate() -> float:
        begun = time.perf_counter()
        noise = draw_noise(case.episode_length, case.batch_size, generator, device)
        if case.engine == COMPACT:
            seen = compact_rollout(net, maze, noise)
        else:
            happened = rollout(net, maze, noise, case.engine)
            seen = happened.logits, happened.values, happened.actions, happened.rewards
        net.zero_grad()
        a2c_loss(*seen).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 4.0)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # its work is only queued by then
        return time.perf_counter() - begun

    taken: list[float] = []
    with room_for_loops("eager" if case.engine == COMPACT else case.engine, net, maze):  # as `train` does
        for _ in range(3):
            iterate()
        while len(taken) < 3 or sum(taken) < seconds:
            taken.append(iterate())
    return {
        "seconds": taken,
        "peak_memory_mb": peak_memory(),
        "memory_before_mb": memory_before,
    }


def measure(case: Case, seconds: float) -> dict[str, Any]:
    """`measure_here` in a fresh process."""
    command = [sys.executable, "-m", "bpa.experiments.bench", json.dumps([*case, seconds])]
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:backslashreplace"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=environment)
    if done.returncode != 0:
        reason = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise ValueError(f"{case.engine} failed at {case[1:]}: {reason}")
    return json.loads(done.stdout)


def best_rate(work: Callable[[], Any], amount: float, threads: int) -> float:
    """`amount` a second: the best of 20 attempts of `work` in `threads` threads at once."""
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(20):
            begun = time.perf_counter()
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()
            best = max(best, amount * threads / (time.perf_counter() - begun))
    return best


def measure_peak(hidden_size: int) -> Peak:
    """Measure this machine by two small loops, compiled like the engine's.

    Raises:
        ValueError: nothing can be compiled here.
    """
    try:
        # Here, because nothing else in this file needs Numba.
        from bpa.engines.numba import GROUP, KEEP_EVERY, peak, try_out

        try_out()
    except Exception as error:  # a broken installation may raise anything
        raise ValueError(f"bench needs a Numba that works, to measure this machine by: {error}") from None
    threads = torch.get_num_threads()
    one = hidden_size**2 + -(hidden_size**2) % (4 * peak.LANES)
    rounds = 2_000_000
    peak.multiply_add(1)  # compile both
    peak.add_in_place(one, 1)

    def moved(size: int) -> float:
        sweeps = max(1, 50_000_000 // size)
        work = functools.partial(peak.add_in_place, size, sweeps)
        return best_rate(work, 8.0 * size * sweeps, threads) / 1e9

    return Peak(
        threads,
        best_rate(lambda: peak.multiply_add(rounds), peak.FLOP * rounds, threads) / 1e9,
        moved(one * GROUP * KEEP_EVERY // 2),
        moved(one),
    )


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def bench(
    chosen: Sequence[Case], rounds: int = 3, seconds: float = 5.0, quiet: bool = False
) -> dict[str, Any]:
    """Measure all cases and set them beside the bound and beside RIVALS at the same size.

    Args:
        chosen: see `cases`.
        rounds: how often to go through all cases; at least 1.
        seconds: of training a case and round; above 0.
        quiet: no progress bar.

    Returns:
        "machine", "peak" and "cases", ready for JSON. Times are in seconds, medians over the rounds of each
        round's median; memory is in MB, the largest seen. "times_eager" and "times_compact" are None where
        these did not run.

    Raises:
        ValueError: an argument is out of range, or a case cannot run here.
    """
    rounds = require_integer("rounds", rounds, low=1)
    seconds = require_number("seconds", seconds, low=0, above=True)
    if not chosen:
        raise ValueError("there must be at least one case, got none")
    peak = measure_peak(chosen[0].hidden_size)
    for engine in dict.fromkeys(case.engine for case in chosen):
        if engine in RIVALS:  # nothing to compile
            continue
        measure(Case(engine, 2, 3, 4), 0.01)  # compiles, so that no later process holds a compiler in memory
    measured: dict[Case, list[dict[str, Any]]] = {case: [] for case in chosen}
    plan = [case for _ in range(rounds) for case in chosen]
    for case in tqdm(plan, disable=quiet, unit="case", file=sys.stderr):
        measured[case].append(measure(case, seconds))
    results = []
    for case, runs in measured.items():
        medians = [statistics.median(run["seconds"]) for run in runs]
        taken, least = statistics.median(medians), bound(case, peak)
        results.append(
            case._asdict()
            | {
                "seconds_per_iteration": taken,
                "seconds_of_each_round": medians,
                "fastest_iteration": min(min(run["seconds"]) for run in runs),
                "iterations": sum(len(run["seconds"]) for run in runs),
                "episodes_per_second": case.batch_size / taken,
                "peak_memory_mb": max(run["peak_memory_mb"] for run in runs),
                "memory_before_mb": max(run["memory_before_mb"] for run in runs),
                "bound_seconds": least,
                "times_bound": taken / least,
            }
        )
    sizes = Case._fields[1:]
    taken_by = {(r["engine"], *(r[f] for f in sizes)): r["seconds_per_iteration"] for r in results}
    for result in results:
        for rival in RIVALS:
            theirs = taken_by.get((rival, *(result[f] for f in sizes)))
            result[f"times_{rival}"] = theirs and theirs / result["seconds_per_iteration"]
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    return {"machine": machine, "peak": peak._asdict(), "cases": results}


def table(report: dict[str, Any]) -> str:
    """A report as a Markdown table with a line on the machine above it."""
    peak = report["peak"]
    rivals = [rival for rival in RIVALS if any(case["engine"] == rival for case in report["cases"])]
    cache = f"{peak['gigabytes_per_second']:.0f} GB/s in cache"
    if "nearest_gigabytes_per_second" in peak:  # reports of before know one cache
        nearest = f"{peak['nearest_gigabytes_per_second']:.0f} GB/s where one trace fits"
        cache = f"{nearest}, {peak['gigabytes_per_second']:.0f} where those of a group do"
    lines = [
        f"{report['machine']['processor']}, {peak['threads']} threads, PyTorch {report['machine']['torch']}; "
        f"at most {peak['gflops']:.0f} GFLOP/s and {cache}",
        "",
        f"| engine | B | H | T | s / iteration | {''.join(f'times {rival} | ' for rival in rivals)}"
        "episodes / s | MB | bound s | times bound |",
        f"|---|---:|---:|---:|---:|{'---:|' * len(rivals)}---:|---:|---:|---:|",
    ]
    for case in report["cases"]:
        ratios = [case[f"times_{rival}"] for rival in rivals]
        beside = "".join("  |" if ratio is None else f" {ratio:.1f} |" for ratio in ratios)
        lines.append(
            f"| {case['engine']} | {case['batch_size']} | {case['hidden_size']} | {case['episode_length']} "
            f"| {case['seconds_per_iteration']:.4f} |{beside} {case['episodes_per_second']:.0f} "
            f"| {case['peak_memory_mb']:.0f} | {case['bound_seconds']:.4f} | {case['times_bound']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    *sizes, training_seconds = json.loads(sys.argv[1])
    print(json.dumps(measure_here(Case(*sizes), training_seconds)))
