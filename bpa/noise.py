"""Where noise comes from: draws on the generator's own device, and a generator for callers without one."""

from __future__ import annotations

import torch
from torch import Tensor

from bpa.arguments import require_generator


def given_or_fresh(generator: torch.Generator | None) -> torch.Generator:
    """`generator`, or a fresh one if None; ValueError if it is something else."""
    return fresh_generator() if generator is None else require_generator("generator", generator)


def fresh_generator() -> torch.Generator:
    """A generator on the CPU with a seed that nobody can foresee. No global state is touched."""
    generator = torch.Generator(device="cpu")
    generator.seed()
    return generator


def uniform(*shape: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform numbers in [0, 1) of this shape, on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device, dtype=dtype)


def integers(high: int, *shape: int, generator: torch.Generator) -> Tensor:
    """Uniform whole numbers below `high`, int64 of this shape, on the generator's device."""
    return torch.randint(high, shape, generator=generator, device=generator.device, dtype=torch.int64)
