"""Every promise of the open interface: environments, networks, rules and tasks of somebody else's."""

import copy
import logging
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest
import torch
from bandit import Bandit
from echo import Echo
from javascript import run_javascript
from small import assert_equal_weights, weights
from torch import nn

import bpa
from bpa import GridMaze, Network, TrainConfig, evaluate, load, save, train
from bpa.cells.base import RecurrentNetwork
from bpa.cells.fast_weights import FastWeightNetwork
from bpa.cli import main
from bpa.engines import log_once
from bpa.envs import base
from bpa.envs.base import register
from bpa.network import outer
from bpa.show import widgets
from bpa.train import a2c_loss
from bpa.training.checkpoint import load_weights, read_history
from bpa.training.distributed import Team
from bpa.training.rollout import rollout
from bpa.training.tasks import build_task

ROOT = Path(__file__).parents[1]
CONFIG = TrainConfig(iterations=3, hidden_size=5, learning_rate=0.01, quiet=True)


class Coin:
    """All that an environment must have, and nothing else; it draws from PyTorch's global generator."""

    observation_size = 2
    num_actions = 2
    batch_size = 3
    episode_length = 4

    def reset(self):
        self.time = 0
        return torch.rand(3, 2)

    def step(self, actions):
        self.time += 1
        return torch.rand(3, 2), (actions == 1).float(), self.time == 4


class Plain(nn.Module):
    """All that a network must have. Its state is no tuple, and it has neither heads nor unroll."""

    def __init__(self, input_size=3, num_actions=2):
        super().__init__()
        self.input_size, self.num_actions = input_size, num_actions
        self.cell, self.out = nn.GRUCell(input_size, 5), nn.Linear(5, num_actions + 1)

    def initial_state(self, batch_size):
        return self.out.weight.new_zeros(batch_size, 5)

    def forward(self, x, hidden):
        hidden = self.cell(x, hidden)
        out = self.out(hidden)
        return out[:, 1:], out[:, 0], hidden


class Elman(RecurrentNetwork):
    """A cell of one's own whose state is a plain tuple."""

    def __init__(self, input_size=3, hidden_size=5, num_actions=2):
        super().__init__()
        _, H, _ = self.declare_sizes(input_size, hidden_size, num_actions)
        self.i2h, self.h2h = nn.Linear(input_size, H), nn.Linear(H, H)
        self.h2o, self.h2v = nn.Linear(H, num_actions), nn.Linear(H, 1)

    def initial_state(self, batch_size):
        return (self.h2o.weight.new_zeros(batch_size, self.hidden_size),)

    def step(self, drive, hidden):
        return (torch.tanh(drive + self.h2h(hidden[0])),)


def squeezed(rate, pre, post, hebb):
    return torch.tanh(hebb + rate * outer(pre, post))


def oja(rate, pre, post, hebb):
    """Of the name of one of ours, and nothing like it."""
    return hebb - rate * outer(pre, post)


def network(seed=0, **settings):
    generator = torch.Generator().manual_seed(seed)
    return Network(**{"input_size": 3, "hidden_size": 5, "num_actions": 2} | settings, generator=generator)


@pytest.fixture
def registry():
    """What a test registers is forgotten after it."""
    before = dict(base.REGISTRY)
    yield
    base.REGISTRY.clear()
    base.REGISTRY.update(before)


# An environment of one's own


def test_four_sizes_reset_and_step_train_and_are_scored():
    state = torch.get_rng_state()
    one, other = (train(CONFIG, env=Coin()) for _ in range(2))
    score = evaluate(one.network, Coin(), episodes=7, seed=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert_equal_weights(weights(one), weights(other))
    assert (one.config.task, one.config.batch_size, one.config.episode_length) == ("own", 3, 4)
    assert score == evaluate(one.network, Coin(), episodes=7, seed=2)
    assert score != evaluate(one.network, Coin(), episodes=7, seed=3)
    assert score.episodes == 7
    assert 0 <= score.lower_quartile <= score.median <= score.upper_quartile <= 4


def test_the_global_generator_is_put_back_where_a_run_fails():
    class Broken(Coin):
        def step(self, actions):
            raise RuntimeError("broken")

    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="broken"):
        train(CONFIG, env=Broken())
    assert torch.equal(torch.get_rng_state(), state)


def test_a_run_without_sample_noise_cannot_be_resumed_and_says_so(tmp_path):
    config = CONFIG.replace(out=str(tmp_path / "run"))
    train(config, env=Coin())
    said = "resume needs an env with sample_noise, which Coin lacks: without it the noise of an episode"
    with pytest.raises(ValueError, match=said):
        train(config.replace(resume=True, iterations=4), env=Coin())
    assert load(tmp_path / "run").input_size == 2


@pytest.mark.parametrize("unequal", [False, True])
def test_a_run_with_sample_noise_resumes_to_the_bit(tmp_path, unequal):
    whole = train(CONFIG.replace(iterations=5), env=Bandit(unequal=unequal))
    config = CONFIG.replace(iterations=2, out=str(tmp_path / "run"))
    train(config, env=Bandit(unequal=unequal))
    resumed = train(config.replace(resume=True, iterations=5), env=Bandit(unequal=unequal))
    assert_equal_weights(weights(resumed), weights(whole))
    assert [record[1:4] for record in resumed.history] == [record[1:4] for record in whole.history]


IN_TWO = """
import sys
from bandit import Bandit
from bpa import TrainConfig, train
from bpa.training.distributed import leave_team
for baseline in ("own", "first"):
    config = TrainConfig(iterations=3, hidden_size=5, learning_rate=0.01, quiet=True, baseline=baseline)
    train(config.replace(out=sys.argv[1] + baseline), env=Bandit(unequal=True))
leave_team()
"""


@pytest.fixture(scope="module")
def learned_in_two(tmp_path_factory):
    """The beginning of the names of two run folders, of two processes that are launched once for both."""
    folder = tmp_path_factory.mktemp("team")
    program = folder / "program.py"
    program.write_text(IN_TWO)
    team = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    done = subprocess.run(
        [sys.executable, *team, str(folder / "run-")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
    )
    assert done.returncode == 0, done.stderr
    return folder / "run-"


@pytest.mark.parametrize("baseline", ["own", "first"])
def test_two_processes_learn_the_same_as_one(learned_in_two, baseline):
    alone = train(CONFIG.replace(baseline=baseline), env=Bandit(unequal=True))
    run = Path(f"{learned_in_two}{baseline}")
    for name, tensor in weights(alone).items():
        torch.testing.assert_close(load(run).state_dict()[name], tensor, rtol=1e-4, atol=1e-6)
    for one, other in zip(read_history(run / "history.csv"), alone.history, strict=True):
        assert one[:4] == pytest.approx(other[:4], rel=1e-4)


def test_several_processes_need_noise_that_can_be_split(monkeypatch):
    monkeypatch.setattr(sys.modules["bpa.train"], "join_team", lambda device: Team(0, 3))
    with pytest.raises(ValueError, match="several processes need an env with sample_noise, which Coin lacks"):
        train(CONFIG, env=Coin())


# Episodes of unequal length


def loss_by_loops(seen, lengths, gamma, value_coef, concentration_coef, gae_lambda):
    """The masked loss episode by episode and step by step, backwards."""
    total, steps = 0.0, 0
    for b, length in enumerate(lengths):
        ahead_value = ahead_return = 0.0
        for t in reversed(range(length)):
            policy = torch.softmax(seen.logits[t, b], 0)
            value = seen.values[t, b].item()
            reward = seen.rewards[t, b].item()
            if seen.bootstrap is not None:
                reward += gamma * seen.bootstrap[t, b].item()
            follows = (1 - gae_lambda) * ahead_value + gae_lambda * ahead_return
            ahead_return, ahead_value = reward + gamma * follows, value
            advantage = ahead_return - value
            total -= policy[seen.actions[t, b]].log().item() * advantage
            total += value_coef * advantage**2
            total += concentration_coef * (policy**2).sum().item()
            steps += 1
    return total / steps


@pytest.mark.parametrize("gae_lambda", [1.0, 0.6])
@pytest.mark.parametrize("bootstrap", [False, True])
def test_the_masked_loss_is_that_of_plain_loops(bootstrap, gae_lambda):
    env = Bandit(unequal=True, batch_size=5, generator=torch.Generator().manual_seed(1))
    noise = env.sample_noise()
    net = network(1, plasticity="plastic").double()
    seen = rollout(net, env, noise, engine="eager")
    if bootstrap:
        last = seen.mask & ~torch.cat([seen.mask[1:], torch.zeros_like(seen.mask[:1])])
        seen = seen._replace(bootstrap=3 * last.double())
    lengths = noise.length.tolist()
    assert seen.mask.sum(0).tolist() == lengths
    assert len(set(lengths)) > 1
    assert seen.rewards[~seen.mask].count_nonzero() == 0
    numbers = {"gamma": 0.8, "value_coef": 0.2, "concentration_coef": 0.05, "gae_lambda": gae_lambda}
    parts = (seen.logits, seen.values, seen.actions, seen.rewards.double())
    loss = a2c_loss(*parts, **numbers, mask=seen.mask, bootstrap=seen.bootstrap)
    assert loss.item() == pytest.approx(loss_by_loops(seen, lengths, **numbers), rel=1e-12)
    loss.backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters())


def test_what_comes_after_an_episodes_end_counts_nowhere():
    score = evaluate(network(), Bandit(unequal=True), episodes=40)
    assert 0 < score.mean < 6  # an episode that is over sends rewards of 1e9 and observations of NaN
    result = train(CONFIG, env=Bandit(unequal=True))
    assert all(0 <= record.reward <= 6 and math.isfinite(record.loss) for record in result.history)


def test_a_time_limit_bootstraps_only_where_it_is_asked_for():
    def cartpole(bootstrap):
        batch = gymnasium.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync")
        generator = torch.Generator().manual_seed(1)  # none of its poles falls at the last step
        return bpa.envs.from_gymnasium(batch, episode_length=12, bootstrap=bootstrap, generator=generator)

    net = network(input_size=4)
    noise = cartpole(False).sample_noise()
    ends, goes_on = (rollout(net, cartpole(flag), noise) for flag in (False, True))
    assert ends.bootstrap is None
    assert torch.equal(ends.rewards, goes_on.rewards)
    cut = torch.ones(12, 3, dtype=torch.bool) if ends.mask is None else ends.mask
    assert torch.equal(goes_on.bootstrap != 0, cut & (torch.arange(12) == 11)[:, None])
    # The value there is that of the observation after the last step, which the network has not seen.
    state = net.initial_state(3)
    for sensed in goes_on.observations:
        _, _, state = net(sensed, state)
    env = cartpole(True)
    env.reset(noise)
    for action in goes_on.actions:
        observation, _, _ = env.step(action)
    value = net(observation, state)[1]
    torch.testing.assert_close(goes_on.bootstrap[11], value.detach() * cut[11])
    config = CONFIG.replace(seed=3)
    assert (
        train(config, env=cartpole(True)).history[0].loss
        != train(config, env=cartpole(False)).history[0].loss
    )


# A network of one's own


@pytest.mark.parametrize("kind", [Plain, Elman])
def test_any_module_with_four_names_trains_and_is_scored(tmp_path, kind):
    torch.manual_seed(0)
    net = kind()
    before = copy.deepcopy(net.state_dict())
    config = CONFIG.replace(out=str(tmp_path / "run"), iterations=2)
    result = train(config, env=Bandit(), network=net)
    assert type(result.network) is kind
    assert_equal_weights(net.state_dict(), before)
    assert any(not torch.equal(before[name], part) for name, part in weights(result).items())
    assert evaluate(result.network, Bandit(), episodes=9).episodes == 9
    resumed = train(config.replace(resume=True, iterations=4), env=Bandit(), network=kind())
    assert_equal_weights(
        weights(resumed), weights(train(CONFIG.replace(iterations=4), env=Bandit(), network=net))
    )


def test_a_cell_of_ones_own_answers_in_a_supervised_task():
    task = {"num_pairs": 2, "num_keys": 3, "num_values": 3}
    config = CONFIG.replace(task="recall").updated({"recall": task})
    assert len(train(config, network=Elman(7, 5, 3)).history) == 3
    with pytest.raises(ValueError, match="net must have 7 inputs and 3 outputs for this task, got 3 and 2"):
        train(config, network=Elman())
    with pytest.raises(ValueError, match="net must have unroll for a supervised task"):
        train(config, network=Plain(7, 3))


def test_a_network_that_is_given_is_copied_and_its_settings_hold(tmp_path):
    net = network(7, plasticity="retroactive", alpha="neuron", fanout=False, clip=0.5)
    before = copy.deepcopy(net.state_dict())
    config = CONFIG.replace(hidden_size=9, plasticity="none", out=str(tmp_path / "run"), iterations=1)
    result = train(config, env=Bandit(), network=net)
    assert result.network is not net
    assert_equal_weights(net.state_dict(), before)
    assert result.network.settings() == net.settings()
    assert (result.config.hidden_size, result.config.plasticity, result.config.clip) == (
        5,
        "retroactive",
        0.5,
    )
    whole = train(CONFIG.replace(hidden_size=9, iterations=3), env=Bandit(), network=net)
    resumed = train(config.replace(resume=True, iterations=3), env=Bandit(), network=network(8, **SAME))
    assert_equal_weights(weights(resumed), weights(whole))
    with pytest.raises(ValueError, match="alpha is 'neuron' in the run to resume, got 'synapse'"):
        train(config.replace(resume=True), env=Bandit(), network=network(8, **SAME | {"alpha": "synapse"}))


SAME = {"plasticity": "retroactive", "alpha": "neuron", "fanout": False, "clip": 0.5}


@pytest.mark.parametrize(
    "net",
    [
        network(clipping="soft"),
        network(clip=math.inf),
        network(modulator="sigmoid"),
        network(rule=squeezed),
        FastWeightNetwork(3, 5, 2, writing="sum"),
        bpa.LSTM(3, 5, 2, plasticity="simple", clipping="soft"),
    ],
    ids=["soft", "inf", "sigmoid", "rule", "sum", "lstm"],
)
def test_a_run_is_not_resumed_as_a_network_that_its_config_cannot_describe(tmp_path, net):
    config = CONFIG.replace(out=str(tmp_path / "run"), iterations=1, plasticity="none")
    result = train(config, env=Bandit(), network=net)
    assert result.network.settings() == net.settings()
    assert result.config.cell == "own"
    with pytest.raises(ValueError, match="cell is 'own' in the run to resume, got 'rnn'"):
        train(config.replace(resume=True, iterations=2), env=Bandit())
    assert (
        train(config.replace(resume=True, iterations=2), env=Bandit(), network=net).history[1].iteration == 2
    )


# Files

CELLS = [
    network(plasticity="none"),
    network(plasticity="plastic", rule="oja", alpha="network", clip=math.inf),
    network(plasticity="simple", alpha="neuron", clipping="soft", modulator="sigmoid", clip=0.7),
    network(plasticity="retroactive", fanout=False, modulator="linear"),
    bpa.LSTM(3, 5, 2),
    bpa.LSTM(3, 5, 2, plasticity="simple", alpha="neuron", fanout=False, clipping="soft"),
    FastWeightNetwork(3, 5, 2, writing="sum", gated=True),
    FastWeightNetwork(3, 5, 2, writing="delta", gated=False),
]


@pytest.mark.parametrize("net", CELLS, ids=lambda net: type(net).__name__)
def test_every_cell_comes_back_from_a_file(tmp_path, net):
    save(tmp_path / "mine.safetensors", net)
    again = load(str(tmp_path / "mine.safetensors"))
    assert type(again) is type(net)
    assert again.settings() == net.settings()
    xs = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.unroll(xs, engine="eager").logits, net.unroll(xs, engine="eager").logits)
    with pytest.raises(ValueError, match="exists and is never overwritten"):
        save(tmp_path / "mine.safetensors", net)


@pytest.mark.parametrize("net", CELLS, ids=lambda net: type(net).__name__)
def test_print_shows_every_setting(net):
    shown = repr(net).splitlines()[1]
    for name, value in net.settings().items():
        assert f"{name}={value!r}" in shown


def test_print_shows_a_rule_of_ones_own_by_its_name():
    assert "squeezed" in repr(network(rule=squeezed))


@pytest.mark.parametrize("rule", [squeezed, oja])
def test_a_rule_of_ones_own_is_kept_by_name_and_asked_for(tmp_path, rule):
    net = network(plasticity="plastic", rule=rule)
    with torch.no_grad():
        net.eta.fill_(0.7)
        net.alpha.fill_(0.9)
        net.w.fill_(0.3)
    save(tmp_path / "mine.safetensors", net)
    said = rf"its rule is the function '{rule.__name__}': bpa.load\(path, rule={rule.__name__}\)"
    with pytest.raises(ValueError, match=said):
        load(tmp_path / "mine.safetensors")
    again = load(tmp_path / "mine.safetensors", rule=rule)
    xs = torch.randn(6, 2, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(again.unroll(xs).logits, net.unroll(xs).logits)
    ours = network(plasticity="plastic", rule="oja")
    ours.load_state_dict(net.state_dict())
    assert not torch.equal(ours.unroll(xs).logits, net.unroll(xs).logits)


def test_a_rule_of_ones_own_trains_and_its_run_folder_asks_for_it(tmp_path):
    out = tmp_path / "run"
    result = train(CONFIG.replace(out=str(out)), env=Bandit(), network=network(rule=squeezed))
    with pytest.raises(ValueError, match="its rule is the function 'squeezed'"):
        load(out)
    assert_equal_weights(load(out, rule=squeezed).state_dict(), weights(result))


def test_agents_run_folders_and_files_of_before_are_loaded(tmp_path, monkeypatch):
    train(CONFIG.replace(out=str(tmp_path / "run")), env=Bandit())
    assert load(tmp_path / "run").input_size == 3
    assert_equal_weights(
        load("maze-9").state_dict(), load(ROOT / "results/agents/maze-9.safetensors").state_dict()
    )
    for path in sorted((ROOT / "results").glob("*/weights/*.safetensors")):
        net, config = load_weights(path)
        assert net.hidden_size == config.hidden_size
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "other.safetensors", network())
    (tmp_path / "other.safetensors").rename("maze-11")  # a path wins over an agent's name
    assert load("maze-11").input_size == 3
    with pytest.raises(ValueError, match="no agent of that name ships: there are maze-9, maze-11, maze-13"):
        load("maze-12")


def test_a_network_of_another_class_is_not_saved(tmp_path):
    with pytest.raises(
        ValueError, match=r"net must be one of Network, LSTM, FastWeightNetwork, .* got Plain"
    ):
        save(tmp_path / "mine.safetensors", Plain())


# A rule of one's own, where others compute


def test_a_rule_of_ones_own_runs_eager_and_says_so_once(caplog):
    log_once.cache_clear()
    caplog.set_level(logging.INFO, "bpa")
    net = network(rule=squeezed)
    for _ in range(3):
        net.unroll(torch.zeros(2, 1, 3))
    said = [record.getMessage() for record in caplog.records if "engine eager" in record.getMessage()]
    assert len(said) == 1
    assert "rule" in said[0]
    with pytest.raises(ValueError, match=r"engine 'numba' cannot run this: .*rule.*; engine='eager' can"):
        net.unroll(torch.zeros(2, 1, 3), engine="numba")


def test_the_page_refuses_a_network_that_it_cannot_run():
    agent = {"input_size": 17, "num_actions": 4}
    said = "net must have a rule that the page can run, one of 'hebb', 'decay', 'oja', got the function 'oja'"
    with pytest.raises(ValueError, match=said):
        widgets.watch_agent(network(**agent, rule=oja))
    said = r"net must be a bpa\.Network or bpa\.LSTM, which the page can run, got FastWeightNetwork"
    with pytest.raises(ValueError, match=said):
        widgets.watch_agent(FastWeightNetwork(**agent, hidden_size=5))


MAKE = """({ settings, parameters }) => {
  try { new Network(settings, parameters); } catch (error) { return error.message; }
  return "made";
}"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "made"),
        ({"rule": "squeezed"}, 'rule must be one of "hebb", "decay", "oja", got "squeezed"'),
        ({"rule": {"function": "oja"}}, 'rule must be one of "hebb", "decay", "oja", got {"function":"oja"}'),
        ({"clipping": "softer"}, 'clipping must be one of "hard", "soft", got "softer"'),
        ({"modulator": "relu"}, 'modulator must be one of "tanh", "sigmoid", "linear", got "relu"'),
        (
            {"alphaShape": "layer"},
            'alphaShape must be one of null, "synapse", "neuron", "network", got "layer"',
        ),
    ],
)
def test_the_pages_program_refuses_what_it_does_not_know(change, said):
    net = network()
    given = {
        "settings": widgets.network_settings(net) | change,
        "parameters": widgets.network_parameters(net),
    }
    assert run_javascript(MAKE, given) == said


# The registry


def test_a_bandit_is_one_file_and_one_line(registry, tmp_path):
    register("bandit", Bandit)
    config = CONFIG.replace(task="bandit", batch_size=4, episode_length=6, options={"pay": 3.0})
    result = train(config)
    assert (result.network.input_size, result.network.num_actions) == (3, 2)
    assert build_task(config).pay == 3.0
    assert {round(record.reward * 4 / 3, 4) % 1 for record in result.history} == {0.0}
    begun = config.replace(iterations=1, out=str(tmp_path / "run"))
    train(begun)
    resumed = train(begun.replace(iterations=3, resume=True))
    assert_equal_weights(weights(resumed), weights(result))
    with pytest.raises(ValueError, match=r"options of bandit must be of .*pay.*, got 'prize'"):
        CONFIG.replace(task="bandit", options={"prize": 3.0})
    with pytest.raises(ValueError, match="name must be new in the registry, got 'bandit'"):
        register("bandit", Bandit)


def test_an_environment_without_noise_has_a_name_too(registry, tmp_path):
    register("coin", Coin, fields=())
    config = CONFIG.replace(task="coin", batch_size=3, out=str(tmp_path / "run"))
    state = torch.get_rng_state()
    result = train(config)
    again = train(config.replace(out=None))
    assert torch.equal(torch.get_rng_state(), state)
    assert_equal_weights(weights(result), weights(again))
    with pytest.raises(ValueError, match="resume needs an env with sample_noise, which Coin lacks"):
        train(config.replace(resume=True))


def test_a_supervised_task_is_one_file_and_one_line(registry):
    register("echo", Echo, rewarded=False, fields=())
    config = CONFIG.replace(task="echo", plasticity="none", options={"num_symbols": 4})
    result = train(config)
    assert (result.network.input_size, result.network.num_actions) == (4, 4)
    assert result.history[0]._fields[1] == "accuracy"
    assert_equal_weights(weights(result), weights(train(config)))


def test_the_command_line_knows_what_its_process_has_registered(registry, tmp_path, capsys):
    register("bandit", Bandit)
    file = tmp_path / "bandit.toml"
    file.write_text(
        "iterations = 2\nhidden_size = 5\nbatch_size = 4\nepisode_length = 6\n[options]\npay = 2.0\n"
    )
    out = tmp_path / "run"
    assert main(["train", "--task", "bandit", "--config", str(file), "--quiet", "--out", str(out)]) == 0
    config = TrainConfig(
        task="bandit",
        iterations=2,
        hidden_size=5,
        batch_size=4,
        episode_length=6,
        options={"pay": 2.0},
        quiet=True,
    )
    assert_equal_weights(load(out).state_dict(), weights(train(config)))
    assert main(["evaluate", str(out), "--episodes", "9"]) == 0
    assert "mean_reward" in capsys.readouterr().out
    assert main(["train", "--resume", "--out", str(out), "--iterations", "3", "--quiet"]) == 0


def test_the_command_line_does_not_know_what_another_has_registered():
    done = subprocess.run(
        [sys.executable, "-m", "bpa", "train", "--task", "bandit"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "bandit" in line


# Environments of others, by the line that registers each. Nothing else names them.
STRANGERS = {
    "bandit": "bandit:Bandit",
    "tmaze": "tmaze:TMaze",
}


@pytest.mark.parametrize("name", STRANGERS)
def test_an_environment_is_one_file_and_one_line(name, registry, tmp_path, capsys):
    """It trains, by settings and by the command line; goes on to the bit; replays; and is scored."""
    register(name, STRANGERS[name])
    config = CONFIG.replace(task=name, batch_size=4, episode_length=6)
    whole, out = train(config), tmp_path / "run"
    train(config.replace(iterations=2, out=str(out)))
    assert main(["train", "--resume", "--out", str(out), "--iterations", "3"]) == 0
    assert_equal_weights(load(out).state_dict(), weights(whole))
    env = build_task(config, generator=torch.Generator().manual_seed(2))
    assert (whole.network.input_size, whole.network.num_actions) == (env.observation_size, env.num_actions)
    noise = env.sample_noise()
    first, again = (rollout(whole.network, env, noise) for _ in range(2))
    other = rollout(whole.network, env)
    assert torch.equal(first.actions, again.actions)
    assert torch.equal(first.rewards, again.rewards)
    assert first.actions.shape != other.actions.shape or not torch.equal(first.actions, other.actions)
    env.batch_size = 2
    half = rollout(whole.network, env, noise.shard(slice(2, 4)))
    assert torch.equal(half.rewards, first.rewards[: len(half.rewards), 2:])
    assert evaluate(whole.network, env, episodes=6, seed=3) == evaluate(
        whole.network, env, episodes=6, seed=3
    )
    capsys.readouterr()
    assert main(["evaluate", str(out), "--episodes", "9"]) == 0
    assert "mean_reward" in capsys.readouterr().out


# Scores


def test_greedy_evaluation_is_a_loop_that_takes_the_likeliest():
    net = network(input_size=17, num_actions=4)
    env = GridMaze(size=5, batch_size=6, episode_length=40, generator=torch.Generator().manual_seed(0))
    score = evaluate(net, env, episodes=6, seed=4, greedy=True)
    env.generator.manual_seed(4)
    noise = env.sample_noise()
    observation, hidden, total, done = env.reset(noise), net.initial_state(6), torch.zeros(6), False
    while not done:
        with torch.no_grad():
            logits, _, hidden = net(observation, hidden)
        observation, reward, done = env.step(logits.argmax(1))
        total += reward
    assert score.mean == pytest.approx(total.double().mean().item())
    assert score.median == pytest.approx(total.double().quantile(0.5).item())
    assert score != evaluate(net, env, episodes=6, seed=4)


# What is wrong is said in one line


def changed(**attributes):
    return type("Wrong", (Coin,), attributes)()


def without(name):
    wrong = type("Wrong", (), {key: value for key, value in vars(Coin).items() if key != name})
    return wrong()


def stepping(observation=None, reward=None, done=False):
    given = (
        torch.zeros(3, 2) if observation is None else observation,
        torch.zeros(3) if reward is None else reward,
        done,
    )
    return changed(step=lambda self, actions: given)


WRONG = {
    "no size": (without("episode_length"), "env must have .*, reset and step; episode_length is missing"),
    "no step": (without("step"), "env must have .*; step is missing"),
    "size 0": (changed(batch_size=0), "env.batch_size must be a whole number of at least 1, got 0"),
    "reset's shape": (changed(reset=lambda self: torch.zeros(3, 4)), r"observation must have shape \[3, 2\]"),
    "reset's kind": (
        changed(reset=lambda self: (torch.zeros(3, 2), {})),
        r"observation must be a tensor of shape \[3, 2\], got tuple",
    ),
    "first NaN": (
        changed(reset=lambda self: torch.full((3, 2), torch.nan)),
        "observation must be finite, got 6 of 6 that are not",
    ),
    "NaN": (
        stepping(torch.tensor([[0.0, 0.0], [0.0, torch.nan], [0.0, 0.0]])),
        "observation must be finite, got 1 of 6 that are not",
    ),
    "step's shape": (stepping(torch.zeros(3, 1)), r"observation must have shape \[3, 2\], got \[3, 1\]"),
    "reward's shape": (stepping(reward=torch.zeros(3, 1)), r"reward must have shape \[3\], got \[3, 1\]"),
    "reward's kind": (
        stepping(reward=torch.zeros(3, dtype=torch.int64)),
        "reward must be torch.float32, got torch.int64",
    ),
    "reward's number": (
        stepping(reward=torch.tensor([0.0, -torch.inf, 1.0])),
        "reward must be finite, got -inf",
    ),
    "a class": (Coin, "env must be an environment, got the class Coin: make one of it"),
    "noise for nobody": (
        changed(sample_noise=lambda self: None),
        r"env\.reset must take the noise that env\.sample_noise gives: reset\(noise\)",
    ),
    "done's shape": (
        stepping(done=torch.zeros(3, 1, dtype=torch.bool)),
        r"done must be a bool or bool \[3\], got torch.bool \[3, 1\]",
    ),
    "done's kind": (stepping(done=torch.zeros(3)), r"done must be a bool or bool \[3\], got torch.float32"),
    "done is nothing": (stepping(done=None), r"done must be a bool or bool \[3\], got NoneType"),
    "five things": (
        changed(step=lambda self, actions: (torch.zeros(3, 2), torch.zeros(3), False, False, {})),
        "env.step must return observation, reward and done, got 5 things",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_environment_is_refused_in_one_line(name):
    env, said = WRONG[name]
    for attempt in (
        lambda: train(CONFIG, env=env),
        lambda: evaluate(network(input_size=2), env, episodes=3),
    ):
        with pytest.raises(ValueError, match=said) as refused:
            attempt()
        assert "\n" not in str(refused.value)


def lacking(name):
    net = Plain()
    delattr(net, name)
    return net


class Tall(Plain):
    def forward(self, x, hidden):
        logits, value, hidden = super().forward(x, hidden)
        return logits, value[:, None], hidden


class Wide(Plain):
    def forward(self, x, hidden):
        logits, value, hidden = super().forward(x, hidden)
        return logits.repeat(1, 2), value, hidden


WRONG_NETWORKS = {
    "no input_size": (lacking("input_size"), "network must have .*; input_size is missing"),
    "no state": (nn.GRUCell(3, 5), "network must have .*; num_actions is missing"),
    "no module": (Bandit(), "network must have .*; input_size is missing"),
    "other sizes": (Plain(4, 2), "net must have 3 inputs and 2 actions for Bandit, got 4 and 2"),
    "value's shape": (Tall(), r"value must have shape \[4\], got \[4, 1\]"),
    "logits' shape": (Wide(), r"logits must have shape \[4, 2\], got \[4, 4\]"),
}


@pytest.mark.parametrize("name", WRONG_NETWORKS)
def test_a_wrong_network_is_refused_in_one_line(name):
    net, said = WRONG_NETWORKS[name]
    with pytest.raises(ValueError, match=said) as refused:
        train(CONFIG, env=Bandit(), network=net)
    assert re.fullmatch(".*", str(refused.value))
    if isinstance(net, Plain):
        with pytest.raises(ValueError, match=said):
            evaluate(net, Bandit(), episodes=4)
