r"""Exact intercepts for two activations at once (BOUNDS.md section 2).

With z and y the inputs of f's and g's activation, $\delta = y - z$, and all three in proved boxes,

    after sigma_g(y) + before sigma_f(z) - along_drift delta - along_original z

is least at one of finitely many points: one activation is linear between knots, so on the lines
where z is an end or a knot or where delta is an end, only the other one's corners matter. Whatever
the slopes, the plane with that intercept lies below. A point too many loosens, never falsifies.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.kinds import Cornered
from lipcert.ops.piecewise import PiecewiseLinear
from lipcert.sets.enclosure import Interval, Twin

Activation = Cornered | None


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """Above what rounding takes, per unit of each coefficient; each (batch, *shape)."""

    after: Tensor
    before: Tensor
    along_drift: Tensor
    along_original: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Hull:
    """Points (points, batch, *shape) whose hull holds all (sigma_g(y), sigma_f(z), delta, z)."""

    after: Tensor
    before: Tensor
    drift: Tensor
    original: Tensor
    loss: Loss

    def lowest(
        self, after: Tensor, before: Tensor, along_drift: Tensor, along_original: Tensor
    ) -> Tensor:
        """Proved intercept of the plane with these slopes, (..., batch, *shape); else -inf."""
        seen = self.after * after.unsqueeze(-self.after.ndim)
        seen = seen.addcmul_(self.before, before.unsqueeze(-self.after.ndim))
        seen = seen.addcmul_(self.drift, along_drift.unsqueeze(-self.after.ndim), value=-1)
        seen = seen.addcmul_(self.original, along_original.unsqueeze(-self.after.ndim), value=-1)
        pad = self.loss.after * after.abs() + self.loss.before * before.abs()
        pad = pad + self.loss.along_drift * along_drift.abs()
        pad = pad + self.loss.along_original * along_original.abs()
        least = down(seen.amin(-self.after.ndim) - up(pad * (1 + 2.0**-20)))
        return least.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def cornered(f: object, g: object) -> tuple[Activation, Activation] | None:
    """Both activations where they have a hull: corners, and one of them continuous with knots."""
    if not (isinstance(f, Cornered | None) and isinstance(g, Cornered | None)):
        return None
    continuous = isinstance(f, PiecewiseLinear | None) or isinstance(g, PiecewiseLinear | None)
    return (f, g) if continuous else None


def hull(f: Activation, g: Activation, twin: Twin) -> Hull:
    """The hull of two activations on a twin; None stands for the identity."""
    z, y, drift = twin.original, twin.compressed, twin.drift
    if isinstance(f, PiecewiseLinear | None):
        points = list(_points(f, g, twin))
    else:  # the same with f and g in each other's place
        assert isinstance(g, PiecewiseLinear | None)
        flipped = Twin(y, z, Interval(-drift.upper, -drift.lower))
        points = [(a, b, -d, place + d) for b, a, d, place in _points(g, f, flipped)]
    after, before, delta, original = (torch.stack(part) for part in zip(*points, strict=True))
    return Hull(after, before, delta, original, _loss(f, g, twin))


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A line that the lowest points for fixed y lie on: z is held, or delta is.

    Args:
        y: what of y's box it has.
        original: z; None where delta is held.
        drift: delta; None where z is held.
    """

    y: Interval
    original: Tensor | None
    drift: Tensor | None

    def at(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Delta and z."""
        if self.original is not None:
            return y - self.original, self.original
        assert self.drift is not None
        return self.drift, y - self.drift


def edges(first: PiecewiseLinear | None, twin: Twin) -> Iterator[Edge]:
    """Lines of z, then of delta, cut where the continuous activation, of z, has a knot."""
    z, y, drift = twin.original, twin.compressed, twin.drift
    knots = [] if first is None else [z.clamp(knot) for knot in first.knots(z.lower)]
    stops = [z.lower, *knots, z.upper]
    for place in stops:
        reach = Interval(down(place + drift.lower), up(place + drift.upper))
        yield Edge(_within(y, reach), place, None)
    for delta in (drift.lower, drift.upper):
        for start, stop in pairwise(stops):
            reach = Interval(down(start + delta), up(stop + delta))
            yield Edge(_within(y, reach), None, delta)


def _within(box: Interval, reach: Interval) -> Interval:
    """What a box has of another, or a part of the box where it has nothing."""
    ends = box.clamp(reach.lower), box.clamp(reach.upper)
    return Interval(torch.minimum(*ends), torch.maximum(*ends))


def _points(
    first: PiecewiseLinear | None, second: Activation, twin: Twin
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Values of second and first, delta and z."""
    for edge in edges(first, twin):
        for y, after in _corners(second, edge.y):
            drift, place = edge.at(y)
            yield after, place if first is None else first.value(place), drift, place


def _corners(op: Activation, box: Interval) -> list[tuple[Tensor, Tensor]]:
    if op is None:
        return [(box.lower, box.lower), (box.upper, box.upper)]
    return op.corners(box)


def _loss(f: Activation, g: Activation, twin: Twin) -> Loss:
    """Of the corners, and of four products and their sum.

    A corner out of place is out of place along both axes, and moves the other one's value.
    """
    z, y = twin.original, twin.compressed
    (f_value, f_place), (g_value, g_place) = _errors(f, z), _errors(g, y)
    room = 16 * unit_roundoff(z.lower.dtype)
    moved = up(f_place + g_place + room * (z.magnitude() + y.magnitude()))
    return Loss(
        up(g_value + room * _size(g, y) + _steepest(g, y) * moved),
        up(f_value + room * _size(f, z) + _steepest(f, z) * moved),
        up(moved + room * twin.drift.magnitude()),
        moved,
    )


def _errors(op: Activation, box: Interval) -> tuple[Tensor, Tensor]:
    """Errors of a corner's value and place."""
    zero, one = torch.zeros_like(box.lower), torch.ones_like(box.lower)
    if op is None:
        return 8 * unit_roundoff(zero.dtype) * box.magnitude(), zero
    return op.pad(box, zero), op.pad(box, one)


def _steepest(op: Activation, box: Interval) -> Tensor:
    """Largest slope between knots; a staircase is flat between its jumps."""
    if op is None:
        return torch.ones_like(box.lower)
    if not isinstance(op, PiecewiseLinear):
        return torch.zeros_like(box.lower)
    return torch.stack([piece.abs().expand_as(box.lower) for piece in op.pieces(box.lower)]).amax(0)


def _size(op: Activation, box: Interval) -> Tensor:
    return box.magnitude() if op is None else op.image(box).magnitude()
