"""The papers' comparisons remade: every variant at equal numbers of parameters, over many seeds.

And one of our own: what each of the settings that we chose is worth, changed by itself.

`bpa reproduce maze` fills a folder, runs/maze:

- `runs/VARIANT-SEED`: one run folder each, see `bpa.training.checkpoint`. `final.json` in it says that it is
  trained and evaluated; without that file the run is begun, or gone on with. What it warned of is in the .log
  beside it.
- `runs/.stop`: the sign to stop. While it is there, every run ends its iteration and is kept. Ctrl-C makes
  it, and so may you, from any machine that shares the folder; the next command takes it away.
- `settings.json`: the settings of each variant, and each sitting with its machine, versions and seconds.
- `curves.csv`, `final.csv`: made from the runs that are finished; `bpa.show.curves` draws `figure.png` from
  them.
- `weights/VARIANT.safetensors`: the trained network of one of these runs, whose score is the median's. Only
  of the papers' variants.
- `.lock`: held by the one command that may fill the folder.

The same command again goes on where the last one was stopped. One command at a time
fills a folder; a second is refused. What the two tables say is computed in `bpa.experiments.statistics`.

joblib spreads the runs: over processes of this machine, or over a Dask cluster whose machines share the
folder and have `bpa` with its extra `cluster`. A worker does one run at a time, and so has one thread::

    dask scheduler                                          # says its address
    dask worker tcp://HOST:8786 --nthreads 1 --nworkers 8   # on every machine
    bpa reproduce maze --cluster tcp://HOST:8786

A run whose command was killed ends here after its iteration; on a cluster it goes on until it is finished, or
until somebody makes `runs/.stop`.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
import math
import os
import platform
import signal
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

import torch
from torch import Tensor, nn

from bpa.arguments import require_choice, require_integer, require_path
from bpa.cells.base import RecurrentPolicy, SequencePolicy
from bpa.cells.sizes import count_parameters, matching_hidden_size
from bpa.engines.threads import cores
from bpa.experiments.bench import processor
from bpa.experiments.evaluate import episode_rewards, fresh_tasks, step_rewards
from bpa.experiments.statistics import Final, Point, median_runs
from bpa.textfile import utf8_text
from bpa.train import Diverged, Watch, train
from bpa.training import checkpoint as runs
from bpa.training.checkpoint import History, load_weights, read_history, save_weights, write_atomically
from bpa.training.config import TrainConfig
from bpa.training.presets import PRESETS
from bpa.training.signals import children_without_interrupts, deferred_signals
from bpa.training.supervised import batch_loss
from bpa.training.tasks import CueSettings, GymnasiumSettings, build_task, is_rewarded, sizes

VARIANTS: dict[str, dict[str, Any]] = {
    "none": {"plasticity": "none"},
    "plastic": {"plasticity": "plastic"},
    "simple": {"plasticity": "simple"},
    "retroactive": {"plasticity": "retroactive"},
    "lstm": {"cell": "lstm", "plasticity": "none"},
}


def part_of(preset: str, *names: str) -> dict[str, Any]:
    """Some settings of a preset."""
    return {name: getattr(PRESETS[preset], name) for name in names}


OPTIMISATION = ("optimizer", "learning_rate", "learning_rate_schedule", "gae_lambda")
# The settings of FULL["changes"], each changed by itself; `published` has all those of the program in the
# README, whose network is the one compared.
CHANGES: dict[str, dict[str, Any]] = {
    "as-it-is": {},
    "adam": {"optimizer": "adam", "learning_rate": 1e-3},
    "half-the-rate": {"learning_rate": 1.25e-3},
    "twice-the-rate": {"learning_rate": 5e-3},
    "constant-rate": {"learning_rate_schedule": "constant"},
    "lambda-1": {"gae_lambda": 1.0},
    "first-baseline": {"baseline": "first"},
    "concentration-0.03": {"concentration_coef": 0.03},
    "clip-1": {"clip": 1.0},
    "clip-4": {"clip": 4.0},
    "no-fanout": {"fanout": False},
    "alpha-per-neuron": {"alpha": "neuron"},
    "one-alpha": {"alpha": "network"},
    "published": part_of(
        "published-simplemaze", *OPTIMISATION, "concentration_coef", "warmup_iterations", "baseline"
    ),
}
# Each variant with each optimiser at each of as many rates, to find a rate for each of them; see "rates".
RATES: dict[str, dict[str, Any]] = {
    f"{variant}-{optimizer}-{rate:g}": fields | {"optimizer": optimizer, "learning_rate": rate}
    for variant, fields in VARIANTS.items()
    for optimizer, rates in {
        "adam": (5e-4, 1e-3, 2e-3, 4e-3),
        "muon": (1.25e-3, 2.5e-3, 5e-3, 1e-2),
    }.items()
    for rate in rates
}
RATE = next(iter(RATES))  # what their names are like
# The presets that train while somebody waits, by all their settings; see "presets".
LIVE: dict[str, dict[str, Any]] = {
    preset: {
        name: value for name, value in vars(PRESETS[preset]).items() if value != getattr(TrainConfig(), name)
    }
    for preset in ("quick", "solve")
}
EVERY = (*VARIANTS, *CHANGES, *RATES, *LIVE)  # whatever a comparison may hold
REFERENCE = "simple"  # the variant that has the hidden size asked for; the others match its parameters


class Budget(NamedTuple):
    """What a comparison may cost."""

    settings: dict[str, Any]  # of TrainConfig, where they are not those of `bpa.training.config.beginning`
    seeds: int = 10
    episodes: int = 500  # fresh ones, on which each run is evaluated
    variants: tuple[str, ...] = tuple(VARIANTS)
    first_seed: int = 0  # of training


# Found in short trials of one or two seeds: a large step with a short-sighted advantage learns fast. The
# network without plasticity can explode at this step size, so each variant halves it where a step goes wrong.
MAZE = {"learning_rate": 1e-3, "gae_lambda": 0.9, "on_divergence": "halve-lr"}
MUON = part_of("quick", *OPTIMISATION, "on_divergence")
# The small cue task of chapter 7: six cues, no pauses, and twenty trials of three steps. A wrong answer costs
# 1, as in the published code; the paper's own size (200 neurons, 200 steps) takes days here.
CUES = {
    "cues": CueSettings(num_cues=6, pause_steps=0, wrong_penalty=1.0),
    "episode_length": 60,
    "hidden_size": 32,
    "fanout": False,
    "gamma": 0.0,
    "concentration_coef": 0.5,
    "learning_rate": 5e-3,
    "on_divergence": "halve-lr",
}
# As Chapter 7 starts its networks: neurons keep what was shown, and a constant rate writes it at once.
KEPT_CUES = CUES | {"initial_self": 0.6, "initial_eta": 0.3}
# Tasks of somebody else's, cards of POPGym: name the suit of the last but three, or say how often the suit
# that is asked for has been there. What is earned in an episode lies between -1 and 1, so that the penalty on
# sure policies must be small.
CARDS = MUON | {
    "task": "gymnasium",
    "episode_length": 60,
    "hidden_size": 64,
    "batch_size": 16,
    "gamma": 0.95,
    "concentration_coef": 0.001,
    "iterations": 1500,
}
PREVIOUS = CARDS | {"gymnasium": GymnasiumSettings(env="popgym:popgym-RepeatPreviousEasy-v0")}
COUNTS = CARDS | {
    "gymnasium": GymnasiumSettings(env="popgym:popgym-CountRecallEasy-v0"),
    "iterations": 1000,
}
TUNING_SEED = 1000  # and those after it: rates are chosen on seeds that no comparison reports
SUPERVISED = {"on_divergence": "halve-lr"}  # and where `bpa train` begins: Adam at 3e-3, 60 or 80 neurons

# Minutes are those of two cores: seeds x iterations x milliseconds of an iteration, summed over the variants,
# over two. Milliseconds were measured over some twenty iterations in one thread, in the order of VARIANTS.
FULL = {
    # 100 neurons and ten runs [2019, sec. 4.2 and its code], on an 11 x 11 maze; the optimiser of the preset
    # `quick`, which in short trials served none, simple and LSTM better than Adam. Three seeds took 50
    # minutes on two faster cores than those of the other figures here.
    "maze": Budget(MUON | {"hidden_size": 100, "iterations": 5000}),
    # The size of the quick comparison: the seventy runs took 30 minutes, on the same faster cores.
    "changes": Budget(
        MUON | {"hidden_size": 64, "batch_size": 16, "iterations": 2000}, 5, variants=tuple(CHANGES)
    ),
    # The same size, at a rate that each variant likes: eighty runs. With the rates that they show
    # (`--variants`) and other seeds (`--first-seed 0 --seeds 10`) it compares optimisers and variants.
    "rates": Budget(
        MUON | {"hidden_size": 64, "batch_size": 16, "iterations": 2000},
        2,
        variants=tuple(RATES),
        first_seed=TUNING_SEED,
    ),
    # What a reader may expect of each: 20 runs, 26 minutes.
    "presets": Budget({}, variants=tuple(LIVE)),
    # Ten runs [2019, sec. 4.1]. 12, 13, 13, 15 and 13 ms: 28 minutes.
    "cues": Budget(CUES | {"iterations": 5000}),
    "cues-kept": Budget(KEPT_CUES | {"iterations": 5000}),  # as long
    # A rate for each variant is looked for first, as in "rates"; the runs are at it, with `--variants`.
    # Thirty runs took 13 and 10 minutes, the forty trials of the first search about 20.
    "repeat-previous": Budget(PREVIOUS),
    "repeat-previous-rates": Budget(PREVIOUS, 1, variants=tuple(RATES), first_seed=TUNING_SEED),
    "count-recall": Budget(COUNTS),
    "count-recall-rates": Budget(COUNTS, 1, variants=tuple(RATES), first_seed=TUNING_SEED),
    # Five times as long as `bpa train` takes. 10, 13, 11, 20 and 8 ms: 26 minutes.
    "patterns": Budget(SUPERVISED | {"iterations": 5000}),
    "pictures": Budget(SUPERVISED | {"iterations": 5000}),  # 12, 16, 18, 22 and 11 ms: 33 minutes
    "sequences": Budget(SUPERVISED | {"iterations": 5000}),  # 30, 37, 37, 46 and 29 ms: 75 minutes
}
QUICK = {
    # After 3,000 iterations two seeds of "simple" had 140 and 132 reward (mean of the last 100), of "plastic"
    # 117 and 104; one of "retroactive" had 141, and one of "none", after 2,500, had 63. 22, 32, 29, 39 and
    # 28 ms: 11 minutes, and one or two for starting and evaluation; on the faster cores 8 minutes in all.
    "maze": Budget(MAZE | {"hidden_size": 64, "batch_size": 16, "iterations": 3000}, 3, 200),
    "changes": Budget(
        MUON | {"hidden_size": 64, "batch_size": 16, "iterations": 500}, 3, 200, tuple(CHANGES)
    ),
    "rates": Budget(
        MUON | {"hidden_size": 64, "batch_size": 16, "iterations": 500}, 1, 200, tuple(RATES), TUNING_SEED
    ),
    "presets": Budget({}, 3, 200, ("quick",)),
    "cues": Budget(CUES | {"iterations": 2000}, 3, 200),  # 3 minutes
    "cues-kept": Budget(KEPT_CUES | {"iterations": 2000}, 3, 200),
    "repeat-previous": Budget(PREVIOUS | {"iterations": 500}, 3, 200),
    "repeat-previous-rates": Budget(PREVIOUS | {"iterations": 500}, 1, 200, tuple(RATES), TUNING_SEED),
    "count-recall": Budget(COUNTS | {"iterations": 500}, 3, 200),
    "count-recall-rates": Budget(COUNTS | {"iterations": 500}, 1, 200, tuple(RATES), TUNING_SEED),
    "patterns": Budget(SUPERVISED, 3, 200),  # 2 minutes
    "pictures": Budget(SUPERVISED, 3, 200),  # 2 minutes
    "sequences": Budget(SUPERVISED, 3, 200),  # 5 minutes
}

FIRST_EVALUATION_SEED = 1_000_000  # plus that of the training, which must be below it
FINAL = "final.json"  # in a run folder: the run is complete
STOP = ".stop"  # beside the run folders: no run goes on
PATIENCE = 30.0  # seconds for a cluster to answer
MOST_POINTS = 200  # of a run in curves.csv
# What differs from run to run, or is no matter of the comparison.
OF_A_RUN = {"cell", "plasticity", "seed", "out", "resume", "quiet", "checkpoint_every", "tensorboard"}


class Job(NamedTuple):
    """One run of a comparison."""

    variant: str
    config: TrainConfig  # with the seed, and the run folder as `out`
    episodes: int


Row = TypeVar("Row", Final, Point)


def score_name(task: str) -> str:
    """What is compared in this task: the reward of an episode, or its loss."""
    return "reward" if is_rewarded(task) else "loss"


def equal_configs(config: TrainConfig, variants: Iterable[str] = tuple(VARIANTS)) -> dict[str, TrainConfig]:
    """A config for each variant, all with about as many parameters as "simple" has at `config.hidden_size`.

    Raises:
        ValueError: a variant is unknown, or has no meaning with the other settings.
    """
    inputs, outputs = sizes(build_task(config, batch_size=1))

    def network(kind: TrainConfig, hidden_size: int) -> nn.Module:
        return runs.build_network(kind, shape=(inputs, hidden_size, outputs))

    budget = count_parameters(network(config.replace(**VARIANTS[REFERENCE]), config.hidden_size))

    def matched(kind: TrainConfig) -> TrainConfig:
        return kind.replace(hidden_size=matching_hidden_size(lambda h: network(kind, h), budget))

    for variant in variants:
        require_choice("variants", variant, VARIANTS)
    return {variant: matched(config.replace(**VARIANTS[variant])) for variant in variants}


def configs_of(config: TrainConfig, variants: Iterable[str]) -> dict[str, TrainConfig]:
    """A config for each of `variants`: as `equal_configs`, or `config` changed as one of the tables says.

    Those of RATES have as many neurons as their variant in `equal_configs`.

    Raises:
        ValueError: a variant is in no table, or has no meaning with the other settings.
    """
    asked = dict.fromkeys(variants)
    for variant in asked:
        if variant not in EVERY:
            named = ", ".join(map(repr, (*VARIANTS, *CHANGES, *LIVE)))
            raise ValueError(f"variants must be one of {named}, or a rate as {RATE!r}, got {variant!r}")
    of = {name: name.split("-")[0] if name in RATES else name for name in asked}
    changed = CHANGES | LIVE
    equal = equal_configs(config, dict.fromkeys(v for v in of.values() if v in VARIANTS))
    return {
        name: equal[v].replace(**RATES.get(name, {})) if v in VARIANTS else config.replace(**changed[name])
        for name, v in of.items()
    }


@torch.no_grad()
def episode_scores(net: SequencePolicy, config: TrainConfig, episodes: int, seed: int) -> Tensor:
    """Reward, or loss, of each of so many fresh episodes, by the engine of `config`: float64 [episodes]."""
    if is_rewarded(config.task):
        return episode_rewards(net, config, episodes, seed, config.engine).double().cpu()
    losses = []
    for task in fresh_tasks(net, config, episodes, seed):
        batch = task.sample()
        logits = net.unroll(batch.inputs, engine=config.engine).logits
        each = [slice(b, b + 1) for b in range(task.batch_size)]
        losses += [batch_loss(logits[:, one], batch.shard(one)).item() for one in each]
    return torch.tensor(losses, dtype=torch.float64, device="cpu")


def complete(job: Job, watch: Watch | None = None) -> Final:
    """Train a run or go on with it, evaluate it, and note the outcome in its folder; once only.

    A run that diverges for good is evaluated with the weights that it kept.
    """
    folder = Path(job.config.out or "")
    if (known := read_final(folder)) is not None:
        return known
    try:
        train(job.config.replace(resume=folder.exists()), watch)
    except Diverged as reason:
        print(f"{folder}: {reason}", file=sys.stderr)
    checkpoint = runs.load_checkpoint(folder)
    net, config = load_weights(folder)
    seed = FIRST_EVALUATION_SEED + config.seed
    scores, greedy = episode_scores(net, config, job.episodes, seed), None
    if is_rewarded(config.task):
        likeliest = step_rewards(net, config, job.episodes, seed, config.engine, greedy=True)
        greedy = likeliest.sum(0).double().mean().item()
    quarters = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64, device="cpu")
    lower, median, upper = scores.quantile(quarters).tolist()
    final = Final(
        task=config.task,
        variant=job.variant,
        seed=config.seed,
        iterations=checkpoint.iteration,
        seconds=checkpoint.seconds,
        parameters=count_parameters(net),
        episodes=job.episodes,
        mean=scores.mean().item(),
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        standard_error=scores.std(correction=1).item() / job.episodes**0.5 if job.episodes > 1 else 0.0,
        greedy=greedy,
        left_out=checkpoint.left_out_in_all,
        rate_left=checkpoint.learning_rate_scale,
    )
    write_json(folder / FINAL, final._asdict())
    return final


def read_final(folder: Path) -> Final | None:
    """The outcome noted in a run folder, None if it is not complete; ValueError if the note is not ours."""
    if not os.path.exists(folder / FINAL):
        return None
    try:
        return Final(**read_json(folder / FINAL))
    except TypeError as error:
        raise ValueError(f"{folder / FINAL} holds no outcome of a run: {error}") from None


def thinned(config: TrainConfig, variant: str, history: History) -> list[Point]:
    """A learning curve of at most MOST_POINTS points, each the mean over as many iterations.

    Losses that are not finite, of steps that were left out, do not count.
    """
    width = -(-config.iterations // MOST_POINTS)
    points = []
    for begun in range(0, len(history), width):
        part = history[begun : begun + width]
        scores = [
            score for record in part if math.isfinite(score := getattr(record, score_name(config.task)))
        ]
        mean = statistics.fmean(scores) if scores else math.nan
        points.append(Point(config.task, variant, config.seed, part[-1].iteration, mean, part[-1].seconds))
    return points


def read_json(path: Path) -> Any:
    """What a JSON file says; ValueError names one that cannot be read."""
    try:
        return json.loads(utf8_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file for people and scripts, atomically."""
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())


def write_table(path: Path, kind: type[Row], rows: Iterable[Row], score: str) -> None:
    """Write rows as CSV, atomically; a column "score" is given the name of what was scored."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(score if name == "score" else name for name in kind._fields)
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def read_table(path: str | Path, kind: type[Row]) -> list[Row]:
    """The rows of curves.csv (`Point`) or final.csv (`Final`).

    A column at the end for which there is a default may be missing, and an empty cell is the default.

    Raises:
        ValueError: the file cannot be read, or is no such table.
    """
    names, defaults = list(kind._fields), kind._field_defaults
    # Of `float | None` the float.
    reads = {name: (get_args(hint) or (hint,))[0] for name, hint in get_type_hints(kind).items()}
    try:
        head, *lines = list(csv.reader(io.StringIO(utf8_text(path)))) or [[]]
        known = ["score" if name in ("reward", "loss") else name for name in head]
        if known != names[: len(known)] or len(known) < len(names) - len(defaults):
            raise ValueError(f"its columns are {', '.join(head)}")
        return [
            kind(
                *(
                    defaults[name] if name in defaults and text == "" else reads[name](text)
                    for name, text in zip(known, line, strict=True)
                )
            )
            for line in lines
        ]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} is no table of {kind.__name__.lower()}s: {error}") from None


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every single value of nested tables by its dotted name: "cues.num_cues"."""
    named: dict[str, Any] = {}
    for name, value in tree.items():
        named |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return named


def described(
    config: TrainConfig, configs: dict[str, TrainConfig], seeds: int, episodes: int, first_seed: int
) -> dict[str, Any]:
    """What settings.json says of a comparison that has not begun."""
    return {
        "seeds": seeds,
        "first_seed": first_seed,
        "curves": f"at most {MOST_POINTS} points a run: each is the mean over the iterations since the last",
        "settings": {name: value for name, value in config.as_dict().items() if name not in OF_A_RUN}
        | {"evaluation_episodes": episodes, "first_evaluation_seed": FIRST_EVALUATION_SEED},
        "variants": {
            variant: {
                "hidden_size": each.hidden_size,
                "parameters": count_parameters(runs.build_network(each)),
            }
            for variant, each in configs.items()
        },
        "sittings": [],
    }


def machine() -> dict[str, Any]:
    """What settings.json says of a machine."""
    system = f"{platform.system()} {platform.machine()}"
    return {"processor": processor(), "cores": cores(), "system": system}


def machines(client: Any) -> dict[str, Any]:
    """What settings.json says of this machine, or of each kind that a cluster has."""
    if client is None:
        return machine()
    kinds = client.run(machine).values()
    return {"cluster": [kind for n, kind in enumerate(kinds) if kind not in list(kinds)[:n]]}


def agreed(out: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """The settings of a new folder, or those of one to go on with and what `asked` adds: variants and seeds.

    Raises:
        ValueError: something else is there, or a setting differs from what the runs in it were made with.
    """
    path = out / "settings.json"
    if not os.path.exists(path):
        if os.path.lexists(out) and (
            not out.is_dir() or set(os.listdir(out)) - {"runs", "settings.json.partial", ".lock"}
        ):
            raise ValueError(f"out {out} exists, is no comparison of bpa and is never overwritten")
        return asked
    held, now = read_json(path), flat(asked["settings"])
    try:
        for name, value in flat(held["settings"]).items():
            if now.get(name) != value:
                raise ValueError(f"{name} is {value!r} in {path}, got {now.get(name)!r}: choose another out")
        if asked["first_seed"] != held.get("first_seed", 0):
            raise ValueError(
                f"first_seed is {held.get('first_seed', 0)} in {path}, got {asked['first_seed']}: choose "
                "another out"
            )
        if asked["seeds"] < held["seeds"]:
            raise ValueError(f"seeds is {held['seeds']} in {path}, got {asked['seeds']}: it may only grow")
        return held | {"seeds": asked["seeds"], "variants": held["variants"] | asked["variants"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no settings of a comparison: {error!r}") from None


def orphaned(command: int | None) -> bool:
    """Whether the process has died whose child this one was; None: this is no child. Windows cannot tell."""
    return os.name == "posix" and command not in (None, os.getpid(), os.getppid())


RUNNING = threading.Lock()  # held by a worker during a run


@functools.cache  # once a process
def serve(command: int) -> None:
    """Make this process a worker of `command`, which alone hears Ctrl-C and whose death it does not outlive.

    By itself an idle worker of joblib stays for five minutes, and holds the streams of the command meanwhile.
    """

    def leave() -> None:
        while not orphaned(command):
            time.sleep(0.5)
        with RUNNING:
            os._exit(1)

    if os.getpid() != command:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=leave, daemon=True).start()


def apart(job: Job, home: str, command: int | None) -> Final | str | None:
    """`complete` in a worker of joblib and in one thread, which logs beside the run folder.

    Small tensors gain nothing from a second thread, which would spin on the core of another run.

    Args:
        job: the run. home: where its path begins, if it is relative.
        command: the process that started the worker; None on a cluster.

    Returns:
        Its outcome; a line that says why it failed; or None if it was stopped, and can be gone on with.
    """
    folder = Path(home, job.config.out or "")
    mark = folder.with_name(STOP)

    def heed(net: RecurrentPolicy, history: History) -> None:
        if mark.exists() or orphaned(command):
            raise KeyboardInterrupt

    if command is not None:
        serve(command)
    if mark.exists() or orphaned(command):
        return None
    torch.set_num_threads(1)
    try:
        with (
            RUNNING,
            open(f"{folder}.log", "a", encoding="utf-8", errors="backslashreplace", newline="\n") as log,
            contextlib.redirect_stderr(log),
        ):
            return logged(job._replace(config=job.config.replace(out=str(folder))), heed)
    except Exception as error:
        return f"{job.config.out} failed: {''.join(traceback.format_exception_only(error)).strip()}"


def logged(job: Job, watch: Watch) -> Final | None:
    """`complete`, which says on stderr how it ended if not well; None if it was stopped."""
    try:
        return complete(job, watch)
    except KeyboardInterrupt:
        print("stopped; what it has learned is kept", file=sys.stderr)
        return None
    except Exception:
        traceback.print_exc()
        raise


def dispatched(jobs: Sequence[Job], workers: int, client: Any) -> Generator[Final | str | None, None, None]:
    """What `apart` gives for each of `jobs`, as they end; the first ones are on their way."""
    from joblib import Parallel, delayed, parallel_config  # here, because it takes half a second

    home, command = os.getcwd(), os.getpid() if client is None else None
    calls = (delayed(apart)(job, home, command) for job in jobs)
    how = {"return_as": "generator_unordered", "batch_size": 1, "pre_dispatch": workers}
    if client is not None:
        with parallel_config("dask", client=client):
            return Parallel(**how)(calls)
    with parallel_config("loky", inner_max_num_threads=1), children_without_interrupts():
        return Parallel(max(2, min(workers, len(jobs))), **how)(calls)  # of one it would make none


def side_by_side(jobs: Iterable[Job], workers: int, client: Any = None) -> Generator[Final, None, None]:
    """Complete `jobs`, so many at a time, in the order in which they end; one at a time needs no processes.

    Closed or interrupted, it lets every run end its iteration and keep it; a second Ctrl-C does not wait.
    A run that fails is told on stderr, and the others go on.

    Args:
        jobs: runs whose folders lie side by side.
        workers: runs at a time. client: of the Dask cluster that does them; None: processes of this machine.

    Raises:
        ChildProcessError: a run failed, with the last line that it said; or the workers have died.
        KeyboardInterrupt: it was stopped.
    """
    waiting = list(jobs)
    if client is None and (workers == 1 or not waiting):
        yield from map(complete, waiting)
        return
    mark = Path(waiting[0].config.out or "").with_name(STOP)
    mark.unlink(missing_ok=True)
    failed, stopped = [], False
    # An exception would make joblib kill its workers, so a signal only leaves the mark.
    with deferred_signals(mark.touch) as signals:
        finished = dispatched(waiting, workers, client)
        try:
            for outcome in finished:
                if isinstance(outcome, Final):
                    yield outcome
                elif outcome is None:
                    stopped = True
                else:
                    failed.append(outcome)
                    print(outcome, file=sys.stderr)
        except GeneratorExit:  # who asked wants no more
            mark.touch()
            for _ in finished:
                pass
            mark.unlink()
            raise
        except Exception as error:  # of joblib: whatever a run may raise is a line
            mark.touch()  # on a cluster some may still be on their way
            said = " ".join(str(error).split()) or type(error).__name__
            raise ChildProcessError(f"the workers are lost, and the same command goes on: {said}") from error
        mark.unlink(missing_ok=True)
    if signals or stopped:
        raise KeyboardInterrupt
    if failed:
        others = f" ({len(failed) - 1} more failed)" if len(failed) > 1 else ""
        raise ChildProcessError(failed[0] + others)


@contextlib.contextmanager
def connected(cluster: str | None) -> Iterator[Any]:
    """A client of the Dask cluster whose scheduler has this address, None without an address.

    Raises:
        ValueError: it cannot be reached, or its workers cannot do the runs.
    """
    if cluster is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(
            'cluster needs the extra of that name: in your copy of this project, pip install ".[cluster]"'
        ) from None
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(Client(cluster, timeout=PATIENCE, set_as_default=False))
            client.wait_for_workers(1, timeout=PATIENCE)
        except (OSError, ValueError) as error:
            raise ValueError(f"cluster {cluster} has no worker that can be reached: {error}") from None
        threads = client.nthreads().values()
        if max(threads) > 1 or len(threads) < 2:
            raise ValueError(
                f"cluster {cluster} must have two workers or more of one thread each, as of "
                f"dask worker --nthreads 1, got threads {', '.join(map(str, threads))}"
            )
        yield client


def same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two networks of one variant hold the same numbers."""
    held = other.state_dict()
    return all(torch.equal(tensor, held[name]) for name, tensor in one.state_dict().items())


def publish(out: Path, settings: dict[str, Any]) -> list[Final]:
    """Make tables and weights from the runs that are finished; what final.csv holds."""
    finals, points = [], []
    first_seed = settings.get("first_seed", 0)
    for variant in (name for name in EVERY if name in settings["variants"]):
        for seed in range(first_seed, first_seed + settings["seeds"]):
            folder = out / "runs" / f"{variant}-{seed}"
            if (final := read_final(folder)) is not None:
                finals.append(final)
                history = read_history(folder / "history.csv")
                points += thinned(runs.read_settings(folder), variant, history)
    score = score_name(settings["settings"]["task"])
    write_table(out / "final.csv", Final, finals, score)
    write_table(out / "curves.csv", Point, points, score)
    for variant, final in median_runs(final for final in finals if final.variant in VARIANTS).items():
        net, config = load_weights(out / "runs" / f"{variant}-{final.seed}")
        path = out / "weights" / f"{variant}.safetensors"
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or not same_weights(load_weights(path)[0], net):
            save_weights(path, net, config.replace(out=None, resume=False))
    return finals


def fill(
    out: Path,
    settings: dict[str, Any],
    left: Sequence[Job],
    total: int,
    workers: int,
    say: Callable[[str], None],
    client: Any = None,
) -> None:
    """Do the runs that are left of `total`, and note after each how long this sitting has taken.

    Raises:
        ChildProcessError: a run failed; KeyboardInterrupt: it was stopped. What is finished is in the tables.
    """
    begun, done = time.perf_counter(), total - len(left)
    try:
        with contextlib.closing(side_by_side(left, workers, client)) as finished:
            for final in finished:
                done += 1
                seconds = time.perf_counter() - begun
                settings["sittings"][-1]["seconds"] = seconds
                write_json(out / "settings.json", settings)
                say(
                    f"{final.variant}, seed {final.seed}: {score_name(final.task)} {final.mean:.4g} in fresh "
                    f"episodes after {final.iterations:,} iterations in {final.seconds:.0f} s; "
                    f"{done} of {total} runs, {seconds / 60:.0f} min"
                )
    except ChildProcessError:
        publish(out, settings)
        raise
    except KeyboardInterrupt:
        publish(out, settings)
        raise KeyboardInterrupt(
            f"stopped with {done} of {total} runs finished; the same command goes on"
        ) from None


def reproduce(
    config: TrainConfig,
    out: str | Path,
    variants: Sequence[str] = tuple(VARIANTS),
    seeds: int = 10,
    episodes: int = 500,
    workers: int | None = None,
    say: Callable[[str], None] = print,
    cluster: str | None = None,
    first_seed: int = 0,
) -> list[Final]:
    """Fill the folder `out` with a comparison, or go on filling it.

    Args:
        config: settings of all runs; see `configs_of` for what each variant makes of them.
        variants: of VARIANTS, of CHANGES or of RATES. seeds: of training, as many from `first_seed` on. Both
            may grow in a folder gone on with.
        episodes: fresh ones for each evaluation, with seeds that no training has; at least 1.
        workers: runs side by side, each a process with one thread; one a core if None. One alone runs here.
        say: is told of every run that ends.
        cluster: the address of a Dask scheduler, over whose workers the runs are spread, as many at a time as
            there are now if `workers` is None. They and this process must share `out`.
        first_seed: of training; at least 0.

    Returns:
        All finished runs of the folder.

    Raises:
        ValueError: an argument is out of range, or the folder holds something else or other settings.
        ChildProcessError: a run failed; the others were finished.
        KeyboardInterrupt: it was stopped; the tables hold what is finished, the rest can be gone on with.
    """
    out = Path(require_path("out", out))
    first_seed = require_integer("first_seed", first_seed, low=0, high=FIRST_EVALUATION_SEED - 1)
    seeds = require_integer("seeds", seeds, low=1, high=FIRST_EVALUATION_SEED - first_seed)
    episodes = require_integer("episodes", episodes, low=1)
    workers = None if workers is None else require_integer("workers", workers, low=1)
    if not variants:
        named = ", ".join((*VARIANTS, *CHANGES, *LIVE, RATE))
        raise ValueError(f"variants must hold at least one of {named}, or another rate, got none")
    config = config.replace(quiet=True)
    configs = configs_of(config, variants)
    settings = agreed(out, described(config, configs, seeds, episodes, first_seed))
    jobs = [
        Job(variant, each.replace(seed=seed, out=str(out / "runs" / f"{variant}-{seed}")), episodes)
        for seed in range(first_seed, first_seed + seeds)
        for variant, each in reversed(configs.items())  # an LSTM takes longest, and should not come last
    ]
    left = [job for job in jobs if not os.path.exists(Path(job.config.out or "") / FINAL)]
    counts = {variant: about["parameters"] for variant, about in settings["variants"].items()}
    settings["largest_difference_in_parameters"] = max(counts.values()) / min(counts.values()) - 1
    with connected(cluster) as client:
        workers = workers or (cores() if client is None else len(client.nthreads()))
        try:
            (out / "runs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"out {out} cannot be made: {error.strerror}") from None
        say(
            f"{out}: {len(left)} of {len(jobs)} runs to do, {workers} at a time; parameters: "
            + ", ".join(f"{variant} {count:,}" for variant, count in counts.items())
            + f", at most {settings['largest_difference_in_parameters']:.1%} apart"
        )
        if left:
            sitting = {"workers": workers, **runs.versions(), "seconds": 0.0}
            settings["sittings"].append(machines(client) | sitting)
        with runs.written_alone(out):
            write_json(out / "settings.json", settings)
            fill(out, settings, left, len(jobs), workers, say, client)
            return publish(out, settings)
