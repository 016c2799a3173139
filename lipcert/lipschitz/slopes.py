"""Slopes of every activation: on the whole line, or on what it reads over a region."""

from collections.abc import Mapping

import torch

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph
from lipcert.methods.enclosed import enclose
from lipcert.numeric.placement import Placement
from lipcert.ops.kinds import Affine, Elementwise
from lipcert.ops.softmax import Softmax
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch

Slopes = Mapping[str, Interval]  # of each activation, (rows, *shape)


def known(graph: LayerGraph) -> LayerGraph:
    """The graph itself.

    Raises:
        UnsupportedOp: an operation has no Lipschitz rule; all of them are named.
    """
    alien = [
        f"'{node.name}' ({type(node.op).__name__})"
        for node in graph.nodes[1:]
        if not isinstance(node.op, Affine | Elementwise | Softmax)
    ]
    if alien:
        raise UnsupportedOp(
            f"lipschitz: {graph.source}: no constant is known for {', '.join(alien)}"
        )
    return graph


def everywhere(graph: LayerGraph) -> Slopes:
    """Sectors over all inputs whatever, one row."""
    found: dict[str, Interval] = {}
    for node in graph.nodes[1:]:
        if isinstance(node.op, Elementwise):
            whole = torch.full((1, *node.shape), torch.inf, dtype=torch.float64)
            found[node.name] = node.op.slope(Interval(-whole, whole))
    return found


def within(graph: LayerGraph, region: Region, placement: Placement, watch: Watch) -> Slopes:
    """Sectors over a region, a row per row of it: from CROWN's boxes.

    Regions are convex, so a bound on all Jacobians inside is a Lipschitz constant.
    """
    enclosed = enclose(graph, region, placement, watch)
    return {
        node.name: node.op.slope(enclosed.boxes[node.inputs[0]])
        for node in graph.nodes[1:]
        if isinstance(node.op, Elementwise)
    }
