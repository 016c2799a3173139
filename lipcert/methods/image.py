"""Enclosures of one node's value on boxes of its inputs."""

from collections.abc import Sequence
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
    return affine_image(op, *boxes)[0]


@image.register
def image_of_elementwise(op: Elementwise, *boxes: Interval) -> Interval:
    """The operation's own fact."""
    return op.image(boxes[0])


@image.register
def image_of_coupled(op: Coupled, *boxes: Interval) -> Interval:
    """The operation's own fact."""
    return op.image(boxes[0])


def affine_image(op: Affine, *boxes: Interval, linear: bool = False) -> tuple[Interval, Tensor]:
    """Enclosure of the value, or of its linear part alone; and what its rounding scales with.

    Returns:
        The enclosure, and an upper bound on |weights| |inputs| + |constant|.
    """
    if op.exact:
        lower, upper = op.linear(*(b.lower for b in boxes)), op.linear(*(b.upper for b in boxes))
        return Interval(lower, upper), op.linear(*(box.magnitude() for box in boxes))
    centres = [box.centre for box in boxes]
    radii = [box.radius(centre) for box, centre in zip(boxes, centres, strict=True)]
    sizes = [box.magnitude() for box in boxes]
    both = [torch.cat(parts) for parts in zip(radii, sizes, strict=True)]
    spread, reach = op.magnitude().linear(*both).chunk(2)
    reach = _with_lost(op, inflate(reach, op.terms), sizes)
    middle = op.linear(*centres)
    constant = None if linear else op.constant(middle)
    if constant is not None:
        middle, reach = middle + constant, up(reach + constant.abs())
    relative = gamma(op.terms + 4, reach.dtype) + 4 * op.weight_error
    pad = inflate(spread * (1 + 2 * op.weight_error) + reach * relative, op.terms + 4)
    return Interval(down(middle - pad), up(middle + pad)), reach


def image_of_linear(op: Affine, *boxes: Interval) -> Interval:
    """Enclosure of the linear part alone."""
    return affine_image(op, *boxes, linear=True)[0]


def reach_of_linear(op: Affine, *sizes: Tensor) -> Tensor:
    """Upper bound on |weights| times sizes: what the rounding of a product scales with."""
    return _with_lost(op, inflate(op.magnitude().linear(*sizes), op.terms), sizes)


def _with_lost(op: Affine, reach: Tensor, sizes: Sequence[Tensor]) -> Tensor:
    """Weights that were rounded may have underflowed.

    Their error is then relative to the smallest normal number instead of to themselves.
    """
    if op.weight_error == 0:
        return reach
    largest = torch.stack([size.flatten(1).amax(1) for size in sizes]).amax(0)
    lost = up(largest * (op.terms * torch.finfo(reach.dtype).tiny))
    return up(reach + lost.view(-1, *[1] * (reach.ndim - 1)))
