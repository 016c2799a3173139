"""QuantizeLinear and DequantizeLinear, of ONNX and of ONNX Runtime's domain.

Blocks of codes that share a scale (opset 21) are read of constants: INT4 weights. ONNX Runtime by
default fuses these with the MatMul that follows and then also rounds activations to int8.
"""

import numpy as np
from onnx import TensorProto, helper

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.read.builder import Scope
from lipcert.read.constant import Constant
from lipcert.read.lower.dequantising import codes_undone, positive, spread
from lipcert.read.lower.quantising import RANGES, Codes, staircase
from lipcert.read.onnx_view import View, folds, reads

RUNTIME = "com.microsoft"
HALVES = {
    kind: helper.tensor_dtype_to_np_dtype(kind)
    for kind in (int(TensorProto.FLOAT16), int(TensorProto.BFLOAT16))
}


@reads(
    "QuantizeLinear",
    f"{RUNTIME}.QuantizeLinear",
    axis=(),
    block_size=(),
    saturate=(),
    precision=(),
    output_dtype=(0, 2, 3, 4, 5, 21, 22),
)
def quantize_linear(view: View) -> Codes:
    """Codes, with the staircase that a matching DequantizeLinear makes of them."""
    _unblocked(view)
    x, (scale, zero) = view.activation(0), parameters(view, 1)
    if not view.has(2) and view.integer("output_dtype", 0) not in (0, 2):
        raise UnsupportedOp("has an output type other than uint8 and no zero point")
    return rounded(view.scope, x, scale, zero, view.integer("axis", 1))


@reads("DequantizeLinear", f"{RUNTIME}.DequantizeLinear", axis=(), block_size=(), output_dtype=())
def dequantize_linear(view: View) -> Node:
    """The staircase, if the parameters are those of the codes."""
    _unblocked(view)
    if _made(view) in HALVES:
        raise UnsupportedOp("makes numbers of 16 bits out of computed codes, which rounds them")
    return restored(view, 0, view.integer("axis", 1))


def _unblocked(view: View) -> None:
    if view.integer("block_size", 0):
        raise UnsupportedOp("has blocks along an axis of a computed value")


def parameters(view: View, place: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale and zero point, inputs `place` and the next; without the latter it is a uint8 zero."""
    scale, given = view.constant(place).floats(), view.optional(place + 1)
    return scale, np.zeros(1, np.uint8) if given is None else given.values


def rounded(scope: Scope, x: Node, scale: np.ndarray, zero: np.ndarray, axis: int = 1) -> Codes:
    """Codes of a value, of the zero point's type."""
    kind = zero.dtype.name
    if kind not in RANGES:
        raise UnsupportedOp(f"makes codes of type {kind}")
    axis = axis + len(x.shape) + 1 if axis < 0 else axis
    return Codes(staircase(scope, x, scale, zero, RANGES[kind], axis), scale, zero, kind, axis,
                 scope.name)  # fmt: skip


def restored(view: View, place: int, axis: int = 1) -> Node:
    """What the codes at `place` stand for; their scale and zero point are the next two inputs."""
    codes = view.inputs[place] if place < len(view.inputs) else None
    if not isinstance(codes, Codes):
        raise UnsupportedOp("reads no codes that a QuantizeLinear made")
    scale, zero = parameters(view, place + 1)
    axis = axis + len(codes.staircase.shape) + 1 if axis < 0 else axis
    if not codes.undone_by(scale, zero, axis):
        raise UnsupportedOp(f"has another scale or zero point than the codes of '{codes.name}'")
    return codes.staircase


@folds("QuantizeLinear", f"{RUNTIME}.QuantizeLinear")
def quantised(view: View) -> Constant:
    """Codes of a constant, with the float32 division that runtimes do."""
    stored, scale, (_, zero) = view.constant(0), view.constant(1), parameters(view, 1)
    if zero.dtype.name not in RANGES or stored.error or scale.error:
        raise UnsupportedOp("quantises a computed constant, or to an unknown type of codes")
    step = positive(scale)
    facts = (stored.values.shape, view.integer("axis", 1), view.integer("block_size", 0))
    quotient = stored.floats().astype(np.float32) / spread(step.astype(np.float32), *facts)
    shift = spread(zero.astype(np.float64), *facts)
    codes = np.clip(np.rint(quotient).astype(np.float64) + shift, *RANGES[zero.dtype.name])
    return Constant(codes.astype(zero.dtype), stored.name)


@folds("DequantizeLinear", f"{RUNTIME}.DequantizeLinear")
def dequantised(view: View) -> Constant:
    """As `codes_undone`; rounded once more where the file wants numbers of 16 bits."""
    axis, block = view.integer("axis", 1), view.integer("block_size", 0)
    found = codes_undone(view.constant(0), view.constant(1), view.optional(2), axis, block)
    narrow = HALVES.get(_made(view))
    if narrow is None:
        return found
    if found.error:
        raise UnsupportedOp("rounds a computed constant to 16 bits")
    return Constant(found.floats().astype(narrow), found.name)


def _made(view: View) -> int:
    """The type of number that a DequantizeLinear makes: by default that of its scale."""
    kind = view.constant(1).values.dtype
    return view.integer("output_dtype", 0) or int(helper.np_dtype_to_tensor_dtype(kind))
