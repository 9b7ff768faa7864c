"""The Numba engine's loops: Hebb-shaped work on a few episodes at a time, compiled for this machine.

Nothing here knows PyTorch. Arrays are float32 and C-contiguous. Shapes: T time, B batch, G episodes of one
group, H hidden, P = H rounded up to a multiple of LANES; columns from H on hold zeros and stay zero, so that
every inner loop runs over whole vectors. The rows of matrices are filled up to a multiple of ROWS, and their
number is called H too. Row i is the pre-synaptic neuron, column j the post-synaptic one. Activities carry
the initial state in front: h is [T + 1, B, P] and h[t] is x(t-1) of the papers.

Four things make these loops fast:

- Hebb is swept once a step: an element that one step changes is read by the next at once.
- Several rows of Hebb are swept side by side, so that what belongs to the columns is fetched once for all.
- A group of episodes lives in step, so that a row of w and alpha, once fetched, serves them all.
- Hebb is not kept for the backward pass. It is stored every so many steps and rebuilt in between, which
  needs no sums: an element depends on nothing but its own past and two numbers a step.
"""

# Compiled functions are typed by Numba at their first call; mypy cannot follow.
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated"

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.caching import FunctionCache
from numba.extending import intrinsic, models, register_model

from bpa.engines.cell import FIXED, HEBBIAN, RETROACTIVE, SIGMOID, TANH
from bpa.engines.view import MAZE

LANES = 8  # numbers in a vector: one AVX register, two of SSE or NEON
ROWS = 4  # rows of Hebb swept at once; H is filled up to a multiple of it

float32, int32 = np.float32, np.int32
SMALLEST = float32(2.0**-126)  # as in bpa.training.rollout
LOG2_E, LN_2 = float32(1 / math.log(2)), float32(math.log(2))
TAYLOR = tuple(float32(1 / math.factorial(n)) for n in range(2, 8))  # of exp(r) - 1 - r, by powers of r


class Cache(FunctionCache):
    """Numba's cache of one function, which never ends a run: what cannot be read or kept is compiled anew."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """As Numba's, and None where the files are damaged or cannot be read."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # a damaged pickle raises anything
            warn_uncached(f"{type(error).__name__}: {error}", self.cache_path)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """As Numba's, and nothing where there is no room or no right to write."""
        try:
            super().save_overload(sig, data)
        except Exception as error:  # a full disk, a folder that is a file; a damaged index is read here too
            warn_uncached(f"{type(error).__name__}: {error}", self.cache_path)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile `function` at its first call, without the interpreter's lock, and keep the result on disk.

    "contract" lets a product and a sum become one instruction. The flags that would let the compiler forget
    NaN and infinity, or take a sum in another order, are left off.
    """
    dispatcher: Any = numba.njit(function, nogil=True, fastmath={"contract"}, error_model="numpy")
    try:
        cache = Cache(function)
    except Exception as error:  # no folder that Numba may write to
        warn_uncached(f"{type(error).__name__}: {error}")
    else:
        dispatcher._cache = cache  # as dispatcher.enable_caching does
    return dispatcher


SAID: list[str] = []  # the warnings given


def warn_uncached(reason: str, folder: str | None = None) -> None:
    """Say once that every process will compile anew."""
    if not SAID:
        place = "has no folder for its cache" if folder is None else f"cannot use its cache in {folder}"
        SAID.append(
            f"Numba {place} ({reason}), so every process compiles anew; "
            "NUMBA_CACHE_DIR can name another folder"
        )
        logging.getLogger("bpa").warning(SAID[0])


class Environment(NamedTuple):
    """What the loops read of a `bpa.engines.view.KernelView`; an array of other rules is empty."""

    rules: int
    reward: np.float32
    penalty: np.float32  # for a wall, or a wrong answer
    # MAZE
    walls: np.ndarray  # [n, n]
    moves: np.ndarray  # [A, 2]
    free_cells: np.ndarray  # [F, 2]
    goal_index: np.ndarray  # [B]
    teleport: np.ndarray  # [T, B], uniform numbers
    agent: np.ndarray  # [B, 2]
    # CUES
    shown: np.ndarray  # [T, B, K]
    answers: np.ndarray  # [T, B]


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
def plus(typing: Any, a: Any, b: Any) -> Any:
    """a + b"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return lanes(lanes, lanes), generate


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
def tanh(x):
    """The hyperbolic tangent, to 2e-7 of itself, without a branch or a call: a loop over it takes vectors.

    With y = 2 |x| and t = exp(y) - 1 its size is t / (t + 2). exp(y) = 2^k exp(r), where |r| <= ln 2 / 2.
    """
    y = min(abs(x + x), float32(20))
    k = int32(y * LOG2_E + float32(0.5))
    r = y - float32(k) * LN_2
    c2, c3, c4, c5, c6, c7 = TAYLOR
    exp_r_minus_1 = r + r * r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * c7)))))
    power = int32((k + int32(127)) << int32(23)).view(float32)  # 2^k: k is the exponent in the bits
    t = power * exp_r_minus_1 + (power - float32(1))
    size = t / (t + float32(2))
    value = -size if x < 0 else size
    return value if x == x else x  # NaN has no k


@compiled
def tanh_all(x):
    """x_j = tanh(x_j), for contiguous x: of a row with a stride the compiler makes no vectors."""
    for j in range(len(x)):
        x[j] = tanh(x[j])


@compiled
def squash(modulator, z):
    """M = modulator(z)"""
    if modulator == TANH:
        return tanh(z)
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
def set_changes(kind, rate_weight, rate_bias, eta, m, post, change, imprint):
    """What the traces' update of a step needs besides x(t-1): the column factors, from M(t) and x(t).

    The gain of column j is rate_weight_j M(t) + rate_bias_j, whatever the variant.
    """
    m, eta = spread(m), spread(eta)
    for j in range(0, len(post), LANES):
        gain = fma(load(rate_weight, j), m, load(rate_bias, j))
        if kind == HEBBIAN:
            store(change, j, times(gain, load(post, j)))
        else:
            store(change, j, gain)
            store(imprint, j, times(eta, load(post, j)))


@compiled
def step(
    kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
    t, h, modulation, hebb, eligibility, change, imprint, sums,
):  # fmt: skip
    """Step t of a group: from the drives in `sums` [G, P] to x(t), h[t + 1], and M(t), modulation[t].

    `change` and `imprint` [G, P] hold the last step's column factors and become this step's.
    """
    first = t == 0
    pre, before = h[t], h[max(t - 1, 0)]
    bound = float32(np.inf) if first else clip  # nothing is due yet: leave the initial traces as they are
    if kind == FIXED:
        read_fixed(w, pre, sums)
    elif kind == HEBBIAN:
        sweep_hebbian(hebb, before, change, bound, w, alpha, pre, sums)
    else:
        kept = float32(1) if first else float32(1) - eta
        sweep_retroactive(hebb, eligibility, before, change, imprint, kept, bound, w, alpha, pre, sums)
    for e in range(len(sums)):
        post, sums_e = h[t + 1, e], sums[e]
        tanh_all(sums_e)
        for j in range(0, len(sums_e), LANES):
            store(post, j, load(sums_e, j))
        m = squash(modulator, dot(post, mod_weight) + mod_bias)
        modulation[t, e] = m
        if kind != FIXED:
            set_changes(kind, rate_weight, rate_bias, eta, m, post, change[e], imprint[e])


@compiled
def finish(kind, clip, eta, w, alpha, h, hebb, eligibility, change, imprint, sums):
    """Bring the traces up to date with the last step; what is read is of no use."""
    pre = h[len(h) - 2]
    if kind == HEBBIAN:
        sweep_hebbian(hebb, pre, change, clip, w, alpha, pre, sums)
    elif kind == RETROACTIVE:
        kept = float32(1) - eta
        sweep_retroactive(hebb, eligibility, pre, change, imprint, kept, clip, w, alpha, pre, sums)


@compiled
def copy_rows(source, target):
    """target = source, both [G, H, P]"""
    for e in range(source.shape[0]):
        for i in range(source.shape[1]):
            source_i, target_i = source[e, i], target[e, i]
            for j in range(0, len(source_i), LANES):
                store(target_i, j, load(source_i, j))


@compiled
def keep_traces(t, every, hebb, eligibility, hebb_kept, eligibility_kept):
    """Store the traces as they are before step t, if it is a multiple of `every`; 0 keeps none."""
    if every > 0 and t % every == 0:
        copy_rows(hebb, hebb_kept[t // every])
        copy_rows(eligibility, eligibility_kept[t // every])


@compiled
def unroll_group(
    group, first, last, kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
    drives, h, modulation, hebb, eligibility, every, hebb_kept, eligibility_kept,
):  # fmt: skip
    """Episodes first to last - 1 from their drives [T, B, H] on.

    h [T + 1, B, P] holds the initial activity in h[0] and gets the rest; modulation [T, B] is filled; hebb
    and eligibility [B, H, P] become the final ones. With `every` > 0 the traces before each step that is a
    multiple of it go to hebb_kept and eligibility_kept [ceil(T / every), B, H, P].
    """
    h, modulation = h[:, first:last], modulation[:, first:last]
    hebb, eligibility = hebb[first:last], eligibility[first:last]
    hebb_kept, eligibility_kept = hebb_kept[:, first:last], eligibility_kept[:, first:last]
    steps, _, size = drives.shape
    shape = (last - first, h.shape[2])
    sums, change, imprint = np.zeros(shape, float32), np.zeros(shape, float32), np.zeros(shape, float32)
    for t in range(steps):
        for e in range(last - first):
            for j in range(size):
                sums[e, j] = drives[t, first + e, j]
        step(
            kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
            t, h, modulation, hebb, eligibility, change, imprint, sums,
        )  # fmt: skip
        keep_traces(t, every, hebb, eligibility, hebb_kept, eligibility_kept)
    finish(kind, clip, eta, w, alpha, h, hebb, eligibility, change, imprint, sums)


# The maze: the rules of bpa.maze and the sampling of bpa.training.rollout, with the same arithmetic.


@compiled
def pick_except(uniform, count, taken):
    """As in bpa.maze: an index below `count` other than `taken`."""
    index = min(int(uniform * float32(count - 1)), count - 2)
    return index + 1 if index >= taken else index


@compiled
def observe(env, b, t, steps, reward, action, observation):
    """As in bpa.maze and bpa.envs.cue_reward: what agent b senses at time t, [I]."""
    observation[:] = 0
    if env.rules == MAZE:
        row, column = env.agent[b, 0], env.agent[b, 1]
        for k in range(9):
            observation[k] = env.walls[row + k // 3 - 1, column + k % 3 - 1]
        sensed = 10
    else:
        bits = env.shown.shape[2]
        for k in range(bits):
            observation[k] = env.shown[t, b, k]
        observation[bits] = env.answers[t, b] >= 0
        sensed = bits + 1
    observation[sensed] = 1
    observation[sensed + 1] = t / steps
    observation[sensed + 2] = reward
    observation[sensed + 3 + action] = 1


@compiled
def add_input(weight, bias, x, some, sums):
    """sums = bias + sum_k x_k weight_k; weight [I, P]. What is 0, and much is, costs nothing.

    `some` [I] is room for the k of which x_k is not 0.
    """
    count = 0
    for k in range(len(x)):
        some[count] = k
        count += x[k] != 0
    for j in range(0, len(sums), LANES):
        total = load(bias, j)
        for n in range(count):
            k = some[n]
            total = fma(spread(x[k]), load(weight[k], j), total)
        store(sums, j, total)


@compiled
def sample(logits, uniform):
    """As in bpa.training.rollout: the first action at which the summed probabilities exceed the number.

    Never one of probability 0, whatever rounding does to the sum; action 0 where a logit is NaN.
    """
    highest = logits.max()
    everything = float32(0)
    for a in range(len(logits)):
        logits[a] = math.exp(logits[a] - highest)
        everything += logits[a]
    reached, action, last = float32(0), 0, 0
    for a in range(len(logits)):
        probability = logits[a] / everything
        if probability > SMALLEST:
            reached += probability
            last = a
        action += uniform >= reached
    return min(action, last)


@compiled
def move(env, b, uniform, action):
    """As in bpa.maze: agent b takes a step, or stays before a wall; returns its reward."""
    agent, goal_index = env.agent[b], env.goal_index[b]
    goal, reward = env.free_cells[goal_index], float32(0)
    row, column = agent[0] + env.moves[action, 0], agent[1] + env.moves[action, 1]
    if env.walls[row, column]:
        reward -= env.penalty
    else:
        agent[0], agent[1] = row, column
    if agent[0] == goal[0] and agent[1] == goal[1]:
        reward += env.reward
        elsewhere = env.free_cells[pick_except(uniform, len(env.free_cells), goal_index)]
        agent[0], agent[1] = elsewhere[0], elsewhere[1]
    return reward


@compiled
def answer(env, b, t, action):
    """As in bpa.envs.cue_reward: the reward of agent b for its action at time t."""
    right = env.answers[t, b]
    if right < 0:
        return float32(0)
    return env.reward if action == right else float32(0) - env.penalty


@compiled
def sense(env, b, t, rewards, actions, observations):
    """Fill what agent b senses at time t, after its last reward and action."""
    reward, action = (rewards[t - 1, b], actions[t - 1, b]) if t > 0 else (float32(0), 0)
    observe(env, b, t, len(actions), reward, action, observations[t, b])


@compiled
def act(env, b, t, activity, policy_weight, policy_bias, logits, action_noise, rewards, actions):
    """Agent b chooses by its activity [P], the environment answers; `logits` [A] is room for its choice."""
    for a in range(len(logits)):
        logits[a] = dot(activity, policy_weight[a]) + policy_bias[a]
    actions[t, b] = sample(logits, action_noise[t, b])
    if env.rules == MAZE:
        rewards[t, b] = move(env, b, env.teleport[t, b], actions[t, b])
    else:
        rewards[t, b] = answer(env, b, t, actions[t, b])


@compiled
def act_group(
    group, first, last, kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
    input_weight, input_bias, policy_weight, policy_bias, env, action_noise,
    observations, actions, rewards, h, modulation, hebb, eligibility, every, hebb_kept, eligibility_kept,
):  # fmt: skip
    """Episodes first to last - 1 in an `Environment`: as unroll_group, with the environment in the same loop.

    input_weight [I, P], policy_weight [A, P]; action_noise [T, B]; env.agent moves from where it is to
    where it ends; observations [T, B, I], actions [T, B] and rewards [T, B] are filled.
    """
    h, modulation = h[:, first:last], modulation[:, first:last]
    hebb, eligibility = hebb[first:last], eligibility[first:last]
    hebb_kept, eligibility_kept = hebb_kept[:, first:last], eligibility_kept[:, first:last]
    steps, shape = len(actions), (last - first, h.shape[2])
    sums, change, imprint = np.zeros(shape, float32), np.zeros(shape, float32), np.zeros(shape, float32)
    logits, some = np.zeros(len(policy_bias), float32), np.zeros(len(input_weight), np.int64)
    for t in range(steps):
        for e in range(last - first):
            sense(env, first + e, t, rewards, actions, observations)
            add_input(input_weight, input_bias, observations[t, first + e], some, sums[e])
        step(
            kind, clip, eta, w, alpha, mod_weight, mod_bias, modulator, rate_weight, rate_bias,
            t, h, modulation, hebb, eligibility, change, imprint, sums,
        )  # fmt: skip
        keep_traces(t, every, hebb, eligibility, hebb_kept, eligibility_kept)
        for e in range(last - first):
            act(
                env, first + e, t, h[t + 1, e], policy_weight, policy_bias, logits, action_noise,
                rewards, actions,
            )  # fmt: skip
    finish(kind, clip, eta, w, alpha, h, hebb, eligibility, change, imprint, sums)


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
def act_lstm_group(
    group, first, last, w, input_weight, input_bias, policy_weight, policy_bias, env, action_noise,
    observations, actions, rewards,
):  # fmt: skip
    """Episodes first to last - 1 of a plain LSTM in an `Environment`, from its initial state; as act_group.

    w [H, 4 P], input_weight [I, 4 P] and input_bias [4 P] in the order of lstm_step.
    """
    shape = (last - first, policy_weight.shape[1])
    h, cell, sums = (
        np.zeros(shape, float32),
        np.zeros(shape, float32),
        np.zeros((shape[0], w.shape[1]), float32),
    )
    logits, some = np.zeros(len(policy_bias), float32), np.zeros(len(input_weight), np.int64)
    for t in range(len(actions)):
        for e in range(last - first):
            sense(env, first + e, t, rewards, actions, observations)
            add_input(input_weight, input_bias, observations[t, first + e], some, sums[e])
        lstm_step(w, h, cell, sums)
        for e in range(last - first):
            act(env, first + e, t, h[e], policy_weight, policy_bias, logits, action_noise, rewards, actions)


# Backward. Pass t ends step t and begins step t - 1, again with one sweep: what the sweep of step t leaves
# in the gradient of Hebb(t) is at once what step t - 1's update hands on.


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
    hebb, eligibility, before, change, clip, w, alpha, pre, later, later_imprint, later_kept,
    dsums, dhebb, deligibility, dalpha, dpre, dchange, dimprint, dkept,
):  # fmt: skip
    """The sweep of pass t with eligibilities; hebb and eligibility are those before step t - 1.

    Step t:     dpre_i = sum_j ( dE_ij later_imprint_j + (w_ij + alpha_ij Hebb_ij(t)) dsums_j )
                dE_ij = later_kept dE_ij + dhebb_ij later_j, now the gradient of E(t)
                dalpha_ij, dhebb_ij as in backward_hebbian
    Step t - 1: dhebb_ij = 0 where the clip cut
                dchange_j = sum_i dhebb_ij E_ij(t - 1), dimprint_j = sum_i dE_ij before_i
                dkept = sum_ij dE_ij E_ij(t - 1), for the part of E that the step keeps
    """
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
def backward_gains(
    kind, eta, m, dm, rate_weight, rate_bias, post, dchange, dimprint, drate_weight, drate_bias, dpost
):  # fmt: skip
    """From the column factors of a step back to its gains and its activity.

    drate_weight_j, drate_bias_j and dpost_j [P] grow by their part; returns dm + the gains' part.
    """
    m, eta, partial = spread(m), spread(eta), spread(float32(0))
    for j in range(0, len(post), LANES):
        rate = load(dchange, j)
        if kind == HEBBIAN:
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
def backward_group(
    group, first, last, kind, clip, eta, w, alpha, mod_weight, modulator, rate_weight, rate_bias,
    h, modulation, every, hebb_kept, eligibility_kept,
    dh, dmodulation, dhebb, deligibility,
    dsums, dmod, dalpha, deta, dmod_weight, drate_weight, drate_bias, dh0,
):  # fmt: skip
    """Gradients of episodes first to last - 1, by hand; see the module's notes and the sweeps above.

    Args:
        h, modulation, every, hebb_kept, eligibility_kept: what the forward pass left.
        dh [T, B, H], dmodulation [T, B]: gradients from outside of x(t) and M(t).
        dhebb, deligibility [B, H, P]: gradients of the final traces; they become those of the initial ones.
        dsums [T, B, P], dmod [T, B]: filled with the gradients of what tanh is given and of what the
            modulator is given.
        dalpha [groups, H, P], dmod_weight, drate_weight, drate_bias [groups, P], deta [B]: grow by their
            parts. A group's sums are its own, so that the number of threads changes no result.
        dh0 [B, P]: filled.
    """
    steps, _, size = dh.shape
    episodes, width = last - first, h.shape[2]
    h, modulation = h[:, first:last], modulation[:, first:last]
    hebb_kept, eligibility_kept = hebb_kept[:, first:last], eligibility_kept[:, first:last]
    dhebb, deligibility, dalpha = dhebb[first:last], deligibility[first:last], dalpha[group]
    dmod_weight, drate_weight, drate_bias = dmod_weight[group], drate_weight[group], drate_bias[group]
    count = min(every, steps)
    traces = np.empty((count, *dhebb.shape), float32)
    eligibilities = np.empty((count, *deligibility.shape), float32)
    changes, imprints = (
        np.zeros((count, episodes, width), float32),
        np.zeros((count, episodes, width), float32),
    )
    nothing = np.zeros((episodes, width), float32)
    later, later_imprint = nothing.copy(), nothing.copy()
    dchange, dimprint, dpre, dtotal = nothing.copy(), nothing.copy(), nothing.copy(), nothing.copy()
    dkept = np.zeros(episodes, float32)
    for t in range(steps, -1, -1):
        k = max(t - 1, 0) % count  # where step t - 1 is in what was rebuilt
        if kind != FIXED and t > 0 and (k == count - 1 or t == steps):
            begin = t - 1 - k
            for n in range(k + 1):
                for e in range(episodes):
                    set_changes(
                        kind, rate_weight, rate_bias, eta, modulation[begin + n, e], h[begin + n + 1, e],
                        changes[n, e], imprints[n, e],
                    )  # fmt: skip
            kept, past = hebb_kept[begin // every], h[begin : begin + k + 1]
            if kind == HEBBIAN:
                rebuild_hebbian(kept, past, changes, clip, k + 1, traces)
            else:
                rebuild_retroactive(
                    kept, eligibility_kept[begin // every], past, changes, imprints, eta, clip, k + 1,
                    traces, eligibilities,
                )  # fmt: skip
        # Before the first step there is no update to undo: no change, and a clip that cuts nothing.
        change = changes[k] if t > 0 else nothing
        bound = clip if t > 0 else float32(np.inf)
        pre, before = h[t], h[max(t - 1, 0)]
        if kind == FIXED:
            backward_fixed(w, dtotal, dpre)
        elif kind == HEBBIAN:
            backward_hebbian(
                traces[k], before, change, bound, w, alpha, pre, later, dtotal, dhebb, dalpha, dpre, dchange
            )  # fmt: skip
        else:
            later_kept = float32(1) - eta if t < steps else float32(1)
            backward_retroactive(
                traces[k], eligibilities[k], before, change, bound, w, alpha, pre, later, later_imprint,
                later_kept, dtotal, dhebb, deligibility, dalpha, dpre, dchange, dimprint, dkept,
            )  # fmt: skip
        if t == 0:
            break
        for e in range(episodes):
            b, post, m, dpost = first + e, h[t, e], modulation[t - 1, e], dtotal[e]
            for j in range(size):
                dpost[j] = dh[t - 1, b, j] + dpre[e, j]
            dm = dmodulation[t - 1, b]
            if kind != FIXED:
                dm = backward_gains(
                    kind, eta, m, dm, rate_weight, rate_bias, post, dchange[e], dimprint[e],
                    drate_weight, drate_bias, dpost,
                )  # fmt: skip
            if kind == RETROACTIVE:
                deta[b] += dot(dimprint[e], post) - dkept[e]
            dmod[t - 1, b] = dm * squash_slope(modulator, m)
            backward_activity(dmod[t - 1, b], mod_weight, post, dpost, dmod_weight, dsums[t - 1, b])
            later[e] = change[e]
            later_imprint[e] = imprints[k, e]
    for e in range(episodes):
        dh0[first + e] = dpre[e]
