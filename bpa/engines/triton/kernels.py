"""The Triton engine's kernels; see `bpa.engines.triton`. One program lives through one episode.

Nothing here knows PyTorch. Arrays are float32 and C-contiguous. Shapes: T time, S networks, B batch,
N = S B episodes, those of one network side by side, H hidden, P = H rounded up to a power of two; a block is
P x P numbers in registers. What lies beyond H is masked: zero when loaded, never stored. Row i is the
pre-synaptic neuron, column j the post-synaptic one. Activities carry the initial state in front: h is
[T + 1, N, H] and h[t] is x(t-1) of the papers.
"""

# Kernels are typed by Triton at their first call; mypy cannot follow.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

from bpa.engines import cell

FIXED, HEBBIAN, RETROACTIVE = map(tl.constexpr, (cell.FIXED, cell.HEBBIAN, cell.RETROACTIVE))
TANH, SIGMOID = map(tl.constexpr, (cell.TANH, cell.SIGMOID))
OBSERVATION, ACTIONS = tl.constexpr(17), tl.constexpr(4)  # of the maze
SMALLEST = tl.constexpr(2.0**-126)  # as in bpa.training.rollout
SENSES = tl.constexpr(32)  # OBSERVATION rounded up to a power of two
COUNTS = ("steps", "batch")  # a kernel serves any of them, once compiled


@triton.jit
def tanh(x):
    """The hyperbolic tangent, to 4e-7 of itself: a series near 0, where 1 - exp(-2 |x|) loses digits"""
    size = tl.abs(x)
    power = tl.exp(-2.0 * size)
    far = (1.0 - power) / (1.0 + power)
    q = x * x
    near = size * (1.0 + q * (-0.33333334 + q * (0.13333334 + q * (-0.053968254 + q * 0.021869488))))
    value = tl.where(size < 0.3, near, far)
    return tl.where(x < 0.0, -value, value)


@triton.jit
def squash(z, MODULATOR: tl.constexpr):
    """M = modulator(z)"""
    if MODULATOR == TANH:
        m = tanh(z)
    elif MODULATOR == SIGMOID:
        m = 1.0 / (1.0 + tl.exp(-z))
    else:
        m = z
    return m


@triton.jit
def clamp(x, clip):
    """`x` cut off at -clip and clip; NaN stays NaN"""
    high = tl.minimum(x, clip, propagate_nan=tl.PropagateNan.ALL)
    return tl.maximum(high, -clip, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def over_rows(block, valid):
    """sum_i block_ij: [P, P] -> [P]. What lies beyond H is left out, so that the compiler drops its rows"""
    return tl.sum(tl.where(valid[:, None], block, 0.0), 0)


@triton.jit
def rewire(pre, post, gain, hebb, eligibility, clip, eta, KIND: tl.constexpr):
    """Hebb(t+1) and E(t+1) from x(t-1), x(t), the gain of each column, Hebb(t) and E(t)"""
    if KIND == HEBBIAN:
        hebb = clamp(hebb + pre[:, None] * (gain * post)[None, :], clip)
    if KIND == RETROACTIVE:
        hebb = clamp(hebb + gain[None, :] * eligibility, clip)
        eligibility = (1.0 - eta) * eligibility + pre[:, None] * (eta * post)[None, :]
    return hebb, eligibility


@triton.jit
def step(
    drive, pre, hebb, eligibility, w, alpha, clip, eta, mod_weight, mod_bias, rate_weight, rate_bias, valid,
    KIND: tl.constexpr, MODULATOR: tl.constexpr,
):  # fmt: skip
    """x(t), M(t), Hebb(t+1) and E(t+1) from the drive, x(t-1), Hebb(t) and E(t)"""
    connections = w if KIND == FIXED else w + alpha * hebb
    post = tl.where(valid, tanh(drive + over_rows(connections * pre[:, None], valid)), 0.0)
    m = squash(tl.sum(post * mod_weight, 0) + mod_bias, MODULATOR)
    gain = rate_weight * m + rate_bias
    hebb, eligibility = rewire(pre, post, gain, hebb, eligibility, clip, eta, KIND)
    return post, m, hebb, eligibility


@triton.jit
def load_cell(clip, eta, mod_weight, mod_bias, rate_weight, rate_bias, seed, j, valid, H: tl.constexpr):
    """The small parameters of one network."""
    return (
        tl.load(clip + seed),
        tl.load(eta + seed),
        tl.load(mod_weight + seed * H + j, mask=valid, other=0.0),
        tl.load(mod_bias + seed),
        tl.load(rate_weight + seed * H + j, mask=valid, other=0.0),
        tl.load(rate_bias + seed * H + j, mask=valid, other=0.0),
    )


@triton.jit
def load_traces(hebb, eligibility, place, inside, KIND: tl.constexpr):
    """Hebb and E from where they lie; a lone zero in place of what this kind does not have"""
    trace, gathered = tl.full([1, 1], 0.0, tl.float32), tl.full([1, 1], 0.0, tl.float32)
    if KIND != FIXED:
        trace = tl.load(hebb + place, mask=inside, other=0.0)
    if KIND == RETROACTIVE:
        gathered = tl.load(eligibility + place, mask=inside, other=0.0)
    return trace, gathered


@triton.jit
def store_traces(hebb, eligibility, place, inside, trace, gathered, KIND: tl.constexpr):
    """The reverse of `load_traces`"""
    if KIND != FIXED:
        tl.store(hebb + place, trace, mask=inside)
    if KIND == RETROACTIVE:
        tl.store(eligibility + place, gathered, mask=inside)


@triton.jit(do_not_specialize=COUNTS)
def unroll_kernel(
    w, alpha, clip, eta, mod_weight, mod_bias, rate_weight, rate_bias,
    drives, h, modulation, hebb, eligibility, hebb_kept, eligibility_kept, steps, batch,
    KIND: tl.constexpr, MODULATOR: tl.constexpr, EVERY: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """One episode from its drives [T, N, H] on.

    h [T + 1, N, H] holds the initial activity in h[0] and gets the rest; modulation [T, N] is filled; hebb
    and eligibility [N, H, H] become the final ones. With EVERY > 0 the traces before each step that is a
    multiple of it go to hebb_kept and eligibility_kept [ceil(T / EVERY), N, H, H].
    """
    seed = tl.program_id(1).to(tl.int64)
    episodes = batch * tl.num_programs(1)
    n = seed * batch + tl.program_id(0)
    j = tl.arange(0, P)
    valid = j < H
    inside = valid[:, None] & valid[None, :]
    synapse = j[:, None] * H + j[None, :]
    clip, eta, mod_weight, mod_bias, rate_weight, rate_bias = load_cell(
        clip, eta, mod_weight, mod_bias, rate_weight, rate_bias, seed, j, valid, H
    )
    w_synapse = tl.load(w + seed * H * H + synapse, mask=inside, other=0.0)
    alpha_synapse = tl.full([1, 1], 0.0, tl.float32)
    if KIND != FIXED:
        alpha_synapse = tl.load(alpha + seed * H * H + synapse, mask=inside, other=0.0)
    trace, gathered = load_traces(hebb, eligibility, n * H * H + synapse, inside, KIND)
    pre = tl.load(h + n * H + j, mask=valid, other=0.0)
    for t in range(steps):
        if EVERY > 0:  # noqa: SIM102, the outer question is asked when the kernel is compiled
            if t % EVERY == 0:
                kept = (t // EVERY * episodes + n) * H * H + synapse
                store_traces(hebb_kept, eligibility_kept, kept, inside, trace, gathered, KIND)
        drive = tl.load(drives + (t * episodes + n) * H + j, mask=valid, other=0.0)
        post, m, trace, gathered = step(
            drive, pre, trace, gathered, w_synapse, alpha_synapse, clip, eta, mod_weight, mod_bias,
            rate_weight, rate_bias, valid, KIND, MODULATOR,
        )  # fmt: skip
        tl.store(h + ((t + 1) * episodes + n) * H + j, post, mask=valid)
        tl.store(modulation + t * episodes + n, m)
        pre = post
    store_traces(hebb, eligibility, n * H * H + synapse, inside, trace, gathered, KIND)


@triton.jit(do_not_specialize=COUNTS)
def act_kernel(
    w, alpha, clip, eta, mod_weight, mod_bias, rate_weight, rate_bias,
    input_weight, input_bias, policy_weight, policy_bias,
    walls, side, moves, free_cells, count, clock, goal_index, reward_size, wall_penalty,
    action_chance, teleport_chance, agent, observations, actions, rewards,
    h, modulation, hebb, eligibility, hebb_kept, eligibility_kept, steps, batch,
    KIND: tl.constexpr, MODULATOR: tl.constexpr, EVERY: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """One episode in the maze: as unroll_kernel, with the world in the same loop.

    The rules are those of bpa.maze and the sampling that of bpa.training.rollout, with the same arithmetic.
    input_weight [S, I, H], input_bias [S, H], policy_weight [S, A, H], policy_bias [S, A]; walls [n, n] and
    clock [T], t / T; goal_index [N]; reward_size, wall_penalty [S]; action_chance, teleport_chance [T, N];
    agent [N, 2] moves from where it is to where it ends; observations [T, N, I], actions and rewards [T, N]
    are filled.
    """
    seed = tl.program_id(1).to(tl.int64)
    episodes = batch * tl.num_programs(1)
    n = seed * batch + tl.program_id(0)
    j = tl.arange(0, P)
    valid = j < H
    inside = valid[:, None] & valid[None, :]
    synapse = j[:, None] * H + j[None, :]
    clip, eta, mod_weight, mod_bias, rate_weight, rate_bias = load_cell(
        clip, eta, mod_weight, mod_bias, rate_weight, rate_bias, seed, j, valid, H
    )
    w_synapse = tl.load(w + seed * H * H + synapse, mask=inside, other=0.0)
    alpha_synapse = tl.full([1, 1], 0.0, tl.float32)
    if KIND != FIXED:
        alpha_synapse = tl.load(alpha + seed * H * H + synapse, mask=inside, other=0.0)
    trace, gathered = load_traces(hebb, eligibility, n * H * H + synapse, inside, KIND)
    pre = tl.load(h + n * H + j, mask=valid, other=0.0)

    k, a = tl.arange(0, SENSES), tl.arange(0, ACTIONS)
    input_row = input_weight + seed * OBSERVATION * H + j
    bias = tl.load(input_bias + seed * H + j, mask=valid, other=0.0)
    bias += tl.load(input_row + 10 * H, mask=valid, other=0.0)  # the sense that is always 1
    policy_row = policy_weight + seed * ACTIONS * H + j
    reward_size, wall_penalty = tl.load(reward_size + seed), tl.load(wall_penalty + seed)
    goal = tl.load(goal_index + n)
    goal_row, goal_column = tl.load(free_cells + 2 * goal), tl.load(free_cells + 2 * goal + 1)
    row, column = tl.load(agent + 2 * n), tl.load(agent + 2 * n + 1)
    reward, action = 0.0, 0
    for t in range(steps):
        if EVERY > 0:  # noqa: SIM102, the outer question is asked when the kernel is compiled
            if t % EVERY == 0:
                kept = (t // EVERY * episodes + n) * H * H + synapse
                store_traces(hebb_kept, eligibility_kept, kept, inside, trace, gathered, KIND)
        now = t * episodes + n
        window = (row + k // 3 - 1) * side + column + k % 3 - 1
        x = tl.load(walls + window, mask=k < 9, other=0).to(tl.float32)
        x = tl.where(k == 10, 1.0, x)
        x = tl.where(k == 11, tl.load(clock + t), x)
        x = tl.where(k == 12, reward, x)
        x = tl.where(k == 13 + action, 1.0, x)
        tl.store(observations + now * OBSERVATION + k, x, mask=k < OBSERVATION)
        # Row by row, number by number: a product of blocks would have threads wait for each other.
        drive = bias + tl.load(input_row + (13 + action) * H, mask=valid, other=0.0)
        drive += tl.load(clock + t) * tl.load(input_row + 11 * H, mask=valid, other=0.0)
        drive += reward * tl.load(input_row + 12 * H, mask=valid, other=0.0)
        for q in tl.static_range(9):
            wall = tl.load(walls + (row + q // 3 - 1) * side + column + q % 3 - 1).to(tl.float32)
            drive += wall * tl.load(input_row + q * H, mask=valid, other=0.0)
        post, m, trace, gathered = step(
            drive, pre, trace, gathered, w_synapse, alpha_synapse, clip, eta, mod_weight, mod_bias,
            rate_weight, rate_bias, valid, KIND, MODULATOR,
        )  # fmt: skip
        tl.store(h + (now + episodes) * H + j, post, mask=valid)
        tl.store(modulation + now, m)
        pre = post

        logits = tl.load(policy_bias + seed * ACTIONS + a)
        for q in tl.static_range(ACTIONS):
            policy = tl.load(policy_row + q * H, mask=valid, other=0.0)
            logits += tl.where(a == q, tl.sum(policy * post, 0), 0.0)
        likely = tl.exp(logits - tl.max(logits, 0))
        policy = likely / tl.sum(likely, 0)
        policy = tl.where(policy > SMALLEST, policy, 0.0)
        passed = tl.load(action_chance + now) >= tl.cumsum(policy, 0)
        last = tl.max(tl.where(policy > 0.0, a, 0), 0)  # that has a chance, however the sum was rounded
        action = tl.minimum(tl.sum(passed.to(tl.int32), 0), last)
        row_ahead = row + tl.load(moves + 2 * action)
        column_ahead = column + tl.load(moves + 2 * action + 1)
        blocked = tl.load(walls + row_ahead * side + column_ahead) != 0
        row, column = tl.where(blocked, row, row_ahead), tl.where(blocked, column, column_ahead)
        found = (row == goal_row) & (column == goal_column)
        pick = tl.minimum((tl.load(teleport_chance + now) * (count - 1)).to(tl.int32), count - 2)
        pick += (pick >= goal).to(tl.int32)
        row = tl.where(found, tl.load(free_cells + 2 * pick), row)
        column = tl.where(found, tl.load(free_cells + 2 * pick + 1), column)
        reward = reward_size * found.to(tl.float32) - wall_penalty * blocked.to(tl.float32)
        tl.store(actions + now, action)
        tl.store(rewards + now, reward)
    store_traces(hebb, eligibility, n * H * H + synapse, inside, trace, gathered, KIND)
    tl.store(agent + 2 * n, row)
    tl.store(agent + 2 * n + 1, column)


@triton.jit(do_not_specialize=COUNTS)
def backward_kernel(
    w, alpha, clip, eta, mod_weight, mod_bias, rate_weight, rate_bias,
    h, modulation, hebb_kept, eligibility_kept, dh, dmodulation, dhebb, deligibility,
    dsums, dmod, drate, deta, dh0, steps, batch,
    KIND: tl.constexpr, MODULATOR: tl.constexpr, EVERY: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Gradients of one episode, walked in reverse; the book's page on the backward pass has each line.

    Takes what the forward pass left, and from outside dh [T, N, H], dmodulation [T, N], dhebb and
    deligibility [N, H, H]. The last two become the gradients of the initial traces. dsums [T, N, H], dmod
    [T, N] and drate [T, N, H] are filled with the gradients of what tanh is given, of what the modulator is
    given, and of the gains; deta [N], dh0 [N, H] are filled too. The gradient of alpha is alpha_kernel's.
    """
    seed = tl.program_id(1).to(tl.int64)
    episodes = batch * tl.num_programs(1)
    n = seed * batch + tl.program_id(0)
    j = tl.arange(0, P)
    valid = j < H
    inside = valid[:, None] & valid[None, :]
    synapse = j[:, None] * H + j[None, :]
    clip, eta, mod_weight, mod_bias, rate_weight, rate_bias = load_cell(
        clip, eta, mod_weight, mod_bias, rate_weight, rate_bias, seed, j, valid, H
    )
    dtrace, dgathered = load_traces(dhebb, deligibility, n * H * H + synapse, inside, KIND)
    dlater = tl.full([P], 0.0, tl.float32)  # what the step after this one asks of x(t)
    deta_sum = 0.0
    for back in range(steps):
        t = steps - 1 - back
        now = t * episodes + n
        pre = tl.load(h + now * H + j, mask=valid, other=0.0)
        post = tl.load(h + (now + episodes) * H + j, mask=valid, other=0.0)
        dpost = dlater + tl.load(dh + now * H + j, mask=valid, other=0.0)
        if KIND != FIXED:
            # Walk forward again from the last stored traces to those before this step.
            kept = (t // EVERY * episodes + n) * H * H + synapse
            trace, gathered = load_traces(hebb_kept, eligibility_kept, kept, inside, KIND)
            for u in range(t // EVERY * EVERY, t):
                then = u * episodes + n
                before = tl.load(h + then * H + j, mask=valid, other=0.0)
                after = tl.load(h + (then + episodes) * H + j, mask=valid, other=0.0)
                gain = rate_weight * tl.load(modulation + then) + rate_bias
                trace, gathered = rewire(before, after, gain, trace, gathered, clip, eta, KIND)

            m = tl.load(modulation + now)
            gain = rate_weight * m + rate_bias
            if KIND == HEBBIAN:
                change = gain * post
                given = trace + pre[:, None] * change[None, :]
                dgiven = tl.where(tl.abs(given) <= clip, dtrace, 0.0)  # the bound itself is not cut
                dchange = over_rows(dgiven * pre[:, None], valid)
                dgain = dchange * post
                dpost += dchange * gain
            else:
                given = trace + gain[None, :] * gathered
                dgiven = tl.where(tl.abs(given) <= clip, dtrace, 0.0)
                dgain = over_rows(dgiven * gathered, valid)
                dimprint = over_rows(dgathered * pre[:, None], valid)
                dpost += dimprint * eta
                deta_sum += tl.sum(dimprint * post - over_rows(dgathered * gathered, valid), 0)
            dm = tl.load(dmodulation + now) + tl.sum(dgain * rate_weight, 0)
            if MODULATOR == TANH:
                dm *= 1.0 - m * m
            elif MODULATOR == SIGMOID:
                dm *= m * (1.0 - m)
            dpost += dm * mod_weight
            tl.store(dmod + now, dm)
            tl.store(drate + now * H + j, dgain, mask=valid)

        dsum = dpost * (1.0 - post * post)
        tl.store(dsums + now * H + j, dsum, mask=valid)
        w_synapse = tl.load(w + seed * H * H + synapse, mask=inside, other=0.0)
        if KIND == FIXED:
            dlater = tl.sum(w_synapse * dsum[None, :], 1)
        else:
            alpha_synapse = tl.load(alpha + seed * H * H + synapse, mask=inside, other=0.0)
            dpre = (w_synapse + alpha_synapse * trace) * dsum[None, :]
            if KIND == HEBBIAN:
                dpre += dgiven * change[None, :]
            else:
                dpre += dgathered * (eta * post)[None, :]
                dgathered = (1.0 - eta) * dgathered + gain[None, :] * dgiven
            dtrace = dgiven + alpha_synapse * (pre[:, None] * dsum[None, :])
            dlater = tl.where(valid, tl.sum(dpre, 1), 0.0)
    tl.store(deta + n, deta_sum)
    tl.store(dh0 + n * H + j, dlater, mask=valid)
    store_traces(dhebb, deligibility, n * H * H + synapse, inside, dtrace, dgathered, KIND)


@triton.jit(do_not_specialize=COUNTS)
def alpha_kernel(
    clip, eta, mod_weight, mod_bias, rate_weight, rate_bias,
    h, modulation, hebb_kept, eligibility_kept, dsums, dalpha, steps, batch,
    KIND: tl.constexpr, EVERY: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """dalpha_ij = sum_t Hebb_ij(t) x_i(t-1) dsums_j(t), in parts [S, slots, H, H].

    A slot takes every so many-th pair of an episode and a stretch between two stored traces, and adds up in
    the order of the pairs. So the parts need no atomic additions, and their number no more memory with B.
    """
    seed = tl.program_id(1).to(tl.int64)
    episodes = batch * tl.num_programs(1)
    slot, slots = tl.program_id(0), tl.num_programs(0)
    j = tl.arange(0, P)
    valid = j < H
    inside = valid[:, None] & valid[None, :]
    synapse = j[:, None] * H + j[None, :]
    clip, eta, mod_weight, mod_bias, rate_weight, rate_bias = load_cell(
        clip, eta, mod_weight, mod_bias, rate_weight, rate_bias, seed, j, valid, H
    )
    total = tl.full([P, P], 0.0, tl.float32)
    for pair in range(slot, batch * tl.cdiv(steps, EVERY), slots):
        n, stretch = seed * batch + pair % batch, pair // batch
        kept = (stretch * episodes + n) * H * H + synapse
        trace, gathered = load_traces(hebb_kept, eligibility_kept, kept, inside, KIND)
        for t in range(stretch * EVERY, tl.minimum(stretch * EVERY + EVERY, steps)):
            now = t * episodes + n
            pre = tl.load(h + now * H + j, mask=valid, other=0.0)
            post = tl.load(h + (now + episodes) * H + j, mask=valid, other=0.0)
            dsum = tl.load(dsums + now * H + j, mask=valid, other=0.0)
            total += trace * (pre[:, None] * dsum[None, :])
            gain = rate_weight * tl.load(modulation + now) + rate_bias
            trace, gathered = rewire(pre, post, gain, trace, gathered, clip, eta, KIND)
    place = (seed * slots + slot) * H * H + synapse
    tl.store(dalpha + place, total, mask=inside)


@triton.jit
def touch_kernel(place):
    """The smallest thing that shows whether kernels can be compiled and run here"""
    tl.store(place, 1.0)


def interpreted():
    """Whether the interpreter runs these kernels: TRITON_INTERPRET was set before Triton was read, and is"""
    compiled = isinstance(touch_kernel, triton.JITFunction) or isinstance(tl.sum, triton.JITFunction)
    return triton.knobs.runtime.interpret and not compiled
