"""Environments in which an agent acts and is rewarded; the grid maze itself is `bpa.maze`."""
