"""The Triton engine's kernels; see `bpa.engines.triton`. One program runs through one episode.

Nothing here knows PyTorch. Arrays are float32 and C-contiguous. Shapes: T time, S networks, B batch,
N = S B episodes, those of one network side by side, H hidden, P = H rounded up to a power of two; a block is
P x P numbers in registers. What lies beyond H is masked: zero when loaded, never stored. Row i is the
pre-synaptic neuron, column j the post-synaptic one. Activities carry the initial state in front: h is
[T + 1, N, H] and h[t] is x(t-1) of the papers.

Names begin with p_ for a pointer, b_ for a block or a number on the chip, i_ for an index; d stands for the
gradient of what follows. Functions that compute on blocks alone have nothing to tell apart, and do without.
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
def load_cell(
    p_clip, p_eta, p_mod_weight, p_mod_bias, p_rate_weight, p_rate_bias, i_s, i_j, valid, H: tl.constexpr
):  # fmt: skip
    """The small parameters of one network."""
    return (
        tl.load(p_clip + i_s),
        tl.load(p_eta + i_s),
        tl.load(p_mod_weight + i_s * H + i_j, mask=valid, other=0.0),
        tl.load(p_mod_bias + i_s),
        tl.load(p_rate_weight + i_s * H + i_j, mask=valid, other=0.0),
        tl.load(p_rate_bias + i_s * H + i_j, mask=valid, other=0.0),
    )


@triton.jit
def load_traces(p_hebb, p_eligibility, i_place, inside, KIND: tl.constexpr):
    """Hebb and E from where they lie; a lone zero in place of what this kind does not have"""
    b_hebb, b_eligibility = tl.full([1, 1], 0.0, tl.float32), tl.full([1, 1], 0.0, tl.float32)
    if KIND != FIXED:
        b_hebb = tl.load(p_hebb + i_place, mask=inside, other=0.0)
    if KIND == RETROACTIVE:
        b_eligibility = tl.load(p_eligibility + i_place, mask=inside, other=0.0)
    return b_hebb, b_eligibility


@triton.jit
def store_traces(p_hebb, p_eligibility, i_place, inside, b_hebb, b_eligibility, KIND: tl.constexpr):
    """The reverse of `load_traces`"""
    if KIND != FIXED:
        tl.store(p_hebb + i_place, b_hebb, mask=inside)
    if KIND == RETROACTIVE:
        tl.store(p_eligibility + i_place, b_eligibility, mask=inside)


@triton.jit(do_not_specialize=COUNTS)
def unroll_kernel(
    p_w, p_alpha, p_clip, p_eta, p_mod_weight, p_mod_bias, p_rate_weight, p_rate_bias,
    p_drives, p_h, p_modulation, p_hebb, p_eligibility, p_hebb_kept, p_eligibility_kept, steps, batch,
    KIND: tl.constexpr, MODULATOR: tl.constexpr, EVERY: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """One episode from its drives [T, N, H] on.

    p_h [T + 1, N, H] holds the initial activity in front and gets the rest; p_modulation [T, N] is filled;
    p_hebb and p_eligibility [N, H, H] become the final ones. With EVERY > 0 the traces before each step that
    is a multiple of it go to p_hebb_kept and p_eligibility_kept [ceil(T / EVERY), N, H, H].
    """
    i_s = tl.program_id(1).to(tl.int64)
    episodes = batch * tl.num_programs(1)
    i_n = i_s * batch + tl.program_id(0)
    i_j = tl.arange(0, P)
    valid = i_j < H
    inside = valid[:, None] & valid[None, :]
    i_ij = i_j[:, None] * H + i_j[None, :]
    b_clip, b_eta, b_mod_weight, b_mod_bias, b_rate_weight, b_rate_bias = load_cell(
        p_clip, p_eta, p_mod_weight, p_mod_bias, p_rate_weight, p_rate_bias, i_s, i_j, valid, H
    )
    b_w = tl.load(p_w + i_s * H * H + i_ij, mask=inside, other=0.0)
    b_alpha = tl.full([1, 1], 0.0, tl.float32)
    if KIND != FIXED:
        b_alpha = tl.load(p_alpha + i_s * H * H + i_ij, mask=inside, other=0.0)
    b_hebb, b_eligibility = load_traces(p_hebb, p_eligibility, i_n * H * H + i_ij, inside, KIND)
    b_pre = tl.load(p_h + i_n * H + i_j, mask=valid, other=0.0)
    for i_t in range(steps):
        if EVERY > 0:  # noqa: SIM102, the outer question is asked when the kernel is compiled
            if i_t % EVERY == 0:
                i_kept = (i_t // EVERY * episodes + i_n) * H * H + i_ij
                store_traces(p_hebb_kept, p_eligibility_kept, i_kept, inside, b_hebb, b_eligibility, KIND)
        b_drive = tl.load(p_drives + (i_t * episodes + i_n) * H + i_j, mask=valid, other=0.0)
        b_post, b_m, b_hebb, b_eligibility = step(
            b_drive, b_pre, b_hebb, b_eligibility, b_w, b_alpha, b_clip, b_eta, b_mod_weight, b_mod_bias,
            b_rate_weight, b_rate_bias, valid, KIND, MODULATOR,
        )  # fmt: skip
        tl.store(p_h + ((i_t + 1) * episodes + i_n) * H + i_j, b_post, mask=valid)
        tl.store(p_modulation + i_t * episodes + i_n, b_m)
        b_pre = b_post
    store_traces(p_hebb, p_eligibility, i_n * H * H + i_ij, inside, b_hebb, b_eligibility, KIND)


@triton.jit(do_not_specialize=COUNTS)
def act_kernel(
    p_w, p_alpha, p_clip, p_eta, p_mod_weight, p_mod_bias, p_rate_weight, p_rate_bias,
    p_input_weight, p_input_bias, p_policy_weight, p_policy_bias,
    p_walls, side, p_moves, p_free_cells, count, p_clock, p_goal_index, p_reward_size, p_wall_penalty,
    p_action_noise, p_teleport_noise, p_agent, p_observations, p_actions, p_rewards,
    p_h, p_modulation, p_hebb, p_eligibility, p_hebb_kept, p_eligibility_kept, steps, batch,
    KIND: tl.constexpr, MODULATOR: tl.constexpr, EVERY: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """One episode in the maze: as unroll_kernel, with the environment in the same loop.

    The rules are those of bpa.maze and the sampling that of bpa.training.rollout, with the same arithmetic.
    p_input_weight [S, I, H], p_input_bias [S, H], p_policy_weight [S, A, H], p_policy_bias [S, A];
    p_walls [n, n] and p_clock [T], t / T; p_goal_index [N]; p_reward_size, p_wall_penalty [S];
    p_action_noise, p_teleport_noise [T, N]; p_agent [N, 2] moves from where it is to where it ends;
    p_observations [T, N, I], p_actions and p_rewards [T, N] are filled.
    """
    i_s = tl.program_id(1).to(tl.int64)
    episodes = batch * tl.num_programs(1)
    i_n = i_s * batch + tl.program_id(0)
    i_j = tl.arange(0, P)
    valid = i_j < H
    inside = valid[:, None] & valid[None, :]
    i_ij = i_j[:, None] * H + i_j[None, :]
    b_clip, b_eta, b_mod_weight, b_mod_bias, b_rate_weight, b_rate_bias = load_cell(
        p_clip, p_eta, p_mod_weight, p_mod_bias, p_rate_weight, p_rate_bias, i_s, i_j, valid, H
    )
    b_w = tl.load(p_w + i_s * H * H + i_ij, mask=inside, other=0.0)
    b_alpha = tl.full([1, 1], 0.0, tl.float32)
    if KIND != FIXED:
        b_alpha = tl.load(p_alpha + i_s * H * H + i_ij, mask=inside, other=0.0)
    b_hebb, b_eligibility = load_traces(p_hebb, p_eligibility, i_n * H * H + i_ij, inside, KIND)
    b_pre = tl.load(p_h + i_n * H + i_j, mask=valid, other=0.0)

    i_k, i_a = tl.arange(0, SENSES), tl.arange(0, ACTIONS)
    p_input_row = p_input_weight + i_s * OBSERVATION * H + i_j
    b_bias = tl.load(p_input_bias + i_s * H + i_j, mask=valid, other=0.0)
    b_bias += tl.load(p_input_row + 10 * H, mask=valid, other=0.0)  # the sense that is always 1
    p_policy_row = p_policy_weight + i_s * ACTIONS * H + i_j
    b_reward_size, b_wall_penalty = tl.load(p_reward_size + i_s), tl.load(p_wall_penalty + i_s)
    b_goal = tl.load(p_goal_index + i_n)
    b_goal_row, b_goal_column = tl.load(p_free_cells + 2 * b_goal), tl.load(p_free_cells + 2 * b_goal + 1)
    b_row, b_column = tl.load(p_agent + 2 * i_n), tl.load(p_agent + 2 * i_n + 1)
    b_reward, b_action = 0.0, 0
    for i_t in range(steps):
        if EVERY > 0:  # noqa: SIM102, the outer question is asked when the kernel is compiled
            if i_t % EVERY == 0:
                i_kept = (i_t // EVERY * episodes + i_n) * H * H + i_ij
                store_traces(p_hebb_kept, p_eligibility_kept, i_kept, inside, b_hebb, b_eligibility, KIND)
        i_now = i_t * episodes + i_n
        i_window = (b_row + i_k // 3 - 1) * side + b_column + i_k % 3 - 1
        b_walls = tl.load(p_walls + i_window, mask=i_k < 9, other=0).to(tl.float32)
        b_clock = tl.load(p_clock + i_t)
        b_extras = tl.where(i_k == 11, b_clock, tl.where(i_k == 12, b_reward, b_walls))
        b_seen = tl.where((i_k == 10) | (i_k == 13 + b_action), 1.0, b_extras)
        tl.store(p_observations + i_now * OBSERVATION + i_k, b_seen, mask=i_k < OBSERVATION)
        # Row by row, number by number: a product of blocks would have threads wait for each other.
        b_drive = b_bias + tl.load(p_input_row + (13 + b_action) * H, mask=valid, other=0.0)
        b_drive += b_clock * tl.load(p_input_row + 11 * H, mask=valid, other=0.0)
        b_drive += b_reward * tl.load(p_input_row + 12 * H, mask=valid, other=0.0)
        for i_q in tl.static_range(9):
            b_wall = tl.load(p_walls + (b_row + i_q // 3 - 1) * side + b_column + i_q % 3 - 1).to(tl.float32)
            b_drive += b_wall * tl.load(p_input_row + i_q * H, mask=valid, other=0.0)
        b_post, b_m, b_hebb, b_eligibility = step(
            b_drive, b_pre, b_hebb, b_eligibility, b_w, b_alpha, b_clip, b_eta, b_mod_weight, b_mod_bias,
            b_rate_weight, b_rate_bias, valid, KIND, MODULATOR,
        )  # fmt: skip
        tl.store(p_h + (i_now + episodes) * H + i_j, b_post, mask=valid)
        tl.store(p_modulation + i_now, b_m)
        b_pre = b_post

        b_logits = tl.load(p_policy_bias + i_s * ACTIONS + i_a)
        for i_q in tl.static_range(ACTIONS):
            b_weight = tl.load(p_policy_row + i_q * H, mask=valid, other=0.0)
            b_logits += tl.where(i_a == i_q, tl.sum(b_weight * b_post, 0), 0.0)
        b_likely = tl.exp(b_logits - tl.max(b_logits, 0))
        b_softmax = b_likely / tl.sum(b_likely, 0)
        b_policy = tl.where(b_softmax > SMALLEST, b_softmax, 0.0)
        b_passed = tl.load(p_action_noise + i_now) >= tl.cumsum(b_policy, 0)
        b_last = tl.max(tl.where(b_policy > 0.0, i_a, 0), 0)  # that can be taken, however the sum was rounded
        b_action = tl.minimum(tl.sum(b_passed.to(tl.int32), 0), b_last)
        b_row_ahead = b_row + tl.load(p_moves + 2 * b_action)
        b_column_ahead = b_column + tl.load(p_moves + 2 * b_action + 1)
        b_blocked = tl.load(p_walls + b_row_ahead * side + b_column_ahead) != 0
        b_row_landed = tl.where(b_blocked, b_row, b_row_ahead)
        b_column_landed = tl.where(b_blocked, b_column, b_column_ahead)
        b_found = (b_row_landed == b_goal_row) & (b_column_landed == b_goal_column)
        b_nth = tl.minimum((tl.load(p_teleport_noise + i_now) * (count - 1)).to(tl.int32), count - 2)
        b_cell = b_nth + (b_nth >= b_goal).to(tl.int32)
        b_row = tl.where(b_found, tl.load(p_free_cells + 2 * b_cell), b_row_landed)
        b_column = tl.where(b_found, tl.load(p_free_cells + 2 * b_cell + 1), b_column_landed)
        b_reward = b_reward_size * b_found.to(tl.float32) - b_wall_penalty * b_blocked.to(tl.float32)
        tl.store(p_actions + i_now, b_action)
        tl.store(p_rewards + i_now, b_reward)
    store_traces(p_hebb, p_eligibility, i_n * H * H + i_ij, inside, b_hebb, b_eligibility, KIND)
    tl.store(p_agent + 2 * i_n, b_row)
    tl.store(p_agent + 2 * i_n + 1, b_column)


@triton.jit(do_not_specialize=COUNTS)
def backward_kernel(
    p_w, p_alpha, p_clip, p_eta, p_mod_weight, p_mod_bias, p_rate_weight, p_rate_bias,
    p_h, p_modulation, p_hebb_kept, p_eligibility_kept, p_dh, p_dmodulation, p_dhebb, p_deligibility,
    p_dsums, p_dmod, p_drate, p_deta, p_dh0, steps, batch,
    KIND: tl.constexpr, MODULATOR: tl.constexpr, EVERY: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Gradients of one episode, walked in reverse; the book's page on the backward pass has each line.

    Takes what the forward pass left, and from outside p_dh [T, N, H], p_dmodulation [T, N], p_dhebb and
    p_deligibility [N, H, H]. The last two become the gradients of the initial traces. p_dsums [T, N, H],
    p_dmod [T, N] and p_drate [T, N, H] are filled with the gradients of what tanh is given, of what the
    modulator is given, and of the gains; p_deta [N], p_dh0 [N, H] are filled too. The gradient of alpha is
    alpha_kernel's.
    """
    i_s = tl.program_id(1).to(tl.int64)
    episodes = batch * tl.num_programs(1)
    i_n = i_s * batch + tl.program_id(0)
    i_j = tl.arange(0, P)
    valid = i_j < H
    inside = valid[:, None] & valid[None, :]
    i_ij = i_j[:, None] * H + i_j[None, :]
    b_clip, b_eta, b_mod_weight, _mod_bias, b_rate_weight, b_rate_bias = load_cell(
        p_clip, p_eta, p_mod_weight, p_mod_bias, p_rate_weight, p_rate_bias, i_s, i_j, valid, H
    )
    b_dhebb, b_deligibility = load_traces(p_dhebb, p_deligibility, i_n * H * H + i_ij, inside, KIND)
    b_dlater = tl.full([P], 0.0, tl.float32)  # what the step after this one asks of x(t)
    b_deta = 0.0
    for i_back in range(steps):
        i_t = steps - 1 - i_back
        i_now = i_t * episodes + i_n
        b_pre = tl.load(p_h + i_now * H + i_j, mask=valid, other=0.0)
        b_post = tl.load(p_h + (i_now + episodes) * H + i_j, mask=valid, other=0.0)
        b_dpost = b_dlater + tl.load(p_dh + i_now * H + i_j, mask=valid, other=0.0)
        if KIND != FIXED:
            # Walk forward again from the last stored traces to those before this step.
            i_kept = (i_t // EVERY * episodes + i_n) * H * H + i_ij
            b_hebb, b_eligibility = load_traces(p_hebb_kept, p_eligibility_kept, i_kept, inside, KIND)
            for i_u in range(i_t // EVERY * EVERY, i_t):
                i_then = i_u * episodes + i_n
                b_before = tl.load(p_h + i_then * H + i_j, mask=valid, other=0.0)
                b_after = tl.load(p_h + (i_then + episodes) * H + i_j, mask=valid, other=0.0)
                b_gain = b_rate_weight * tl.load(p_modulation + i_then) + b_rate_bias
                b_hebb, b_eligibility = rewire(
                    b_before, b_after, b_gain, b_hebb, b_eligibility, b_clip, b_eta, KIND
                )

            b_m = tl.load(p_modulation + i_now)
            b_gain = b_rate_weight * b_m + b_rate_bias
            if KIND == HEBBIAN:
                b_change = b_gain * b_post
                b_given = b_hebb + b_pre[:, None] * b_change[None, :]
                b_dgiven = tl.where(tl.abs(b_given) <= b_clip, b_dhebb, 0.0)  # the bound itself is not cut
                b_dchange = over_rows(b_dgiven * b_pre[:, None], valid)
                b_dgain = b_dchange * b_post
                b_dpost += b_dchange * b_gain
            else:
                b_given = b_hebb + b_gain[None, :] * b_eligibility
                b_dgiven = tl.where(tl.abs(b_given) <= b_clip, b_dhebb, 0.0)
                b_dgain = over_rows(b_dgiven * b_eligibility, valid)
                b_dimprint = over_rows(b_deligibility * b_pre[:, None], valid)
                b_dpost += b_dimprint * b_eta
                b_deta += tl.sum(b_dimprint * b_post - over_rows(b_deligibility * b_eligibility, valid), 0)
            b_dm = tl.load(p_dmodulation + i_now) + tl.sum(b_dgain * b_rate_weight, 0)
            if MODULATOR == TANH:
                b_dm *= 1.0 - b_m * b_m
            elif MODULATOR == SIGMOID:
                b_dm *= b_m * (1.0 - b_m)
            b_dpost += b_dm * b_mod_weight
            tl.store(p_dmod + i_now, b_dm)
            tl.store(p_drate + i_now * H + i_j, b_dgain, mask=valid)

        b_dsum = b_dpost * (1.0 - b_post * b_post)
        tl.store(p_dsums + i_now * H + i_j, b_dsum, mask=valid)
        b_w = tl.load(p_w + i_s * H * H + i_ij, mask=inside, other=0.0)
        if KIND == FIXED:
            b_dlater = tl.sum(b_w * b_dsum[None, :], 1)
        else:
            b_alpha = tl.load(p_alpha + i_s * H * H + i_ij, mask=inside, other=0.0)
            b_dpre = (b_w + b_alpha * b_hebb) * b_dsum[None, :]
            if KIND == HEBBIAN:
                b_dpre += b_dgiven * b_change[None, :]
            else:
                b_dpre += b_deligibility * (b_eta * b_post)[None, :]
                b_deligibility = (1.0 - b_eta) * b_deligibility + b_gain[None, :] * b_dgiven
            b_dhebb = b_dgiven + b_alpha * (b_pre[:, None] * b_dsum[None, :])
            b_dlater = tl.where(valid, tl.sum(b_dpre, 1), 0.0)
    tl.store(p_deta + i_n, b_deta)
    tl.store(p_dh0 + i_n * H + i_j, b_dlater, mask=valid)
    store_traces(p_dhebb, p_deligibility, i_n * H * H + i_ij, inside, b_dhebb, b_deligibility, KIND)


@triton.jit(do_not_specialize=COUNTS)
def alpha_kernel(
    p_clip, p_eta, p_mod_weight, p_mod_bias, p_rate_weight, p_rate_bias,
    p_h, p_modulation, p_hebb_kept, p_eligibility_kept, p_dsums, p_dalpha, steps, batch,
    KIND: tl.constexpr, EVERY: tl.constexpr, H: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """dalpha_ij = sum_t Hebb_ij(t) x_i(t-1) dsums_j(t), in parts [S, slots, H, H].

    A slot takes every so many-th pair of an episode and a stretch between two stored traces, and adds up in
    the order of the pairs. So the parts need no atomic additions, and their number no more memory with B.
    """
    i_s = tl.program_id(1).to(tl.int64)
    episodes = batch * tl.num_programs(1)
    i_slot, slots = tl.program_id(0), tl.num_programs(0)
    i_j = tl.arange(0, P)
    valid = i_j < H
    inside = valid[:, None] & valid[None, :]
    i_ij = i_j[:, None] * H + i_j[None, :]
    b_clip, b_eta, _mod_weight, _mod_bias, b_rate_weight, b_rate_bias = load_cell(
        p_clip, p_eta, p_mod_weight, p_mod_bias, p_rate_weight, p_rate_bias, i_s, i_j, valid, H
    )
    b_dalpha = tl.full([P, P], 0.0, tl.float32)
    for i_pair in range(i_slot, batch * tl.cdiv(steps, EVERY), slots):
        i_n, i_stretch = i_s * batch + i_pair % batch, i_pair // batch
        i_kept = (i_stretch * episodes + i_n) * H * H + i_ij
        b_hebb, b_eligibility = load_traces(p_hebb_kept, p_eligibility_kept, i_kept, inside, KIND)
        for i_t in range(i_stretch * EVERY, tl.minimum(i_stretch * EVERY + EVERY, steps)):
            i_now = i_t * episodes + i_n
            b_pre = tl.load(p_h + i_now * H + i_j, mask=valid, other=0.0)
            b_post = tl.load(p_h + (i_now + episodes) * H + i_j, mask=valid, other=0.0)
            b_dsum = tl.load(p_dsums + i_now * H + i_j, mask=valid, other=0.0)
            b_dalpha += b_hebb * (b_pre[:, None] * b_dsum[None, :])
            b_gain = b_rate_weight * tl.load(p_modulation + i_now) + b_rate_bias
            b_hebb, b_eligibility = rewire(b_pre, b_post, b_gain, b_hebb, b_eligibility, b_clip, b_eta, KIND)
    i_place = (i_s * slots + i_slot) * H * H + i_ij
    tl.store(p_dalpha + i_place, b_dalpha, mask=inside)


@triton.jit
def touch_kernel(p_place):
    """The smallest thing that shows whether kernels can be compiled and run here"""
    tl.store(p_place, 1.0)


def interpreted():
    """Whether the interpreter runs these kernels: TRITON_INTERPRET was set before Triton was read, and is"""
    compiled = isinstance(touch_kernel, triton.JITFunction) or isinstance(tl.sum, triton.JITFunction)
    return triton.knobs.runtime.interpret and not compiled
