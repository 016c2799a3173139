"""Difference quotients, rounded down: what no Lipschitz constant can lie below."""

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph
from lipcert.lipschitz.norm import Norm
from lipcert.methods.interval import propagated
from lipcert.numeric.rounding import down, gamma, inflate, up
from lipcert.ops.softmax import Softmax
from lipcert.sets.enclosure import Interval


def quotients(graph: LayerGraph, first: Tensor, second: Tensor, norm: Norm) -> Tensor:
    """Lower bounds on |f(first) - f(second)| / |first - second|, (points,); zero where equal.

    Values are enclosed in interval arithmetic, so no rounding can make a quotient too large.
    """
    ends = [_value(graph, points) for points in (first, second)]
    gap = ends[1].minus(ends[0])
    least = torch.maximum(gap.lower, -gap.upper).clamp(min=0).flatten(1)
    apart = up((second - first).abs()).flatten(1)
    change = down(norm.of(least) * (1 - 2 * gamma(least.shape[1] + 4, least.dtype)))
    distance = inflate(norm.of(apart), apart.shape[1] + 4)
    same = (first == second).flatten(1).all(1)
    usable = ~same & least.isfinite().all(1) & distance.isfinite()
    return torch.where(usable, down(change / distance).clamp(min=0), 0.0)


def _value(graph: LayerGraph, points: Tensor) -> Interval:
    """Enclosure of the exact outputs."""
    if isinstance(graph.output.op, Softmax):
        body = LayerGraph(graph.nodes[:-1], graph.source, graph.semantics)
        return graph.output.op.image(propagated(body, Interval.point(points)))
    return propagated(graph, Interval.point(points))
