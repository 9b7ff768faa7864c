"""The engine for CUDA: a whole episode in one kernel, with the traces on the chip from first step to last.

One program runs through one episode of one network, the maze included. The grid has a program for each of
B episodes and S networks, so that ten seeds are no more than a larger batch (`together`). For H = 100 a
trace is a block of 128 x 128 numbers in the registers of 8 warps, 64 to a thread: a quarter of all that a
multiprocessor has. w and alpha are held beside it on the way forward, and read again in each step on the way
back. Nothing shaped like Hebb leaves the chip but a copy every 8 steps, from which the way back walks forward
again. The gradient of alpha is a kernel of its own, which walks those stretches once more, all at the same
time: so the way back needs no third block, and sums are taken without atomic additions, in the same order
every time. As with Numba, the drives, heads and gradients of w are products over all steps, by PyTorch.

**Not measured.** There was no GPU where this was written. The kernels were run by Triton's interpreter, and
compiled for an H100 by the compiler that comes with Triton (``tests/engines/compile_triton.py`` prints what
each needs). From its machine code for H = 100 and simple neuromodulation, in warp instructions a step: 901
to act, 1,379 and 2.5 times 209 on the way back, 331 for alpha, and no spill in any loop. Eight warps on four
schedulers need 6,300 cycles for that; 200 steps at 1.755 GHz take 0.71 ms; 132 multiprocessors can do no more
than 185,000 training episodes a second. That is an estimate from above. Threads wait for each other (at 7
barriers a step forward, 11 back) and for memory, and how long only a card can tell. 50,000 a second would be
27 percent of the estimate, 130,000 would be 70. Fewer than 132 episodes (S B) leave multiprocessors idle.
Arithmetic is not the bound (45 operations a synapse and step, 90 million an episode, 700,000 episodes a
second at 67 TFLOP/s), nor is memory (3 MB an episode from and to it, 8 MB from the second cache). Retroactive
modulation has twice the traces, spills 136 to 512 bytes a thread, and will take about twice as long. To
measure: ``bpa bench``.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from bpa.engines.cell import (
    FIXED,
    Cell,
    KernelCell,
    LoopNetwork,
    slow_gradients,
    steps_of,
    wants_gradient,
)
from bpa.engines.context import asks_for_more
from bpa.engines.eager import Unrolled
from bpa.engines.offers import accepted
from bpa.engines.view import ActionNoise, TeleportNoise, Viewed

MOST_NEURONS = 128  # a trace of 128 x 128 numbers of float32 takes a quarter of a multiprocessor's registers
INPUTS = 4 + len(Cell._fields)  # tensors that `Plastic` is given
KEEP_EVERY = 8  # steps between two stored traces: memory against steps walked again
MOST_SLOTS = 128  # parts in which the gradient of one network's alpha is added up


class Run(NamedTuple):
    """What the forward pass leaves; N = S B episodes, those of one network side by side."""

    h: Tensor  # [T + 1, N, H], h[t] is the activity before step t
    modulation: Tensor  # [T, N]
    hebb: Tensor  # [N, H, H], the final traces; empty without traces
    eligibility: Tensor  # [N, H, H]; empty without eligibility
    hebb_kept: Tensor  # [ceil(T / every), N, H, H], the traces before steps 0, every, 2 every, ...
    eligibility_kept: Tensor
    every: int  # 0: nothing was kept, there is no way back


class Shape(NamedTuple):
    """What a kernel is compiled for, and the episodes of each network."""

    kind: int
    modulator: int
    hidden_size: int
    networks: int
    batch_size: int


def block_of(hidden_size: int) -> tuple[int, int]:
    """P and the number of warps. At P = 128 a thread has 64 numbers of a block, and room for two or three."""
    size = max(16, 1 << (hidden_size - 1).bit_length())
    return size, size // 16


def launch(name: str, shape: Shape, programs: int, *arguments: Any, **constants: int) -> None:
    """Run the kernel `name` once for each network and each of `programs`, on the device of its tensors."""
    from bpa.engines.triton import (
        kernels as triton_kernels,
    )  # here, so that this module can be read without Triton

    assert all(part.is_contiguous() for part in arguments if isinstance(part, Tensor))
    size, warps = block_of(shape.hidden_size)
    constants |= {"KIND": shape.kind, "H": shape.hidden_size, "P": size}
    device = arguments[0].device
    with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
        getattr(triton_kernels, name)[(programs, shape.networks)](*arguments, **constants, num_warps=warps)


def try_out(device: torch.device) -> None:
    """Compile and run the smallest kernel on `device`; whatever Triton lacks, a C compiler say, is raised."""
    from bpa.engines.triton import kernels as triton_kernels

    if device.type != "cuda" and not triton_kernels.interpreted():
        raise RuntimeError(f"no kernel runs on {device} but with TRITON_INTERPRET=1 set before Python starts")
    with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
        triton_kernels.touch_kernel[(1,)](torch.empty(1, dtype=torch.float32, device=device))


def stacked(cells: Sequence[KernelCell]) -> Cell:
    """The parameters of several networks with one more dimension in front: [S, ...]. Gradients reach each."""
    return Cell(*[torch.stack(parts) for parts in zip(*[cell.parameters for cell in cells], strict=True)])


def shape_of(cells: Sequence[KernelCell], batch_size: int) -> Shape:
    """The shape that networks have in common.

    Raises:
        ValueError: they differ in what a kernel is compiled for.
    """
    kinds = {
        f"{cell.name} {cell.i2h.in_features}-{cell.i2h.out_features}-{cell.h2o.out_features}"
        for cell in cells
    }
    if len(kinds) > 1:
        raise ValueError(
            "nets must be alike in plasticity, modulator and sizes to share a kernel, "
            f"got {' and '.join(sorted(kinds))}"
        )
    cell = cells[0]
    return Shape(cell.kind, cell.modulator, cell.i2h.out_features, len(cells), batch_size)


def small_parameters(cells: Sequence[KernelCell], stack: Cell) -> tuple[Tensor, ...]:
    """Clip, eta and the rates, as every kernel begins to read them."""
    clip = stack.w.new_tensor([cell.clip for cell in cells])
    return tuple(part.detach().contiguous() for part in (clip, *stack[2:]))


def fresh_run(hiddens: Sequence[Any], steps: int, keep: bool) -> Run:
    """Room for a run from `hiddens`, one for each network; the caller's traces stay as they are."""
    h0 = torch.cat([hidden.h.detach() for hidden in hiddens])
    episodes, size = h0.shape
    h = h0.new_empty(steps + 1, episodes, size)
    h[0] = h0
    every = KEEP_EVERY if keep else 0
    stretches = math.ceil(steps / every) if keep else 0
    hebb, eligibility = [
        h.new_empty(0, 0, 0) if parts[0] is None else torch.cat(parts).detach()
        for parts in list(zip(*hiddens, strict=True))[1:]
    ]
    # torch.cat of one tensor copies it too, so that the kernel never writes into the caller's state.
    return Run(
        h,
        h.new_empty(steps, episodes),
        hebb,
        eligibility,
        h.new_empty(stretches, *hebb.shape),
        h.new_empty(stretches, *eligibility.shape),
        every,
    )


class Plastic(torch.autograd.Function):
    """From drives, initial states and cells to activity, modulation and final traces.

    Forward hands out a finished `Run`; backward walks it in reverse. Where that is to be differentiated
    again, `steps_of` walks forward once more instead, by PyTorch.
    """

    @staticmethod
    def forward(
        ctx: Any, run: Run, shape: Shape, small: tuple[Tensor, ...], *inputs: Tensor
    ) -> tuple[Tensor, ...]:
        """Inputs: drives [T, N, H], h0 [N, H], hebb0 and eligibility0 [N, H, H] or empty, and a Cell's."""
        ctx.save_for_backward(*inputs, *small, *run[:2], *run[4:6])
        ctx.shape, ctx.every = shape, run.every
        return run.h[1:], run.modulation, run.hebb, run.eligibility

    @staticmethod
    def backward(
        ctx: Any, dh: Tensor, dmodulation: Tensor, dhebb: Tensor, deligibility: Tensor
    ) -> tuple[Any, ...]:
        """Gradients of all inputs."""
        saved = ctx.saved_tensors  # asked for once: a checkpoint that recomputes allows no more
        inputs, (*small, h, modulation, hebb_kept, eligibility_kept) = saved[:INPUTS], saved[INPUTS:]
        (w, alpha), shape, every = inputs[4:6], ctx.shape, ctx.every
        gradients = (dh, dmodulation, dhebb, deligibility)
        if asks_for_more(gradients):

            def again(drives: Tensor, *others: Tensor) -> list[Tensor]:
                states, cell, count = others[:3], others[3:], shape.batch_size
                runs = []
                for s, clip in enumerate(small[0].tolist()):
                    mine = slice(s * count, (s + 1) * count)
                    own = [part[mine] for part in states] + [part[s] for part in cell]
                    runs.append(steps_of(shape.kind, clip, shape.modulator, drives[:, mine], *own))
                outputs = zip(*runs, strict=True)
                return [torch.cat(parts, dim) for parts, dim in zip(outputs, (1, 1, 0, 0), strict=True)]

            needed = ctx.needs_input_grad[3:]
            return None, None, None, *slow_gradients(again, inputs, needed, gradients)
        steps, episodes, size = dh.shape
        dhebb = dhebb.clone(memory_format=torch.contiguous_format)
        deligibility = deligibility.clone(memory_format=torch.contiguous_format)
        dsums, drate = torch.empty_like(h[1:]), torch.zeros_like(h[1:])
        dmod, deta, dh0 = torch.zeros_like(modulation), h.new_empty(episodes), torch.empty_like(h[0])
        launch(
            "backward_kernel", shape, shape.batch_size, w.contiguous(), alpha.contiguous(), *small,
            h, modulation, hebb_kept, eligibility_kept, dh.contiguous(), dmodulation.contiguous(), dhebb,
            deligibility, dsums, dmod, drate, deta, dh0, steps, shape.batch_size,
            MODULATOR=shape.modulator, EVERY=every,
        )  # fmt: skip
        dalpha = torch.zeros_like(alpha)
        if ctx.needs_input_grad[8] and shape.kind != FIXED:
            slots = min(MOST_SLOTS, shape.batch_size * math.ceil(steps / every))
            parts = h.new_empty(shape.networks, slots, size, size)
            launch(
                "alpha_kernel", shape, slots, *small, h, modulation, hebb_kept, eligibility_kept, dsums,
                parts, steps, shape.batch_size, EVERY=every,
            )  # fmt: skip
            dalpha = parts.sum(1)

        def by_network(per_step: Tensor) -> Tensor:
            """[T, N, ...] as [S, T B, ...]"""
            apart = per_step.reshape(steps, shape.networks, shape.batch_size, *per_step.shape[2:])
            return apart.transpose(0, 1).flatten(1, 2)

        pre, post, dsum, drates = map(by_network, (h[:-1], h[1:], dsums, drate))
        m, dm = by_network(modulation), by_network(dmod)
        return (
            None,
            None,
            None,
            dsums,
            dh0,
            dhebb,
            deligibility,
            pre.mT @ dsum,
            dalpha,
            deta.reshape(shape.networks, -1).sum(1, keepdim=True),
            (dm[:, None] @ post)[:, 0],
            dm.sum(1, keepdim=True),
            (m[:, None] @ drates)[:, 0],
            drates.sum(1),
        )


def outputs(
    nets: Sequence[LoopNetwork], cells: Sequence[KernelCell], hiddens: Sequence[Any], drives: Tensor,
    run: Run, shape: Shape, stack: Cell, small: tuple[Tensor, ...],
) -> list[tuple[Tensor, Tensor, Tensor | None, Tensor, Any]]:  # fmt: skip
    """For each network logits, values, modulation, h and state of a finished run, with their way back."""
    nothing = drives.new_empty(0, 0, 0)
    initial = [nothing if parts[0] is None else torch.cat(parts) for parts in zip(*hiddens, strict=True)]
    found = Plastic.apply(run, shape, small, drives, *initial, *stack)
    results = []
    for s, (net, cell, hidden) in enumerate(zip(nets, cells, hiddens, strict=True)):
        mine = slice(s * shape.batch_size, (s + 1) * shape.batch_size)
        h, modulation = found[0][:, mine], found[1][:, mine]
        final = type(hidden)(
            h[-1],
            None if hidden.hebb is None else found[2][mine],
            None if hidden.eligibility is None else found[3][mine],
        )
        results.append((*net.heads(h), modulation if cell.modulated else None, h, final))
    return results


def unroll_all(
    nets: Sequence[LoopNetwork], sequences: Sequence[Tensor], hiddens: Sequence[Any]
) -> list[Unrolled]:
    """As `bpa.engines.triton.together.unroll_together`, which checks what it is given."""
    cells = [accepted(net.kernel_cell()) for net in nets]
    steps, batch_size = sequences[0].shape[:2]
    shape, stack = shape_of(cells, batch_size), stacked(cells)
    small = small_parameters(cells, stack)
    drives = torch.cat([cell.i2h(xs) for cell, xs in zip(cells, sequences, strict=True)], dim=1)
    keep = any(
        wants_gradient(net, xs, *hidden) for net, xs, hidden in zip(nets, sequences, hiddens, strict=True)
    )
    run = fresh_run(hiddens, steps, keep)
    launch(
        "unroll_kernel", shape, shape.batch_size, stack.w.detach(), stack.alpha.detach(), *small,
        drives.detach(), *run[:6], steps, shape.batch_size, MODULATOR=shape.modulator, EVERY=run.every,
    )  # fmt: skip
    return [
        Unrolled(logits, values, modulation, h, hidden)
        for logits, values, modulation, h, hidden in outputs(
            nets, cells, hiddens, drives, run, shape, stack, small
        )
    ]


def unroll(net: LoopNetwork, xs: Tensor, hidden: Any) -> Unrolled:
    """As `bpa.engines.eager.unroll`."""
    return unroll_all([net], [xs], [hidden])[0]


class MazeNoise(ActionNoise, TeleportNoise, Protocol):
    """What this engine reads of the noise of a maze."""


def act_all(
    nets: Sequence[LoopNetwork], envs: Sequence[Viewed], noises: Sequence[MazeNoise]
) -> list[tuple[Any, ...]]:
    """As `bpa.engines.triton.together.act_together`, which checks what it is given."""
    cells = [accepted(net.kernel_cell()) for net in nets]
    views = [accepted(env.kernel_view(noise)) for env, noise in zip(envs, noises, strict=True)]
    view = views[0]
    steps, batch_size = view.episode_length, view.batch_size
    shape, stack = shape_of(cells, batch_size), stacked(cells)
    small = small_parameters(cells, stack)
    hiddens = [net.initial_state(batch_size) for net in nets]
    run = fresh_run(hiddens, steps, any(map(wants_gradient, nets)))

    def joined(parts: Sequence[Tensor], dim: int) -> Tensor:
        return torch.cat([part.detach() for part in parts], dim).contiguous()

    def each(parts: Sequence[Tensor]) -> Tensor:
        return torch.stack([part.detach() for part in parts]).contiguous()

    action_noise = joined([noise.action for noise in noises], 1)
    observations = action_noise.new_empty(*action_noise.shape, view.observation_size)
    rewards = torch.empty_like(action_noise)
    actions = torch.empty_like(action_noise, dtype=torch.long)
    agent = joined([view.agent for view in views], 0).int()
    clock = torch.arange(steps, dtype=torch.float64, device=action_noise.device) / steps
    launch(
        "act_kernel", shape, batch_size, stack.w.detach(), stack.alpha.detach(), *small,
        each([cell.i2h.weight.T for cell in cells]), each([cell.i2h.bias for cell in cells]),
        each([cell.h2o.weight for cell in cells]), each([cell.h2o.bias for cell in cells]),
        view.walls.to(torch.int8), len(view.walls), view.moves.int(), view.free_cells.int().contiguous(),
        len(view.free_cells),
        clock.float(), joined([view.goal_index for view in views], 0).int(),
        rewards.new_tensor([view.reward for view in views]),
        rewards.new_tensor([view.penalty for view in views]),
        action_noise, joined([view.teleport for view in views], 1), agent,
        observations, actions, rewards, *run[:6], steps, batch_size,
        MODULATOR=shape.modulator, EVERY=run.every,
    )  # fmt: skip
    apart = []
    for s, view in enumerate(views):
        mine = slice(s * batch_size, (s + 1) * batch_size)
        view.agent.copy_(agent[mine])
        apart.append([part[:, mine] for part in (observations, actions, rewards)])
        view.finish(apart[s][2], apart[s][1])
    drives = torch.cat([cell.i2h(seen[0]) for cell, seen in zip(cells, apart, strict=True)], dim=1)
    found = outputs(nets, cells, hiddens, drives, run, shape, stack, small)
    return [(*seen, *computed) for seen, computed in zip(apart, found, strict=True)]


def act(net: LoopNetwork, env: Viewed, noise: MazeNoise) -> tuple[Any, ...]:
    """Whole episodes in a maze that was just reset, which is left at their end.

    Returns observations [T, B, I], actions int64 [T, B], rewards [T, B], and what `unroll` returns.
    """
    return act_all([net], [env], [noise])[0]
