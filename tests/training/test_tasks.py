"""The environments and tasks in a training run: set by name, built as they are, trained by the one loop."""

import dataclasses
import inspect
import json
import math
import subprocess
import sys

import pytest
import torch
from small import assert_equal_weights, weights

from bpa import Network, TrainConfig, train
from bpa.cli import main
from bpa.envs.base import REGISTRY, entry
from bpa.envs.cue_reward import CueReward
from bpa.experiments.evaluate import report
from bpa.maze import draw_noise
from bpa.tasks.sequences import Languages
from bpa.training import checkpoint as runs
from bpa.training.a2c import a2c_loss
from bpa.training.config import BEGINNINGS, beginning
from bpa.training.rollout import rollout, sample
from bpa.training.supervised import batch_accuracy, batch_loss, fit
from bpa.training.tasks import SETTINGS, build_task, is_rewarded, sizes

SMALL = TrainConfig(
    iterations=4, size=5, batch_size=3, hidden_size=6, episode_length=12, quiet=True
).as_dict()
SMALL |= {"checkpoint_every": 2, "cues": {"cue_bits": 3}, "patterns": {"pattern_size": 6}}
SMALL |= {"sequences": {"sequence_length": 9}, "recall": {"num_pairs": 2, "num_keys": 3}}


def small(task, **changes):
    return TrainConfig.from_dict(SMALL | {"task": task} | changes)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("task", SETTINGS)
def test_the_settings_are_those_of_the_task_with_its_own_values(task):
    made_by = entry(task).load()
    ours = {field.name: field.default for field in dataclasses.fields(SETTINGS[task])}
    theirs = {name: value.default for name, value in inspect.signature(made_by).parameters.items()}
    given = {"batch_size", "generator", "device", "split", "episode_length"}
    assert ours == {name: value for name, value in theirs.items() if name not in given}


@pytest.mark.parametrize("task", REGISTRY)
def test_a_config_builds_the_task_it_describes(task):
    config = small(task)
    made = build_task(config, generator=seeded(0))
    assert made.batch_size == 3
    named = {"maze": {"size": 5, "episode_length": 12}, "cues": {"cue_bits": 3, "episode_length": 12}}
    named |= {"patterns": {"pattern_size": 6}, "pictures": {"source": "digits"}}
    named |= {"sequences": {"sequence_length": 9}, "recall": {"num_pairs": 2, "num_keys": 3}}
    named |= {"gymnasium": {"episode_length": 12, "observation_size": 4}}
    assert {name: getattr(made, name) for name in named[task]} == named[task]
    net = runs.build_network(config, seeded(0))
    assert (net.input_size, net.num_actions) == sizes(made)
    observation = made.reset() if is_rewarded(task) else made.sample().inputs[0]
    assert observation.shape == (3, net.input_size)


def test_training_and_evaluation_see_different_pictures():
    config = small("pictures")
    shown = [build_task(config, split=split).pictures for split in ("train", "test")]
    assert build_task(config).pictures.shape == shown[0].shape
    assert shown[0].shape[0] > shown[1].shape[0]
    net = runs.build_network(config, seeded(0))
    generator = seeded(1)
    batch = build_task(config, 7, generator, split="test").sample()
    outputs = net.unroll(batch.inputs).logits
    metrics = report(net, config, episodes=7, seed=1)
    assert metrics["mean_loss"] == pytest.approx(batch_loss(outputs, batch).item(), rel=1e-5)
    assert metrics["mean_accuracy"] == pytest.approx(batch_accuracy(outputs, batch))


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("task", REGISTRY)
def test_every_task_is_trained_resumed_and_evaluated_to_the_bit(tmp_path, task, cell):
    config = small(task, cell=cell, plasticity="plastic" if cell == "rnn" else "none")
    whole = train(config)
    parted = config.replace(out=str(tmp_path / "run"))
    train(parted.replace(iterations=3))
    resumed = train(parted.replace(resume=True))
    assert_equal_weights(weights(whole), weights(resumed))
    start = runs.build_network(config, seeded(config.seed)).state_dict()
    assert not torch.equal(start["w"], weights(whole)["w"])
    assert [record[:4] for record in whole.history] == [record[:4] for record in resumed.history]
    assert runs.read_history(tmp_path / "run" / "history.csv") == resumed.history
    score = "reward" if is_rewarded(task) else "accuracy"
    assert (tmp_path / "run" / "history.csv").read_text().split(",")[1] == score
    net, loaded = runs.load_weights(tmp_path / "run")
    assert (loaded, type(net)) == (parted.replace(resume=True), type(whole.network))
    scores = report(net, loaded, episodes=5)
    assert scores["episodes"] == 5
    assert all(value is None or math.isfinite(value) for value in scores.values())
    assert scores == report(net, loaded, episodes=5) != report(net, loaded, episodes=5, seed=9)


def test_the_loop_teaches_what_fit_teaches():
    config = small("patterns", plasticity="plastic", adam_eps=1e-8)
    generator = seeded(config.seed)
    net = runs.build_network(config, generator)
    steps = fit(build_task(config, generator=generator), net, config.iterations, config.learning_rate)
    result = train(config)
    assert_equal_weights(weights(result), net.state_dict())
    assert [record.loss for record in result.history] == [step.loss for step in steps]


def test_an_agent_is_taught_by_the_rewards_of_the_cue_task():
    config = small("cues", plasticity="simple", learning_rate=1e-9, iterations=1)
    generator = seeded(config.seed)
    net = runs.build_network(config, generator)
    env = build_task(config, generator=generator)
    episodes = env.draw()
    uniform = torch.rand(12, 3, generator=generator)
    observation, hidden = env.reset(episodes), net.initial_state(3)
    logits, values, actions, rewards = [], [], [], []
    for t in range(12):
        out, value, hidden = net(observation, hidden)
        actions.append(sample(out, uniform[t]))
        observation, reward, done = env.step(actions[-1])
        logits.append(out)
        values.append(value)
        rewards.append(reward)
    assert done
    seen = [torch.stack(part) for part in (logits, values, actions, rewards)]
    (record,) = train(config).history
    assert record.reward == seen[3].sum(0).mean().item()
    assert record.loss == pytest.approx(a2c_loss(*seen, 0.9, 0.1, 0.01).item(), rel=1e-5)


def test_an_agent_learns_to_say_yes_where_every_pair_holds_the_target():
    config = small("cues", iterations=60, learning_rate=1e-2, batch_size=20)
    history = train(config.replace(cues=SETTINGS["cues"](num_cues=2, cue_bits=2, wrong_penalty=1.0))).history
    rewards = [record.reward for record in history]
    assert sum(rewards[:5]) / 5 < 1 < 1.8 < sum(rewards[-10:]) / 10 <= 2


def test_the_noise_of_the_cue_task_is_drawn_beforehand():
    env = CueReward(batch_size=4, episode_length=30, generator=seeded(3))
    net = Network(*(26, 5, 2), generator=seeded(0))
    noise = env.sample_noise()
    state = env.generator.get_state()
    with torch.no_grad():
        first, again = rollout(net, env, noise), rollout(net, env, noise)
        other = rollout(net, env, env.sample_noise())
    assert torch.equal(first.observations, again.observations)
    assert torch.equal(first.actions, again.actions)
    assert not torch.equal(first.observations, other.observations)
    assert not torch.equal(state, env.generator.get_state())
    with pytest.raises(ValueError, match=r"noise.action must have shape \[30, 4\]"):
        rollout(net, env, noise._replace(action=noise.action[1:]))
    with pytest.raises(ValueError, match="episodes must be CueEpisodes, as draw gives, got MazeNoise"):
        rollout(net, env, draw_noise(30, 4, seeded(0)))


def test_languages_are_set_beside_the_exact_bayesian():
    config = small("sequences", plasticity="plastic")
    net = runs.build_network(config, seeded(0))
    metrics = report(net, config, episodes=8, seed=4)
    languages = build_task(config, 8, seeded(4))
    batch = languages.sample()
    assert isinstance(languages, Languages)
    assert metrics["bayes_loss"] == pytest.approx(languages.bayes_loss(batch)[batch.mask].mean().item())
    assert metrics["bayes_loss"] < metrics["mean_loss"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task": "chess"}, "task must be one of 'maze', 'cues'"),
        ({"cell": "gru"}, "cell must be one of 'rnn', 'lstm', 'fast-weights', 'own', got 'gru'"),
        (
            {"cell": "lstm", "plasticity": "plastic", "rule": "oja"},
            "cell 'lstm' needs rule 'hebb', got 'oja'",
        ),
        ({"cues": {"num_cues": 1}}, "num_cues must be a whole number of at least 2, got 1"),
        (
            {"cues": {"num_cues": 3, "pairing": "dealt"}},
            "num_cues must be even to be dealt out in pairs",
        ),
        ({"cues": {"trials": "sr"}}, "trials must be one of 'regular', 'published', got 'sr'"),
        ({"cues": {"trials": "published", "num_cues": 3}}, "num_cues must be even with trials 'published'"),
        ({"cues": {"trials": "published", "jitter": 1}}, "jitter must be 0, its default, with trials"),
        ({"cues": {"cues": 4}}, "cues field 'cues' is unknown; the fields are num_cues"),
        ({"cues": 4}, "cues must be a table of field names and values, got int"),
        ({"task": "cues", "episode_length": 5}, "episode_length must be a whole number of at least 6, got 5"),
        ({"patterns": {"pattern_size": 4, "num_patterns": 5}}, "num_patterns must be at most 4"),
        ({"pictures": {"num_pictures": 0}}, "num_pictures must be a whole number of at least 1, got 0"),
        (
            {"sequences": {"concentration": math.nan}},
            "concentration must be a finite number above 0",
        ),
        ({"recall": {"num_pairs": 17}}, "num_pairs must be at most 16"),
    ],
)
def test_wrong_settings_of_any_task_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.from_dict(change)


def test_the_published_cue_task_is_reached_from_the_command_line(tmp_path, capsys):
    run = str(tmp_path / "run")
    tiny = ["--iterations", "2", "--batch-size", "2", "--episode-length", "9", "--hidden-size", "4"]
    assert main(["train", "--preset", "published-cues", *tiny, "--quiet", "--out", run]) == 0
    config = runs.load_weights(run)[1]
    assert (config.task, config.cues.trials, config.cues.wrong_penalty) == ("cues", "published", 1)
    assert (config.baseline, config.max_gradient_norm, config.fanout) == ("first", 2, False)
    assert main(["evaluate", run, "--episodes", "3"]) == 0
    assert "reward per episode" in capsys.readouterr().out


def test_the_command_line_trains_and_evaluates_other_tasks(tmp_path, capsys):
    for task, setting, flags in (
        ("cues", "cue_bits", ["--cues.cue-bits", "4"]),
        ("recall", "num_pairs", ["--recall.num-pairs", "2"]),
    ):
        run = str(tmp_path / task)
        tiny = ["--iterations", "2", "--batch-size", "2", "--episode-length", "9", "--quiet", "--out", run]
        assert main(["train", "--task", task, *flags, *tiny]) == 0
        score = "reward per episode" if task == "cues" else "accuracy"
        assert f"2 iterations in 0 s, {score}" in capsys.readouterr().out
        config = runs.load_weights(run)[1]
        assert config.hidden_size == beginning(task).hidden_size
        assert vars(config.cues if task == "cues" else config.recall)[
            flags[0].split(".")[1].replace("-", "_")
        ]
        assert main(["evaluate", run, "--episodes", "3", "--json"]) == 0
        assert ("mean_reward" if task == "cues" else "mean_accuracy") in json.loads(capsys.readouterr().out)
        assert main(["train", "--out", run, "--resume", flags[0], "3", "--quiet"]) == 2
        said = capsys.readouterr().err
        assert f"{task}.{setting} is {flags[1]} in the run to resume, got 3" in said
        assert said.count("\n") == 1


def test_each_task_begins_with_settings_of_its_own():
    assert tuple(BEGINNINGS) == tuple(REGISTRY)
    assert [beginning(task).task for task in REGISTRY] == list(REGISTRY)
    assert beginning("maze") == TrainConfig()
    with pytest.raises(ValueError, match="task must be one of"):
        beginning("chess")


def test_importing_bpa_loads_no_pictures_and_draws_none():
    code = "import sys, bpa; print(sorted({'sklearn', 'matplotlib', 'IPython'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_an_environment_of_gymnasium_is_trained_by_its_name_and_goes_on(tmp_path, capsys):
    def command(folder, *more):
        run = str(tmp_path / folder)
        settings = ["--task", "gymnasium", "--gymnasium.env", "FrozenLake-v1", "--episode-length", "20"]
        small = ["--hidden-size", "5", "--batch-size", "3", "--checkpoint-every", "1", "--quiet"]
        assert main(["train", *settings, *small, "--seed", "3", "--out", run, *more]) == 0
        return runs.load_weights(run)

    net, config = command("whole", "--iterations", "4")
    assert config.gymnasium.env == "FrozenLake-v1"
    assert (net.input_size, net.num_actions) == (16, 4)
    command("parts", "--iterations", "2")
    again, _ = command("parts", "--iterations", "4", "--resume")
    assert_equal_weights(again.state_dict(), net.state_dict())
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "whole"), "--episodes", "4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["episodes"] == 4
    wrong = ["train", "--task", "gymnasium", "--gymnasium.env", "Nowhere-v0"]
    assert main(wrong) == 2
    assert "env must be an id that Gymnasium knows, got 'Nowhere-v0'" in capsys.readouterr().err
