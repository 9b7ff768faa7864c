"""What a core can do at most, as two loops of the Numba engine's own instructions; for `bpa bench`."""

# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated"

from __future__ import annotations

import numpy as np

from bpa.engines.numba.compiling import compiled
from bpa.engines.numba.vectors import LANES, float32, fma, load, plus, spread, store, total

CHAINS = 8  # products and sums that do not wait for each other, enough to fill two units of four steps each
FLOP = 2 * LANES * CHAINS  # operations of one round of multiply_add


@compiled
def multiply_add(count):
    """`count` rounds of x = x m + c in CHAINS registers; returns a sum, so that nothing can be left out."""
    m, c = spread(float32(0.5)), spread(float32(1))
    x0, x1, x2, x3, x4, x5, x6, x7 = c, c, c, c, c, c, c, c
    for _ in range(count):
        x0, x1, x2, x3 = fma(x0, m, c), fma(x1, m, c), fma(x2, m, c), fma(x3, m, c)
        x4, x5, x6, x7 = fma(x4, m, c), fma(x5, m, c), fma(x6, m, c), fma(x7, m, c)
    return total(plus(plus(plus(x0, x1), plus(x2, x3)), plus(plus(x4, x5), plus(x6, x7))))


@compiled
def add_in_place(size, count):
    """`count` sweeps over `size` numbers, a multiple of 4 LANES, each read, changed and written back."""
    array, one = np.zeros(size, float32), spread(float32(1))
    for _ in range(count):
        for j in range(0, size, 4 * LANES):
            for part in range(4):
                place = j + part * LANES
                store(array, place, plus(load(array, place), one))
    return array[0]
