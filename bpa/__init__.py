"""Networks that rewire themselves while they live: plastic and neuromodulated networks, and a maze.

A name is imported when it is first used (PEP 562), so that `bpa --help` need not wait for PyTorch.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from bpa.version import __version__

if TYPE_CHECKING:
    from bpa.cells.lstm import LSTM
    from bpa.experiments.evaluate import evaluate
    from bpa.maze import GridMaze
    from bpa.network import Network
    from bpa.train import train
    from bpa.training.checkpoint import load, save
    from bpa.training.config import TrainConfig

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

ORIGINS = {
    "LSTM": "bpa.cells.lstm",
    "GridMaze": "bpa.maze",
    "Network": "bpa.network",
    "TrainConfig": "bpa.training.config",
    "evaluate": "bpa.experiments.evaluate",
    "load": "bpa.training.checkpoint",
    "save": "bpa.training.checkpoint",
    "train": "bpa.train",
}

if not TYPE_CHECKING:  # who checks types is to know of no other names

    def __getattr__(name: str) -> object:
        """A name of ORIGINS, or a module of the package, imported now."""
        if name in ORIGINS:
            value = getattr(importlib.import_module(ORIGINS[name]), name)
            setattr(sys.modules[__name__], name, value)
            return value
        if not name.startswith("_") and importlib.util.find_spec(f"bpa.{name}"):
            return importlib.import_module(f"bpa.{name}")
        raise AttributeError(f"module 'bpa' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What is here, imported or not."""
    return sorted({*globals(), *__all__})


class Package(ModuleType):
    """The package, in which `train` is the function, also once the module of this name was imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "train" and isinstance(value, ModuleType):
            value = value.train
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = Package


def register_environments() -> None:
    """Give Gymnasium our environments by name, so that it loads them when somebody makes one."""
    import gymnasium  # a third of a second

    for name in ("GridMaze", "CueReward"):
        gymnasium.register(
            f"bpa/{name}-v0",
            entry_point=f"bpa.envs.gymnasium:{name}Env",
            vector_entry_point=f"bpa.envs.gymnasium:{name}VectorEnv",
        )


def asks_for_usage(arguments: list[str]) -> bool:
    """Whether the program is the command `bpa`, or `python -m bpa`, and is to say how it is used, no more."""
    program, *rest = arguments or [""]
    return (program == "-m" or Path(program).stem == "bpa") and {*rest} <= {"-h", "--help", "--version"}


if not asks_for_usage(getattr(sys, "argv", [])):
    register_environments()
