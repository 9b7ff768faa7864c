"""Where chance comes from when a caller brings no generator of its own."""

from __future__ import annotations

import torch


def fresh_generator() -> torch.Generator:
    """A generator on the CPU with a seed that nobody can foresee. No global state is touched."""
    generator = torch.Generator()
    generator.seed()
    return generator
