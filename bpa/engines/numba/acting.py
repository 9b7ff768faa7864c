"""Whole episodes: a group of networks and their environments in one loop."""

# Compiled functions are typed by Numba at their first call; mypy cannot follow.
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated"

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bpa.engines.numba.compiling import compiled
from bpa.engines.numba.environments import act, sense
from bpa.engines.numba.traces import finish, group_of, keep_traces, read_fixed, room_of, step
from bpa.engines.numba.vectors import LANES, float32, fma, load, spread, store, tanh_all


class Nonzero(NamedTuple):
    """Room for what of an observation is not 0, and three places more."""

    places: np.ndarray  # [I + 3]
    numbers: np.ndarray  # [I + 3]


@compiled
def nonzero(count):
    """This room, for observations of `count` numbers."""
    return Nonzero(np.zeros(count + 3, np.int64), np.zeros(count + 3, float32))


@compiled
def add_input(weight, bias, observations, at, some, sums, e):
    """sums[e] = bias + sum_k x_k weight_k for x = observations[at]; weight [I, C]. What is 0 costs nothing.

    Much is 0; `some` is room for the rest, which is taken by fours.
    """
    places, numbers, count = some.places, some.numbers, 0
    for k in range(observations.shape[2]):
        x = observations[(*at, k)]
        places[count], numbers[count] = k, x
        count += x != 0
    for n in range(count, count + 3):
        places[n], numbers[n] = 0, 0
    for j in range(0, len(bias), LANES):
        store(sums, (e, j), load(bias, j))
    for n in range(0, count, 4):
        k0, k1, k2, k3 = places[n], places[n + 1], places[n + 2], places[n + 3]
        x0, x1 = spread(numbers[n]), spread(numbers[n + 1])
        x2, x3 = spread(numbers[n + 2]), spread(numbers[n + 3])
        for j in range(0, len(bias), LANES):
            total = fma(x0, load(weight, (k0, j)), load(sums, (e, j)))
            total = fma(x1, load(weight, (k1, j)), total)
            total = fma(x2, load(weight, (k2, j)), total)
            store(sums, (e, j), fma(x3, load(weight, (k3, j)), total))


@compiled
def act_group(group, first, last, weights, layers, choice, env, episodes, run):
    """Episodes first to last - 1 in an `Environment`: as unroll_group, with the environment in the same loop.

    Their part of `episodes` is filled, and
    env.agent moves from where it is to where it ends.
    """
    own = group_of(run, first, last)
    room = room_of(own, weights)
    probabilities, some = np.zeros(choice.actions, float32), nonzero(len(layers.input_weight))
    for t in range(len(episodes.actions)):
        sense(env, first, last, t, episodes)
        for e in range(last - first):
            at = (t, first + e)
            add_input(layers.input_weight, layers.input_bias, episodes.observations, at, some, room.sums, e)
        step(weights, own, t, room)
        keep_traces(own, room, t)
        act(env, first, last, t, own.h[t + 1], layers, choice, probabilities, episodes)
    finish(weights, own, room)


# The plain LSTM acts here too. How it learns is no matter of these loops.


@compiled
def lstm_step(w, pre, cell, sums):
    """h(t - 1) -> h(t) in `pre`, c(t - 1) -> c(t) in `cell`, both [G, P].

    w [H, 4 P] and the drives `sums` [G, 4 P] hold the columns of i, f, o, g one after another.
    """
    read_fixed(w, pre, sums)
    width, half = cell.shape[1], float32(0.5)
    for e in range(len(cell)):
        gates = sums[e]
        for j in range(3 * width):
            gates[j] *= half
        tanh_all(gates)  # and the logistic function of z is (1 + tanh(z / 2)) / 2
        for j in range(3 * width):
            gates[j] = half + half * gates[j]
        cell_e, h_e = cell[e], pre[e]
        for j in range(width):
            cell_e[j] = gates[width + j] * cell_e[j] + gates[j] * gates[3 * width + j]
            h_e[j] = cell_e[j]
        tanh_all(h_e)
        for j in range(width):
            h_e[j] *= gates[2 * width + j]


@compiled
def act_lstm_group(group, first, last, w, layers, choice, env, episodes):
    """Episodes first to last - 1 of a plain LSTM in an `Environment`, from its initial state; as act_group.

    w [H, 4 P] and the input layer are in the order of lstm_step.
    """
    shape = last - first, layers.head_weight.shape[1]
    h, cell = np.zeros(shape, float32), np.zeros(shape, float32)
    sums = np.zeros((shape[0], w.shape[1]), float32)
    probabilities, some = np.zeros(choice.actions, float32), nonzero(len(layers.input_weight))
    for t in range(len(episodes.actions)):
        sense(env, first, last, t, episodes)
        for e in range(last - first):
            at = (t, first + e)
            add_input(layers.input_weight, layers.input_bias, episodes.observations, at, some, sums, e)
        lstm_step(w, h, cell, sums)
        act(env, first, last, t, h, layers, choice, probabilities, episodes)
