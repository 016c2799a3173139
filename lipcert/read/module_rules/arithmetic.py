"""Sums, differences, products and quotients."""

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.add import Add
from lipcert.read.lower.gated import gated
from lipcert.read.lower.scaling import divided, scaled
from lipcert.read.module_view import Call, calls


@calls("add")
def add(call: Call) -> Node:
    """Of two branches, or of a constant."""
    return _sum(call, (1, 1))


@calls("sub")
def sub(call: Call) -> Node:
    """Of two branches, of a constant, or from one."""
    return _sum(call, (1, -1))


@calls("rsub")
def rsub(call: Call) -> Node:
    """With the operands exchanged."""
    return _sum(call, (-1, 1))


@calls("neg")
def neg(call: Call) -> Node:
    """Minus one times."""
    return scaled(call.scope, call.activation(), -1.0)


@calls("mul")
def mul(call: Call) -> Node:
    """By a constant, or by a gate of the value itself."""
    names = ["self", "other"]
    nodes = [name for name in names if isinstance(call.arguments[name], Node)]
    if nodes == names:
        return gated(call.scope, call.activation("self"), call.activation("other"))
    stored = call.constant("other" if nodes == ["self"] else "self")
    return scaled(call.scope, call.activation(nodes[0]), stored.floats(), 0.0, stored.error)


@calls("div")
def div(call: Call) -> Node:
    """By a constant."""
    if call.arguments.get("rounding_mode") is not None:
        raise UnsupportedOp("rounds")
    divisor = call.constant("other")
    return divided(call.scope, call.activation(), divisor.floats(), divisor.error)


def _sum(call: Call, signs: tuple[int, int]) -> Node:
    if call.arguments.get("alpha", 1) != 1:
        raise UnsupportedOp(f"has alpha = {call.arguments['alpha']}")
    terms = [call.arguments["self"], call.arguments["other"]]
    if all(isinstance(term, Node) for term in terms):
        left, right = call.activation("self"), call.activation("other")
        if left.shape != right.shape:
            raise UnsupportedOp(f"joins shapes that differ, {left.shape} and {right.shape}")
        return call.scope.emit(Add(signs), left, right)
    own, other = ("self", "other") if isinstance(terms[0], Node) else ("other", "self")
    sign, rest = signs if own == "self" else signs[::-1]
    stored = call.constant(other)
    return scaled(
        call.scope, call.activation(own), float(sign), rest * stored.floats(), stored.error
    )
