"""Piecewise-linear functions: exact intercepts at finitely many points (BOUNDS.md section 2)."""

import functools
from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, up
from lipcert.ops.kinds import Cornered
from lipcert.sets.enclosure import Interval


class PiecewiseLinear(Cornered):
    """A continuous function with finitely many knots; states knots and slopes, nothing else."""

    __slots__ = ()

    @abstractmethod
    def knots(self, like: Tensor) -> list[Tensor]:
        """Ascending breakpoints, right to three roundings; a zero is exact."""

    @abstractmethod
    def pieces(self, like: Tensor) -> list[Tensor]:
        """Slope left of the first knot, between knots, ..., right of the last, to one rounding."""

    def slope(self, box: Interval) -> Interval:
        """Hull of the slopes of the pieces that `box` meets; a knot alone meets the one after."""
        knots, pieces = self.knots(box.lower), self.pieces(box.lower)
        lower = torch.full_like(box.lower, torch.inf)
        upper = torch.full_like(box.lower, -torch.inf)
        for number, piece in enumerate(pieces):
            meets = torch.ones_like(box.lower, dtype=torch.bool)
            if number > 0:
                knot = _moved(knots[number - 1], -1)
                meets &= (box.upper > knot) | ((box.upper == knot) & (box.lower == knot))
            if number < len(knots):
                meets &= box.lower < _moved(knots[number], 1)
            lower = torch.where(meets, torch.minimum(lower, _below(piece)), lower)
            upper = torch.where(meets, torch.maximum(upper, _above(piece)), upper)
        return Interval(lower, upper)

    def image(self, box: Interval) -> Interval:
        """Extremes over the ends and the knots inside."""
        return self.remainder(box, torch.zeros_like(box.lower))

    def slopes(self, box: Interval) -> Tensor:
        """Every piece's slope, then the chord."""
        pieces = [piece.expand_as(box.lower) for piece in self.pieces(box.lower)]
        return torch.stack([*pieces, chord(self.value, box)])

    def corners(self, box: Interval) -> list[tuple[Tensor, Tensor]]:
        """The ends and the knots inside."""
        knots = [box.clamp(knot) for knot in self.knots(box.lower)]
        return [(x, self.value(x)) for x in (box.lower, *knots, box.upper)]

    def settled(self, box: Interval) -> Tensor:
        """Where the box meets one piece only."""
        sides = [
            (box.upper <= _moved(knot, -1)) | (box.lower >= _moved(knot, 1))
            for knot in self.knots(box.lower)
        ]
        return functools.reduce(torch.logical_and, sides)

    def pad(self, box: Interval, slope: Tensor) -> Tensor:
        """Rounding of value, product and difference, and of knots and slopes themselves."""
        like = box.lower
        steep = functools.reduce(torch.maximum, [piece.abs() for piece in self.pieces(like)])
        reach = box.magnitude()
        for knot in self.knots(like):
            reach = torch.maximum(reach, knot.abs())
        offset = self.value(torch.zeros_like(like)).abs()
        info = torch.finfo(like.dtype)
        return 8 * info.eps * ((steep + slope.abs()) * reach + offset) + 16 * info.tiny


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
