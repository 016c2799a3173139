"""Operators that move codes."""

import tflite

from lipcert.errors import UnsupportedOp
from lipcert.integer.litert.kernels import Kernel
from lipcert.integer.litert.moving import Concatenation, Pad, Reshape, Transpose
from lipcert.read.litert_call import Call, computes
from lipcert.read.tflite_grid import NONE


@computes("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def reshape(call: Call) -> Kernel:
    """To the shape that the file gives its result."""
    call.same_grid()
    return Reshape(call.output.shape[1:])


@computes("TRANSPOSE")
def transpose(call: Call) -> Kernel:
    """Where the batch axis stays first."""
    call.same_grid()
    return Transpose(tuple(int(axis) for axis in call.constant(1).reshape(-1)))


@computes("PAD", "PADV2")
def pad(call: Call) -> Kernel:
    """With zero's code, or with a constant code of the same grid."""
    call.same_grid()
    filling = call.grid(0).zero_point
    if call.operator.kind == "PADV2":
        call.same_grid(2)
        filling = int(call.constant(2).reshape(()))
    widths = tuple((int(a), int(b)) for a, b in call.constant(1))
    return Pad(widths, filling)


@computes("CONCATENATION", operands=None)
def concatenation(call: Call) -> Kernel:
    """Of codes on one grid."""
    options = call.operator.table(tflite.ConcatenationOptions)
    if options.FusedActivationFunction() != NONE:
        raise UnsupportedOp("has a fused activation")
    for place in range(len(call.inputs)):
        call.same_grid(place)
    return Concatenation(options.Axis() % len(call.output.shape))
