"""The range of a field stands in its metadata alone: check, help and documentation say the same."""

import dataclasses
import math
import re
import sys
from pathlib import Path

import pytest

from bpa import TrainConfig, cli, commands
from bpa.envs.base import entry
from bpa.fields import Real, Whole, check_fields, ranged, ranges
from bpa.training.config import SETTINGS

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "train": TrainConfig,
    "evaluate": commands.EvaluateArguments,
    "play": commands.PlayArguments,
    "plot": commands.PlotArguments,
    "bench": commands.BenchArguments,
    "reproduce": commands.ReproduceArguments,
}
FIELDS = [(name, field) for name, kind in (COMMANDS | SETTINGS).items() for field in ranges(kind)]
# Where the class itself is asked too: what a setting at its bound needs of the others.
OWN_DOORS = {("maze", field): {} for field in entry("maze").fields}
OWN_DOORS |= {(task, field): {} for task, kind in SETTINGS.items() for field in ranges(kind)}
OWN_DOORS |= {
    ("cues", "cue_bits"): {"num_cues": 2},
    ("patterns", "pattern_size"): {"num_patterns": 2},
    ("patterns", "missing"): {"noise": 0.5, "num_patterns": 2},
    ("pictures", "patch_size"): {"source": "photographs"},
    ("pictures", "shrink"): {"source": "photographs"},
    ("sequences", "order"): {"num_symbols": 2},
    ("recall", "num_keys"): {"num_pairs": 1},
}


def with_field(name, field, value):
    """A config, the settings of a task or the arguments of a command, with one field set."""
    kind = (COMMANDS | SETTINGS)[name]
    if isinstance(vars(kind)[field], tuple):
        value = (7, value)
    needed = {"run": "maze-9", "runs": ("a",), "task": "maze"} if name in COMMANDS and name != "train" else {}
    needed = {key: needed[key] for key in needed.keys() & {f.name for f in dataclasses.fields(kind)}}
    return kind(**needed | {field: value})


def range_of(name, field):
    """The range of this field, which in a maze is one of the config."""
    return ranges(TrainConfig if name == "maze" else (COMMANDS | SETTINGS)[name])[field]


def bounds(numbers):
    """Numbers just inside and just outside of each bound."""
    if isinstance(numbers, Whole):
        step = 2 if numbers.odd else 1
        inside, outside = [numbers.least], [numbers.least - 1, numbers.least - step]
        for highest in {numbers.most, numbers.limit} - {None}:
            inside.append(highest)
            outside += [highest + 1, highest + step]
        return inside, [*outside, *([numbers.least + 1] if numbers.odd else [])]
    after, before = math.nextafter(numbers.least, math.inf), math.nextafter(numbers.least, -math.inf)
    inside, outside = ([after], [numbers.least]) if numbers.above else ([numbers.least], [before])
    if numbers.most < math.inf:
        after, before = math.nextafter(numbers.most, math.inf), math.nextafter(numbers.most, -math.inf)
        inside.append(before if numbers.below else numbers.most)
        outside.append(numbers.most if numbers.below else after)
    return inside, [*outside, math.nan, math.inf]


@pytest.mark.parametrize(("name", "field"), FIELDS)
def test_a_bound_is_let_in_and_what_lies_just_beyond_is_refused_by_name(name, field):
    inside, outside = bounds(range_of(name, field))
    for value in inside:
        held = getattr(with_field(name, field, value), field)
        assert held == ((7, value) if isinstance(held, tuple) else value)
    full = f"{name}.{field}" if name in SETTINGS else field
    for value in outside:
        with pytest.raises(ValueError, match=rf"^{full} must be .*, got ") as refused:
            with_field(name, field, value)
        assert str(refused.value).endswith(str(value)) or f"{value:g}" in str(refused.value)


@pytest.mark.parametrize(("task", "field"), OWN_DOORS)
def test_environments_and_tasks_refuse_the_same_at_their_own_doors(task, field):
    """A limit is no matter of theirs: it only stops a slip of the finger."""
    numbers, others = range_of(task, field), OWN_DOORS[task, field]
    inside, outside = bounds(numbers._replace(limit=None) if isinstance(numbers, Whole) else numbers)
    for value in inside:
        entry(task).load()(**others | {field: value})
    for value in outside:
        with pytest.raises(ValueError, match=rf"^{field} must be "):
            entry(task).load()(**others | {field: value})


def help_of(command, capsys):
    """The help text of a command as one line."""
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    return " ".join(line.strip("│ ") for line in capsys.readouterr().out.splitlines())


def test_the_help_of_every_command_shows_every_range(capsys):
    for command, kind in COMMANDS.items():
        said = help_of(command, capsys)
        flags = ranges(kind)
        if command == "train":
            for task, settings in SETTINGS.items():
                flags |= {f"{task}.{field}": numbers for field, numbers in ranges(settings).items()}
        assert said.count("Allowed: ") == len(flags) > 0
        for field, numbers in flags.items():
            flag = re.escape(f"--{field.replace('_', '-')} ")
            allowed = re.escape(f"Allowed: {numbers}. (default")
            assert re.search(f"{flag}(?:(?!Allowed).)*{allowed}", said), field


@pytest.mark.skipif(not (ROOT / "book" / "_ext").exists(), reason="the book is not here")
def test_the_documentation_shows_every_range(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "book" / "_ext"), *sys.path])
    from field_docstrings import keep_field_docstring

    for kind in (TrainConfig, *SETTINGS.values()):
        for field, numbers in ranges(kind).items():
            lines = ["Seed of the run: weights,", "mazes.", ""]
            keep_field_docstring(
                None, "attribute", f"{kind.__module__}.{kind.__name__}.{field}", 7, None, lines
            )
            assert lines == [":Seed of the run: weights,", f"mazes. Allowed: {numbers}.", ""]
    lines = ["Steps of an episode.", ""]
    keep_field_docstring(None, "attribute", "bpa.maze.GridMaze.time", 7, None, lines)
    keep_field_docstring(None, "attribute", "bpa.training.config.TrainConfig.task", 7, None, lines)
    assert lines == ["Steps of an episode.", ""]


def test_no_docstring_of_a_field_states_a_range_by_hand():
    """What the metadata says is not said twice."""
    for module in {sys.modules[kind.__module__] for kind in (*COMMANDS.values(), *SETTINGS.values())}:
        texts = re.findall(r' = ranged\(.*\n    """(.*?)"""', Path(module.__file__).read_text("utf-8"))
        assert texts
        for text in texts:
            assert not re.search(r"at (least|most) \d|above \d|\d to \d", text), text


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (Whole(1), "at least 1"),
        (Whole(1, 50), "1 to 50"),
        (Whole(5, limit=1001, odd=True), "odd, 5 to 1001"),
        (Whole(1, limit=10**6), "1 to 1_000_000"),
        (Real(), "at least 0"),
        (Real(0, 1), "0 to 1"),
        (Real(0, above=True), "above 0"),
        (Real(0, 1, above=True), "above 0, at most 1"),
        (Real(0, 0.5, below=True), "at least 0, below 0.5"),
    ],
)
def test_ranges_in_words(numbers, said):
    assert str(numbers) == said


@dataclasses.dataclass(frozen=True)
class Several:
    """One number, several, and one that may be left out."""

    one: int = ranged(3, Whole(1))
    several: tuple[int, ...] = ranged((3, 4), Whole(1))
    perhaps: float | None = ranged(None, Real(0))

    def __post_init__(self):
        check_fields(self)


def test_several_numbers_and_none_are_for_fields_that_begin_so():
    assert Several(several=(5,), perhaps=2).perhaps == 2.0
    for wrong in ({"one": None}, {"one": (3,)}, {"several": (3, 0)}, {"several": None}, {"perhaps": -1}):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))} must be "):
            Several(**wrong)
