"""Interval arithmetic: enclosures pushed forward, one node at a time."""

from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.pair import Pair
from lipcert.methods.agreement import box_margins, label_of, positive
from lipcert.methods.base import Bounds, Method
from lipcert.numeric.placement import Placement
from lipcert.numeric.rounding import down, gamma, inflate, up
from lipcert.ops.kinds import Affine, Coupled, Elementwise, Op
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch
from lipcert.walk.support import Support


@singledispatch
def image(op: Op, *boxes: Interval) -> Interval:
    """Enclosure of the values of `op` on boxes (batch, *shape) of its inputs."""
    raise UnsupportedOp(f"interval: no rule for {type(op).__name__}")


@image.register
def image_of_affine(op: Affine, *boxes: Interval) -> Interval:
    """Exact up to rounding, in centre-radius form; covers the weights' own error."""
    linear = image_of_linear(op, *boxes)
    constant = op.constant(boxes[0].lower)
    if constant is None:
        return linear
    pad = up(constant.abs() * op.weight_error)
    return Interval(
        down(down(linear.lower + constant) - pad), up(up(linear.upper + constant) + pad)
    )


@image.register
def image_of_elementwise(op: Elementwise, *boxes: Interval) -> Interval:
    """The operation's own fact."""
    return op.image(boxes[0])


@image.register
def image_of_coupled(op: Coupled, *boxes: Interval) -> Interval:
    """The operation's own fact."""
    return op.image(boxes[0])


def image_of_linear(op: Affine, *boxes: Interval) -> Interval:
    """Enclosure of the linear part alone."""
    centres = [box.centre for box in boxes]
    radii = [box.radius(centre) for box, centre in zip(boxes, centres, strict=True)]
    magnitude = op.magnitude()
    spread = inflate(magnitude.linear(*radii), op.terms)
    reach = reach_of_linear(op, *(box.magnitude() for box in boxes))
    pad = up(up(spread) + up(reach * (gamma(op.terms, reach.dtype) + op.weight_error)))
    pad = up(pad * (1 + 2 * op.weight_error))
    middle = op.linear(*centres)
    return Interval(down(middle - pad), up(middle + pad))


def reach_of_linear(op: Affine, *sizes: Tensor) -> Tensor:
    """Upper bound on |weights| times the given sizes: what the rounding of a product scales with.

    Weights that were rounded may have underflowed: their error is then relative to the smallest
    normal number instead of to themselves.
    """
    reach = inflate(op.magnitude().linear(*sizes), op.terms)
    if op.weight_error == 0:
        return reach
    largest = torch.stack([size.flatten(1).amax(1) for size in sizes]).amax(0)
    lost = up(largest * (op.terms * torch.finfo(reach.dtype).tiny))
    return up(reach + lost.view(-1, *[1] * (reach.ndim - 1)))


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
            agree = positive(*(box_margins(box, label) for box in (original, compressed)))
        return Bounds(compressed.minus(original), original, compressed, agree)


def propagated(graph: LayerGraph, hull: Interval) -> Interval:
    """Box of the output over a box of inputs."""
    boxes = {graph.input.name: hull}
    for node in graph.nodes[1:]:
        assert node.op is not None
        boxes[node.name] = image(node.op, *(boxes[name] for name in node.inputs))
    return boxes[graph.output.name]
