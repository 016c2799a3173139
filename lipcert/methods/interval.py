"""Interval arithmetic: enclosures pushed forward, one node at a time."""

from dataclasses import dataclass

import torch

from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.pair import Pair
from lipcert.methods.agreement import beyond, box_margins, label_of
from lipcert.methods.base import Bounds, Method
from lipcert.methods.executed import added, error_of, excess_of, widened
from lipcert.methods.image import image
from lipcert.methods.softmax import executed_rates
from lipcert.numeric.placement import Placement
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch
from lipcert.walk.support import Support


@dataclass(frozen=True)
class IntervalArithmetic(Method):
    """Both networks in interval arithmetic, subtracted: fast, and loose."""

    def bound(self, pair: Pair, region: Region, placement: Placement, watch: Watch) -> Bounds:
        """Bounds of f and g apart."""
        hull = Support.of(region, placement).hull
        original = propagated(pair.original.placed(placement), hull)
        compressed = propagated(pair.compressed.placed(placement), hull)
        label = label_of(original)
        agree = torch.zeros(len(hull.lower), dtype=torch.bool)
        if label is not None:
            rates = executed_rates(pair, original, compressed)
            agree = beyond(rates, *(box_margins(box, label) for box in (original, compressed)))
        return Bounds(compressed.minus(original), original, compressed, agree)


def propagated(graph: LayerGraph, hull: Interval) -> Interval:
    """Box of the output over a box of inputs."""
    boxes = {graph.input.name: hull}
    for node in graph.nodes[1:]:
        assert node.op is not None
        inputs = [boxes[name] for name in node.inputs]
        exact = image(node.op, *inputs)
        error = error_of(node.op, graph.semantics, exact, *inputs)
        boxes[node.name] = widened(exact, added(error, excess_of(graph, node, boxes)))
    return boxes[graph.output.name]
