"""Both networks of a pair, placed once and evaluated at the same points."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lipcert.attacks.fast import fast
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.pair import Pair
from lipcert.numeric.placement import Placement
from lipcert.ops.softmax import Softmax

MOST_BYTES = 2**30  # beyond this, larger batches are no faster
KEPT_PER_VALUE = 6  # copies of a node's value that one step with gradients holds


@dataclass(frozen=True, slots=True, eq=False)
class Response:
    """Outputs and scores of both networks, each (points, outputs) with outputs flattened.

    Scores are the outputs, or what a final Softmax reads: the same labels, without saturation.
    """

    original: Tensor
    compressed: Tensor
    original_scores: Tensor
    compressed_scores: Tensor

    @property
    def drift(self) -> Tensor:
        """g(x) - f(x)."""
        return self.compressed - self.original


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """f and g in one dtype on one device.

    Args:
        original: f without a final Softmax.
        compressed: g likewise.
        saturates: whether f, and g, end in a Softmax.
        placement: where and in which dtype they compute.
    """

    original: LayerGraph
    compressed: LayerGraph
    saturates: tuple[bool, bool]
    placement: Placement

    @classmethod
    def of(cls, pair: Pair, placement: Placement) -> "Networks":
        """The pair's networks, placed."""
        whole = pair.original.placed(placement), pair.compressed.placed(placement)
        original, compressed = (_without_softmax(graph) for graph in whole)
        saturates = (original is not whole[0], compressed is not whole[1])
        return cls(original, compressed, saturates, placement)

    def hurried(self, dtype: torch.dtype) -> "Networks":
        """The same networks in a dtype and on faster kernels, right up to rounding."""
        original, compressed = fast(self.original, dtype), fast(self.compressed, dtype)
        return Networks(original, compressed, self.saturates, replace(self.placement, dtype=dtype))

    def respond(self, points: Tensor) -> Response:
        """Both networks at float64 points (points, *shape), cast to the networks' dtype."""
        points = points.to(self.placement.device, self.placement.dtype)
        scores = [graph(points).flatten(1) for graph in (self.original, self.compressed)]
        f, g = (
            torch.softmax(score, 1) if saturated else score
            for score, saturated in zip(scores, self.saturates, strict=True)
        )
        return Response(f, g, scores[0], scores[1])

    def most_points(self) -> int:
        """Points whose values, gradients included, fit the memory that one step may take."""
        size = torch.finfo(self.placement.dtype).bits // 8
        nodes = (*self.original.nodes, *self.compressed.nodes)
        values = sum(torch.Size(node.shape).numel() for node in nodes)
        budget = min(self.placement.budget() // 2, MOST_BYTES)
        return max(1, budget // (KEPT_PER_VALUE * size * max(1, values)))


def _without_softmax(graph: LayerGraph) -> LayerGraph:
    """The graph up to a final Softmax, or the graph itself."""
    last = graph.output
    if isinstance(last.op, Softmax) and last.inputs == (graph.nodes[-2].name,):
        return replace(graph, nodes=graph.nodes[:-1])
    return graph
