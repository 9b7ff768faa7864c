"""What networks and environments offer to compiled loops, and why some offer nothing."""

from __future__ import annotations

import logging
import math

import pytest
import torch
from networks import VARIANTS, name_of, random_network

from bpa import GridMaze, Network, engines
from bpa.cells.fast_weights import FastWeightNetwork
from bpa.cells.lstm import LSTM
from bpa.engines import eager
from bpa.engines import numba as numba_engine
from bpa.engines.cell import FIXED, GATES, HEBBIAN, RETROACTIVE, TRACES
from bpa.engines.offers import accepted
from bpa.engines.view import CUES, MAZE
from bpa.envs.cue_reward import CueReward
from bpa.maze import draw_noise
from bpa.training.rollout import rollout


def doubled(self, drive, hidden):
    """A step from twice the drive."""
    return Network.step(self, 2 * drive, hidden)


class OwnStep(Network):
    step = doubled


class OwnGains(Network):
    def rewire(self, pre, post, hebb, eligibility=None):
        return hebb, eligibility


class OwnHeads(LSTM):
    def heads(self, h):
        return super().heads(2 * h)


class Richer(GridMaze):
    def step(self, actions, uniform=None):
        observation, reward, done = super().step(actions, uniform)
        return observation, reward + 1, done


class Forgiving(CueReward):
    def observation(self):
        return 2 * super().observation()


def with_a_step_of_its_own(thing):
    step = thing.step
    thing.step = lambda *given: step(*given)
    return thing


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (OwnStep(5, 4, 3), "its loops know bpa.Network alone, not OwnStep"),
        (OwnGains(5, 4, 3), "its loops know bpa.Network alone, not OwnGains"),
        (OwnHeads(5, 4, 3), "its loops know bpa.LSTM alone, not OwnHeads"),
        (with_a_step_of_its_own(Network(5, 4, 3)), "its loops know Network.step alone, and this one has"),
        (with_a_step_of_its_own(LSTM(5, 4, 3)), "its loops know LSTM.step alone, and this one has another"),
        (LSTM(5, 4, 3, plasticity="simple"), "the plain LSTM alone, not LSTM with plasticity 'simple'"),
        (FastWeightNetwork(5, 4, 3), "it has no loops for fast weights"),
        (torch.nn.GRUCell(5, 4), "GRUCell offers no kernel_cell()"),
    ],
    ids=["step", "rewire", "heads", "patched", "patched lstm", "plastic lstm", "fast weights", "stranger"],
)
def test_a_network_that_steps_in_its_own_way_is_left_to_the_definition(net, reason, caplog):
    engines.log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="bpa"):
        assert engines.choose("auto", net) is eager
    (record,) = caplog.records
    assert record.message.startswith("engine eager, because of the Numba engine: ")
    assert reason in record.message
    with pytest.raises(ValueError) as refusal:
        engines.choose("numba", net)
    assert reason in str(refusal.value)


def test_a_step_of_its_own_is_the_one_that_runs():
    plain, xs = random_network(3, 4), torch.randn(6, 2, 5, generator=torch.Generator().manual_seed(1))
    own = OwnStep(5, 4, 3, clip=0.4)
    own.load_state_dict(plain.state_dict())
    right = own.unroll(xs, engine="eager").h
    assert torch.equal(own.unroll(xs).h, right)
    assert not torch.allclose(plain.unroll(xs).h, right, atol=1e-2)


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (Richer(5, 2, 6), "its loops know bpa.GridMaze alone, not Richer"),
        (Forgiving(batch_size=2), "its loops know bpa.CueReward alone, not Forgiving"),
        (with_a_step_of_its_own(GridMaze(5, 2, 6)), "its loops know GridMaze.step alone, and this one has"),
        (with_a_step_of_its_own(CueReward(batch_size=2)), "its loops know CueReward.step alone"),
        (object(), "object offers no kernel_view()"),
    ],
    ids=["step", "observation", "patched", "patched cues", "stranger"],
)
def test_an_environment_with_rules_of_its_own_takes_its_own_steps(env, reason):
    net = random_network(3, 4, input_size=17, num_actions=4)
    assert engines.choose("auto", net, env) is engines.choose("numba", net, env) is numba_engine
    assert reason in engines.reason_outside(numba_engine, env)
    assert engines.reason_outside(numba_engine, GridMaze(5, 2, 6)) is None
    assert engines.reason_outside(eager, GridMaze(5, 2, 6)) is not None


@pytest.mark.parametrize("make", [Richer, lambda *sizes: with_a_step_of_its_own(Richer(*sizes))])
def test_rules_of_its_own_are_those_that_run(make):
    net = random_network(3, 4, input_size=17, num_actions=4)
    noise = draw_noise(6, 2, torch.Generator().manual_seed(2))
    seen, plain = rollout(net, make(5, 2, 6), noise), rollout(net, GridMaze(5, 2, 6), noise)
    assert (seen.rewards >= 1).all()
    assert (plain.rewards == 0).any()


@pytest.mark.parametrize("variant", VARIANTS, ids=name_of)
def test_a_network_says_what_it_is(variant):
    net = random_network(1, 6, **variant)
    cell = accepted(net.kernel_cell())
    kinds = {"none": FIXED, "plastic": HEBBIAN, "simple": HEBBIAN, "retroactive": RETROACTIVE}
    assert (cell.loops, cell.kind, cell.clip) == (TRACES, kinds[net.plasticity], net.clip)
    assert cell.modulated == (net.modulation(torch.zeros(1, 6)) is not None)
    for part, shape in zip(cell.parameters[2:], [(1,), (6,), (1,), (6,), (6,)], strict=True):
        assert part.shape == shape
    if net.plasticity != "none":  # the gain of each neuron, in every variant
        net.clip = math.inf
        h = torch.randn(2, 6, generator=torch.Generator().manual_seed(2))
        m = torch.tanh(h @ cell.parameters.mod_weight + cell.parameters.mod_bias)
        gains = m[:, None] * cell.parameters.rate_weight + cell.parameters.rate_bias
        ones = torch.ones(2, 6, 6)
        gathered = ones if net.plasticity == "retroactive" else None
        hebb, _ = net.rewire(1 / h, h, torch.zeros(2, 6, 6), gathered)
        expected = gains[:, None] * (ones if gathered is not None else h[:, None] / h[:, :, None])
        torch.testing.assert_close(hebb, expected)


def test_an_lstm_says_that_it_has_gates():
    net = LSTM(5, 4, 3)
    cell = accepted(net.kernel_cell())
    assert (cell.loops, cell.parameters.w is net.w, cell.modulated) == (GATES, True, False)


@pytest.mark.parametrize(
    ("env", "rules"), [(GridMaze(5, 2, 6, wall_penalty=0.5), MAZE), (CueReward(batch_size=2), CUES)]
)
def test_an_environment_offers_its_rules_before_it_begins_and_its_episodes_after(env, rules):
    before = accepted(env.kernel_view())
    assert before.rules == rules
    assert (before.batch_size, before.episode_length) == (2, env.episode_length)
    assert before.agent.numel() == before.shown.numel() == before.answers.numel() == 0
    noise = env.sample_noise()
    env.reset(noise.goal if rules == MAZE else noise.episodes)
    view = accepted(env.kernel_view(noise))
    rewards, actions = torch.rand(env.episode_length, 2), torch.ones(env.episode_length, 2).long()
    if rules == MAZE:
        assert torch.equal(view.agent, env.agent)
        view.agent.fill_(1)
        assert not torch.equal(view.agent, env.agent), "the environment moves at the end alone"
    view.finish(rewards, actions)
    assert env.time == env.episode_length
    assert torch.equal(env.previous_reward, rewards[-1])
    assert torch.equal(env.previous_action, actions[-1])
    if rules == MAZE:
        assert torch.equal(view.agent, env.agent)
