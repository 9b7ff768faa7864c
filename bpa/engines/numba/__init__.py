"""The CPU engine: a backward pass by hand, in loops that Numba compiles.

The engine covers the part of a network that is shaped like Hebb. The rest stays with PyTorch: the drives
i2h(input) of all steps are one product before it, the heads one after it, and the gradients of w and of the
linear layers are products over all steps too.

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

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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
from bpa.engines.numba.environments import Environment, Episodes, Layers
from bpa.engines.numba.traces import ROWS, Run, Weights, unroll_group
from bpa.engines.numba.vectors import LANES
from bpa.engines.offers import accepted
from bpa.engines.threads import loop_threads
from bpa.engines.view import ActionNoise, KernelView, Viewed

GROUP = 4  # most episodes that run in step in one loop
INPUTS = 4 + len(Cell._fields)  # tensors that `Plastic` is given
KEEP_EVERY = 16  # steps between two stored traces: memory against what fits in the cache when rebuilt

Settings = tuple[int, np.float32, int]  # kind of traces, clip and modulator


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


def in_parallel(loop: Callable[..., None], batch_size: int, *arguments: Any) -> None:
    """Call loop(group, first, last, ...) for all groups of episodes, in `loop_threads()` threads.

    Each thread takes the next group when it is done with one, so that one held up delays nobody for long.
    """
    bounds = group_bounds(batch_size)
    arrays = list(map(as_arrays, arguments))
    waiting = iter(list(enumerate(bounds)))

    def work() -> None:
        for group, (first, last) in waiting:  # next() of a list's iterator is atomic
            loop(group, first, last, *arrays)

    threads = min(loop_threads(), len(bounds))
    if threads == 1:
        work()
        return
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()
        for other in others:
            other.result()


def fresh_run(hidden: Any, steps: int, keep: bool) -> Run[Tensor]:
    """Room for a run from `hidden`; its traces are copied, so that the caller's stay as they are."""
    batch_size = len(hidden.h)
    h = padded(hidden.h)
    activities = h.new_empty(steps + 1, *h.shape)
    activities[0] = h
    nothing = h.new_zeros(batch_size, 0, 0)
    hebb = nothing if hidden.hebb is None else padded_square(hidden.hebb)
    eligibility = nothing if hidden.eligibility is None else padded_square(hidden.eligibility)
    every = KEEP_EVERY if keep else 0
    kept = math.ceil(steps / every) if keep else 0
    return Run(
        activities,
        h.new_empty(steps, batch_size),
        hebb,
        eligibility,
        h.new_empty(kept, *hebb.shape),
        h.new_empty(kept, *eligibility.shape),
        every,
    )


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


def layers_for_loop(cell: KernelCell) -> Layers:
    """The linear layers of a network that acts."""
    weight, bias = padded(cell.i2h.weight.T), padded(cell.i2h.bias)
    return Layers(*map(as_arrays, (weight, bias, padded(cell.h2o.weight), cell.h2o.bias)))


class Plastic(torch.autograd.Function):
    """From drives, initial state and cell to activity, modulation and final traces.

    Forward hands out a finished `Run`; backward walks it in reverse. Where that is to be differentiated
    again, `steps_of` walks forward once more instead, by PyTorch.
    """

    @staticmethod
    def forward(
        ctx: Any, run: Run[Tensor], fixed: Settings, seen: tuple[Tensor, ...], *inputs: Tensor
    ) -> tuple[Tensor, ...]:
        """Inputs: drives [T, B, H], h0 [B, H], hebb0 and eligibility0 [B, H, H] or empty, and a Cell's.

        `seen`: the inputs of `Drives`, if the drives come from there.
        """
        ctx.save_for_backward(*inputs, *run[:-1], *seen)
        ctx.fixed, ctx.every = fixed, run.every
        size = inputs[0].shape[-1]
        return (
            run.h[1:, :, :size],
            run.modulation,
            run.hebb[..., :size, :size],
            run.eligibility[..., :size, :size],
        )

    @staticmethod
    def backward(
        ctx: Any, dh: Tensor, dmodulation: Tensor, dhebb: Tensor, deligibility: Tensor
    ) -> tuple[Any, ...]:
        """Gradients of all inputs."""
        saved = ctx.saved_tensors  # asked for once: a checkpoint that recomputes allows no more
        inputs, rest = saved[:INPUTS], saved[INPUTS:]
        stored, seen = rest[: len(Run._fields) - 1], rest[len(Run._fields) - 1 :]
        kind, clip, modulator = ctx.fixed
        if asks_for_more((dh, dmodulation, dhebb, deligibility)):

            def again(drives: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
                if seen:
                    with torch.no_grad():  # `drives` is 0, and has the way back
                        numbers = torch.nn.functional.linear(*seen)
                    drives = drives + numbers
                return steps_of(kind, float(clip), modulator, drives, *others)

            gradients = (dh, dmodulation, dhebb, deligibility)
            return None, None, None, *slow_gradients(again, inputs, ctx.needs_input_grad[3:], gradients)
        run: Run[Tensor] = Run._make([*stored, ctx.every])
        steps, batch_size, size = dh.shape
        outside = Outside(
            dh.contiguous(), dmodulation.contiguous(), padded_square(dhebb), padded_square(deligibility)
        )
        groups, width = len(group_bounds(batch_size)), run.h.shape[-1]
        found = Gradients(
            sums=torch.empty_like(run.h[1:]),
            mod=torch.empty_like(run.modulation),
            h0=torch.empty_like(run.h[0]),
            eta=dh.new_zeros(batch_size),
            alpha=dh.new_zeros(groups, *outside.hebb.shape[1:]),
            mod_weight=dh.new_zeros(groups, width),
            rate_weight=dh.new_zeros(groups, width),
            rate_bias=dh.new_zeros(groups, width),
        )
        weights = weights_for_loop(ctx.fixed, Cell._make(inputs[4:]))
        in_parallel(backward_group, batch_size, weights, run, outside, found)

        def flat(per_step: Tensor) -> Tensor:
            return per_step.reshape(steps * batch_size, -1)[:, :size]

        return (
            None,
            None,
            None,
            found.sums[..., :size],
            found.h0[:, :size],
            outside.hebb[..., :size, :size],
            outside.eligibility[..., :size, :size],
            flat(run.h[:-1]).T @ flat(found.sums),
            found.alpha.sum(0)[:size, :size],
            found.eta.sum(0, keepdim=True),
            found.mod_weight.sum(0)[:size],
            found.mod.sum()[None],
            found.rate_weight.sum(0)[:size],
            found.rate_bias.sum(0)[:size],
        )


class Drives(torch.autograd.Function):
    """i2h(observations) of a run whose loop has added them itself: the way back without the numbers.

    The output has the drives' shape [T, B, H] and no values of its own; `Plastic` reads none.
    """

    @staticmethod
    def forward(ctx: Any, observations: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Inputs: observations [T, B, I], and the weight [H, I] and bias [H] of i2h."""
        ctx.save_for_backward(observations)
        return weight.new_zeros(1).expand(*observations.shape[:2], len(weight))

    @staticmethod
    def backward(ctx: Any, ddrives: Tensor) -> tuple[Any, ...]:
        """Gradients of weight and bias; observations have none."""
        (observations,) = ctx.saved_tensors
        ddrives = ddrives.flatten(0, 1)
        return None, ddrives.T @ observations.flatten(0, 1), ddrives.sum(0)


def outputs(
    cell: KernelCell, run: Run[Tensor], drives: Tensor, hidden: Any, seen: tuple[Tensor, ...] = ()
) -> tuple[Tensor, Tensor | None, Any]:
    """h [T, B, H], modulation [T, B] and the final state of a finished run, with their way back.

    `seen`: as of `Plastic`.
    """
    nothing = drives.new_zeros(len(hidden.h), 0, 0)
    hebb0 = nothing if hidden.hebb is None else hidden.hebb
    eligibility0 = nothing if hidden.eligibility is None else hidden.eligibility
    h, modulation, hebb, eligibility = Plastic.apply(
        run, settings(cell), seen, drives, hidden.h, hebb0, eligibility0, *cell.parameters
    )
    final = type(hidden)(
        h[-1],
        None if hidden.hebb is None else hebb,
        None if hidden.eligibility is None else eligibility,
    )
    return h, modulation if cell.modulated else None, final


def heads(net: LoopNetwork, cell: KernelCell, h: Tensor) -> tuple[Tensor, Tensor]:
    """net.heads(h), as one product where both are linear: half as many sweeps over h, there and back."""
    layers = cell.h2o, cell.h2v
    if any(type(layer) is not nn.Linear or layer.bias is None for layer in layers):  # one was replaced
        return net.heads(h)
    weight, bias = torch.cat([layer.weight for layer in layers]), torch.cat([layer.bias for layer in layers])
    both = torch.nn.functional.linear(h, weight, bias)
    return both[..., :-1], both[..., -1]


def run_unroll(cell: KernelCell, drives: Tensor, run: Run[Tensor]) -> None:
    """Fill `run` from its initial state by drives [T, B, H]."""
    weights = weights_for_loop(settings(cell), cell.parameters)
    in_parallel(unroll_group, drives.shape[1], weights, drives.contiguous(), run)


def unroll(net: LoopNetwork, xs: Tensor, hidden: Any) -> Unrolled:
    """As `bpa.engines.eager.unroll`."""
    cell = accepted(net.kernel_cell())
    drives = cell.i2h(xs)
    run = fresh_run(hidden, len(xs), keep=wants_gradient(net, xs, *hidden))
    run_unroll(cell, drives, run)
    h, modulation, hidden = outputs(cell, run, drives, hidden)
    logits, values = heads(net, cell, h)
    return Unrolled(logits, values, modulation, h, hidden)


def environment_for_loop(view: KernelView) -> Environment:
    """What the loops read of a view, as arrays; they move its agents."""
    names = ("walls", "moves", "free_cells", "goal_index", "teleport", "agent", "shown", "answers")
    arrays = [as_arrays(getattr(view, name).contiguous()) for name in names]
    rewards = np.float32(view.reward), np.float32(view.penalty)
    return Environment(view.rules, *rewards, view.first_action, view.answer_delay, *arrays)


def run_episodes(
    loop: Callable[..., None], env: Viewed, noise: ActionNoise, weights: Any, layers: Layers, *filled: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Whole episodes inside `loop`, one of those that act, in an environment just reset, left at their end.

    Args:
        weights, layers: what `loop` reads of the network. filled: what it fills besides the episodes.

    Returns:
        Observations [T, B, I], actions int64 [T, B] and rewards [T, B].
    """
    view = accepted(env.kernel_view(noise))
    steps, batch_size = noise.action.shape
    observations = noise.action.new_empty(steps, batch_size, view.observation_size)
    actions = torch.empty(steps, batch_size, dtype=torch.int64, device="cpu")
    rewards = noise.action.new_empty(steps, batch_size)
    episodes = Episodes(noise.action.contiguous(), observations, actions, rewards)
    in_parallel(loop, batch_size, weights, layers, environment_for_loop(view), episodes, *filled)
    view.finish(rewards, actions)
    return observations, actions, rewards


def act(net: LoopNetwork, env: Viewed, noise: ActionNoise) -> tuple[Any, ...]:
    """Whole episodes in an environment just reset, which is left at their end.

    Of `noise`, action [T, B] is used here, and the rest by the environment's `kernel_view`.

    Returns observations [T, B, I], actions int64 [T, B], rewards [T, B], and what `unroll` returns.
    """
    cell = accepted(net.kernel_cell())
    hidden = net.initial_state(noise.action.shape[1])
    run = fresh_run(hidden, len(noise.action), keep=wants_gradient(net))
    weights = weights_for_loop(settings(cell), cell.parameters)
    observations, actions, rewards = run_episodes(act_group, env, noise, weights, layers_for_loop(cell), run)
    seen = (observations, cell.i2h.weight, cell.i2h.bias)
    drives = Drives.apply(*seen)
    h, modulation, hidden = outputs(cell, run, drives, hidden, seen)
    return observations, actions, rewards, *heads(net, cell, h), modulation, h, hidden
