"""The LSTM, plain and plastic, with the calling convention of `bpa.Network`.

The plain one is the honest rival of every plastic network; the plastic one is that of [2019, sec. 4.3].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from bpa import engines
from bpa.arguments import require_integer, require_shape
from bpa.cells.loops import gate_cell
from bpa.cells.plasticity import declare_plasticity, linear, reset_parameters
from bpa.engines import eager
from bpa.engines.cell import KernelCell
from bpa.engines.offers import reason_of_class
from bpa.network import modulation, plastic_input, plasticity_rate, rewire


class LSTMHidden(NamedTuple):
    """What an LSTM carries from one step to the next. A part that a variant does not use is None."""

    h: Tensor  # output h(t), [B, H]
    cell: Tensor  # cell state c(t), [B, H]
    hebb: Tensor | None = None  # Hebbian trace of the candidate's connection, [B, H, H]
    eligibility: Tensor | None = None  # eligibility trace E(t), [B, H, H]


class LSTM(nn.Module):
    """An LSTM with action and value heads, whose connection from h to the cell candidate may be plastic.

    With s the logistic function, (i, f, o, g) = i2h(input(t)) + h(t-1) w, each [H]:

    - g_j(t) = tanh( g_j + sum_i alpha_ij Hebb_ij(t) h_i(t-1) ): the plastic connection,
    - c(t) = s(f) c(t-1) + s(i) g(t), h(t) = s(o) tanh( c(t) ).

    Hebb changes as in `bpa.Network`, with pre-synaptic activity h_i(t-1), post-synaptic activity g_j(t),
    and M(t) read from the output h(t). [2019, sec. 4.3; the paper names the connection and the three kinds
    of plasticity. That the candidate g_j(t) is the post-synaptic activity, since it is the activity that
    this connection makes, is our reading.]

    Args:
        input_size, hidden_size, num_actions: I, H, A, each at least 1.
        plasticity: "none" for a plain LSTM, "plastic", "simple" or "retroactive".
        alpha, fanout, clip, clipping, modulator, generator: as in `bpa.Network`.

    Parameters: i2h [4 H, I], w [H, 4 H] (columns in the order i, f, o, g), h2o, h2v, and those of the plastic
    connection. i2h and w are uniform within +- 1 / sqrt(H), as in `torch.nn.LSTM`.

    Raises:
        ValueError: an argument is out of range, or a combination has no meaning.
    """

    alpha: nn.Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_actions: int,
        plasticity: str = "none",
        alpha: str = "synapse",
        fanout: bool = True,
        clip: float = 2.0,
        clipping: str = "hard",
        modulator: str = "tanh",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.input_size = input_size = require_integer("input_size", input_size, low=1)
        self.hidden_size = hidden_size = require_integer("hidden_size", hidden_size, low=1)
        self.num_actions = num_actions = require_integer("num_actions", num_actions, low=1)
        self.i2h = linear(input_size, 4 * hidden_size)
        self.w = nn.Parameter(torch.empty(hidden_size, 4 * hidden_size, dtype=torch.float32, device="cpu"))
        declare_plasticity(self, hidden_size, plasticity, alpha, fanout, clip, "hebb", clipping, modulator)
        self.h2o = linear(hidden_size, num_actions)
        self.h2v = linear(hidden_size, 1)
        reset_parameters(self, generator, dict.fromkeys(("i2h.weight", "i2h.bias", "w"), hidden_size**-0.5))

    def initial_state(self, batch_size: int) -> LSTMHidden:
        """Output, cell and all traces zero, as at the start of an episode."""
        batch_size = require_integer("batch_size", batch_size, low=1)
        h = self.w.new_zeros(batch_size, self.hidden_size)
        trace = self.w.new_zeros(batch_size, self.hidden_size, self.hidden_size)
        hebb = trace if self.plasticity != "none" else None
        return LSTMHidden(h, h.clone(), hebb, trace.clone() if self.plasticity == "retroactive" else None)

    def modulation(self, h: Tensor) -> Tensor | None:
        """M(t) from h(t): [..., H] -> [...]; None in a network without a modulator."""
        return modulation(self, h)

    def step(self, drive: Tensor, hidden: LSTMHidden) -> LSTMHidden:
        """One step from the drive i2h(input(t)) [B, 4 H]."""
        pre, cell, hebb, eligibility = hidden
        i, f, o, g = (drive + pre @ self.w).chunk(4, dim=1)
        if self.alpha is not None and hebb is not None:
            g = g + plastic_input(pre, self.alpha, hebb)
        g = torch.tanh(g)
        cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * g
        h = torch.sigmoid(o) * torch.tanh(cell)
        if hebb is not None:
            hebb, eligibility = rewire(self, plasticity_rate(self, h), pre, g, hebb, eligibility)
        return LSTMHidden(h, cell, hebb, eligibility)

    def heads(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Action logits [..., A] and value [...] from the output [..., H]."""
        return self.h2o(h), self.h2v(h)[..., 0]

    def forward(self, x: Tensor, hidden: LSTMHidden | None = None) -> tuple[Tensor, Tensor, LSTMHidden]:
        """One step: x [B, I] -> logits [B, A], value [B], hidden; from the initial state if None."""
        require_shape("x", x, ("B", self.input_size), like=self.w)
        hidden = self.step(self.i2h(x), eager.matching_state(self, hidden, len(x)))
        return *self.heads(hidden.h), hidden

    def unroll(self, xs: Tensor, hidden: LSTMHidden | None = None, engine: str = "auto") -> eager.Unrolled:
        """A whole sequence, xs [T, B, I]: the same as T calls of `forward`, by an engine of `bpa.engines`."""
        require_shape("xs", xs, ("T", "B", self.input_size), like=self.w)
        return engines.unroll(self, xs, eager.matching_state(self, hidden, xs.shape[1]), engine)

    def kernel_cell(self) -> KernelCell | str:
        """What the compiled loops of `bpa.engines` need of this network, or why none can run it."""
        return reason_of_class(self, LSTM) or gate_cell(self)
