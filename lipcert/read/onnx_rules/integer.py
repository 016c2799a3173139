"""Layers on codes: ONNX's and ONNX Runtime's QLinear operators, MatMulInteger, ConvInteger.

Read as the same layers between what the codes stand for: values on their grids, weights times
their scale, in exact arithmetic, and a staircase where the operator rounds to codes again. A bias
is int32 in units of the two scales' exact product; a QDQ file rounds that product to float32.
"""

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.linear import Linear
from lipcert.read.builder import Scope
from lipcert.read.constant import Constant, tensor
from lipcert.read.lower.convolution import convolved
from lipcert.read.lower.dequantising import codes_undone
from lipcert.read.lower.quantising import Codes
from lipcert.read.lower.scaling import divided
from lipcert.read.onnx_rules.layer import window_of
from lipcert.read.onnx_rules.quantise import RUNTIME, parameters, restored, rounded
from lipcert.read.onnx_view import View, reads

PADDINGS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")
ONE = Constant(np.ones((), np.float32), "one")


@reads("QLinearConv", auto_pad=PADDINGS)
def qlinear_conv(view: View) -> Codes:
    """With one scale, or one per output channel."""
    x, weight = restored(view, 0), _weight(view, 3, 0)
    bias = _bias(view, 8, view.constant(1), view.constant(4))
    return rounded(view.scope, convolution_of(view, x, weight, bias), *parameters(view, 6))


@reads("ConvInteger", auto_pad=PADDINGS)
def conv_integer(view: View) -> Node:
    """The int32 sums, as real numbers."""
    x, codes = _codes(view, 2)
    weight = codes_undone(view.constant(1), ONE, view.optional(3), 0)
    return _counted(view, convolution_of(view, x, weight, None), codes)


@reads("QLinearMatMul")
def qlinear_matmul(view: View) -> Codes:
    """Codes on the left, constant codes on the right, perhaps with one scale per column."""
    product = product_of(view, restored(view, 0), _weight(view, 3, -1), None)
    return rounded(view.scope, product, *parameters(view, 6))


@reads(f"{RUNTIME}.QGemm", transA=(0,), transB=(), alpha=())
def qgemm(view: View) -> Codes | Node:
    """Alpha A B + C, rounded to codes where the file gives their scale."""
    weight = _weight(view, 3, 0 if view.integer("transB", 0) else -1)
    alpha = Constant(np.array(view.number("alpha", 1.0)), "alpha")
    weight = weight.times(alpha) if alpha.values != 1 else weight
    bias = _bias(view, 6, view.constant(1).times(alpha), view.constant(4))
    if view.integer("transB", 0):
        weight = Constant(weight.values.T, weight.name, weight.error)
    ends = not view.has(7)
    part = "" if ends else "product"
    product = product_of(view, restored(view, 0), weight, bias, part)
    return product if ends else rounded(view.scope, product, *parameters(view, 7))


@reads("MatMulInteger")
def matmul_integer(view: View) -> Node:
    """The int32 sums, as real numbers."""
    x, codes = _codes(view, 2)
    weight = codes_undone(view.constant(1), ONE, view.optional(3), -1)
    return _counted(view, product_of(view, x, weight, None), codes)


def _weight(view: View, place: int, axis: int) -> Constant:
    """Constant codes at `place`, undone by the scale and zero point behind them."""
    zero = view.optional(place + 2)
    if zero is not None and zero.values.size > 1:
        zero = Constant(zero.values.reshape(-1), zero.name)
    scale = view.constant(place + 1)
    if scale.values.size > 1:
        scale = Constant(scale.values.reshape(-1), scale.name, scale.error)
    return codes_undone(view.constant(place), scale, zero, axis)


def _bias(view: View, place: int, own: Constant, weights: Constant) -> Constant | None:
    """An int32 bias in units of the product of the scales of the value and of the weights."""
    stored = view.optional(place)
    if stored is None:
        return None
    if stored.values.dtype.name != "int32":
        raise BadFile(f"has a bias of type {stored.values.dtype.name}")
    unit = own.times(weights)
    flat = Constant(unit.values.reshape(-1), unit.name, unit.error)
    return stored.times(flat)


def convolution_of(view: View, x: Node, weight: Constant, bias: Constant | None) -> Node:
    """Convolution by dequantised weights, under a name beside the node's own."""
    kernel = weight.values.shape[2:]
    if view.integers("kernel_shape") not in (None, kernel):
        raise BadFile(f"kernel_shape differs from that of the weight {weight.values.shape}")
    error = max(weight.error, bias.error if bias is not None else 0.0)
    parts = (weight.floats(), None if bias is None else bias.floats(), error)
    scope = Scope(view.builder, f"{view.name}.product")
    return convolved(
        scope, x, parts, window_of(view, kernel, x.shape[1:]), view.integer("group", 1)
    )


def product_of(
    view: View, x: Node, weight: Constant, bias: Constant | None, part: str = "product"
) -> Node:
    """Product with a dequantised matrix (in, out) on the right."""
    matrix = weight.floats()
    if matrix.ndim != 2 or not x.shape:
        raise UnsupportedOp(f"multiplies with a constant of shape {matrix.shape}")
    if matrix.shape[0] != x.shape[-1]:
        raise BadFile(f"weight of shape {matrix.shape} does not fit a value of shape {x.shape}")
    outputs = matrix.shape[1]
    added = np.zeros(outputs) if bias is None else bias.floats().reshape(-1)
    error = max(weight.error, bias.error if bias is not None else 0.0)
    op = Linear(tensor(matrix.T), tensor(np.broadcast_to(added, (outputs,))), error)
    return view.scope.emit(op, x, part=part)


def _codes(view: View, zero: int) -> tuple[Node, Codes]:
    """What the codes of input 0 stand for, if their zero point is the given input."""
    codes, given = view.inputs[0], view.optional(zero)
    if not isinstance(codes, Codes):
        raise UnsupportedOp("reads no codes that a QuantizeLinear made")
    if codes.scale.size > 1:
        raise UnsupportedOp("reads codes with more than one scale")
    own = np.zeros(1) if given is None else given.floats().reshape(-1)
    if not np.array_equal(own, codes.zero_point.reshape(-1)):
        raise UnsupportedOp(f"has another zero point than the codes of '{codes.name}'")
    return codes.staircase, codes


def _counted(view: View, product: Node, codes: Codes) -> Node:
    """The product in units of the codes' scale."""
    return divided(view.scope, product, codes.scale.reshape(()), 0.0)
