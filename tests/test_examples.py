"""The examples run, in a short form, and refuse what they cannot do in one line."""

import importlib.util
import re
import warnings
from pathlib import Path

import gymnasium
import pytest

reason = "the example needs the extra sb3"
pytest.importorskip("stable_baselines3", reason=reason)
pytest.importorskip("sb3_contrib", reason=reason)

import bpa  # noqa: E402, F401 - registers the environment

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recurrent_ppo():
    return example("recurrent_ppo")


def test_the_readme_names_every_example_and_flags_that_it_has(recurrent_ppo, capsys):
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf8")
    commands = re.findall(r"^python examples/(\S+)\.py ?(.*)$", readme, re.MULTILINE)
    assert {name for name, _ in commands} == {path.stem for path in EXAMPLES.glob("*.py")}
    with pytest.raises(SystemExit):
        recurrent_ppo.main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert {flag for _, flags in commands for flag in re.findall(r"--[a-z-]+", flags)} <= known


SHORT = ["--steps", "30", "--mazes", "2", "--size", "5", "--episode-length", "8", "--episodes", "6"]


def test_recurrent_ppo_trains_and_says_how_well(recurrent_ppo, capsys):
    mean, error = recurrent_ppo.main([*SHORT, "--seed", "3"])
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(f"reward per episode {mean:.1f} +- {error:.1f}; a random walk earns ")
    # Every episode earns a whole number of rewards of 10.
    assert mean * 6 / 10 == pytest.approx(round(mean * 6 / 10))
    assert 0 <= mean <= 40
    assert recurrent_ppo.main([*SHORT, "--seed", "3"]) == (mean, error)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--steps 0", "argument --steps: must be a whole number of at least 1, got 0"),
        ("--steps many", "argument --steps: must be a whole number of at least 1, got many"),
        ("--size 8", "argument --size: must be an odd number, got 8"),
        ("--mazes -2", "argument --mazes: must be a whole number of at least 1, got -2"),
        ("--episodes 1", "argument --episodes: must be a whole number of at least 2, got 1"),
        ("--speed 3", "unrecognized arguments: --speed 3"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(recurrent_ppo, capsys, arguments, said):
    with pytest.raises(SystemExit) as stopped:
        recurrent_ppo.main(arguments.split())
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"error: {said}")


RICH = {"size": 5, "episode_length": 6, "wall_penalty": 0.1, "reward": 0.0, "render_mode": "rgb_array"}


@pytest.mark.parametrize("kind", [{}, RICH])
def test_the_checker_of_stable_baselines_has_nothing_to_say(kind):
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("bpa/GridMaze-v0", **kind), warn=True, skip_render_check=False)
