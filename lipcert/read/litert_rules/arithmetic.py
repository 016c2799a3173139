"""Sums, differences and products of two operands."""

import numpy as np
import tflite

from lipcert.integer.litert.kernels import Kernel, Prelu, Sum, Times
from lipcert.read.litert_call import Call, computes


@computes("ADD", operands=2)
def add(call: Call) -> Kernel:
    """Of two tensors that broadcast."""
    return _sum(call, 1, call.operator.table(tflite.AddOptions).FusedActivationFunction())


@computes("SUB", operands=2)
def sub(call: Call) -> Kernel:
    """Of two tensors that broadcast."""
    return _sum(call, -1, call.operator.table(tflite.SubOptions).FusedActivationFunction())


@computes("MUL", operands=2)
def mul(call: Call) -> Kernel:
    """Of two tensors that broadcast."""
    activation = call.operator.table(tflite.MulOptions).FusedActivationFunction()
    return Times((call.grid(0), call.grid(1)), call.target(activation))


@computes("PRELU", operands=2)
def prelu(call: Call) -> Kernel:
    """By constant slopes that broadcast."""
    slopes = np.unique(call.constant(1)).astype(np.int64)
    return Prelu((call.grid(0), call.grid(1)), call.target(), slopes)


def _sum(call: Call, sign: int, activation: int) -> Kernel:
    return Sum((call.grid(0), call.grid(1)), call.target(activation), sign)
