"""The way back through the traces, by hand; each line is derived on the book's page on the backward pass.

Hebb is not kept from the way forward. It is stored every so many steps and rebuilt in between, which needs no
sums: an element depends on nothing but its own past and two numbers a step. What is rebuilt is what the clip
is given, since Hebb follows from it, and where the clip cuts. Writing into the cache costs more than
computing: so only every second one is written, and the next is computed from it when it is needed.

Pass t ends step t and begins step t - 1, again with one sweep: what the sweep of step t leaves in the
gradient of Hebb(t) is at once what step t - 1's update hands on.
"""

# Compiled functions are typed by Numba at their first call; mypy cannot follow.
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated"

from __future__ import annotations

from typing import Generic, NamedTuple

import numpy as np

from bpa.engines.cell import FIXED, HEBBIAN, RETROACTIVE, SIGMOID, TANH
from bpa.engines.numba.compiling import compiled
from bpa.engines.numba.traces import group_of, set_changes
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
    plus,
    spread,
    store,
    times,
    total,
    unfilled,
    where_equal,
)


class Outside(NamedTuple, Generic[Array]):
    """Gradients that come from outside; one that nobody gave is empty, of length 0 in its last dimension."""

    heads: Array  # [T, B, N]
    h: Array  # [T, B, H], of x(t)
    modulation: Array  # [T, B, 1], of M(t)
    hebb: Array  # [B, H, H], of the final traces
    eligibility: Array  # [B, H, H]


class Gradients(NamedTuple, Generic[Array]):
    """Gradients that the way back finds; what nobody wants is empty, as above.

    A group has sums of its own, and begins each at 0: threads change no result.
    """

    drives: Array  # [T, B, H]: filled, as those that follow
    mod: Array  # [T, B], of what the modulator is given
    h0: Array  # [B, H]
    hebb0: Array  # [B, H, H]
    eligibility0: Array  # [B, H, H]
    eta: Array  # [B]
    w: Array  # [groups, H, P]
    alpha: Array  # [groups, H, P]
    mod_weight: Array  # [groups, P]
    rate_weight: Array  # [groups, P]
    rate_bias: Array  # [groups, P]
    input_weight: Array  # [groups, I, P]
    input_bias: Array  # [groups, P]
    head_weight: Array  # [groups, N, P]


class Flow(NamedTuple):
    """Gradients of a group on their way from step to step, [G, P] each, but for `kept` [G]."""

    sums: np.ndarray  # of what tanh is given
    pre: np.ndarray  # of x(t-1), as far as the step reads it
    change: np.ndarray  # of the column factors of the step before
    imprint: np.ndarray
    kept: np.ndarray


@compiled
def squash_slope(modulator, m):
    """dM / dz, from M itself"""
    if modulator == TANH:
        return float32(1) - m * m
    if modulator == SIGMOID:
        return m * (float32(1) - m)
    return float32(1)


@compiled
def rebuild_hebbian(kept, pre, changes, clip, count, given):
    """given[m] [G, H, P], 2 m < count: what the clip of the 2 m-th of `count` steps after `kept` is given."""
    low, high = spread(-clip), spread(clip)
    for e in range(kept.shape[0]):
        for i in range(kept.shape[1]):
            q = spread(pre[0, e, i])
            for j in range(0, kept.shape[2], LANES):
                store(given, (0, e, i, j), fma(q, load(changes, (0, e, j)), load(kept, (e, i, j))))
            for k in range(2, count, 2):
                m, p, q = k // 2, spread(pre[k - 1, e, i]), spread(pre[k, e, i])
                for j in range(0, kept.shape[2], LANES):
                    trace = clamp(load(given, (m - 1, e, i, j)), low, high)
                    trace = clamp(fma(p, load(changes, (k - 1, e, j)), trace), low, high)
                    store(given, (m, e, i, j), fma(q, load(changes, (k, e, j)), trace))


@compiled
def rebuild_retroactive(
    kept, eligibility_kept, pre, changes, imprints, eta, clip, count, given, eligibilities
):  # fmt: skip
    """given[k] for k < count, what the clip of step k is given, and eligibilities[k], those before step k."""
    low, high, keep = spread(-clip), spread(clip), spread(float32(1) - eta)
    copy_matrices(eligibility_kept, eligibilities, 0)
    for e in range(kept.shape[0]):
        for i in range(kept.shape[1]):
            for j in range(0, kept.shape[2], LANES):
                gathered = load(eligibility_kept, (e, i, j))
                store(given, (0, e, i, j), fma(load(changes, (0, e, j)), gathered, load(kept, (e, i, j))))
            for k in range(1, count):
                q = spread(pre[k - 1, e, i])
                for j in range(0, kept.shape[2], LANES):
                    gathered = load(eligibilities, (k - 1, e, i, j))
                    gathered = fma(keep, gathered, times(q, load(imprints, (k - 1, e, j))))
                    store(eligibilities, (k, e, i, j), gathered)
                    trace = clamp(load(given, (k - 1, e, i, j)), low, high)
                    store(given, (k, e, i, j), fma(load(changes, (k, e, j)), gathered, trace))


@compiled
def backward_fixed(w, dsums, dpre):
    """dpre_i = sum_j w_ij dsums_j"""
    for i in range(len(w)):
        for e in range(len(dpre)):
            dpre[e, i] = dot(w, (i,), dsums, (e,))


@compiled
def backward_hebbian_row(given, e, i, j, q, p, later, d, low, high, weights, dhebb, dalpha, dpre, dchange):
    """Row i of what follows, at columns j on: returns the grown dpre and dchange."""
    trace = clamp(given, low, high)
    a, g, pd = load(weights.alpha, (i, j)), load(dhebb, (e, i, j)), times(p, d)
    dpre = fma(g, later, fma(fma(a, trace, load(weights.w, (i, j))), d, dpre))
    store(dalpha, (i, j), fma(trace, pd, load(dalpha, (i, j))))
    g = where_equal(given, trace, fma(a, pd, g))  # the clip hands on what it left as it was
    store(dhebb, (e, i, j), g)
    return dpre, fma(g, q, dchange)


@compiled
def backward_hebbian(weights, clip, given, change, bound, before, pre, later, flow, dhebb, dalpha):
    """The sweep of pass t; dhebb is the gradient of what the clip of step t was given.

    Step t:     dpre_i = sum_j ( dhebb_ij later_j + (w_ij + alpha_ij Hebb_ij(t)) dsums_j )
                dalpha_ij += Hebb_ij(t) pre_i dsums_j
                dhebb_ij += alpha_ij pre_i dsums_j, now the gradient of Hebb(t)
    Step t - 1: dhebb_ij = 0 where the clip cut, now the gradient of what the clip was given
                dchange_j = sum_i dhebb_ij before_i
    Here later_j is the column factor of step t. `given` is what the clip of step t - 1 was given, if `change`
    is None; else it is that of step t - 2, and change_j the column factor of step t - 1. `bound` is the clip
    of step t - 1.
    """
    dsums, dpre, dchange = flow.sums, flow.pre, flow.change
    low, high, under, over = spread(-bound), spread(bound), spread(-clip), spread(clip)
    dchange[:] = 0
    for i in range(0, len(weights.w), 2):
        for e in range(len(dpre)):
            q0, q1 = spread(before[e, i]), spread(before[e, i + 1])
            p0, p1 = spread(pre[e, i]), spread(pre[e, i + 1])
            dpre0, dpre1 = spread(float32(0)), spread(float32(0))
            for j in range(0, weights.w.shape[1], LANES):
                n, d, dc = load(later, (e, j)), load(dsums, (e, j)), load(dchange, (e, j))
                given0, given1 = load(given, (e, i, j)), load(given, (e, i + 1, j))
                if change is not None:
                    c = load(change, (e, j))
                    given0 = fma(q0, c, clamp(given0, under, over))
                    given1 = fma(q1, c, clamp(given1, under, over))
                dpre0, dc = backward_hebbian_row(
                    given0, e, i, j, q0, p0, n, d, low, high, weights, dhebb, dalpha, dpre0, dc
                )
                dpre1, dc = backward_hebbian_row(
                    given1, e, i + 1, j, q1, p1, n, d, low, high, weights, dhebb, dalpha, dpre1, dc
                )
                store(dchange, (e, j), dc)
            dpre[e, i], dpre[e, i + 1] = total(dpre0), total(dpre1)


@compiled
def backward_retroactive(
    weights, bound, given, eligibility, before, pre, later, later_imprint, later_kept, flow, dhebb,
    deligibility, dalpha,
):  # fmt: skip
    """The sweep of pass t with eligibilities; `eligibility` is E before step t - 1.

    `bound` is the clip of step t - 1, and `given` what it was given.

    Step t:     dpre_i = sum_j ( dE_ij later_imprint_j + (w_ij + alpha_ij Hebb_ij(t)) dsums_j )
                dE_ij = later_kept dE_ij + dhebb_ij later_j, now the gradient of E(t)
                dalpha_ij, dhebb_ij as in backward_hebbian
    Step t - 1: dhebb_ij = 0 where the clip cut
                dchange_j = sum_i dhebb_ij E_ij(t - 1), dimprint_j = sum_i dE_ij before_i
                dkept = sum_ij dE_ij E_ij(t - 1), for the part of E that the step keeps
    """
    w, alpha, dsums, dpre = weights.w, weights.alpha, flow.sums, flow.pre
    dchange, dimprint, dkept = flow.change, flow.imprint, flow.kept
    low, high, later_keep = spread(-bound), spread(bound), spread(later_kept)
    dchange[:] = 0
    dimprint[:] = 0
    dkept[:] = 0
    for i in range(len(w)):
        for e in range(len(dpre)):
            q, p = spread(before[e, i]), spread(pre[e, i])
            dpre_i, dkept_i = spread(float32(0)), spread(float32(0))
            for j in range(0, w.shape[1], LANES):
                gathered, limited = load(eligibility, (e, i, j)), load(given, (e, i, j))
                trace = clamp(limited, low, high)
                a, d = load(alpha, (i, j)), load(dsums, (e, j))
                g, de = load(dhebb, (e, i, j)), load(deligibility, (e, i, j))
                dpre_i = fma(fma(a, trace, load(w, (i, j))), d, dpre_i)
                dpre_i = fma(de, load(later_imprint, (e, j)), dpre_i)
                de = fma(later_keep, de, times(g, load(later, (e, j))))
                store(deligibility, (e, i, j), de)
                pd = times(p, d)
                store(dalpha, (i, j), fma(trace, pd, load(dalpha, (i, j))))
                g = where_equal(limited, trace, fma(a, pd, g))
                store(dhebb, (e, i, j), g)
                store(dchange, (e, j), fma(g, gathered, load(dchange, (e, j))))
                store(dimprint, (e, j), fma(de, q, load(dimprint, (e, j))))
                dkept_i = fma(de, gathered, dkept_i)
            dpre[e, i] = total(dpre_i)
            dkept[e] += total(dkept_i)


@compiled
def backward_gains(weights, m, dm, h, at, flow, e, drate_weight, drate_bias):
    """From the column factors of a step back to its gains and its activity h[at].

    drate_weight_j, drate_bias_j [P] and flow.sums[e] grow by their part; returns dm + the gains' part.
    """
    rate_weight, rate_bias = weights.rate_weight, weights.rate_bias
    m, eta, partial = spread(m), spread(weights.eta), spread(float32(0))
    for j in range(0, len(rate_bias), LANES):
        rate, dpost = load(flow.change, (e, j)), load(flow.sums, (e, j))
        if weights.kind == HEBBIAN:
            gain = fma(load(rate_weight, j), m, load(rate_bias, j))
            store(flow.sums, (e, j), fma(rate, gain, dpost))
            rate = times(rate, load(h, (*at, j)))
        else:
            store(flow.sums, (e, j), fma(eta, load(flow.imprint, (e, j)), dpost))
        store(drate_weight, j, fma(rate, m, load(drate_weight, j)))
        store(drate_bias, j, plus(rate, load(drate_bias, j)))
        partial = fma(rate, load(rate_weight, j), partial)
    return dm + total(partial)


@compiled
def backward_heads(head_weight, dheads, to, h, at, flow, e, dhead_weight):
    """From dheads[to] [N], the gradient of the heads, back to the activity h[at] that they read.

    flow.sums[e] grows by sum_n dheads_n head_weight_n, and dhead_weight_n [N, P] by dheads_n h[at].
    """
    for n in range(dheads.shape[2]):
        d = spread(dheads[(*to, n)])
        for j in range(0, dhead_weight.shape[1], LANES):
            store(flow.sums, (e, j), fma(d, load(head_weight, (n, j)), load(flow.sums, (e, j))))
            store(dhead_weight, (n, j), fma(d, load(h, (*at, j)), load(dhead_weight, (n, j))))


@compiled
def backward_activity(dmod, mod_weight, h, at, flow, e, dmod_weight, dsums, to):
    """From x(t) = h[at] back to what tanh was given: dsums_j = (dx_j + dmod mod_weight_j) (1 - x_j^2)

    flow.sums[e] is dx and becomes dsums, which is stored in dsums[to] too; dmod_weight_j [P] grows by
    dmod x_j.
    """
    dm, one, minus = spread(dmod), spread(float32(1)), spread(float32(-1))
    for j in range(0, len(mod_weight), LANES):
        x = load(h, (*at, j))
        slope = fma(times(minus, x), x, one)
        value = times(fma(dm, load(mod_weight, j), load(flow.sums, (e, j))), slope)
        store(flow.sums, (e, j), value)
        store(dsums, (*to, j), value)
        store(dmod_weight, j, fma(dm, x, load(dmod_weight, j)))


@compiled
def backward_input(seen, to, sums, e, dinput_weight, dinput_bias):
    """From sums[e], the gradient of the drives, to the layer that made them of x = seen[to] [I].

    dinput_weight_k [I, P] grows by x_k sums[e], and dinput_bias [P] by sums[e]. What is 0 costs nothing.
    """
    for j in range(0, len(dinput_bias), LANES):
        store(dinput_bias, j, plus(load(sums, (e, j)), load(dinput_bias, j)))
    for k in range(seen.shape[2]):
        if seen[(*to, k)] != 0:
            x = spread(seen[(*to, k)])
            for j in range(0, len(dinput_bias), LANES):
                store(dinput_weight, (k, j), fma(x, load(sums, (e, j)), load(dinput_weight, (k, j))))


@compiled
def load_rows(a, i, j):
    """The numbers of rows i to i + 3 of `a`, at columns j on."""
    return load(a, (i, j)), load(a, (i + 1, j)), load(a, (i + 2, j)), load(a, (i + 3, j))


@compiled
def store_rows(a, i, j, rows):
    """They become `rows`."""
    store(a, (i, j), rows[0])
    store(a, (i + 1, j), rows[1])
    store(a, (i + 2, j), rows[2])
    store(a, (i + 3, j), rows[3])


@compiled
def grown(rows, x0, x1, x2, x3, y):
    """Each row and x y."""
    return fma(x0, y, rows[0]), fma(x1, y, rows[1]), fma(x2, y, rows[2]), fma(x3, y, rows[3])


@compiled
def backward_weights(pre, dsums, count, dw):
    """dw_ij += sum_n pre_ni dsums_nj over n < count: pre [.., P], dsums [.., P], dw [H, P].

    The sums stay in registers: four rows of two vectors, which grow side by side.
    """
    width = dw.shape[1]
    for i in range(0, len(dw), 4):
        for j in range(0, width, 2 * LANES):
            k = min(j + LANES, width - LANES)  # the last vector alone, if it is alone, is taken twice
            left, right = load_rows(dw, i, j), load_rows(dw, i, k)
            for n in range(count):
                x0, x1 = spread(pre[n, i]), spread(pre[n, i + 1])
                x2, x3 = spread(pre[n, i + 2]), spread(pre[n, i + 3])
                left = grown(left, x0, x1, x2, x3, load(dsums, (n, j)))
                right = grown(right, x0, x1, x2, x3, load(dsums, (n, k)))
            store_rows(dw, i, j, left)
            store_rows(dw, i, k, right)


@compiled
def rebuild(weights, run, begin, count, changes, imprints, given, eligibilities):
    """What the clips of `count` steps from `begin` on are given, as the two functions above, in a group.

    Also the column factors of each step: changes and imprints [count, G, P]. `begin` is a multiple of
    run.every.
    """
    for n in range(count):
        for e in range(changes.shape[1]):
            m = run.modulation[begin + n, e]
            set_changes(weights, m, run.h, (begin + n + 1, e), changes, imprints, (n, e))
    kept, past = begin // run.every, run.h[begin : begin + count]
    if weights.kind == HEBBIAN:
        rebuild_hebbian(run.hebb_kept[kept], past, changes, weights.clip, count, given)
    else:
        rebuild_retroactive(
            run.hebb_kept[kept], run.eligibility_kept[kept], past, changes, imprints,
            weights.eta, weights.clip, count, given, eligibilities,
        )  # fmt: skip


@compiled
def backward_group(group, first, last, weights, head_weight, run, seen, outside, gradients):
    """Gradients of episodes first to last - 1, by hand; see the module's notes and the sweeps above.

    head_weight: [N, P]. seen: [T, B, I], what the drives were made of in the loops; I is 0 if they were not.
    """
    kind, clip, eta, endless = weights.kind, weights.clip, weights.eta, float32(np.inf)
    steps = len(run.modulation)
    own = group_of(run, first, last)
    episodes, width = own.h.shape[1:]
    dhebb = filled_up(outside.hebb[first:last], weights.w, kind != FIXED)
    deligibility = filled_up(outside.eligibility[first:last], weights.w, kind == RETROACTIVE)
    dalpha, dmod_weight = gradients.alpha[group], gradients.mod_weight[group]
    drate_weight, drate_bias = gradients.rate_weight[group], gradients.rate_bias[group]
    dinput_weight, dinput_bias = gradients.input_weight[group], gradients.input_bias[group]
    dhead_weight, dw = gradients.head_weight[group], gradients.w[group]
    gradients.eta[first:last] = 0
    for sums in (dw, dalpha, dinput_weight, dhead_weight):
        sums[:] = 0
    for sums in (dmod_weight, drate_weight, drate_bias, dinput_bias):
        sums[:] = 0
    count = min(own.every, steps)
    stored = (count + 1) // 2 if kind == HEBBIAN else count
    given = unfilled((stored, episodes, dhebb.shape[1], dhebb.shape[2]))
    eligibilities = unfilled((count, episodes, deligibility.shape[1], deligibility.shape[2]))
    changes, imprints = aligned((count, episodes, width)), aligned((count, episodes, width))
    later, later_imprint = aligned((episodes, width)), aligned((episodes, width))
    past, dsums = aligned((count * episodes, width)), aligned((count * episodes, width))
    flow = Flow(
        aligned((episodes, width)), aligned((episodes, width)), aligned((episodes, width)),
        aligned((episodes, width)), np.zeros(episodes, float32),
    )  # fmt: skip
    held = 0  # steps of what was rebuilt, and of past and dsums
    for t in range(steps, -1, -1):
        k = max(t - 1, 0) % count  # where step t - 1 is in what was rebuilt
        if t > 0 and (k == count - 1 or t == steps):
            held = k + 1
            if kind != FIXED:
                rebuild(weights, own, t - 1 - k, held, changes, imprints, given, eligibilities)
        pre, before = own.h[t], own.h[max(t - 1, 0)]
        if kind == FIXED:
            backward_fixed(weights.w, flow.sums, flow.pre)
        elif kind == HEBBIAN:
            if t == 0:  # no update is to be undone: the initial traces, and a clip that cuts nothing
                backward_hebbian(
                    weights, clip, own.hebb_kept[0], None, endless, before, pre, later, flow, dhebb, dalpha
                )
            elif k % 2 == 0:
                backward_hebbian(
                    weights, clip, given[k // 2], None, clip, before, pre, later, flow, dhebb, dalpha
                )
            else:
                backward_hebbian(
                    weights, clip, given[k // 2], changes[k], clip, before, pre, later, flow, dhebb, dalpha
                )
        else:
            later_kept = float32(1) - eta if t < steps else float32(1)
            limited, bound = (given[k], clip) if t > 0 else (own.hebb_kept[0], endless)
            backward_retroactive(
                weights, bound, limited, eligibilities[k], before, pre, later, later_imprint, later_kept,
                flow, dhebb, deligibility, dalpha,
            )  # fmt: skip
        if t == 0:
            break
        for e in range(episodes):
            b, at, m, dm = first + e, k * episodes + e, own.modulation[t - 1, e], float32(0)
            if outside.modulation.shape[2] > 0:
                dm = outside.modulation[t - 1, b, 0]
            for j in range(0, width, LANES):
                store(flow.sums, (e, j), load(flow.pre, (e, j)))
            for j in range(outside.h.shape[2]):
                flow.sums[e, j] += outside.h[t - 1, b, j]
            backward_heads(head_weight, outside.heads, (t - 1, b), own.h, (t, e), flow, e, dhead_weight)
            if kind != FIXED:
                dm = backward_gains(weights, m, dm, own.h, (t, e), flow, e, drate_weight, drate_bias)
            if kind == RETROACTIVE:
                gradients.eta[b] += dot(flow.imprint, (e,), own.h, (t, e)) - flow.kept[e]
            dmod = dm * squash_slope(weights.modulator, m)
            gradients.mod[t - 1, b] = dmod
            backward_activity(dmod, weights.mod_weight, own.h, (t, e), flow, e, dmod_weight, dsums, (at,))
            for j in range(gradients.drives.shape[2]):
                gradients.drives[t - 1, b, j] = flow.sums[e, j]
            if seen.shape[2] > 0:
                backward_input(seen, (t - 1, b), flow.sums, e, dinput_weight, dinput_bias)
            for j in range(0, width, LANES):
                store(later, (e, j), load(changes, (k, e, j)))
                store(later_imprint, (e, j), load(imprints, (k, e, j)))
                store(past, (at, j), load(own.h, (t - 1, e, j)))
        if k == 0:
            backward_weights(past, dsums, held * episodes, dw)
    for e in range(episodes):
        for j in range(gradients.h0.shape[1]):
            gradients.h0[first + e, j] = flow.pre[e, j]
    cut_down(dhebb, gradients.hebb0[first:last])
    cut_down(deligibility, gradients.eligibility0[first:last])
