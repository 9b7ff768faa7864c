"""What networks offer to the compiled loops of `bpa.engines`."""

from __future__ import annotations

import logging
import operator
from typing import Protocol

from torch import nn

from bpa.cells.plasticity import Rule, rule_name
from bpa.engines import log_once
from bpa.engines.cell import (
    FIXED,
    GATES,
    HEBBIAN,
    MODULATORS,
    RETROACTIVE,
    TANH,
    TRACES,
    Cell,
    KernelCell,
)

KINDS = {"none": FIXED, "plastic": HEBBIAN, "simple": HEBBIAN, "retroactive": RETROACTIVE}


class PlasticNetwork(Protocol):
    """What a network has that offers itself to the loops: `bpa.Network` and `bpa.cells.lstm.LSTM`."""

    input_size: int
    hidden_size: int
    num_actions: int
    i2h: nn.Linear
    h2o: nn.Linear
    h2v: nn.Linear
    w: nn.Parameter
    plasticity: str
    fanout: bool
    clip: float
    rule: str | Rule
    clipping: str
    modulator: str
    alpha: nn.Parameter | None
    eta: nn.Parameter  # where it is learned
    h2mod: nn.Linear  # where there is a modulator
    modfanout: nn.Linear  # and fan-out


def needed_shapes(net: PlasticNetwork, gates: bool) -> dict[str, tuple[tuple[int, ...], ...]]:
    """The parameters that a loop takes from `net`, and the shapes that each may have. A loop asks no more."""
    size, inputs, actions = net.hidden_size, net.input_size, net.num_actions
    drives = 4 * size if gates else size
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


def reason_against_shapes(net: PlasticNetwork, gates: bool) -> str | None:
    """Why the parameters of `net`, which somebody may have replaced, fit no loop; None if they do."""
    for name, shapes in needed_shapes(net, gates).items():
        try:
            shape = tuple(operator.attrgetter(name)(net).shape)
        except AttributeError:
            return f"it needs the parameter {name}, and there is none"
        if shape not in shapes:
            return f"its loops take {name} of shape {list(shapes[0])}, not {list(shape)}"
    return None


def trace_cell(net: PlasticNetwork) -> KernelCell | str:
    """What loops for traces need of a `bpa.Network`, or why they cannot run it.

    Parameters that a variant lacks are filled in with what makes them do nothing.
    """
    if not isinstance(net.rule, str):
        slow = "the eager engine computes instead, many times slower"
        log_once(
            logging.WARNING,
            f"the rule {rule_name(net.rule)} is your own, which no compiled loop knows: {slow}",
        )
    if net.rule != "hebb":
        return f"it knows rule 'hebb' alone, not {net.rule!r}"
    if net.clipping != "hard":
        return f"it knows clipping 'hard' alone, not {net.clipping!r}"
    if net.modulator not in MODULATORS:
        return f"it knows no modulator {net.modulator!r}"
    if reason := reason_against_shapes(net, gates=False):
        return reason
    w, size = net.w, net.hidden_size
    zeros, one_zero = w.new_zeros(size), w.new_zeros(1)
    alpha = w.new_zeros(0, 0) if net.alpha is None else net.alpha.expand(size, size)
    parameters = Cell(w, alpha, one_zero, zeros, one_zero, zeros, zeros)
    modulated = net.plasticity in ("simple", "retroactive")
    if net.plasticity == "plastic":
        parameters = parameters._replace(rate_bias=net.eta.expand(size))
    if net.plasticity == "retroactive":
        parameters = parameters._replace(eta=net.eta)
    if modulated:
        rate_weight = net.modfanout.weight[:, 0] if net.fanout else w.new_ones(size)
        rate_bias = net.modfanout.bias if net.fanout else zeros
        mod_weight, mod_bias = net.h2mod.weight[0], net.h2mod.bias
        parameters = parameters._replace(
            mod_weight=mod_weight, mod_bias=mod_bias, rate_weight=rate_weight, rate_bias=rate_bias
        )
    return KernelCell(
        loops=TRACES,
        name=f"{net.plasticity} {net.modulator}",
        kind=KINDS[net.plasticity],
        clip=net.clip,
        modulator=MODULATORS[net.modulator],
        modulated=modulated,
        parameters=parameters,
        i2h=net.i2h,
        h2o=net.h2o,
        h2v=net.h2v,
    )


def gate_cell(net: PlasticNetwork) -> KernelCell | str:
    """What loops for gates need of a `bpa.cells.lstm.LSTM`, or why they cannot run it."""
    if net.plasticity != "none":
        return f"it knows the plain LSTM alone, not LSTM with plasticity {net.plasticity!r}"
    if reason := reason_against_shapes(net, gates=True):
        return reason
    nothing, one_zero = net.w.new_zeros(0), net.w.new_zeros(1)
    parameters = Cell(net.w, net.w.new_zeros(0, 0), one_zero, nothing, one_zero, nothing, nothing)
    return KernelCell(GATES, "lstm", FIXED, net.clip, TANH, False, parameters, net.i2h, net.h2o, net.h2v)
