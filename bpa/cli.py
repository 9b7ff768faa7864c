"""The command line: bpa train | evaluate | play | plot | bench | reproduce | grade."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from bpa.console import forgiving_streams
from bpa.version import __version__

COMMANDS = {
    "train": "train an agent in the grid maze, or on another task",
    "evaluate": "score a trained network on fresh episodes",
    "play": "show an episode of an agent, step by step or as a film",
    "plot": "draw the learning curves of runs",
    "bench": "measure how fast each engine trains here",
    "reproduce": "compare all variants over many seeds, as the papers do",
    "grade": "mark a class's notebooks, apart from the answers",
}

USAGE = f"""usage: bpa COMMAND [OPTIONS]

{chr(10).join(f"  {name:9} {does}" for name, does in COMMANDS.items())}

bpa COMMAND --help says more. bpa --version prints the version."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit codes: 0, 2 for bad input, 1 for a run that failed, 130 for one stopped."""
    with forgiving_streams():
        return run(arguments)


def run(arguments: Sequence[str] | None) -> int:
    """`main` with streams that do not fail."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    code = 0
    try:
        if command in ("-h", "--help"):
            print(USAGE)
        elif command == "--version":
            print(f"bpa {__version__}")
        elif command in COMMANDS:
            from bpa import commands  # here, because PyTorch and all the rest take seconds

            code = commands.run(command, rest)
        else:
            raise ValueError(f"command must be one of {', '.join(COMMANDS)}, got {command!r}")
        sys.stdout.flush()  # here, where a reader that has gone is noticed
    except ValueError as error:
        print(f"bpa: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"bpa: {stop or 'stopped at once; the last checkpoint is kept'}", file=sys.stderr)
        return 130
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        print(
            "bpa: not enough memory: a smaller batch_size, hidden_size or episode_length may fit",
            file=sys.stderr,
        )
        return 1
    except BrokenPipeError:  # the reader of our output has gone: nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"bpa: {error}", file=sys.stderr)
        return 1
    return code
