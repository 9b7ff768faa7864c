"""What is let in at the door, how it is stored, and what is refused."""

import dataclasses
import enum
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from bpa import GridMaze, Network, TrainConfig
from bpa.arguments import (
    require_choice,
    require_flag,
    require_integer,
    require_number,
    require_path,
)
from bpa.cells.fast_weights import FastWeightNetwork
from bpa.cells.lstm import LSTM
from bpa.envs.cue_reward import CueReward
from bpa.envs.gymnasium import CueRewardVectorEnv, GridMazeEnv, GridMazeVectorEnv
from bpa.tasks.patterns import Patterns
from bpa.tasks.pictures import Pictures
from bpa.tasks.sequences import AssociativeRecall, Languages
from bpa.training.config import SETTINGS

NINES = [
    9,
    np.int64(9),
    np.uint8(9),
    np.int16(9),
    np.array(9),
    torch.tensor(9),
    torch.tensor(9, dtype=torch.int32),
    enum.IntEnum("Nine", {"NINE": 9}).NINE,
]
HALVES = [0.5, np.float32(0.5), np.float64(0.5), np.float16(0.5), np.longdouble(0.5), np.array(0.5)]
HALVES += [torch.tensor(0.5), torch.tensor(0.5, dtype=torch.bfloat16), Fraction(1, 2)]
NO_NUMBERS = [True, np.True_, torch.tensor(True), np.array(True), None, "9", [9], np.array([9]), 9j]
NO_NUMBERS += [torch.tensor([9]), torch.tensor([[9]]), np.array(None), torch.tensor(9, device="meta")]


@pytest.mark.parametrize("nine", NINES, ids=repr)
def test_whole_numbers_of_every_kind_become_an_int(nine):
    got = require_integer("n", nine, low=1)
    assert got == 9
    assert type(got) is int
    assert type(require_number("x", nine, low=0)) is float


@pytest.mark.parametrize("half", HALVES, ids=repr)
def test_real_numbers_of_every_kind_become_a_float(half):
    got = require_number("x", half, low=0)
    assert got == 0.5
    assert type(got) is float
    with pytest.raises(ValueError, match="n must be a whole number"):
        require_integer("n", half, low=0)


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=repr)
def test_truth_text_and_what_has_dimensions_is_no_number(wrong):
    with pytest.raises(ValueError, match="n must be a whole number of at least 0, got "):
        require_integer("n", wrong, low=0)
    with pytest.raises(ValueError, match="x must be a finite number of at least 0, got "):
        require_number("x", wrong, low=0)


def test_numbers_out_of_range_are_refused_whatever_their_kind():
    for wrong in (np.int64(0), torch.tensor(0), np.int8(-3), 10**400):
        with pytest.raises(ValueError, match=r"n must be a whole number from 1 to 9, got -?\d+"):
            require_integer("n", wrong, low=1, high=9)
    for wrong in (np.float32("nan"), np.float64("inf"), torch.tensor(math.nan), 10**400, np.float32(-1)):
        with pytest.raises(ValueError, match="x must be a finite number of at least 0"):
            require_number("x", wrong, low=0)
    assert require_number("x", np.float32("inf"), low=0, infinite=True) == math.inf


def test_flags_and_choices_are_plain():
    for true in (True, np.True_, np.array(True), torch.tensor(True)):
        assert require_flag("f", true) is True
    for wrong in (1, np.int64(1), 1.0, None, "True", np.array([True]), torch.tensor([True])):
        with pytest.raises(ValueError, match="f must be True or False, got "):
            require_flag("f", wrong)
    chosen = [
        np.str_("hebb"),
        enum.StrEnum("Rule", {"HEBB": "hebb"}).HEBB,
        enum.Enum("Rule", {"HEBB": "hebb"}, type=str).HEBB,
    ]
    for choice in chosen:
        got = require_choice("rule", choice, ("hebb", "oja"))
        assert got == "hebb"
        assert type(got) is str
    for wrong in ("delta", None, 3, ["hebb"], np.array(["hebb"])):
        with pytest.raises(ValueError, match="rule must be one of 'hebb', 'oja', got "):
            require_choice("rule", wrong, ("hebb", "oja"))


def test_paths_are_welcome_as_text_and_as_paths():
    for path in (Path("runs") / "a b", "runs/a b", np.str_("runs/a b")):
        got = require_path("out", path)
        assert got == str(Path("runs/a b"))
        assert type(got) is str
    for wrong in ("", 7, None, b"runs", ["runs"], "a\0b", Path("a\0b")):
        with pytest.raises(ValueError, match="out must be a path"):
            require_path("out", wrong)


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("USERPROFILE", "/somewhere")
    assert Path(require_path("out", "~/runs/a")) == Path("/somewhere/runs/a")
    assert Path(require_path("out", Path("~"))) == Path("/somewhere")
    assert require_path("out", "runs/~") == "runs/~"
    assert require_path("out", "./~") == "./~"
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where nobody is known
    with pytest.raises(ValueError, match="out must be a path without '~' where nobody's home is known"):
        require_path("out", "~/runs")


def strange(value):
    """`value` as NumPy would have it."""
    if isinstance(value, bool):
        return np.bool_(value)
    if isinstance(value, int):
        return np.int64(value)
    if isinstance(value, float):
        return np.float32(value)
    return np.str_(value) if isinstance(value, str) else value


def kinds_in(table):
    """The types of all values in nested tables."""
    return {
        kind
        for value in table.values()
        for kind in (kinds_in(value) if isinstance(value, dict) else {type(value)})
    }


@pytest.mark.parametrize("task", ["maze", *SETTINGS])
def test_a_config_of_numpy_numbers_is_the_config_of_plain_ones(task):
    plain = TrainConfig(task=task, learning_rate=2**-9, clip=1.5, seed=3, fanout=False, gamma=0.5)
    fields = {
        field.name: strange(getattr(plain, field.name))
        for field in dataclasses.fields(TrainConfig)
        if field.name not in SETTINGS
    }
    settings = {name: vars(getattr(plain, name)) for name in SETTINGS}
    for name, kind in SETTINGS.items():
        fields[name] = kind(**{key: strange(value) for key, value in settings[name].items()})
    for name in (
        "adam_eps",
        "concentration_coef",
        "value_coef",
        "gae_lambda",
        "initial_weight",
        "initial_eta",
        "initial_self",
    ):
        fields[name] = np.float64(getattr(plain, name))  # float32 has no such number
    fields["sequences"] = dataclasses.replace(fields["sequences"], concentration=np.float64(0.3))
    config = TrainConfig(**fields)
    assert config == plain
    assert repr(config) == repr(plain)
    assert json.loads(json.dumps(config.as_dict())) == plain.as_dict()
    assert kinds_in(config.as_dict()) <= {int, float, bool, str, type(None)}


def test_a_config_takes_paths_and_numbers_of_its_own_kinds():
    config = TrainConfig(out=Path("runs") / "mine", size=torch.tensor(9), reward=Fraction(1, 2))
    assert config.as_dict()["out"] == str(Path("runs/mine"))
    assert json.loads(json.dumps(config.as_dict()))["reward"] == 0.5
    assert TrainConfig.from_dict(config.as_dict()) == config
    for wrong in (b"runs", 3, "", "a\0b"):
        with pytest.raises(ValueError, match="out must be"):
            TrainConfig(out=wrong)
    with pytest.raises(ValueError, match="size must be at most 1001, got 2001"):
        TrainConfig(size=np.int64(2001))
    with pytest.raises(ValueError, match="size must be a whole number of at least 5, got"):
        TrainConfig(size=np.True_)
    with pytest.raises(ValueError, match=r"cues.num_cues must be at most 1000, got 2000"):
        TrainConfig(cues=SETTINGS["cues"](num_cues=np.int64(2000)))


I = np.int64  # noqa: E741, the letter of whole numbers
MAKERS = {
    "maze": lambda n: GridMaze(n(9), n(3), n(7), np.float32(2), np.float32(0.5)),
    "cues": lambda n: CueReward(n(4), n(20), n(3), n(40), np.float32(1), jitter=n(2)),
    "patterns": lambda n: Patterns(n(70), n(3), n(2), n(2), n(1), n(1), np.float64(0.5), np.float32(0)),
    "digits": lambda n: Pictures(num_pictures=n(2), batch_size=n(2), patch_size=n(8)),
    "photographs": lambda n: Pictures("photographs", batch_size=n(2), patch_size=n(9), shrink=n(4)),
    "languages": lambda n: Languages(n(3), n(20), n(2), np.float32(0.5), n(2)),
    "recall": lambda n: AssociativeRecall(n(3), n(5), n(4), n(2)),
    "network": lambda n: Network(n(5), n(4), n(3), clip=np.float32(1.5), fanout=np.True_),
    "lstm": lambda n: LSTM(n(5), n(4), n(3), "plastic", clip=np.float32(1.5)),
    "fast weights": lambda n: FastWeightNetwork(n(5), n(4), n(3), gated=np.True_),
    "gymnasium": lambda n: GridMazeEnv(n(7), n(9), np.float32(1)),
    "gymnasium vector": lambda n: GridMazeVectorEnv(n(3), n(7), n(9), np.float32(1)),
    "gymnasium cues": lambda n: CueRewardVectorEnv(n(3), n(2), n(4), n(9), np.float32(1)),
}


def plain_fields(thing):
    """The attributes of an object, or of its maze, that are numbers or text."""
    fields = vars(thing) | (vars(thing.maze) if hasattr(thing, "maze") else {})
    return {
        name: value
        for name, value in fields.items()
        if isinstance(value, int | float | str | np.generic | np.ndarray) and not name.startswith("_")
    }


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("kind", [np.int64, np.uint8, torch.tensor], ids=lambda kind: kind.__name__)
def test_what_is_made_of_numpy_numbers_is_what_is_made_of_plain_ones(name, kind):
    made, usual = MAKERS[name](kind), MAKERS[name](int)
    assert plain_fields(made) == plain_fields(usual)
    assert plain_fields(made)
    assert {type(value) for value in plain_fields(made).values()} <= {int, float, str, bool}


def test_seeds_are_whole_numbers_of_every_kind():
    for env in (GridMazeEnv(5), GridMazeVectorEnv(2, 5)):
        want = env.reset(seed=7)[0]
        goal = env.maze.goal.tolist()
        for seed in (np.int64(7), np.uint32(7), torch.tensor(7)):
            assert np.array_equal(env.reset(seed=seed)[0], want)
            assert env.maze.goal.tolist() == goal
        for wrong in (-1, 2.5, "7", True, np.True_):
            with pytest.raises(ValueError, match="seed must be a whole number of at least 0, got"):
                env.reset(seed=wrong)


SOURCES = {
    "maze": lambda **k: GridMaze(5, 2, **k),
    "cues": lambda **k: CueReward(batch_size=2, **k),
    "patterns": Patterns,
    "pictures": Pictures,
    "languages": Languages,
    "recall": AssociativeRecall,
}


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_no_device_and_no_generator_is_refused(name):
    for wrong in ("gpu0", "", 1.5, ["cpu"]):
        with pytest.raises(ValueError, match="device must name a device, such as 'cpu' or 'cuda', got"):
            SOURCES[name](device=wrong)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="device must be 'cpu' on this machine without CUDA, got 'cuda'"):
            SOURCES[name](device="cuda")
    for wrong in (0, np.random.default_rng(0), "seed"):
        with pytest.raises(ValueError, match=r"generator must be a torch.Generator or None, got"):
            SOURCES[name](generator=wrong)


@pytest.mark.parametrize("kind", [Network, LSTM, FastWeightNetwork])
def test_networks_refuse_what_is_no_generator(kind):
    for wrong in (0, np.random.default_rng(0)):
        with pytest.raises(ValueError, match=r"generator must be a torch.Generator or None, got"):
            kind(5, 4, 3, generator=wrong)
