"""The student's side: runs the cells that define a function, and calls it when the judge asks.

It has a scratch folder for a home, an environment without the lecturer's variables, and no `bpa.checks`. An
audit hook refuses, and tells the judge of, what no exercise needs: other processes, the network, foreign
machine code, reading the checks or other submissions, writing outside the scratch folder.
That hook is a fence, not a wall: see "What can still get through" on the instructors' page.

On POSIX one process imports PyTorch and forks another for each student; elsewhere each imports its own.
"""

from __future__ import annotations

import importlib
import inspect
import json
import linecache
import os
import socket
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import torch
from torch import Tensor

import bpa
from bpa.grading.messages import Packer, Unpacker, receive, send
from bpa.network import Network

READY = ("bpa.training.a2c", "bpa.training.rollout")  # imported before a student's time begins
QUOTED = 80  # characters of a line that is quoted
MOST_BYTES = 4 << 30  # of memory
LARGEST_FILE = 64 << 20

OTHER_PROCESSES = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill"}
OTHER_PROCESSES |= {"subprocess.Popen", "os.killpg", "signal.pthread_kill", "os.startfile"}
NETWORK = {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"}
WRITES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink"}
WRITES |= {"os.truncate", "os.utime", "shutil.rmtree", "shutil.move"}
SECRETS = ("it reads ", "it reaches for ")  # how the faults begin that nobody makes by chance
# Modules that do what their caller asks: who called them is the one who wanted it.
MEANS = {"subprocess", "os", "shutil", "pathlib", "socket", "ssl", "http", "urllib", "importlib"}


class Fence:
    """The audit hook: refuses what no exercise needs, and says so.

    Args:
        scratch: the folder that may be written in.
        secret: folders that may not be read.
        native: folders whose machine code may be loaded.
        tell: is given one line about what was refused.
    """

    def __init__(
        self, scratch: Path, secret: list[str], native: list[str], tell: Callable[[str], None]
    ) -> None:
        self.scratch = os.path.realpath(scratch)
        self.secret = [os.path.realpath(folder) for folder in secret]
        self.native = [os.path.realpath(folder) for folder in native]
        self.tell = tell
        self.busy = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Called by Python at every event of its own list."""
        if self.busy:
            return
        self.busy = True
        try:
            fault = self.fault(event, arguments)
            if fault:
                if fault.startswith(SECRETS) or self.deliberate():
                    self.tell(fault)
                raise PermissionError(f"{fault}: no exercise needs that")
        finally:
            self.busy = False

    def fault(self, event: str, arguments: tuple[Any, ...]) -> str:
        """What is wrong with an event, or nothing."""
        if event in OTHER_PROCESSES:
            return f"it starts or ends a process ({event})"
        if event in NETWORK:
            return f"it uses the network ({event})"
        if event in WRITES and not all(within(self.scratch, path) for path in paths(arguments)):
            return f"it changes files outside its folder ({event} {arguments[0]!r})"
        if event == "open" and paths(arguments[:1]):
            return self.opened(*arguments)
        if event == "ctypes.dlopen" and not any(within(f, arguments[0]) for f in self.native):
            return f"it loads machine code ({arguments[0]!r})"
        if event == "import" and f"{arguments[0]}.".startswith("bpa.checks."):
            return "it reaches for bpa.checks"
        return ""

    def deliberate(self) -> bool:
        """Whether the student's own code asks for it, and not a library on its behalf.

        Matplotlib asks a program for the fonts, joblib wants shared memory: that is refused too, and is no
        tampering. What nobody does by chance, to read what is secret, is deliberate whoever opens the file.
        """
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and is_means(str(frame.f_globals.get("__name__"))):
            frame = frame.f_back
        return frame is None or frame.f_globals.get("__name__") in ("__main__", __name__)

    def opened(self, path: str | bytes, mode: str | None, flags: int) -> str:
        """What is wrong with opening a file."""
        if any(within(folder, path) for folder in self.secret):
            return f"it reads {os.fsdecode(path)}"
        writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        if writing and not within(self.scratch, path) and os.fsdecode(path) != os.devnull:
            return f"it writes {os.fsdecode(path)}"
        return ""


def is_means(module: str) -> bool:
    """Whether a module does what its caller asks; `ctypes.util` runs programs of its own accord."""
    return module == "ctypes" or module.partition(".")[0] in MEANS


def paths(arguments: tuple[Any, ...]) -> list[str | bytes]:
    """Those of the arguments of an event that are paths."""
    return [argument for argument in arguments if isinstance(argument, str | bytes)]


def within(folder: str, path: Any) -> bool:
    """Whether a path, links followed, lies in a folder."""
    if not isinstance(path, str | bytes):
        return False
    real = os.path.realpath(os.fsdecode(path))
    return real == folder or real.startswith(folder + os.sep)


class Student:
    """One student's functions, and the conversation about them."""

    def __init__(self, reading: BinaryIO, writing: BinaryIO) -> None:
        self.reading, self.writing = reading, writing
        self.kept: list[Any] = []
        self.function: Any = None
        self.places: set[str] = set()  # what the files of its code are called
        self.turn = 0
        self.graph: tuple[list[Tensor], Tensor] | None = None  # leaves and result of the last call

    def serve(self) -> None:
        """Answer until the judge has gone."""
        doing = {"define": self.define, "call": self.call, "gradient": self.gradient}
        while True:
            try:
                message = receive(self.reading)
            except EOFError:
                return
            self.turn = message.said["turn"]
            try:
                said, tensors = doing[message.said["do"]](message)
            except BaseException as error:  # whatever the student's code does, the judge is told
                said, tensors = failure(error, self.places), []
            try:
                send(self.writing, {**said, "turn": self.turn}, tensors)
            except (ValueError, TypeError, RecursionError) as error:
                send(self.writing, {**failure(error, self.places), "turn": self.turn})

    def tell(self, fault: str) -> None:
        """Say what the fence has refused."""
        send(self.writing, {"caught": fault, "turn": self.turn})

    def keep(self, value: Any) -> list[Any]:
        """Keep an object here, and say where."""
        self.kept.append(value)
        return ["kept", len(self.kept) - 1, type(value).__name__]

    def theirs(self, kind: str, rest: list[Any]) -> Any:
        """An object that was kept here, or a function of the judge's."""
        return self.kept[rest[0]] if kind == "kept" else self.asking(rest[0])

    def asking(self, place: int) -> Callable[..., Any]:
        """A function that the judge computes."""

        def ask(*arguments: Any) -> Any:
            packer = Packer(self.keep)
            packed = packer.pack(list(arguments))
            send(self.writing, {"ask": place, "value": packed, "turn": self.turn}, packer.tensors)
            answer = receive(self.reading)
            if "failed" in answer.said:
                raise ValueError(answer.said["failed"])
            return Unpacker(answer, self.theirs).unpack(answer.said["value"])

        return ask

    def define(self, message: Any) -> tuple[dict[str, Any], list[Tensor]]:
        """Run cells in a namespace of their own, and keep the function that they define."""
        space: dict[str, Any] = {"__name__": "__main__", "bpa": bpa}
        for place, source in message.said["cells"]:
            self.places.add(place)
            # as in a notebook, where inspect, torch.jit.script and a traceback find the lines of a cell
            linecache.cache[place] = len(source), None, source.splitlines(keepends=True), place
            exec(compile(source, place, "exec"), space)
        name = message.said["name"]
        if name not in space:
            return {"kind": "missing", "names": [], "callable": False}, []
        self.function = space[name]
        try:
            names = list(inspect.signature(self.function).parameters)
        except (TypeError, ValueError):
            names = []
        kind = type(self.function).__name__
        return {"kind": kind, "names": names, "callable": callable(self.function)}, []

    def call(self, message: Any) -> tuple[dict[str, Any], list[Tensor]]:
        """Call the function, and say what it returned and which of its arguments it has changed."""
        unpacker = Unpacker(message, self.theirs)
        arguments = unpacker.unpack(message.said["value"])
        given = [tensor.detach().clone() for tensor in unpacker.tensors]
        result = self.function(*arguments)
        unpacker.look_again()
        packer = Packer(self.keep)
        said: dict[str, Any] = {"value": packer.pack(result)}
        said["changed"] = [
            [k, packer.put(now)]
            for k, (now, before) in enumerate(zip(unpacker.tensors, given, strict=True))
            if now.shape != before.shape or not torch.equal(now.detach().nan_to_num(), before.nan_to_num())
        ]
        leaves = [tensor for tensor in unpacker.tensors if tensor.requires_grad and tensor.is_leaf]
        if isinstance(result, Tensor) and result.requires_grad and leaves:
            self.graph = leaves, result
        return said, packer.tensors

    def gradient(self, message: Any) -> tuple[dict[str, Any], list[Tensor]]:
        """Gradients of the last result by the arguments that asked for them."""
        if self.graph is None:
            raise RuntimeError("the result has no gradient")
        leaves, result = self.graph
        upstream = Unpacker(message, self.theirs).unpack(message.said["value"])
        gradients = torch.autograd.grad(result, leaves, upstream, allow_unused=True)
        packer = Packer(self.keep)
        return {"value": packer.pack(list(gradients))}, packer.tensors


def failure(error: BaseException, places: set[str]) -> dict[str, Any]:
    """What is said of an exception: its kind, its message, and the last line of a cell on the way to it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in places]
    place = f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
    if frames and frames[-1].line:
        place += f": {textwrap.shorten(frames[-1].line, QUOTED, placeholder=' ...')}"
    if isinstance(error, SyntaxError) and error.filename in places:
        place = f"{error.filename}, line {error.lineno}"
    try:
        text = str(error)
    except Exception:
        text = ""
    return {"failed": [type(error).__name__, text[:500], place]}


def settle(scratch: Path) -> None:
    """Move into the scratch folder, and take the limits that the system offers."""
    os.chdir(scratch)
    for name in ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "MPLCONFIGDIR", "NUMBA_CACHE_DIR"):
        os.environ[name] = str(scratch)
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))


def attend(reading: BinaryIO, writing: BinaryIO, asked: dict[str, Any]) -> None:
    """Be the process of one student until the judge has gone."""
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    settle(Path(asked["scratch"]))
    student = Student(reading, writing)
    native = [*(path for path in sys.path if path), sys.prefix, sys.base_prefix]
    send(writing, {"ready": True})
    sys.addaudithook(Fence(Path(asked["scratch"]), asked["secret"], native, student.tell))
    student.serve()


def nursery(control: socket.socket) -> None:
    """Fork a process for each student that the judge announces, and say its number."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not data:
            return
        (descriptor,) = descriptors
        child = os.fork()
        if child == 0:
            os.setsid()
            control.close()
            with os.fdopen(descriptor, "rb") as reading, os.fdopen(os.dup(descriptor), "wb") as writing:
                attend(reading, writing, json.loads(data))
            os._exit(0)
        os.close(descriptor)
        control.sendall(child.to_bytes(8, "big"))
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Serve the judge whose socket or pipes were given, see `bpa.grading.processes`."""
    torch.set_num_threads(1)
    for name in READY:
        importlib.import_module(name)
    Network(1, 1, 1)  # the first one imports for seconds what PyTorch wants for it
    if sys.argv[1:2] == ["--nursery"]:
        nursery(socket.socket(fileno=int(sys.argv[2])))
        return
    reading, writing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    attend(reading, writing, receive(reading).said)


if __name__ == "__main__":
    main()
