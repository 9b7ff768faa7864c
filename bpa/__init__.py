"""Networks that rewire themselves while they live: plastic and neuromodulated networks, and a maze."""

from bpa.config import TrainConfig
from bpa.maze import GridMaze
from bpa.network import Network
from bpa.train import train

__all__ = ["GridMaze", "Network", "TrainConfig", "train"]
