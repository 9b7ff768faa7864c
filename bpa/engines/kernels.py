"""The Numba engine's loops: Hebb-shaped work, one episode at a time, compiled for this machine.

Nothing here knows PyTorch. Arrays are float32 and C-contiguous. Shapes: T time, B batch, H hidden,
P = H rounded up to a multiple of LANES; columns from H on hold zeros and stay zero, so that every inner loop
runs over whole vectors. Row i is the pre-synaptic neuron, column j the post-synaptic one. Activities carry
the initial state in front: h [T + 1, B, P], h[t] = x(t-1) in the notation of the papers.

Two things make these loops fast. Hebb is swept once a step: an element that step t changes is read by step
t + 1 at once. And Hebb is not kept for the backward pass: it is stored every so many steps and rebuilt in
between, row by row in registers, since an element needs nothing but its own past.
"""

# Compiled functions are typed by Numba at their first call; mypy cannot follow.
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated"

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 8  # numbers in a vector: one AVX register, two of SSE or NEON
FIXED, HEBBIAN, RETROACTIVE = 0, 1, 2  # kinds of traces: none, Hebb, Hebb and eligibility
TANH, SIGMOID, LINEAR = 0, 1, 2  # modulators

float32 = np.float32


def compiled(function: Callable[..., Any]) -> Any:
    """Compile `function` at its first call, without the interpreter's lock, and keep the result on disk.

    "contract" lets a product and a sum become one instruction, "reassoc" lets a sum be taken in lanes; the
    flags that would let the compiler forget NaN and infinity are left off.
    """
    options: dict[str, Any] = {
        "nogil": True,
        "fastmath": {"contract", "reassoc", "nsz"},
        "error_model": "numpy",
    }
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # no folder that Numba may write to
        warn_uncached()
        return numba.njit(function, **options)


def warn_uncached(said: list[bool] = []) -> None:  # noqa: B006, remembers that it has spoken
    """Say once that every process will compile anew."""
    if not said:
        logging.getLogger("bpa").warning(
            "Numba has no folder for its cache, so every process compiles anew; NUMBA_CACHE_DIR can name one"
        )
        said.append(True)


class Lanes(types.Type):
    """LANES numbers of float32 in one register, as a Numba type."""

    def __init__(self) -> None:
        super().__init__(f"Lanes({LANES})")


lanes = Lanes()
VECTOR = ir.VectorType(ir.FloatType(), LANES)
ORDER = ir.VectorType(ir.IntType(32), LANES)
ZEROS = ir.Constant(VECTOR, [0.0] * LANES)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """How LLVM sees `Lanes`."""

    def __init__(self, manager: Any, kind: Any):
        super().__init__(manager, kind, VECTOR)


def element_pointer(context: Any, builder: Any, kind: Any, row: Any, j: Any) -> Any:
    """Where row[j] lies, as the address of a vector."""
    array = context.make_array(kind)(context, builder, row)
    pointer = cgutils.get_item_pointer(context, builder, kind, array, [j], wraparound=False)
    return builder.bitcast(pointer, VECTOR.as_pointer())


@intrinsic
def load(typing: Any, row: Any, j: Any) -> Any:
    """row[j : j + LANES]"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(element_pointer(context, builder, signature.args[0], *arguments), align=4)

    return lanes(row, types.intp), generate


@intrinsic
def store(typing: Any, row: Any, j: Any, value: Any) -> Any:
    """row[j : j + LANES] = value"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(
            arguments[2], element_pointer(context, builder, signature.args[0], *arguments[:2]), align=4
        )
        return context.get_dummy_value()

    return types.void(row, types.intp, lanes), generate


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """One number in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        undefined = ir.Constant(VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, arguments[0], ir.IntType(32)(0))
        return builder.shuffle_vector(first, undefined, ir.Constant(ORDER, [0] * LANES))

    return lanes(types.float32), generate


@intrinsic
def total(typing: Any, a: Any) -> Any:
    """The sum over the lanes, by halves."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, half = arguments[0], LANES // 2
        while half:
            order = [k + half if k < half else k for k in range(LANES)]
            moved = builder.shuffle_vector(value, ZEROS, ir.Constant(ORDER, order))
            value, half = builder.fadd(value, moved), half // 2
        return builder.extract_element(value, ir.IntType(32)(0))

    return types.float32(lanes), generate


@intrinsic
def times(typing: Any, a: Any, b: Any) -> Any:
    """a b"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return lanes(lanes, lanes), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, in one instruction where the machine has one"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
        return builder.call(function, arguments)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def clamp(typing: Any, a: Any, low: Any, high: Any) -> Any:
    """`a` cut off at `low` and `high`; NaN stays NaN"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, low, high = arguments
        a = builder.select(builder.fcmp_ordered("<", a, low), low, a)
        return builder.select(builder.fcmp_ordered(">", a, high), high, a)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def where_equal(typing: Any, a: Any, b: Any, value: Any) -> Any:
    """`value` where a = b, 0 elsewhere"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, value = arguments
        return builder.select(builder.fcmp_ordered("==", a, b), value, ZEROS)

    return lanes(lanes, lanes, lanes), generate


@compiled
def dot(a, b):
    """sum_j a_j b_j"""
    partial = spread(float32(0))
    for j in range(0, len(a), LANES):
        partial = fma(load(a, j), load(b, j), partial)
    return total(partial)


@compiled
def squash(modulator, z):
    """M = modulator(z)"""
    if modulator == TANH:
        return float32(math.tanh(z))
    if modulator == SIGMOID:
        return float32(1) / (float32(1) + float32(math.exp(-z)))
    return z


@compiled
def squash_slope(modulator, m):
    """dM / dz, from M itself"""
    if modulator == TANH:
        return float32(1) - m * m
    if modulator == SIGMOID:
        return m * (float32(1) - m)
    return float32(1)


# Forward: one sweep brings the traces up to date with the step before, and reads them for this one.


@compiled
def read_fixed(w, pre, sums):
    """sums_j += sum_i w_ij pre_i"""
    for i in range(len(pre)):
        p, w_i = spread(pre[i]), w[i]
        for j in range(0, len(sums), LANES):
            store(sums, j, fma(p, load(w_i, j), load(sums, j)))


@compiled
def sweep_hebbian(hebb, before, change, clip, w, alpha, pre, sums):
    """Hebb_ij = Clip( Hebb_ij + before_i change_j ), then sums_j += sum_i (w_ij + alpha_ij Hebb_ij) pre_i"""
    low, high = spread(-clip), spread(clip)
    for i in range(len(hebb)):
        q, p = spread(before[i]), spread(pre[i])
        hebb_i, w_i, alpha_i = hebb[i], w[i], alpha[i]
        for j in range(0, len(sums), LANES):
            trace = clamp(fma(q, load(change, j), load(hebb_i, j)), low, high)
            store(hebb_i, j, trace)
            store(sums, j, fma(p, fma(load(alpha_i, j), trace, load(w_i, j)), load(sums, j)))


@compiled
def sweep_retroactive(hebb, eligibility, before, change, imprint, kept, clip, w, alpha, pre, sums):
    """Hebb = Clip( Hebb + change_j E ), E = kept E + before_i imprint_j, then the sums as above"""
    low, high, keep = spread(-clip), spread(clip), spread(kept)
    for i in range(len(hebb)):
        q, p = spread(before[i]), spread(pre[i])
        hebb_i, eligibility_i, w_i, alpha_i = hebb[i], eligibility[i], w[i], alpha[i]
        for j in range(0, len(sums), LANES):
            e = load(eligibility_i, j)
            trace = clamp(fma(load(change, j), e, load(hebb_i, j)), low, high)
            store(hebb_i, j, trace)
            store(eligibility_i, j, fma(keep, e, times(q, load(imprint, j))))
            store(sums, j, fma(p, fma(load(alpha_i, j), trace, load(w_i, j)), load(sums, j)))


@compiled
def set_changes(kind, rate_weight, rate_bias, eta, m, post, change, imprint):
    """What the traces' update of a step needs besides x(t-1): the column factors, from M(t) and x(t).

    The gain of column j is rate_weight_j M(t) + rate_bias_j, whatever the variant.
    """
    for j in range(len(post)):
        rate = rate_weight[j] * m + rate_bias[j]
        if kind == HEBBIAN:
            change[j] = rate * post[j]
        else:
            change[j] = rate
            imprint[j] = eta * post[j]


@compiled
def step(
    kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
    h, t, b, hebb, eligibility, change, imprint, sums,
):  # fmt: skip
    """Step t of episode b: `sums` holds the drive and becomes x(t), h[t + 1, b]; returns M(t).

    `change` and `imprint` hold the last step's column factors and become this step's.
    """
    pre = h[t, b, : len(w)]
    first = t == 0
    before = pre if first else h[t - 1, b, : len(w)]
    bound = float32(np.inf) if first else clip  # nothing is due yet: leave the initial traces as they are
    if kind == FIXED:
        read_fixed(w, pre, sums)
    elif kind == HEBBIAN:
        sweep_hebbian(hebb[b], before, change, bound, w, alpha, pre, sums)
    else:
        kept = float32(1) if first else float32(1) - eta
        sweep_retroactive(hebb[b], eligibility[b], before, change, imprint, kept, bound, w, alpha, pre, sums)
    post = h[t + 1, b]
    for j in range(len(post)):
        post[j] = math.tanh(sums[j])
    m = squash(modulator, dot(post, mod_weight) + mod_bias)
    set_changes(kind, rate_weight, rate_bias, eta, m, post, change, imprint)
    return m


@compiled
def finish(kind, clip, eta, w, alpha, h, b, hebb, eligibility, change, imprint, sums):
    """Bring the traces up to date with the last step; what is read is of no use."""
    steps = len(h) - 1
    pre = h[steps - 1, b, : len(w)]
    if kind == HEBBIAN:
        sweep_hebbian(hebb[b], pre, change, clip, w, alpha, pre, sums)
    elif kind == RETROACTIVE:
        kept = float32(1) - eta
        sweep_retroactive(hebb[b], eligibility[b], pre, change, imprint, kept, clip, w, alpha, pre, sums)


@compiled
def unroll_episodes(
    first, last, kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
    drives, h, modulation, hebb, eligibility, every, hebb_kept, eligibility_kept,
):  # fmt: skip
    """Episodes first to last - 1 from their drives [T, B, H] on.

    h [T + 1, B, P] holds the initial activity in h[0] and gets the rest; modulation [T, B] is filled; hebb
    and eligibility [B, H, P] become the final ones. With `every` > 0 the traces before each step that is a
    multiple of it go to hebb_kept and eligibility_kept [ceil(T / every), B, H, P].
    """
    steps, _, size = drives.shape
    width = h.shape[2]
    for b in range(first, last):
        sums, change, imprint = np.zeros(width, float32), np.zeros(width, float32), np.zeros(width, float32)
        for t in range(steps):
            sums[:size] = drives[t, b]
            sums[size:] = 0
            modulation[t, b] = step(
                kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
                h, t, b, hebb, eligibility, change, imprint, sums,
            )  # fmt: skip
            if every > 0 and t % every == 0:
                keep(kind, hebb[b], eligibility[b], hebb_kept[t // every, b], eligibility_kept[t // every, b])
        finish(kind, clip, eta, w, alpha, h, b, hebb, eligibility, change, imprint, sums)


@compiled
def keep(kind, hebb, eligibility, hebb_kept, eligibility_kept):
    """Store the traces of one episode as they are before this step."""
    if kind != FIXED:
        hebb_kept[:] = hebb
    if kind == RETROACTIVE:
        eligibility_kept[:] = eligibility


# The maze: the rules of bpa.maze and the sampling of bpa.rollout, with the same arithmetic in float32.


@compiled
def pick_except(uniform, count, taken):
    """As in bpa.maze: an index below `count` other than `taken`."""
    index = min(int(uniform * float32(count - 1)), count - 2)
    return index + 1 if index >= taken else index


@compiled
def observe(walls, row, column, t, steps, reward, action, observation):
    """As in bpa.maze: what an agent senses at time t, [17]."""
    observation[:] = 0
    for k in range(9):
        observation[k] = walls[row + k // 3 - 1, column + k % 3 - 1]
    observation[10] = 1
    observation[11] = t / steps
    observation[12] = reward
    observation[13 + action] = 1


@compiled
def add_input(weight, bias, x, sums):
    """sums = bias + sum_k x_k weight_k; weight [I, P]. What is 0, and much is, costs nothing."""
    sums[:] = bias
    for k in range(len(x)):
        if x[k] != 0:
            value, weight_k = spread(x[k]), weight[k]
            for j in range(0, len(sums), LANES):
                store(sums, j, fma(value, load(weight_k, j), load(sums, j)))


@compiled
def sample(logits, uniform):
    """As in bpa.rollout: the first action at which the summed probabilities exceed the number."""
    highest = logits.max()
    everything = float32(0)
    for a in range(len(logits)):
        logits[a] = math.exp(logits[a] - highest)
        everything += logits[a]
    reached, action = float32(0), 0
    for a in range(len(logits) - 1):
        reached += logits[a] / everything
        action += uniform >= reached
    return action


@compiled
def act_episodes(
    first, last, kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
    input_weight, input_bias, policy_weight, policy_bias,
    walls, moves, free_cells, goal_index, reward_size, wall_penalty, action_chance, teleport_chance, agent,
    observations, actions, rewards, h, modulation, hebb, eligibility, every, hebb_kept, eligibility_kept,
):  # fmt: skip
    """Episodes first to last - 1 in the maze: as unroll_episodes, with the world in the same loop.

    input_weight [I, P], policy_weight [A, P]; action_chance, teleport_chance [T, B]; agent [B, 2] moves from
    where it is to where it ends; observations [T, B, I], actions [T, B] and rewards [T, B] are filled.
    """
    steps = len(actions)
    width, num_actions = h.shape[2], len(policy_bias)
    for b in range(first, last):
        sums, change, imprint = np.zeros(width, float32), np.zeros(width, float32), np.zeros(width, float32)
        logits = np.zeros(num_actions, float32)
        goal_row, goal_column = free_cells[goal_index[b], 0], free_cells[goal_index[b], 1]
        row, column, reward, action = agent[b, 0], agent[b, 1], float32(0), 0
        for t in range(steps):
            observe(walls, row, column, t, steps, reward, action, observations[t, b])
            add_input(input_weight, input_bias, observations[t, b], sums)
            modulation[t, b] = step(
                kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
                h, t, b, hebb, eligibility, change, imprint, sums,
            )  # fmt: skip
            if every > 0 and t % every == 0:
                keep(kind, hebb[b], eligibility[b], hebb_kept[t // every, b], eligibility_kept[t // every, b])
            for a in range(num_actions):
                logits[a] = dot(h[t + 1, b], policy_weight[a]) + policy_bias[a]
            action = sample(logits, action_chance[t, b])

            reward = float32(0)
            if walls[row + moves[action, 0], column + moves[action, 1]]:
                reward -= wall_penalty
            else:
                row, column = row + moves[action, 0], column + moves[action, 1]
            if row == goal_row and column == goal_column:
                reward += reward_size
                cell = pick_except(teleport_chance[t, b], len(free_cells), goal_index[b])
                row, column = free_cells[cell, 0], free_cells[cell, 1]
            actions[t, b], rewards[t, b] = action, reward
        agent[b, 0], agent[b, 1] = row, column
        finish(kind, clip, eta, w, alpha, h, b, hebb, eligibility, change, imprint, sums)


# Backward. Pass t ends step t and begins step t - 1, again with one sweep: what the sweep of step t leaves
# in the gradient of Hebb(t) is at once what step t - 1's update hands on.


@compiled
def rebuild_hebbian(traces, pre, changes, clip, count):
    """traces[k + 1] from traces[k] for k < count - 1: an element needs nothing but its own past."""
    low, high = spread(-clip), spread(clip)
    for i in range(traces.shape[1]):
        for j in range(0, traces.shape[2], LANES):
            trace = load(traces[0, i], j)
            for k in range(count - 1):
                trace = clamp(fma(spread(pre[k, i]), load(changes[k], j), trace), low, high)
                store(traces[k + 1, i], j, trace)


@compiled
def rebuild_retroactive(traces, eligibilities, pre, changes, imprints, eta, clip, count):
    """traces[k + 1] and eligibilities[k + 1] from those of k, for k < count - 1"""
    low, high, keep = spread(-clip), spread(clip), spread(float32(1) - eta)
    for i in range(traces.shape[1]):
        for j in range(0, traces.shape[2], LANES):
            trace, e = load(traces[0, i], j), load(eligibilities[0, i], j)
            for k in range(count - 1):
                trace = clamp(fma(load(changes[k], j), e, trace), low, high)
                e = fma(keep, e, times(spread(pre[k, i]), load(imprints[k], j)))
                store(traces[k + 1, i], j, trace)
                store(eligibilities[k + 1, i], j, e)


@compiled
def backward_fixed(w, dsums, dpre):
    """dpre_i = sum_j w_ij dsums_j"""
    for i in range(len(w)):
        dpre[i] = dot(w[i], dsums)


@compiled
def backward_hebbian(hebb, before, change, clip, w, alpha, pre, later, dsums, dhebb, dalpha, dpre, dchange):
    """The sweep of pass t; hebb is Hebb(t - 1), dhebb the gradient of what the clip of step t was given.

    Step t:     dpre_i = sum_j ( dhebb_ij later_j + (w_ij + alpha_ij Hebb_ij(t)) dsums_j )
                dalpha_ij += Hebb_ij(t) pre_i dsums_j
                dhebb_ij += alpha_ij pre_i dsums_j, now the gradient of Hebb(t)
    Step t - 1: dhebb_ij = 0 where the clip cut, now the gradient of what the clip was given
                dchange_j = sum_i dhebb_ij before_i
    Here change_j and later_j are the column factors of step t - 1 and of step t.
    """
    low, high = spread(-clip), spread(clip)
    dchange[:] = 0
    for i in range(len(hebb)):
        q, p = spread(before[i]), spread(pre[i])
        hebb_i, w_i, alpha_i, dhebb_i, dalpha_i = hebb[i], w[i], alpha[i], dhebb[i], dalpha[i]
        dpre_i = spread(float32(0))
        for j in range(0, len(dsums), LANES):
            given = fma(q, load(change, j), load(hebb_i, j))
            trace = clamp(given, low, high)
            a, d, g = load(alpha_i, j), load(dsums, j), load(dhebb_i, j)
            dpre_i = fma(g, load(later, j), fma(fma(a, trace, load(w_i, j)), d, dpre_i))
            pd = times(p, d)
            store(dalpha_i, j, fma(trace, pd, load(dalpha_i, j)))
            g = where_equal(given, trace, fma(a, pd, g))  # the clip hands on what it left as it was
            store(dhebb_i, j, g)
            store(dchange, j, fma(g, q, load(dchange, j)))
        dpre[i] = total(dpre_i)


@compiled
def backward_retroactive(
    hebb, eligibility, before, change, clip, w, alpha, pre, later, later_imprint, later_kept,
    dsums, dhebb, deligibility, dalpha, dpre, dchange, dimprint,
):  # fmt: skip
    """The sweep of pass t with eligibilities; hebb and eligibility are those before step t - 1.

    Step t:     dpre_i = sum_j ( dE_ij later_imprint_j + (w_ij + alpha_ij Hebb_ij(t)) dsums_j )
                dE_ij = later_kept dE_ij + dhebb_ij later_j, now the gradient of E(t)
                dalpha_ij, dhebb_ij as in backward_hebbian
    Step t - 1: dhebb_ij = 0 where the clip cut
                dchange_j = sum_i dhebb_ij E_ij(t - 1), dimprint_j = sum_i dE_ij before_i
    Returns sum_ij dE_ij E_ij(t - 1): what step t - 1 gets for the part of E that it keeps.
    """
    low, high, later_keep = spread(-clip), spread(clip), spread(later_kept)
    dkept = spread(float32(0))
    dchange[:] = 0
    dimprint[:] = 0
    for i in range(len(hebb)):
        q, p = spread(before[i]), spread(pre[i])
        hebb_i, e_i, w_i, alpha_i = hebb[i], eligibility[i], w[i], alpha[i]
        dhebb_i, de_i, dalpha_i = dhebb[i], deligibility[i], dalpha[i]
        dpre_i = spread(float32(0))
        for j in range(0, len(dsums), LANES):
            e = load(e_i, j)
            given = fma(load(change, j), e, load(hebb_i, j))
            trace = clamp(given, low, high)
            a, d, g, de = load(alpha_i, j), load(dsums, j), load(dhebb_i, j), load(de_i, j)
            dpre_i = fma(de, load(later_imprint, j), fma(fma(a, trace, load(w_i, j)), d, dpre_i))
            de = fma(later_keep, de, times(g, load(later, j)))
            store(de_i, j, de)
            pd = times(p, d)
            store(dalpha_i, j, fma(trace, pd, load(dalpha_i, j)))
            g = where_equal(given, trace, fma(a, pd, g))
            store(dhebb_i, j, g)
            store(dchange, j, fma(g, e, load(dchange, j)))
            store(dimprint, j, fma(de, q, load(dimprint, j)))
            dkept = fma(de, e, dkept)
        dpre[i] = total(dpre_i)
    return total(dkept)


@compiled
def backward_episodes(
    first, last, kind, clip, eta, w, alpha, mod_weight, modulator, rate_weight, rate_bias,
    h, modulation, every, hebb_kept, eligibility_kept,
    dh, dmodulation, dhebb, deligibility, dsums, dmod, drate, dalpha, deta, dh0,
):  # fmt: skip
    """Gradients of episodes first to last - 1, by hand; see the module's notes and the sweeps above.

    Args:
        h, modulation, every, hebb_kept, eligibility_kept: what the forward pass left.
        dh [T, B, H], dmodulation [T, B]: gradients from outside of x(t) and M(t).
        dhebb, deligibility [B, H, P]: gradients of the final traces; they become those of the initial ones.
        dsums [T, B, P], dmod [T, B], drate [T, B, P]: filled with the gradients of what tanh is given, of
            what the modulator is given, and of the gains.
        dalpha [B, H, P], deta [B], dh0 [B, P]: filled. An episode's sums are its own, so that the number of
            threads changes no result.
    """
    steps, _, size = dh.shape
    width = h.shape[2]
    for b in range(first, last):
        count = every if kind != FIXED else 1
        traces = np.empty((count, *dhebb[b].shape), float32)
        eligibilities = np.empty((count, *deligibility[b].shape), float32)
        changes, imprints = np.zeros((count, width), float32), np.zeros((count, width), float32)
        change, imprint = np.zeros(width, float32), np.zeros(width, float32)
        later, later_imprint = np.zeros(width, float32), np.zeros(width, float32)
        dchange, dimprint = np.zeros(width, float32), np.zeros(width, float32)
        dtotal, dpre = np.zeros(width, float32), np.zeros(width, float32)
        for t in range(steps, -1, -1):
            pre = h[t, b, :size]
            first_step = t == 0
            before = h[max(t - 1, 0), b, :size]
            bound = float32(np.inf) if first_step else clip
            k = (t - 1) % count if t > 0 else 0
            if kind != FIXED and t > 0 and (k == count - 1 or t == steps):
                begin = t - 1 - k
                traces[0] = hebb_kept[begin // every, b]
                for n in range(k + 1):
                    set_changes(
                        kind, rate_weight, rate_bias, eta, modulation[begin + n, b], h[begin + n + 1, b],
                        changes[n], imprints[n],
                    )  # fmt: skip
                past = h[begin : begin + k + 1, b]
                if kind == HEBBIAN:
                    rebuild_hebbian(traces, past, changes, clip, k + 1)
                else:
                    eligibilities[0] = eligibility_kept[begin // every, b]
                    rebuild_retroactive(traces, eligibilities, past, changes, imprints, eta, clip, k + 1)
            if first_step:
                change[:] = 0
                imprint[:] = 0
            else:
                change[:] = changes[k]
                imprint[:] = imprints[k]
            if kind == FIXED:
                backward_fixed(w, dtotal, dpre)
            elif kind == HEBBIAN:
                backward_hebbian(
                    traces[k], before, change, bound, w, alpha, pre, later,
                    dtotal, dhebb[b], dalpha[b], dpre, dchange,
                )  # fmt: skip
            else:
                later_kept = float32(1) if t == steps else float32(1) - eta
                dkept = backward_retroactive(
                    traces[k], eligibilities[k], before, change, bound, w, alpha, pre,
                    later, later_imprint, later_kept,
                    dtotal, dhebb[b], deligibility[b], dalpha[b], dpre, dchange, dimprint,
                )  # fmt: skip
                if not first_step:
                    deta[b] -= dkept
            if first_step:
                dh0[b] = dpre
                continue
            post, m = h[t, b], modulation[t - 1, b]
            dm = dmodulation[t - 1, b]
            for j in range(size):
                gain = rate_weight[j] * m + rate_bias[j]
                dpost = dh[t - 1, b, j] + dpre[j]
                if kind == HEBBIAN:
                    drate[t - 1, b, j] = dchange[j] * post[j]
                    dpost += dchange[j] * gain
                elif kind == RETROACTIVE:
                    drate[t - 1, b, j] = dchange[j]
                    dpost += dimprint[j] * eta
                    deta[b] += dimprint[j] * post[j]
                dm += drate[t - 1, b, j] * rate_weight[j]
                dtotal[j] = dpost
            dmod[t - 1, b] = dm * squash_slope(modulator, m)
            for j in range(size):
                dtotal[j] = (dtotal[j] + dmod[t - 1, b] * mod_weight[j]) * (float32(1) - post[j] * post[j])
            dsums[t - 1, b] = dtotal
            later[:] = change
            later_imprint[:] = imprint
