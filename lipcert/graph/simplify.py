"""Rewrites that leave the function as it is: fewer nodes, the same names, proved errors.

A rule merges an operation with the only reader of its value. Merged weights are rounded in
float64; their error against the true ones is relative to what is stored, and a merge after which
that error could be large (a bias that cancels) is not made.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.numeric.rounding import unit_roundoff
from lipcert.ops.conv import Conv
from lipcert.ops.kinds import Op
from lipcert.ops.linear import Linear
from lipcert.ops.pad import Pad
from lipcert.ops.quantize import Quantize
from lipcert.ops.reshape import Reshape
from lipcert.ops.scale import Scale
from lipcert.ops.select import Select
from lipcert.ops.transpose import Transpose

LARGEST_ERROR = 2.0**-46  # relative; beyond it two operations stay apart
SMALLEST = 1e-290  # nonzero products below may have lost digits to underflow
ROUNDING = unit_roundoff(torch.float64)


@dataclass(frozen=True, slots=True)
class Merge:
    """How two operations become one; `keeps_second` says whose name survives."""

    merge: Callable[[Op, Op], Op | None]
    keeps_second: bool = False


def simplify(graph: LayerGraph) -> LayerGraph:
    """The same function in fewer nodes; the nodes that remain keep their names."""
    readers = {name: len(found) for name, found in graph.readers().items()}
    nodes: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        inputs = tuple(_current(renamed, name) for name in node.inputs)
        _place(nodes, replace(node, inputs=inputs), readers, renamed)
    return LayerGraph(tuple(nodes.values()), graph.source)


def _current(renamed: dict[str, str], name: str) -> str:
    """The node that a name stands for now."""
    while name in renamed:
        name = renamed[name]
    return name


def _place(
    nodes: dict[str, Node], node: Node, readers: dict[str, int], renamed: dict[str, str]
) -> None:
    """Adds a node, merged with as many of those above it as the rules allow."""
    while node.op is not None and len(node.inputs) == 1:
        above = nodes[node.inputs[0]]
        if _does_nothing(node.op, above) or _on_grid(nodes, node.op, above):
            readers[above.name] += readers[node.name] - 1
            renamed[node.name] = above.name
            return
        rule = RULES.get((type(above.op), type(node.op)))
        merged = None
        if rule is not None and above.op is not None and readers[above.name] == 1:
            merged = rule.merge(above.op, node.op)
        if rule is None or merged is None:
            break
        del nodes[above.name]
        kept, gone = (node, above) if rule.keeps_second else (above, node)
        readers[kept.name] = readers[node.name]
        renamed[gone.name] = kept.name
        node = Node(kept.name, merged, above.inputs, node.shape)
    nodes[node.name] = node


def _does_nothing(op: Op, above: Node) -> bool:
    """Whether the operation returns its input."""
    if isinstance(op, Scale):
        return bool((op.factor == 1).all() and (op.shift == 0).all()) and op.error == 0
    if isinstance(op, Reshape):
        return op.after == above.shape
    if isinstance(op, Transpose):
        return op.order == tuple(range(len(op.order)))
    if isinstance(op, Select):
        return op.index == tuple(range(op.size))
    return isinstance(op, Pad) and not any((*op.before, *op.after))


def _on_grid(nodes: dict[str, Node], op: Op, above: Node) -> bool:
    """Whether the operation rounds what the same rounding made, moved about at most."""
    if not isinstance(op, Quantize):
        return False
    whole = op.scale.numel() == op.lowest.numel() == op.highest.numel() == 1
    while whole and isinstance(above.op, Reshape | Transpose | Select):
        above = nodes[above.inputs[0]]
    first = above.op
    return isinstance(first, Quantize) and all(
        torch.equal(mine.reshape(-1), other.reshape(-1)) and (whole or mine.shape == other.shape)
        for mine, other in (
            (op.scale, first.scale),
            (op.lowest, first.lowest),
            (op.highest, first.highest),
        )
    )


def _linear_then_scale(first: Op, second: Op) -> Linear | None:
    """Rows scaled, where the scale varies along the last axis only."""
    assert isinstance(first, Linear)
    assert isinstance(second, Scale)
    rows = first.weight.shape[0]
    if second.factor.numel() != second.factor.shape[-1] or not _along(second.shift, -1):
        return None
    factor, shift = (v.reshape(-1).expand(rows) for v in (second.factor, second.shift))
    weight = _product(first.weight, factor[:, None], first.error + second.error)
    bias = _shifted(first.bias, factor, shift, (first.error, second.error))
    if weight is None or bias is None:
        return None
    return Linear(weight[0], bias[0], max(weight[1], bias[1]))


def _conv_then_scale(first: Op, second: Op) -> Conv | None:
    """Kernels scaled, where the scale varies along the channels only."""
    assert isinstance(first, Conv)
    assert isinstance(second, Scale)
    channels = first.weight.shape[0]
    if not _along(second.factor, 0) or not _along(second.shift, 0):
        return None
    factor, shift = (v.reshape(-1).expand(channels) for v in (second.factor, second.shift))
    weight = _product(first.weight, factor[:, None, None, None], first.error + second.error)
    bias = _shifted(first.bias, factor, shift, (first.error, second.error))
    if weight is None or bias is None:
        return None
    return replace(first, weight=weight[0], bias=bias[0], error=max(weight[1], bias[1]))


def _scale_then_scale(first: Op, second: Op) -> Scale | None:
    """Factors multiplied."""
    assert isinstance(first, Scale)
    assert isinstance(second, Scale)
    factor = _product(first.factor, second.factor, first.error + second.error)
    shift = _shifted(first.shift, second.factor, second.shift, (first.error, second.error))
    if factor is None or shift is None:
        return None
    return Scale(factor[0], shift[0], max(factor[1], shift[1]))


def _scale_then_linear(first: Op, second: Op) -> Linear | None:
    """Columns scaled, where nothing is added and the scale varies along the last axis only."""
    assert isinstance(first, Scale)
    assert isinstance(second, Linear)
    if bool(first.shift.any()) or not _along(first.factor, -1):
        return None
    weight = _product(second.weight, first.factor.reshape(1, -1), first.error + second.error)
    if weight is None:
        return None
    return Linear(weight[0], second.bias, max(weight[1], second.error))


def _pad_then_conv(first: Op, second: Op) -> Conv | None:
    """Zeros around the map become the convolution's own."""
    assert isinstance(first, Pad)
    assert isinstance(second, Conv)
    if first.filling != 0 or first.before[0] or first.after[0]:
        return None
    before, after = first.before[1:], first.after[1:]
    extra = (before[0], before[1], after[0], after[1])
    top, left, bottom, right = (p + e for p, e in zip(second.pads, extra, strict=True))
    return replace(second, pads=(top, left, bottom, right), input_shape=first.input_shape)


def _reshape_twice(first: Op, second: Op) -> Reshape:
    """From the first shape to the last."""
    assert isinstance(first, Reshape)
    assert isinstance(second, Reshape)
    return Reshape(first.before, second.after)


def _transpose_twice(first: Op, second: Op) -> Transpose:
    """Orders composed."""
    assert isinstance(first, Transpose)
    assert isinstance(second, Transpose)
    return Transpose(tuple(first.order[axis] for axis in second.order))


def _along(values: Tensor, axis: int) -> bool:
    """Whether values vary along one axis only."""
    return values.numel() == values.shape[axis]


def _product(left: Tensor, right: Tensor, error: float) -> tuple[Tensor, float] | None:
    """Product and relative error; None where underflow or overflow would spoil it."""
    product = left * right
    size = product.abs()
    lost = (size < SMALLEST) & (left != 0) & (right != 0)
    exact = bool((right == 1).all()) or (_single(left) and _single(right))
    total = error * (1 + 2 * error) + (0.0 if exact else ROUNDING)
    if bool(lost.any()) or not bool(product.isfinite().all()) or total > LARGEST_ERROR:
        return None
    return product, total * (1 + 2.0**-20)


def _shifted(
    bias: Tensor, factor: Tensor, shift: Tensor, errors: tuple[float, float]
) -> tuple[Tensor, float] | None:
    r"""Bias * factor + shift, and its error relative to the stored sum; None where it is large.

    With errors $e$ of bias and $d$ of factor and shift,
    $|true - stored| \le |bias\,factor| (e + d + e d + u) + d |shift| + u |stored|$.
    """
    moved = _product(bias, factor, sum(errors))
    if moved is None:
        return None
    total = moved[0] + shift
    exact = not bool(bias.any()) or not bool(shift.any())
    slack = moved[0].abs() * moved[1] + shift.abs() * errors[1]
    relative = torch.where(slack == 0, 0.0, slack / total.abs())
    error = float(relative.max()) * (1 + 2.0**-20) + (0.0 if exact else 2 * ROUNDING)
    return (total, error) if bool(total.isfinite().all()) and error <= LARGEST_ERROR else None


def _single(values: Tensor) -> bool:
    """Whether every value is a float32 number; products of two such are exact in float64."""
    return bool((values.float().double() == values).all())


RULES: dict[tuple[type[Op] | type[None], type[Op]], Merge] = {
    (Linear, Scale): Merge(_linear_then_scale),
    (Conv, Scale): Merge(_conv_then_scale),
    (Scale, Scale): Merge(_scale_then_scale),
    (Scale, Linear): Merge(_scale_then_linear, keeps_second=True),
    (Pad, Conv): Merge(_pad_then_conv, keeps_second=True),
    (Reshape, Reshape): Merge(_reshape_twice),
    (Transpose, Transpose): Merge(_transpose_twice),
}
