"""Compile what the Triton engine launches, for a card that is not here, and print what each kernel needs.

    python tests/engines/compile_triton.py            # H = 100, for compute capability 9.0 (H100, H200)
    python tests/engines/compile_triton.py 17 8.0     # another size, another card

The compiler and its assembler come with Triton, so this needs no GPU. Networks act and unroll with the real
arguments of the engine, up to the launch: that is left out. It finds what the interpreter lets pass and the
compiler refuses. Of the numbers, "stack", the bytes that a thread keeps outside its registers, is the first
to look at when a kernel is slow.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from bpa import GridMaze, Network
from bpa.engines import triton as engine
from bpa.engines.triton import kernels as triton_kernels
from bpa.maze import draw_noise

NAMES = ("unroll_kernel", "act_kernel", "backward_kernel", "alpha_kernel")


class AbsentCard:
    """As much of a driver as the compiler asks for."""

    def __init__(self, capability: int):
        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


class CompileOnly:
    """A kernel that is compiled where it would be launched; `needs` by kernel, kind of traces and keeping."""

    def __init__(self, kernel: Any, needs: dict[tuple[Any, ...], dict[str, Any]]):
        self.kernel, self.needs = kernel, needs

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def launch(*arguments: Any, **constants: int) -> None:
            binary = self.kernel.run(*arguments, grid=grid, warmup=True, **constants)
            known = self.kernel.__name__, constants["KIND"], constants["EVERY"]
            if known not in self.needs:
                self.needs[known] = needs_of(binary, *known, constants["H"])
                print(json.dumps(self.needs[known]), flush=True)

        return launch


def needs_of(binary: Any, name: str, kind: int, every: int, size: int) -> dict[str, Any]:
    """Registers and stack bytes of a thread, shared memory bytes of a program."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        command = [tool, "--dump-resource-usage", file.name]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", report).groups()
    return {
        "kernel": name,
        "kind": kind,
        "every": every,
        "H": size,
        "warps": binary.metadata.num_warps,
        "registers": int(registers),
        "stack": int(stack),
        "shared": binary.metadata.shared,
    }


def main(size: str = "100", capability: str = "9.0") -> None:
    """Print a line for each kernel and kind of traces."""
    driver.set_active(AbsentCard(int(capability.replace(".", ""))))
    needs: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name in NAMES:
        setattr(triton_kernels, name, CompileOnly(getattr(triton_kernels, name), needs))
    for plasticity in ("none", "simple", "retroactive"):
        net = Network(17, int(size), 4, plasticity=plasticity)
        for steps, batch_size in ((1, 1), (16, 3)):  # Triton may compile 1, and multiples of 16, on their own
            maze = GridMaze(5, batch_size, steps)
            maze.reset()
            logits, values = engine.act(net, maze, draw_noise(steps, batch_size, torch.Generator()))[3:5]
            (logits.sum() + values.sum()).backward()
            xs = torch.zeros(steps, batch_size, 17)
            engine.unroll(net, xs, net.initial_state(batch_size)).h.sum().backward()


if __name__ == "__main__":
    main(*sys.argv[1:])
