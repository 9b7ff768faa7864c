"""What a run says while it goes on."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from bpa.training.checkpoint import AnyRecord, History

RECENT = 100  # iterations over which the score is averaged
PAUSE = 60.0  # seconds between two lines where there is no terminal


class Progress:
    """A bar on a terminal or in a notebook; elsewhere, a line a minute on stderr; with `quiet`, nothing.

    Args:
        begun, iterations: the last iteration before this one, and the last of all.
        score: what the second field of a record is called.
        batch_size: episodes in an iteration.
    """

    def __init__(self, begun: int, iterations: int, score: str, batch_size: int, quiet: bool):
        self.begun, self.iterations, self.score, self.batch_size = begun, iterations, score, batch_size
        self.started = self.spoken = time.perf_counter()
        # By name, since importing the class would load IPython.
        in_notebook = any(kind.__name__ == "tqdm_notebook" for kind in tqdm.__mro__)
        shows_bars = sys.stderr.isatty() or in_notebook
        self.speaks = not quiet and not shows_bars
        self.bar = tqdm(
            initial=begun, total=iterations, disable=quiet or not shows_bars, unit="it", file=sys.stderr
        )

    def update(self, history: History) -> None:
        """Tell of the newest record of `history`."""
        if self.bar.disable and not self.speaks:
            return
        now = time.perf_counter()
        done = history[-1].iteration - self.begun
        recent = [record[1] for record in history[-RECENT:]]
        pace = self.batch_size * done / (now - self.started)
        said = f"{self.score} {sum(recent) / len(recent):.3g}, {pace:.0f} episodes/s"
        self.bar.set_postfix_str(said, refresh=False)
        self.bar.update()
        if self.speaks and now - self.spoken >= PAUSE:
            self.spoken = now
            left = (now - self.started) / done * (self.iterations - history[-1].iteration)
            print(
                f"iteration {history[-1].iteration} of {self.iterations}: {said}, {left / 60:.0f} min left",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


def summary_writer() -> Any:
    """The class that writes event files; ValueError if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            "tensorboard needs the extra of that name: in your copy of this project, "
            'pip install ".[tensorboard]"'
        ) from None
    return SummaryWriter


class EventFiles:
    """The history as event files for TensorBoard.

    Args:
        folder: the run folder; the files go into its folder `tensorboard`.
        begun: the last iteration before this one. Whatever older files say of later ones is forgotten.
    """

    def __init__(self, folder: Path, begun: int):
        self.writer = summary_writer()(str(folder / "tensorboard"), purge_step=begun + 1)

    def write(self, record: AnyRecord) -> None:
        """Add one record."""
        iteration, *values = record
        for name, value in zip(record._fields[1:], values, strict=True):
            self.writer.add_scalar(name, value, iteration)

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()
