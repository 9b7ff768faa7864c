"""Compile the Triton kernels for a card that is not here, and print what each needs, as JSON.

    python tests/compile_triton.py            # H = 100, for compute capability 9.0 (H100, H200)
    python tests/compile_triton.py 17 8.0     # another size, another card

The compiler and its assembler come with Triton, so this needs no GPU. The interpreter accepts programs that
the compiler refuses; and "stack", the bytes that a thread keeps outside its registers, is the first thing to
look at when a kernel is slow.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from bpa.engines import cell, triton_kernels
from bpa.engines.triton import KEEP_EVERY, block_of

TYPES = {
    **dict.fromkeys(("steps", "batch", "side", "count"), "i32"),
    **dict.fromkeys(("moves", "free_cells", "goal_index", "agent"), "*i32"),
    "walls": "*i8",
    "actions": "*i64",
}  # every other argument is "*fp32"


def compiled(kernel: Any, warps: int, capability: int, constants: dict[str, int]) -> dict[str, Any]:
    """What `kernel` needs: registers and stack bytes of a thread, shared memory bytes of a program."""
    constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
    types = {name: TYPES.get(name, "*fp32") for name in kernel.arg_names}
    types |= dict.fromkeys(constants, "constexpr")
    aligned = {
        (n,): [["tt.divisibility", 16]]
        for n, name in enumerate(kernel.arg_names)
        if types[name].startswith("*")
    }
    source = ASTSource(kernel, types, constants, aligned)
    binary = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        report = subprocess.run(
            [tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    registers, stack = re.search(r"REG:(\d+) STACK:(\d+)", report).groups()
    return {
        "kernel": kernel.__name__,
        **constants,
        "warps": warps,
        "registers": int(registers),
        "stack": int(stack),
        "shared": binary.metadata.shared,
    }


def main(size: int = 100, capability: str = "9.0") -> None:
    """Print a line for each kernel and kind of traces."""
    block, warps = block_of(size)
    kernels = [getattr(triton_kernels, f"{name}_kernel") for name in ("unroll", "act", "backward", "alpha")]
    for kernel, kind in itertools.product(kernels, (cell.FIXED, cell.HEBBIAN, cell.RETROACTIVE)):
        if kernel is triton_kernels.alpha_kernel and kind == cell.FIXED:
            continue
        constants = {"KIND": kind, "MODULATOR": cell.TANH, "EVERY": KEEP_EVERY, "H": size, "P": block}
        print(json.dumps(compiled(kernel, warps, int(capability.replace(".", "")), constants)), flush=True)


if __name__ == "__main__":
    main(*[int(word) if word.isdigit() else word for word in sys.argv[1:]])
