"""Engines: the same function as the definition in `bpa.network`, the same answer, in less time.

- "eager": the definition itself, run by PyTorch: every network, device and precision.
- "numba": compiled loops for the CPU: `bpa.Network` with any plasticity, alpha, fan-out, modulator and hard
  clip, Hebb's rule, float32. Gradients of gradients are left to PyTorch. A plain `bpa.cells.lstm.LSTM` acts
  in the same loops and learns by PyTorch's own LSTM, which knows the whole sequence.
- "triton": kernels for CUDA, for the same networks of up to 128 neurons. Triton's interpreter runs them on
  the CPU, very slowly, where TRITON_INTERPRET=1 is set before they are first used.
- "auto": the fastest of them that can. Inside torch.compile, torch.func, autocast and whatever else must see
  every operation, that is the definition.

Where the rules of an environment are in an engine's loops, a whole episode is one call of them. Any other
environment is called between the steps of the network, which are in the loops still, and so is the way back.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from bpa.arguments import require_choice
from bpa.engines import eager
from bpa.engines.cell import GATES, TRACES, AnyState, LoopNetwork, Parameterised, Recurrent, cell_of
from bpa.engines.context import reason_of_context, reason_of_tensors
from bpa.engines.memory import memory_kept
from bpa.engines.offers import accepted
from bpa.engines.threads import cores, loop_threads, one_torch_thread
from bpa.engines.view import MAZE, view_of
from bpa.engines.walking import Definition, Policy, Twice, Walk

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


def reason_against_layers(net: Parameterised) -> str | None:
    """Why no compiled loop can stand for the layers of `net`, whose weights it takes; None if one can."""
    for name, layer in net.named_children() if isinstance(net, nn.Module) else ():
        if type(layer).forward is not nn.Linear.forward or "forward" in vars(layer):
            return f"it knows linear layers alone, and {name} is another {type(layer).__name__}"
        if layer._forward_hooks or layer._forward_pre_hooks:
            return f"it calls no hooks, and {name} has one"
    return None


def reason_against_numbers(
    net: Parameterised, tensors: Iterable[Tensor | None], kind: str, where: str
) -> str | None:
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


def reason_against_numba(net: Parameterised, tensors: Iterable[Tensor | None] = ()) -> str | None:
    """Why the Numba engine cannot run `net` on `tensors`; None if it can."""
    offer = cell_of(net)
    if isinstance(offer, str):
        return offer
    reason = reason_against_layers(net) or reason_against_numbers(net, tensors, "cpu", "the CPU")
    if reason is not None:
        return reason
    engine = numba_engine()
    return engine if isinstance(engine, str) else None


def reason_against_triton(net: Parameterised, tensors: Iterable[Tensor | None] = ()) -> str | None:
    """Why the Triton engine cannot run `net` on `tensors`; None if it can."""
    from bpa.engines.triton import MOST_NEURONS

    offer = cell_of(net)
    if isinstance(offer, str):
        return offer
    if offer.loops != TRACES:
        return f"its loops know traces alone, not {type(net).__name__}"
    w = offer.parameters.w
    kind = "cpu" if w.device.type == "cpu" else "cuda"  # on the CPU if Triton's interpreter is on
    reason = reason_against_layers(net) or reason_against_numbers(net, tensors, kind, "CUDA")
    if reason is not None:
        return reason
    if len(w) > MOST_NEURONS:
        return f"it holds the traces of {MOST_NEURONS} neurons at most, not {len(w)}"
    engine = triton_engine(w.device)
    return engine if isinstance(engine, str) else None


def reason_against_acting(net: Parameterised) -> str | None:
    """Why no engine but the definition can let `net` act, whatever the environment; None if one can."""
    if isinstance(net, nn.Module) and (net._forward_hooks or net._forward_pre_hooks):
        return "it calls no hooks, and the network has one"
    return None


def reason_outside(chosen: ModuleType, env: object, greedy: bool = False) -> str | None:
    """Why an engine leaves the steps of `env` to `env` itself, and takes those of the network alone.

    None if it runs whole episodes: the environment in the loop of the network. `chosen`: as from `choose`.
    """
    if chosen is eager:
        return "it is the definition"
    view = view_of(env)
    if isinstance(view, str):
        return view
    if chosen.__name__ == f"{__name__}.triton":
        if view.rules != MAZE:
            return f"it knows the rules of the maze alone, not those of {type(env).__name__}"
        if greedy:
            return "it samples every action"
    return None


def choose(
    engine: str, net: Parameterised, env: object = None, tensors: Sequence[Tensor | None] = ()
) -> ModuleType:
    """The module of the engine that will run `net`: the one asked for, or for "auto" the fastest that can.

    Args:
        env: the environment that the network is to act in, if any; see `reason_outside`.
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
    if reason is None and env is not None:
        reason = reason_against_acting(net)
    if reason is None and fast == "triton":
        log_once(logging.INFO, f"engine triton, on {device}")
        return accepted(triton_engine(device))
    if reason is None:
        threads = loop_threads()
        log_once(logging.INFO, f"engine numba, {threads} {'thread' if threads == 1 else 'threads'}")
        if cores() == 1:
            log_once(
                logging.WARNING,
                "there is one core here, so training takes longer than on two",
            )
        if accepted(cell_of(net)).loops == GATES:
            from bpa.engines.numba import lstm  # here, because it imports Numba

            return lstm
        return accepted(numba_engine())
    if engine == fast:
        raise ValueError(f"engine {engine!r} cannot run this: {reason}; engine='eager' can")
    log_once(logging.INFO, f"engine eager, because of the {fast.capitalize()} engine: {reason}")
    return eager


@contextlib.contextmanager
def room_for_loops(engine: str, net: Parameterised, env: object = None) -> Iterator[None]:
    """Within, PyTorch keeps to one thread if a fast engine runs `net`, and the process keeps what it frees.

    See `bpa.engines.threads` and `bpa.engines.memory`. For code that calls an engine again and again.
    Arguments and errors as of `choose`.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(memory_kept())
        if choose(engine, net, env) is not eager:
            stack.enter_context(one_torch_thread())
        yield


def unroll(net: Recurrent[AnyState], xs: Tensor, hidden: AnyState, engine: str = "auto") -> eager.Unrolled:
    """Run `net` over xs [T, B, I] from `hidden` with the engine named.

    Raises:
        ValueError: the engine is unknown, or was asked for by name and cannot run this network.
    """
    return choose(engine, net, tensors=(xs, *hidden)).unroll(net, xs, hidden)


def walk(chosen: ModuleType, net: Policy, steps: int, batch_size: int) -> Walk:
    """Begin B episodes of `net`, of at most so many steps, which the engine `chosen` takes one at a time."""
    if chosen is eager:
        return Definition(net, batch_size)
    if chosen is numba_engine():
        from bpa.engines.numba.walking import Steps  # here, because it imports Numba

        return Steps(cast(LoopNetwork[Any], net), steps, batch_size)
    return Twice(cast(LoopNetwork[Any], net), batch_size, chosen.unroll)
