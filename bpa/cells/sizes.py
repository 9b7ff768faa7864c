"""Fair comparisons: networks of different kinds with the same number of parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from bpa.arguments import require_integer


def count_parameters(net: nn.Module) -> int:
    """How many numbers training can change."""
    return sum(parameter.numel() for parameter in net.parameters())


class NamedDevicesToo(TorchFunctionMode):
    """Within, a device that is named means PyTorch's meta device too."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func` as asked, but on the meta device where a device is named."""
        kwargs = dict(kwargs or {})
        if kwargs.get("device") is not None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def matching_hidden_size(build: Callable[[int], nn.Module], parameters: int) -> int:
    """The hidden size at which `build` gives a network of about as many parameters as asked.

    Args:
        build: makes a network from a hidden size; more neurons must mean more parameters. It is called on
            PyTorch's meta device, so that nothing is drawn or filled.
        parameters: how many parameters to come near to; at least 1.

    Returns:
        The size whose parameter count is nearest, the smaller one in a tie.

    Raises:
        ValueError: even one hidden neuron has more than twice the parameters asked for.
    """
    parameters = require_integer("parameters", parameters, low=1)

    def count(hidden_size: int) -> int:
        with torch.device("meta"), NamedDevicesToo():
            return count_parameters(build(hidden_size))

    high = 1
    while count(high) < parameters:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < parameters else (low, middle)
    if low == 0:
        if count(1) > 2 * parameters:
            raise ValueError(f"parameters must be at least {count(1)}, those of one neuron, got {parameters}")
        return 1
    return low if parameters - count(low) <= count(high) - parameters else high
