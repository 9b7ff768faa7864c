"""What the commands of `bpa` take and do, read by tyro and called by `bpa.cli`."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from bpa.arguments import require_new_file, require_new_folder, require_path
from bpa.cells.base import RecurrentNetwork
from bpa.envs.base import REGISTRY
from bpa.experiments.bench import bench, cases, table
from bpa.experiments.evaluate import EXACT, MOST_EPISODES, report
from bpa.experiments.reproduce import (
    FIRST_EVALUATION_SEED,
    FULL,
    QUICK,
    reproduce,
)
from bpa.experiments.statistics import scores_by_variant, spread
from bpa.fields import Real, Whole, check_fields, ranged, ranges
from bpa.show.play import described, episode, save_film
from bpa.textfile import utf8_text
from bpa.train import Diverged, train, with_given
from bpa.training import checkpoint as runs
from bpa.training.config import TrainConfig, beginning
from bpa.training.distributed import leave_team
from bpa.training.presets import PRESETS

Preset = Literal[
    "quick", "solve", "published-simplemaze", "published-maze", "published-cues", "paper", "paper-cues"
]
SEEDS = Whole(0, 2**63 - 1)


class Arguments:
    """What a command is given, checked."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclasses.dataclass(frozen=True)
class TrainArguments:
    """Train a network. Flags win over --config, and that over --preset; a resumed run keeps its own settings.

    Each task begins with settings of its own, which `bpa train --task TASK --help` shows.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: Preset | None = None
    """Settings to start from: "quick", a minute on two cores; "solve", the same for longer;
    "published-simplemaze", "published-maze" and "published-cues", those of the published programs; "paper"
    and "paper-cues", which mix the paper's text with its programs. See `bpa.training.presets`."""
    file: Annotated[str | None, tyro.conf.arg(name="config")] = None
    """A TOML file of settings, those of a task in a table of its name; they win over the preset."""
    start: str | None = None
    """A trained network to go on with, in place of new weights: a run folder, a .safetensors file, or an
    agent that ships. Its neurons and its rule are its own; all else is set here, the maze's side too."""


@dataclasses.dataclass(frozen=True)
class EvaluateArguments(Arguments):
    """Score a trained network on fresh episodes."""

    run: tyro.conf.Positional[str]
    """A run folder, a .safetensors file, or an agent that ships: maze-9, maze-11 or maze-13."""
    episodes: int = ranged(500, Whole(1, MOST_EPISODES))
    """Fresh episodes."""
    seed: int = ranged(1, SEEDS)
    """Seed of goals, actions and teleports."""
    engine: Literal["auto", "eager", "numba", "triton"] = "auto"
    """What computes the steps: "auto" takes the fastest engine that can."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network and its environment are; "auto" takes a CUDA device if there is one."""
    greedy: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take the likeliest action in place of a sampled one."""
    json: bool = False
    """Print one JSON object."""


@dataclasses.dataclass(frozen=True)
class PlayArguments(Arguments):
    """Show an episode of an agent in the maze, step by step or as a film."""

    run: tyro.conf.Positional[str]
    """A run folder, a .safetensors file, or an agent that ships: maze-9, maze-11 or maze-13."""
    seed: int = ranged(1, SEEDS)
    """Seed of goal, actions and teleports."""
    engine: Literal["auto", "eager", "numba", "triton"] = "auto"
    """What computes the steps: "auto" takes the fastest engine that can."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network and its maze are; "auto" takes a CUDA device if there is one."""
    greedy: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take the likeliest action in place of a sampled one."""
    save: str | None = None
    """Write a film, .gif or .mp4, and show nothing; the file must not exist yet."""
    fps: int = ranged(10, Whole(1, 50))
    """Steps a second. Where there is no terminal, steps do not wait."""


@dataclasses.dataclass(frozen=True)
class PlotArguments(Arguments):
    """Draw learning curves: one for all runs that differ in their seed alone, with a band of quartiles."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Run folders."""
    save: str = "learning.png"
    """The picture, .png, .svg or .pdf; it must not exist yet."""
    window: int = ranged(100, Whole(1))
    """Iterations over which each run is averaged."""


@dataclasses.dataclass(frozen=True)
class BenchArguments(Arguments):
    """Measure how fast each engine trains here. The first of several sizes is the one all engines run."""

    engines: tuple[Literal["auto", "eager", "compact", "numba", "triton"], ...] = (
        "eager",
        "compact",
        "numba",
    )
    """Engines side by side, and "compact", an eager loop written for this case alone."""
    batch_sizes: tuple[int, ...] = ranged((30, 15, 60), Whole(1))
    """Episodes in an iteration."""
    hidden_sizes: tuple[int, ...] = ranged((100, 50, 200), Whole(1))
    """Hidden neurons."""
    episode_lengths: tuple[int, ...] = ranged((200, 100, 400), Whole(1))
    """Steps in an episode."""
    rounds: int = ranged(3, Whole(1))
    """How often to go through all cases; medians are taken over the rounds."""
    seconds: float = ranged(5.0, Real(0, above=True))
    """Seconds of training a case and round."""
    json: bool = False
    """Print one JSON object."""


@dataclasses.dataclass(frozen=True)
class ReproduceArguments(Arguments):
    """Train every variant at equal numbers of parameters over many seeds, and compare them.

    The same command goes on where it was stopped.
    """

    task: tyro.conf.Positional[
        Literal[
            "maze",
            "cues",
            "cues-kept",
            "repeat-previous",
            "repeat-previous-rates",
            "count-recall",
            "count-recall-rates",
            "patterns",
            "pictures",
            "sequences",
            "changes",
            "rates",
            "presets",
        ]
    ]
    """What is learned; "changes" trains "simple" in the maze with one setting changed at a time, "rates"
    every variant there with two optimisers at four rates each, on seeds apart, "presets" what trains while
    somebody waits; "cues-kept" are cues from first weights with which a neuron keeps its activity;
    "repeat-previous" and "count-recall" are memory tasks of POPGym (the extra "popgym"), and with "-rates"
    they look for rates."""
    seeds: int | None = ranged(None, Whole(1, FIRST_EVALUATION_SEED))
    """Runs of each variant: 10, with --quick 3; of each change 5 and 3, of each rate 2 and 1,
    in POPGym's tasks 1."""
    first_seed: int | None = ranged(None, Whole(0, FIRST_EVALUATION_SEED - 1))
    """The first of the seeds of training: 0, for rates 1000."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """A small budget, for the shape of the figure."""
    out: str | None = None
    """Folder to fill or to go on with: runs/TASK, with --quick runs/TASK-quick."""
    variants: tuple[str, ...] | None = None
    """Which to compare, of none plastic simple retroactive lstm, the changes, rates or presets: all."""
    workers: int | None = ranged(None, Whole(1))
    """Runs side by side, each in one thread: one a core, or as many as a cluster has workers."""
    cluster: str | None = None
    """Address of a Dask scheduler whose workers do the runs, tcp://HOST:8786. They must share the folder."""
    config: str | None = None
    """A TOML file of settings that win over those of the budget."""


@dataclasses.dataclass(frozen=True)
class GradeArguments(Arguments):
    """Mark a class's notebooks. Students' code runs in processes that do not have the answers.

    Who wrote an exercise's function gets its points if it is right, and is told the slip if it is not.
    """

    folder: tyro.conf.Positional[str]
    """Holds a folder for each student, with notebooks in it, or a notebook for each student."""
    csv: str
    """The table of marks, .csv; it must not exist yet."""
    html: str | None = None
    """A page with the class's slips and a sentence for each student, .html; it must not exist yet."""
    feedback: str | None = None
    """A folder for a page for each student, to give away; it must not exist yet."""
    only: tuple[str, ...] = ()
    """The exercises that count, by name, or by two digits all of a part of the book. By default those that at
    least half of the notebooks define."""
    seconds: float = ranged(20.0, Real(0, above=True))
    """Wall clock for one exercise of one student; five times as long for an agent, which is called 12,000
    times."""


class Parsed(NamedTuple):
    """A dataclass as tyro has read it, yet to be made: what it refuses it says without tyro's frame."""

    kind: Callable[..., Any]
    fields: dict[str, Any]

    def make(self) -> Any:
        """The dataclass; ValueError if it refuses a field."""
        return self.kind(
            **{
                name: value.make() if isinstance(value, Parsed) else value
                for name, value in self.fields.items()
            }
        )


READING = ConstructorRegistry()  # how tyro reads our dataclasses


@READING.struct_rule
def later_and_with_ranges(info: StructTypeInfo) -> StructConstructorSpec | None:
    """As tyro reads a dataclass, but made later, and with the range of each field behind its help text."""
    if not dataclasses.is_dataclass(info.type) or Parsed in info.markers:
        return None
    # The marker keeps this rule from being asked again.
    spec = ConstructorRegistry.get_struct_spec(dataclasses.replace(info, markers=(*info.markers, Parsed)))
    if not isinstance(spec, StructConstructorSpec):
        return None
    kind, numbers = spec.instantiate, ranges(info.type)

    def helped(field: StructFieldSpec) -> StructFieldSpec:
        if field.name not in numbers:
            return field
        text, allowed = field.helptext, f"Allowed: {numbers[field.name]}."
        return dataclasses.replace(field, helptext=lambda: f"{text() if callable(text) else text} {allowed}")

    return StructConstructorSpec(lambda **fields: Parsed(kind, fields), tuple(map(helped, spec.fields)))


def parse(kind: type, arguments: Sequence[str], prog: str, default: Any = tyro.MISSING_NONPROP) -> Any:
    """`arguments` as a `kind`; what tyro cannot read becomes one line of a ValueError."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed = tyro.cli(kind, prog=prog, args=arguments, default=default, registry=READING)
    except SystemExit as stop:
        if not stop.code:
            raise
        # tyro tells what is wrong in no other way: between the first two rules of a frame, or of plain text.
        framed = re.split(r"^.*(?:╭|─{9}|-{9}).*$", said.getvalue(), flags=re.MULTILINE)
        raise ValueError(
            " ".join(re.sub("^│|│$", "", (framed[1:] or framed)[0], flags=re.MULTILINE).split())
        ) from None
    return parsed.make()


@dataclasses.dataclass(frozen=True)
class Beginning:
    """What of the arguments of `bpa train` decides from which settings the others start."""

    task: str | None = None
    preset: str | None = None
    config: str | None = None
    out: str | None = None
    resume: bool = False


def beginning_of(arguments: Sequence[str]) -> Beginning:
    """That part of `arguments`; nothing where they cannot be read, which the full parse then says."""
    try:
        known, _ = tyro.cli(
            Beginning, args=arguments, return_unknown_args=True, add_help=False, console_outputs=False
        )
    except SystemExit:
        return Beginning()
    return known


def settings_in(path: str) -> dict[str, Any]:
    """What a TOML file says; ValueError if it cannot be read."""
    path = require_path("config", path)
    try:
        return tomllib.loads(utf8_text(path))
    except OSError as error:
        raise ValueError(f"config {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"config {path} is no TOML: {error}") from None


def run_train(arguments: Sequence[str]) -> None:
    """bpa train"""
    asked = beginning_of(arguments)
    settings = {} if asked.config is None else settings_in(asked.config)
    task, out = asked.task or settings.get("task"), asked.out or settings.get("out")
    default = PRESETS.get(asked.preset or "") or beginning(
        task if isinstance(task, str) and task in REGISTRY else "maze"
    )
    resume = asked.resume or settings.get("resume") is True
    if resume and isinstance(out, str) and out:
        default = runs.load_checkpoint(out).config
    default = default.updated(settings)
    wanted = parse(TrainArguments, arguments, "bpa train", TrainArguments(default))
    if wanted.start is not None and wanted.config.resume:
        raise ValueError(f"start {wanted.start} is for a new run; a resumed one goes on with its own weights")
    network = None if wanted.start is None else runs.load(require_path("start", wanted.start))
    config = with_given(wanted.config, None, network)  # its name stands in that of the run folder
    if config.out is None:
        config = config.replace(out=f"runs/{config.task}-{config.plasticity}-{config.seed}")
    try:
        result = train(config, network=network)
    finally:
        leave_team()
    if os.environ.get("RANK", "0") != "0":
        return  # the first of several processes speaks for all
    if not result.history:  # a complete run whose history somebody has emptied
        print(f"{config.out}: nothing was left to do")
        return
    recent = [record[1] for record in result.history[-100:]]
    score = {"reward": "reward per episode"}.get(kind := result.history[-1]._fields[1], kind)
    print(
        f"{config.out}: {len(result.history)} iterations in {result.history[-1].seconds:.0f} s, "
        f"{score} {sum(recent) / len(recent):.4g} over the last {len(recent)}"
    )


def trained(asked: EvaluateArguments | PlayArguments) -> tuple[RecurrentNetwork[Any], TrainConfig]:
    """The network asked for, on the device asked for, and the settings that it was trained with."""
    net, config = runs.load_weights(asked.run)
    return net.to(config.replace(device=asked.device).torch_device()), config


def run_evaluate(arguments: Sequence[str]) -> None:
    """bpa evaluate"""
    asked = parse(EvaluateArguments, arguments, "bpa evaluate")
    net, config = trained(asked)
    scores = report(net, config, asked.episodes, asked.seed, asked.engine, asked.greedy)
    if asked.json:
        print(json.dumps(scores))
        return
    for name, value in scores.items():
        if value is None and name in EXACT:
            print(f"bpa: {name} is left out: it takes too long in a maze of this size", file=sys.stderr)
        elif name != "share_of_ceiling" or scores["ceiling"] is not None:
            print(f"{name:27} {'none' if value is None else f'{value:g}'}")


def run_play(arguments: Sequence[str]) -> None:
    """bpa play"""
    asked = parse(PlayArguments, arguments, "bpa play")
    net, config = trained(asked)
    moments = episode(net, config, asked.seed, asked.engine, asked.greedy)
    if asked.save is not None:
        save_film(list(moments), asked.save, asked.fps)
        print(asked.save)
        return
    live = sys.stdout.isatty()
    for moment in moments:
        text = described(moment)
        print(text, end="" if live else "\n", flush=True)
        if live and moment.step < config.episode_length:
            time.sleep(1 / asked.fps)
            print(f"\x1b[{text.count(chr(10))}A\x1b[J", end="")  # up to where the maze began, and clear below


def run_plot(arguments: Sequence[str]) -> None:
    """bpa plot"""
    asked = parse(PlotArguments, arguments, "bpa plot")
    if not asked.runs:
        raise ValueError("runs must name at least one run folder, got none")
    from bpa.show.curves import save_curves  # here, because matplotlib takes a second

    save_curves(asked.runs, asked.save, asked.window)
    print(asked.save)


def run_bench(arguments: Sequence[str]) -> None:
    """bpa bench"""
    asked = parse(BenchArguments, arguments, "bpa bench")
    chosen = cases(asked.engines, asked.batch_sizes, asked.hidden_sizes, asked.episode_lengths)
    report = bench(chosen, asked.rounds, asked.seconds, quiet=asked.json)
    print(json.dumps(report) if asked.json else table(report))


def run_reproduce(arguments: Sequence[str]) -> None:
    """bpa reproduce"""
    asked = parse(ReproduceArguments, arguments, "bpa reproduce")
    budget = (QUICK if asked.quick else FULL)[asked.task]
    changes = {} if asked.config is None else settings_in(asked.config)
    for name in ("task", "cell", "plasticity", "seed", "out", "resume"):
        if name in changes:
            raise ValueError(f"config {asked.config} may not set {name}, which differs from run to run")
    out = asked.out or f"runs/{asked.task}{'-quick' if asked.quick else ''}"
    task = asked.task.split("-")[0]
    start = beginning(task if task in REGISTRY else "maze")
    finals = reproduce(
        start.replace(**budget.settings).updated(changes),
        out,
        budget.variants if asked.variants is None else asked.variants,
        budget.seeds if asked.seeds is None else asked.seeds,
        budget.episodes,
        asked.workers,
        lambda line: print(line, flush=True),
        asked.cluster,
        first_seed=budget.first_seed if asked.first_seed is None else asked.first_seed,
    )
    from bpa.show.curves import save_comparison  # here, because matplotlib takes a second

    print(save_comparison(out))
    width = max([18, *(len(final.variant) for final in finals)])
    for variant, scores in scores_by_variant(finals).items():
        seeds, low, median, high = spread(scores)
        print(f"{variant:{width}} median {median:.4g}, quartiles {low:.4g} and {high:.4g}, {seeds} seeds")


def run_grade(arguments: Sequence[str]) -> None:
    """bpa grade"""
    asked = parse(GradeArguments, arguments, "bpa grade")
    from bpa.grading import judge, report  # here, because it imports every check

    table = require_new_file("csv", asked.csv, [".csv"])
    page = None if asked.html is None else require_new_file("html", asked.html, [".html"])
    pages = None if asked.feedback is None else require_new_folder("feedback", asked.feedback)
    marked = judge.grade(asked.folder, asked.only, asked.seconds, lambda line: print(line, flush=True))
    report.write(table, report.as_csv(marked))
    if page is not None:
        report.write(page, report.as_html(marked))
    if pages is not None:
        pages.mkdir()
        for one in marked:
            report.write(pages / f"{one.student}.html", report.as_feedback(one))
    print(f"{len(marked)} students, of {marked[0].possible} points each: {asked.csv}")


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": run_train,
    "evaluate": run_evaluate,
    "play": run_play,
    "plot": run_plot,
    "bench": run_bench,
    "reproduce": run_reproduce,
    "grade": run_grade,
}


def run(command: str, arguments: Sequence[str]) -> int:
    """Run a command of COMMANDS, and return its exit code: 0, or 1 for a run that has diverged."""
    try:
        COMMANDS[command](arguments)
    except Diverged as error:
        print(f"bpa: {error}", file=sys.stderr)
        return 1
    return 0
