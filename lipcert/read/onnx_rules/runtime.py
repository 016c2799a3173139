"""Operators of ONNX Runtime's own domain on codes: what they compute is rounded to codes again."""

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.add import Add
from lipcert.ops.concat import Concat
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.sigmoid import Sigmoid
from lipcert.read.builder import Scope
from lipcert.read.constant import Constant, tensor
from lipcert.read.lower.dequantising import codes_undone
from lipcert.read.lower.pooling import average_pooled, reduced
from lipcert.read.lower.quantising import Codes
from lipcert.read.lower.scaling import scaled
from lipcert.read.onnx_rules.integer import PADDINGS
from lipcert.read.onnx_rules.layer import window_of
from lipcert.read.onnx_rules.pooling import inner_axes
from lipcert.read.onnx_rules.quantise import RUNTIME, parameters, restored, rounded
from lipcert.read.onnx_view import View, reads


@reads(f"{RUNTIME}.QLinearAdd")
def qlinear_add(view: View) -> Codes:
    """Of two values, or of one and constant codes."""
    x, stored = _operands(view)
    if stored is not None:
        total = scaled(_inner(view), x, 1.0, stored.floats(), stored.error)
        return rounded(view.scope, total, *parameters(view, 6))
    other = restored(view, 3)
    if x.shape != other.shape:
        raise UnsupportedOp(f"joins branches of different shapes, {x.shape} and {other.shape}")
    total = view.scope.emit(Add((1, 1)), x, other, part="sum")
    return rounded(view.scope, total, *parameters(view, 6))


@reads(f"{RUNTIME}.QLinearMul")
def qlinear_mul(view: View) -> Codes:
    """By constant codes."""
    x, stored = _operands(view)
    if stored is None:
        raise UnsupportedOp("multiplies two computed values")
    product = scaled(_inner(view), x, stored.floats(), 0.0, stored.error)
    return rounded(view.scope, product, *parameters(view, 6))


@reads(f"{RUNTIME}.QLinearSigmoid")
def qlinear_sigmoid(view: View) -> Codes:
    """Of every code."""
    y = view.scope.emit(Sigmoid(), restored(view, 0), part="sigmoid")
    return rounded(view.scope, y, *parameters(view, 3))


@reads(f"{RUNTIME}.QLinearLeakyRelu", alpha=())
def qlinear_leaky_relu(view: View) -> Codes:
    """One slope."""
    x = restored(view, 0)
    slope = np.full((1,) * len(x.shape), view.number("alpha", float(np.float32(0.01))))
    y = view.scope.emit(LeakyRelu(tensor(slope)), x, part="leaky")
    return rounded(view.scope, y, *parameters(view, 3))


@reads(f"{RUNTIME}.QLinearAveragePool", auto_pad=PADDINGS, ceil_mode=(), channels_last=(0,),
       count_include_pad=(), kernel_shape=(), pads=(), strides=())  # fmt: skip
def qlinear_average_pool(view: View) -> Codes:
    """With or without the padding."""
    x = restored(view, 0)
    window = window_of(view, view.integers("kernel_shape") or (), x.shape[1:])
    counted = bool(view.integer("count_include_pad", 0))
    return rounded(
        view.scope, average_pooled(_inner(view), x, window, counted), *parameters(view, 3)
    )


@reads(f"{RUNTIME}.QLinearGlobalAveragePool", channels_last=(0,))
def qlinear_global_average_pool(view: View) -> Codes:
    """Mean over all axes but batch and channels."""
    x = restored(view, 0)
    y = reduced(_inner(view), x, tuple(range(1, len(x.shape))), keep=True, mean=True)
    return rounded(view.scope, y, *parameters(view, 3))


@reads(f"{RUNTIME}.QLinearConcat", axis=())
def qlinear_concat(view: View) -> Codes:
    """Branches of codes, all rounded to one grid."""
    if len(view.inputs) < 5 or len(view.inputs) % 3 != 2:
        raise BadFile(f"has {len(view.inputs)} inputs")
    branches = [restored(view, place) for place in range(2, len(view.inputs), 3)]
    (axis,) = inner_axes((view.integer("axis", 1),), branches[0])
    rests = {(*b.shape[:axis], *b.shape[axis + 1 :]) for b in branches}
    if len(rests) != 1 or len({len(b.shape) for b in branches}) != 1:
        raise BadFile(f"joins shapes that do not fit: {[b.shape for b in branches]}")
    joined = branches[0]
    if len(branches) > 1:
        sizes = tuple(b.shape[axis] for b in branches)
        joined = view.scope.emit(Concat(axis, sizes), *branches, part="joined")
    return rounded(view.scope, joined, *parameters(view, 0))


def _operands(view: View) -> tuple[Node, Constant | None]:
    """The first computed operand, and what the other stands for if it is constant codes."""
    for own, other in ((0, 3), (3, 0)):
        if isinstance(view.inputs[other], Constant):
            found = codes_undone(
                view.constant(other), view.constant(other + 1), view.optional(other + 2), 0
            )
            return restored(view, own), found
    return restored(view, 0), None


def _inner(view: View) -> Scope:
    """For what is computed before it is rounded."""
    return Scope(view.builder, f"{view.name}.exact")
