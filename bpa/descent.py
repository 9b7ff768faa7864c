"""One step down a gradient, and what is wrong with it."""

from __future__ import annotations

import math

from torch import Tensor, nn


class Diverged(ArithmeticError):
    """A loss or a gradient is not finite; the weights before it are kept."""


def clipped_gradient(loss: Tensor, net: nn.Module, max_gradient_norm: float) -> float:
    """Give the parameters of `net` the gradient of `loss`; return the norm that it had before clipping.

    A gradient of a norm above `max_gradient_norm` is scaled down to it. A parameter that takes no part in
    the loss, as the value head in a lesson, gets no gradient.
    """
    net.zero_grad()
    loss.backward()
    return nn.utils.clip_grad_norm_(net.parameters(), max_gradient_norm).item()


def refuse_divergence(iteration: int, loss: float, gradient_norm: float) -> None:
    """Raise Diverged, with the iteration and the figures, unless both are finite."""
    if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
        raise Diverged(
            f"iteration {iteration}: the loss is {loss:g} and the gradient norm {gradient_norm:g}; "
            f"the weights of iteration {iteration - 1} are kept; a smaller learning rate may help"
        )
