"""The plain LSTM's engine against the definition, step by step, in float64."""

from __future__ import annotations

import copy
import logging

import pytest
import torch

from bpa import GridMaze, TrainConfig, engines, train
from bpa.cells.lstm import LSTM, LSTMHidden
from bpa.engines.numba import lstm as lstm_engine
from bpa.envs.cue_reward import CueReward
from bpa.maze import draw_noise
from bpa.training.rollout import rollout


def lively_lstm(seed, hidden_size, input_size=5, num_actions=3, scale=0.7):
    """Gates that open and close, and heads that are not sure of themselves."""
    generator = torch.Generator().manual_seed(seed)
    net = LSTM(input_size, hidden_size, num_actions, generator=generator)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
        net.w *= 2 / hidden_size**0.5
    return net


def outputs_and_gradients(net, xs, state, engine, dtype):
    """Outputs and gradients of a loss that weighs every number of every output differently."""
    net = copy.deepcopy(net).to(dtype)
    xs, h, cell = (part.detach().to(dtype).requires_grad_() for part in (xs, *state))
    out = net.unroll(xs, LSTMHidden(h, cell), engine)
    outputs = [out.logits, out.values, out.h, out.hidden.h, out.hidden.cell]
    generator = torch.Generator().manual_seed(7)
    loss = sum((part * torch.randn(part.shape, generator=generator).to(dtype)).sum() for part in outputs)
    assert out.modulation is out.hidden.hebb is out.hidden.eligibility is None
    return outputs, torch.autograd.grad(loss, [*net.parameters(), xs, h, cell])


@pytest.mark.parametrize("sizes", [(1, 1, 1), (5, 3, 15), (17, 2, 40), (33, 3, 20)], ids=str)
def test_equals_the_definition(sizes):
    H, B, T = sizes
    net, generator = lively_lstm(H, H), torch.Generator().manual_seed(3)
    xs = torch.randn(T, B, 5, generator=generator)
    state = torch.rand(2, B, H, generator=generator) * 2 - 1
    mine = outputs_and_gradients(net, xs, state, "numba", torch.float32)
    right = outputs_and_gradients(net, xs, state, "eager", torch.float64)
    for got, expected in zip(mine, right, strict=True):
        for one, two in zip(got, expected, strict=True):
            scale = max(1.0, two.abs().max().item())
            torch.testing.assert_close(one.double(), two, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("seed", range(4))
def test_the_same_noise_gives_the_same_episodes_in_the_maze(seed):
    net = lively_lstm(seed, 20, input_size=17, num_actions=4)
    B = (35, 15, 15, 15)[seed]  # in groups of up to 4, or one by one
    noise = draw_noise(200, B, torch.Generator().manual_seed(seed))
    mazes = [GridMaze((5, 7, 9, 11)[seed], B, 200, wall_penalty=0.1 * seed) for _ in range(2)]
    right, mine = (
        rollout(net, maze, noise, engine) for maze, engine in zip(mazes, ("eager", "numba"), strict=True)
    )
    assert len(right.actions.unique()) == 4
    assert right.rewards.max() > 5, "nobody found the goal: nothing was tested"
    for name in ("observations", "actions", "rewards"):
        assert torch.equal(getattr(mine, name), getattr(right, name)), name
    for name in ("logits", "values", "h"):
        torch.testing.assert_close(getattr(mine, name), getattr(right, name), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine.hidden[:2], right.hidden[:2], rtol=1e-4, atol=1e-4)
    for name in ("agent", "previous_reward", "previous_action", "time"):
        left = getattr(mazes[1], name)
        assert left == 200 if name == "time" else torch.equal(left, getattr(mazes[0], name)), name
    gradients = [
        torch.autograd.grad(seen.logits.square().sum() + (seen.values * seen.rewards).sum(), net.parameters())
        for seen in (mine, right)
    ]
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=2e-4 * max(1, two.abs().max().item()))


def test_the_same_noise_gives_the_same_answers_to_cues():
    net = lively_lstm(5, 17, input_size=11, num_actions=2)
    cues = [CueReward(4, 5, 9, 200, wrong_penalty=0.3, generator=torch.Generator()) for _ in range(2)]
    noise = cues[0].sample_noise()
    right, mine = (
        rollout(net, env, noise, engine) for env, engine in zip(cues, ("eager", "numba"), strict=True)
    )
    assert len(right.rewards.unique()) == 3, "not every outcome was seen"
    for name in ("observations", "actions", "rewards"):
        assert torch.equal(getattr(mine, name), getattr(right, name)), name
    torch.testing.assert_close(mine.h, right.h, rtol=1e-4, atol=1e-4)
    assert torch.equal(cues[1].observation(), cues[0].observation())


def test_auto_takes_it_for_the_plain_one_alone(caplog):
    engines.log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="bpa"):
        assert engines.choose("auto", LSTM(5, 4, 3)) is lstm_engine
    assert caplog.records[0].message.startswith("engine numba, ")
    for net in (LSTM(5, 4, 3, plasticity="plastic"), LSTM(5, 4, 3).double()):
        assert engines.choose("auto", net) is engines.eager


def test_training_is_repeatable():
    config = TrainConfig(
        iterations=3, cell="lstm", plasticity="none", size=5, episode_length=20, batch_size=4, hidden_size=6,
        quiet=True,
    )  # fmt: skip
    first, second = (train(config).network.state_dict() for _ in range(2))
    slow = train(config.replace(engine="eager")).network.state_dict()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name])
        torch.testing.assert_close(tensor, slow[name], rtol=1e-3, atol=1e-5)
