"""The way forward of networks with traces, a group of episodes in step.

One sweep over Hebb a step brings the traces up to date with the step before, and reads them for this one.
"""

# Compiled functions are typed by Numba at their first call; mypy cannot follow.
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated"

from __future__ import annotations

import math
from typing import Generic, NamedTuple

import numpy as np

from bpa.engines.cell import FIXED, HEBBIAN, RETROACTIVE, SIGMOID, TANH
from bpa.engines.numba.compiling import compiled
from bpa.engines.numba.vectors import (
    LANES,
    Array,
    clamp,
    copy_rows,
    dot,
    float32,
    fma,
    load,
    spread,
    store,
    tanh,
    tanh_all,
    times,
)

ROWS = 4  # rows of Hebb swept at once; H is filled up to a multiple of it


class Weights(NamedTuple):
    """The `bpa.engines.cell.Cell` of a network as its loops read it, and what it is."""

    kind: int
    clip: np.float32
    eta: np.float32
    w: np.ndarray  # [H, P]
    alpha: np.ndarray  # [H, P]; empty without traces
    mod_weight: np.ndarray  # [P]
    mod_bias: np.float32
    modulator: int
    rate_weight: np.ndarray  # [P]
    rate_bias: np.ndarray  # [P]


class Run(NamedTuple, Generic[Array]):
    """What the way forward fills, from h[0] and the initial traces on, and leaves to the way back."""

    h: Array  # [T + 1, B, P], h[t] is the activity before step t
    modulation: Array  # [T, B]
    hebb: Array  # [B, H, P], the traces; empty without
    eligibility: Array  # [B, H, P]; empty without eligibility
    hebb_kept: Array  # [ceil(T / every), B, H, P], the traces before steps 0, every, 2 every, ...
    eligibility_kept: Array
    every: int  # 0: nothing is kept, there is no way back


class Room(NamedTuple):
    """Room for the work of a group on one step, [G, P] each."""

    sums: np.ndarray  # the drives, and then what tanh is given
    change: np.ndarray  # the column factors of the last step's update of Hebb,
    imprint: np.ndarray  # and of eligibility


@compiled
def squash(modulator, z):
    """M = modulator(z)"""
    if modulator == TANH:
        return tanh(z)
    if modulator == SIGMOID:
        return float32(1) / (float32(1) + float32(math.exp(-z)))
    return z


@compiled
def read_fixed(w, pre, sums):
    """sums_j += sum_i w_ij pre_i"""
    for i in range(len(w)):
        w_i = w[i]
        for e in range(len(sums)):
            p, sums_e = spread(pre[e, i]), sums[e]
            for j in range(0, len(w_i), LANES):
                store(sums_e, j, fma(p, load(w_i, j), load(sums_e, j)))


@compiled
def hebbian_row(hebb_i, q, p, change, low, high, w_i, alpha_i, j, sums):
    """Row i of what follows, at columns j on: stores the trace and returns the grown sums."""
    trace = clamp(fma(q, change, load(hebb_i, j)), low, high)
    store(hebb_i, j, trace)
    return fma(p, fma(load(alpha_i, j), trace, load(w_i, j)), sums)


@compiled
def sweep_hebbian(hebb, before, change, clip, w, alpha, pre, sums):
    """Hebb_ij = Clip( Hebb_ij + before_i change_j ), then sums_j += sum_i (w_ij + alpha_ij Hebb_ij) pre_i"""
    low, high = spread(-clip), spread(clip)
    for i in range(0, len(w), ROWS):
        w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
        a0, a1, a2, a3 = alpha[i], alpha[i + 1], alpha[i + 2], alpha[i + 3]
        for e in range(len(sums)):
            x, y, hebb_e, change_e, sums_e = before[e], pre[e], hebb[e], change[e], sums[e]
            h0, h1, h2, h3 = hebb_e[i], hebb_e[i + 1], hebb_e[i + 2], hebb_e[i + 3]
            q0, q1, q2, q3 = spread(x[i]), spread(x[i + 1]), spread(x[i + 2]), spread(x[i + 3])
            p0, p1, p2, p3 = spread(y[i]), spread(y[i + 1]), spread(y[i + 2]), spread(y[i + 3])
            for j in range(0, len(w0), LANES):
                c, s = load(change_e, j), load(sums_e, j)
                s = hebbian_row(h0, q0, p0, c, low, high, w0, a0, j, s)
                s = hebbian_row(h1, q1, p1, c, low, high, w1, a1, j, s)
                s = hebbian_row(h2, q2, p2, c, low, high, w2, a2, j, s)
                s = hebbian_row(h3, q3, p3, c, low, high, w3, a3, j, s)
                store(sums_e, j, s)


@compiled
def retroactive_row(hebb_i, eligibility_i, q, p, change, imprint, keep, low, high, w_i, alpha_i, j, sums):
    """Row i of what follows, as above."""
    old = load(eligibility_i, j)
    trace = clamp(fma(change, old, load(hebb_i, j)), low, high)
    store(hebb_i, j, trace)
    store(eligibility_i, j, fma(keep, old, times(q, imprint)))
    return fma(p, fma(load(alpha_i, j), trace, load(w_i, j)), sums)


@compiled
def sweep_retroactive(hebb, eligibility, before, change, imprint, kept, clip, w, alpha, pre, sums):
    """Hebb = Clip( Hebb + change_j E ), E = kept E + before_i imprint_j, then the sums as above"""
    low, high, k = spread(-clip), spread(clip), spread(kept)
    for i in range(0, len(w), 2):
        w0, w1, a0, a1 = w[i], w[i + 1], alpha[i], alpha[i + 1]
        for e in range(len(sums)):
            h0, h1, e0, e1 = hebb[e, i], hebb[e, i + 1], eligibility[e, i], eligibility[e, i + 1]
            q0, q1, p0, p1 = (
                spread(before[e, i]),
                spread(before[e, i + 1]),
                spread(pre[e, i]),
                spread(pre[e, i + 1]),
            )
            change_e, imprint_e, sums_e = change[e], imprint[e], sums[e]
            for j in range(0, len(w0), LANES):
                c, m, s = load(change_e, j), load(imprint_e, j), load(sums_e, j)
                s = retroactive_row(h0, e0, q0, p0, c, m, k, low, high, w0, a0, j, s)
                s = retroactive_row(h1, e1, q1, p1, c, m, k, low, high, w1, a1, j, s)
                store(sums_e, j, s)


@compiled
def set_changes(weights, m, post, change, imprint):
    """What the traces' update of a step needs besides x(t-1): the column factors, from M(t) and x(t).

    The gain of column j is rate_weight_j M(t) + rate_bias_j, whatever the variant.
    """
    rate_weight, rate_bias = weights.rate_weight, weights.rate_bias
    m, eta = spread(m), spread(weights.eta)
    for j in range(0, len(post), LANES):
        gain = fma(load(rate_weight, j), m, load(rate_bias, j))
        if weights.kind == HEBBIAN:
            store(change, j, times(gain, load(post, j)))
        else:
            store(change, j, gain)
            store(imprint, j, times(eta, load(post, j)))


@compiled
def step(weights, run, t, room):
    """Step t of a group: from the drives in room.sums to x(t), run.h[t + 1], and M(t), run.modulation[t].

    The column factors in `room` are those of the last step and become those of this one.
    """
    first = t == 0
    pre, before = run.h[t], run.h[max(t - 1, 0)]
    # Nothing is due before the first step: leave the initial traces as they are.
    bound = float32(np.inf) if first else weights.clip
    if weights.kind == FIXED:
        read_fixed(weights.w, pre, room.sums)
    elif weights.kind == HEBBIAN:
        sweep_hebbian(run.hebb, before, room.change, bound, weights.w, weights.alpha, pre, room.sums)
    else:
        kept = float32(1) if first else float32(1) - weights.eta
        sweep_retroactive(
            run.hebb, run.eligibility, before, room.change, room.imprint, kept, bound,
            weights.w, weights.alpha, pre, room.sums,
        )  # fmt: skip
    for e in range(len(room.sums)):
        post, sums = run.h[t + 1, e], room.sums[e]
        tanh_all(sums)
        for j in range(0, len(sums), LANES):
            store(post, j, load(sums, j))
        m = squash(weights.modulator, dot(post, weights.mod_weight) + weights.mod_bias)
        run.modulation[t, e] = m
        if weights.kind != FIXED:
            set_changes(weights, m, post, room.change[e], room.imprint[e])


@compiled
def finish(weights, run, room):
    """Bring the traces up to date with the last step; what is read is of no use."""
    pre = run.h[len(run.h) - 2]
    if weights.kind == HEBBIAN:
        sweep_hebbian(run.hebb, pre, room.change, weights.clip, weights.w, weights.alpha, pre, room.sums)
    elif weights.kind == RETROACTIVE:
        kept = float32(1) - weights.eta
        sweep_retroactive(
            run.hebb, run.eligibility, pre, room.change, room.imprint, kept, weights.clip,
            weights.w, weights.alpha, pre, room.sums,
        )  # fmt: skip


@compiled
def keep_traces(run, t):
    """Store the traces as they are before step t, if it is a multiple of run.every; 0 keeps none."""
    if run.every > 0 and t % run.every == 0:
        copy_rows(run.hebb, run.hebb_kept[t // run.every])
        copy_rows(run.eligibility, run.eligibility_kept[t // run.every])


@compiled
def group_of(run, first, last):
    """The part of a run that belongs to episodes first to last - 1."""
    return Run(
        run.h[:, first:last],
        run.modulation[:, first:last],
        run.hebb[first:last],
        run.eligibility[first:last],
        run.hebb_kept[:, first:last],
        run.eligibility_kept[:, first:last],
        run.every,
    )


@compiled
def room_of(run):
    """Fresh room for the work of a group."""
    shape = run.h.shape[1:]
    return Room(np.zeros(shape, float32), np.zeros(shape, float32), np.zeros(shape, float32))


@compiled
def unroll_group(group, first, last, weights, drives, run):
    """Episodes first to last - 1 from their drives [T, B, H] on: fills their part of `run`."""
    own = group_of(run, first, last)
    room = room_of(own)
    steps, _, size = drives.shape
    for t in range(steps):
        for e in range(last - first):
            for j in range(size):
                room.sums[e, j] = drives[t, first + e, j]
        step(weights, own, t, room)
        keep_traces(own, t)
    finish(weights, own, room)
