"""Steps that an engine takes one at a time, for an environment that is called between them."""

from __future__ import annotations

import pytest
import torch
from networks import VARIANTS, name_of, random_network
from tmaze import TMaze

from bpa import GridMaze, Network, TrainConfig, engines, train
from bpa.cells.lstm import LSTM
from bpa.engines import eager
from bpa.engines import numba as numba_engine
from bpa.engines.numba import walking
from bpa.engines.walking import Definition, Twice
from bpa.training.rollout import rollout, sample_noise


class Unknown(GridMaze):
    """A maze that no loop knows."""

    def kernel_view(self, noise=None):
        return "its rules are a secret"


class Limited(TMaze):
    """A T-maze in which a time limit cuts episode 0 off after step 3, and its value there counts."""

    def time_limit(self):
        if self.time != 3:
            return None
        which = torch.arange(self.batch_size) == 0
        return which, torch.full((self.batch_size, 4), 0.5)

    def step(self, actions):
        observation, reward, done = super().step(actions)
        return observation, reward, done | (torch.arange(self.batch_size) == 0) & (self.time >= 3)


class Reused(TMaze):
    """One that writes every observation into the same memory."""

    def sensed(self, cue):
        if not hasattr(self, "memory"):
            self.memory = torch.empty(self.batch_size, 4)
        return self.memory.copy_(super().sensed(cue))


def random_lstm(inputs, actions):
    generator = torch.Generator().manual_seed(5)
    net = LSTM(inputs, 7, actions, generator=generator)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return net


def nets_for(inputs, actions):
    """Every variant, and the LSTM, by name."""
    shape = {"input_size": inputs, "num_actions": actions}
    named = {name_of(variant): random_network(3, 6, **shape, **variant) for variant in VARIANTS}
    return named | {"lstm": random_lstm(inputs, actions)}


def loss_of(seen):
    """A number to which all that a trajectory gives contributes."""
    generator = torch.Generator().manual_seed(9)
    parts = [seen.logits, seen.values, seen.h, *(part for part in seen.hidden if part is not None)]
    parts += [] if seen.modulation is None else [seen.modulation]
    return sum((part * torch.randn(part.shape, generator=generator)).sum() for part in parts)


def assert_same(net, env, noise, greedy=False):
    """The definition and the loops see the same, and learn the same from it."""
    found = []
    for engine in ("eager", "numba"):
        seen = rollout(net, env, noise, engine, greedy)
        found.append((seen, torch.autograd.grad(loss_of(seen), list(net.parameters()), allow_unused=True)))
    (right, slow), (seen, fast) = found
    assert torch.equal(seen.actions, right.actions)
    for name, mine, other in zip(seen._fields, seen, right, strict=True):
        if name == "hidden":
            continue
        assert (mine is None) == (other is None), name
        if other is not None:
            torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5, msg=name)
    for (name, _), mine, other in zip(net.named_parameters(), fast, slow, strict=True):
        other = torch.zeros_like(mine) if other is None and mine is not None else other
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4, msg=name)
    return seen


@pytest.mark.parametrize("greedy", [False, True], ids=["sampled", "likeliest"])
@pytest.mark.parametrize("name", nets_for(4, 3))
def test_equals_the_definition_where_episodes_end_one_by_one(name, greedy):
    env = Limited(4, 21, generator=torch.Generator().manual_seed(8))
    seen = assert_same(nets_for(4, 3)[name], env, env.sample_noise(), greedy)
    assert seen.mask is not None
    assert seen.bootstrap[2, 0] != 0
    assert seen.bootstrap.count_nonzero() == 1


@pytest.mark.parametrize("name", nets_for(17, 4))
def test_equals_the_loops_that_know_the_environment(name):
    net = nets_for(17, 4)[name]
    sizes = (5, 3, 35)  # more than two stretches between stored traces
    noise = GridMaze(*sizes, generator=torch.Generator().manual_seed(4)).sample_noise()
    outside, inside = (rollout(net, maze(*sizes), noise, "numba") for maze in (Unknown, GridMaze))
    assert torch.equal(outside.actions, inside.actions)
    assert torch.equal(outside.rewards, inside.rewards)
    torch.testing.assert_close(outside.logits, inside.logits, rtol=1e-5, atol=1e-5)
    found = [torch.autograd.grad(loss_of(seen), list(net.parameters())[:2]) for seen in (outside, inside)]
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", nets_for(4, 3))
def test_a_look_ahead_changes_nothing(name):
    net, xs = nets_for(4, 3)[name], torch.randn(19, 3, 4, generator=torch.Generator().manual_seed(1))
    module = engines.choose("numba", net)
    plain, looking = (engines.walk(module, net, 19, 3) for _ in range(2))
    for t, x in enumerate(xs):
        logits, value = plain.step(x)
        ahead = looking.value_of(x)
        torch.testing.assert_close(ahead, value)
        assert torch.equal(looking.step(x)[0], logits), t
        looking.value_of(torch.full_like(x, 3.0))
    one, two = plain.finish(xs), looking.finish(xs)
    assert torch.equal(one.logits, two.logits)
    gradients = [torch.autograd.grad(loss_of(out), net.i2h.weight)[0] for out in (one, two)]
    assert torch.equal(*gradients)


def test_however_many_threads_the_numbers_are_the_same(monkeypatch):
    net = random_network(3, 9, input_size=17, num_actions=4, plasticity="retroactive")
    noise = GridMaze(5, 7, 20, generator=torch.Generator().manual_seed(4)).sample_noise()
    one = rollout(net, Unknown(5, 7, 20), noise, "numba")
    monkeypatch.setattr(walking, "ENOUGH", 1)
    monkeypatch.setattr(walking, "loop_threads", lambda: 3)
    assert len(walking.shares(7, 9)) == 3
    monkeypatch.setattr(numba_engine, "loop_threads", lambda: 3)
    three = rollout(net, Unknown(5, 7, 20), noise, "numba")
    assert torch.equal(one.logits, three.logits)
    assert torch.equal(one.hidden.hebb, three.hidden.hebb)


@pytest.mark.parametrize(("batch_size", "size"), [(1, 1), (3, 500), (30, 100), (16, 64)])
def test_the_threads_share_all_episodes(batch_size, size, monkeypatch):
    monkeypatch.setattr(walking, "loop_threads", lambda: 4)
    bounds = walking.shares(batch_size, size)
    assert [e for first, last in bounds for e in range(first, last)] == list(range(batch_size))
    assert all(first < last for first, last in bounds)
    assert len(bounds) == 1 or batch_size * size**2 >= len(bounds) * walking.ENOUGH


def test_an_environment_may_write_into_the_same_memory():
    net = random_network(3, 6, input_size=4, num_actions=3)
    fresh, reused = (make(4, 6, generator=torch.Generator().manual_seed(8)) for make in (TMaze, Reused))
    noise = fresh.sample_noise()
    for engine in ("eager", "numba"):
        right, seen = rollout(net, fresh, noise, engine), rollout(net, reused, noise, engine)
        assert torch.equal(seen.observations, right.observations)
        gradients = [torch.autograd.grad(loss_of(one), list(net.parameters())) for one in (seen, right)]
        assert all(map(torch.equal, *gradients))


def test_a_network_with_a_hook_takes_its_own_steps():
    net = random_network(3, 6, input_size=4, num_actions=3)
    assert engines.choose("auto", net, TMaze()) is numba_engine
    calls = []
    net.register_forward_hook(lambda *given: calls.append(given))
    assert engines.choose("auto", net, TMaze()) is eager
    rollout(net, TMaze())
    assert calls


def test_each_engine_walks_in_its_way():
    plastic, lstm = Network(4, 5, 3), LSTM(4, 5, 3)
    kinds = [
        type(engines.walk(engines.choose(engine, net), net, 3, 2))
        for engine, net in (("eager", plastic), ("numba", plastic), ("eager", lstm), ("numba", lstm))
    ]
    assert kinds == [Definition, walking.Steps, Definition, Twice]


def test_training_in_such_an_environment_is_repeatable_and_learns_as_by_the_definition():
    weights = {}
    for engine in ("auto", "auto", "eager"):
        config = TrainConfig(
            iterations=4, hidden_size=6, learning_rate=0.01, engine=engine, seed=2, quiet=True
        )
        result = train(config.replace(engine=engine), env=TMaze(8, 6, generator=torch.Generator()))
        weights.setdefault(engine, []).append(torch.cat([p.flatten() for p in result.network.parameters()]))
    one, two = weights["auto"]
    assert torch.equal(one, two)
    torch.testing.assert_close(one, weights["eager"][0], rtol=1e-3, atol=1e-4)


def test_without_gradients_nothing_is_kept_for_the_way_back():
    net = random_network(3, 6, input_size=17, num_actions=4)
    with torch.no_grad():
        steps = walking.Steps(net, 20, 2)
        seen = rollout(net, env := Unknown(5, 2, 20), sample_noise(env), "numba")
    assert steps.run.every == 0
    assert steps.run.hebb_kept.numel() == 0
    assert not seen.logits.requires_grad
