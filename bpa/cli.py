"""The command line: bpa train | evaluate."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, Any, Literal

import tyro

from bpa import runs
from bpa.config import DEFAULTS, PRESETS, TrainConfig
from bpa.evaluate import evaluate
from bpa.train import Diverged, train

USAGE = """usage: bpa COMMAND [OPTIONS]

  train     train an agent in the grid maze, or on another task
  evaluate  score a trained network on fresh episodes

bpa COMMAND --help says more. bpa --version prints the version."""


@dataclasses.dataclass(frozen=True)
class TrainArguments:
    """Train a network. Flags win over --config, and that over --preset; a resumed run keeps its own settings.

    Each task begins with settings of its own, which `bpa train --task TASK --help` shows.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: Literal["quick", "paper", "paper-cues"] | None = None
    """Settings to start from: "quick", about two minutes on two cores; "paper" and "paper-cues", the
    published ones of the maze and of the cue-reward task."""
    file: Annotated[str | None, tyro.conf.arg(name="config")] = None
    """A TOML file of settings, those of a task in a table of its name; they win over the preset."""


@dataclasses.dataclass(frozen=True)
class EvaluateArguments:
    """Score a trained network on fresh episodes."""

    run: tyro.conf.Positional[str]
    """A run folder or a .safetensors file."""
    episodes: int = 500
    """Fresh episodes; at least 1."""
    seed: int = 1
    """Seed of goals, actions and teleports."""
    json: bool = False
    """Print one JSON object."""


def parse(kind: type, arguments: Sequence[str], prog: str, default: Any = tyro.MISSING_NONPROP) -> Any:
    """`arguments` as a `kind`; what tyro finds wrong becomes one line of a ValueError."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, prog=prog, args=arguments, default=default)
    except SystemExit as stop:
        if not stop.code:
            raise
        inside = [line.strip("│ ") for line in said.getvalue().splitlines() if line.startswith("│")]
        inside = inside[: next((n for n, line in enumerate(inside) if line.startswith("──")), None)]
        raise ValueError(" ".join(inside) or said.getvalue().strip()) from None


def value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """The value given for `flag`, looked up before the full parse because other defaults depend on it."""
    for position, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == flag:
            return value if equals else next(iter(arguments[position + 1 :]), None)
    return None


def read_table(path: str) -> dict[str, Any]:
    """What a TOML file says; ValueError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ValueError(f"config {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"config {path} is no TOML: {error}") from None


def run_train(arguments: Sequence[str]) -> None:
    """bpa train"""
    default = DEFAULTS.get(value_of("--task", arguments) or "maze", TrainConfig())
    default = PRESETS.get(value_of("--preset", arguments) or "", default)
    out = value_of("--out", arguments)
    if "--resume" in arguments and out is not None:
        default = runs.load_checkpoint(out).config
    file = value_of("--config", arguments)
    if file is not None:
        default = default.updated(read_table(file))
    config = parse(TrainArguments, arguments, "bpa train", TrainArguments(default)).config
    if config.out is None:
        config = config.replace(out=f"runs/{config.task}-{config.plasticity}-{config.seed}")
    result = train(config)
    recent = [record[1] for record in result.history[-100:]]
    score = {"reward": "reward per episode"}.get(kind := result.history[-1]._fields[1], kind)
    print(
        f"{config.out}: {len(result.history)} iterations in {result.history[-1].seconds:.0f} s, "
        f"{score} {sum(recent) / len(recent):.4g} over the last {len(recent)}"
    )


def run_evaluate(arguments: Sequence[str]) -> None:
    """bpa evaluate"""
    asked = parse(EvaluateArguments, arguments, "bpa evaluate")
    scores = evaluate(*runs.load_weights(asked.run), episodes=asked.episodes, seed=asked.seed)
    if asked.json:
        print(json.dumps(scores))
        return
    for name, value in scores.items():
        print(f"{name:22} {value:g}")


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {"train": run_train, "evaluate": run_evaluate}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit codes: 0, 2 for bad input, 1 for a run that failed, 130 for one stopped."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        if command in ("-h", "--help"):
            print(USAGE)
        elif command == "--version":
            print(f"bpa {version('bpa')}")
        elif command in COMMANDS:
            COMMANDS[command](rest)
        else:
            raise ValueError(f"command must be one of {', '.join(COMMANDS)}, got {command!r}")
        sys.stdout.flush()  # here, where a reader that has gone is noticed
    except ValueError as error:
        print(f"bpa: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"bpa: {stop or 'stopped at once; the last checkpoint is kept'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone: nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Diverged, OSError) as error:
        print(f"bpa: {error}", file=sys.stderr)
        return 1
    return 0
