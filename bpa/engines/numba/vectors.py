"""Vectors as wide as the machine's registers, which the loops compute in, and what is made of them alone."""

# Compiled functions are typed by Numba at their first call; mypy cannot follow.
# mypy: allow-untyped-defs, disable-error-code="call-arg, var-annotated"

from __future__ import annotations

import math
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.codegen import get_host_cpu_features
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, register_model

from bpa.engines.numba.compiling import compiled


def lanes_of(features: str) -> int:
    """How many numbers of float32 a vector should hold, from LLVM's list of a processor's features.

    >>> lanes_of("+avx,+avx2,-avx512f")
    8
    """
    known = set(features.split(","))
    if "+avx512f" in known:
        return 16
    return 8 if known & {"+avx", "+neon"} else 4  # two registers of NEON, which has 32 of them


# What Numba compiles for: NUMBA_CPU_FEATURES, or else this machine.
LANES = lanes_of(getattr(numba.config, "CPU_FEATURES", None) or get_host_cpu_features())

Array = TypeVar("Array")  # of NumPy in the loops, of PyTorch outside

float32, int32 = np.float32, np.int32
LOG2_E, LN_2 = float32(1 / math.log(2)), float32(math.log(2))
TAYLOR = tuple(float32(1 / math.factorial(n)) for n in range(2, 8))  # of exp(r) - 1 - r, by powers of r


class Lanes(types.Type):
    """LANES numbers of float32 in one register, as a Numba type."""

    def __init__(self) -> None:
        super().__init__(f"Lanes({LANES})")


lanes = Lanes()
VECTOR = ir.VectorType(ir.FloatType(), LANES)
ORDER = ir.VectorType(ir.IntType(32), LANES)
ZEROS = ir.Constant(VECTOR, [0.0] * LANES)


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):
    """How LLVM sees `Lanes`."""

    def __init__(self, manager: Any, kind: Any):
        super().__init__(manager, kind, VECTOR)


def place(array: Any, index: Any) -> Any:
    """The type of a position in an array: one index, or a tuple of them, as many as it has dimensions."""
    count = len(index) if isinstance(index, types.BaseTuple) else 1
    if count != array.ndim:
        raise TypingError(
            f"{array.ndim} indices are needed in an array of {array.ndim} dimensions, got {count}"
        )
    return types.UniTuple(types.intp, count) if isinstance(index, types.BaseTuple) else types.intp


def element_pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Where the element of an array at a position lies, as the address of a vector.

    Unlike array[index] it makes no view, so that nothing is counted, and knows no index from the end.
    """
    kind, where = signature.args[:2]
    array = context.make_array(kind)(context, builder, arguments[0])
    tuples = isinstance(where, types.BaseTuple)
    indices = cgutils.unpack_tuple(builder, arguments[1]) if tuples else [arguments[1]]
    pointer = cgutils.get_item_pointer(context, builder, kind, array, indices, wraparound=False)
    return builder.bitcast(pointer, VECTOR.as_pointer())


@intrinsic
def load(typing: Any, array: Any, index: Any) -> Any:
    """The LANES numbers of `array` from `index` on: a number, or a tuple of numbers"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(element_pointer(context, builder, signature, arguments), align=4)

    return lanes(array, place(array, index)), generate


@intrinsic
def store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """The LANES numbers of `array` from `index` on become `value`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], element_pointer(context, builder, signature, arguments), align=4)
        return context.get_dummy_value()

    return types.void(array, place(array, index), lanes), generate


@intrinsic
def spread(typing: Any, number: Any) -> Any:
    """One number in every lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        undefined = ir.Constant(VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, arguments[0], ir.IntType(32)(0))
        return builder.shuffle_vector(first, undefined, ir.Constant(ORDER, [0] * LANES))

    return lanes(types.float32), generate


@intrinsic
def total(typing: Any, a: Any) -> Any:
    """The sum over the lanes, by halves."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, half = arguments[0], LANES // 2
        while half:
            order = [k + half if k < half else k for k in range(LANES)]
            moved = builder.shuffle_vector(value, ZEROS, ir.Constant(ORDER, order))
            value, half = builder.fadd(value, moved), half // 2
        return builder.extract_element(value, ir.IntType(32)(0))

    return types.float32(lanes), generate


@intrinsic
def plus(typing: Any, a: Any, b: Any) -> Any:
    """a + b"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return lanes(lanes, lanes), generate


@intrinsic
def times(typing: Any, a: Any, b: Any) -> Any:
    """a b"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return lanes(lanes, lanes), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, in one instruction where the machine has one"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
        return builder.call(function, arguments)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def clamp(typing: Any, a: Any, low: Any, high: Any) -> Any:
    """`a` cut off at `low` and `high`; NaN stays NaN"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, low, high = arguments
        a = builder.select(builder.fcmp_ordered("<", a, low), low, a)
        return builder.select(builder.fcmp_ordered(">", a, high), high, a)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def where_equal(typing: Any, a: Any, b: Any, value: Any) -> Any:
    """`value` where a = b, 0 elsewhere"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, value = arguments
        return builder.select(builder.fcmp_ordered("==", a, b), value, ZEROS)

    return lanes(lanes, lanes, lanes), generate


@compiled
def dot(a, at, b, bt):
    """sum_j a_j b_j over the last dimension of both, where `at` and `bt` are the indices before it"""
    partial = spread(float32(0))
    for j in range(0, a.shape[a.ndim - 1], LANES):
        partial = fma(load(a, (*at, j)), load(b, (*bt, j)), partial)
    return total(partial)


@compiled
def tanh(x):
    """The hyperbolic tangent, to 2e-7 of itself, without a branch or a call: a loop over it takes vectors.

    With y = 2 |x| and t = exp(y) - 1 its size is t / (t + 2). exp(y) = 2^k exp(r), where |r| <= ln 2 / 2.
    """
    y = min(abs(x + x), float32(20))
    k = int32(y * LOG2_E + float32(0.5))
    r = y - float32(k) * LN_2
    c2, c3, c4, c5, c6, c7 = TAYLOR
    exp_r_minus_1 = r + r * r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * c7)))))
    power = int32((k + int32(127)) << int32(23)).view(float32)  # 2^k: k is the exponent in the bits
    t = power * exp_r_minus_1 + (power - float32(1))
    size = t / (t + float32(2))
    value = -size if x < 0 else size
    return value if x == x else x  # NaN has no k


@compiled
def tanh_all(x):
    """x_j = tanh(x_j), for contiguous x: of a row with a stride the compiler makes no vectors."""
    for j in range(len(x)):
        x[j] = tanh(x[j])


@compiled
def unfilled(shape):
    """An array of any numbers that begins where a vector may: across two lines of a cache it costs two."""
    size = 1
    for length in shape:
        size *= length
    room = np.empty(size + 16, float32)
    first = -(room.ctypes.data // 4) % 16
    return room[first : first + size].reshape(shape)


@compiled
def aligned(shape):
    """As `unfilled`, of zeros."""
    room = unfilled(shape)
    room[:] = 0
    return room


@compiled
def filled_up(matrices, like, wanted):
    """A copy [G, R, P] of matrices [G, H, H], zeros around them, if it is wanted; else [G, 0, 0].

    R and P are those of `like`. Of [G, 0, 0] it is all zeros.
    """
    size = matrices.shape[1]
    copy = aligned((len(matrices), like.shape[0] if wanted else 0, like.shape[1] if wanted else 0))
    for e in range(len(matrices)):
        for i in range(size):
            for j in range(size):
                copy[e, i, j] = matrices[e, i, j]
    return copy


@compiled
def cut_down(source, target):
    """target [G, H, H] = the part of source [G, R, P] that fits; of [G, 0, 0] nothing is asked."""
    size = target.shape[1]
    for e in range(len(target)):
        for i in range(size):
            for j in range(size):
                target[e, i, j] = source[e, i, j]


@compiled
def copy_matrices(source, target, k):
    """target[k] = source, where source is [G, H, P]"""
    for e in range(source.shape[0]):
        for i in range(source.shape[1]):
            for j in range(0, source.shape[2], LANES):
                store(target, (k, e, i, j), load(source, (e, i, j)))
