"""The judge's side of a student's process: starts it, asks it, and ends it when its time is over."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Literal

import matplotlib
import torch
from torch import Tensor

import bpa
from bpa.grading.messages import Forged, Kept, Message, Packer, Unpacker, receive, send

PASSED_ON = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL")
HIDDEN = ("checks", "__pycache__")  # rooms of the package that a student's process does not have
GLANCE = 0.05  # seconds between two looks at the clock
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from bpa.grading.student import main; main()"


class Stopped(BaseException):
    """The conversation is over. No `except Exception` of a check may swallow that.

    Args:
        status: how the mark is called.
        why: one line.
    """

    def __init__(self, status: Literal["time-out", "crash", "tampering"], why: str) -> None:
        super().__init__(why)
        self.status, self.why = status, why


def package_without_checks(folder: Path) -> Path:
    """A folder to import `bpa` from that has all of it but the checks."""
    origin, copy = Path(bpa.__file__).parent, folder / "bpa"
    shutil.copytree(origin, copy, ignore=shutil.ignore_patterns(*HIDDEN))
    return folder


class Child:
    """A student's process, while there is one.

    Args:
        reading: what it says.
        writing: what it is told.
        seconds: how long one exercise may take, wall clock.
        end: ends the process and all that it has started.
    """

    def __init__(
        self, reading: IO[bytes], writing: IO[bytes], seconds: float, end: Callable[[], None]
    ) -> None:
        self.reading, self.writing, self.seconds = reading, writing, seconds
        self.end = end
        self.limit = self.left = seconds  # for the present exercise, and what is left of it
        self.deadline: float | None = None  # while it is the process's turn
        self.over = False  # whether time is over
        self.turn = 0
        self.functions: list[Callable[..., Any]] = []  # of the judge's, which the process may ask for
        self.crashed = ""  # how a call of the student's function has failed

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Within, the process is ended when its time is over, whatever it does with its own clock."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(GLANCE):
                deadline = self.deadline
                if deadline is not None and time.monotonic() > deadline:
                    self.over = True
                    self.end()
                    return

        watchman = threading.Thread(target=watch, daemon=True)
        watchman.start()
        try:
            yield
        finally:
            done.set()
            watchman.join()

    @contextlib.contextmanager
    def its_turn(self) -> Iterator[None]:
        """Within, time passes for the process: what the judge computes is nobody's time."""
        began = time.monotonic()
        self.deadline = began + self.left
        try:
            yield
        finally:
            self.deadline = None
            self.left -= time.monotonic() - began

    def ask(self, said: dict[str, Any], tensors: Sequence[Tensor] = ()) -> Message:
        """What the process answers.

        Raises:
            Stopped: it has ended, has come to its limit, was caught, or has answered what nobody asked.
        """
        self.turn += 1
        try:
            with self.its_turn():
                send(self.writing, {**said, "turn": self.turn}, tensors)
            while True:
                with self.its_turn():
                    message = receive(self.reading)
                if message.said.get("turn") != self.turn:
                    raise Forged("it answers what was not asked")
                if "caught" in message.said:
                    raise Stopped("tampering", str(message.said["caught"])[:200])
                if "ask" not in message.said:
                    return message
                self.answer(message)
        except (EOFError, OSError):
            if self.over:
                raise Stopped("time-out", f"not ready after {self.limit:g} seconds") from None
            raise Stopped("crash", "its process has ended") from None
        except Forged as error:
            raise Stopped("tampering", f"it writes into the channel of results: {error}") from None

    def answer(self, message: Message) -> None:
        """Compute a function of the judge's for the process."""
        place = message.said["ask"]
        if type(place) is not int or not 0 <= place < len(self.functions):
            raise Forged("it asks for a function that it was not given")
        arguments = Unpacker(message, self.theirs).unpack(message.said.get("value"))
        if not isinstance(arguments, list):
            raise Forged("it asks without arguments")
        packer = Packer(self.own)
        try:
            said = {"value": packer.pack(self.functions[place](*arguments))}
        except Exception as error:  # the student's arguments were wrong
            said, packer = {"failed": f"{type(error).__name__}: {error}"}, Packer(self.own)
        send(self.writing, said, packer.tensors)

    def own(self, value: Any) -> list[Any]:
        """How an object of the judge's travels: a function by its place, what was kept there goes back."""
        if isinstance(value, Kept):
            return ["kept", value.place]
        if not callable(value):
            raise ValueError(f"an exercise cannot be given a {type(value).__name__}")
        self.functions.append(value)
        return ["function", len(self.functions) - 1]

    def theirs(self, kind: str, rest: list[Any]) -> Any:
        """An object that stays there, as a class of its own name, for messages."""
        if kind != "kept" or len(rest) != 2 or type(rest[0]) is not int or not str(rest[1]).isidentifier():
            raise Forged(f"there is no kind {kind!r}")
        return type(rest[1], (Kept,), {})(*rest)

    def define(
        self, name: str, cells: Sequence[tuple[str, str]], patience: float = 1.0
    ) -> Callable[..., Any] | None:
        """Run cells there, and return a function that calls the one of this name; None if there is none.

        `patience` is how many times as long as others this function may take.

        Raises:
            Stopped: the cells fail, or as `ask`.
            TypeError: it is no function; the message is the name of its class.
        """
        self.limit = self.left = patience * self.seconds
        self.crashed = ""
        said = self.ask({"do": "define", "name": name, "cells": [list(cell) for cell in cells]}).said
        if "failed" in said:
            raise Stopped("crash", failed(said["failed"])[1])
        if said.get("kind") == "missing":
            return None
        if not said.get("callable"):
            raise TypeError(str(said.get("kind"))[:40])
        return self.function(name, said.get("names"))

    def function(self, name: str, names: Any) -> Callable[..., Any]:
        """What a check calls as if it were the student's function."""

        def answer(*arguments: Any) -> Any:
            return self.call(arguments)

        answer.__name__ = name
        with contextlib.suppress(TypeError, ValueError):  # names that are none: messages number arguments
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            signature = inspect.Signature([inspect.Parameter(each, kind) for each in names])
            answer.__signature__ = signature  # type: ignore[attr-defined]  # functions may have one
        return answer

    def call(self, arguments: tuple[Any, ...]) -> Any:
        """The result of the student's function, with what it has changed written into the arguments."""
        packer = Packer(self.own)
        packed = packer.pack(list(arguments))
        message = self.ask({"do": "call", "value": packed}, packer.tensors)
        if "failed" in message.said:
            kind, self.crashed = failed(message.said["failed"])
            text = self.crashed.partition(": ")[2]
            raise type(kind, (Exception,), {})(text)
        unpacker = Unpacker(message, self.theirs)
        try:
            result = unpacker.unpack(message.said.get("value"))
            for k, place in message.said["changed"]:
                write_back(packer.sources[k], unpacker.tensor(place))
        except (Forged, KeyError, TypeError, ValueError, IndexError) as error:
            raise Stopped("tampering", f"it writes into the channel of results: {error}") from None
        leaves = [source for source in packer.sources if source.requires_grad]
        if isinstance(result, Tensor) and result.requires_grad and leaves:
            result = Remote.apply(self, result.detach(), *leaves)
        return result

    def gradients(self, upstream: Tensor, shapes: list[torch.Size]) -> list[Tensor | None]:
        """Gradients of the last result by the arguments of these shapes that asked for them."""
        packer = Packer(self.own)
        packed = packer.pack(upstream)
        message = self.ask({"do": "gradient", "value": packed}, packer.tensors)
        if "failed" in message.said:
            kind, self.crashed = failed(message.said["failed"])
            raise type(kind, (Exception,), {})(self.crashed)
        gradients = Unpacker(message, self.theirs).unpack(message.said.get("value"))
        if [
            g.shape if isinstance(g, Tensor) else s for g, s in zip(gradients, shapes, strict=True)
        ] != shapes:
            raise Stopped("tampering", "it writes into the channel of results: gradients of other shapes")
        return list(gradients)


def failed(said: Any) -> tuple[str, str]:
    """Class, and message with its place, of an exception in the process."""
    kind, text, place = (str(part) for part in said)
    kind = kind if kind.isidentifier() else "Exception"
    return kind, f"{kind}: {text}{f' ({place})' if place else ''}"


def write_back(source: Tensor, changed: Tensor) -> None:
    """Write into an argument what the student's function has written into its copy."""
    if source.shape != changed.shape:
        raise ValueError("an argument has another shape now")
    with torch.no_grad():
        source.copy_(changed)


class Remote(torch.autograd.Function):
    """The result of a student's function, whose gradient is asked of the student's process."""

    @staticmethod
    def forward(ctx: Any, child: Child, result: Tensor, *leaves: Tensor) -> Tensor:
        """The result as it is; the leaves are what it depends on."""
        ctx.child, ctx.shapes = child, [leaf.shape for leaf in leaves]
        return result.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        """Gradients of the leaves, None where the result does not depend on one."""
        return None, None, *ctx.child.gradients(upstream[0], ctx.shapes)


class Nursery:
    """Where students' processes come from. Use it in a `with` statement.

    Args:
        secret: folders that students' code may not read.
        seconds: how long one exercise may take, wall clock.
        fork: whether one process imports PyTorch for all; None: where the system can.
    """

    def __init__(self, secret: Sequence[Path], seconds: float, fork: bool | None = None) -> None:
        self.seconds = seconds
        self.fork = sys.platform == "linux" if fork is None else fork
        self.secret = [str(Path(bpa.__file__).parent / "checks"), *map(str, secret)]
        self.folder = Path()
        self.control: socket.socket | None = None

    def __enter__(self) -> Nursery:
        self.stack = contextlib.ExitStack()
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="bpa-grade-")))
        self.library = package_without_checks(self.folder)
        self.environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self.fonts = list(Path(matplotlib.get_cachedir()).glob("fontlist-*.json"))
        self.environment |= {"HOME": str(self.folder), "OMP_NUM_THREADS": "1"}
        if self.fork:
            ours, theirs = socket.socketpair()
            self.control = self.stack.enter_context(ours)
            with theirs:
                started = self.start(["--nursery", str(theirs.fileno())], pass_fds=(theirs.fileno(),))
            self.stack.callback(end_process, started)
        return self

    def __exit__(self, *_: object) -> None:
        if self.control is not None:
            self.control.close()
        self.stack.close()

    def start(self, arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """A process of ours that runs `bpa.grading.student`."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **options}
        return subprocess.Popen(
            # -I: no variable and no folder of the lecturer's decides what is imported
            [sys.executable, "-I", "-B", "-c", START, str(self.library), *arguments],
            stderr=subprocess.DEVNULL,
            env=self.environment,
            cwd=self.folder,
            start_new_session=True,
            **options,
        )

    @contextlib.contextmanager
    def child(self) -> Iterator[Child]:
        """A fresh process with a scratch folder of its own, which is gone afterwards."""
        with contextlib.ExitStack() as stack:
            scratch = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="bpa-student-", ignore_cleanup_errors=True)
            )
            asked = {"scratch": scratch, "secret": self.secret}
            for path in self.fonts:  # else Matplotlib looks for them in the student's time
                shutil.copy(path, scratch)
            child = self.forked(asked, stack) if self.fork else self.spawned(asked, stack)
            stack.callback(child.end)
            receive(child.reading)  # it is ready: to import PyTorch is nobody's time
            stack.enter_context(child.watched())
            yield child

    def forked(self, asked: dict[str, Any], stack: contextlib.ExitStack) -> Child:
        """A process that the nursery forks."""
        assert self.control is not None
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.control, [json.dumps(asked).encode()], [theirs.fileno()])
            number = int.from_bytes(self.control.recv(8, socket.MSG_WAITALL), "big")
        if not number:
            raise RuntimeError("the process that starts students' processes has ended")
        stack.enter_context(ours)
        reading, writing = ours.makefile("rb"), ours.makefile("wb")
        stack.callback(close, reading, writing)

        def end() -> None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(number, signal.SIGKILL)
            with contextlib.suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)

        return Child(reading, writing, self.seconds, end)

    def spawned(self, asked: dict[str, Any], stack: contextlib.ExitStack) -> Child:
        """A process that imports everything itself."""
        process = self.start([], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        stack.callback(end_process, process)
        send(process.stdin, asked)
        return Child(process.stdout, process.stdin, self.seconds, process.kill)


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours, and let go of its pipes."""
    process.kill()
    close(*(pipe for pipe in (process.stdin, process.stdout) if pipe is not None))
    process.wait()


def close(*streams: Any) -> None:
    """Close streams to a process that may have ended: what it has not read is lost."""
    for stream in streams:
        with contextlib.suppress(OSError):
            stream.close()
