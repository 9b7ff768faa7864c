"""Comparisons: equal parameters, gone on with after any stop, never mixed, and tables that come back."""

import contextlib
import gc
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from small import SMALL, assert_equal_weights

from bpa.cells.sizes import count_parameters
from bpa.cli import main
from bpa.experiments import reproduce as comparing
from bpa.experiments.evaluate import report
from bpa.experiments.reproduce import (
    CHANGES,
    FINAL,
    FULL,
    LIVE,
    QUICK,
    RATES,
    STOP,
    TUNING_SEED,
    VARIANTS,
    Job,
    configs_of,
    episode_scores,
    equal_configs,
    read_table,
    reproduce,
    side_by_side,
    thinned,
    write_table,
)
from bpa.experiments.statistics import Final, Point, median_runs
from bpa.show.curves import comparison
from bpa.show.plots import draw_finals
from bpa.training.adam import Adam
from bpa.training.checkpoint import Record, SupervisedRecord, build_network, load_weights, read_history
from bpa.training.config import beginning
from bpa.training.presets import PRESETS
from bpa.training.tasks import build_task

TINY = SMALL.replace(engine="eager")  # three iterations of two episodes of nine steps, six neurons
PAIR = ("none", "simple")
SMALL_SETTINGS = """
iterations = 3
hidden_size = 6
batch_size = 2
size = 5
episode_length = 9
engine = "eager"
"""


def silent(line):
    """Say nothing."""


def compare(out, config=TINY, variants=PAIR, seeds=2, episodes=4, say=silent):
    return reproduce(config, out, variants, seeds, episodes, workers=1, say=say)


def files(folder):
    """Every file below a folder, with what it holds."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def without_seconds(rows):
    return [row._replace(seconds=0.0) for row in rows]


def interrupting(monkeypatch, at):
    """Ctrl-C during optimiser step number `at`."""
    step, count = Adam.step, itertools.count(1)

    def stepping(adam):
        if next(count) == at:
            os.kill(os.getpid(), signal.SIGINT)
        step(adam)

    monkeypatch.setattr(Adam, "step", stepping)


def until(true):
    """Wait for it, not for ever."""
    for _ in range(1200):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("it did not come true")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("comparison") / "maze"
    return out, compare(out, variants=tuple(VARIANTS))


TASKS = [task for task in FULL if task != "changes" and task != "presets" and not task.endswith("rates")]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("table", [FULL, QUICK], ids=["full", "quick"])
def test_all_variants_have_the_parameters_of_the_simple_one(table, task):
    if task in ("repeat-previous", "count-recall"):
        pytest.importorskip("popgym", reason="the tasks need the extra popgym")
    settings = table[task].settings
    config = beginning(settings.get("task", task.split("-")[0])).replace(**settings)
    configs = equal_configs(config)
    assert configs["simple"].hidden_size == config.hidden_size
    assert {name: (each.cell, each.plasticity) for name, each in configs.items()} == {
        "none": ("rnn", "none"),
        "plastic": ("rnn", "plastic"),
        "simple": ("rnn", "simple"),
        "retroactive": ("rnn", "retroactive"),
        "lstm": ("lstm", "none"),
    }
    counts = [count_parameters(build_network(each)) for each in configs.values()]
    assert max(counts) / min(counts) < 1.05
    alike = {each.replace(hidden_size=1, cell="rnn", plasticity="none") for each in configs.values()}
    assert len(alike) == 1  # nothing else differs


@pytest.mark.parametrize("table", [FULL, QUICK], ids=["full", "quick"])
def test_each_change_is_one_change_to_the_settings_of_the_quick_preset(table):
    config = beginning("maze").replace(**table["changes"].settings)
    quick = PRESETS["quick"]
    sizes = {name: getattr(config, name) for name in ("iterations", "batch_size", "hidden_size")}
    assert config == quick.replace(**sizes)
    configs = configs_of(config, CHANGES)
    assert list(configs) == list(CHANGES)
    for name, each in configs.items():
        before, after = config.named_settings(), each.named_settings()
        different = {setting: after[setting] for setting in after if after[setting] != before[setting]}
        assert different == CHANGES[name]
        assert (len(different) == 1) == (name not in ("as-it-is", "adam", "published"))
    with pytest.raises(ValueError, match=r"variants must be one of 'none', .*'solve', or .*, got 'oja'"):
        configs_of(config, ["adam", "oja"])


@pytest.mark.parametrize("table", [FULL, QUICK], ids=["full", "quick"])
def test_rates_are_as_many_for_every_variant_and_optimiser(table):
    budget = table["rates"]
    config = beginning("maze").replace(**budget.settings)
    assert budget.variants == tuple(RATES)
    assert budget.first_seed == TUNING_SEED > 10, "seeds of tuning are none that is reported"
    equal, configs = equal_configs(config), configs_of(config, RATES)
    tried = Counter()
    for name, each in configs.items():
        variant, optimizer, rate = name.split("-", 2)
        assert (each.optimizer, each.learning_rate) == (optimizer, float(rate))
        own = {"optimizer": config.optimizer, "learning_rate": config.learning_rate}
        assert each.replace(**own) == equal[variant]
        tried[variant, optimizer] += 1
    assert set(tried) == set(itertools.product(VARIANTS, ("adam", "muon")))
    assert set(tried.values()) == {4}
    assert list(configs_of(config, ["lstm-muon-0.005", "adam", "none"])) == [
        "lstm-muon-0.005",
        "adam",
        "none",
    ]


@pytest.mark.parametrize("table", [FULL, QUICK], ids=["full", "quick"])
def test_presets_are_trained_as_they_are(table):
    budget = table["presets"]
    configs = configs_of(beginning("maze").replace(**budget.settings), budget.variants)
    assert configs == {name: PRESETS[name] for name in budget.variants}
    assert set(budget.variants) <= set(LIVE) == {"quick", "solve"}


@pytest.mark.parametrize("table", [FULL, QUICK], ids=["full", "quick"])
def test_kept_cues_begin_as_chapter_7_does_and_differ_in_nothing_else(table):
    usual, kept = table["cues"], table["cues-kept"]
    assert kept.settings == usual.settings | {"initial_self": 0.6, "initial_eta": 0.3}
    assert kept._replace(settings={}) == usual._replace(settings={})
    net = build_network(equal_configs(beginning("cues").replace(**kept.settings), ["plastic"])["plastic"])
    assert net.eta.item() == pytest.approx(0.3)
    assert (net.w.diagonal() >= 0.6).all()


@pytest.mark.parametrize("task", ["repeat-previous", "count-recall"])
@pytest.mark.parametrize("table", [FULL, QUICK], ids=["full", "quick"])
def test_cards_are_learned_at_rates_that_were_found_with_the_same_settings(table, task):
    pytest.importorskip("popgym", reason="the tasks need the extra popgym")
    budget, search = table[task], table[f"{task}-rates"]
    assert search.settings == budget.settings
    assert search.first_seed == TUNING_SEED > budget.first_seed + budget.seeds
    assert set(search.variants) == set(RATES)
    configs = configs_of(beginning("gymnasium").replace(**budget.settings), budget.variants)
    made = build_task(configs["lstm"])
    steps = 0
    made.reset()
    while not made.done.all():
        made.step(torch.zeros(made.batch_size, dtype=torch.int64))
        steps += 1
    assert steps < made.episode_length, "cards end by themselves"


def test_seeds_begin_where_they_are_asked_to(tmp_path):
    out = tmp_path / "rates"
    finals = reproduce(TINY, out, ["none-adam-0.001"], 2, 4, 1, silent, first_seed=1000)
    assert [(final.variant, final.seed) for final in finals] == [
        ("none-adam-0.001", 1000),
        ("none-adam-0.001", 1001),
    ]
    assert json.loads((out / "settings.json").read_text())["first_seed"] == 1000
    assert without_seconds(reproduce(TINY, out, ["none-adam-0.001"], 3, 4, 1, silent, first_seed=1000))[
        :2
    ] == (without_seconds(finals))
    with pytest.raises(ValueError, match=r"first_seed is 1000 in .*settings.json, got 0: choose another out"):
        compare(out, variants=["none-adam-0.001"], seeds=3)
    with pytest.raises(ValueError, match="first_seed must be a whole number from 0 to 999999, got -1"):
        reproduce(TINY, tmp_path / "other", first_seed=-1)
    (alike,) = compare(tmp_path / "plain", variants=["none"], seeds=1)
    (same,) = reproduce(TINY, tmp_path / "named", ["none-adam-0.001"], 1, 4, 1, silent)
    assert alike.mean == same.mean, "TINY learns with Adam at this rate"


def test_changes_are_compared_like_variants(tmp_path):
    finals = compare(tmp_path / "changes", variants=("as-it-is", "one-alpha"))
    assert [(f.variant, f.seed) for f in finals] == list(
        itertools.product(("as-it-is", "one-alpha"), range(2))
    )
    assert finals[0].parameters - finals[2].parameters == 6**2 - 1
    assert {path.name for path in (tmp_path / "changes").iterdir()} == {
        ".lock",
        "runs",
        "settings.json",
        "final.csv",
        "curves.csv",
    }
    assert without_seconds(finals[:2]) == [
        final._replace(variant="as-it-is")
        for final in without_seconds(compare(tmp_path / "maze", variants=["simple"]))
    ]


def test_more_variants_than_colours_are_drawn_by_their_final_scores():
    points = [Point("maze", name, 0, 1, 1.0, 0.1) for name in CHANGES]
    finals = [Final("maze", name, 0, 1, 0.1, 9, 4, 1.0, 0.0, 1.0, 2.0, 0.1) for name in CHANGES]
    (axes,) = comparison(points, finals).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == list(CHANGES)


def test_the_folder_holds_what_it_promises(done):
    out, finals = done
    parts = {".lock", "runs", "settings.json", "final.csv", "curves.csv", "weights"}
    assert {path.name for path in out.iterdir()} == parts
    assert [(final.variant, final.seed) for final in finals] == list(itertools.product(VARIANTS, range(2)))
    assert read_table(out / "final.csv", Final) == finals
    points = read_table(out / "curves.csv", Point)
    assert len(points) == 3 * len(finals)
    for final in finals:
        folder = out / "runs" / f"{final.variant}-{final.seed}"
        net, config = load_weights(folder)
        assert (config.seed, final.iterations, final.episodes) == (final.seed, 3, 4)
        assert final.parameters == count_parameters(net)
        scores = report(net, config, episodes=4, seed=1_000_000 + final.seed)
        assert final.mean == pytest.approx(scores["mean_reward"])
        assert final.lower_quartile == pytest.approx(scores["lower_quartile_reward"])
        assert final.median == pytest.approx(scores["median_reward"])
        assert final.upper_quartile == pytest.approx(scores["upper_quartile_reward"])
        assert final.standard_error == pytest.approx(scores["standard_error"])
        curve = [point for point in points if point[1:3] == final[1:3]]
        history = read_history(folder / "history.csv")
        assert [point[3:] for point in curve] == [(r.iteration, r.reward, r.seconds) for r in history]
    for variant, typical in median_runs(finals).items():
        path = out / "weights" / f"{variant}.safetensors"
        kept, config = comparing.load_weights(path)
        trained, _ = comparing.load_weights(out / "runs" / f"{variant}-{typical.seed}")
        for name, tensor in trained.state_dict().items():
            assert torch.equal(kept.state_dict()[name], tensor)
        assert config.seed == typical.seed
        assert str(out).encode() not in path.read_bytes()  # it may be shown to others


def test_the_settings_say_what_was_compared_and_on_what(done):
    out, finals = done
    said = json.loads((out / "settings.json").read_text())
    counts = {final.variant: final.parameters for final in finals}
    assert {name: about["parameters"] for name, about in said["variants"].items()} == counts
    assert said["largest_difference_in_parameters"] == max(counts.values()) / min(counts.values()) - 1
    assert said["settings"]["learning_rate"] == TINY.learning_rate
    assert said["settings"]["evaluation_episodes"] == 4
    (sitting,) = said["sittings"]
    assert {"processor", "cores", "system", "workers", "torch", "numba", "python", "bpa"} < sitting.keys()
    assert sitting["seconds"] > 0
    assert os.uname().nodename not in (out / "settings.json").read_text()


def test_what_is_finished_is_not_done_again(done, tmp_path, monkeypatch):
    shutil.copytree(done[0], tmp_path / "again")
    before = files(tmp_path / "again")
    monkeypatch.setattr(comparing, "train", None)
    assert compare(tmp_path / "again", variants=tuple(VARIANTS)) == done[1]
    assert files(tmp_path / "again") == before


def test_two_comparisons_never_fill_one_folder(tmp_path):
    refused = []

    def another(line):
        if "in fresh episodes" in line:
            with pytest.raises(ValueError, match=r"out .*table is being written by another process") as no:
                compare(tmp_path / "table")
            refused.append(no)

    compare(tmp_path / "table", seeds=1, say=another)
    assert len(refused) == 2
    assert len(compare(tmp_path / "table", seeds=1)) == 2


@pytest.mark.parametrize("at", [1, 3, 5])  # in the first run, at its end, and in the middle of the second
def test_a_stopped_comparison_goes_on_to_the_same_numbers(done, tmp_path, monkeypatch, at):
    with monkeypatch.context() as patch:
        interrupting(patch, at)
        with pytest.raises(KeyboardInterrupt, match=f"stopped with {at // 5} of 4 runs .* same command"):
            compare(tmp_path / "maze")
    assert len(read_table(tmp_path / "maze" / "final.csv", Final)) == at // 5
    finals = compare(tmp_path / "maze")
    assert without_seconds(finals) == without_seconds(f for f in done[1] if f.variant in PAIR)
    assert len(json.loads((tmp_path / "maze" / "settings.json").read_text())["sittings"]) == 2


def test_a_run_killed_before_it_is_evaluated_is_only_evaluated(done, tmp_path, monkeypatch):
    shutil.copytree(done[0], tmp_path / "maze")
    (tmp_path / "maze" / "runs" / "simple-1" / FINAL).unlink()
    monkeypatch.setattr(Adam, "step", None)
    assert without_seconds(compare(tmp_path / "maze", variants=tuple(VARIANTS))) == without_seconds(done[1])


def test_seeds_and_variants_may_grow(done, tmp_path):
    compare(tmp_path / "maze", variants=["simple"], seeds=1)
    finals = compare(tmp_path / "maze", variants=["none"], seeds=2)
    assert [(f.variant, f.seed) for f in finals] == [("none", 0), ("none", 1), ("simple", 0)]
    assert without_seconds(compare(tmp_path / "maze")) == without_seconds(
        f for f in done[1] if f.variant in PAIR
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"config": TINY.replace(learning_rate=0.5)}, "learning_rate is 0.001 in .*settings.json, got 0.5"),
        ({"config": TINY.replace(iterations=4)}, "iterations is 3 in .*, got 4"),
        ({"config": TINY.replace(iterations=4), "variants": ["lstm"]}, "iterations is 3 in .*, got 4"),
        ({"config": TINY.replace(hidden_size=7)}, "hidden_size is 6 in .*, got 7"),
        (
            {"config": TINY.updated({"task": "cues", "cues": {"num_cues": 2}})},
            "task is 'maze' in .*, got 'cues'",
        ),
        ({"episodes": 5}, "evaluation_episodes is 4 in .*, got 5"),
        ({"seeds": 1}, "seeds is 2 in .*, got 1: it may only grow"),
        ({"seeds": 0}, "seeds must be a whole number from 1 to 1000000, got 0"),
        ({"variants": []}, "variants must hold at least one of none, plastic"),
        ({"variants": ["oja"]}, "variants must be one of 'none', .*, got 'oja'"),
    ],
)
def test_other_settings_are_refused_and_harm_nothing(done, changes, said):
    before = files(done[0])
    with pytest.raises(ValueError, match=said):
        compare(done[0], **changes)
    assert files(done[0]) == before


def test_what_is_no_comparison_is_never_overwritten(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "final.csv").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = files(tmp_path)
    for name in ("full", "file"):
        with pytest.raises(ValueError, match="exists, is no comparison of bpa and is never overwritten"):
            compare(tmp_path / name)
    with pytest.raises(ValueError, match="cannot be made: Not a directory"):
        compare(tmp_path / "file" / "maze")
    for text, said in (("{", "cannot be read"), ("{}", "holds no settings"), ("[]", "holds no settings")):
        (tmp_path / "full" / "settings.json").write_text(text)
        with pytest.raises(ValueError, match=said):
            compare(tmp_path / "full")
    (tmp_path / "full" / "settings.json").unlink()
    assert files(tmp_path) == before


def test_a_foreign_outcome_is_named(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "maze")
    (tmp_path / "maze" / "runs" / "none-0" / FINAL).write_text('{"mean": 1}')
    with pytest.raises(ValueError, match=r"none-0.final.json holds no outcome of a run"):
        compare(tmp_path / "maze")


def test_a_run_that_diverges_for_good_counts_with_what_it_kept(tmp_path):
    config = TINY.replace(learning_rate=1e30, gradient_norm_limit=1e-30)
    (final,) = compare(tmp_path / "maze", config, ["simple"], seeds=1)
    assert final.iterations == 0
    assert final.episodes == 4
    assert read_table(tmp_path / "maze" / "curves.csv", Point) == []


@pytest.mark.parametrize("task", ["patterns", "sequences"])
def test_tasks_are_compared_by_the_loss_of_each_episode(tmp_path, task):
    config = beginning(task).updated(
        {
            "iterations": 2,
            "batch_size": 2,
            "hidden_size": 6,
            "engine": "eager",
            "patterns": {"pattern_size": 6},
            "sequences": {"sequence_length": 8},
        }
    )
    (final,) = compare(tmp_path / task, config, ["plastic"], seeds=1)
    net, config = load_weights(tmp_path / task / "runs" / "plastic-0")
    scores = episode_scores(net, config, 103, seed=5)
    assert len(scores) == 103
    assert len(set(scores.tolist())) > 50
    # As many answers count in each episode, so the mean over episodes is the mean over answers.
    assert scores.mean().item() == pytest.approx(report(net, config, 103, seed=5)["mean_loss"], rel=1e-5)
    assert final.mean == pytest.approx(episode_scores(net, config, 4, seed=1_000_000).mean().item())
    assert (
        (tmp_path / task / "curves.csv").read_text().startswith("task,variant,seed,iteration,loss,seconds\n")
    )
    curve = read_table(tmp_path / task / "curves.csv", Point)
    assert [p.score for p in curve] == [
        r.loss for r in read_history(tmp_path / task / "runs" / "plastic-0" / "history.csv")
    ]


def test_a_final_says_what_likeliest_actions_earn_and_which_steps_were_left_out(done, tmp_path, monkeypatch):
    for final in read_table(done[0] / "final.csv", Final):
        net, config = load_weights(done[0] / "runs" / f"{final.variant}-{final.seed}")
        said = report(net, config, 4, seed=1_000_000 + final.seed, engine="eager", greedy=True)
        assert final.greedy == pytest.approx(said["mean_reward"])
        assert (final.left_out, final.rate_left) == (0, 1.0)
    load = comparing.runs.load_checkpoint  # as if the last of the three had been the first in a row
    monkeypatch.setattr(comparing.runs, "load_checkpoint", lambda out: load(out)._replace(left_out=1))
    config = TINY.replace(on_divergence="halve-lr", gradient_norm_limit=1e-12)
    (final,) = compare(tmp_path / "maze", config, ["none"], seeds=1)
    assert (final.left_out, final.rate_left) == (3, 0.125)
    assert read_table(tmp_path / "maze" / "final.csv", Final) == [final]


def test_weights_follow_a_run_that_was_made_again(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "maze")
    path = tmp_path / "maze" / "weights" / "simple.safetensors"
    net, config = comparing.load_weights(path)
    with torch.no_grad():
        net.w += 1
    comparing.save_weights(path, net, config)  # what an earlier run of this seed had left
    compare(tmp_path / "maze", variants=tuple(VARIANTS))
    again, _ = comparing.load_weights(path)
    trained, _ = comparing.load_weights(tmp_path / "maze" / "runs" / f"simple-{config.seed}")
    assert torch.equal(again.w, trained.w)


def tensors(folder):
    """All tensors of a run folder: of its weights and of its checkpoint."""
    return load_weights(folder)[0].state_dict() | comparing.runs.load_checkpoint(folder).tensors


def assert_same_comparison(one, other):
    """The same files, and in them the same numbers, but for seconds."""
    names = [
        {path.relative_to(out) for path in out.rglob("*") if path.suffix != ".log"} for out in (one, other)
    ]
    assert names[0] == names[1]
    for table, kind in (("final.csv", Final), ("curves.csv", Point)):
        rows = [without_seconds(read_table(out / table, kind)) for out in (one, other)]
        assert rows[0] == rows[1]
    for run in (path.name for path in (one / "runs").iterdir() if path.is_dir()):
        folders = [out / "runs" / run for out in (one, other)]
        assert_equal_weights(*map(tensors, folders))
        histories = [without_seconds(read_history(folder / "history.csv")) for folder in folders]
        assert histories[0] == histories[1]


@pytest.fixture(scope="module")
def cluster():
    """The address of two Dask workers on this machine."""
    distributed = pytest.importorskip("distributed", reason="the extra cluster is missing")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as made:
        yield made.scheduler_address


@pytest.fixture(params=["processes", "cluster"])
def spread(request):
    """`compare` over two processes, and over two workers of a cluster: with workers=, cluster= of its own."""
    address = request.getfixturevalue("cluster") if request.param == "cluster" else None

    def compared(out, say=silent):
        return reproduce(TINY, out, tuple(VARIANTS), 2, 4, workers=2, say=say, cluster=address)

    return compared


def test_runs_side_by_side_fill_the_folder_as_one_after_another(done, tmp_path, spread):
    assert without_seconds(spread(tmp_path / "maze")) == without_seconds(done[1])
    assert_same_comparison(done[0], tmp_path / "maze")


@pytest.mark.parametrize("how", ["a mark", "an error"])
def test_stopped_side_by_side_it_goes_on_to_the_same_numbers(done, tmp_path, spread, how):
    out = tmp_path / "maze"

    def stop(line):
        if "in fresh episodes" in line and how == "an error":
            raise OSError("nobody listens")
        if "in fresh episodes" in line:
            (out / "runs" / STOP).touch()

    error, said = (OSError, "nobody listens") if how == "an error" else (KeyboardInterrupt, "of 10 runs fin")
    with pytest.raises(error, match=said):
        spread(out, say=stop)
    left = [run for run in (out / "runs").iterdir() if run.is_dir() and not (run / FINAL).exists()]
    assert len(read_table(out / "final.csv", Final) if how == "a mark" else [1]) + len(left) < 10
    assert not (out / "runs" / STOP).exists()
    assert without_seconds(spread(out)) == without_seconds(done[1])
    assert_same_comparison(done[0], out)
    if how == "a mark":
        said = json.loads((out / "settings.json").read_text())["sittings"]
        assert [sitting["workers"] for sitting in said] == [2, 2]


def some_jobs(folder, *names, iterations=3):
    """Tiny runs in the folder; one whose name begins with broken has a folder without a checkpoint."""
    folder.mkdir()
    for name in names:
        if name.startswith("broken"):
            (folder / name).mkdir()
    config = TINY.replace(plasticity="simple", iterations=iterations)
    return [Job("simple", config.replace(out=str(folder / name)), 4) for name in names]


def test_a_run_that_fails_is_told_and_the_others_go_on(tmp_path, capfd):
    jobs = some_jobs(tmp_path / "runs", "broken", "one", "two", "three", "broken too")
    reason = r"broken failed: ValueError: .*checkpoint.* does not exist"
    finished = []
    with pytest.raises(ChildProcessError, match=reason + r"$"):
        finished.extend(side_by_side(jobs[:4], workers=2))
    assert [re.fullmatch(f".*{reason}", line) is not None for line in lines_of(capfd)] == [True]
    assert "Traceback" in (tmp_path / "runs" / "broken.log").read_text()
    assert all((tmp_path / "runs" / name / FINAL).exists() for name in ("one", "two", "three"))
    with pytest.raises(ChildProcessError, match=reason.replace("broken", "broken( too)?") + r" \(1 more f"):
        list(side_by_side(jobs, workers=2))


def lines_of(capfd):
    return capfd.readouterr().err.splitlines()


def test_tables_are_made_where_a_run_fails(done, tmp_path):
    (tmp_path / "maze" / "runs" / "none-1").mkdir(parents=True)
    with pytest.raises(ChildProcessError, match=r"none-1 failed: ValueError"):
        reproduce(TINY, tmp_path / "maze", PAIR, 2, 4, workers=2, say=silent)
    finals = read_table(tmp_path / "maze" / "final.csv", Final)
    assert [(f.variant, f.seed) for f in finals] == [("none", 0), ("simple", 0), ("simple", 1)]


def workers_of(command):
    """Processes that joblib has started for a process, by their numbers in /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == command and b"LokyProcess" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="processes as Linux shows them")
def test_a_worker_that_dies_is_told(tmp_path):
    jobs = some_jobs(tmp_path / "runs", "one", "two", iterations=1000000)
    histories = [Path(job.config.out, "history.csv") for job in jobs]

    def kill():
        until(lambda: all(path.exists() for path in histories))
        os.kill(workers_of(os.getpid())[0], signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.raises(ChildProcessError, match=r"^the workers are lost, .*SIGKILL"):
        list(side_by_side(jobs, workers=2))
    killing.join()
    again = some_jobs(tmp_path / "again", "one", "two")
    assert len(list(side_by_side(again, workers=2))) == 2  # by new workers


def heed_interrupts():
    """Jobs in the background of a script ignore Ctrl-C, and what they start does too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def said_by(process):
    """What a command says on stderr; its workers hold the stream as well, so that they must have ended."""
    return process.communicate(timeout=120)[1]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("kind", ["a terminal", "SIGINT", "SIGTERM", "SIGKILL"])
def test_a_stopped_or_killed_command_leaves_runs_that_go_on(tmp_path, kind):
    """Its processes stop with it, and each keeps what it had learned. A terminal's Ctrl-C reaches them."""
    settings = tmp_path / "long.toml"
    settings.write_text(SMALL_SETTINGS.replace("iterations = 3", "iterations = 1000000"))
    command = (
        f"reproduce maze --quick --variants none simple --seeds 1 --workers 2 --config {settings}".split()
    )
    out = tmp_path / "maze"
    histories = [out / "runs" / f"{variant}-0" / "history.csv" for variant in PAIR]
    process = subprocess.Popen(
        [sys.executable, "-m", "bpa", *command, "--out", str(out)],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
        start_new_session=True,
    )

    def lines():
        return [len(path.read_text().splitlines()) if path.exists() else 0 for path in histories]

    until(lambda: process.poll() is not None or min(lines()) > 5)
    assert process.poll() is None
    if kind == "a terminal":
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(getattr(signal, kind))
    said = said_by(process)
    if kind != "SIGKILL":
        assert process.returncode == 130
        assert said == "bpa: stopped with 0 of 2 runs finished; the same command goes on\n"
        assert not (out / "runs" / STOP).exists()
    logs = [out / "runs" / f"{variant}-0.log" for variant in PAIR]
    assert [log.read_text() for log in logs] == ["stopped; what it has learned is kept\n"] * 2
    held = lines()
    for path, count in zip(histories, held, strict=True):
        assert comparing.runs.load_checkpoint(path.parent).iteration == count - 1  # a line is the head


IDLE = """
import sys, time
sys.path[:0] = {path}
from pathlib import Path
from experiments.test_reproduce import some_jobs, side_by_side
print(len(list(side_by_side(some_jobs(Path(sys.argv[1]), "one", "two"), 2))), flush=True)
time.sleep(1000)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_idle_workers_do_not_outlive_their_command(tmp_path):
    """joblib would keep them for five minutes, and with them the streams of the command."""
    program = IDLE.format(path=[str(Path(__file__).parents[1])])
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "runs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "2\n"
    process.kill()
    said_by(process)


def test_a_cluster_that_cannot_do_the_runs_is_refused(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra cluster is missing")
    monkeypatch.setattr(comparing, "PATIENCE", 0.5)

    def refused(address, said):
        with pytest.raises(ValueError, match=said):
            reproduce(TINY, tmp_path / "maze", PAIR, say=silent, cluster=address)
        # A client that failed is closed when it is collected: were that while the next is made, it would wait
        # for a lock that this very thread holds.
        gc.collect()

    refused("tcp://127.0.0.1:9", "cluster tcp://127.0.0.1:9 has no worker that can be reached: ")
    refused("nowhere", "cluster nowhere has no worker that can be reached: ")
    options = {"processes": False, "dashboard_address": ":0"}
    for number, threads, said in (
        (0, 1, "has no worker that can be reached: "),
        (1, 1, "must have two workers or more of one thread each, .* got threads 1$"),
        (2, 2, "must have two workers or more of one thread each, .* got threads 2, 2$"),
    ):
        with distributed.LocalCluster(n_workers=number, threads_per_worker=threads, **options) as made:
            refused(made.scheduler_address, said)
    monkeypatch.setitem(sys.modules, "distributed", None)
    refused("tcp://127.0.0.1:9", r'cluster needs the extra of that name: .* pip install "\.\[cluster\]"')
    assert list(tmp_path.iterdir()) == []


def test_the_command_spreads_its_runs_over_a_cluster(tmp_path, capsys, cluster):
    (tmp_path / "tiny.toml").write_text(SMALL_SETTINGS)
    command = f"reproduce maze --quick --seeds 1 --config {tmp_path / 'tiny.toml'} --out {tmp_path / 'maze'}"
    assert main([*command.split(), "--cluster", cluster]) == 0
    assert ": 5 of 5 runs to do, 2 at a time; parameters: " in capsys.readouterr().out
    (sitting,) = json.loads((tmp_path / "maze" / "settings.json").read_text())["sittings"]
    assert [set(kind) for kind in sitting["cluster"]] == [{"processor", "cores", "system"}]  # both alike


def test_the_command_compares_goes_on_and_draws(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "tiny.toml"
    settings.write_text(SMALL_SETTINGS)
    command = ["reproduce", "maze", "--quick", "--workers", "1", "--seeds", "1", "--config", str(settings)]
    assert main(command) == 0
    said, err = capsys.readouterr()
    assert err == ""
    assert said.splitlines()[0].startswith("runs/maze-quick: 5 of 5 runs to do, 1 at a time; parameters: ")
    assert "simple, seed 0: reward " in said
    assert said.splitlines()[-1].startswith("lstm               median ")
    assert (tmp_path / "runs" / "maze-quick" / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert main(command) == 0
    assert "0 of 5 runs to do" in capsys.readouterr().out
    before = files(tmp_path)
    for arguments, message in (
        ([*command[:-2]], "iterations is 3 in runs/maze-quick/settings.json, got "),
        ([*command, "--seeds", "0"], "seeds must be a whole number from 1 to 1000000, got 0"),
        ([*command, "--workers", "0"], "workers must be a whole number of at least 1, got 0"),
        ([*command, "--variants", "oja"], "oja"),
        (["reproduce", "chess"], "chess"),
        (["reproduce"], "missing"),
        (["reproduce", "maze", "--config", "nowhere.toml"], "config nowhere.toml cannot be read"),
    ):
        assert main(arguments) == 2, arguments
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("bpa: error: ")
        assert err.count("\n") == 1
        assert message.lower() in err.lower()
    settings.write_text("seed = 3\n")
    assert main(command) == 2
    assert "may not set seed" in capsys.readouterr().err
    settings.write_bytes(before[settings])
    assert files(tmp_path) == before


def test_thinned_curves_are_means_over_equal_parts():
    config = TINY.replace(iterations=450, seed=7)
    history = [Record(n, float(n % 3), 0.0, 0.0, n / 2) for n in range(1, 451)]
    points = thinned(config, "none", history)
    assert len(points) == 150  # three iterations each: two would give 225
    assert points[-1] == Point("maze", "none", 7, 450, 1.0, 225.0)
    assert {point.score for point in points} == {1.0}
    assert [point.iteration for point in thinned(config, "none", history[:7])] == [3, 6, 7]
    records = [
        SupervisedRecord(n, 0.5, loss, 0.0, 1.0) for n, loss in ((1, 2.0), (2, float("nan")), (3, 4.0))
    ]
    (point,) = thinned(config.replace(task="patterns"), "none", records)
    assert point.score == 3.0


def test_tables_come_back_as_they_were_and_others_are_named(tmp_path):
    path = tmp_path / "table.csv"
    points = [Point("maze", "none", 3, 10, 0.1 + 0.2, 1e-17), Point("maze", "lstm", 0, 20, float("inf"), 2.0)]
    write_table(path, Point, points, "loss")
    assert path.read_text().splitlines()[0] == "task,variant,seed,iteration,loss,seconds"
    assert read_table(path, Point) == points
    with pytest.raises(ValueError, match=r"table.csv is no table of finals: its columns are task, variant"):
        read_table(path, Final)
    whole = Final("maze", "none", 0, 3, 1.0, 9, 5, 1.5, 0.0, 1.0, 2.0, 0.25, 1.75, 2, 0.25)
    supervised = whole._replace(greedy=None)
    write_table(tmp_path / "final.csv", Final, [whole, supervised], "reward")
    assert read_table(tmp_path / "final.csv", Final) == [whole, supervised]
    older = [line.rsplit(",", 3)[0] for line in (tmp_path / "final.csv").read_text().splitlines()]
    (tmp_path / "older.csv").write_text("\n".join(older))
    without = whole._replace(greedy=None, left_out=None, rate_left=None)
    assert read_table(tmp_path / "older.csv", Final) == [without, without]
    (tmp_path / "short.csv").write_text("\n".join(line.rsplit(",", 1)[0] for line in older))
    with pytest.raises(ValueError, match="is no table of finals: its columns are task"):
        read_table(tmp_path / "short.csv", Final)
    for text in ("", "a,b\n", path.read_text() + "maze,none,x,1,1,1\n", path.read_text() + "maze,none\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match="is no table of points"):
            read_table(path, Point)
    with pytest.raises(ValueError, match=r"is no table of points: .*No such file"):
        read_table(tmp_path / "nowhere.csv", Point)


def finals_of(variant, *means):
    return [Final("maze", variant, n, 3, 1.0, 9, 5, mean, 0, -mean, 9, 1) for n, mean in enumerate(means)]


def test_the_figure_shows_medians_quartiles_and_each_run():
    points = [Point("maze", "simple", seed, n, n + 10.0 * seed, 0) for seed in (0, 1, 2) for n in (5, 10, 15)]
    points += [Point("maze", "none", 0, 5, 2.0, 0)]  # diverged: it stays there
    finals = finals_of("simple", 1.0, 2.0, 9.0) + finals_of("none", 4.0)
    left, right = comparison(points, finals).axes
    simple, none = left.lines
    np.testing.assert_array_equal(simple.get_xdata(), [5, 10, 15])
    np.testing.assert_array_equal(simple.get_ydata(), [15, 20, 25])
    np.testing.assert_array_equal(none.get_ydata(), [2, 2, 2])
    assert left.get_ylabel() == "reward per episode, in training"
    median, dots = right.lines[:2]
    assert set(median.get_ydata()) == {2.0}
    np.testing.assert_array_equal(dots.get_ydata(), [1, 2, 9])
    box = right.patches[0]
    assert (box.get_y(), box.get_height()) == (1.5, 4.0)
    assert [text.get_text() for text in right.get_xticklabels()] == ["simple", "none"]
    assert median.get_color() == simple.get_color()
    with pytest.raises(ValueError, match="at least one run"):
        comparison([], finals)
    with pytest.raises(ValueError, match=r"scores\['a'\] must be \[S\]"):
        draw_finals(left, {"a": []})


@pytest.mark.parametrize(
    ("folder", "seeds"),
    [
        ("maze-quick", 10),
        ("maze", 3),
        ("cues-quick", 10),
        ("cues", 3),
        ("changes", 5),
        ("slip", 10),
        ("rates", 1),
        ("optimisers", 6),
        ("presets", 10),
        ("repeat-previous-rates", 1),
        ("repeat-previous", 6),
        ("count-recall-rates", 1),
        ("count-recall", 6),
    ],
)
def test_comparisons_that_ship_are_whole(folder, seeds):
    """Every variant has all seeds, points of its curve, and, if of the papers, weights of its median run."""
    path = Path(__file__).parents[2] / "results" / folder
    said = json.loads((path / "settings.json").read_text())
    finals, points = read_table(path / "final.csv", Final), read_table(path / "curves.csv", Point)
    named = {"changes": CHANGES, "slip": ("as-it-is", "first-baseline"), "rates": RATES, "presets": LIVE}
    variants = named.get(folder, VARIANTS)
    if folder == "optimisers":  # each variant with each optimiser once, and one at a second rate
        variants = [name for name in RATES if name in said["variants"]]
        kinds = {tuple(name.split("-")[:2]) for name in variants}
        assert kinds == set(itertools.product(VARIANTS, ("adam", "muon")))
        assert len(variants) == len(kinds) + 1
    if folder in ("repeat-previous", "count-recall"):  # the best of each variant in the search
        tried = read_table(path.with_name(f"{folder}-rates") / "final.csv", Final)
        best = {run.variant.split("-")[0]: run for run in sorted(tried, key=lambda run: run.mean)}
        variants = [best[variant].variant for variant in VARIANTS]
    if folder == "repeat-previous-rates":
        variants = RATES
    if folder == "count-recall-rates":  # the higher rates of each variant with each optimiser
        rates = ("adam-0.002", "adam-0.004", "muon-0.005", "muon-0.01")
        variants = [f"{variant}-{rate}" for variant in VARIANTS for rate in rates]
    first = said.get("first_seed", 0)
    runs = list(itertools.product(variants, range(first, first + seeds)))
    assert said["seeds"] == seeds
    assert [(final.variant, final.seed) for final in finals] == runs
    assert list(dict.fromkeys((point.variant, point.seed) for point in points)) == runs
    for variant, typical in median_runs(final for final in finals if final.variant in VARIANTS).items():
        net, config = load_weights(path / "weights" / f"{variant}.safetensors")
        assert (config.seed, count_parameters(net)) == (typical.seed, typical.parameters)
