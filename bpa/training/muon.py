"""Muon: a step down the gradient of a matrix that is equally long in all the directions it goes.

Source: K. Jordan and others, "Muon: an optimizer for hidden layers in neural networks", 2024,
https://kellerjordan.github.io/posts/muon; the size of a step by J. Liu and others, "Muon is scalable for LLM
training", 2025, arXiv 2502.16982. `torch.optim.Muon` is the same in bfloat16, which a CPU has to imitate: two
matrices of 100 x 100 took it 18 ms on ours, longer than a third of a training iteration, and take 1 ms here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bpa.arguments import require_number

STEPS = 5
A, B, C = 3.4445, -4.7750, 2.0315  # of the iteration below, chosen by its author: steep at 0
SIZE_OF_ADAM = 0.2  # root mean square of what a step of Adam usually changes, for a learning rate of 1


def orthogonalized(matrix: Tensor) -> Tensor:
    """Near to U V^T, where U S V^T is the singular value decomposition of `matrix` [..., N, M].

    Five steps X = A X + (B X X^T + C (X X^T)^2) X, from a norm of 1. Each moves the singular values by
    themselves, towards 1 but not onto it: those above 0.003 of the norm end between 0.68 and 1.21.
    """
    wide = matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT
    x = wide / wide.norm(dim=(-2, -1), keepdim=True).clamp(min=torch.finfo(matrix.dtype).tiny)
    x = x.reshape(-1, *wide.shape[-2:])
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=B, alpha=C), x, beta=A)
    x = x.reshape(wide.shape)
    return x if wide is matrix else x.mT


class Muon:
    """Gradient descent by steps that are made orthogonal.

    From the gradient g of a parameter, m = momentum m + (1 - momentum) g, and the step goes along
    momentum m + (1 - momentum) g, made orthogonal: a direction in which the gradients are small is followed
    as far as one in which they are large. It is scaled by 0.2 sqrt(max(N, M)), so that one learning rate
    suits these matrices and, with Adam, the other parameters.

    Args:
        params: matrices [N, M], or stacks of them.
        lr: learning rate, above 0.
        momentum: 0 to 1, below 1.

    Raises:
        ValueError: a number is out of range, or a parameter is no matrix.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.9):
        lr = require_number("lr", lr, low=0, above=True)
        momentum = require_number("momentum", momentum, low=0, high=1)
        if momentum == 1:
            raise ValueError("momentum must be below 1, got 1")
        params = list(params)
        for param in params:
            if param.ndim < 2:
                raise ValueError(f"params must be matrices, got one of shape {tuple(param.shape)}")
        self.param_groups: list[dict[str, Any]] = [{"params": params, "lr": lr, "momentum": momentum}]
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """One step for every parameter that has a gradient."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                keep = group["momentum"]
                state = self.state.setdefault(param, {"momentum": torch.zeros_like(param)})
                mean = state["momentum"].lerp_(param.grad, 1 - keep)
                size = SIZE_OF_ADAM * math.sqrt(max(param.shape[-2:]))
                param.sub_(orthogonalized(param.grad.lerp(mean, keep)), alpha=group["lr"] * size)
