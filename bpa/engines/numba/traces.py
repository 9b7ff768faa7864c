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
    aligned,
    clamp,
    copy_matrices,
    cut_down,
    dot,
    filled_up,
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
    hebb: Array  # [B, H, H], not filled up: the initial traces become the final ones; empty without
    eligibility: Array  # [B, H, H], as well; empty without eligibility
    hebb_kept: Array  # [ceil(T / every), B, H, P], the traces before steps 0, every, 2 every, ...
    eligibility_kept: Array
    every: int  # 0: nothing is kept, there is no way back


class Room(NamedTuple, Generic[Array]):
    """Room for the work of a group."""

    sums: Array  # [G, P], the drives, and then what tanh is given
    change: Array  # [G, P], the column factors of the last step's update of Hebb,
    imprint: Array  # [G, P], and of eligibility
    hebb: Array  # [G, H, P], the traces as they are; empty without
    eligibility: Array  # [G, H, P]


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
        for e in range(len(sums)):
            p = spread(pre[e, i])
            for j in range(0, w.shape[1], LANES):
                store(sums, (e, j), fma(p, load(w, (i, j)), load(sums, (e, j))))


@compiled
def hebbian_row(hebb, e, i, j, q, p, change, low, high, w, alpha, sums):
    """Row i of what follows, at columns j on: stores the trace and returns the grown sums."""
    trace = clamp(fma(q, change, load(hebb, (e, i, j))), low, high)
    store(hebb, (e, i, j), trace)
    return fma(p, fma(load(alpha, (i, j)), trace, load(w, (i, j))), sums)


@compiled
def sweep_hebbian(hebb, before, change, clip, w, alpha, pre, sums, up):
    """Hebb_ij = Clip( Hebb_ij + before_i change_j ), then sums_j += sum_i (w_ij + alpha_ij Hebb_ij) pre_i

    From the last row to the first if not `up`: the rows where a sweep ends are in the nearest cache still.
    """
    low, high, last = spread(-clip), spread(clip), len(w) - ROWS
    for n in range(0, len(w), ROWS):
        i = n if up else last - n
        for e in range(len(sums)):
            q0, q1 = spread(before[e, i]), spread(before[e, i + 1])
            q2, q3 = spread(before[e, i + 2]), spread(before[e, i + 3])
            p0, p1 = spread(pre[e, i]), spread(pre[e, i + 1])
            p2, p3 = spread(pre[e, i + 2]), spread(pre[e, i + 3])
            for j in range(0, w.shape[1], LANES):
                c, s = load(change, (e, j)), load(sums, (e, j))
                s = hebbian_row(hebb, e, i, j, q0, p0, c, low, high, w, alpha, s)
                s = hebbian_row(hebb, e, i + 1, j, q1, p1, c, low, high, w, alpha, s)
                s = hebbian_row(hebb, e, i + 2, j, q2, p2, c, low, high, w, alpha, s)
                s = hebbian_row(hebb, e, i + 3, j, q3, p3, c, low, high, w, alpha, s)
                store(sums, (e, j), s)


@compiled
def retroactive_row(hebb, eligibility, e, i, j, q, p, change, imprint, keep, low, high, w, alpha, sums):
    """Row i of what follows, as above."""
    old = load(eligibility, (e, i, j))
    trace = clamp(fma(change, old, load(hebb, (e, i, j))), low, high)
    store(hebb, (e, i, j), trace)
    store(eligibility, (e, i, j), fma(keep, old, times(q, imprint)))
    return fma(p, fma(load(alpha, (i, j)), trace, load(w, (i, j))), sums)


@compiled
def sweep_retroactive(hebb, eligibility, before, change, imprint, kept, clip, w, alpha, pre, sums):
    """Hebb = Clip( Hebb + change_j E ), E = kept E + before_i imprint_j, then the sums as above"""
    low, high, k = spread(-clip), spread(clip), spread(kept)
    for i in range(0, len(w), 2):
        for e in range(len(sums)):
            q0, q1 = spread(before[e, i]), spread(before[e, i + 1])
            p0, p1 = spread(pre[e, i]), spread(pre[e, i + 1])
            for j in range(0, w.shape[1], LANES):
                c, m, s = load(change, (e, j)), load(imprint, (e, j)), load(sums, (e, j))
                s = retroactive_row(hebb, eligibility, e, i, j, q0, p0, c, m, k, low, high, w, alpha, s)
                s = retroactive_row(hebb, eligibility, e, i + 1, j, q1, p1, c, m, k, low, high, w, alpha, s)
                store(sums, (e, j), s)


@compiled
def set_changes(weights, m, h, at, change, imprint, to):
    """What the traces' update of a step needs besides x(t-1): the column factors, from M(t) and x(t) = h[at].

    change[to] and imprint[to] are filled. The gain of column j is rate_weight_j M(t) + rate_bias_j, whatever
    the variant.
    """
    rate_weight, rate_bias = weights.rate_weight, weights.rate_bias
    m, eta = spread(m), spread(weights.eta)
    for j in range(0, len(rate_bias), LANES):
        gain = fma(load(rate_weight, j), m, load(rate_bias, j))
        post = load(h, (*at, j))
        if weights.kind == HEBBIAN:
            store(change, (*to, j), times(gain, post))
        else:
            store(change, (*to, j), gain)
            store(imprint, (*to, j), times(eta, post))


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
        w, alpha = weights.w, weights.alpha
        sweep_hebbian(room.hebb, before, room.change, bound, w, alpha, pre, room.sums, t % 2 == 0)
    else:
        kept = float32(1) if first else float32(1) - weights.eta
        sweep_retroactive(
            room.hebb, room.eligibility, before, room.change, room.imprint, kept, bound,
            weights.w, weights.alpha, pre, room.sums,
        )  # fmt: skip
    for e in range(len(room.sums)):
        tanh_all(room.sums[e])
        for j in range(0, room.sums.shape[1], LANES):
            store(run.h, (t + 1, e, j), load(room.sums, (e, j)))
        z = dot(run.h, (t + 1, e), weights.mod_weight, ()) + weights.mod_bias
        m = squash(weights.modulator, z)
        run.modulation[t, e] = m
        if weights.kind != FIXED:
            set_changes(weights, m, run.h, (t + 1, e), room.change, room.imprint, (e,))


@compiled
def finish(weights, run, room):
    """Bring the traces up to date with the last step, and hand them out; what is read is of no use."""
    pre = run.h[len(run.h) - 2]
    if weights.kind == HEBBIAN:
        w, alpha = weights.w, weights.alpha
        sweep_hebbian(room.hebb, pre, room.change, weights.clip, w, alpha, pre, room.sums, True)
    elif weights.kind == RETROACTIVE:
        kept = float32(1) - weights.eta
        sweep_retroactive(
            room.hebb, room.eligibility, pre, room.change, room.imprint, kept, weights.clip,
            weights.w, weights.alpha, pre, room.sums,
        )  # fmt: skip
    cut_down(room.hebb, run.hebb)
    cut_down(room.eligibility, run.eligibility)


@compiled
def keep_traces(run, room, t):
    """Store the traces as they are before step t, if it is a multiple of run.every; 0 keeps none."""
    if run.every > 0 and t % run.every == 0:
        copy_matrices(room.hebb, run.hebb_kept, t // run.every)
        copy_matrices(room.eligibility, run.eligibility_kept, t // run.every)


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
def room_of(run, weights):
    """Fresh room for the work of a group, which begins with the traces of its run."""
    shape = run.h.shape[1:]
    return Room(
        aligned(shape),
        aligned(shape),
        aligned(shape),
        filled_up(run.hebb, weights.w, weights.kind != FIXED),
        filled_up(run.eligibility, weights.w, weights.kind == RETROACTIVE),
    )


@compiled
def driven_step(weights, own, drives, first, t, room):
    """Step t of a group whose first episode is `first`, from drives [B, H]."""
    for e in range(len(room.sums)):
        for j in range(drives.shape[1]):
            room.sums[e, j] = drives[first + e, j]
    step(weights, own, t, room)
    keep_traces(own, room, t)


@compiled
def unroll_group(group, first, last, weights, drives, run):
    """Episodes first to last - 1 from their drives [T, B, H] on: fills their part of `run`."""
    own = group_of(run, first, last)
    room = room_of(own, weights)
    for t in range(len(drives)):
        driven_step(weights, own, drives[t], first, t, room)
    finish(weights, own, room)


# The same for episodes that take one step at a time, because what they sense comes from elsewhere. Their room
# is kept from step to step, for all of them.


@compiled
def part_of(room, first, last):
    """The part of a room that belongs to episodes first to last - 1."""
    return Room(
        room.sums[first:last],
        room.change[first:last],
        room.imprint[first:last],
        room.hebb[first:last],
        room.eligibility[first:last],
    )


@compiled
def step_group(group, first, last, weights, drives, t, run, room):
    """Step t of episodes first to last - 1 from their drives [B, H]: fills their part of `run`."""
    driven_step(weights, group_of(run, first, last), drives, first, t, part_of(room, first, last))


@compiled
def finish_group(group, first, last, weights, run, room):
    """After the last step of episodes first to last - 1: hands out their traces."""
    finish(weights, group_of(run, first, last), part_of(room, first, last))
