"""Vectors as wide as the machine's: the loops compute the same in registers of 4, 8 and 16 numbers."""

import json
import math
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

import numba

from bpa.engines.numba import vectors
from bpa.engines.numba.vectors import LANES, lanes_of

# Processors of the past, whose code runs on every later one: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES.
PROCESSORS = {
    4: ("nocona", "+sse,+sse2,+sse3"),
    8: ("haswell", "+sse,+sse2,+sse3,+ssse3,+sse4.1,+sse4.2,+avx,+avx2,+fma"),
}
COMPARE = """
import itertools, json, sys, torch
from bpa import Network
from bpa.engines.numba.vectors import LANES

errors = {}
for plasticity, seed in itertools.product(("none", "plastic", "simple", "retroactive"), range(6)):
    generator = torch.Generator().manual_seed(seed)
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
        errors.setdefault(plasticity + " " + name, []).append(error.item())
print(json.dumps([LANES, errors]))
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


@pytest.fixture
def compiled_before(request, tmp_path):
    """A folder that stays from run to run with the rest of pytest's cache, if it has one.

    `bpa.engines.numba.compiling` compiles anew what is older than the sources.
    """
    cache = getattr(request.config, "cache", None)
    return tmp_path if cache is None else cache.mkdir("numba")


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the processors are Intel's")
@pytest.mark.parametrize("lanes", sorted(PROCESSORS.keys() - {LANES}))
def test_the_loops_agree_with_the_definition_in_registers_of_other_widths(lanes, compiled_before):
    name, features = PROCESSORS[lanes]
    environment = os.environ | {
        "NUMBA_CPU_NAME": name,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(compiled_before / f"{lanes} lanes"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", COMPARE], env=environment, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    used, errors = json.loads(done.stdout.splitlines()[-1])
    assert used == lanes
    for name, of_each_seed in errors.items():
        # A trace may lie so near to the clip that rounding decides whether it is cut, and has a gradient.
        assert sorted(of_each_seed)[1] < 1e-5, (name, of_each_seed)
        assert max(of_each_seed) < (1e-5 if name.endswith(" h") else 1e-2), (name, of_each_seed)


@numba.njit
def every_operation(a, b, c, low, high, found):
    """Rows of `found` from the first LANES numbers of three arrays and two limits."""
    x, y, z = vectors.load(a, 0), vectors.load(b, 0), vectors.load(c, 0)
    under, over = vectors.spread(low), vectors.spread(high)
    vectors.store(found, (0, 0), vectors.plus(x, y))
    vectors.store(found, (1, 0), vectors.times(x, y))
    vectors.store(found, (2, 0), vectors.fma(x, y, z))
    vectors.store(found, (3, 0), vectors.clamp(x, under, over))
    vectors.store(found, (4, 0), vectors.where_equal(x, vectors.clamp(x, under, over), y))
    vectors.store(found, (5, 0), under)
    return vectors.total(y)


def test_every_operation_by_hand():
    """Small whole numbers, so that nothing is rounded; NaN and both limits come into many lanes."""
    b = np.arange(2, LANES + 2, dtype=np.float32)
    c = -3 * b
    for shift in range(20):
        a = (np.arange(LANES, dtype=np.float32) + shift) % 5 - 2
        a[shift % LANES] = math.nan
        found = np.full((6, LANES + 1), 7, np.float32)
        total = every_operation(a, b, c, np.float32(-1), np.float32(1), found)
        kept = np.array([-1 <= x <= 1 for x in a])  # not NaN: PyTorch's clamp hands it no gradient either
        clipped = np.array([math.nan if x != x else min(max(x, -1), 1) for x in a])
        right = [a + b, a * b, a * b + c, clipped, np.where(kept, b, 0), np.full(LANES, -1)]
        np.testing.assert_array_equal(found[:, :LANES], np.array(right, np.float32))
        assert (found[:, LANES] == 7).all(), "something was written behind the vector"
        assert total == sum(range(2, LANES + 2))


@numba.njit
def taken(array, at):
    return vectors.total(vectors.load(array, at))


@pytest.mark.parametrize("at", [(0, 0), (0, 0, 0, 0), 0], ids=str)
def test_a_place_has_as_many_indices_as_its_array_dimensions(at):
    array = np.ones((2, 3, LANES), np.float32)
    assert taken(array, (1, 2, 0)) == LANES
    with pytest.raises(numba.core.errors.TypingError, match="3 indices are needed"):
        taken(array, at)


@numba.njit
def new_array(*shape):
    return vectors.aligned(shape)


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 4), (7, 0), (16, 16), (5, 3, 2, 9)], ids=str)
def test_an_aligned_array_is_empty_and_begins_with_a_line_of_the_cache(shape):
    held = []  # none takes the place of another, so that places differ
    for _ in range(8):
        held.append(new_array(*shape))
        array = held[-1]
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.ctypes.data % 64 == 0
        assert not array.any()
        array[:] = 1
