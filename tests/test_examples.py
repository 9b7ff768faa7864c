"""The examples run, in a short form, and refuse what they cannot do in one line."""

import importlib.util
import inspect
import re
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import pytest
import torch

import bpa
from bpa.training.rollout import rollout

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def recurrent_ppo():
    for needed in ("stable_baselines3", "sb3_contrib"):
        pytest.importorskip(needed, reason="the example needs the extra sb3")
    return example("recurrent_ppo")


def commands(text):
    """The lines of a text that run an example: its name and its flags."""
    found = re.findall(r"^python examples/(\S+)\.py ?(.*)$", text, re.MULTILINE)
    return [(name, re.findall(r"--[a-z-]+", flags)) for name, flags in found]


README = (EXAMPLES.parent / "README.md").read_text(encoding="utf8")
OURS = ["bandit", "cell", "fine_tuning", "foreign", "rule", "sizes"]


def test_the_readme_names_every_example():
    assert {name for name, _ in commands(README)} == {path.stem for path in EXAMPLES.glob("*.py")}
    assert {*OURS, "recurrent_ppo"} == {path.stem for path in EXAMPLES.glob("*.py")}


def test_the_readme_names_flags_that_recurrent_ppo_has(recurrent_ppo, capsys):
    with pytest.raises(SystemExit):
        recurrent_ppo.main(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert {flag for name, flags in commands(README) if name == "recurrent_ppo" for flag in flags} <= known


@pytest.mark.parametrize("name", OURS)
def test_our_examples_have_the_flags_that_they_and_the_readme_name(name):
    program = example(name)
    known = {"--" + argument.replace("_", "-") for argument in inspect.signature(program.main).parameters}
    asked = [flags for found, flags in commands(README + program.__doc__) if found == name]
    assert len(asked) >= 2
    assert {flag for flags in asked for flag in flags} <= known


def test_the_page_on_extending_shows_parts_that_our_examples_have():
    text = (EXAMPLES.parent / "book" / "extend.md").read_text(encoding="utf8")
    shown = re.findall(r"^```\{literalinclude\} \.\./examples/(\w+)\.py\n((?::.*\n)*)", text, re.MULTILINE)
    assert {name for name, _ in shown} == {*OURS}
    for name, options in shown:
        for part in re.findall(r"^:pyobject: (\w+)$", options, re.MULTILINE):
            assert getattr(example(name), part).__module__ == name
        for start in re.findall(r"^:start-at: (.*)$", options, re.MULTILINE):
            assert start in (EXAMPLES / f"{name}.py").read_text(encoding="utf8")


def test_an_example_runs_as_a_program_and_refuses_an_unknown_flag(monkeypatch, capsys):
    program = EXAMPLES / "bandit.py"
    done = subprocess.run([sys.executable, program, "--iterations", "2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"reward \d+\.\d+ \+- \d\.\d+ an episode; blind pulls earn 5\n", done.stdout)
    monkeypatch.setattr(sys, "argv", [str(program), "--speed", "2"])
    with pytest.raises(SystemExit) as refused:
        runpy.run_path(str(program), run_name="__main__")
    assert refused.value.code == 2
    assert "--speed" in capsys.readouterr().err


def test_a_bandit_is_learned():
    bandit = example("bandit")
    blind, score = bandit.main(iterations=1), bandit.main(iterations=60)
    assert blind.mean == pytest.approx(5, abs=0.3)
    assert score.mean > 6
    assert bandit.main(iterations=1) == blind


def test_a_rule_of_ones_own_learns():
    rule = example("rule")
    assert rule.main(iterations=30) > 0.4  # guessing gets a quarter
    hebb, pre, post = torch.zeros(1, 2, 2), torch.tensor([[1.0, -1.0]]), torch.tensor([[0.5, 0.0]])
    wanted = torch.tensor([[0.5, 0.0], [-0.5, 0.0]]).tanh()
    assert torch.equal(rule.squeezed(torch.ones(1), pre, post, hebb)[0], wanted)


def test_a_cell_of_ones_own_acts_and_answers():
    cell = example("cell")
    reward, accuracy = cell.main(iterations=20)
    assert reward > 0
    assert accuracy > 0.25


def test_the_plastic_gru_without_its_trace_is_that_of_torch():
    net = example("cell").PlasticGRU(3, 5, 2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        net.alpha.zero_()
    gru = torch.nn.GRU(3, 5)
    own = {"weight_ih_l0": net.i2h.weight, "bias_ih_l0": net.i2h.bias}
    own |= {"weight_hh_l0": net.h2h.weight, "bias_hh_l0": net.h2h.bias}
    gru.load_state_dict(own)
    xs = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net.unroll(xs).h, gru(xs)[0])


def test_an_agent_that_ships_is_tuned_and_stays_as_it_was():
    before, after = example("fine_tuning").main(iterations=3, episodes=30)
    assert before.episodes == after.episodes == 30
    assert before != after
    env = bpa.GridMaze(size=9, wall_penalty=1.0)
    assert bpa.evaluate(bpa.load("maze-11"), env, 30, seed=1, greedy=True) == before


def test_mazes_of_several_sizes_are_one_environment():
    sizes = example("sizes")
    env = sizes.Mazes((5, 9), batch_size=3, episode_length=6)
    net = bpa.Network(env.observation_size, 8, env.num_actions, generator=torch.Generator().manual_seed(0))
    env.generator.manual_seed(1)
    drawn = {(noise := env.sample_noise(), env.maze.size)[1] for _ in range(20)}
    assert drawn == {5, 9}
    runs = {engine: rollout(net, env, noise, engine) for engine in ("eager", "numba")}  # the maze drawn last
    alone = rollout(net, bpa.GridMaze(env.maze.size, 3, 6), noise, "eager")
    for seen in runs.values():
        assert torch.equal(seen.actions, alone.actions)
        assert torch.equal(seen.rewards, alone.rewards)


def test_one_agent_is_trained_for_several_sizes_and_goes_on(tmp_path):
    sizes = example("sizes")
    config = bpa.TrainConfig(iterations=4, hidden_size=5, quiet=True, out=str(tmp_path / "run"))

    def mazes():
        return sizes.Mazes((5, 7, 9), batch_size=2, episode_length=8)

    whole = bpa.train(config.replace(out=None), env=mazes()).network.state_dict()
    bpa.train(config.replace(iterations=2), env=mazes())
    resumed = bpa.train(config.replace(resume=True), env=mazes()).network.state_dict()
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())
    shares = sizes.main(sizes=(5, 7), iterations=1, start="maze-9", episodes=20)
    assert set(shares) == {5, 7}
    assert all(0 < share < 1.2 for share in shares.values())


def test_cartpole_of_gymnasium_is_learned():
    foreign = example("foreign")
    first, last = (foreign.main("CartPole-v1", iterations, length=50) for iterations in (1, 30))
    assert last.mean > first.mean + 5


def test_a_memory_task_of_popgym_is_trained():
    pytest.importorskip("popgym", reason="the example needs the extra popgym")
    score = example("foreign").main("popgym:popgym-RepeatPreviousEasy-v0", iterations=2, length=60)
    assert -1 <= score.mean <= 1
    assert score.episodes == 100


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
    pytest.importorskip("stable_baselines3", reason="the checker is in the extra sb3")
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make("bpa/GridMaze-v0", **kind), warn=True, skip_render_check=False)
