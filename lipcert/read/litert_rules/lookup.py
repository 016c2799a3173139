"""Functions of one code: all of its values are computed once, and judged."""

from collections.abc import Callable

import numpy as np
import tflite

from lipcert.integer.litert.fixed_point import Real, Whole, nearest
from lipcert.integer.litert.grid import Grid
from lipcert.integer.litert.hard_swish import hard_swish_codes
from lipcert.integer.litert.kernels import FARTHEST, Kernel, Lookup, Rounded, Scaled, multiplier
from lipcert.read.litert_call import Call, computes
from lipcert.read.tflite_rules.activation import CLAMPS

Function = Callable[[Real], Real]


@computes("QUANTIZE")
def requantise(call: Call) -> Kernel:
    """From codes of one scale to codes of another; the quotient of the scales in float64."""
    if call.tensor(0).dtype == "float32":
        return Rounded(call.target())
    source, target = call.grid(0), call.target()
    factor = multiplier(source.scale / target.scale, source.scale / target.scale, FARTHEST)
    return _judged(source, target, Scaled(factor, target).codes(_steps(source)), lambda v: v)


@computes("RELU", "RELU6")
def clamp(call: Call) -> Kernel:
    """Another scale, and a stop; the quotient of the scales in float32."""
    source, target = call.grid(0), call.target(CLAMPS[call.operator.kind])
    quotient = float(source.single / target.single)
    factor = multiplier(quotient, source.scale / target.scale, FARTHEST)
    return _judged(source, target, Scaled(factor, target).codes(_steps(source)), lambda v: v)


@computes("LEAKY_RELU")
def leaky_relu(call: Call) -> Kernel:
    """One multiplier on either side of zero."""
    source, target = call.grid(0), call.target()
    alpha = np.float32(call.operator.table(tflite.LeakyReluOptions).Alpha())
    own = float(source.single / target.single)
    below = float(source.single * alpha / target.single)
    steps = _steps(source)
    sides = [
        Scaled(multiplier(runtime, exact, FARTHEST), target).codes(steps)
        for runtime, exact in (
            (own, source.scale / target.scale),
            (below, source.scale * float(alpha) / target.scale),
        )
    ]
    codes = np.where(steps >= 0, *sides)
    return _judged(source, target, codes, lambda v: np.where(v >= 0, v, float(alpha) * v))


@computes("LOGISTIC")
def logistic(call: Call) -> Kernel:
    """In float32, code by code."""
    one = np.float32(1)
    return _tabled(
        call, lambda v: 1 / (1 + np.exp(-v)), lambda v: one / (one + _single(np.exp, -v))
    )


@computes("TANH")
def tanh(call: Call) -> Kernel:
    """In float32, code by code."""
    return _tabled(call, np.tanh, lambda v: _single(np.tanh, v))


@computes("HARD_SWISH")
def hard_swish(call: Call) -> Kernel:
    """In 16 bits, which lose up to a step."""
    source, target = call.grid(0), call.target()
    codes = hard_swish_codes(_steps(source), source, target)
    return _judged(source, target, codes, lambda v: v * np.clip(v + 3, 0, 6) / 6)


def _tabled(call: Call, exact: Function, single: Callable[[np.ndarray], np.ndarray]) -> Kernel:
    source, target = call.grid(0), call.target()
    values = _steps(source).astype(np.float32) * source.single
    inverse = np.float32(1) / target.single
    codes = target.codes(nearest(single(values) * inverse))
    return _judged(source, target, codes, exact)


def _single(function: Function, values: np.ndarray) -> np.ndarray:
    """The float32 number nearest to a function's value."""
    return np.asarray(function(values.astype(np.float64)), dtype=np.float32)


def _steps(source: Grid) -> Whole:
    """Every code, less the zero point."""
    return np.arange(source.lowest, source.highest + 1, dtype=np.int64) - source.zero_point


def _judged(source: Grid, target: Grid, codes: Whole, exact: Function) -> Lookup:
    """The table, and how far its worst entry strays."""
    values = _steps(source).astype(np.float64) * source.scale
    quotients = exact(values) / target.scale
    return Lookup(source.lowest, codes, target.stray(codes, quotients))
