"""Products of a value with a function of itself: SiLU, GELU and HardSwish written out."""

import math
from dataclasses import dataclass
from fractions import Fraction

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.clip import Clip
from lipcert.ops.erf import Erf
from lipcert.ops.gelu import Gelu
from lipcert.ops.hard_sigmoid import HardSigmoid
from lipcert.ops.hard_swish import HardSwish
from lipcert.ops.kinds import Op
from lipcert.ops.scale import Scale
from lipcert.ops.sigmoid import Sigmoid
from lipcert.ops.silu import Silu
from lipcert.read.builder import Scope
from lipcert.read.constant import ROUNDING
from lipcert.read.lower.scaling import scaled

SAME = 8 * ROUNDING  # a stored constant this close to an irrational one stands for it
HALF = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Line:
    """slope root + offset, with the relative error of slope and offset."""

    root: Node
    slope: Fraction
    offset: Fraction
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class _Gate:
    """gain gate(stretch root), where `op` is x gate(x)."""

    op: Op
    root: Node
    stretch: float
    gain: Fraction
    error: float


def gated(scope: Scope, left: Node, right: Node) -> Node:
    """The product, where one factor is a gate of the other; anything else is unsupported.

    With a gate of k x the product is the named function at k x, divided by k. So constants such
    as sqrt(2) in float32 keep the value that the file stores.
    """
    for value, factor in ((left, right), (right, left)):
        own, gate = _line(scope, value), _gate(scope, factor)
        if gate is not None and own.root is gate.root and own.offset == 0:
            return _product(scope, own, gate)
    raise UnsupportedOp(
        "multiplies two computed values; only x Sigmoid(x), x HardSigmoid(x) and "
        "x (1 + Erf(x / sqrt 2)) / 2 are read"
    )


def _product(scope: Scope, own: _Line, gate: _Gate) -> Node:
    error = own.error + gate.error
    if gate.stretch == 1 and error == 0:
        factor = own.slope * gate.gain
        rounded = 0.0 if Fraction(float(factor)) == factor else ROUNDING
        return scaled(scope, scope.emit(gate.op, gate.root), float(factor), 0.0, rounded, "gain")
    error = 2 * error + 8 * ROUNDING
    inside = scaled(scope, gate.root, gate.stretch, 0.0, error, "inside")
    gain = float(own.slope * gate.gain) / gate.stretch
    return scaled(scope, scope.emit(gate.op, inside), gain, 0.0, error, "gain")


def _gate(scope: Scope, node: Node) -> _Gate | None:
    """The gate that a factor is; None where it is none."""
    outer = _line(scope, node)
    if not isinstance(outer.root.op, Sigmoid | Erf | HardSigmoid | Clip):
        return None
    inner = _line(scope, scope.source_of(outer.root)[0])
    found = _named(outer, inner.offset)
    inexact = inner.offset != 0 and inner.error > 0
    if found is None or inner.slope == 0 or inexact:
        return None
    op, own, gain = found
    stretch, error = float(inner.slope) * own, outer.error + inner.error
    if isinstance(op, Gelu) and abs(stretch - 1) <= SAME:
        stretch, error = 1.0, 0.0
    return _Gate(op, inner.root, stretch, gain, error)


def _named(outer: _Line, moved: Fraction) -> tuple[Op, float, Fraction] | None:
    """The name of x gate(x), the argument's factor in it, and how often the gate is taken.

    `moved` is what the gate's argument adds to a multiple of x.
    """
    op, plain = outer.root.op, outer.offset == 0
    if isinstance(op, Clip) and plain and op.low == 0 and 2 * moved == op.high:
        return HardSwish(), 6 / op.high, outer.slope * Fraction(op.high)
    if moved != 0:
        return None
    if isinstance(op, Sigmoid) and plain:
        return Silu(), 1.0, outer.slope
    if isinstance(op, HardSigmoid) and plain and op.beta == HALF:
        return HardSwish(), 6 * op.alpha, outer.slope
    if isinstance(op, Erf) and outer.offset == outer.slope and outer.error == 0:
        return Gelu(), math.sqrt(2), 2 * outer.slope
    return None


def _line(scope: Scope, node: Node) -> _Line:
    """A node as a line of the first node above it that is no scalar Scale."""
    slope, offset, error = Fraction(1), Fraction(0), 0.0
    while isinstance(node.op, Scale) and node.op.factor.numel() == node.op.shift.numel() == 1:
        offset += slope * Fraction(float(node.op.shift))
        slope *= Fraction(float(node.op.factor))
        error += node.op.error
        node = scope.source_of(node)[0]
    return _Line(node, slope, offset, error)
