"""Networks that rewire themselves while they live: plastic and neuromodulated networks, and a maze."""

import gymnasium

from bpa.cells.lstm import LSTM
from bpa.experiments.evaluate import evaluate
from bpa.maze import GridMaze
from bpa.network import Network
from bpa.train import train
from bpa.training.checkpoint import load, save
from bpa.training.config import TrainConfig
from bpa.version import __version__

__all__ = [
    "LSTM",
    "GridMaze",
    "Network",
    "TrainConfig",
    "__version__",
    "evaluate",
    "load",
    "save",
    "train",
]

# By name, so that Gymnasium loads the environments when somebody makes one.
gymnasium.register(
    "bpa/GridMaze-v0",
    entry_point="bpa.envs.gymnasium:GridMazeEnv",
    vector_entry_point="bpa.envs.gymnasium:GridMazeVectorEnv",
)
gymnasium.register(
    "bpa/CueReward-v0",
    entry_point="bpa.envs.gymnasium:CueRewardEnv",
    vector_entry_point="bpa.envs.gymnasium:CueRewardVectorEnv",
)
