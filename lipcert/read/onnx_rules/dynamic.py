"""Codes whose scale is computed from the input, as onnxruntime's quantize_dynamic writes them.

DynamicQuantizeLinear makes codes, their scale and their zero point; a MatMulInteger or ConvInteger
of the codes, cast to float, is multiplied by that scale times the weights'. Read as the layer
between what the codes stand for, behind a staircase whose steps follow from the row.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.dynamic_quantize import DynamicQuantize
from lipcert.read.constant import Constant
from lipcert.read.lower.dequantising import codes_undone
from lipcert.read.onnx_rules.integer import convolution_of, product_of
from lipcert.read.onnx_view import Deferred, Value, View, reads

ONE = Constant(np.ones((), np.float32), "one")


@reads("DynamicQuantizeLinear")
def dynamic_quantize_linear(view: View) -> tuple[Value, ...]:
    """Codes, scale and zero point, of one row."""
    if view.batch != 1:
        size = "a batch of any size" if view.batch is None else f"a batch of {view.batch}"
        raise UnsupportedOp(
            f"computes its scale from all rows together, and the file takes {size}: a row's result "
            "would depend on the others; fix the batch axis to 1 "
            "(python -m onnxruntime.tools.make_dynamic_shape_fixed)"
        )
    staircase = view.scope.emit(DynamicQuantize(), view.activation(0))
    return _Codes(staircase), _Scale(staircase, ONE), _ZeroPoint(staircase)


@dataclass(frozen=True, slots=True, eq=False)
class _ZeroPoint(Deferred):
    """Of the codes that a staircase stands for."""

    staircase: Node

    def read_by(self, view: View) -> Value:
        """Only beside its codes."""
        raise UnsupportedOp("reads the zero point of computed codes without these")


@dataclass(frozen=True, slots=True, eq=False)
class _Scale(Deferred):
    """The scale of codes times a constant."""

    staircase: Node
    factor: Constant

    def read_by(self, view: View) -> Value:
        """A product with a constant."""
        if view.proto.op_type != "Mul" or self not in view.inputs:
            raise UnsupportedOp("reads the computed scale of codes")
        return _Scale(self.staircase, self.factor.times(_other(view, self)))


@dataclass(frozen=True, slots=True, eq=False)
class _Codes(Deferred):
    """Of a row, with a scale and a zero point of its own."""

    staircase: Node

    def read_by(self, view: View) -> Value:
        """An integer layer, or the operator that undoes them."""
        kind = view.proto.op_type
        if kind == "DequantizeLinear" and view.inputs[0] is self:
            scale = view.inputs[1]
            if isinstance(scale, _Scale) and scale.staircase is self.staircase:
                self._refuse_other_zero(view, 2)
                if scale.factor is ONE:
                    return self.staircase
        if kind not in ("MatMulInteger", "ConvInteger") or view.inputs[0] is not self:
            raise UnsupportedOp("reads codes whose scale is computed")
        self._refuse_other_zero(view, 2)
        axis = -1 if kind == "MatMulInteger" else 0
        weight = codes_undone(view.constant(1), ONE, view.optional(3), axis)
        emit = product_of if kind == "MatMulInteger" else convolution_of
        return _Sums(self.staircase, axis, weight, lambda w: emit(view, self.staircase, w, None))

    def _refuse_other_zero(self, view: View, place: int) -> None:
        zero = view.inputs[place] if view.has(place) else None
        if not isinstance(zero, _ZeroPoint) or zero.staircase is not self.staircase:
            raise UnsupportedOp("has another zero point than the codes that it reads")


@dataclass(frozen=True, slots=True, eq=False)
class _Sums(Deferred):
    """Integer sums of an integer layer, in units of the codes' scale.

    Args:
        staircase: what the codes stand for.
        axis: of the weights, along which outputs lie.
        weight: less its zero point.
        emit: the layer with other weights.
    """

    staircase: Node
    axis: int
    weight: Constant
    emit: Callable[[Constant], Node]

    def read_by(self, view: View) -> Value:
        """A cast to float, then a product with the scale."""
        if view.proto.op_type == "Cast" and view.integer("to", 0) == TensorProto.FLOAT:
            return self
        scale = next((value for value in view.inputs if isinstance(value, _Scale)), None)
        if view.proto.op_type != "Mul" or scale is None or scale.staircase is not self.staircase:
            raise UnsupportedOp("reads integer sums before they were multiplied by their scale")
        factor, rank = scale.factor.floats(), self.weight.values.ndim
        count = self.weight.values.shape[self.axis]
        if factor.size not in (1, count) or (factor.size > 1 and self.axis != -1):
            raise UnsupportedOp(f"multiplies integer sums by scales of shape {factor.shape}")
        if factor.ndim > 1 and factor.shape[-1] != factor.size:
            raise UnsupportedOp(f"multiplies integer sums by scales of shape {factor.shape}")
        shape = (1,) * rank if factor.size == 1 else (*(1,) * (rank - 1), count)
        spread = Constant(factor.reshape(shape), scale.factor.name, scale.factor.error)
        return self.emit(self.weight.times(spread))


def _other(view: View, mine: Deferred) -> Constant:
    """The operand of a product that is not this one, a constant."""
    others = [value for value in view.inputs if value is not mine]
    if len(others) != 1:
        raise BadFile("multiplies a scale by itself")
    if not isinstance(others[0], Constant):
        raise UnsupportedOp("multiplies the computed scale of codes by a computed value")
    return others[0]
