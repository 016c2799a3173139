"""Enclosures of one node's value on boxes of its inputs."""

from functools import singledispatch

import torch
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.numeric.rounding import down, gamma, inflate, up
from lipcert.ops.kinds import Affine, Coupled, Elementwise, Op
from lipcert.sets.enclosure import Interval


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
