"""What `bpa bench` plans, counts and prints; how fast anything is, no test can say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from networks import random_network

from bpa import GridMaze, Network
from bpa.cli import main
from bpa.experiments.bench import Case, Peak, bench, bound, bytes_moved, cases, flop, table
from bpa.experiments.compact import compact_rollout
from bpa.maze import draw_noise
from bpa.training.rollout import rollout


def test_every_engine_runs_the_centre_and_the_fast_ones_vary_one_size_at_a_time():
    assert cases(["eager", "numba"], [30, 15], [100, 50], [200]) == [
        Case("eager", 30, 100, 200),
        Case("numba", 30, 100, 200),
        Case("numba", 15, 100, 200),
        Case("numba", 30, 50, 200),
    ]


def test_the_compact_loop_is_the_definition():
    generator = torch.Generator().manual_seed(3)
    net = random_network(3, 9, input_size=17, num_actions=4, clip=0.5)
    noise = draw_noise(30, 3, generator)
    eager = rollout(net, GridMaze(5, 3, 30), noise, "eager")
    right = eager.logits, eager.values, eager.actions, eager.rewards
    mine = compact_rollout(net, GridMaze(5, 3, 30), noise)
    assert (eager.hidden.hebb.abs() == 0.5).any()
    gradients = []
    for outputs in (right, mine):
        loss = outputs[0].square().sum() + (outputs[1] * outputs[3]).sum()
        gradients.append(torch.autograd.grad(loss, list(net.parameters())))
    for one, other in zip((*right, *gradients[0]), (*mine, *gradients[1]), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4 * max(1, one.abs().max().item()))


@pytest.mark.parametrize(
    "other", [{"plasticity": "plastic"}, {"plasticity": "none"}, {"fanout": False}, {"modulator": "linear"}]
)
def test_the_compact_loop_is_for_one_kind_of_network(other):
    net = Network(17, 4, 4, **other)
    with pytest.raises(ValueError, match="net must have simple neuromodulation, fan-out"):
        compact_rollout(net, GridMaze(5, 2, 4), draw_noise(4, 2, torch.Generator()))


def test_work_grows_with_every_size():
    case = Case("numba", 30, 100, 200)
    for count in (flop, bytes_moved):
        assert count(case._replace(batch_size=60)) == 2 * count(case)
        assert count(case._replace(episode_length=400)) == 2 * count(case)
        assert count(case._replace(hidden_size=200)) == 4 * count(case)
    assert flop(case) == 60_000_000 * 32


def test_the_bound_is_the_longer_of_computing_and_moving():
    case = Case("numba", 1, 1000, 1000)  # 32 GFLOP, 22 GB

    def machine(gflops, gigabytes_per_second):
        return Peak(1, gflops, gigabytes_per_second, nearest_gigabytes_per_second=1.0)

    assert bound(case, machine(32.0, 1e9)) == pytest.approx(1.0)
    assert bound(case, machine(1e9, 11.0)) == pytest.approx(2.0)


def test_a_report_of_both_engines():
    chosen = cases(["eager", "compact", "numba"], [2], [5, 6], [4])
    report = json.loads(json.dumps(bench(chosen, rounds=1, seconds=0.01, quiet=True)))
    eager, compact, fast, larger = report["cases"]
    assert [case["engine"] for case in report["cases"]] == ["eager", "compact", "numba", "numba"]
    assert eager["times_eager"] == compact["times_compact"] == 1.0
    for name, rival in (("eager", eager), ("compact", compact)):
        ratio = rival["seconds_per_iteration"] / fast["seconds_per_iteration"]
        assert fast[f"times_{name}"] == pytest.approx(ratio)
        assert larger[f"times_{name}"] is None
    for case in report["cases"]:
        assert case["iterations"] >= 3
        assert 0 < case["fastest_iteration"] <= case["seconds_per_iteration"]
        assert case["episodes_per_second"] == pytest.approx(2 / case["seconds_per_iteration"])
        assert case["peak_memory_mb"] >= case["memory_before_mb"] > 50
        assert case["times_bound"] > 1, "faster than the arithmetic allows: the bound is wrong"
    assert report["peak"]["gflops"] > 1
    assert report["peak"]["nearest_gigabytes_per_second"] > 1
    assert report["peak"]["gigabytes_per_second"] > 1
    lines = table(report).splitlines()
    assert len(lines) == 8
    assert len({line.count("|") for line in lines[2:]}) == 1
    assert "| eager | 2 | 5 | 4 |" in lines[4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "0"], "rounds must be a whole number of at least 1, got 0"),
        (["--seconds", "0"], "seconds must be a finite number above 0, got 0.0"),
        (["--batch-sizes", "0"], "batch_sizes must be a whole number of at least 1, got 0"),
        (["--engines", "fast"], "fast"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == 1


def test_a_case_that_fails_says_why():
    with pytest.raises(ValueError, match=r"eager failed at \(0, 5, 4\): .*batch_size must be"):
        bench([Case("eager", 0, 5, 4)], rounds=1, seconds=0.01, quiet=True)


def test_the_table_in_the_repository_is_made_from_the_raw_figures_beside_it():
    folder = Path(__file__).parents[2] / "benchmarks"
    assert table(json.loads((folder / "cpu.json").read_text())) in (folder / "README.md").read_text()
