"""Engines: the same function as the definition in `bpa.network`, the same answer, in less time.

- "eager": the definition itself, run by PyTorch: every network, device and precision.
- "numba": compiled loops for the CPU: `bpa.Network` with any plasticity, alpha, fan-out, modulator and hard
  clip, Hebb's rule, float32. Gradients of gradients are left to PyTorch. A plain `bpa.cells.lstm.LSTM` acts
  in the same loops and learns by PyTorch's own LSTM, which knows the whole sequence.
- "triton": kernels for CUDA, for the same networks of up to 128 neurons. Triton's interpreter runs them on
  the CPU, very slowly, where TRITON_INTERPRET=1 is set before they are first used.
- "auto": the fastest of them that can. Inside torch.compile, torch.func, autocast and whatever else must see
  every operation, that is the definition.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import operator
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from bpa.arguments import require_choice
from bpa.engines import eager
from bpa.engines.context import reason_of_context, reason_of_tensors
from bpa.engines.threads import cores, loop_threads, one_torch_thread

ENGINES = ("auto", "eager", "numba", "triton")

log = logging.getLogger("bpa")


@functools.cache
def log_once(level: int, message: str) -> None:
    """Log `message` the first time that it is given."""
    log.log(level, message)


@functools.cache
def numba_engine() -> ModuleType | str:
    """The module `bpa.engines.numba`, or why it does not work here. It compiles a first kernel."""
    try:
        from bpa.engines import numba

        numba.try_out()
    except Exception as error:  # a broken installation may raise anything; training goes on without it
        reason = f"Numba does not work here ({type(error).__name__}: {error})"
        log_once(logging.WARNING, f"{reason}: the eager engine computes instead, many times slower")
        return reason
    return numba


@functools.cache
def triton_engine(device: torch.device) -> ModuleType | str:
    """The module `bpa.engines.triton`, or why it does not work on `device`. It compiles a first kernel."""
    from bpa.engines import triton

    try:
        triton.try_out(device)
    except Exception as error:  # no Triton, no C compiler, a card too old; training goes on without it
        reason = f"Triton does not work here ({type(error).__name__}: {error})"
        if device.type == "cuda":
            log_once(logging.WARNING, f"{reason}: the eager engine computes instead, many times slower")
        return reason
    return triton


def reason_against_loops(net: Any) -> str | None:
    """Why neither fast engine can run `net`, wherever it is; None if one may."""
    from bpa.network import Network  # here, because it imports this package

    if type(net) is not Network:
        return f"its loops for traces know bpa.Network alone, not {type(net).__name__}"
    if net.rule != "hebb":
        return f"it knows rule 'hebb' alone, not {net.rule!r}"
    if net.clipping != "hard":
        return f"it knows clipping 'hard' alone, not {net.clipping!r}"
    return None


def needed_shapes(net: Any) -> dict[str, tuple[tuple[int, ...], ...]]:
    """The parameters that a loop takes from `net`, and the shapes that each may have. A loop asks no more."""
    size, inputs, actions = net.hidden_size, net.input_size, net.num_actions
    drives = 4 * size if is_plain_lstm(net) else size
    needed: dict[str, tuple[tuple[int, ...], ...]] = {
        "i2h.weight": ((drives, inputs),),
        "i2h.bias": ((drives,),),
        "w": ((size, drives),),
        "h2o.weight": ((actions, size),),
        "h2o.bias": ((actions,),),
    }
    if net.plasticity != "none":
        needed["alpha"] = ((size, size), (1, size), (1,))
    if net.plasticity in ("plastic", "retroactive"):
        needed["eta"] = ((1,),)
    if net.plasticity in ("simple", "retroactive"):
        needed |= {"h2mod.weight": ((1, size),), "h2mod.bias": ((1,),)}
    if net.fanout:
        needed |= {"modfanout.weight": ((size, 1),), "modfanout.bias": ((size,),)}
    return needed


def reason_against_shapes(net: Any) -> str | None:
    """Why the parameters of `net`, which somebody may have replaced, fit no loop; None if they do."""
    for name, shapes in needed_shapes(net).items():
        try:
            shape = tuple(operator.attrgetter(name)(net).shape)
        except AttributeError:
            return f"it needs the parameter {name}, and there is none"
        if shape not in shapes:
            return f"its loops take {name} of shape {list(shapes[0])}, not {list(shape)}"
    return None


def reason_against_layers(net: Any) -> str | None:
    """Why no compiled loop can stand for the layers of `net`, whose weights it takes; None if one can."""
    for name, layer in net.named_children():
        if type(layer).forward is not nn.Linear.forward or "forward" in vars(layer):
            return f"it knows linear layers alone, and {name} is another {type(layer).__name__}"
        if layer._forward_hooks or layer._forward_pre_hooks:
            return f"it calls no hooks, and {name} has one"
    return None


def reason_against_numbers(net: Any, tensors: Iterable[Tensor | None], kind: str, where: str) -> str | None:
    """Why no compiled loop can compute with `net` and `tensors`; None if one can.

    `kind`: the type of devices it takes. `where`: its name for them.
    """
    everything = (*net.parameters(), *tensors)
    for tensor in everything:
        if tensor is not None and (tensor.dtype != torch.float32 or tensor.device.type != kind):
            return f"it computes in torch.float32 on {where}, not in {tensor.dtype} on {tensor.device}"
    if torch.is_autocast_enabled(kind):
        return "it computes in torch.float32 alone, and autocast is on"
    return reason_of_tensors(everything)


def is_plain_lstm(net: Any) -> bool:
    """Whether `net` is a `bpa.cells.lstm.LSTM` without plasticity."""
    from bpa.cells.lstm import LSTM  # here, because it imports this package

    return type(net) is LSTM and net.plasticity == "none"


def reason_against_numba(net: Any, tensors: Iterable[Tensor | None] = ()) -> str | None:
    """Why the Numba engine cannot run `net` on `tensors`; None if it can."""
    reason = None if is_plain_lstm(net) else reason_against_loops(net)
    reason = reason or reason_against_layers(net) or reason_against_shapes(net)
    reason = reason or reason_against_numbers(net, tensors, "cpu", "the CPU")
    if reason is not None:
        return reason
    engine = numba_engine()
    return engine if isinstance(engine, str) else None


def reason_against_triton(net: Any, tensors: Iterable[Tensor | None] = ()) -> str | None:
    """Why the Triton engine cannot run `net` on `tensors`; None if it can."""
    from bpa.engines.triton import MOST_NEURONS

    reason = reason_against_loops(net) or reason_against_layers(net) or reason_against_shapes(net)
    if reason is None:
        kind = "cpu" if net.w.device.type == "cpu" else "cuda"  # on the CPU if Triton's interpreter is on
        reason = reason_against_numbers(net, tensors, kind, "CUDA")
    if reason is not None:
        return reason
    if net.hidden_size > MOST_NEURONS:
        return f"it holds the traces of {MOST_NEURONS} neurons at most, not {net.hidden_size}"
    engine = triton_engine(net.w.device)
    return engine if isinstance(engine, str) else None


def reason_against_world(fast: str, net: Any, world: Any) -> str | None:
    """Why the engine of this name cannot let `net` act in `world`; None if it can."""
    from bpa.envs.cue_reward import CueReward
    from bpa.maze import GridMaze
    from bpa.training.tasks import sizes

    known = (GridMaze, CueReward) if fast == "numba" else (GridMaze,)
    if type(world) not in known:
        names = " and ".join(f"bpa.{kind.__name__}" for kind in known)
        return f"it knows no world but {names}, not {type(world).__name__}"
    if (net.input_size, net.num_actions) != sizes(world):
        return f"{net.input_size} inputs and {net.num_actions} actions do not fit {type(world).__name__}"
    if type(world) is GridMaze and not is_closed(world.walls, world.size):
        return "it knows mazes with a wall all round alone"
    if type(world) is GridMaze and not keeps_inside(world.free_cells, world.moves, world.size):
        return "it knows mazes alone whose moves are single steps and whose free cells lie inside"
    if net._forward_hooks or net._forward_pre_hooks:
        return "it calls no hooks, and the network has one"
    return None


def is_closed(walls: Tensor, size: int) -> bool:
    """Whether no agent can leave a maze with these walls: a loop does not ask whether it has."""
    square = walls.dtype == torch.bool and walls.shape == (size, size)
    return square and bool(torch.stack([walls[0], walls[-1], walls[:, 0], walls[:, -1]]).all())


def keeps_inside(free_cells: Tensor, moves: Tensor, size: int) -> bool:
    """Whether no teleport and no move of these leads out of the maze: a loop does not ask for that either."""
    from bpa.maze import MOVES

    single = moves.dtype == torch.int64 and moves.tolist() == [list(move) for move in MOVES]
    pairs = free_cells.dtype == torch.int64 and free_cells.dim() == 2 and free_cells.shape[1] == 2
    return (
        single and pairs and len(free_cells) > 1 and bool(((free_cells > 0) & (free_cells < size - 1)).all())
    )


def choose(engine: str, net: Any, world: Any = None, tensors: Sequence[Tensor | None] = ()) -> Any:
    """The module of the engine that will run `net`: the one asked for, or for "auto" the fastest that can.

    Args:
        world: the world that the engine is to run as well, if any.
        tensors: what it is to run on, besides the parameters.

    Raises:
        ValueError: the engine is unknown, or was asked for by name and cannot run this network.
    """
    require_choice("engine", engine, ENGINES)
    context = reason_of_context() if engine != "eager" else None
    if context is not None and engine != "auto":
        raise ValueError(f"engine {engine!r} cannot run this: {context}; engine='eager' can")
    if engine == "eager" or context is not None:  # without a word: PyTorch may be tracing
        return eager
    device = next(net.parameters()).device
    fast = engine if engine != "auto" else "triton" if device.type == "cuda" else "numba"
    reason = (reason_against_triton if fast == "triton" else reason_against_numba)(net, tensors)
    if reason is None and world is not None:
        reason = reason_against_world(fast, net, world)
    if reason is None and fast == "triton":
        log_once(logging.INFO, f"engine triton, on {device}")
        return triton_engine(device)
    if reason is None:
        threads = loop_threads()
        log_once(logging.INFO, f"engine numba, {threads} {'thread' if threads == 1 else 'threads'}")
        if cores() == 1:
            log_once(
                logging.WARNING,
                "there is one core here, so training takes longer than on two",
            )
        if is_plain_lstm(net):
            from bpa.engines.numba import lstm  # here, because it imports Numba

            return lstm
        return numba_engine()
    if engine == fast:
        raise ValueError(f"engine {engine!r} cannot run this: {reason}; engine='eager' can")
    log_once(logging.INFO, f"engine eager, because of the {fast.capitalize()} engine: {reason}")
    return eager


def room_for_loops(engine: str, net: Any, world: Any = None) -> contextlib.AbstractContextManager[None]:
    """Within, PyTorch keeps to one thread if a fast engine runs `net`; see `bpa.engines.threads`.

    For code that calls an engine again and again. Arguments and errors as of `choose`.
    """
    return contextlib.nullcontext() if choose(engine, net, world) is eager else one_torch_thread()


def unroll(net: Any, xs: Tensor, hidden: Any, engine: str = "auto") -> eager.Unrolled:
    """Run `net` over xs [T, B, I] from `hidden` with the engine named.

    Raises:
        ValueError: the engine is unknown, or was asked for by name and cannot run this network.
    """
    return choose(engine, net, tensors=(xs, *hidden)).unroll(net, xs, hidden)
