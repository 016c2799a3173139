"""Quantisers behind averages of codes: ties happen there, and are decided exactly.

A mean of 2^k codes on a grid lies on ties of the same grid once in 2^k times. Enclosures of real
numbers cannot tell on which side; but the mean is a whole number of 2^-k steps, so the code can be.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.numeric.rounding import down, up
from lipcert.ops.conv import Conv
from lipcert.ops.linear import Linear
from lipcert.ops.pad import Pad
from lipcert.ops.quantize import Quantize, Requantiser
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.ops.scale import Scale
from lipcert.ops.select import Select
from lipcert.ops.transpose import Transpose
from lipcert.sets.enclosure import Interval

FINEST = 2.0**-20  # of a step
MOVING = (Relu, Reshape, Select, Transpose)


@dataclass(frozen=True, slots=True)
class HalfEven(Requantiser):
    """Values that are whole numbers of `unit` steps of `scale`, rounded half to even.

    Args:
        scale: of the codes.
        unit: a power of two, so that whole numbers of it are exact.
    """

    scale: float
    unit: float

    def codes(self, box: Interval) -> tuple[Tensor, Tensor]:
        """Of the least and the largest whole number."""
        low = torch.ceil(down(down(box.lower / self.scale) / self.unit))
        high = torch.floor(up(up(box.upper / self.scale) / self.unit))
        return torch.round(low * self.unit), torch.round(high * self.unit)

    def nearest(self, values: Tensor) -> Tensor:
        """Of the nearest whole number."""
        return torch.round(torch.round(values / self.scale / self.unit) * self.unit)


def with_exact_ties(graph: LayerGraph) -> LayerGraph:
    """The same function of exact arithmetic, its quantisers told where their input can lie."""
    nodes = graph.by_name()
    told = tuple(
        replace(node, op=replace(node.op, requantiser=_rounding(node, nodes)))
        if isinstance(node.op, Quantize)
        else node
        for node in graph.nodes
    )
    return replace(graph, nodes=told)


def _rounding(node: Node, nodes: Mapping[str, Node]) -> HalfEven | None:
    """How the quantiser rounds, if codes on a grid reach it through averages alone."""
    op, source, share = node.op, nodes[node.inputs[0]], 1.0
    assert isinstance(op, Quantize)
    while not isinstance(source.op, Quantize):
        factor = _factor(source)
        if factor is None:
            return None
        share, source = share * factor, nodes[source.inputs[0]]
    if op.scale.numel() != 1 or source.op.scale.numel() != 1:
        return None
    unit = float(source.op.scale) * share / float(op.scale)
    if not FINEST <= unit < 1 or math.frexp(unit)[0] != 0.5:
        return None
    exact = float(op.scale) * unit == float(source.op.scale) * share
    return HalfEven(float(op.scale), unit) if exact else None


def _factor(node: Node) -> float | None:
    """The power of two of which whole numbers of the input's units are made; None for others."""
    op = node.op
    if isinstance(op, MOVING) or (isinstance(op, Pad) and op.filling == 0):
        return 1.0
    if isinstance(op, Scale):
        return None if op.error or bool(op.shift.any()) else _power(op.factor)
    if isinstance(op, Conv | Linear):
        return None if op.error or bool(op.bias.any()) else _power(op.weight)
    return None


def _power(values: Tensor) -> float | None:
    """The one power of two among zeros, if there is no other number."""
    found = values[values != 0].unique()
    one = len(found) == 1 and math.frexp(float(found))[0] == 0.5
    return float(found) if one else None
