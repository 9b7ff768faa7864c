"""The learner of the page against PyTorch: loss, gradient and ten steps from the same weights and noise."""

import math
import re

import pytest
import torch
from javascript import run_javascript

from bpa import LSTM, GridMaze, Network, TrainConfig
from bpa.envs.baselines import expected_reward
from bpa.maze import draw_noise
from bpa.show import learner, widgets
from bpa.train import a2c_loss
from bpa.training.muon import orthogonalized
from bpa.training.optim import build_optimizers, clip_gradient, gradient_norm, scheduled
from bpa.training.rollout import rollout

SOURCES = ("numbers.js", "maze.js", "network.js", "learn.js")
T, B, SIZE = 40, 4, 5

VARIANTS = {
    "none": {"plasticity": "none"},
    "plastic": {"plasticity": "plastic"},
    "plastic, one alpha": {"plasticity": "plastic", "alpha": "network", "clip": 0.3},
    "decay": {"plasticity": "plastic", "rule": "decay"},
    "oja": {"plasticity": "plastic", "rule": "oja", "alpha": "neuron"},
    "simple": {"plasticity": "simple", "clip": 0.2},
    "simple, no fan-out": {"plasticity": "simple", "fanout": False, "modulator": "sigmoid"},
    "simple, soft": {"plasticity": "simple", "clipping": "soft", "clip": 1.0, "modulator": "linear"},
    "retroactive": {"plasticity": "retroactive", "clip": 0.2},
    "retroactive, soft": {"plasticity": "retroactive", "clipping": "soft", "clip": 1.0, "alpha": "neuron"},
    "lstm": {"cell": LSTM, "plasticity": "none"},
    "plastic lstm": {"cell": LSTM, "plasticity": "plastic"},
    "simple lstm": {"cell": LSTM, "plasticity": "simple", "clip": 0.2},
    "retroactive lstm": {"cell": LSTM, "plasticity": "retroactive", "fanout": False},
}

DIFFERENTIATE = """({ network, parameters, maze, training, noise }) => {
  const net = new Network(network, Object.fromEntries(
    Object.entries(parameters).map(([name, numbers]) => [name, Float64Array.from(numbers)])));
  const learner = new Learner(net, maze, training);
  const { loss, reward, gradientNorm, actions } = learner.differentiate(noise);
  return { loss, reward, gradientNorm, actions, gradients: Object.fromEntries(
    Object.entries(learner.gradients).map(([name, gradient]) => [name, [...gradient]])) };
}"""

ITERATE = """({ network, parameters, maze, training, noises }) => {
  const net = new Network(network, Object.fromEntries(
    Object.entries(parameters).map(([name, numbers]) => [name, Float64Array.from(numbers)])));
  const learner = new Learner(net, maze, training);
  const records = noises.map((noise) => learner.iterate(noise));
  return { records, parameters: Object.fromEntries(
    Object.entries(net.parameters).map(([name, numbers]) => [name, [...numbers]])) };
}"""


def lively(variant, seed=0, hidden_size=7):
    """A network in double precision in which every part matters."""
    settings = {name: value for name, value in variant.items() if name != "cell"}
    generator = torch.Generator().manual_seed(seed)
    net = variant.get("cell", Network)(17, hidden_size, 4, generator=generator, **settings)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            scale = {"w": 0.3, "alpha": 0.4, "h2mod.weight": 0.7}.get(name, 0.3)
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
            if name == "eta":
                parameter.fill_(0.2)
            if name.startswith("modfanout"):
                parameter += 0.4
    return net.double()


def given(net, config, maze):
    return {
        "network": widgets.network_settings(net),
        "parameters": {name: tensor.flatten().tolist() for name, tensor in net.state_dict().items()},
        "maze": widgets.maze_settings(maze.size, maze.episode_length, maze.reward, maze.wall_penalty),
        "training": learner.training_settings(config),
    }


def as_javascript(noise):
    return {name: getattr(noise, name).flatten().tolist() for name in noise._fields}


def torch_loss(net, maze, noise, config):
    seen = rollout(net, maze, noise, engine="eager")
    loss = a2c_loss(
        seen.logits,
        seen.values,
        seen.actions,
        seen.rewards,
        config.gamma,
        config.value_coef,
        config.concentration_coef,
        config.baseline,
        config.gae_lambda,
    )
    return loss, seen


@pytest.mark.parametrize(("name", "gae_lambda"), [("simple", 1.0), *((name, 0.8) for name in VARIANTS)])
def test_the_gradient_of_a_batch_is_that_of_pytorch(name, gae_lambda):
    config = TrainConfig(batch_size=B, gae_lambda=gae_lambda, gamma=0.95, value_coef=0.3)
    net, maze = lively(VARIANTS[name]), GridMaze(SIZE, B, T, wall_penalty=0.5)
    noise = draw_noise(T, B, torch.Generator().manual_seed(3))
    got = run_javascript(DIFFERENTIATE, given(net, config, maze) | {"noise": as_javascript(noise)}, SOURCES)
    loss, seen = torch_loss(net, maze, noise, config)
    loss.backward()
    assert got["actions"] == seen.actions.T.tolist()
    assert seen.rewards.max() > 5, "an agent that finds nothing tests no reward"
    assert got["loss"] == pytest.approx(loss.item(), rel=1e-6)
    assert got["gradientNorm"] == pytest.approx(gradient_norm(net), rel=1e-6)
    assert got["gradients"].keys() == {name for name, _ in net.named_parameters()}
    for name, parameter in net.named_parameters():
        want = parameter.grad.flatten()
        assert want.abs().max() > 1e-6, f"{name} has no part in this loss"
        ours = torch.tensor(got["gradients"][name], dtype=torch.float64)
        torch.testing.assert_close(ours, want, rtol=1e-6, atol=1e-6 * want.abs().max().item(), msg=name)


@pytest.mark.parametrize("name", ["none", "oja", "simple", "retroactive", "plastic lstm"])
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_ten_steps_stay_together(name, optimizer):
    config = TrainConfig(
        iterations=12,
        batch_size=B,
        optimizer=optimizer,
        learning_rate=0.01,
        learning_rate_schedule="linear" if optimizer == "muon" else "cosine",
        max_gradient_norm=0.5,
    )
    net, maze = lively(VARIANTS[name], seed=1), GridMaze(SIZE, B, T)
    generator = torch.Generator().manual_seed(4)
    noises = [draw_noise(T, B, generator) for _ in range(10)]
    got = run_javascript(
        ITERATE, given(net, config, maze) | {"noises": list(map(as_javascript, noises))}, SOURCES
    )
    first = {each: tensor.clone() for each, tensor in net.state_dict().items()}
    optimizers = build_optimizers(net, optimizer, config.learning_rate, config.adam_eps)
    clipped = 0
    for iteration, noise in enumerate(noises, 1):
        net.zero_grad()
        loss, seen = torch_loss(net, maze, noise, config)
        loss.backward()
        norm = gradient_norm(net)
        clipped += norm > config.max_gradient_norm
        clip_gradient(net, norm, config.max_gradient_norm)
        for each in optimizers:
            factor = scheduled(config.learning_rate_schedule, iteration, config.iterations)
            each.param_groups[0]["lr"] = config.learning_rate * factor
            each.step()
        record = got["records"][iteration - 1]
        assert record["reward"] == pytest.approx(seen.rewards.sum(0).mean().item(), rel=1e-6)
        assert record["loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert clipped > 0, "a norm that is never clipped tests no clip"
    for each, tensor in net.state_dict().items():
        assert (tensor - first[each]).abs().max() > 0.001, f"{each} has not moved"
        ours = torch.tensor(got["parameters"][each], dtype=torch.float64).reshape(tensor.shape)
        torch.testing.assert_close(ours, tensor, rtol=1e-4, atol=1e-5, msg=each)


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2)])
def test_a_step_of_muon_is_made_orthogonal_alike(shape):
    matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours = run_javascript(
        f"(m) => [...orthogonalized(Float64Array.from(m), {shape[0]}, {shape[1]})]",
        matrix.flatten().tolist(),
        SOURCES,
    )
    torch.testing.assert_close(
        torch.tensor(ours, dtype=torch.float64), orthogonalized(matrix).flatten(), rtol=1e-9, atol=1e-9
    )


REFUSED = """({ network, parameters, maze, training, changes }) => {
  try { new Learner(new Network(network, parameters), maze, { ...training, ...changes }); }
  catch (error) { return error.message; }
  return null;
}"""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"optimizer": "sgd"}, 'optimizer must be one of "adam", "muon", got "sgd"'),
        ({"baseline": "first"}, 'baseline must be one of "own", got "first"'),
        ({"gamma": 1.5}, "gamma must be a number from 0 to 1, got 1.5"),
        ({"learningRate": None}, "learningRate must be a number"),
        ({"warmup": 3}, "the page's learner does not know the setting warmup"),
    ],
)
def test_the_learner_refuses_what_it_does_not_know(changes, message):
    net = Network(17, 5, 4)
    told = given(net, TrainConfig(), GridMaze(SIZE, B, T)) | {"changes": changes}
    told["parameters"] = widgets.network_parameters(net)
    refused = run_javascript(REFUSED, told, SOURCES)
    assert (refused is None) if message is None else refused.startswith(message)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"baseline": "first"}, "baseline must be 'own' to learn in a page, got 'first'"),
        ({"early_iterations": 2}, "early_iterations must be 0 to learn in a page, got 2"),
        ({"warmup_iterations": 3}, "warmup_iterations must be 0 to learn in a page, got 3"),
        ({"on_divergence": "halve-lr"}, "on_divergence must be 'stop' or 'skip' to learn in a page"),
        ({"task": "cues"}, "task must be 'maze' to learn in a page, got 'cues'"),
    ],
)
def test_a_config_that_the_page_cannot_follow_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        learner.train_in_page(TrainConfig(**changes))


def test_settings_of_a_training_are_those_of_its_config():
    config = TrainConfig(iterations=7, batch_size=3, gamma=0.8, gae_lambda=0.7, value_coef=0.6, adam_eps=0.5)
    named = {
        re.sub("_([a-z])", lambda letter: letter[1].upper(), name): value
        for name, value in config.as_dict().items()
    }
    settings = learner.training_settings(config)
    assert settings == {name: named[name] for name in settings}
    assert settings["gaeLambda"] == 0.7


def test_a_network_that_is_not_on_the_list_is_refused():
    with pytest.raises(
        ValueError, match=r"cell, plasticity and rule must be rnn, none, hebb or .* got lstm, plastic"
    ):
        learner.train_in_page(TrainConfig(cell="lstm", plasticity="plastic"))


def test_every_network_of_the_page_has_about_as_many_parameters():
    live = learner.train_in_page()
    counts = {}
    for variant in live.data["variants"]:
        counts[variant["label"]] = sum(math.prod(shape) for shape in variant["shapes"].values())
    assert counts["simple modulation"] == 2886
    assert all(abs(count / 2886 - 1) < 0.06 for count in counts.values()), counts
    assert live.data["ideal"] == expected_reward("ideal", 7, 100)
    assert live.data["random"] == expected_reward("random", 7, 100)
    assert 'sandbox="allow-scripts allow-downloads"' in live._repr_html_()


@pytest.mark.parametrize("name", ["none", "plastic", "simple", "retroactive", "lstm", "retroactive lstm"])
def test_first_weights_are_drawn_as_by_python(name):
    """The same range for every parameter: with the largest uniform number, its upper end."""
    variant = VARIANTS[name]
    settings = {key: value for key, value in variant.items() if key != "cell"}
    net = variant.get("cell", Network)(17, 400, 4, initial_weight=0.02, initial_eta=0.07, **settings)
    drawn = run_javascript(
        "(s) => [0, 1].map((u) => Object.entries(freshParameters(s, { initialWeight: 0.02, "
        "initialEta: 0.07 }, () => u)).map(([name, numbers]) => [name, numbers[0], numbers.length]))",
        widgets.network_settings(net),
        SOURCES,
    )
    parameters = dict(net.named_parameters())
    assert [row[0] for row in drawn[0]] == list(parameters)
    for (key, low, count), (_, high, _) in zip(*drawn, strict=True):
        assert count == parameters[key].numel()
        span = (high - low) / 20 if count > 100 else high - low
        assert low <= parameters[key].min() + 1e-6 <= low + span + 2e-6, key
        assert high >= parameters[key].max() - 1e-6 >= high - span - 2e-6, key


@pytest.mark.parametrize("name", ["plastic", "lstm"])
def test_first_weights_of_neurons_to_themselves(name):
    variant = VARIANTS[name]
    settings = {key: value for key, value in variant.items() if key != "cell"}
    net = variant.get("cell", Network)(17, 3, 4, **settings)
    first = "{ initialWeight: 0.1, initialEta: 0.07, initialSelf: 0.6 }"
    drawn = run_javascript(
        f"(s) => Array.from(freshParameters(s, {first}, () => 0.5).w)", widgets.network_settings(net), SOURCES
    )
    if name == "lstm":
        assert len(set(drawn)) == 1
    else:
        want = [0.65 if place % 4 == 0 else 0.05 for place in range(9)]
        assert drawn == pytest.approx(want)
