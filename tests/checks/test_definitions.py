"""The checks' own definitions, written apart from `bpa`, agree with what `bpa` computes."""

import math
from functools import partial

import pytest
import torch

from bpa.cells.fast_weights import FastWeightNetwork
from bpa.cells.lstm import LSTM
from bpa.checks import chapter_13, chapter_14, chapter_16
from bpa.tasks.sequences import Languages
from bpa.training.a2c import a2c_loss


def test_the_prediction_agrees_with_the_bayesian_in_bpa():
    world = Languages(3, 12, concentration=0.4, batch_size=5, generator=torch.Generator().manual_seed(0))
    lesson = world.sample()
    losses = world.bayes_loss(lesson)
    symbols = lesson.inputs.argmax(2)
    for b in range(5):
        for t in range(11):
            chances = chapter_13.bayes_next(symbols[: t + 1, b], 3, 0.4)
            assert -chances[lesson.targets[t, b]].log() == pytest.approx(losses[t, b].item())


def test_the_step_agrees_with_the_lstm_in_bpa():
    generator = torch.Generator().manual_seed(1)
    net = LSTM(3, 5, 2, plasticity="plastic", clip=0.2, generator=generator).requires_grad_(False).double()
    for parameter in net.parameters():
        parameter.uniform_(-1, 1, generator=generator)
    hidden = net.initial_state(4)
    h, cell, hebb = hidden.h, hidden.cell, hidden.hebb
    for x in torch.randn(8, 4, 3, generator=generator, dtype=torch.float64):
        hidden = net(x, hidden)[2]
        h, cell, hebb = chapter_13.lstm_step(
            net.i2h(x), h, cell, hebb, net.w, net.alpha, net.eta.item(), net.clip
        )
    for mine, right in zip((h, cell, hebb), hidden, strict=False):
        assert torch.allclose(mine, right)
    assert hebb.abs().max() == pytest.approx(0.2)  # the clip was needed


def test_a_mixture_loses_at_most_the_log_of_its_size_against_the_best():
    losses = 3 * torch.rand(4, 50, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert chapter_13.mixture(losses).sum() <= losses.sum(1).min() + math.log(4)


def test_definitions_agree_with_the_layer_in_bpa():
    """The checks' own definitions, written apart from `bpa.cells.fast_weights`, give what the layer gives."""
    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(9, 3, 4, generator=generator, dtype=torch.float64)
    for writing in ("sum", "delta"):
        net = FastWeightNetwork(
            4, 5, 2, writing=writing, gated=writing == "delta", generator=generator
        ).double()
        drive = net.i2h(xs)
        query, key = (torch.nn.functional.normalize(drive[..., p : p + 5], dim=-1) for p in (0, 5))
        value, beta = drive[..., 10:15], drive[..., 15].sigmoid()
        out = net.unroll(xs)
        if writing == "sum":
            assert torch.allclose(chapter_14.attended(query, key, value, beta), out.h)
            continue
        fast, gamma = torch.zeros(3, 5, 5, dtype=torch.float64), drive[..., 16].sigmoid()
        for t in range(9):
            fast = chapter_14.gated_write(fast, key[t], value[t], beta[t], gamma[t])
        assert torch.allclose(fast, out.hidden.hebb)


def test_the_definition_of_the_loss_agrees_with_a2c_loss():
    """Value and gradients, written apart from `bpa.training.a2c`."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 5, 4, generator=generator)
    values, rewards = torch.randn(2, 8, 5, generator=generator)
    actions = torch.randint(4, (8, 5), generator=generator)
    mine = chapter_16.with_gradients(chapter_16.actor_critic_loss)(logits, values, actions, rewards)
    same = partial(a2c_loss, concentration_coef=0)
    theirs = chapter_16.with_gradients(same)(logits, values, actions, rewards)
    for one, other in zip(mine, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
