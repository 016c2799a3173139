"""How far a network's values may lie from those at one input, in the l2 norm."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.gain.affine import affine_gain
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.methods.enclosed import Enclosed
from lipcert.methods.image import image
from lipcert.numeric.norm import Norm, length_upper
from lipcert.numeric.rounding import up
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Affine, Elementwise
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Of a network's nodes over a region, in float64.

    Args:
        boxes: proved of their values.
        points: about their values at one input.
        lengths: upper bounds of the l2 distance between values and those points, (batch,).
    """

    boxes: Mapping[str, Interval]
    points: Mapping[str, Tensor]
    lengths: Mapping[str, Tensor]

    @classmethod
    def of(cls, graph: LayerGraph, enclosed: Enclosed, region: Region) -> "Moves":
        """Norm by norm from the input on, and never beyond a node's box."""
        around = region.ball()
        points = graph.values(region.hull.centre if around is None else around[0])
        moves = cls({n: on_cpu(box) for n, box in enclosed.boxes.items()}, points, lengths := {})
        for node in graph.nodes:
            known = size(moves.boxes[node.name].radius(points[node.name]))
            if node.op is not None:
                error = enclosed.errors[node.name]
                executing = 0.0 if error is None else size(on_cpu(error).magnitude())
                known = torch.minimum(known, up(moves._after(node) + executing))
            elif around is not None:
                known = known.clamp(max=around[1])
            lengths[node.name] = known
        return moves

    def _after(self, node: Node) -> Tensor:
        """Behind an operation that is executed exactly; infinite where it has no rule."""
        points = [self.points[name] for name in node.inputs]
        below = [self.lengths[name] for name in node.inputs]
        if isinstance(node.op, Affine):
            moved = affine_gain(node.op, shapes_of(points), below, Norm.TWO)
        elif isinstance(node.op, Elementwise):
            box = self.boxes[node.inputs[0]].hull(Interval.point(points[0]))
            moved = enlarged(node.op, box, below[0])
        else:
            return torch.full_like(below[0], torch.inf)
        there = image(node.op, *map(Interval.point, points))
        return known(up(moved + size(there.radius(self.points[node.name]))))


def shapes_of(values: list[Tensor]) -> tuple[Shape, ...]:
    """Without batch."""
    return tuple(tuple(value.shape[1:]) for value in values)


def enlarged(op: Elementwise | None, box: Interval, length: Tensor) -> Tensor:
    """A length times the largest slope over a box; None stands for the identity."""
    if op is None:
        return length
    return known(up(length * op.slope(box).magnitude().flatten(1).amax(1)))


def known(length: Tensor) -> Tensor:
    """NaN, what is left of an overflow, taken for what it is: no bound."""
    return length.masked_fill(length.isnan(), torch.inf)


def size(values: Tensor) -> Tensor:
    """Upper bound on the l2 norm of each row of a batch."""
    return length_upper(values.flatten(1))


def on_cpu(box: Interval) -> Interval:
    """In float64, exactly."""
    return Interval(box.lower.double().cpu(), box.upper.double().cpu())
