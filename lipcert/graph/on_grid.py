"""Input quantisers that do nothing: where every input of a region is one of their codes."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lipcert.graph.align import aligned
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.reshape import Reshape
from lipcert.ops.select import Select
from lipcert.ops.transpose import Transpose
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Grid, Region

MOVING = (Relu, Reshape, Select, Transpose)  # a ReLU before codes from zero on changes none of them


def on_grid(pair: Pair, region: Region) -> Pair:
    """The same drift over the region, without quantisers that return all of its inputs.

    In every semantics: a member that is a code's value is rounded to that code, and back to
    itself where it is a float32 number.
    """
    if not isinstance(region, Grid):
        return pair
    f, g = (_without_idle(graph, region) for graph in (pair.original, pair.compressed))
    if f is pair.original and g is pair.compressed:
        return pair
    return replace(pair, original=f, compressed=g, nodes=aligned(f, g))


def _without_idle(graph: LayerGraph, region: Grid) -> LayerGraph:
    nodes = graph.by_name()
    idle = {
        node.name: node.inputs[0]
        for node in graph.nodes[1:-1]
        if isinstance(node.op, Quantize) and _returns(node, nodes, region)
    }
    if not idle:
        return graph
    kept = (
        replace(node, inputs=tuple(idle.get(name, name) for name in node.inputs))
        for node in graph.nodes
        if node.name not in idle
    )
    return replace(graph, nodes=tuple(kept))


def _returns(node: Node, nodes: Mapping[str, Node], region: Grid) -> bool:
    """Whether the quantiser reads the input, perhaps moved about, and returns every member."""
    op = node.op
    assert isinstance(op, Quantize)
    source = nodes[node.inputs[0]]
    moved = source.op is not None
    while isinstance(source.op, MOVING):
        source = nodes[source.inputs[0]]
    if source.op is not None or (moved and op.scale.numel() * op.lowest.numel() != 1):
        return False
    return _holds(op, region.step, region.hull)


def _holds(op: Quantize, step: float, hull: Interval) -> bool:
    """Whether steps of the grid are whole numbers of codes, none of them beyond the last.

    Products of float32 scales and whole numbers below 2^29 are exact in float64.
    """
    scale = op.scale
    times = torch.round(step / scale)
    whole = (times >= 1) & (times < 2.0**29) & (scale * times == step)
    single = scale.float().double() == scale
    inside = (hull.lower >= scale * op.lowest) & (hull.upper <= scale * op.highest)
    return _all(whole) and _all(single) and _all(inside)


def _all(facts: Tensor) -> bool:
    return bool(facts.all())
