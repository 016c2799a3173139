"""Piecewise-linear functions: exact intercepts at finitely many points (BOUNDS.md section 2)."""

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.kinds import Elementwise
from lipcert.sets.enclosure import Interval


class PiecewiseLinear(Elementwise):
    """A continuous function with finitely many knots; states knots and slopes, nothing else."""

    __slots__ = ()

    @abstractmethod
    def knots(self, like: Tensor) -> list[Tensor]:
        """Ascending breakpoints, right to three roundings; a zero is exact."""

    @abstractmethod
    def pieces(self, like: Tensor) -> list[Tensor]:
        """Slope left of the first knot, between knots, ..., right of the last, to one rounding."""

    def slope(self, box: Interval) -> Interval:
        """Hull of the slopes of the pieces that `box` meets."""
        knots, pieces = self.knots(box.lower), self.pieces(box.lower)
        lower = torch.full_like(box.lower, torch.inf)
        upper = torch.full_like(box.lower, -torch.inf)
        for number, piece in enumerate(pieces):
            meets = torch.ones_like(box.lower, dtype=torch.bool)
            if number > 0:
                meets &= box.upper > _moved(knots[number - 1], -1)
            if number < len(knots):
                meets &= box.lower < _moved(knots[number], 1)
            lower = torch.where(meets, torch.minimum(lower, _below(piece)), lower)
            upper = torch.where(meets, torch.maximum(upper, _above(piece)), upper)
        return Interval(lower, upper)

    def image(self, box: Interval) -> Interval:
        """Extremes over the ends and the knots inside."""
        zero = torch.zeros_like(box.lower)
        return Interval(self.floor(box, zero), self.ceiling(box, zero))

    def slopes(self, box: Interval) -> list[Tensor]:
        """Every piece's slope, then the chord."""
        return [*self.pieces(box.lower), chord(self.value, box)]

    def floor(self, box: Interval, slope: Tensor) -> Tensor:
        """Exact minimum, less rounding."""
        points = self._remainders(box, slope)
        return down(torch.stack(points).amin(0) - self.pad(box, slope))

    def ceiling(self, box: Interval, slope: Tensor) -> Tensor:
        """Exact maximum, plus rounding."""
        points = self._remainders(box, slope)
        return up(torch.stack(points).amax(0) + self.pad(box, slope))

    def settled(self, box: Interval) -> Tensor:
        """Where the box meets one piece only."""
        sector = self.slope(box)
        return up(up(sector.lower)) >= down(down(sector.upper))

    def _remainders(self, box: Interval, slope: Tensor) -> list[Tensor]:
        inside = [
            torch.minimum(torch.maximum(knot, box.lower), box.upper)
            for knot in self.knots(box.lower)
        ]
        return [self.value(x) - slope * x for x in (box.lower, *inside, box.upper)]

    def pad(self, box: Interval, slope: Tensor) -> Tensor:
        """Rounding of value, product and difference, and of knots and slopes themselves."""
        like = box.lower
        steep = torch.stack([p.abs() + torch.zeros_like(like) for p in self.pieces(like)]).amax(0)
        reach = box.magnitude()
        for knot in self.knots(like):
            reach = torch.maximum(reach, knot.abs())
        size = (steep + slope.abs()) * reach + self.value(torch.zeros_like(like)).abs()
        info = torch.finfo(like.dtype)
        return 16 * unit_roundoff(like.dtype) * size + info.tiny * 16


def chord(value: Callable[[Tensor], Tensor], box: Interval) -> Tensor:
    """Slope between the ends; zero on a box too thin to divide by."""
    width = box.upper - box.lower
    rise = value(box.upper) - value(box.lower)
    slope = rise / torch.where(width > 0, width, torch.ones_like(width))
    return torch.where((width > 0) & slope.isfinite(), slope, torch.zeros_like(slope))


def _moved(knot: Tensor, sign: int) -> Tensor:
    """Beyond where the true knot may lie: zero is exact, anything else was rounded a few times."""
    return knot + sign * 4 * torch.finfo(knot.dtype).eps * knot.abs()


def _below(exact: Tensor) -> Tensor:
    """Zero and one are exact; anything else may have been rounded once."""
    return torch.where((exact == 0) | (exact == 1), exact, down(exact))


def _above(exact: Tensor) -> Tensor:
    return torch.where((exact == 0) | (exact == 1), exact, up(exact))
