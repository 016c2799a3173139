"""What an executed network may differ by from exact arithmetic, node by node.

Under a semantics other than `real` every node's value is the exact one on the executed inputs plus
an error; this bounds it. Integer kernels with float32 requantisation and the same graph in float32
are covered by one bound: gamma_n in float32 is at least the few roundings of a requantisation.
LiteRT's kernels are exact up to their codes, whose rounding is a fact of the quantiser itself.
Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sec. 3.1 and 3.5.
"""

from collections.abc import Mapping
from functools import singledispatch

import torch
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.semantics import Semantics
from lipcert.methods.image import reach_of_linear
from lipcert.numeric.rounding import gamma, inflate, unit_roundoff
from lipcert.ops.clip import Clip
from lipcert.ops.dynamic_quantize import DynamicQuantize
from lipcert.ops.kinds import Affine, Elementwise, Op
from lipcert.ops.pad import Pad
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.routing import Routing
from lipcert.sets.enclosure import Interval

SINGLE = torch.float32
SPARE = 16  # roundings of a scale, a bias or a requantisation behind a sum
FUNCTION = 2.0**-20  # error of a float32 tanh, exp, ... relative to the larger of 1 and |input|


def widened(box: Interval, error: Interval | None) -> Interval:
    """The box with what executing a node adds."""
    return box if error is None else box.plus(error)


def error_of(
    op: Op | None, semantics: Semantics, value: Interval, *boxes: Interval
) -> Interval | None:
    """Enclosure of executed less exact value of a node, (batch, *shape); None where it is zero.

    Args:
        op: the operation; None computes nothing.
        semantics: of the network that the node belongs to.
        value: enclosure of the exact value on executed inputs.
        boxes: enclosures of the executed inputs.
    """
    if op is None or semantics == Semantics.REAL:
        return None
    if semantics == Semantics.LITERT and not isinstance(op, Quantize):
        return None  # whole numbers, exact until they are made codes
    error = _error(op, value, *boxes)
    if error is None:
        return None
    error = inflate(error, 8)
    return Interval(-error, error)


def excess_of(graph: LayerGraph, node: Node, boxes: Mapping[str, Interval]) -> Interval | None:
    """Enclosure of what saturating pair sums add to a node's value; None where that is nothing.

    Raises:
        UnsupportedOp: under `ort-x86-sat16`, where the file's kernels were not looked into.
    """
    if graph.semantics != Semantics.ORT_X86_SAT16:
        return None
    if graph.excess is None:
        raise UnsupportedOp(f"ort-x86-sat16: {graph.source} was not read from a quantised ONNX "
                            "file, so that its kernels are unknown; see load_pair")  # fmt: skip
    found = graph.excess.get(node.name)
    return None if found is None else found.over(boxes[found.reads])


def added(first: Interval | None, second: Interval | None) -> Interval | None:
    """Both errors together."""
    if first is None or second is None:
        return first if second is None else second
    return first.plus(second)


@singledispatch
def _error(op: Op, value: Interval, *boxes: Interval) -> Tensor | None:
    raise UnsupportedOp(f"semantics: no bound on the executed error of {type(op).__name__}")


@_error.register
def _(op: Affine, value: Interval, *boxes: Interval) -> Tensor | None:
    """Any order of summation; the smallest normal number per product for underflow."""
    constant = op.constant(value.lower)
    cancels = op.weight_error > unit_roundoff(torch.float64)  # else a product, as of scales
    if cancels and constant is not None and bool(constant.any()):
        raise UnsupportedOp(
            f"semantics: constants of a {type(op).__name__} were computed from batch normalisation "
            "or similar, whose executed rounding is unknown; fold it in the file, or use 'real'"
        )
    reach = reach_of_linear(op, *(box.magnitude() for box in boxes))
    if constant is not None:
        reach = reach + constant.abs()
    count = op.terms + SPARE
    return gamma(count, SINGLE) * reach + count * torch.finfo(SINGLE).tiny


@_error.register
def _(op: Routing, value: Interval, *boxes: Interval) -> Tensor | None:
    """Of sums; moving values about has none."""
    if op.exact:
        return None
    reach = reach_of_linear(op, *(box.magnitude() for box in boxes))
    return gamma(op.terms + SPARE, SINGLE) * reach


@_error.register
def _(op: Pad, value: Interval, *boxes: Interval) -> Tensor | None:
    return None


@_error.register
def _(op: Relu, value: Interval, *boxes: Interval) -> Tensor | None:
    return None


@_error.register
def _(op: Clip, value: Interval, *boxes: Interval) -> Tensor | None:
    return None


@_error.register
def _(op: Elementwise, value: Interval, *boxes: Interval) -> Tensor | None:
    """A few roundings of the value and of the input, and the function's own error."""
    sizes = value.magnitude() + boxes[0].magnitude().clamp(min=1)
    return FUNCTION * sizes


@_error.register
def _(op: Quantize | DynamicQuantize, value: Interval, *boxes: Interval) -> Tensor | None:
    """Code times scale is rounded once; the division before is the operation's own slack."""
    return gamma(2, SINGLE) * value.magnitude()
