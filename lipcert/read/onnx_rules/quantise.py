"""QuantizeLinear and DequantizeLinear."""

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.read.constant import ROUNDING, Constant, single
from lipcert.read.lower.quantising import RANGES, Codes, staircase
from lipcert.read.onnx_view import View, folds, reads

FEW = 2**29  # an integer this small times a float32 is exact in float64


@reads("QuantizeLinear", block_size=(0,), output_dtype=(0, 2, 3, 4, 5, 21, 22))
def quantize_linear(view: View) -> Codes:
    """Codes, with the staircase that a matching DequantizeLinear makes of them."""
    x, scale, given = view.activation(0), view.constant(1).floats(), view.optional(2)
    zero = np.zeros(1, np.uint8) if given is None else given.values
    if given is None and view.integer("output_dtype", 0) not in (0, 2):
        raise UnsupportedOp("has an output type other than uint8 and no zero point")
    if zero.dtype.name not in RANGES:
        raise UnsupportedOp(f"makes codes of type {zero.dtype.name}")
    axis = view.integer("axis", 1)
    axis = axis + len(x.shape) + 1 if axis < 0 else axis
    node = staircase(view.scope, x, scale, zero, RANGES[zero.dtype.name], axis)
    return Codes(node, scale, zero, zero.dtype.name, axis, view.name)


@reads("DequantizeLinear", block_size=(0,))
def dequantize_linear(view: View) -> Node:
    """The staircase, if the parameters are those of the codes."""
    codes = view.inputs[0]
    if not isinstance(codes, Codes):
        raise UnsupportedOp("reads no codes that a QuantizeLinear made")
    scale, given = view.constant(1).floats(), view.optional(2)
    zero = np.zeros(1, np.uint8) if given is None else given.values
    axis = view.integer("axis", 1)
    axis = axis + len(codes.staircase.shape) + 1 if axis < 0 else axis
    if not codes.undone_by(scale, zero, axis):
        raise UnsupportedOp(f"has another scale or zero point than QuantizeLinear '{codes.name}'")
    return codes.staircase


@folds("QuantizeLinear")
def quantised(view: View) -> Constant:
    """Codes of a constant, with the float32 division that runtimes do."""
    stored, scale, given = view.constant(0), view.constant(1), view.optional(2)
    zero = np.zeros(1, np.uint8) if given is None else given.values
    if zero.dtype.name not in RANGES or stored.error or scale.error:
        raise UnsupportedOp("quantises a computed constant, or to an unknown type of codes")
    step = scale.floats()
    if not (step > 0).all():
        raise BadFile(f"scale '{scale.name}' is not positive")
    shape = _parameter_shape(step, stored.values.shape, view.integer("axis", 1))
    quotient = stored.floats().astype(np.float32) / step.astype(np.float32).reshape(shape)
    shift = zero.astype(np.float64).reshape(shape if zero.size > 1 else ())
    codes = np.clip(np.rint(quotient).astype(np.float64) + shift, *RANGES[zero.dtype.name])
    return Constant(codes.astype(zero.dtype), stored.name)


@folds("DequantizeLinear")
def dequantised(view: View) -> Constant:
    """(codes - zero point) scale, exact for codes of up to 29 bits and float32 scales."""
    codes, scale, given = view.constant(0), view.constant(1), view.optional(2)
    if codes.values.dtype.name not in (*RANGES, "int32"):
        raise UnsupportedOp(f"reads codes of type {codes.values.dtype.name}")
    step = scale.floats()
    if not (step > 0).all():
        raise BadFile(f"scale '{scale.name}' is not positive")
    zero = np.zeros(()) if given is None else given.floats()
    shape = _parameter_shape(step, codes.values.shape, view.integer("axis", 1))
    whole = codes.floats() - zero.reshape(shape if zero.size > 1 else ())
    exact = scale.error == 0 and single(step) and (np.abs(whole) <= FEW).all()
    error = 0.0 if exact else 2 * scale.error + ROUNDING
    return codes.computed(whole * step.reshape(shape), error)


def _parameter_shape(step: np.ndarray, shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    if step.size == 1:
        return ()
    rank = len(shape)
    if step.ndim != 1 or not -rank <= axis < rank or step.size != shape[axis]:
        raise BadFile(f"scales of shape {step.shape} do not fit axis {axis} of codes {shape}")
    return tuple(-1 if place == axis % rank else 1 for place in range(rank))
