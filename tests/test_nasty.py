"""Nasty inputs of every kind: one clear line that names the argument and what came, or the right answer."""

import copy
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bpa import GridMaze, Network, TrainConfig
from bpa.arguments import MOST_SHOWN, require_choice, require_flag, require_integer, require_number
from bpa.cells.lstm import LSTM
from bpa.cells.published import load_published
from bpa.cli import main
from bpa.engines import choose, reason_outside
from bpa.envs.cue_reward import CueReward
from bpa.envs.gymnasium import GridMazeEnv, GridMazeVectorEnv
from bpa.experiments.reproduce import reproduce
from bpa.show.curves import save_curves
from bpa.show.play import save_film
from bpa.tasks.patterns import Patterns
from bpa.train import train
from bpa.training.checkpoint import create_folder, load_weights, write_atomically
from bpa.training.distributed import join_team, own_device

posix = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and their paths are POSIX's")
SMALL = {"iterations": 2, "batch_size": 2, "episode_length": 4, "hidden_size": 3, "size": 5}
TRAIN = ["train", "--quiet", "--engine", "eager"]
TRAIN += [word for name, number in SMALL.items() for word in (f"--{name.replace('_', '-')}", str(number))]
EVALUATE = ["evaluate", "run", "--episodes", "2", "--engine", "eager"]
RESUME = ["train", "--resume", "--out", "run", "--quiet", "--engine", "eager"]
DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a small run."""
    folder = tmp_path_factory.mktemp("nasty") / "run"
    train(TrainConfig(**SMALL, out=str(folder), quiet=True, engine="eager"))
    return folder


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """An empty working folder with a copy of that run in it, called "run"."""
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder):
    """Every file below `folder`, but for locks, and what it holds; links are not followed."""
    held = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            held[path] = os.readlink(path)
        elif path.is_file() and path.name != ".lock":
            held[path] = path.read_bytes()
    return held


def refusal(capsys, arguments):
    """The one line by which a command is refused."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bpa: error: ")
    assert err.count("\n") == 1
    return err


REFUSED = {
    "no command": ([""], "got ''"),
    "a command in other letters": (["тrain"], "got 'тrain'"),
    "a number of thousands of digits": (["train", "--iterations", "9" * 5000], "--iterations"),
    "a seed of 400 digits": (["train", "--seed", "9" * 400], "seed must be"),
    "a hexadecimal number": (["train", "--iterations", "0x10"], "'0x10'"),
    "an exponent": (["train", "--iterations", "1e3"], "'1e3'"),
    "minus nothing": (["train", "--iterations", "-0"], "iterations must be"),
    "no number": (["train", "--learning-rate", "nan"], "learning_rate must be"),
    "negative zero": (["train", "--learning-rate", "-0.0"], "learning_rate must be"),
    "less than any number": (["train", "--learning-rate", "1e-400"], "learning_rate must be"),
    "more than float32 holds": ([*TRAIN, "--clip", "1e39"], "clip must be"),
    "a reward beyond float32": ([*TRAIN, "--reward", "1e39"], "reward must be"),
    "a penalty beyond float32": ([*TRAIN, "--wall-penalty", "1e308"], "wall_penalty must be"),
    "a flag without its value": (["train", "--out"], "--out"),
    "a file flag without its value": (["train", "--config"], "--config"),
    "a flag in place of a value": (["train", "--out", "--resume"], "value for argument '--out'"),
    "an empty folder": (["train", "--out="], "out must be"),
    "an empty folder to resume": (["train", "--resume", "--out", ""], "out must be"),
    "a value for a switch": (["train", "--resume=True"], "True"),
    "half a character": ([*TRAIN, "--out", "a\ud800b"], "out must be"),
    "half a character in a file": ([*TRAIN, "--config", "a\ud800b"], "config must be"),
    "half a character to evaluate": (["evaluate", "a\ud800b"], "path must be"),
    "a nul": (["evaluate", "a\0b"], "path must be"),
    "a folder for a file": ([*TRAIN, "--config", "."], "config . cannot be read"),
    "too long a name": ([*TRAIN, "--out", "x" * 300], "cannot be made"),
    "too long a path": ([*TRAIN, "--out", "x/" * 3000 + "x"], "cannot be made"),
    "the root": ([*TRAIN, "--out", "/"], "out / exists"),
    "an agent in capitals": (["evaluate", "MAZE-9"], "MAZE-9 does not exist"),
    "an agent after a space": (["evaluate", " maze-9"], "maze-9 does not exist"),
    "two runs to evaluate": (["evaluate", "run", "run"], "run"),
    "a seed of 65 bits": (["evaluate", "run", "--seed", str(2**64)], "seed must be"),
    "an engine in capitals": (["evaluate", "run", "--engine", "NUMBA"], "NUMBA"),
    "no episode": ([*EVALUATE, "--episodes", "0"], "episodes must be"),
    "a history for weights": (["evaluate", "run/history.csv"], "history.csv is not a readable"),
    "a file to resume in": (["train", "--resume", "--out", "run/config.json"], "config.json"),
    "nothing to plot": (["plot"], "runs"),
    "an empty run to plot": (["plot", ""], "cannot be read"),
    "too long a picture": (["plot", "run", "--save", "x" * 300 + ".png"], "cannot be written"),
    "a picture without a kind": (["plot", "run", "--save", "o"], "save must end in"),
    "a window of nothing": (["plot", "run", "--window", "0"], "window must be"),
    "too long a film": (["play", "run", "--engine", "eager", "--save", "x" * 300 + ".gif"], "cannot be"),
    "no frames": (["play", "run", "--fps", "0"], "fps must be"),
    "endless seconds": (["bench", "--seconds", "inf"], "seconds must be"),
    "seconds that are none": (["bench", "--seconds", "nan"], "seconds must be"),
    "no rounds": (["bench", "--rounds", "0"], "rounds must be"),
    "too many seeds": (["reproduce", "maze", "--quick", "--seeds", "9" * 30], "seeds must be"),
    "no workers": (["reproduce", "maze", "--quick", "--workers", "0"], "workers must be"),
    "an unknown variant": (["reproduce", "maze", "--quick", "--variants", "lstm", "LSTM"], "'LSTM'"),
    "a run for a comparison": (["reproduce", "maze", "--quick", "--out", "run"], "out run exists"),
    "too long a comparison": (["reproduce", "maze", "--quick", "--out", "x" * 300], "cannot be made"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_command_line_cannot_take_is_refused_in_one_line(name, here, capsys):
    arguments, said = REFUSED[name]
    before = files(here)
    err = refusal(capsys, arguments)
    assert said in err
    assert files(here) == before


TOML = {
    "deep lists": (f"x = {DEEP}", "no TOML"),
    "deep tables": ("a = " + "{a=" * 5000 + "1" + "}" * 5000, "no TOML"),
    "a date": ("seed = 2020-01-01", "seed must be"),
    "a date for a folder": ("out = 2020-01-01T00:00:00Z", "out must be"),
    "a key twice": ("seed = 1\nseed = 2", "no TOML"),
    "a hexadecimal number of thousands of digits": ("seed = 0x" + "f" * 6000, "seed must be"),
    "such a rate": ("learning_rate = 0x" + "f" * 6000, "learning_rate must be"),
    "infinity": ("size = inf", "size must be"),
    "nan": ("clip = nan", "clip must be"),
    "a list for a table": ("cues = [1]", "cues must be"),
    "a list for a word": ('task = ["maze"]', "task must be"),
    "a table for a word": ("[task]\na = 1", "task must be"),
    "a word without end": (f'task = "{"x" * 1_000_000}"', "task must be"),
    "a switch in words": ('resume = "yes"', "resume must be"),
    "a nul": ('out = "a\\u0000b"', "out must be"),
    "an empty key": ('"" = 1', "''"),
    "another alphabet": ('"ключ" = 1', "ключ"),
    "lines ended as on an old Mac": ("seed = 1\rclip = 3", "no TOML"),
    "more cues than anybody has": ("cues.num_cues = 1000000000000", "cues.num_cues must be"),
}


@pytest.mark.parametrize("name", TOML)
def test_a_nasty_file_of_settings_is_refused_in_one_line(name, here, capsys):
    text, said = TOML[name]
    Path("c.toml").write_text(text, encoding="utf-8")
    err = refusal(capsys, [*TRAIN, "--config", "c.toml"])
    assert said in err
    assert len(err) < 1500


def rewritten(path, change=lambda tensors: tensors, **metadata):
    """Write a safetensors file again with other tensors, or other metadata."""
    with safe_open(path, framework="pt") as file:
        held = file.metadata()
    save_file(change(load_file(path)), path, metadata=held | metadata)


def of_type(dtype):
    """Weights as numbers of another type."""
    return lambda: rewritten(WEIGHTS, lambda tensors: {name: t.to(dtype) for name, t in tensors.items()})


def instead(path, make):
    """Put something else in place of a file."""

    def do():
        path.unlink()
        make(path)

    return do


WEIGHTS, CHECKPOINT = Path("run/weights.safetensors"), Path("run/checkpoint.safetensors")
HISTORY, SETTINGS = Path("run/history.csv"), Path("run/config.json")
DAMAGED = {
    "weights that are a folder": (instead(WEIGHTS, Path.mkdir), EVALUATE, "weights.safetensors"),
    "weights that link to themselves": (
        instead(WEIGHTS, lambda path: path.symlink_to(path.name)),
        EVALUATE,
        "weights.safetensors",
    ),
    "a header without end": (
        lambda: WEIGHTS.write_bytes(struct.pack("<Q", 2**40) + b"{}"),
        EVALUATE,
        "not a readable",
    ),
    "a deep header": (
        lambda: WEIGHTS.write_bytes(struct.pack("<Q", len(DEEP)) + DEEP.encode()),
        EVALUATE,
        "not a readable",
    ),
    "a zip file": (lambda: WEIGHTS.write_bytes(b"PK\3\4" + bytes(1000)), EVALUATE, "not a readable"),
    "whole numbers for weights": (of_type(torch.int32), EVALUATE, "torch.int32"),
    "truth values for weights": (of_type(torch.bool), EVALUATE, "torch.bool"),
    "complex weights": (of_type(torch.complex64), EVALUATE, "torch.complex64"),
    "deep settings": (lambda: rewritten(WEIGHTS, config=DEEP), EVALUATE, "no usable config"),
    "a list for settings": (lambda: rewritten(WEIGHTS, config="[]"), EVALUATE, "no usable config"),
    "another network": (
        lambda: rewritten(
            WEIGHTS,
            network='{"cell": "rnn", "settings": {"input_size": 17, "hidden_size": 4, "num_actions": 4}}',
        ),
        EVALUATE,
        "has shape",
    ),
    "no network": (lambda: rewritten(WEIGHTS, network="[]"), EVALUATE, "holds no network that can be made"),
    "a deep network": (lambda: rewritten(WEIGHTS, network=DEEP), EVALUATE, "holds no network"),
    "a foreign network": (
        lambda: rewritten(WEIGHTS, network='{"cell": "os:system", "settings": {}}'),
        EVALUATE,
        "holds no network that can be made",
    ),
    "a checkpoint that is a folder": (instead(CHECKPOINT, Path.mkdir), RESUME, "checkpoint.safetensors"),
    "weights for a checkpoint": (lambda: shutil.copy(WEIGHTS, CHECKPOINT), RESUME, "holds no iteration"),
    "an iteration of 400 digits": (
        lambda: rewritten(CHECKPOINT, iteration="9" * 400),
        RESUME,
        "checkpoint.safetensors",
    ),
    "an iteration below 0": (lambda: rewritten(CHECKPOINT, iteration="-1"), RESUME, "iteration must be"),
    "seconds that are none": (lambda: rewritten(CHECKPOINT, seconds="nan"), RESUME, "seconds must be"),
    "a history that is a folder": (instead(HISTORY, Path.mkdir), RESUME, "history.csv cannot be read"),
    "a history of bytes": (lambda: HISTORY.write_bytes(b"\0\xff\xfe"), RESUME, "history.csv cannot be read"),
    "an empty history": (lambda: HISTORY.write_text(""), RESUME, "no history of bpa"),
    "a field without end": (
        lambda: HISTORY.write_text(HISTORY.read_text() + '"' + "9" * 200_000),
        RESUME,
        "history.csv cannot be read",
    ),
    "settings that are a folder": (instead(SETTINGS, Path.mkdir), ["plot", "run"], "config.json"),
    "deep settings to plot": (lambda: SETTINGS.write_text(DEEP), ["plot", "run"], "no usable config"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_run_is_refused_in_one_line_and_left_as_it_is(name, here, capsys):
    damage, arguments, said = DAMAGED[name]
    damage()
    before = files(here)
    assert said in refusal(capsys, arguments)
    assert files(here) == before


@pytest.mark.parametrize("text", [DEEP, "[]", '{"settings": {}, "seeds": "x", "variants": []}'])
def test_settings_of_a_comparison_that_are_none_are_refused(text, here, capsys):
    Path("q").mkdir()
    Path("q/settings.json").write_text(text)
    assert "q/settings.json" in refusal(capsys, ["reproduce", "patterns", "--quick", "--out", "q"])
    assert Path("q/settings.json").read_text() == text


STREAMS = """
import os, sys
from pathlib import Path
from bpa.training.checkpoint import load_checkpoint, load_weights, read_history, read_settings
from bpa.commands import settings_in
from bpa.experiments.reproduce import read_json
from bpa.cells.published import load_published

os.mkfifo("pipe")
os.mkdir("run")
for name in ("config.json", "history.csv", "checkpoint.safetensors", "weights.safetensors"):
    os.mkfifo(f"run/{name}")
doors = [settings_in, read_history, read_json, load_weights, load_published]
tries = [(door, path) for door in doors for path in ("pipe", "/dev/zero", "/dev/full")]
tries += [(load_weights, "run"), (load_checkpoint, "run"), (read_settings, "run")]
for door, path in tries:
    try:
        door(Path(path) if door is read_json else path)
    except ValueError as error:
        assert "a pipe or a device" in str(error), (door, path, error)
        assert path in str(error), (door, path, error)
    else:
        raise AssertionError((door, path))
"""


@posix
def test_no_file_is_read_that_may_never_end(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", STREAMS], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("save", ["o.png", "o.gif"])
def test_a_link_that_leads_nowhere_is_not_overwritten(save, here):
    Path(save).symlink_to("nowhere")
    with pytest.raises(ValueError, match=r"exists and is never overwritten"):
        save_curves(["run"], save) if save == "o.png" else save_film([], save)
    assert os.readlink(save) == "nowhere"


def test_a_film_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="moments must hold at least one"):
        save_film([], tmp_path / "o.gif")
    assert not list(tmp_path.iterdir())


def test_what_lies_in_the_place_of_a_partial_file_is_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("dear")
    (tmp_path / "a.partial").symlink_to(victim)
    write_atomically(tmp_path / "a", b"new")
    assert victim.read_text() == "dear"
    assert (tmp_path / "a").read_bytes() == b"new"
    assert not (tmp_path / "a").is_symlink()


class Unprintable:
    """Something whose repr fails."""

    def __repr__(self):
        raise ZeroDivisionError


UNSHOWN = [10**5000, -(10**5000), "x" * 10**6, np.zeros((50, 50)), Unprintable()]


@pytest.mark.parametrize("value", UNSHOWN, ids=["many digits", "below zero", "text", "array", "no repr"])
def test_whatever_came_is_shown_in_one_short_line(value):
    doors = (
        lambda: require_integer("n", value, low=1, high=9),
        lambda: require_number("n", value, low=0, high=9),
        lambda: require_choice("n", value, ("a", "b")),
        lambda: require_flag("n", value),
    )
    for door in doors:
        with pytest.raises(ValueError, match=r"^n must be") as refused:
            door()
        assert len(str(refused.value)) < MOST_SHOWN + 100
        assert "\n" not in str(refused.value)


BEYOND = {
    "maze": lambda: GridMaze(reward=1e39),
    "penalty": lambda: GridMaze(wall_penalty=1e300),
    "cues": lambda: CueReward(reward=1e39),
    "network": lambda: Network(3, 3, 3, clip=1e39),
    "gymnasium": lambda: GridMazeEnv(reward=1e39),
    "config": lambda: TrainConfig(value_coef=10**400),
}


@pytest.mark.parametrize("name", BEYOND)
def test_numbers_beyond_float32_are_refused_by_name(name):
    with pytest.raises(ValueError, match="float32 holds"):
        BEYOND[name]()


def test_the_largest_number_of_float32_is_let_in():
    largest = torch.finfo(torch.float32).max
    assert require_number("x", largest, low=0) == largest
    assert GridMaze(5, 1, reward=largest).reward == largest
    assert require_number("x", float("inf"), low=0, infinite=True) == float("inf")


NO_OPTIONS = [[1], "x", 7, ("reset_mask", True), np.ones(3, dtype=bool)]
NO_MASKS = ["yes", None, 1, 1.0, float("nan"), {}, object(), [True] * 2, [1, 1, 1], np.ones(0, dtype=bool)]
NO_MASKS += [np.ones((3, 1), dtype=bool), [True, False, True], np.ones(3), [[True], [True, True]]]


@pytest.mark.parametrize("options", NO_OPTIONS, ids=repr)
def test_options_of_a_reset_are_a_table(options):
    for environment in (GridMazeEnv(5), GridMazeVectorEnv(3, 5)):
        with pytest.raises(ValueError, match="options must be a dict or None"):
            environment.reset(options=options)


@pytest.mark.parametrize("mask", NO_MASKS, ids=lambda mask: type(mask).__name__)
def test_a_mask_of_a_reset_is_true_everywhere(mask):
    environments = GridMazeVectorEnv(3, 5)
    before = environments.reset(seed=1)[0]
    time = environments.maze.time
    with pytest.raises(ValueError, match="reset_mask must be True everywhere"):
        environments.reset(seed=2, options={"reset_mask": mask})
    assert environments.maze.time == time
    for good in (True, np.True_, [True] * 3, np.ones(3, dtype=bool)):
        assert np.array_equal(environments.reset(seed=1, options={"reset_mask": good})[0], before)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_copies_of_environments_go_their_own_way_by_the_same_noise(duplicate):
    for environment, action in ((GridMazeEnv(5), 1), (GridMazeVectorEnv(3, 5), [1, 2, 3])):
        environment.reset(seed=1)
        other = duplicate(environment)
        for _ in range(9):
            one, two = environment.step(action), other.step(action)
            assert np.array_equal(one[0], two[0])
            assert np.array_equal(one[1], two[1])
        environment.step(action)
        assert environment.maze.time == other.maze.time + 1
        environment.close()
        environment.close()


PATHS = ["\ud800", "x" * 300]


@pytest.mark.parametrize("path", PATHS, ids=["half a character", "too long"])
def test_paths_that_no_system_takes_are_refused_at_every_door(path):
    config = TrainConfig(**SMALL)
    doors = (
        lambda: load_weights(path),
        lambda: load_published(path),
        lambda: save_curves(["run"], f"{path}.png"),
        lambda: create_folder(path, None),
        lambda: reproduce(config, path, ["plastic"], 1, 1, 1, lambda line: None),
        lambda: train(config.replace(out=path)),
    )
    for door in doors:
        with pytest.raises(ValueError, match=r"must be|cannot be|does not exist|is not a"):
            door()


def replaced(name, *sizes, **settings):
    """A change of a network: another linear layer in place of the one it has."""
    return lambda net: setattr(net, name, torch.nn.Linear(*sizes, **settings))


def parameter(name, *shape):
    """A change of a network: another parameter in place of the one it has; None without a shape."""
    value = torch.nn.Parameter(torch.zeros(shape)) if shape else None
    return lambda net: setattr(net, name, value)


# The first ended the process: a loop read beyond the parameter's end.
CHANGED = {
    "more actions": replaced("h2o", 8, 40),
    "fewer actions": replaced("h2o", 8, 2),
    "fewer neurons in the head": replaced("h2o", 2, 4),
    "no bias in the head": replaced("h2o", 8, 4, bias=False),
    "fewer inputs": replaced("i2h", 3, 8),
    "fewer drives": replaced("i2h", 17, 3),
    "no bias of the inputs": replaced("i2h", 17, 8, bias=False),
    "fewer neurons for the modulator": replaced("h2mod", 2, 1),
    "no bias of the modulator": replaced("h2mod", 8, 1, bias=False),
    "a narrow fan-out": replaced("modfanout", 1, 2),
    "small weights": parameter("w", 2, 2),
    "large weights": parameter("w", 99, 99),
    "flat weights": parameter("w", 8),
    "no weights": parameter("w"),
    "a small alpha": parameter("alpha", 3, 3),
    "no alpha": parameter("alpha"),
    "other sizes": lambda net: setattr(net, "hidden_size", 3),
    "an alpha that is deleted": lambda net: delattr(net, "alpha"),
}


@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("engine", ["numba", "triton"])
def test_no_loop_takes_parameters_of_other_shapes(engine, name):
    net = Network(17, 8, 4)
    CHANGED[name](net)
    with pytest.raises(ValueError, match=f"engine '{engine}' cannot run this.*engine='eager' can"):
        choose(engine, net, GridMaze(5, 2, 4))


@pytest.mark.parametrize("name", ["more actions", "fewer inputs", "small weights"])
def test_no_loop_of_an_lstm_takes_parameters_of_other_shapes(name):
    net = LSTM(17, 8, 4)
    CHANGED[name](net)
    with pytest.raises(ValueError, match="engine 'numba' cannot run this"):
        choose("numba", net, GridMaze(5, 2, 4))


# A loop would read and write beyond the walls.
MOVED = {
    "free cells out of the maze": lambda maze: setattr(maze, "free_cells", maze.free_cells + 1000),
    "no free cells": lambda maze: setattr(maze, "free_cells", maze.free_cells[:0]),
    "flat free cells": lambda maze: setattr(maze, "free_cells", maze.free_cells[:, 0]),
    "free cells of int32": lambda maze: setattr(maze, "free_cells", maze.free_cells.int()),
    "long moves": lambda maze: setattr(maze, "moves", maze.moves * 100),
    "too few moves": lambda maze: setattr(maze, "moves", maze.moves[:1]),
    "moves of int32": lambda maze: setattr(maze, "moves", maze.moves.int()),
}


@pytest.mark.parametrize("name", MOVED)
def test_no_loop_runs_a_maze_that_leads_out_of_itself(name):
    maze = GridMaze(5, 2, 4)
    engine = choose("numba", Network(17, 8, 4), maze)
    assert reason_outside(engine, maze) is None
    MOVED[name](maze)
    assert reason_outside(engine, maze) is not None


@pytest.mark.parametrize("name", ["WORLD_SIZE", "LOCAL_RANK"])
def test_what_torchrun_would_never_announce_is_named(monkeypatch, name):
    monkeypatch.setenv(name, "abc")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ValueError, match=f"{name} must be a whole number, as torchrun sets it, got 'abc'"):
        join_team(torch.device("cpu")) if name == "WORLD_SIZE" else own_device(torch.device("cuda"))


def test_more_bits_than_a_number_counts_are_no_matter():
    """Whether they can tell so many cues apart is not to be computed."""
    assert CueReward(num_cues=4, cue_bits=10**9, batch_size=1, episode_length=6).cue_bits == 10**9
    assert Patterns(pattern_size=10**9, num_patterns=4, batch_size=1).num_patterns == 4


def test_a_complete_run_without_its_history_has_nothing_left_to_do(tmp_path, capsys):
    run = str(tmp_path / "run")
    small = [
        "--iterations",
        "1",
        "--batch-size",
        "2",
        "--hidden-size",
        "4",
        "--episode-length",
        "5",
        "--quiet",
    ]
    assert main(["train", "--out", run, "--quiet", *small]) == 0
    history = tmp_path / "run" / "history.csv"
    history.write_text(history.read_text().splitlines()[0] + "\n")
    capsys.readouterr()
    assert main(["train", "--out", run, "--resume"]) == 0
    assert capsys.readouterr().out == f"{run}: nothing was left to do\n"
