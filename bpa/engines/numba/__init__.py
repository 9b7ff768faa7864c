"""The CPU engine: a backward pass by hand, in loops that Numba compiles.

The engine covers the part of a network that is shaped like Hebb. Of a sequence the rest stays with PyTorch:
the drives i2h(input) of all steps are one product before it, and the heads one after it. Of an episode, where
each step waits for the one before, the linear layers are in the loops too, there and back.

The loops are in `vectors` (registers as wide as the machine's), `traces` (the way forward), `environments`
(the rules of the maze and the cues), `acting` (both in one loop, and the plain LSTM) and `backward`;
`compiling` keeps them on disk. None of these knows PyTorch. They work on a few episodes at a time, and arrays
are float32 and C-contiguous. Shapes: T time, B batch, G episodes of one group, H hidden, P = H rounded up to
a multiple of LANES; columns from H on hold zeros and stay zero, so that every inner loop runs over whole
vectors. The rows of matrices are filled up to a multiple of ROWS, and their number is called H too. Row i is
the pre-synaptic neuron, column j the post-synaptic one. Activities carry the initial state in front: h is
[T + 1, B, P] and h[t] is x(t-1) of the papers.

Six things make the loops fast:

- Hebb is swept once a step: an element that one step changes is read by the next at once.
- Several rows of Hebb are swept side by side, so that what belongs to the columns is fetched once for all.
- A group of episodes runs in step, so that a row of w and alpha, once fetched, serves them all.
- Numbers are taken by the register. With AVX-512 it is a line of the cache, and each row begins with one.
- Hebb is not kept for the backward pass. It is stored every so many steps and rebuilt in between, which
  needs no sums: an element depends on nothing but its own past and two numbers a step. Of what is rebuilt
  every second step is written, because writing into the cache is what takes longest.
- Within a step no view of an array is made and no tuple of arrays is handed on for one episode alone: each
  array would be counted in and out, by all threads in one place.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor, nn

from bpa.engines.cell import Cell, KernelCell, LoopNetwork, slow_gradients, steps_of, wants_gradient
from bpa.engines.context import asks_for_more
from bpa.engines.eager import Unrolled
from bpa.engines.numba import vectors
from bpa.engines.numba.acting import act_group
from bpa.engines.numba.backward import Gradients, Outside, backward_group
from bpa.engines.numba.environments import Choice, Environment, Episodes, Layers
from bpa.engines.numba.traces import ROWS, Run, Weights, unroll_group
from bpa.engines.numba.vectors import LANES
from bpa.engines.offers import accepted
from bpa.engines.threads import helpers, loop_threads
from bpa.engines.view import ActionNoise, KernelView, Viewed

GROUP = 4  # most episodes that run in step in one loop
KEEP_EVERY = 16  # steps between two stored traces: memory against what fits in the cache when rebuilt

Settings = tuple[int, np.float32, int]  # kind of traces, clip and modulator


class Start(NamedTuple):
    """What a run begins with and is given."""

    drives: Tensor  # [T, B, H]; [T, B, 0] where the loops make them of what is seen
    h: Tensor  # [B, H]
    hebb: Tensor  # [B, H, H]; [B, 0, 0] without
    eligibility: Tensor  # [B, H, H]; [B, 0, 0] without


class Ends(NamedTuple):
    """The linear layers before and after, as far as they are a matter of the loops; else I or N is 0."""

    input_weight: Tensor  # [H, I]
    input_bias: Tensor  # [H]
    head_weight: Tensor  # [N, H]
    head_bias: Tensor  # [N]


INPUTS = sum(len(kind._fields) for kind in (Start, Cell, Ends))  # tensors that `Plastic` is given


def try_out() -> None:
    """Compile and run the smallest kernel; whatever Numba lacks is raised."""
    if getattr(numba.config, "DISABLE_JIT", False):
        raise RuntimeError("compiling is switched off, by NUMBA_DISABLE_JIT")
    numbers = np.arange(LANES, dtype=np.float32)
    if vectors.dot(numbers, (), numbers, ()) != numbers @ numbers:
        raise RuntimeError("a product of two vectors is wrong")


def padded(tensor: Tensor) -> Tensor:
    """A copy [..., P] of tensor [..., H]: columns filled up with zeros to whole vectors."""
    *outside, size = tensor.shape
    copy = tensor.new_zeros(*outside, size + -size % LANES)
    copy[..., :size] = tensor.detach()
    return copy


def padded_square(tensor: Tensor) -> Tensor:
    """A copy [..., R, P] of tensor [..., H, H]: as `padded`, and rows filled up to whole blocks of them."""
    size = tensor.shape[-1]
    copy = tensor.new_zeros(*tensor.shape[:-2], size + -size % ROWS, size + -size % LANES)
    copy[..., :size, :size] = tensor.detach()
    return copy


def as_arrays(value: Any) -> Any:
    """Tensors, also those within named tuples, as NumPy arrays on the same memory; anything else as it is."""
    if isinstance(value, Tensor):
        return value.detach().numpy()
    if isinstance(value, tuple):
        return type(value)(*map(as_arrays, value))
    return value


def group_bounds(batch_size: int) -> list[tuple[int, int]]:
    """First and last + 1 of each group of episodes: a matter of the batch alone, never of the threads."""
    size = min(GROUP, max(1, batch_size // 8))
    return [(first, min(first + size, batch_size)) for first in range(0, batch_size, size)]


def in_parallel(loop: Callable[..., None], bounds: Sequence[tuple[int, int]], *arguments: Any) -> None:
    """Call loop(group, first, last, ...) for the groups of episodes in `bounds`, in `loop_threads()` threads.

    Each thread takes the next group when it is done with one, so that one held up delays nobody for long.
    """
    arrays = list(map(as_arrays, arguments))
    waiting = iter(list(enumerate(bounds)))

    def work() -> None:
        for group, (first, last) in waiting:  # next() of a list's iterator is atomic
            loop(group, first, last, *arrays)

    threads = min(loop_threads(), len(bounds))
    if threads == 1:
        work()
        return
    others = [helpers(threads - 1).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        begun = [other for other in others if not other.cancel()]  # the rest would find no group left
        wait(begun)  # whatever went wrong here: they write into the same arrays
    for other in begun:
        other.result()


def fresh_run(hidden: Any, steps: int, keep: bool) -> Run[Tensor]:
    """Room for a run from `hidden`; its traces are copied, so that the caller's stay as they are."""
    batch_size, size = hidden.h.shape
    h = padded(hidden.h)
    activities = h.new_empty(steps + 1, *h.shape)
    activities[0] = h
    every = KEEP_EVERY if keep else 0
    kept = math.ceil(steps / every) if keep else 0

    def own(traces: Tensor | None) -> tuple[Tensor, Tensor]:
        """A copy, and room for those kept on the way, filled up as in `padded_square`."""
        if traces is None:
            return h.new_empty(batch_size, 0, 0), h.new_empty(kept, batch_size, 0, 0)
        copy = traces.detach().clone(memory_format=torch.contiguous_format)
        return copy, h.new_empty(kept, batch_size, size + -size % ROWS, h.shape[1])

    hebb, hebb_kept = own(hidden.hebb)
    eligibility, eligibility_kept = own(hidden.eligibility)
    modulation = h.new_empty(steps, batch_size)
    return Run(activities, modulation, hebb, eligibility, hebb_kept, eligibility_kept, every)


def settings(cell: KernelCell) -> Settings:
    """Kind of traces, clip and modulator."""
    return cell.kind, np.float32(cell.clip), cell.modulator


def weights_for_loop(fixed: Settings, parameters: Cell) -> Weights:
    """What every loop reads of a network."""
    kind, clip, modulator = fixed
    return Weights(
        kind,
        clip,
        np.float32(parameters.eta.item()),
        as_arrays(padded_square(parameters.w)),
        as_arrays(padded_square(parameters.alpha)),
        as_arrays(padded(parameters.mod_weight)),
        np.float32(parameters.mod_bias.item()),
        modulator,
        as_arrays(padded(parameters.rate_weight)),
        as_arrays(padded(parameters.rate_bias)),
    )


def layers_for_loop(ends: Ends, policy: nn.Linear) -> Layers:
    """The linear layers of a network that acts; of its heads the policy alone where `ends` has none."""
    if len(ends.head_bias) == 0:
        ends = ends._replace(head_weight=policy.weight, head_bias=policy.bias)
    weight, bias = padded(ends.input_weight.T), padded(ends.input_bias)
    return Layers(*map(as_arrays, (weight, bias, padded(ends.head_weight), ends.head_bias)))


def no_ends(cell: KernelCell) -> Ends:
    """No layers at all."""
    w = cell.parameters.w
    return Ends(w.new_zeros(len(w), 0), w.new_zeros(len(w)), w.new_zeros(0, len(w)), w.new_zeros(0))


def both_ends(cell: KernelCell) -> Ends:
    """The layers of an agent; none of its heads where somebody has replaced one of them."""
    ends = no_ends(cell)._replace(input_weight=cell.i2h.weight, input_bias=cell.i2h.bias)
    layers = cell.h2o, cell.h2v
    if any(type(layer) is not nn.Linear or layer.bias is None for layer in layers):
        return ends
    weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    return ends._replace(head_weight=weight, head_bias=bias)


class Plastic(torch.autograd.Function):
    """From what a run begins with, a cell and layers to heads, activity, modulation and final traces.

    Forward hands out a finished `Run`; backward walks it in reverse. Where that is to be differentiated
    again, `steps_of` walks forward once more instead, by PyTorch.
    """

    @staticmethod
    def forward(
        ctx: Any, run: Run[Tensor], weights: Weights, heads: Tensor, seen: Tensor, *inputs: Tensor
    ) -> tuple[Tensor, ...]:
        """Inputs: those of `Start`, `Cell` and `Ends`, one after another.

        `weights` is the cell as the loops took it, `heads` [T, B, N] what they computed, and `seen` [T, B, I]
        what the drives were made of.
        """
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, seen, *run[:-1])
        ctx.weights, ctx.every = weights, run.every
        return heads, run.h[1:, :, : inputs[1].shape[1]], run.modulation, run.hebb, run.eligibility

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        """Gradients of all inputs."""
        saved = ctx.saved_tensors  # asked for once: a checkpoint that recomputes allows no more
        inputs, seen, stored = saved[:INPUTS], saved[INPUTS], saved[INPUTS + 1 :]
        needed = ctx.needs_input_grad[4:]
        if asks_for_more(gradients):
            again = functools.partial(outputs_of, ctx.weights, seen)
            return None, None, None, None, *slow_gradients(again, inputs, needed, gradients)
        run: Run[Tensor] = Run._make([*stored, ctx.every])
        found = fast_gradients(inputs, run, ctx.weights, seen, needed, gradients)
        return None, None, None, None, *found


def parts_of(inputs: Sequence[Tensor]) -> tuple[Start, Cell, Ends]:
    """The inputs of `Plastic` by their names."""
    begin, end = len(Start._fields), INPUTS - len(Ends._fields)
    return Start._make(inputs[:begin]), Cell._make(inputs[begin:end]), Ends._make(inputs[end:])


def outputs_of(weights: Weights, seen: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """What `Plastic` gives, by PyTorch's own operations."""
    start, cell, ends = parts_of(inputs)
    drives = start.drives
    if drives.shape[2] == 0:
        drives = torch.nn.functional.linear(seen, ends.input_weight, ends.input_bias)
    h, *rest = steps_of(weights.kind, float(weights.clip), weights.modulator, drives, *start[1:], *cell)
    return torch.nn.functional.linear(h, ends.head_weight, ends.head_bias), h, *rest


def fast_gradients(
    inputs: Sequence[Tensor],
    run: Run[Tensor],
    weights: Weights,
    seen: Tensor,
    needed: Sequence[bool],
    gradients: Sequence[Tensor | None],
) -> tuple[Tensor, ...]:
    """The gradients of all inputs of `Plastic`, by the loops, from those of its outputs."""
    start, _, ends = parts_of(inputs)
    (steps, batch_size), size = run.modulation.shape, start.h.shape[1]
    dheads, dh, dmodulation, dhebb, deligibility = gradients
    room = run.h.new_empty

    def given(gradient: Tensor | None, *empty: int) -> Tensor:
        return room(empty) if gradient is None else gradient.contiguous()

    def wanted(like: Tensor, asked: bool, *empty: int) -> Tensor:
        return room(like.shape if asked else empty)

    outside = Outside(
        given(dheads, steps, batch_size, 0),
        given(dh, steps, batch_size, 0),
        room(steps, batch_size, 0) if dmodulation is None else dmodulation.contiguous()[..., None],
        given(dhebb, batch_size, 0, 0),
        given(deligibility, batch_size, 0, 0),
    )
    groups, width = len(group_bounds(batch_size)), run.h.shape[-1]
    square = groups, *weights.w.shape
    found = Gradients(
        drives=wanted(start.drives, needed[0], steps, batch_size, 0),
        mod=room(steps, batch_size),
        h0=room(batch_size, size),
        hebb0=wanted(start.hebb, needed[2], batch_size, 0, 0),
        eligibility0=wanted(start.eligibility, needed[3], batch_size, 0, 0),
        eta=room(batch_size),
        w=room(square),
        alpha=room(square if weights.alpha.size else (groups, 0, 0)),
        mod_weight=room(groups, width),
        rate_weight=room(groups, width),
        rate_bias=room(groups, width),
        input_weight=room(groups, ends.input_weight.shape[1], width),
        input_bias=room(groups, width),
        head_weight=room(groups, len(ends.head_weight), width),
    )
    head_weight = padded(ends.head_weight)
    in_parallel(backward_group, group_bounds(batch_size), weights, head_weight, run, seen, outside, found)
    return (
        found.drives,
        found.h0,
        found.hebb0,
        found.eligibility0,
        found.w.sum(0)[:size, :size],
        found.alpha.sum(0)[:size, :size],
        found.eta.sum(0, keepdim=True),
        found.mod_weight.sum(0)[:size],
        found.mod.sum()[None],
        found.rate_weight.sum(0)[:size],
        found.rate_bias.sum(0)[:size],
        found.input_weight.sum(0)[:, :size].T,
        found.input_bias.sum(0)[:size],
        found.head_weight.sum(0)[:, :size],
        outside.heads.sum((0, 1)),
    )


def outputs(
    cell: KernelCell,
    run: Run[Tensor],
    weights: Weights,
    start: Start,
    hidden: Any,
    ends: Ends,
    heads: Tensor,
    seen: Tensor,
) -> tuple[Tensor, Tensor, Tensor | None, Any]:
    """Heads [T, B, N], h [T, B, H], modulation [T, B] and final state of a finished run, with their way back.

    `hidden` is a state of the network's own kind; the others are as of `Plastic`.
    """
    heads, h, modulation, hebb, eligibility = Plastic.apply(
        run, weights, heads, seen, *start, *cell.parameters, *ends
    )
    final = type(hidden)(
        h[-1],
        None if hidden.hebb is None else hebb,
        None if hidden.eligibility is None else eligibility,
    )
    return heads, h, modulation if cell.modulated else None, final


def start_of(drives: Tensor, hidden: Any) -> Start:
    """What a run begins with."""
    nothing = drives.new_zeros(len(hidden.h), 0, 0)
    hebb = nothing if hidden.hebb is None else hidden.hebb
    return Start(drives, hidden.h, hebb, nothing if hidden.eligibility is None else hidden.eligibility)


def run_unroll(weights: Weights, drives: Tensor, run: Run[Tensor]) -> None:
    """Fill `run` from its initial state by drives [T, B, H]."""
    in_parallel(unroll_group, group_bounds(drives.shape[1]), weights, drives.contiguous(), run)


def unroll(net: LoopNetwork, xs: Tensor, hidden: Any) -> Unrolled:
    """As `bpa.engines.eager.unroll`."""
    cell = accepted(net.kernel_cell())
    drives = cell.i2h(xs)
    run = fresh_run(hidden, len(xs), keep=wants_gradient(net, xs, *hidden))
    weights = weights_for_loop(settings(cell), cell.parameters)
    run_unroll(weights, drives, run)
    nothing = drives.new_zeros(*drives.shape[:2], 0)
    start = start_of(drives, hidden)
    _, h, modulation, hidden = outputs(cell, run, weights, start, hidden, no_ends(cell), nothing, nothing)
    logits, values = net.heads(h)
    return Unrolled(logits, values, modulation, h, hidden)


def environment_for_loop(view: KernelView) -> Environment:
    """What the loops read of a view, as arrays; they move its agents."""
    names = ("walls", "moves", "free_cells", "goal_index", "teleport", "agent", "shown", "answers")
    arrays = [as_arrays(getattr(view, name).contiguous()) for name in names]
    rewards = np.float32(view.reward), np.float32(view.penalty)
    return Environment(view.rules, *rewards, view.first_action, view.answer_delay, *arrays)


def run_episodes(
    loop: Callable[..., None],
    env: Viewed,
    noise: ActionNoise,
    greedy: bool,
    weights: Any,
    layers: Layers,
    *filled: Any,
) -> Episodes[Tensor]:
    """Whole episodes inside `loop`, one of those that act, in an environment just reset, left at their end.

    Args:
        greedy: whether the likeliest actions are taken. weights, layers: what `loop` reads of the network.
        filled: what it fills besides the episodes.
    """
    view = accepted(env.kernel_view(noise))
    steps, batch_size = noise.action.shape
    new = noise.action.new_empty
    episodes = Episodes(
        noise=noise.action.contiguous(),
        observations=new(steps, batch_size, view.observation_size),
        actions=torch.empty(steps, batch_size, dtype=torch.int64, device="cpu"),
        rewards=new(steps, batch_size),
        heads=new(steps, batch_size, len(layers.head_bias)),
    )
    environment = environment_for_loop(view)
    choice = Choice(view.num_actions, greedy)
    in_parallel(loop, group_bounds(batch_size), weights, layers, choice, environment, episodes, *filled)
    view.finish(episodes.rewards, episodes.actions)
    return episodes


def act(net: LoopNetwork, env: Viewed, noise: ActionNoise, greedy: bool = False) -> tuple[Any, ...]:
    """Whole episodes in an environment just reset, which is left at their end.

    Of `noise`, action [T, B] is used here, unless the likeliest actions are taken, `greedy`. The rest is used
    by the environment's `kernel_view`.

    Returns observations [T, B, I], actions int64 [T, B], rewards [T, B], and what `unroll` returns.
    """
    cell = accepted(net.kernel_cell())
    ends = both_ends(cell)
    hidden = net.initial_state(noise.action.shape[1])
    run = fresh_run(hidden, len(noise.action), keep=wants_gradient(net))
    weights = weights_for_loop(settings(cell), cell.parameters)
    seen = run_episodes(act_group, env, noise, greedy, weights, layers_for_loop(ends, cell.h2o), run)
    start = start_of(seen.heads.new_zeros(*noise.action.shape, 0), hidden)
    inside = len(ends.head_bias) > 0
    heads, h, modulation, hidden = outputs(
        cell, run, weights, start, hidden, ends, seen.heads[..., : len(ends.head_bias)], seen.observations
    )
    logits, values = (heads[..., :-1], heads[..., -1]) if inside else net.heads(h)
    return seen.observations, seen.actions, seen.rewards, logits, values, modulation, h, hidden
