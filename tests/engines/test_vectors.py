"""Vectors as wide as the machine's: the loops compute the same in registers of 4, 8 and 16 numbers."""

import json
import os
import platform
import subprocess
import sys

import pytest

pytest.importorskip("numba")

from bpa.engines.numba.vectors import LANES, lanes_of

# Processors of the past, whose code runs on every later one: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES.
PROCESSORS = {
    4: ("nocona", "+sse,+sse2,+sse3"),
    8: ("haswell", "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma"),
}
COMPARE = """
import json, sys, torch
from bpa import Network
from bpa.engines.numba.vectors import LANES

worst = {}
for plasticity in ("none", "plastic", "simple", "retroactive"):
    generator = torch.Generator().manual_seed(1)
    net = Network(3, 18, 4, plasticity=plasticity, clip=0.3, generator=generator)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    xs = torch.randn(37, 9, 3, generator=generator)
    found = {}
    for engine in ("eager", "numba"):
        net.zero_grad()
        run = net.unroll(xs, engine=engine)
        (run.logits.square().sum() + run.values.sum()).backward()
        gradients = {name: parameter.grad for name, parameter in net.named_parameters()}
        found[engine] = {"h": run.h.detach(), **gradients}
    for name, right in found["eager"].items():
        error = (found["numba"][name] - right).norm() / right.norm()
        worst[plasticity + " " + name] = error.item()
print(json.dumps([LANES, worst]))
"""


@pytest.mark.parametrize(
    ("features", "lanes"),
    [
        ("", 4),
        ("+sse2,-avx", 4),
        ("+avx,+avx2,-avx512f", 8),
        ("+neon,+fp-armv8", 8),
        ("+avx,+avx512f,+avx512vl", 16),
    ],
)
def test_a_vector_fills_a_register(features, lanes):
    assert lanes_of(features) == lanes


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the processors are Intel's")
@pytest.mark.parametrize("lanes", sorted(PROCESSORS.keys() - {LANES}))
def test_the_loops_agree_with_the_definition_in_registers_of_other_widths(lanes, tmp_path):
    name, features = PROCESSORS[lanes]
    environment = os.environ | {
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", COMPARE], env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    used, worst = json.loads(done.stdout.splitlines()[-1])
    assert used == lanes
    assert max(worst.values()) < 1e-5, worst
