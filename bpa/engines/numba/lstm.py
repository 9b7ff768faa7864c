"""The plain LSTM: it acts in the loops of the Numba engine and learns by PyTorch's own LSTM.

PyTorch's LSTM takes a sequence whole, forwards and backwards, but cannot see what its actions lead to. So an
episode is acted first, without gradients, in `bpa.engines.numba.acting`, and is then run through once more.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bpa.engines.cell import LoopNetwork
from bpa.engines.eager import Unrolled
from bpa.engines.numba import as_arrays, padded, run_episodes
from bpa.engines.numba.acting import act_lstm_group
from bpa.engines.numba.environments import Layers
from bpa.engines.offers import accepted
from bpa.engines.view import ActionNoise, Viewed


def torch_order(columns: Tensor) -> Tensor:
    """[..., 4 H] in the order i, f, o, g of `bpa.cells.lstm.LSTM` -> [4 H, ...] in PyTorch's, i, f, g, o."""
    i, f, o, g = columns.chunk(4, dim=-1)
    return torch.cat([i, f, g, o], dim=-1).movedim(-1, 0)


def loop_order(columns: Tensor) -> Tensor:
    """A copy [..., 4 P] of [..., 4 H]: the columns of each gate filled up with zeros to whole vectors."""
    return torch.cat([padded(gate) for gate in columns.chunk(4, dim=-1)], dim=-1)


def unroll(net: LoopNetwork, xs: Tensor, hidden: Any) -> Unrolled:
    """As `bpa.engines.eager.unroll`."""
    cell = accepted(net.kernel_cell())
    bias = torch_order(cell.i2h.bias)
    weights = [
        torch_order(cell.i2h.weight.T),
        torch_order(cell.parameters.w),
        bias,
        torch.zeros_like(bias),
    ]
    state = (hidden.h[None], hidden.cell[None])
    h, last_h, last_cell = torch.lstm(
        xs,
        state,
        weights,
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=True,
        bidirectional=False,
        batch_first=False,
    )
    logits, values = net.heads(h)
    return Unrolled(logits, values, None, h, type(hidden)(last_h[0], last_cell[0]))


def act(net: LoopNetwork, env: Viewed, noise: ActionNoise, greedy: bool = False) -> tuple[Any, ...]:
    """As `bpa.engines.numba.act`."""
    cell = accepted(net.kernel_cell())
    weight, bias = loop_order(cell.i2h.weight.T), loop_order(cell.i2h.bias)
    layers = Layers(*map(as_arrays, (weight, bias, padded(cell.h2o.weight), cell.h2o.bias)))
    seen = run_episodes(act_lstm_group, env, noise, greedy, loop_order(cell.parameters.w), layers)
    out = unroll(net, seen.observations, net.initial_state(noise.action.shape[1]))
    return seen.observations, seen.actions, seen.rewards, *out
