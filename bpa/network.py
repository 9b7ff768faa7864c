"""Networks that rewire themselves while they live: the definition.

The papers' equations stand here once, one line each, in the order in which a step computes them.
Shapes: T time, B batch, I input, H hidden, A actions. Time comes first. Row i is the pre-synaptic neuron,
column j the post-synaptic one. Sources: [2018] Miconi, Clune, Stanley, ICML 2018, arXiv 1804.02464;
[2019] Miconi, Rawal, Clune, Stanley, ICLR 2019, arXiv 2002.10585.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bpa.arguments import require_integer
from bpa.cells.base import RecurrentNetwork
from bpa.cells.loops import trace_cell
from bpa.cells.plasticity import (
    MODULATED,
    MODULATORS,
    Plastic,
    Rule,
    declare_plasticity,
    linear,
    named_rule,
    plastic_settings,
    reset_parameters,
)
from bpa.engines.cell import KernelCell
from bpa.engines.offers import reason_of_class


class Hidden(NamedTuple):
    """What a network carries from one step to the next. A part that a variant does not use is None."""

    h: Tensor  # activity x(t), [B, H]
    hebb: Tensor | None = None  # Hebbian trace, [B, H, H]
    eligibility: Tensor | None = None  # eligibility trace E(t), [B, H, H]


def outer(pre: Tensor, post: Tensor) -> Tensor:
    """x_i(t-1) x_j(t): [B, H] and [B, H] -> [B, H, H], row pre-synaptic, column post-synaptic."""
    return pre[:, :, None] * post[:, None, :]


def plastic_input(pre: Tensor, alpha: Tensor, hebb: Tensor) -> Tensor:
    """sum_i alpha_ij Hebb_ij(t) x_i(t-1), [B, H]: the plastic part of [2018, eq. 1]."""
    return (pre[:, None, :] @ (alpha * hebb))[:, 0, :]


def clipped(hebb: Tensor, increment: Tensor, clip: float, clipping: str = "hard") -> Tensor:
    """Clip( Hebb + increment ), within [-clip, clip]. [2019, sec. 3.1]

    "hard" cuts the sum off at the bound. "soft" scales an increment by the room left in its direction,
    1 - Hebb / clip upwards and 1 + Hebb / clip downwards.
    """
    if clipping == "hard":
        return (hebb + increment).clamp(-clip, clip)
    return hebb + increment * torch.where(increment > 0, 1 - hebb / clip, 1 + hebb / clip)


def modulation(net: Plastic, h: Tensor) -> Tensor | None:
    """M(t) = modulator( h2mod(x(t)) ): [..., H] -> [...]; None without a modulator. [2019, sec. 3.2]"""
    if net.plasticity not in MODULATED:
        return None
    return MODULATORS[net.modulator](net.h2mod(h))[..., 0]


def plasticity_rate(net: Plastic, h: Tensor) -> Tensor:
    """What multiplies an increment of Hebb: eta [1], M(t) [B, 1, 1], or with fan-out eta_j(t) [B, 1, H]."""
    m = modulation(net, h)
    if m is None:
        return net.eta
    if not net.fanout:
        return m[:, None, None]
    return net.modfanout(m[:, None])[:, None, :]  # eta_j(t) = modfanout_j.weight M(t) + modfanout_j.bias


@named_rule
def decay(rate: Tensor, pre: Tensor, post: Tensor, hebb: Tensor) -> Tensor:
    """(1 - eta) Hebb + eta x_i(t-1) x_j(t). [2018, eq. 2]"""
    return (1 - rate) * hebb + rate * outer(pre, post)


@named_rule
def oja(rate: Tensor, pre: Tensor, post: Tensor, hebb: Tensor) -> Tensor:
    """Hebb + eta x_j(t) ( x_i(t-1) - x_j(t) Hebb ). [2018, eq. 3]"""
    return hebb + rate * post[:, None, :] * (pre[:, :, None] - post[:, None, :] * hebb)


def rewire(
    net: Plastic, rate: Tensor, pre: Tensor, post: Tensor, hebb: Tensor, eligibility: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Hebb(t+1) and E(t+1) from x(t-1), x(t), Hebb(t), E(t). [2018, eqs. 2, 3; 2019, eqs. 2-5]"""
    if (rule := net.rule_function()) is not None:
        return rule(rate, pre, post, hebb), None
    if eligibility is None:
        return clipped(hebb, rate * outer(pre, post), net.clip, net.clipping), None
    # Retroactive: the Hebb update uses the old E, the trace gathered before this step.
    hebb = clipped(hebb, rate * eligibility, net.clip, net.clipping)
    return hebb, (1 - net.eta) * eligibility + net.eta * outer(pre, post)


class Network(RecurrentNetwork[Hidden], Plastic):
    """A recurrent network whose connections are w + alpha * Hebb, with action and value heads.

    x_j(t) = tanh( i2h_j(input(t)) + sum_i (w_ij + alpha_ij Hebb_ij(t)) x_i(t-1) ). How Hebb changes:

    - "none": there is no Hebb, no alpha.
    - "plastic", eta learned: by `rule` "hebb" Clip( Hebb + eta x_i(t-1) x_j(t) ) [2019, eq. 2],
      "decay" (1 - eta) Hebb + eta x_i(t-1) x_j(t) [2018, eq. 2],
      "oja" Hebb + eta x_j(t) ( x_i(t-1) - x_j(t) Hebb ) [2018, eq. 3]. The last two use no clip.
    - "simple" [2019, eq. 3]: Clip( Hebb + M(t) x_i(t-1) x_j(t) ).
    - "retroactive" [2019, eqs. 4, 5]: Clip( Hebb + M(t) E(t) ), then
      E(t+1) = (1 - eta) E(t) + eta x_i(t-1) x_j(t).

    M(t) = modulator( h2mod(x(t)) ). With `fanout`, each neuron j has its own gain in place of M(t):
    eta_j(t) = modfanout_j.weight M(t) + modfanout_j.bias.

    Args:
        input_size, hidden_size, num_actions: I, H, A, each at least 1.
        plasticity: "none", "plastic", "simple" or "retroactive".
        alpha: "synapse" [H, H], "neuron" [1, H] or "network" [1] plasticity coefficients.
        fanout: one gain per neuron (True) or M(t) itself for all (False); used where there is a modulator.
        clip: bound of the trace, above 0; `math.inf` for none.
        rule: "hebb", "decay" or "oja", the last two with "plastic" only; or a function of your own, with
            "plastic" or "simple", rule(rate, pre, post, hebb) -> Hebb(t+1) [B, H, H], of what multiplies an
            increment [1], [B, 1, 1] or [B, 1, H], x(t-1) [B, H], x(t) [B, H] and Hebb(t) [B, H, H].
        clipping: "hard" or "soft". modulator: "tanh", "sigmoid" or "linear".
        generator: source of the initial weights; PyTorch's global one if None.
        initial_weight: w and alpha are first uniform in [0, initial_weight); at least 0.
        initial_eta: first value of eta, where it is learned; at least 0.
        initial_self: added to the diagonal of w at first, so that a neuron keeps about this share of its
            activity from step to step; at least 0.

    Parameters are float32 on the CPU, whatever PyTorch's defaults are; `.to(device)` moves them.

    Raises:
        ValueError: an argument is out of range, or a combination has no meaning.

    Example:
        >>> import bpa, torch
        >>> net = bpa.Network(input_size=17, hidden_size=100, num_actions=4, plasticity="simple")
        >>> logits, value, hidden = net(torch.zeros(30, 17))  # one step of 30 episodes
        >>> logits.shape, value.shape, hidden.hebb.shape
        (torch.Size([30, 4]), torch.Size([30]), torch.Size([30, 100, 100]))
        >>> net.unroll(torch.zeros(200, 30, 17), hidden).logits.shape  # 200 steps more
        torch.Size([200, 30, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_actions: int,
        plasticity: str = "simple",
        alpha: str = "synapse",
        fanout: bool = True,
        clip: float = 2.0,
        rule: str | Rule = "hebb",
        clipping: str = "hard",
        modulator: str = "tanh",
        generator: torch.Generator | None = None,
        initial_weight: float = 0.001,
        initial_eta: float = 0.01,
        initial_self: float = 0.0,
    ):
        super().__init__()
        _, H, _ = self.declare_sizes(input_size, hidden_size, num_actions)
        self.i2h = linear(self.input_size, H)
        self.w = nn.Parameter(torch.empty(H, H, dtype=torch.float32, device="cpu"))
        declare_plasticity(self, H, plasticity, alpha, fanout, clip, rule, clipping, modulator)
        self.h2o = linear(H, self.num_actions)
        self.h2v = linear(H, 1)
        reset_parameters(self, generator, initial_weight, initial_eta, initial_self)

    def settings(self) -> dict[str, Any]:
        """The arguments that make a network like this one but for its first values, ready for JSON."""
        return super().settings() | plastic_settings(self)

    def initial_state(self, batch_size: int) -> Hidden:
        """All activity and all traces zero, as at the start of an episode."""
        batch_size = require_integer("batch_size", batch_size, low=1)
        h = self.w.new_zeros(batch_size, self.hidden_size)
        trace = self.w.new_zeros(batch_size, self.hidden_size, self.hidden_size)
        hebb = trace if self.plasticity != "none" else None
        return Hidden(h, hebb, trace.clone() if self.plasticity == "retroactive" else None)

    def modulation(self, h: Tensor) -> Tensor | None:
        """M(t) from x(t), as `modulation`."""
        return modulation(self, h)

    def rewire(
        self, pre: Tensor, post: Tensor, hebb: Tensor, eligibility: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Hebb(t+1) and E(t+1) from x(t-1), x(t), Hebb(t) and E(t), as `rewire`."""
        return rewire(self, plasticity_rate(self, post), pre, post, hebb, eligibility)

    def step(self, drive: Tensor, hidden: Hidden) -> Hidden:
        """One step from the drive i2h(input(t)) [B, H]: first the activity, then the traces."""
        pre, hebb, eligibility = hidden
        drive = drive + pre @ self.w  # input_j(t) + sum_i w_ij x_i(t-1)
        if self.alpha is None or hebb is None:
            return Hidden(torch.tanh(drive))
        post = torch.tanh(drive + plastic_input(pre, self.alpha, hebb))
        hebb, eligibility = self.rewire(pre, post, hebb, eligibility)
        return Hidden(post, hebb, eligibility)

    def kernel_cell(self) -> KernelCell | str:
        """What the compiled loops of `bpa.engines` need of this network, or why none can run it."""
        return reason_of_class(self, Network) or trace_cell(self)
