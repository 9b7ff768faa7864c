"""The loss against plain loops, the loop against itself, and a small agent that learns."""

import inspect
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import get_args, get_type_hints

import pytest
import torch
from small import SMALL, assert_equal_weights, weights
from torch.autograd import gradcheck

from bpa import GridMaze, TrainConfig, train
from bpa.cells.base import CELLS
from bpa.cells.plasticity import ALPHAS, PLASTICITIES, RULES
from bpa.engines import ENGINES
from bpa.envs.base import REGISTRY
from bpa.envs.cue_reward import PUBLISHED, CueReward
from bpa.maze import draw_noise
from bpa.train import Diverged, a2c_loss, discounted_returns
from bpa.training.a2c import BASELINES, lambda_returns
from bpa.training.adam import Adam
from bpa.training.checkpoint import build_network, load_checkpoint, load_weights, read_history
from bpa.training.config import OWN
from bpa.training.distributed import Team, join_team, own_device
from bpa.training.optim import OPTIMIZERS, POLICIES, SCHEDULES, scheduled
from bpa.training.presets import PRESETS
from bpa.training.rollout import rollout


def loss_by_loops(logits, values, actions, rewards, gamma, value_coef, concentration_coef, baseline):
    """The published loss, one number at a time."""
    T, B = len(rewards), len(rewards[0])
    total = 0.0
    for b in range(B):
        following = 0.0
        for t in reversed(range(T)):
            following = rewards[t][b] + gamma * following
            value = values[t][0 if baseline == "first" else b]
            scale = sum(math.exp(logit) for logit in logits[t][b])
            policy = [math.exp(logit) / scale for logit in logits[t][b]]
            total += -math.log(policy[actions[t][b]]) * (following - value) / B
            total += value_coef * (following - value) ** 2 / B
            total += concentration_coef * sum(p * p for p in policy) / B
    return total / T


@pytest.fixture
def episode():
    generator = torch.Generator().manual_seed(0)
    T, B, A = 6, 3, 4
    return (
        torch.randn(T, B, A, generator=generator, dtype=torch.float64),
        torch.randn(T, B, generator=generator, dtype=torch.float64),
        torch.randint(A, (T, B), generator=generator),
        torch.randn(T, B, generator=generator, dtype=torch.float64),
    )


@pytest.mark.parametrize("baseline", ["own", "first"])
@pytest.mark.parametrize("coefficients", [(0.9, 0.1, 0.03), (0.5, 0.0, 0.7), (1.0, 2.0, 0.0)])
def test_the_loss_is_the_published_one(episode, coefficients, baseline):
    expected = loss_by_loops(*(part.tolist() for part in episode), *coefficients, baseline)
    assert a2c_loss(*episode, *coefficients, baseline).item() == pytest.approx(expected, rel=1e-12)


def test_the_defaults_of_the_loss_are_the_published_ones(episode):
    assert torch.equal(a2c_loss(*episode), a2c_loss(*episode, 0.9, 0.1, 0.03, "own"))


@pytest.mark.parametrize("baseline", ["own", "first"])
def test_the_advantage_does_not_teach_the_value_through_the_policy_term(episode, baseline):
    logits, values, actions, rewards = episode
    values = values.requires_grad_()
    a2c_loss(logits, values, actions, rewards, value_coef=0.0, baseline=baseline).backward()
    assert values.grad.count_nonzero() == 0


def test_the_gradient_of_the_loss_is_that_of_finite_differences(episode):
    logits, values, actions, rewards = episode
    # The advantage is detached, so only the logits' gradient is a true derivative of the whole loss.
    assert gradcheck(lambda logits: a2c_loss(logits, values, actions, rewards), logits.requires_grad_())
    returns = discounted_returns(rewards, 0.9)
    values = values.requires_grad_()
    a2c_loss(logits.detach(), values, actions, rewards).backward()
    torch.testing.assert_close(values.grad, -2 * 0.1 * (returns - values.detach()) / values.numel())


def test_returns_are_discounted_backwards_from_zero():
    rewards = torch.tensor([[1.0], [0.0], [2.0]])
    assert discounted_returns(rewards, 0.5).flatten().tolist() == [1.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"values": torch.zeros(6, 2)}, r"values must have shape \[6, 3\], got \[6, 2\]"),
        ({"logits": torch.zeros(6, 3)}, r"logits must have shape \[T, B, A\], got \[6, 3\]"),
        ({"gamma": 1.5}, "gamma must be a finite number of at least 0 and at most 1, got 1.5"),
        ({"value_coef": math.nan}, "value_coef must be a finite number of at least 0, got nan"),
        ({"concentration_coef": -1}, "concentration_coef must be a finite number of at least 0, got -1"),
        ({"baseline": "last"}, "baseline must be one of 'own', 'first', got 'last'"),
    ],
)
def test_a_loss_of_things_that_do_not_fit_is_refused(episode, change, message):
    arguments = dict(zip(("logits", "values", "actions", "rewards"), episode, strict=True)) | change
    with pytest.raises(ValueError, match=message):
        a2c_loss(**arguments)


def test_the_same_config_gives_the_same_weights_and_another_seed_gives_others():
    before = torch.get_rng_state()
    first, again, other = train(SMALL), train(SMALL), train(SMALL.replace(seed=1))
    assert torch.equal(before, torch.get_rng_state())
    assert_equal_weights(weights(first), weights(again))
    assert [record[:4] for record in first.history] == [record[:4] for record in again.history]
    assert not torch.equal(weights(first)["w"], weights(other)["w"])


@pytest.mark.parametrize("plasticity", ["none", "plastic", "simple", "retroactive"])
def test_every_parameter_of_every_variant_is_trained(plasticity):
    config = SMALL.replace(plasticity=plasticity, iterations=2, episode_length=30)
    start, end = weights(train(config.replace(warmup_iterations=2))), weights(train(config))
    still = [name for name in start if torch.equal(start[name], end[name])]
    assert not still


def test_each_step_is_adams_on_the_gradient_of_this_batch_alone():
    config = SMALL.replace(iterations=3, max_gradient_norm=0.05, engine="eager")
    generator = torch.Generator().manual_seed(config.seed)
    net = build_network(config, generator)
    maze = GridMaze(config.size, config.batch_size, config.episode_length, generator=generator)
    parameters = list(net.parameters())
    first, second = ([torch.zeros_like(parameter) for parameter in parameters] for _ in range(2))
    norms = []
    for step in range(1, 4):
        seen = rollout(net, maze, draw_noise(config.episode_length, config.batch_size, generator), "eager")
        loss = a2c_loss(seen.logits, seen.values, seen.actions, seen.rewards, 0.9, 0.1, 0.01)
        gradients = torch.autograd.grad(loss, parameters)
        norms.append(math.sqrt(sum(gradient.square().sum().item() for gradient in gradients)))
        scale = min(1.0, 0.05 / norms[-1])
        with torch.no_grad():
            for n, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
                first[n] = 0.9 * first[n] + 0.1 * scale * gradient
                second[n] = 0.999 * second[n] + 0.001 * (scale * gradient) ** 2
                slope = first[n] / (1 - 0.9**step)
                parameter -= 1e-3 * slope / ((second[n] / (1 - 0.999**step)).sqrt() + 1e-4)
    trained = train(config)
    assert max(norms) > 0.05  # the bound is met
    assert [record.gradient_norm for record in trained.history] == pytest.approx(norms, rel=1e-4)
    for parameter, mine in zip(trained.network.parameters(), parameters, strict=True):
        torch.testing.assert_close(parameter, mine, rtol=1e-4, atol=1e-6)


def test_no_step_is_taken_during_the_warm_up():
    short = weights(train(SMALL.replace(iterations=1, warmup_iterations=3)))
    longer = weights(train(SMALL.replace(iterations=3, warmup_iterations=3)))
    assert_equal_weights(short, longer)


@pytest.mark.parametrize("seed", [0, 1])
def test_an_agent_learns_a_small_maze(seed):
    """With walls that hurt, an untrained agent gets about 9 in 20 steps of a 5 x 5 maze."""
    config = TrainConfig(iterations=100, seed=seed, size=5, hidden_size=16, episode_length=20, quiet=True)
    history = train(config.replace(wall_penalty=1.0, learning_rate=1e-2)).history
    rewards = [record.reward for record in history]
    assert sum(rewards[-20:]) > 1.5 * sum(rewards[:20])


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_weights(tmp_path, monkeypatch):
    failing_at(monkeypatch, {4})
    folder = tmp_path / "run"
    with pytest.raises(Diverged, match=r"iteration 4: the loss is nan .* weights of iteration 3 are kept"):
        train(SMALL.replace(iterations=9, out=str(folder)))
    monkeypatch.undo()
    assert_equal_weights(load_weights(folder)[0].state_dict(), weights(train(SMALL.replace(iterations=3))))
    resumed = train(SMALL.replace(iterations=9, out=str(folder), resume=True))
    assert_equal_weights(weights(resumed), weights(train(SMALL.replace(iterations=9))))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"iterations": 0}, "iterations must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number from 0 to"),
        ({"size": 4}, "size must be a whole number of at least 5, got 4"),
        ({"size": 10}, "size must be an odd number of at least 5, got 10"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number above 0, got nan"),
        ({"learning_rate": math.inf}, "learning_rate must be a finite number above 0, got inf"),
        ({"plasticity": "foo"}, "plasticity must be one of"),
        ({"gamma": 1.01}, "gamma must be a finite number of at least 0 and at most 1, got 1.01"),
        ({"out": ""}, "out must be the name of a folder or None, got ''"),
        ({"resume": True}, "resume needs out"),
        ({"rule": "oja"}, "rule 'oja' needs plasticity 'plastic', got 'simple'"),
        ({"engine": "steam"}, "engine must be one of"),
        ({"gae_lambda": 1.1}, "gae_lambda must be a finite number of at least 0 and at most 1, got 1.1"),
        ({"learning_rate_schedule": "sine"}, "learning_rate_schedule must be one of 'constant', 'linear'"),
        ({"concentration_schedule": "sine"}, "concentration_schedule must be one of 'constant', 'linear'"),
        ({"on_divergence": "pray"}, "on_divergence must be one of 'stop', 'skip', 'halve-lr', got 'pray'"),
        ({"gradient_norm_limit": 0}, "gradient_norm_limit must be a finite number above 0, got 0"),
        ({"tensorboard": True}, "tensorboard needs out"),
        ({"device": "abacus"}, "device must be one of 'auto', 'cpu', 'cuda', got 'abacus'"),
    ],
)
def test_a_config_out_of_range_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SMALL.replace(**change)


def test_the_command_line_offers_what_the_config_allows():
    allowed = {
        "engine": ENGINES,
        "plasticity": PLASTICITIES,
        "alpha": ALPHAS,
        "baseline": BASELINES,
        "device": ("auto", "cpu", "cuda"),
        "optimizer": OPTIMIZERS,
        "on_divergence": POLICIES,
        "learning_rate_schedule": SCHEDULES,
        "concentration_schedule": SCHEDULES,
    }
    offered = {name: get_args(kind) for name, kind in get_type_hints(TrainConfig).items() if get_args(kind)}
    assert {name: offered[name] for name in allowed} == allowed
    open_to_new = {"rule": tuple(RULES), "task": (*REGISTRY, OWN), "cell": (*CELLS, OWN)}
    for name, names in open_to_new.items():  # so that a new one is one line
        said = f"{name} must be one of {', '.join(map(repr, names))}, got 'abacus'"
        with pytest.raises(ValueError, match=re.escape(said)):
            TrainConfig(**{name: "abacus"})


EARLY = {"early_iterations": 2, "early_size": 7, "early_episode_length": 7}


def test_early_iterations_are_those_of_another_maze_and_the_later_ones_go_on():
    easy = SMALL.replace(size=7, episode_length=7, iterations=2)
    first = train(easy)
    both = train(SMALL.replace(iterations=3, **EARLY))
    assert [record[1:4] for record in both.history[:2]] == [record[1:4] for record in first.history]
    assert both.history[2].reward != train(easy.replace(iterations=3)).history[2].reward
    assert both.config.size == SMALL.size
    always = SMALL.replace(**EARLY | {"early_iterations": 9}, iterations=2)
    assert_equal_weights(weights(train(always)), weights(first))


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_run_that_is_stopped_among_its_early_iterations_goes_on_with_them(tmp_path, at):
    config = SMALL.replace(iterations=4, out=str(tmp_path / "run"), checkpoint_every=1, **EARLY)
    whole = train(config.replace(out=None))
    with pytest.raises(KeyboardInterrupt, match=f"after iteration {at}"):
        train(config, watch=lambda net, history: interrupt() if len(history) == at else None)
    assert_equal_weights(weights(train(config.replace(resume=True))), weights(whole))


def interrupt():
    raise KeyboardInterrupt


def test_early_iterations_are_of_the_maze_alone():
    with pytest.raises(ValueError, match="early_iterations must be 0 for task 'cues', got 2"):
        TrainConfig(task="cues", early_iterations=2)
    with pytest.raises(ValueError, match="early_iterations must be 0 for task 'own', got 2"):
        train(SMALL.replace(**EARLY), env=GridMaze(5, 2, 6))
    with pytest.raises(ValueError, match="early_size must be an odd number of at least 5, got 8"):
        SMALL.replace(early_size=8)


def test_the_paper_preset_is_the_published_setting():
    paper = PRESETS["paper"]
    published = {
        "gamma": 0.9,
        "value_coef": 0.1,
        "concentration_coef": 0.03,
        "learning_rate": 1e-4,
        "adam_eps": 1e-4,
    }
    published |= {"max_gradient_norm": 4.0, "batch_size": 30, "hidden_size": 100, "warmup_iterations": 101}
    published |= {
        "iterations": 200_000,
        "size": 13,
        "episode_length": 200,
        "reward": 10.0,
        "wall_penalty": 0.0,
    }
    assert published.items() <= paper.as_dict().items()


def test_lambda_returns_are_the_sums_of_their_definition(episode):
    _, values, _, rewards = episode
    T, gamma, lam = len(rewards), 0.8, 0.6
    found = lambda_returns(rewards, values, gamma, lam)
    for t in range(T):
        # The advantage is the sum of the temporal differences ahead, each (gamma lambda)^k times its own.
        ahead = torch.cat([values[1:], torch.zeros_like(values[:1])])
        differences = rewards + gamma * ahead - values
        advantage = sum((gamma * lam) ** (s - t) * differences[s] for s in range(t, T))
        torch.testing.assert_close(found[t] - values[t], advantage)
    torch.testing.assert_close(
        lambda_returns(rewards, values, gamma, 1.0), discounted_returns(rewards, gamma)
    )


def test_the_loss_with_lambda_is_that_of_its_returns(episode):
    logits, values, actions, rewards = episode
    returns = lambda_returns(rewards, values, 0.9, 0.5)
    values = values.requires_grad_()
    loss = a2c_loss(logits, values, actions, rewards, gae_lambda=0.5)
    loss.backward()
    taken = torch.log_softmax(logits, -1).gather(-1, actions[..., None])[..., 0]
    advantage = returns - values.detach()
    policy = torch.softmax(logits, -1)
    parts = -taken * advantage + 0.1 * advantage.square() + 0.03 * policy.square().sum(-1)
    assert loss.item() == pytest.approx(parts.mean().item(), rel=1e-12)
    torch.testing.assert_close(values.grad, -0.2 * advantage / values.numel())  # the target is not taught


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 3 / 4, 1 / 2, 1 / 4]),
        ("cosine", [1, 0.853553, 0.5, 0.146447]),
    ],
)
def test_the_learning_rate_falls_as_its_schedule_says(schedule, factors):
    assert [scheduled(schedule, n, 4) for n in range(1, 5)] == pytest.approx(factors, rel=1e-5)
    config = SMALL.replace(iterations=4, learning_rate_schedule=schedule, learning_rate=0.5)
    rates = []
    step = Adam.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Adam, "step", lambda adam: (rates.append(adam.param_groups[0]["lr"]), step(adam)))
        train(config)
    assert rates == pytest.approx([0.5 * factor for factor in factors], rel=1e-5)


@pytest.mark.parametrize(("schedule", "factors"), [("constant", [1, 1, 1]), ("linear", [1, 2 / 3, 1 / 3])])
def test_the_penalty_on_concentration_falls_as_its_schedule_says(monkeypatch, schedule, factors):
    penalties = []

    def noted(*arguments):
        penalties.append(inspect.signature(a2c_loss).bind(*arguments).arguments["concentration_coef"])
        return a2c_loss(*arguments)

    monkeypatch.setitem(train.__globals__, "a2c_loss", noted)
    train(SMALL.replace(iterations=3, concentration_coef=0.2, concentration_schedule=schedule))
    assert penalties == pytest.approx([0.2 * factor for factor in factors])


def failing_at(monkeypatch, bad):
    """Make the loss NaN at the calls whose numbers, counted from 1, are in `bad`."""
    calls = iter(range(1, 1000))

    def failing(*arguments):
        return a2c_loss(*arguments) * (math.nan if next(calls) in bad else 1.0)

    monkeypatch.setitem(train.__globals__, "a2c_loss", failing)


@pytest.mark.parametrize(("policy", "scale"), [("skip", 1.0), ("halve-lr", 0.25)])
def test_a_diverged_step_is_left_out_and_said(tmp_path, monkeypatch, caplog, policy, scale):
    config = SMALL.replace(iterations=6, on_divergence=policy, checkpoint_every=4, learning_rate=0.01)
    rates = []
    step = Adam.step
    monkeypatch.setattr(Adam, "step", lambda adam: (rates.append(adam.param_groups[0]["lr"]), step(adam)))
    failing_at(monkeypatch, {3, 5})
    whole = train(config)
    assert rates == pytest.approx([0.01, 0.01, 0.01 * scale**0.5, 0.01 * scale])
    assert [math.isnan(record.loss) for record in whole.history] == [False, False, True, False, True, False]
    assert all(torch.isfinite(tensor).all() for tensor in weights(whole).values())
    assert [record.message.split(":")[0] for record in caplog.records] == ["iteration 3", "iteration 5"]
    assert "the loss is nan" in caplog.text
    # A resumed run knows what is left of the learning rate.
    failing_at(monkeypatch, {3})
    train(config.replace(out=str(tmp_path / "run"), iterations=4))
    failing_at(monkeypatch, {1})
    resumed = train(config.replace(out=str(tmp_path / "run"), resume=True))
    assert_equal_weights(weights(whole), weights(resumed))
    kept = load_checkpoint(tmp_path / "run")
    assert (kept.left_out, kept.left_out_in_all, kept.learning_rate_scale) == (0, 2, scale)


def test_a_run_that_only_diverges_is_given_up(monkeypatch):
    monkeypatch.setitem(train.__globals__, "MOST_LEFT_OUT", 3)
    failing_at(monkeypatch, {2, 4, 5, 6, 7})
    with pytest.raises(Diverged, match="iteration 7: the loss is nan"):
        train(SMALL.replace(iterations=9, on_divergence="skip"))


def test_a_gradient_above_the_limit_and_a_trace_beyond_all_bounds_stop_the_run(monkeypatch):
    with pytest.raises(
        Diverged, match=r"iteration 1: the gradient norm .* is above 1e-09; the weights of iteration 0"
    ):
        train(SMALL.replace(gradient_norm_limit=1e-9))
    one = SMALL.replace(iterations=1)
    norm = train(one).history[0].gradient_norm
    train(one.replace(gradient_norm_limit=norm))

    def endless(*arguments):
        seen = rollout(*arguments)
        hebb = seen.hidden.hebb.clone()
        hebb[1, 2, 3:5] = math.inf
        return seen._replace(hidden=seen.hidden._replace(hebb=hebb))

    monkeypatch.setitem(train.__globals__, "rollout", endless)
    with pytest.raises(Diverged, match="iteration 1: 2 numbers of the traces are not finite"):
        train(SMALL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_its_iteration_keeps_it_and_can_go_on(tmp_path, number):
    config = SMALL.replace(iterations=6, out=str(tmp_path / "run"))

    def stop(net, history):
        if len(history) == 2:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(
        KeyboardInterrupt, match=r"stopped after iteration 3; go on with: bpa train --resume --out"
    ):
        train(config, watch=stop)
    assert signal.getsignal(number) is before
    assert_equal_weights(
        load_weights(tmp_path / "run")[0].state_dict(), weights(train(SMALL.replace(iterations=3)))
    )
    resumed = train(config.replace(resume=True))
    assert_equal_weights(weights(resumed), weights(train(config.replace(out=None))))
    with pytest.raises(KeyboardInterrupt, match="stopped after iteration 3; nothing is kept"):
        train(config.replace(out=None), watch=stop)


def test_a_run_that_watch_stops_is_kept_and_can_go_on(tmp_path):
    config = SMALL.replace(iterations=6, out=str(tmp_path / "run"))

    def stop(net, history):
        if len(history) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"stopped after iteration 2; go on with: bpa train --resume"):
        train(config, watch=stop)
    assert load_checkpoint(tmp_path / "run").iteration == 2
    assert_equal_weights(
        weights(train(config.replace(resume=True))), weights(train(config.replace(out=None)))
    )


@pytest.mark.parametrize("late", [False, True])
def test_a_run_stopped_in_its_last_iteration_is_complete_and_says_so(tmp_path, monkeypatch, late):
    """Also where the signal comes after the last look for one."""
    step = Adam.step

    def stop_in_step(adam):
        if not late and adam.state and next(iter(adam.state.values()))["step"] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return step(adam)

    def stop_after(net, history):
        if late and len(history) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Adam, "step", stop_in_step)
    config = SMALL.replace(out=str(tmp_path / "run"))
    with pytest.raises(KeyboardInterrupt, match=r"after iteration 3; it was the last one, and .*run is comp"):
        train(config, watch=stop_after)
    monkeypatch.undo()
    assert_equal_weights(load_weights(tmp_path / "run")[0].state_dict(), weights(train(SMALL)))


def test_a_second_signal_does_not_wait():
    def stop(net, history):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as stopped:
        train(SMALL, watch=stop)
    assert not stopped.value.args


def test_in_another_thread_a_run_leaves_signals_alone():
    results = []
    thread = threading.Thread(target=lambda: results.append(train(SMALL)))
    thread.start()
    thread.join()
    assert_equal_weights(weights(results[0]), weights(train(SMALL)))


def test_without_a_terminal_a_run_says_a_line_a_minute(monkeypatch, capsys):
    monkeypatch.setattr("bpa.training.progress.PAUSE", 0.0)
    train(SMALL.replace(quiet=False))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"iteration {n} of 3" for n in (1, 2, 3)]
    assert "reward " in lines[0]
    assert "episodes/s" in lines[0]
    monkeypatch.setattr("bpa.training.progress.PAUSE", 60.0)
    train(SMALL.replace(quiet=False))
    train(SMALL)
    assert capsys.readouterr().err == ""


def test_the_history_goes_to_tensorboard_too(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard is missing"
    )
    result = train(SMALL.replace(out=str(tmp_path / "run"), tensorboard=True))
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"reward", "loss", "gradient_norm", "seconds"}
    losses = [(event.step, event.value) for event in events.Scalars("loss")]
    assert losses == [(record.iteration, pytest.approx(record.loss, rel=1e-6)) for record in result.history]


def test_a_resumed_run_has_each_step_once_in_tensorboard(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard is missing"
    )
    config = SMALL.replace(iterations=6, checkpoint_every=2, out=str(tmp_path / "run"), tensorboard=True)

    def break_off(net, history):
        if len(history) == 5:
            raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        train(config, watch=break_off)
    time.sleep(1.1)  # the names of event files hold whole seconds, and are read in their order
    result = train(config.replace(resume=True))
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4, 5, 6]
    assert [event.value for event in events.Scalars("seconds")][4:] == [
        pytest.approx(record.seconds, rel=1e-6) for record in result.history[4:]
    ]


def test_tensorboard_that_is_not_installed_is_named_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="tensorboard needs the extra of that name"):
        train(SMALL.replace(out=str(tmp_path / "run"), tensorboard=True))
    assert not list(tmp_path.iterdir())


def test_the_preset_of_the_cue_task_is_the_papers():
    cues = PRESETS["paper-cues"]
    environment = PUBLISHED["paper"]["environment"]
    assert {**vars(cues.cues), "episode_length": cues.episode_length}.items() >= environment.items()
    assert vars(cues).items() >= PUBLISHED["paper"]["network"].items()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused_when_a_run_begins():
    with pytest.raises(ValueError, match="device must be 'auto' or 'cpu' on this machine"):
        train(SMALL.replace(device="cuda"))


TEAMS = [("maze", "own"), ("recall", "own"), ("maze", "first")]
IN_TWO = """
import json, sys
from bpa import TrainConfig, train
from bpa.cli import main
*configs, flags = json.loads(sys.argv[1])
for config in configs:
    train(TrainConfig(**config))
sys.exit(main(["train", *flags]))
"""


def team_config(task, baseline):
    config = SMALL.replace(task=task, baseline=baseline, batch_size=4, engine="eager", gae_lambda=0.9)
    return config.replace(**EARLY) if baseline == "first" else config


@pytest.fixture(scope="module")
def learned_in_two(tmp_path_factory):
    """A folder with a run of two processes for each of TEAMS, the last one by the command.

    The processes are started once for all of them, since to begin takes longer than to learn.
    """
    folder = tmp_path_factory.mktemp("teams")
    changed = "task baseline batch_size engine gae_lambda learning_rate iterations size hidden_size"
    changed += " early_iterations early_size early_episode_length episode_length"
    given = []
    for task, baseline in TEAMS:
        config = team_config(task, baseline)
        given.append({name: getattr(config, name) for name in changed.split()})
        given[-1] |= {"out": str(folder / f"{task}-{baseline}"), "device": "cpu"}
    flags = [
        word for name, value in given[-1].items() for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    given = [*({**settings, "quiet": True} for settings in given[:-1]), ["--quiet", *flags]]
    program = folder / "program.py"
    program.write_text(IN_TWO)
    team = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    shown = subprocess.run(
        [sys.executable, *team, json.dumps(given)], capture_output=True, text=True, timeout=300
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("3 iterations") == 1  # one of them speaks
    return folder


@pytest.mark.parametrize(("task", "baseline"), TEAMS)
def test_two_processes_share_a_batch_and_learn_the_same(learned_in_two, task, baseline):
    alone = train(team_config(task, baseline))
    run = learned_in_two / f"{task}-{baseline}"
    net, _ = load_weights(run)
    for name, tensor in weights(alone).items():
        torch.testing.assert_close(net.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)
    records = read_history(run / "history.csv")
    for field in ("reward" if task == "maze" else "accuracy", "loss", "gradient_norm"):
        assert [getattr(record, field) for record in records] == pytest.approx(
            [getattr(record, field) for record in alone.history], rel=1e-4
        )


def test_each_process_of_a_machine_has_a_card_of_its_own(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert own_device(torch.device("cuda")) == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device(torch.device("cpu")) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device(torch.device("cuda")) == torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(
        ValueError, match="must be one for each process on a machine: here are 1, and this is"
    ):
        own_device(torch.device("cuda"))


@pytest.mark.parametrize(("device", "backend"), [("cpu", "gloo"), ("cuda:1", "nccl")])
def test_a_team_talks_as_its_device_can(monkeypatch, device, backend):
    """Whatever else the machine has."""
    said = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", said.append)
    monkeypatch.setattr("torch.distributed.init_process_group", said.append)
    monkeypatch.setattr("torch.distributed.get_rank", lambda: 1)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    assert join_team(torch.device(device)) == Team(1, 2)
    assert said == ([] if device == "cpu" else [torch.device(device)]) + [backend]


def test_a_batch_that_cannot_be_shared_is_refused():
    assert [Team(rank, 3).shard(12) for rank in range(3)] == [slice(0, 4), slice(4, 8), slice(8, 12)]
    with pytest.raises(
        ValueError, match="batch_size must be a multiple of the 3 processes that share it, got 4"
    ):
        Team(0, 3).shard(4)


def test_the_noise_of_a_shard_is_that_of_its_episodes():
    cues_env = CueReward(batch_size=6, episode_length=20, generator=torch.Generator().manual_seed(0))
    episodes = cues_env.draw()
    cues_env.reset(episodes)
    part = CueReward(batch_size=2, episode_length=20)
    part.reset(episodes.shard(slice(2, 4)))
    actions = torch.randint(2, (20, 6), generator=torch.Generator().manual_seed(1))
    for action in actions:
        whole, mine = cues_env.step(action), part.step(action[2:4])
        assert torch.equal(whole[0][2:4], mine[0])
        assert torch.equal(whole[1][2:4], mine[1])
