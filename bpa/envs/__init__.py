"""Environments in which an agent acts and is rewarded; the grid maze itself is `bpa.maze`."""

from bpa.envs.vector import from_gymnasium

__all__ = ["from_gymnasium"]
