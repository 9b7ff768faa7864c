"""The way back through the traces, by hand; each line is derived on the book's page on the backward pass.

Hebb is not kept from the way forward. It is stored every so many steps and rebuilt in between, which needs no
sums: an element depends on nothing but its own past and two numbers a step. Pass t ends step t and begins
step t - 1, again with one sweep: what the sweep of step t leaves in the gradient of Hebb(t) is at once what
step t - 1's update hands on.
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
    clamp,
    copy_rows,
    dot,
    float32,
    fma,
    load,
    plus,
    spread,
    store,
    times,
    total,
    where_equal,
)


class Outside(NamedTuple, Generic[Array]):
    """Gradients that come from outside."""

    h: Array  # [T, B, H], of x(t)
    modulation: Array  # [T, B], of M(t)
    hebb: Array  # [B, H, P], of the final traces; they become those of the initial ones
    eligibility: Array  # [B, H, P]


class Gradients(NamedTuple, Generic[Array]):
    """Gradients that the way back finds. A group has sums of its own: threads change no result."""

    sums: Array  # [T, B, P], of what tanh is given: filled
    mod: Array  # [T, B], of what the modulator is given: filled
    h0: Array  # [B, P]: filled
    eta: Array  # [B]: grows by its part, as all that follow
    alpha: Array  # [groups, H, P]
    mod_weight: Array  # [groups, P]
    rate_weight: Array  # [groups, P]
    rate_bias: Array  # [groups, P]


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
def rebuild_hebbian(kept, pre, changes, clip, count, traces):
    """traces[k] [G, H, P] for k < count: the first is `kept`, each other the update of the one before it."""
    low, high = spread(-clip), spread(clip)
    copy_rows(kept, traces[0])
    for e in range(traces.shape[1]):
        for i in range(traces.shape[2]):
            for k in range(count - 1):
                q, change, old, new = (
                    spread(pre[k, e, i]),
                    changes[k, e],
                    traces[k, e, i],
                    traces[k + 1, e, i],
                )
                for j in range(0, len(old), LANES):
                    store(new, j, clamp(fma(q, load(change, j), load(old, j)), low, high))


@compiled
def rebuild_retroactive(
    kept, eligibility_kept, pre, changes, imprints, eta, clip, count, traces, eligibilities
):  # fmt: skip
    """traces[k] and eligibilities[k], as above"""
    low, high, keep = spread(-clip), spread(clip), spread(float32(1) - eta)
    copy_rows(kept, traces[0])
    copy_rows(eligibility_kept, eligibilities[0])
    for e in range(traces.shape[1]):
        for i in range(traces.shape[2]):
            for k in range(count - 1):
                q, change, imprint = spread(pre[k, e, i]), changes[k, e], imprints[k, e]
                old, new = traces[k, e, i], traces[k + 1, e, i]
                old_eligibility, new_eligibility = eligibilities[k, e, i], eligibilities[k + 1, e, i]
                for j in range(0, len(old), LANES):
                    gathered = load(old_eligibility, j)
                    store(new, j, clamp(fma(load(change, j), gathered, load(old, j)), low, high))
                    store(new_eligibility, j, fma(keep, gathered, times(q, load(imprint, j))))


@compiled
def backward_fixed(w, dsums, dpre):
    """dpre_i = sum_j w_ij dsums_j"""
    for i in range(len(w)):
        for e in range(len(dpre)):
            dpre[e, i] = dot(w[i], dsums[e])


@compiled
def backward_hebbian_row(
    hebb_i, dhebb_i, q, p, change, later, d, low, high, w_i, alpha_i, dalpha_i, j, dpre, dchange
):  # fmt: skip
    """Row i of what follows, at columns j on: returns the grown dpre and dchange."""
    given = fma(q, change, load(hebb_i, j))
    trace = clamp(given, low, high)
    a, g, pd = load(alpha_i, j), load(dhebb_i, j), times(p, d)
    dpre = fma(g, later, fma(fma(a, trace, load(w_i, j)), d, dpre))
    store(dalpha_i, j, fma(trace, pd, load(dalpha_i, j)))
    g = where_equal(given, trace, fma(a, pd, g))  # the clip hands on what it left as it was
    store(dhebb_i, j, g)
    return dpre, fma(g, q, dchange)


@compiled
def backward_hebbian(weights, clip, hebb, before, pre, change, later, flow, dhebb, dalpha):
    """The sweep of pass t; hebb is Hebb(t - 1), dhebb the gradient of what the clip of step t was given.

    Step t:     dpre_i = sum_j ( dhebb_ij later_j + (w_ij + alpha_ij Hebb_ij(t)) dsums_j )
                dalpha_ij += Hebb_ij(t) pre_i dsums_j
                dhebb_ij += alpha_ij pre_i dsums_j, now the gradient of Hebb(t)
    Step t - 1: dhebb_ij = 0 where the clip cut, now the gradient of what the clip was given
                dchange_j = sum_i dhebb_ij before_i
    Here change_j and later_j are the column factors of step t - 1 and of step t.
    """
    w, alpha, dsums, dpre, dchange = weights.w, weights.alpha, flow.sums, flow.pre, flow.change
    low, high = spread(-clip), spread(clip)
    dchange[:] = 0
    for i in range(0, len(w), 2):
        w0, w1, a0, a1, da0, da1 = w[i], w[i + 1], alpha[i], alpha[i + 1], dalpha[i], dalpha[i + 1]
        for e in range(len(dpre)):
            h0, h1, dh0, dh1 = hebb[e, i], hebb[e, i + 1], dhebb[e, i], dhebb[e, i + 1]
            q0, q1 = spread(before[e, i]), spread(before[e, i + 1])
            p0, p1 = spread(pre[e, i]), spread(pre[e, i + 1])
            change_e, later_e, dsums_e, dchange_e = change[e], later[e], dsums[e], dchange[e]
            dpre0, dpre1 = spread(float32(0)), spread(float32(0))
            for j in range(0, len(w0), LANES):
                c, n, d, dc = load(change_e, j), load(later_e, j), load(dsums_e, j), load(dchange_e, j)
                dpre0, dc = backward_hebbian_row(
                    h0, dh0, q0, p0, c, n, d, low, high, w0, a0, da0, j, dpre0, dc
                )
                dpre1, dc = backward_hebbian_row(
                    h1, dh1, q1, p1, c, n, d, low, high, w1, a1, da1, j, dpre1, dc
                )
                store(dchange_e, j, dc)
            dpre[e, i], dpre[e, i + 1] = total(dpre0), total(dpre1)


@compiled
def backward_retroactive(
    weights, clip, hebb, eligibility, before, pre, change, later, later_imprint, later_kept,
    flow, dhebb, deligibility, dalpha,
):  # fmt: skip
    """The sweep of pass t with eligibilities; hebb and eligibility are those before step t - 1.

    Step t:     dpre_i = sum_j ( dE_ij later_imprint_j + (w_ij + alpha_ij Hebb_ij(t)) dsums_j )
                dE_ij = later_kept dE_ij + dhebb_ij later_j, now the gradient of E(t)
                dalpha_ij, dhebb_ij as in backward_hebbian
    Step t - 1: dhebb_ij = 0 where the clip cut
                dchange_j = sum_i dhebb_ij E_ij(t - 1), dimprint_j = sum_i dE_ij before_i
                dkept = sum_ij dE_ij E_ij(t - 1), for the part of E that the step keeps
    """
    w, alpha, dsums, dpre = weights.w, weights.alpha, flow.sums, flow.pre
    dchange, dimprint, dkept = flow.change, flow.imprint, flow.kept
    low, high, later_keep = spread(-clip), spread(clip), spread(later_kept)
    dchange[:] = 0
    dimprint[:] = 0
    dkept[:] = 0
    for i in range(len(w)):
        w_i, alpha_i, dalpha_i = w[i], alpha[i], dalpha[i]
        for e in range(len(dpre)):
            q, p = spread(before[e, i]), spread(pre[e, i])
            hebb_i, eligibility_i, dhebb_i, de_i = (
                hebb[e, i],
                eligibility[e, i],
                dhebb[e, i],
                deligibility[e, i],
            )
            change_e, later_e, later_imprint_e, dsums_e = change[e], later[e], later_imprint[e], dsums[e]
            dchange_e, dimprint_e = dchange[e], dimprint[e]
            dpre_i, dkept_i = spread(float32(0)), spread(float32(0))
            for j in range(0, len(w_i), LANES):
                gathered = load(eligibility_i, j)
                given = fma(load(change_e, j), gathered, load(hebb_i, j))
                trace = clamp(given, low, high)
                a, d, g, de = load(alpha_i, j), load(dsums_e, j), load(dhebb_i, j), load(de_i, j)
                dpre_i = fma(de, load(later_imprint_e, j), fma(fma(a, trace, load(w_i, j)), d, dpre_i))
                de = fma(later_keep, de, times(g, load(later_e, j)))
                store(de_i, j, de)
                pd = times(p, d)
                store(dalpha_i, j, fma(trace, pd, load(dalpha_i, j)))
                g = where_equal(given, trace, fma(a, pd, g))
                store(dhebb_i, j, g)
                store(dchange_e, j, fma(g, gathered, load(dchange_e, j)))
                store(dimprint_e, j, fma(de, q, load(dimprint_e, j)))
                dkept_i = fma(de, gathered, dkept_i)
            dpre[e, i] = total(dpre_i)
            dkept[e] += total(dkept_i)


@compiled
def backward_gains(weights, m, dm, post, dchange, dimprint, drate_weight, drate_bias, dpost):
    """From the column factors of a step back to its gains and its activity.

    drate_weight_j, drate_bias_j and dpost_j [P] grow by their part; returns dm + the gains' part.
    """
    rate_weight, rate_bias = weights.rate_weight, weights.rate_bias
    m, eta, partial = spread(m), spread(weights.eta), spread(float32(0))
    for j in range(0, len(post), LANES):
        rate = load(dchange, j)
        if weights.kind == HEBBIAN:
            gain = fma(load(rate_weight, j), m, load(rate_bias, j))
            store(dpost, j, fma(rate, gain, load(dpost, j)))
            rate = times(rate, load(post, j))
        else:
            store(dpost, j, fma(eta, load(dimprint, j), load(dpost, j)))
        store(drate_weight, j, fma(rate, m, load(drate_weight, j)))
        store(drate_bias, j, plus(rate, load(drate_bias, j)))
        partial = fma(rate, load(rate_weight, j), partial)
    return dm + total(partial)


@compiled
def backward_activity(dmod, mod_weight, post, dpost, dmod_weight, dsums):
    """From x(t) back to what tanh was given: dsums_j = dpost_j = (dpost_j + dmod mod_weight_j) (1 - x_j^2)

    dmod_weight_j [P] grows by dmod x_j.
    """
    dm, one, minus = spread(dmod), spread(float32(1)), spread(float32(-1))
    for j in range(0, len(post), LANES):
        x = load(post, j)
        slope = fma(times(minus, x), x, one)
        value = times(fma(dm, load(mod_weight, j), load(dpost, j)), slope)
        store(dpost, j, value)
        store(dsums, j, value)
        store(dmod_weight, j, fma(dm, x, load(dmod_weight, j)))


@compiled
def rebuild(weights, run, begin, count, changes, imprints, traces, eligibilities):
    """The traces of a group before each of `count` steps from `begin` on, and the column factors of each.

    `begin` is a multiple of run.every. changes and imprints [count, G, P], traces and eligibilities
    [count, G, H, P] are filled.
    """
    for n in range(count):
        for e in range(changes.shape[1]):
            m, post = run.modulation[begin + n, e], run.h[begin + n + 1, e]
            set_changes(weights, m, post, changes[n, e], imprints[n, e])
    kept, past = begin // run.every, run.h[begin : begin + count]
    if weights.kind == HEBBIAN:
        rebuild_hebbian(run.hebb_kept[kept], past, changes, weights.clip, count, traces)
    else:
        rebuild_retroactive(
            run.hebb_kept[kept],
            run.eligibility_kept[kept],
            past,
            changes,
            imprints,
            weights.eta,
            weights.clip,
            count,
            traces,
            eligibilities,
        )


@compiled
def backward_group(group, first, last, weights, run, outside, gradients):
    """Gradients of episodes first to last - 1, by hand; see the module's notes and the sweeps above."""
    kind, clip, eta = weights.kind, weights.clip, weights.eta
    steps, _, size = outside.h.shape
    own = group_of(run, first, last)
    episodes, width = own.h.shape[1:]
    dhebb, deligibility = outside.hebb[first:last], outside.eligibility[first:last]
    dalpha, dmod_weight = gradients.alpha[group], gradients.mod_weight[group]
    drate_weight, drate_bias = gradients.rate_weight[group], gradients.rate_bias[group]
    count = min(own.every, steps)
    traces = np.empty((count, *dhebb.shape), float32)
    eligibilities = np.empty((count, *deligibility.shape), float32)
    changes = np.zeros((count, episodes, width), float32)
    imprints = np.zeros((count, episodes, width), float32)
    nothing = np.zeros((episodes, width), float32)
    later, later_imprint = nothing.copy(), nothing.copy()
    flow = Flow(nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy(), np.zeros(episodes, float32))
    for t in range(steps, -1, -1):
        k = max(t - 1, 0) % count  # where step t - 1 is in what was rebuilt
        if kind != FIXED and t > 0 and (k == count - 1 or t == steps):
            rebuild(weights, own, t - 1 - k, k + 1, changes, imprints, traces, eligibilities)
        # Before the first step there is no update to undo: no change, and a clip that cuts nothing.
        change = changes[k] if t > 0 else nothing
        bound = clip if t > 0 else float32(np.inf)
        pre, before = own.h[t], own.h[max(t - 1, 0)]
        if kind == FIXED:
            backward_fixed(weights.w, flow.sums, flow.pre)
        elif kind == HEBBIAN:
            backward_hebbian(weights, bound, traces[k], before, pre, change, later, flow, dhebb, dalpha)
        else:
            later_kept = float32(1) - eta if t < steps else float32(1)
            backward_retroactive(
                weights, bound, traces[k], eligibilities[k], before, pre, change, later, later_imprint,
                later_kept, flow, dhebb, deligibility, dalpha,
            )  # fmt: skip
        if t == 0:
            break
        for e in range(episodes):
            b, post, m, dpost = first + e, own.h[t, e], own.modulation[t - 1, e], flow.sums[e]
            for j in range(size):
                dpost[j] = outside.h[t - 1, b, j] + flow.pre[e, j]
            dm = outside.modulation[t - 1, b]
            if kind != FIXED:
                dm = backward_gains(
                    weights, m, dm, post, flow.change[e], flow.imprint[e], drate_weight, drate_bias, dpost
                )
            if kind == RETROACTIVE:
                gradients.eta[b] += dot(flow.imprint[e], post) - flow.kept[e]
            dmod = dm * squash_slope(weights.modulator, m)
            gradients.mod[t - 1, b] = dmod
            backward_activity(dmod, weights.mod_weight, post, dpost, dmod_weight, gradients.sums[t - 1, b])
            later[e] = change[e]
            later_imprint[e] = imprints[k, e]
    for e in range(episodes):
        gradients.h0[first + e] = flow.pre[e]
