"""The streams of the command line: whatever they can encode and wherever they lead, printing goes on."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator

ESCAPED = "bpa.escaped"


def escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    r"""Undecodable bytes of a path as they were, where a stream is meant to pass them on; else "\u03b1"."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeEncodeError:
        return codecs.lookup_error("backslashreplace")(error)


codecs.register_error(ESCAPED, escaped)


@contextlib.contextmanager
def forgiving_streams() -> Iterator[None]:
    """Within, stdout and stderr write what they cannot encode as escapes; a missing one swallows all.

    A console that cannot encode would end a run that is complete, as it prints the name of its folder. The
    streams are the caller's again afterwards, as they were.
    """
    with contextlib.ExitStack() as undo:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None or stream.closed:
                nowhere = open(os.devnull, "w", encoding="utf-8", newline="\n")  # noqa: SIM115, undo closes it
                setattr(sys, name, undo.enter_context(nowhere))
                undo.callback(setattr, sys, name, stream)
            elif isinstance(stream, io.TextIOWrapper):
                undo.callback(set_errors, stream, stream.errors)
                passes_bytes = stream.errors in ("surrogateescape", ESCAPED)
                set_errors(stream, ESCAPED if passes_bytes else "backslashreplace")
        yield


def set_errors(stream: io.TextIOWrapper, errors: str | None) -> None:
    """Give a stream another way with what it cannot encode; what it cannot write any more is dropped."""
    try:
        stream.reconfigure(errors=errors)  # which writes what is left first
    except OSError:
        # The reader has gone or the disk is full, which has been said; Python would say it again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        stream.reconfigure(errors=errors)
