"""The LSTM, plain and plastic, with the calling convention of `bpa.Network`.

The plain one is the honest rival of every plastic network; the plastic one is that of [2019, sec. 4.3].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bpa.arguments import require_integer
from bpa.cells.base import RecurrentNetwork
from bpa.cells.loops import gate_cell
from bpa.cells.plasticity import Plastic, declare_plasticity, linear, plastic_settings, reset_parameters
from bpa.engines.cell import KernelCell
from bpa.engines.offers import reason_of_class
from bpa.network import modulation, plastic_input, plasticity_rate, rewire


class LSTMHidden(NamedTuple):
    """What an LSTM carries from one step to the next. A part that a variant does not use is None."""

    h: Tensor  # output h(t), [B, H]
    cell: Tensor  # cell state c(t), [B, H]
    hebb: Tensor | None = None  # Hebbian trace of the candidate's connection, [B, H, H]
    eligibility: Tensor | None = None  # eligibility trace E(t), [B, H, H]


class LSTM(RecurrentNetwork[LSTMHidden], Plastic):
    """An LSTM with action and value heads, whose connection from h to the cell candidate may be plastic.

    With s the logistic function, (i, f, o, g) = i2h(input(t)) + h(t-1) w, each [H]:

    - g_j(t) = tanh( g_j + sum_i alpha_ij Hebb_ij(t) h_i(t-1) ): the plastic connection,
    - c(t) = s(f) c(t-1) + s(i) g(t), h(t) = s(o) tanh( c(t) ).

    Hebb changes as in `bpa.Network`, with pre-synaptic activity h_i(t-1), post-synaptic activity g_j(t),
    and M(t) read from the output h(t). [2019, sec. 4.3; the paper names the connection and the three kinds
    of plasticity. That the candidate g_j(t) is the post-synaptic activity is so in the published program,
    which has one alpha per neuron, clip 2, and simple modulation alone.]

    Args:
        input_size, hidden_size, num_actions: I, H, A, each at least 1.
        plasticity: "none" for a plain LSTM, "plastic", "simple" or "retroactive".
        alpha, fanout, clip, clipping, modulator, generator, initial_eta: as in `bpa.Network`.
        initial_weight: alpha is first uniform in [0, initial_weight); at least 0.

    Parameters: i2h [4 H, I], w [H, 4 H] (columns in the order i, f, o, g), h2o, h2v, and those of the plastic
    connection. i2h and w are uniform within +- 1 / sqrt(H), as in `torch.nn.LSTM`.

    Raises:
        ValueError: an argument is out of range, or a combination has no meaning.

    Example:
        >>> import bpa, torch
        >>> net = bpa.LSTM(input_size=17, hidden_size=50, num_actions=4, plasticity="simple")
        >>> logits, value, hidden = net(torch.zeros(30, 17))  # one step of 30 episodes
        >>> hidden.h.shape, hidden.cell.shape, hidden.hebb.shape
        (torch.Size([30, 50]), torch.Size([30, 50]), torch.Size([30, 50, 50]))
        >>> net.unroll(torch.zeros(200, 30, 17), hidden).values.shape  # 200 steps more
        torch.Size([200, 30])
    """

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
        initial_weight: float = 0.001,
        initial_eta: float = 0.01,
    ):
        super().__init__()
        _, H, _ = self.declare_sizes(input_size, hidden_size, num_actions)
        self.i2h = linear(self.input_size, 4 * H)
        self.w = nn.Parameter(torch.empty(H, 4 * H, dtype=torch.float32, device="cpu"))
        declare_plasticity(self, H, plasticity, alpha, fanout, clip, "hebb", clipping, modulator)
        self.h2o = linear(H, self.num_actions)
        self.h2v = linear(H, 1)
        bounds = dict.fromkeys(("i2h.weight", "i2h.bias", "w"), H**-0.5)
        reset_parameters(self, generator, initial_weight, initial_eta, bounds=bounds)

    def settings(self) -> dict[str, Any]:
        """The arguments that make a network like this one but for its first values, ready for JSON."""
        plastic = plastic_settings(self)
        del plastic["rule"]  # always Hebb's own
        return super().settings() | plastic

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

    def kernel_cell(self) -> KernelCell | str:
        """What the compiled loops of `bpa.engines` need of this network, or why none can run it."""
        return reason_of_class(self, LSTM) or gate_cell(self)
