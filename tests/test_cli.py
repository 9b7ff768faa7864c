"""The command line: what it does, and one line and exit code 2 for what it will not do."""

import json
import os
import shlex
import signal
import subprocess
import sys

import pytest
import torch

from bpa.cli import main
from bpa.envs.baselines import expected_reward
from bpa.training.adam import Adam
from bpa.training.checkpoint import load_weights, read_history

TINY = ["--iterations", "2", "--batch-size", "2", "--hidden-size", "5", "--episode-length", "8", "--quiet"]


def refused(capsys, *arguments):
    """The one line that a refused command prints."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bpa: error: ")
    assert err.count("\n") == 1
    return err


def test_train_then_evaluate(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", *TINY, "--seed", "3", "--plasticity", "plastic", "--out", str(run)]) == 0
    out, err = capsys.readouterr()
    assert "2 iterations" in out
    assert err == ""
    _, config = load_weights(run)
    assert (config.seed, config.plasticity, config.hidden_size) == (3, "plastic", 5)
    for path in (run, run / "weights.safetensors"):
        assert main(["evaluate", str(path), "--episodes", "6", "--seed", "2", "--json"]) == 0
        scores = json.loads(capsys.readouterr().out)
        assert {"mean_reward", "median_reward", "std_reward", "episodes"} <= scores.keys()
        assert scores["episodes"] == 6
    assert main(["evaluate", str(run), "--episodes", "6"]) == 0
    assert "mean_reward" in capsys.readouterr().out


def test_what_a_large_maze_does_not_let_compute_is_left_out(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main(["train", *TINY, "--size", "401", "--out", run]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, "--episodes", "2"]) == 0
    out, err = capsys.readouterr()
    assert "mean_reward" in out
    assert "random_reward" not in out
    assert "ceiling" not in out
    assert err.splitlines() == [
        f"bpa: {name} is left out: it takes too long in a maze of this size"
        for name in ("random_reward", "ceiling")
    ]
    assert main(["evaluate", run, "--episodes", "2", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["random_reward"] is scores["ceiling"] is scores["share_of_ceiling"] is None


def test_a_score_in_the_maze_comes_with_its_share_of_the_ceiling(tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main(["train", *TINY, "--size", "7", "--reward", "4", "--out", run]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, "--episodes", "20", "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    episode_length = load_weights(run)[1].episode_length
    assert scores["ceiling"] == pytest.approx(expected_reward("ideal", 7, episode_length, 4.0))
    assert scores["share_of_ceiling"] == pytest.approx(scores["mean_reward"] / scores["ceiling"])
    assert main(["evaluate", run, "--episodes", "20"]) == 0
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert float(lines["ceiling"]) == pytest.approx(scores["ceiling"], rel=1e-5)
    assert float(lines["share_of_ceiling"]) == pytest.approx(scores["share_of_ceiling"], rel=1e-5)


def test_a_run_goes_on_with_a_trained_network_in_another_maze(tmp_path, capsys):
    first, second, plain = (str(tmp_path / name) for name in ("first", "second", "plain"))
    assert main(["train", *TINY, "--plasticity", "plastic", "--size", "5", "--out", first]) == 0
    longer = ["--size", "7", "--iterations", "1", "--warmup-iterations", "1", "--quiet"]
    assert main(["train", *longer, "--start", first, "--out", second]) == 0
    before, (net, config) = load_weights(first)[0], load_weights(second)
    assert (config.size, config.plasticity, config.hidden_size) == (7, "plastic", 5)
    assert all(torch.equal(mine, before.state_dict()[name]) for name, mine in net.state_dict().items())
    assert main(["train", *longer[:2], "--iterations", "2", "--quiet", "--start", first, "--out", plain]) == 0
    assert not torch.equal(load_weights(plain)[0].w, before.w)
    capsys.readouterr()
    assert main(["train", "--resume", "--iterations", "2", "--out", second]) == 0
    capsys.readouterr()
    assert "start" in refused(capsys, "train", "--resume", "--start", first, "--out", second)
    assert "no agent of that name ships" in refused(
        capsys, "train", "--start", "none such", "--out", str(tmp_path / "new")
    )
    assert not (tmp_path / "new").exists()


def test_an_existing_folder_is_refused_and_resumed_when_asked(tmp_path, capsys):
    command = ["train", *TINY, "--out", str(tmp_path / "run")]
    assert main(command) == 0
    capsys.readouterr()
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert "never overwritten" in refused(capsys, *command)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert main(["train", "--out", str(tmp_path / "run"), "--resume", "--iterations", "3"]) == 0
    assert load_weights(tmp_path / "run")[1].iterations == 3
    capsys.readouterr()
    assert "size is 11 in the run to resume" in refused(
        capsys, "train", "--out", str(tmp_path / "run"), "--resume", "--size", "9"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "10"], "size must be an odd number of at least 5, got 10"),
        (["--size", "3"], "size must be a whole number of at least 5, got 3"),
        (["--batch-size", "0"], "batch_size must be a whole number of at least 1, got 0"),
        (["--plasticity", "elastic"], "elastic"),
        (["--learning-rate", "nan"], "learning_rate must be a finite number above 0, got nan"),
        (["--iterations", "many"], "iterations"),
        (["--speed", "9"], "--speed"),
        (["--preset", "magic"], "magic"),
        (["--out"], "--out"),
        (["--resume"], "resume needs out"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, "train", *arguments)
    assert not list(tmp_path.iterdir())


def test_other_bad_commands(tmp_path, capsys):
    assert "command must be one of train" in refused(capsys, "fly")
    assert "nowhere does not exist" in refused(capsys, "evaluate", str(tmp_path / "nowhere"))
    (tmp_path / "text.safetensors").write_text("not weights")
    assert "not a readable safetensors file" in refused(
        capsys, "evaluate", str(tmp_path / "text.safetensors")
    )
    assert "run" in refused(capsys, "evaluate").lower()
    (tmp_path / "file").write_text("")
    assert "cannot be made" in refused(capsys, "train", *TINY, "--out", str(tmp_path / "file" / "run"))


def test_help_and_version(capsys):
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        assert "usage: bpa COMMAND" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("bpa ")
    with pytest.raises(SystemExit) as stop:
        main(["train", "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert all(flag in said for flag in ("--learning-rate", "--preset", "--checkpoint-every", "--resume"))


def test_presets_give_way_to_flags(tmp_path, capsys):
    assert main(["train", "--preset", "paper", *TINY, "--out", str(tmp_path / "run")]) == 0
    config = load_weights(tmp_path / "run")[1]
    assert (config.learning_rate, config.size, config.warmup_iterations, config.hidden_size) == (
        1e-4,
        13,
        101,
        5,
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_error(tmp_path, unbuffered):
    assert main(["train", *TINY, "--out", str(tmp_path / "run")]) == 0
    for arguments in (f"evaluate {tmp_path / 'run'} --episodes 2", "--help"):
        command = f"{sys.executable} -m bpa {arguments} | true; exit ${{PIPESTATUS[0]}}"
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        shown = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment)
        assert (shown.returncode, shown.stderr) == (1, "")


def test_the_module_runs_as_a_program():
    shown = subprocess.run(
        [sys.executable, "-m", "bpa", "train", "--size", "4"], capture_output=True, text=True
    )
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == "bpa: error: size must be a whole number of at least 5, got 4\n"


def test_a_file_of_settings_stands_between_preset_and_flags(tmp_path, capsys):
    settings = tmp_path / "settings.toml"
    settings.write_text(
        'task = "cues"\nbatch_size = 2\nlearning_rate = 0.25\n\n[cues]\ncue_bits = 5\nreward = 2\n'
    )
    command = [
        "train",
        "--preset",
        "paper-cues",
        "--config",
        str(settings),
        *TINY,
        "--out",
        str(tmp_path / "run"),
    ]
    assert main([*command, "--cues.cue-bits", "6"]) == 0
    config = load_weights(tmp_path / "run")[1]
    assert (config.cues.cue_bits, config.cues.reward, config.learning_rate, config.clip) == (6, 2, 0.25, 7.0)
    assert config.cues.num_cues == 4
    capsys.readouterr()
    for text, said in (
        ("speed = 9", "config field 'speed' is unknown"),
        ("[cues]\nsize = 9", "cues field 'size' is unknown"),
        ("cues = 9", "cues must be a table"),
        ('gamma = "much"', "gamma must be a finite number of at least 0 and at most 1, got 'much'"),
        ("gamma", "is no TOML"),
        ("\x00", "is no TOML"),
    ):
        settings.write_text(text)
        assert said in refused(
            capsys, "train", "--config", str(settings), *TINY, "--out", str(tmp_path / "b")
        )
    settings.write_bytes(b"\xff\xfe")
    assert "is no TOML" in refused(capsys, "train", "--config", str(settings))
    assert "cannot be read: No such file" in refused(capsys, "train", "--config", str(tmp_path / "nothing"))
    assert not (tmp_path / "b").exists()


def test_a_run_named_in_a_file_keeps_its_own_settings_when_resumed(tmp_path, capsys):
    """As one named by a flag does."""
    settings = tmp_path / "settings.toml"
    settings.write_text(f'out = "{tmp_path / "run"}"\n')
    assert main(["train", "--config", str(settings), *TINY, "--plasticity", "plastic"]) == 0
    again = ["train", "--config", str(settings), "--iterations", "3"]
    assert main([*again, "--resume"]) == 0
    _, config = load_weights(tmp_path / "run")
    assert (config.iterations, config.hidden_size, config.plasticity) == (3, 5, "plastic")
    with open(settings, "a") as file:
        file.write("resume = true\n")
    assert main([*again[:-1], "4"]) == 0
    assert load_weights(tmp_path / "run")[1].iterations == 4
    settings.write_text("out = 3\nresume = true")
    capsys.readouterr()
    assert "out must be the name of a folder or None, got 3" in refused(
        capsys, "train", "--config", str(settings)
    )


def test_an_engine_of_ones_own_choice_evaluates_and_plays(tmp_path, capsys):
    assert main(["train", *TINY, "--engine", "eager", "--out", str(tmp_path / "run")]) == 0
    said = []
    for engine in ("auto", "eager", "numba"):
        assert main(["evaluate", str(tmp_path / "run"), "--episodes", "3", "--engine", engine]) == 0
        assert main(["play", str(tmp_path / "run"), "--device", "cpu", "--engine", engine]) == 0
        said.append(capsys.readouterr().out)
    assert said[1].splitlines()[0] == said[2].splitlines()[0]
    assert "'abacus'" in refused(capsys, "evaluate", str(tmp_path / "run"), "--engine", "abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("command", ["evaluate", "play"])
def test_a_device_that_is_not_here_is_refused_before_an_episode(tmp_path, capsys, command):
    assert main(["train", *TINY, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert "device must be 'auto' or 'cpu'" in refused(
        capsys, command, str(tmp_path / "run"), "--device", "cuda"
    )


def test_a_stopped_run_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    step = Adam.step
    monkeypatch.setattr(Adam, "step", lambda adam: (os.kill(os.getpid(), signal.SIGINT), step(adam)))
    command = ["train", *TINY, "--out", str(tmp_path / "my run")]
    assert main(command) == 130
    said = capsys.readouterr().err
    kept = tmp_path / "my run"
    assert said == f"bpa: stopped after iteration 1; go on with: bpa train --resume --out '{kept}'\n"
    monkeypatch.undo()
    assert main(shlex.split(said.split("bpa ")[1])) == 0
    assert [record.iteration for record in read_history(kept / "history.csv")] == [1, 2]
