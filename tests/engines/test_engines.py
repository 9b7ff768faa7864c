"""Every engine against the definition: outputs, final state and every gradient, in float64."""

from __future__ import annotations

import copy
import io
import itertools
import logging
import math
import os
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from networks import VARIANTS, name_of, random_network, random_state

from bpa import GridMaze, Network, TrainConfig, engines, train
from bpa.cells.lstm import LSTM
from bpa.engines import numba as numba_engine
from bpa.engines.numba import compiling, vectors
from bpa.engines.numba.environments import likeliest, pick_except
from bpa.envs.cue_reward import CueNoise, CueReward
from bpa.maze import draw_noise
from bpa.maze import pick_except as defined_pick
from bpa.training.rollout import rollout, sample

# The largest difference from float64, relative to the largest number of the same tensor, or to 1.
# Float32 itself has 6e-8, and a shared alpha or eta sums tens of thousands of terms of either sign.
TOLERANCE = 1e-4

# H, B, T. 16 neurons fill whole vectors. 35 episodes run in groups of 4 and one of 3; below 16 each is alone.
SIZES = [(1, 1, 1), (5, 3, 15), (17, 1, 16), (17, 3, 17), (16, 35, 18), (33, 3, 40)]


def run(net, xs, state, engine, dtype=torch.float32):
    """Outputs and gradients by name, of a loss that weighs every number of every output differently."""
    net = copy.deepcopy(net).to(dtype)
    xs = xs.detach().to(dtype).requires_grad_()
    state = type(state)(
        *[None if part is None else part.detach().to(dtype).requires_grad_() for part in state]
    )
    out = net.unroll(xs, state, engine=engine)
    outputs = {
        "logits": out.logits, "values": out.values, "modulation": out.modulation, "h": out.h,
        **{f"final {name}": part for name, part in out.hidden._asdict().items()},
    }  # fmt: skip
    outputs = {name: part for name, part in outputs.items() if part is not None}
    generator = torch.Generator().manual_seed(7)
    loss = sum(
        (part * torch.randn(part.shape, generator=generator).to(dtype)).sum() for part in outputs.values()
    )
    sources = {**dict(net.named_parameters()), "xs": xs}
    sources |= {f"initial {name}": part for name, part in state._asdict().items() if part is not None}
    gradients = torch.autograd.grad(loss, list(sources.values()))
    return outputs, dict(zip(sources, gradients, strict=True))


def assert_close(got, expected, what, rounded=None):
    """Each tensor within TOLERANCE of its largest number, or of 1 if larger.

    Where a network magnifies small differences, so does the definition in float32: `rounded` gives what that
    comes to, and 30 times its distance is allowed.
    """
    assert got.keys() == expected.keys()
    for name, right in expected.items():
        assert got[name].shape == right.shape, f"{what} {name}"
        assert got[name].dtype == torch.float32, f"{what} {name}"
        scale = max(1.0, right.abs().max().item())
        off = (got[name].double() - right).abs().max().item() / scale
        allowed = TOLERANCE
        if off > TOLERANCE and rounded is not None:
            allowed = 30 * (rounded()[name].double() - right).abs().max().item() / scale
        assert off <= allowed, f"{what} {name} is off by {off:.2g}"


def assert_same_function(net, xs, state):
    outputs, gradients = run(net, xs, state, "numba")
    right, right_gradients = run(net, xs, state, "eager", torch.float64)
    assert_close(outputs, right, "output", lambda: run(net, xs, state, "eager")[0])
    assert_close(gradients, right_gradients, "gradient of", lambda: run(net, xs, state, "eager")[1])
    return right


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("variant", VARIANTS, ids=name_of)
def test_equals_the_definition(variant, sizes):
    H, B, T = sizes
    net = random_network(H, H, **variant)
    xs = torch.randn(T, B, 5, generator=torch.Generator().manual_seed(3))
    right = assert_same_function(net, xs, random_state(net, H, B))
    if net.plasticity != "none" and sizes == SIZES[-1]:
        clipped = (right["final hebb"].abs() == net.clip).double().mean().item()
        assert 0.2 <= clipped <= 0.9, f"{clipped:.0%} of the traces at the bound: too few, or all"


@pytest.mark.parametrize("modulator", ["sigmoid", "linear"])
@pytest.mark.parametrize("plasticity", ["simple", "retroactive"])
def test_modulators(plasticity, modulator):
    net = random_network(1, 9, plasticity=plasticity, modulator=modulator)
    assert_same_function(net, torch.randn(20, 2, 5, generator=torch.Generator()), random_state(net, 1, 2))


@pytest.mark.parametrize("clip", [math.inf, 0.05, 1.0])
@pytest.mark.parametrize("plasticity", ["plastic", "simple", "retroactive"])
def test_any_clip(plasticity, clip):
    net = random_network(2, 9, plasticity=plasticity, clip=clip)
    assert_same_function(net, torch.randn(20, 2, 5, generator=torch.Generator()), random_state(net, 2, 2))


@pytest.mark.parametrize("plasticity", ["plastic", "simple", "retroactive"])
def test_a_trace_on_the_bound_hands_its_gradient_on_and_one_beyond_it_does_not(plasticity):
    net = random_network(4, 9, plasticity=plasticity, clip=0.5)
    state = random_state(net, 4, 3, beyond=2.0)
    state.h[:] = 0  # nothing is added in the first step, so what lies on the bound stays there
    if state.eligibility is not None:
        state.eligibility[:] = 0
    state.hebb[0].fill_(0.5)
    state.hebb[1].fill_(-0.5)
    xs = torch.randn(3, 3, 5, generator=torch.Generator())
    assert_same_function(net, xs, state)
    gradient = run(net, xs[:1], state, "numba")[1]["initial hebb"]
    assert (gradient[:2] != 0).all()
    assert torch.equal(gradient[2] != 0, state.hebb[2].abs() <= 0.5)


def rounding_decides_what_is_clipped(net, xs, state):
    """Whether a trace comes so near the clip that a hair more or less of it is another gradient."""
    gradients = []
    for factor in (1 - 1e-6, 1 + 1e-6):
        moved = copy.deepcopy(net)
        moved.clip = net.clip * factor
        gradients.append(run(moved, xs, state, "eager", torch.float64)[1])
    return any(
        (one - other).abs().max() > TOLERANCE * max(1.0, one.abs().max().item())
        for one, other in zip(*(each.values() for each in gradients), strict=True)
    )


@settings(max_examples=30, deadline=None)
@given(
    variant=st.sampled_from(VARIANTS),
    H=st.integers(1, 40),
    B=st.integers(1, 4),
    T=st.integers(1, 50),
    seed=st.integers(0, 1000),
)
def test_any_size_and_state(variant, H, B, T, seed):
    net = random_network(seed, H, **variant)
    xs = torch.randn(T, B, 5, generator=torch.Generator().manual_seed(seed))
    state = random_state(net, seed, B)
    try:
        assert_same_function(net, xs, state)
    except AssertionError:
        assume(not rounding_decides_what_is_clipped(net, xs, state))
        raise


def test_two_halves_are_the_whole():
    net = random_network(5, 17, plasticity="retroactive")
    xs = torch.randn(40, 3, 5, generator=torch.Generator())
    state = random_state(net, 5, 3)
    whole = net.unroll(xs, state, engine="numba")
    first = net.unroll(xs[:13], state, engine="numba")
    second = net.unroll(xs[13:], first.hidden, engine="numba")
    torch.testing.assert_close(torch.cat([first.logits, second.logits]), whole.logits)
    at_once = torch.autograd.grad(whole.hidden.hebb.square().sum(), list(net.parameters()), allow_unused=True)
    in_turn = torch.autograd.grad(
        second.hidden.hebb.square().sum(), list(net.parameters()), allow_unused=True
    )
    for one, other in zip(at_once, in_turn, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_gradient_of_a_single_output_and_a_single_parameter():
    net = random_network(6, 9)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    net.alpha.requires_grad_(True)
    xs = torch.randn(20, 2, 5, generator=torch.Generator())
    for output in ("logits", "values", "modulation", "h"):
        mine, right = [
            getattr(net.unroll(xs, None, engine), output).square().sum() for engine in ("numba", "eager")
        ]
        torch.testing.assert_close(
            torch.autograd.grad(mine, net.alpha), torch.autograd.grad(right, net.alpha), rtol=1e-4, atol=1e-6
        )


def test_the_caller_keeps_its_state():
    net = random_network(7, 16, plasticity="retroactive")
    state = random_state(net, 7, 2)
    before = [part.clone() for part in state]
    out = net.unroll(torch.randn(9, 2, 5, generator=torch.Generator()), state, engine="numba")
    out.h.sum().backward()
    for part, kept in zip(state, before, strict=True):
        assert torch.equal(part, kept)


def test_a_state_may_lie_in_memory_as_it_likes():
    net = random_network(7, 16, plasticity="retroactive")
    xs = torch.randn(9, 2, 5, generator=torch.Generator().manual_seed(1))
    found = []
    for turned in (False, True):
        parts = []
        for part in random_state(net, 7, 2):
            plain = part.detach().clone()
            lies = plain.mT.contiguous().mT if turned else plain
            assert lies.is_contiguous() != turned
            parts.append(lies.requires_grad_())
        out = net.unroll(xs, type(net.initial_state(2))(*parts), engine="numba")
        loss = out.logits.square().sum() + out.hidden.hebb.square().sum()
        found.append((out.h, *torch.autograd.grad(loss, parts)))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_without_gradients_nothing_is_kept_for_them():
    net = random_network(8, 9)
    hidden = net.initial_state(2)
    assert numba_engine.fresh_run(hidden, 40, keep=False).hebb_kept.numel() == 0
    assert len(numba_engine.fresh_run(hidden, 40, keep=True).hebb_kept) == 3
    assert numba_engine.wants_gradient(net)
    with torch.no_grad():
        assert not numba_engine.wants_gradient(net, hidden.h)
        assert net.unroll(torch.zeros(3, 2, 5), hidden, engine="numba").h.grad_fn is None
    net.requires_grad_(False)
    assert not numba_engine.wants_gradient(net, hidden.h, None)
    assert numba_engine.wants_gradient(net, hidden.h.requires_grad_())


def test_a_run_is_freed_with_its_last_name():
    import gc
    import weakref

    net = random_network(9, 9)
    gc.disable()
    try:
        out = net.unroll(torch.zeros(3, 2, 5), engine="numba")
        gone = weakref.ref(out.modulation.grad_fn)
        del out
        assert gone() is None, "a reference cycle keeps the whole run until the garbage collector comes"
    finally:
        gc.enable()


def second_gradients(net, xs, state, engine, dtype):
    """The gradients by name, and those of a sum of their squares, of two runs one after the other."""
    net = copy.deepcopy(net).to(dtype)
    xs = xs.detach().to(dtype).requires_grad_()
    state = type(state)(
        *[None if part is None else part.detach().to(dtype).requires_grad_() for part in state]
    )
    first = net.unroll(xs[:4], state, engine)
    out = net.unroll(xs[4:], first.hidden, engine)  # its initial state depends on the parameters too
    loss = out.logits.square().sum() + out.values.pow(3).sum() + first.h.square().sum()
    loss = loss + sum(part.square().sum() for part in out.hidden if part is not None)
    loss = loss + (0 if out.modulation is None else out.modulation.square().sum())
    named = {**dict(net.named_parameters()), "xs": xs}
    named |= {name: part for name, part in state._asdict().items() if part is not None}
    gradients = torch.autograd.grad(loss, list(named.values()), create_graph=True)
    generator = torch.Generator().manual_seed(5)
    penalty = sum(
        (part.square() * torch.rand(part.shape, generator=generator).to(dtype)).sum() for part in gradients
    )
    again = torch.autograd.grad(penalty, list(named.values()), allow_unused=True)
    return dict(zip(named, gradients, strict=True)), dict(zip(named, again, strict=True))


@pytest.mark.parametrize("variant", VARIANTS, ids=name_of)
def test_gradients_of_gradients_are_those_of_the_definition(variant):
    net = random_network(10, 5, **variant)
    xs = torch.randn(9, 2, 5, generator=torch.Generator().manual_seed(3))
    state = random_state(net, 10, 2)
    mine = second_gradients(net, xs, state, "numba", torch.float32)
    right = second_gradients(net, xs, state, "eager", torch.float64)
    for got, expected in zip(mine, right, strict=True):
        assert [name for name, part in got.items() if part is None] == [
            name for name, part in expected.items() if part is None
        ]
        assert sum(part is not None for part in got.values()) >= 6
        assert_close(*[{n: p for n, p in one.items() if p is not None} for one in (got, expected)], "of")


@pytest.mark.parametrize("environment", ["maze", "cues"])
@pytest.mark.parametrize("plasticity", ["none", "plastic", "simple", "retroactive"])
def test_gradients_of_gradients_of_an_episode(plasticity, environment):
    inputs, actions = (17, 4) if environment == "maze" else (10, 2)
    net = random_network(5, 7, input_size=inputs, num_actions=actions, plasticity=plasticity)
    found = []
    for engine in ("numba", "eager"):
        same = {"generator": torch.Generator().manual_seed(9)}
        place = GridMaze(5, 3, 8, **same) if environment == "maze" else CueReward(2, 4, 3, 8, **same)
        seen = rollout(net, place, place.sample_noise(), engine)
        loss = seen.logits.square().sum() + (seen.values * (1 + seen.rewards)).sum() + seen.h.pow(3).sum()
        gradients = torch.autograd.grad(loss, list(net.parameters()), create_graph=True, allow_unused=True)
        penalty = sum(part.square().sum() for part in gradients if part is not None)
        found.append(torch.autograd.grad(penalty, list(net.parameters()), allow_unused=True))
    assert sum(right is not None for right in found[1]) >= 5
    for (name, _), mine, right in zip(net.named_parameters(), *found, strict=True):
        if right is None:  # nothing depends on it; the loops' heads are one product, whose bias gets a 0
            assert mine is None or not mine.any(), name
            continue
        torch.testing.assert_close(
            mine, right, rtol=1e-3, atol=2e-4 * max(1, right.abs().max().item()), msg=name
        )


@pytest.mark.parametrize("plasticity", ["none", "plastic", "simple", "retroactive"])
def test_nan_and_infinity_come_through(plasticity):
    net = random_network(11, 9, plasticity=plasticity)
    xs = torch.zeros(6, 3, 5)
    xs[2, 1, 0] = math.nan
    xs[3, 2, 0] = math.inf
    mine, right = [net.unroll(xs, None, engine) for engine in ("numba", "eager")]
    assert torch.equal(mine.h.isnan(), right.h.isnan())
    assert mine.h[2:, 1].isnan().all()
    assert not mine.h[:, 0].isnan().any()
    if mine.hidden.hebb is not None:
        assert torch.equal(mine.hidden.hebb.isnan(), right.hidden.hebb.isnan())
    assert torch.autograd.grad(mine.logits.sum(), net.w)[0].isnan().any()


@pytest.fixture
def threads():
    """Sets PyTorch's number of threads, and puts it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("plasticity", ["none", "simple", "retroactive"])
def test_any_number_of_threads_and_every_repetition_give_the_same_bits(plasticity, threads):
    net = random_network(12, 33, plasticity=plasticity)
    xs = torch.randn(40, 19, 5, generator=torch.Generator())
    # PyTorch's own products may depend on the number of threads: compare what the loops give and get.
    drives = net.i2h(xs).detach().requires_grad_()
    results = []
    for count in (1, 2, 3, 2):
        threads(count)
        cell, hidden = net.kernel_cell(), net.initial_state(19)
        done = numba_engine.fresh_run(hidden, 40, keep=True)
        weights = numba_engine.weights_for_loop(numba_engine.settings(cell), cell.parameters)
        numba_engine.run_unroll(weights, drives, done)
        nothing, start = drives.new_zeros(40, 19, 0), numba_engine.start_of(drives, hidden)
        _, h, _, final = numba_engine.outputs(
            cell, done, weights, start, hidden, numba_engine.no_ends(cell), nothing, nothing
        )
        loss = h.square().sum() + (0 if final.hebb is None else final.hebb.sum())
        results.append((h, *torch.autograd.grad(loss, [drives] + [net.alpha] * (net.alpha is not None))))
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def lively_network(seed, **variant):
    """A maze network with so much going on inside that a slip in one step changes the actions soon."""
    net = random_network(seed, 20, input_size=17, num_actions=4, **{"clip": 1.0} | variant)
    with torch.no_grad():
        net.h2o.weight *= 0.4  # not so sure of itself that it stays in a corner
    return net


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("plasticity", ["none", "plastic", "simple", "retroactive"])
def test_the_same_gives_the_same_episodes(plasticity, seed):
    net, B = lively_network(seed, plasticity=plasticity), (35, 15, 15, 15)[seed]
    noise = draw_noise(200, B, torch.Generator().manual_seed(seed))
    mazes = [GridMaze((5, 7, 9, 11)[seed], B, 200, reward=10.0, wall_penalty=0.1 * seed) for _ in range(2)]
    with torch.no_grad():
        right, mine = [
            rollout(net, maze, noise, engine) for maze, engine in zip(mazes, ("eager", "numba"), strict=True)
        ]
    assert torch.equal(mine.actions, right.actions)
    assert torch.equal(mine.rewards, right.rewards)
    assert not mine.rewards[mine.rewards == 0].signbit().any(), "a reward of -0 is printed as such"
    assert torch.equal(mine.observations, right.observations)
    assert right.rewards.max() > 5, "nobody found the goal: nothing was tested"
    assert len(right.actions.unique()) == 4
    for name in ("logits", "values", "modulation", "h"):
        one, two = getattr(mine, name), getattr(right, name)
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
    for name, end in vars(mazes[0]).items():
        same = torch.equal(vars(mazes[1])[name], end) if isinstance(end, torch.Tensor) else name
        assert same, f"the maze is left with another {name}"
        if isinstance(end, torch.Tensor):
            assert vars(mazes[1])[name].dtype == end.dtype
    assert mazes[1].time == mazes[0].time == 200


@pytest.mark.parametrize("place", ["maze", "cues"])
@pytest.mark.parametrize("cell", ["none", "plastic", "simple", "retroactive", "lstm"])
def test_the_likeliest_actions_lead_to_the_same_episodes(cell, place):
    inputs, actions = (17, 4) if place == "maze" else (10, 2)
    net = LSTM(inputs, 20, actions)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    if cell != "lstm":
        net = random_network(3, 20, input_size=inputs, num_actions=actions, plasticity=cell)
    found = []
    for engine in ("eager", "numba"):
        same = {"generator": torch.Generator().manual_seed(9)}
        env = GridMaze(7, 21, 60, **same) if place == "maze" else CueReward(2, 4, 21, 60, **same)
        with torch.no_grad():
            found.append(rollout(net, env, env.sample_noise(), engine, greedy=True))
    right, mine = found
    assert torch.equal(mine.actions, right.actions)
    assert torch.equal(mine.rewards, right.rewards)
    assert torch.equal(mine.actions, mine.logits.argmax(-1))
    assert len(mine.actions.unique()) > 1


def test_of_equal_logits_the_first_is_the_likeliest_and_nan_before_all():
    rows = [
        [1, 3, 3, 2],
        [0, 0, 0, 0],
        [1, math.nan, 5, math.nan],
        [math.inf, 0, math.inf, 1],
        [-1, -3, -2, 9],
    ]
    heads = np.array([rows], np.float32)
    for b, row in enumerate(torch.tensor(heads[0])):
        for count in (2, 3, 4):
            assert likeliest(heads, (0, b), count) == row[:count].argmax(), (row, count)


@pytest.mark.parametrize("count", [2, 3, 8, 32])
def test_every_number_below_1_leads_to_a_cell_other_than_the_goal(count):
    edges = torch.arange(count, dtype=torch.float32) / (count - 1)  # where the next cell begins
    numbers = torch.cat([edges.nextafter(torch.tensor(-1.0)), edges, edges.nextafter(torch.tensor(2.0))])
    numbers = numbers[(numbers >= 0) & (numbers < 1)]
    assert numbers.max() == 1 - 2.0**-24  # the largest that is drawn
    for taken in range(count):
        mine = [pick_except(number, count, taken) for number in numbers.numpy()]
        assert set(mine) == set(range(count)) - {taken}
        assert mine == defined_pick(numbers, count, torch.tensor(taken)).tolist()


@pytest.mark.parametrize("plasticity", ["none", "plastic", "simple", "retroactive"])
def test_gradients_of_an_episode_in_the_maze(plasticity):
    net = lively_network(5, plasticity=plasticity)
    noise = draw_noise(40, 3, torch.Generator().manual_seed(5))
    gradients = []
    for engine in ("eager", "numba"):
        seen = rollout(net, GridMaze(5, 3, 40), noise, engine)
        loss = seen.logits.square().sum() + (seen.values * seen.rewards).sum() + seen.hidden.h.sum()
        gradients.append(torch.autograd.grad(loss, list(net.parameters())))
    for (name, _), right, mine in zip(net.named_parameters(), *gradients, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-3, atol=2e-4 * right.abs().max().item(), msg=name)


def test_a_maze_can_be_stepped_on_after_a_rollout():
    net, maze = lively_network(6), GridMaze(5, 2, 10)
    rollout(net, maze, draw_noise(10, 2, torch.Generator()), "numba")
    with pytest.raises(RuntimeError, match="the episode is over"):
        maze.step(torch.zeros(2, dtype=torch.long))
    maze.reset()
    maze.step(torch.zeros(2, dtype=torch.long))


CUE_WORLDS = [  # odd sizes, every phase, a step that is no trial at the end
    {"num_cues": 2, "cue_bits": 1, "batch_size": 1, "episode_length": 6, "wrong_penalty": 1.0},
    {
        "num_cues": 4,
        "cue_bits": 5,
        "batch_size": 9,
        "episode_length": 200,
        "reward": 0.7,
        "wrong_penalty": 0.3,
    },
    {"num_cues": 3, "cue_bits": 7, "batch_size": 3, "episode_length": 41, "show_steps": 2, "jitter": 3},
    {
        "num_cues": 4,
        "cue_bits": 5,
        "batch_size": 9,
        "episode_length": 41,
        "wrong_penalty": 1.0,
        "trials": "published",
    },
    {"num_cues": 4, "cue_bits": 5, "batch_size": 35, "episode_length": 21, "wrong_penalty": 0.3},
]


def in_cues(net, settings, engine):
    """The same episodes, the same noise: what `act` returns by name, and the environment at their end."""
    env = CueReward(**settings, generator=torch.Generator().manual_seed(4))
    T, B = env.episode_length, env.batch_size
    noise = CueNoise(env.draw(), torch.rand(T, B, generator=torch.Generator().manual_seed(5)))
    observation, hidden = env.reset(noise.episodes), net.initial_state(B)
    if engine == "numba":
        seen = numba_engine.act(net, env, noise)
    else:
        steps = []
        for t in range(T):
            logits, value, hidden = net(observation, hidden)
            action = sample(logits.detach(), noise.action[t])
            before = observation
            observation, reward, _ = env.step(action)
            steps.append((before, action, reward, logits, value, net.modulation(hidden.h), hidden.h))
        seen = [None if part[0] is None else torch.stack(part) for part in zip(*steps, strict=True)]
        seen = (*seen, hidden)
    names = ("observations", "actions", "rewards", "logits", "values", "modulation", "h", "hidden")
    return dict(zip(names, seen, strict=True)), env


@pytest.mark.parametrize("settings", CUE_WORLDS, ids=["tiny", "large", "jitter", "published", "groups"])
@pytest.mark.parametrize("variant", VARIANTS, ids=name_of)
def test_the_same_gives_the_same_answers_to_cues(variant, settings):
    net = random_network(
        13, 17, input_size=settings["cue_bits"] + 6, num_actions=2, **{"clip": 1.0} | variant
    )
    (mine, env), (right, ended) = [in_cues(net, settings, engine) for engine in ("numba", "eager")]
    for name in ("observations", "actions", "rewards"):
        assert mine[name].dtype == right[name].dtype
        assert torch.equal(mine[name], right[name]), name
    if settings["batch_size"] > 1:
        assert len(right["actions"].unique()) == 2
        outcomes = 3 if env.wrong_penalty else 2
        assert len(right["rewards"].unique()) == outcomes, "not every outcome was seen"
    gradients = []
    for seen in (mine, right):
        loss = seen["logits"].square().sum() + (seen["values"] * seen["rewards"]).sum()
        loss = loss + sum(part.square().sum() for part in seen["hidden"] if part is not None)
        loss = loss + (0 if seen["modulation"] is None else seen["modulation"].sum())
        gradients.append(torch.autograd.grad(loss, list(net.parameters())))
    for name in ("logits", "values", "modulation", "h"):
        if right[name] is None:
            assert mine[name] is None
        else:
            torch.testing.assert_close(mine[name], right[name], rtol=1e-4, atol=1e-4)
    for one, two in zip(mine["hidden"], right["hidden"], strict=True):
        assert (one is None) == (two is None)
        if one is not None:
            torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
    for (name, _), one, two in zip(net.named_parameters(), *gradients, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=2e-4 * max(1, two.abs().max().item()), msg=name)
    assert env.time == ended.time == settings["episode_length"]
    assert torch.equal(env.previous_reward, ended.previous_reward)
    assert torch.equal(env.previous_action, ended.previous_action)
    assert torch.equal(env.observation(), ended.observation())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Network(5, 4, 3, plasticity="plastic", rule="decay"), "rule 'hebb' alone, not 'decay'"),
        (lambda: Network(5, 4, 3, plasticity="plastic", rule="oja"), "rule 'hebb' alone, not 'oja'"),
        (lambda: Network(5, 4, 3, clipping="soft"), "clipping 'hard' alone, not 'soft'"),
        (lambda: Network(5, 4, 3).double(), "not in torch.float64"),
        (lambda: Network(5, 4, 3).to("meta"), "on meta"),
        (lambda: type("Mine", (Network,), {})(5, 4, 3), "not Mine"),
        (lambda: LSTM(5, 4, 3, plasticity="plastic"), "not LSTM"),
    ],
    ids=["decay", "oja", "soft", "float64", "device", "subclass", "lstm"],
)
def test_what_it_does_not_know_falls_back_and_is_refused_by_name(make, reason, caplog):
    net = make()
    engines.log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="bpa"):
        for _ in range(2):
            assert engines.choose("auto", net) is engines.eager
    (record,) = caplog.records
    assert reason in record.message
    assert "engine eager" in record.message
    with pytest.raises(ValueError, match="engine 'numba' cannot run this: ") as refusal:
        net.unroll(torch.zeros(2, 1, 5, dtype=net.w.dtype, device=net.w.device), engine="numba")
    assert reason in str(refusal.value)


def test_auto_takes_the_fast_engine_and_says_so(caplog):
    engines.log_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="bpa"):
        assert engines.choose("auto", Network(5, 4, 3)) is numba_engine
    threads = torch.get_num_threads()
    assert [record.message for record in caplog.records if record.levelno == logging.INFO] == [
        "engine numba, 1 thread" if threads == 1 else f"engine numba, {threads} threads"
    ]


@pytest.mark.parametrize("cores", [1, 2])
def test_a_machine_with_one_core_trains_and_says_that_it_is_slower(cores, monkeypatch, caplog):
    engines.log_once.cache_clear()
    monkeypatch.setattr(engines, "cores", lambda: cores)
    config = TrainConfig(iterations=2, quiet=True, size=5, episode_length=4, batch_size=2, hidden_size=3)
    with caplog.at_level(logging.WARNING, logger="bpa"):
        for _ in range(2):
            assert len(train(config).history) == 2
    assert [record.message for record in caplog.records] == (
        ["there is one core here, so training takes longer than on two"] if cores == 1 else []
    )
    engines.log_once.cache_clear()
    assert engines.choose("eager", Network(5, 4, 3)) is engines.eager


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="engine must be one of 'auto', 'eager', 'numba'"):
        Network(5, 4, 3).unroll(torch.zeros(2, 1, 5), engine="fast")


class OtherMaze(GridMaze):
    """Another environment."""


def test_another_environment_takes_its_own_steps():
    net, noise = lively_network(7), draw_noise(5, 2, torch.Generator())
    other, plain = OtherMaze(5, 2, 5), GridMaze(5, 2, 5)
    assert "its loops know bpa.GridMaze alone, not OtherMaze" in engines.reason_outside(numba_engine, other)
    assert torch.equal(rollout(net, other, noise).actions, rollout(net, plain, noise).actions)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("goal", torch.zeros(3), r"noise\.goal must have shape \[2\], got \[3\]"),
        ("action", torch.zeros(4, 2), r"noise\.action must have shape \[5, 2\], got \[4, 2\]"),
        ("teleport", torch.zeros(5, 2).double(), r"noise\.teleport must be torch\.float32"),
    ],
)
def test_noise_that_does_not_fit_is_refused(name, value, message):
    noise = draw_noise(5, 2, torch.Generator())._replace(**{name: value})
    for engine in ("eager", "numba"):
        with pytest.raises(ValueError, match=message):
            rollout(lively_network(8), GridMaze(5, 2, 5), noise, engine)


def test_a_machine_on_which_numba_is_broken_still_trains(monkeypatch, caplog):
    for cached in (engines.numba_engine, engines.log_once):
        cached.cache_clear()
    monkeypatch.setitem(sys.modules, "bpa.engines.numba", None)
    monkeypatch.delattr(engines, "numba")
    try:
        with caplog.at_level(logging.WARNING, logger="bpa"):
            result = train(
                TrainConfig(iterations=2, quiet=True, size=5, episode_length=4, batch_size=2, hidden_size=3)
            )
        assert len(result.history) == 2
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "Numba does not work here" in record.message
        with pytest.raises(ValueError, match="Numba does not work here"):
            engines.choose("numba", Network(5, 4, 3))
    finally:
        engines.numba_engine.cache_clear()


def test_a_machine_without_a_cache_folder_compiles_and_says_so(monkeypatch, caplog):
    def no_folder(function):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(compiling, "Cache", no_folder)
    monkeypatch.setattr(compiling, "SAID", [])
    for _ in range(2):
        assert compiling.compiled(lambda x: x + 1)(2) == 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "NUMBA_CACHE_DIR" in record.message


def doubled(x):
    return 2 * x


def test_a_change_in_any_file_of_the_loops_compiles_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))  # or another test's file may take its place
    names = {Path(name).name for name, _, _ in compiling.stamp()}
    assert {"vectors.py", "traces.py", "environments.py", "backward.py", "cell.py", "view.py"} <= names
    hits = []
    for stamp in ("one", "one", "another", "another"):
        monkeypatch.setattr(compiling, "stamp", lambda stamp=stamp: (stamp, os.getpid()))
        loop = compiling.compiled(doubled)
        assert loop(2) == 4
        hits.append(sum(loop.stats.cache_hits.values()))
    assert hits == [0, 1, 0, 1]


@pytest.mark.parametrize("terminal", [True, False])
def test_compiling_is_said_once_on_a_terminal_and_else_to_the_log(monkeypatch, caplog, tmp_path, terminal):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(compiling, "stamp", lambda: (str(terminal), os.getpid()))
    said = []
    with caplog.at_level(logging.INFO, logger="bpa"):
        # The first is compiled, the second too but not the first of its process, the third is read.
        for argument, first in ((2, True), (2.0, False), (2, True)):
            if first:
                compiling.say_compiling.cache_clear()
            assert compiling.compiled(doubled)(argument) == 4
            said.append((stderr.getvalue() + caplog.text).count("Numba compiles the loops"))
    assert said == [1, 1, 1]
    assert ("Numba compiles" in stderr.getvalue()) == terminal


def test_training_learns_the_same_with_either_engine():
    config = TrainConfig(iterations=3, quiet=True, size=5, episode_length=30, batch_size=4, hidden_size=9)
    eager, fast = [train(config.replace(engine=engine)) for engine in ("eager", "numba")]
    for one, other in itertools.zip_longest(eager.history, fast.history):
        assert one.reward == other.reward
        assert math.isclose(one.loss, other.loss, rel_tol=1e-4, abs_tol=1e-4)
        assert math.isclose(one.gradient_norm, other.gradient_norm, rel_tol=1e-3)
    for (name, mine), right in zip(fast.network.named_parameters(), eager.network.parameters(), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-3, atol=1e-5, msg=name)


def test_tanh_is_accurate_everywhere():
    x = torch.cat(
        [torch.linspace(-12, 12, 40_001), torch.logspace(-38, 2, 40_001), torch.tensor([0.0, math.inf])]
    )
    x = torch.cat([x, -x])
    mine = torch.tensor([vectors.tanh(number) for number in x.numpy()])
    right = x.double().tanh()
    assert mine.dtype == torch.float32
    assert ((mine.double() - right).abs() <= 2.5e-7 * right.abs()).all()
    assert mine.abs().max() <= 1
    assert math.isnan(vectors.tanh(vectors.float32(math.nan)))
