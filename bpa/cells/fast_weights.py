"""Fast weights as today's language models use them, with the calling convention of `bpa.Network`.

A trace that is written by outer products and read by a query is a Hebbian trace under another name:
Schmidhuber 1992 (fast weights), Katharopoulos et al. 2020 (linear attention), Schlag et al. 2021 and
Yang et al. 2024 (the delta rule).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bpa.arguments import require_choice, require_flag, require_integer
from bpa.cells.base import RecurrentNetwork
from bpa.cells.plasticity import linear, reset_parameters
from bpa.network import outer

WRITINGS = ("sum", "delta")


class FastWeightHidden(NamedTuple):
    """What the cell carries from one step to the next."""

    h: Tensor  # what the query read, [B, H]
    hebb: Tensor  # fast weights, row key, column value, [B, H, H]


class FastWeightNetwork(RecurrentNetwork[FastWeightHidden]):
    """A cell that writes what it sees into fast weights and reads them with a query, with both heads.

    Each input gives a query q, a key k, both of length 1, a value v, a write strength beta in (0, 1) and,
    if gated, a retention gamma in (0, 1). F are the fast weights, row i the key's side, column j the value's:

    - "sum": F_ij(t) = gamma F_ij(t-1) + beta k_i v_j. With gamma = 1 it is linear attention.
    - "delta": F_ij(t) = gamma F_ij(t-1) + beta k_i ( v_j - sum_l k_l gamma F_lj(t-1) ). With gamma = 1 this
      is DeltaNet: what is stored under the key is taken out before the new value is written.
    - h_j(t) = sum_i q_i F_ij(t).

    Args:
        input_size, hidden_size, num_actions: I, H, A, each at least 1.
        writing: "sum" or "delta".
        gated: learn a retention from the input (True) or forget nothing (False).
        generator: source of the initial weights; PyTorch's global one if None.

    Parameters: i2h [3 H + 1, I], or [3 H + 2, I] if gated, rows in the order q, k, v, beta, gamma; h2o, h2v.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_actions: int,
        writing: str = "delta",
        gated: bool = False,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        _, H, _ = self.declare_sizes(input_size, hidden_size, num_actions)
        self.writing = require_choice("writing", writing, WRITINGS)
        self.gated = require_flag("gated", gated)
        self.i2h = linear(self.input_size, 3 * H + 1 + self.gated)
        self.h2o = linear(H, self.num_actions)
        self.h2v = linear(H, 1)
        reset_parameters(self, generator)

    def settings(self) -> dict[str, Any]:
        """The arguments that make a network like this one, ready for JSON."""
        return super().settings() | {"writing": self.writing, "gated": self.gated}

    def initial_state(self, batch_size: int) -> FastWeightHidden:
        """Nothing read and nothing written."""
        batch_size = require_integer("batch_size", batch_size, low=1)
        h = self.i2h.weight.new_zeros(batch_size, self.hidden_size)
        return FastWeightHidden(h, h.new_zeros(batch_size, self.hidden_size, self.hidden_size))

    def step(self, drive: Tensor, hidden: FastWeightHidden) -> FastWeightHidden:
        """One step from the drive i2h(input(t)) [B, 3 H + 1 (+ 1)]: first write, then read."""
        H = self.hidden_size
        query = nn.functional.normalize(drive[:, :H], dim=1)
        key = nn.functional.normalize(drive[:, H : 2 * H], dim=1)
        value = drive[:, 2 * H : 3 * H]
        beta = torch.sigmoid(drive[:, 3 * H, None])
        fast = hidden.hebb
        if self.gated:
            fast = torch.sigmoid(drive[:, 3 * H + 1, None, None]) * fast
        if self.writing == "delta":
            value = value - (key[:, None, :] @ fast)[:, 0, :]
        fast = fast + outer(key, beta * value)
        return FastWeightHidden((query[:, None, :] @ fast)[:, 0, :], fast)

    def kernel_cell(self) -> str:
        """Why no compiled loop of `bpa.engines` can run this network."""
        return "it has no loops for fast weights"
