"""Difference quotients, rounded down: what no Lipschitz constant can lie below."""

import math

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph
from lipcert.lipschitz.computed import computed, upper_norm
from lipcert.methods.interval import propagated
from lipcert.numeric.norm import Norm
from lipcert.numeric.rounding import down, gamma, up
from lipcert.ops.softmax import Softmax
from lipcert.sets.enclosure import Interval

NARROW = 0.9  # share of the computed quotients that interval arithmetic must prove to be enough


def quotients(graph: LayerGraph, first: Tensor, second: Tensor, norm: Norm) -> Tensor:
    """Lower bounds on |f(first) - f(second)| / |first - second|, (points,); zero where equal.

    Values are enclosed in interval arithmetic, and where that is wide also by a bound on the
    norm of their error, so no rounding can make a quotient too large.
    """
    ends = [_value(graph, points) for points in (first, second)]
    gap = ends[1].minus(ends[0])
    least = torch.maximum(gap.lower, -gap.upper).clamp(min=0).flatten(1)
    change = _lower_norm(least, norm)
    distance = upper_norm(up((second - first).abs()).flatten(1), norm)
    plain = norm.of((ends[1].centre - ends[0].centre).flatten(1))
    if not bool((change >= NARROW * plain).all()):
        change = torch.fmax(change, _change(graph, first, second, norm))
    same = (first == second).flatten(1).all(1)
    usable = ~same & change.isfinite() & distance.isfinite()
    return torch.where(usable, down(change / distance).clamp(min=0), 0.0)


def _change(graph: LayerGraph, first: Tensor, second: Tensor, norm: Norm) -> Tensor:
    """Lower bound on the norm of f(second) - f(first), from their values as computed."""
    ends = [computed(graph, points) for points in (first, second)]
    gap = (ends[1].value - ends[0].value).abs().flatten(1)
    apart = _lower_norm(down(gap).clamp(min=0), norm)
    error = up(ends[0].error + ends[1].error)
    if norm is Norm.ONE:
        error = up(error * math.sqrt(gap.shape[1] + 1))
    return down(apart - error)


def _lower_norm(vectors: Tensor, norm: Norm) -> Tensor:
    """Norms of nonnegative vectors (points, n), rounded down."""
    return down(norm.of(vectors) * (1 - 2 * gamma(vectors.shape[1] + 4, vectors.dtype)))


def _value(graph: LayerGraph, points: Tensor) -> Interval:
    """Enclosure of the exact outputs."""
    if isinstance(graph.output.op, Softmax):
        body = LayerGraph(graph.nodes[:-1], graph.source, graph.semantics)
        return graph.output.op.image(propagated(body, Interval.point(points)))
    return propagated(graph, Interval.point(points))
