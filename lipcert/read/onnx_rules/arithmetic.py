"""Sums, differences, products and quotients."""

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.add import Add
from lipcert.read.constant import Constant
from lipcert.read.lower.gated import gated
from lipcert.read.lower.scaling import divided, scaled
from lipcert.read.onnx_view import View, reads


@reads("Add")
def add(view: View) -> Node:
    """Of two branches, or of a constant."""
    return _sum(view, (1, 1))


@reads("Sub")
def sub(view: View) -> Node:
    """Of two branches, of a constant, or from one."""
    return _sum(view, (1, -1))


@reads("Neg")
def neg(view: View) -> Node:
    """Minus one times."""
    return scaled(view.scope, view.activation(0), -1.0)


@reads("Mul")
def mul(view: View) -> Node:
    """By a constant, or by a gate of the value itself."""
    x, stored = _split(view)
    if stored is None:
        return gated(view.scope, view.activation(0), view.activation(1))
    return scaled(view.scope, x, stored.floats(), 0.0, stored.error)


@reads("Div")
def div(view: View) -> Node:
    """By a constant."""
    divisor = view.constant(1)
    return divided(view.scope, view.activation(0), divisor.floats(), divisor.error)


def _sum(view: View, signs: tuple[int, int]) -> Node:
    x, stored = _split(view)
    if stored is not None:
        own, other = signs if isinstance(view.inputs[1], Constant) else signs[::-1]
        return scaled(view.scope, x, float(own), other * stored.floats(), stored.error)
    left, right = view.activation(0), view.activation(1)
    if left.shape != right.shape:
        raise UnsupportedOp(f"joins branches of different shapes, {left.shape} and {right.shape}")
    return view.scope.emit(Add(signs), left, right)


def _split(view: View) -> tuple[Node, Constant | None]:
    """The computed operand and the constant one, if there is one."""
    if isinstance(view.inputs[0], Constant):
        return view.activation(1), view.constant(0)
    return view.activation(0), view.constant(1) if isinstance(view.inputs[1], Constant) else None
