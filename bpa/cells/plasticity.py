"""What makes a connection plastic: its options, its parameters, and their first values.

The equations that use them stand in `bpa.network`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from bpa.arguments import plain, require_choice, require_flag, require_generator, require_number

PLASTICITIES = ("none", "plastic", "simple", "retroactive")
MODULATED = ("simple", "retroactive")  # the network says when to learn
ALPHAS = ("synapse", "neuron", "network")
CLIPPINGS = ("hard", "soft")
MODULATORS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "linear": lambda m: m}

# What multiplies an increment, x(t-1) [B, H], x(t) [B, H] and Hebb(t) [B, H, H] -> Hebb(t+1).
Rule: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
RULES: dict[str, Rule | None] = {"hebb": None}  # by name; Hebb's own is the clipped increment of `rewire`


def named_rule(rule: Rule) -> Rule:
    """Let networks have a rule by its name; it needs plasticity "plastic"."""
    RULES[rule.__name__] = rule
    return rule


class Plastic:
    """What a network with a plastic connection has; `declare_plasticity` fills it in."""

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

    def rule_function(self) -> Rule | None:
        """The rule as a function; None for Hebb's own."""
        return RULES[self.rule] if isinstance(self.rule, str) else self.rule


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer without values yet, float32 on the CPU whatever PyTorch's defaults are."""
    return nn.utils.skip_init(nn.Linear, inputs, outputs, dtype=torch.float32, device="cpu")


def require_rule(rule: object) -> str | Rule:
    """`rule` if it is the name of one or a function; raise ValueError otherwise."""
    if callable(rule):
        return rule
    if not isinstance(plain(rule), str) or plain(rule) not in RULES:
        names = ", ".join(map(repr, RULES))
        raise ValueError(f"rule must be one of {names}, or a function of your own, got {rule!r}")
    return plain(rule)


def declare_plasticity(
    net: Plastic,
    hidden_size: int,
    plasticity: str,
    alpha: str,
    fanout: bool,
    clip: float,
    rule: str | Rule = "hebb",
    clipping: str = "hard",
    modulator: str = "tanh",
) -> None:
    """Give `net` the options and the parameters of a plastic H x H connection, and no others.

    Options become attributes. Parameters: alpha [H, H], [1, H] or [1]; eta [1] where it is learned;
    h2mod.* and modfanout.* where there is a modulator (and fan-out). alpha is None without plasticity.

    Raises:
        ValueError: an option is out of range, or asks for something the variant does not have.
    """
    net.plasticity = plasticity = require_choice("plasticity", plasticity, PLASTICITIES)
    net.fanout = require_flag("fanout", fanout) and plasticity in MODULATED
    net.clip = clip = require_number("clip", clip, low=0, above=True, infinite=True)
    net.rule = rule = require_rule(rule)
    net.clipping = clipping = require_choice("clipping", clipping, CLIPPINGS)
    net.modulator = modulator = require_choice("modulator", modulator, MODULATORS)
    alpha = require_choice("alpha", alpha, ALPHAS)
    refuse_meaningless(plasticity, rule, clip, clipping, modulator)

    shapes = {"synapse": (hidden_size, hidden_size), "neuron": (1, hidden_size), "network": (1,)}
    net.alpha = None
    if plasticity != "none":
        net.alpha = nn.Parameter(torch.empty(shapes[alpha], dtype=torch.float32, device="cpu"))
    if plasticity in ("plastic", "retroactive"):
        net.eta = nn.Parameter(torch.empty(1, dtype=torch.float32, device="cpu"))
    if plasticity in MODULATED:
        net.h2mod = linear(hidden_size, 1)
    if net.fanout:
        net.modfanout = linear(1, hidden_size)


def plastic_settings(net: Plastic) -> dict[str, Any]:
    """The options given to `declare_plasticity`, ready for JSON; a rule of one's own by its name."""
    shape = [] if net.alpha is None else list(net.alpha.shape)
    alpha = "network" if len(shape) == 1 else "synapse"
    if len(shape) == 2 and shape[0] < shape[1]:
        alpha = "neuron"
    rule = net.rule if isinstance(net.rule, str) else {"function": rule_name(net.rule)}
    return {
        "plasticity": net.plasticity,
        "alpha": alpha,
        "fanout": net.fanout,
        "clip": net.clip,
        "rule": rule,
        "clipping": net.clipping,
        "modulator": net.modulator,
    }


def rule_name(rule: Rule) -> str:
    """What a rule of one's own is called in files."""
    return getattr(rule, "__name__", type(rule).__name__)


def refuse_meaningless(
    plasticity: str, rule: str | Rule, clip: float, clipping: str = "hard", modulator: str = "tanh"
) -> None:
    """Raise ValueError for a combination that would ask for something the network does not have."""
    if not isinstance(rule, str) and plasticity not in ("plastic", "simple"):
        raise ValueError(
            f"a rule of your own needs plasticity 'plastic' or 'simple', got {plasticity!r}: it changes Hebb "
            "alone, and is given no eligibility"
        )
    if isinstance(rule, str) and rule != "hebb" and plasticity != "plastic":
        raise ValueError(
            f"rule {rule!r} needs plasticity 'plastic', got {plasticity!r}: "
            "both rules forget at the rate eta, and M(t) in its place could be negative"
        )
    if clipping == "soft" and (plasticity == "none" or rule != "hebb"):
        raise ValueError("clipping 'soft' needs a trace with rule 'hebb': nothing else is clipped")
    if clipping == "soft" and math.isinf(clip):
        raise ValueError(
            "clip must be finite with clipping 'soft', got inf: there would be no bound to approach"
        )
    if modulator != "tanh" and plasticity not in MODULATED:
        raise ValueError(f"modulator {modulator!r} needs plasticity 'simple' or 'retroactive'")


@torch.no_grad()
def reset_parameters(
    net: nn.Module,
    generator: torch.Generator | None,
    initial_weight: float = 0.001,
    initial_eta: float = 0.01,
    initial_self: float = 0.0,
    bounds: Mapping[str, float] | None = None,
) -> None:
    """First values: w and alpha uniform in [0, initial_weight), eta initial_eta, the rest as PyTorch does.

    With `initial_self` added to the diagonal of w, a neuron keeps about that share of its activity.

    PyTorch draws the weight and the bias of a linear layer uniformly within +- 1 / sqrt(fan-in). Parameters
    named in `bounds` are drawn uniformly within +- the bound given there instead.

    Raises:
        ValueError: a first value is no finite number of at least 0, or the generator is none.
    """
    initial_weight = require_number("initial_weight", initial_weight, low=0)
    initial_eta = require_number("initial_eta", initial_eta, low=0)
    initial_self = require_number("initial_self", initial_self, low=0)
    if generator is not None:
        require_generator("generator", generator)
    bounds = bounds or {}

    def draw(parameter: nn.Parameter, low: float, high: float) -> None:
        if generator is None or generator.device == parameter.device:
            parameter.uniform_(low, high, generator=generator)
        else:
            drawn = torch.empty_like(parameter, device=generator.device)
            parameter.copy_(drawn.uniform_(low, high, generator=generator))

    for name, parameter in net.named_parameters():
        if name in bounds:
            draw(parameter, -bounds[name], bounds[name])
        elif name in ("w", "alpha"):
            draw(parameter, 0, initial_weight)
        elif name == "eta":
            parameter.fill_(initial_eta)
        else:
            bound = 1 / math.sqrt(net.get_parameter(name.split(".")[0] + ".weight").shape[1])
            draw(parameter, -bound, bound)
    if initial_self:
        net.get_parameter("w").diagonal().add_(initial_self)
