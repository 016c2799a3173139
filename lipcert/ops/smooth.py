"""Smooth functions: intercepts from the mean-value theorem on pieces of the box."""

from abc import abstractmethod

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.kinds import Elementwise
from lipcert.ops.piecewise import chord
from lipcert.sets.enclosure import Interval

PIECES = 16
FAR = 1e3  # from here outwards every derivative is within a rounding of its limit


class Smooth(Elementwise):
    """A differentiable function; states its derivative and where that one turns."""

    __slots__ = ()

    @abstractmethod
    def derivative(self, x: Tensor) -> Tensor:
        """First derivative, right to 32 roundings of max(1, |derivative|)."""

    @abstractmethod
    def turning(self) -> tuple[float, ...]:
        """Where the derivative has its local extrema, right to float64 rounding; within `FAR`."""

    def slope(self, box: Interval) -> Interval:
        """Hull of the derivative at the ends, infinite ones too, and at turning points inside."""
        ends = box.lower.clamp(-FAR, FAR), box.upper.clamp(-FAR, FAR)
        inside = [torch.clamp(ends[0], min=t).minimum(ends[1]) for t in self.turning()]
        seen = torch.stack([self.derivative(x) for x in (ends[0], *inside, ends[1])])
        pad = 64 * unit_roundoff(box.lower.dtype)
        lower, upper = seen.amin(0), seen.amax(0)
        return Interval(
            down(lower - pad * lower.abs().clamp(min=1)), up(upper + pad * upper.abs().clamp(min=1))
        )

    def image(self, box: Interval) -> Interval:
        """Extremes of lower and upper bounds on every piece."""
        return self.remainder(box, torch.zeros_like(box.lower))

    def slopes(self, box: Interval) -> Tensor:
        """The chord and the tangents at both ends and in the middle."""
        points = (box.lower, box.centre, box.upper)
        return torch.stack([chord(self.value, box), *(self.derivative(x) for x in points)])

    def remainder(self, box: Interval, slope: Tensor) -> Interval:
        """Extremes of the two-sided linear bounds on each of the pieces."""
        lower = self._extreme(box, slope, lowest=True)
        return Interval(lower, self._extreme(box, slope, lowest=False))

    def settled(self, box: Interval) -> Tensor:
        """Never: a smooth function is curved everywhere that matters."""
        return torch.zeros_like(box.lower, dtype=torch.bool) | (box.lower == box.upper)

    def _extreme(self, box: Interval, slope: Tensor, lowest: bool) -> Tensor:
        """On [p, q], h = value - slope x stays above both h(p) + d (x-p) and h(q) + d (x-q)."""
        width = box.upper - box.lower
        best: Tensor | None = None
        for piece in range(PIECES):
            left = box.lower + width * (piece / PIECES)
            right = box.upper if piece == PIECES - 1 else box.lower + width * ((piece + 1) / PIECES)
            here = self._piece(Interval(left, torch.maximum(left, right)), slope, lowest)
            pick = torch.minimum if lowest else torch.maximum
            best = here if best is None else pick(best, here)
        assert best is not None
        pad = self._pad(box, slope)
        return down(best - pad) if lowest else up(best + pad)

    def _piece(self, part: Interval, slope: Tensor, lowest: bool) -> Tensor:
        """Where the line falling from the left end meets the line rising to the right end."""
        sector = self.slope(part)
        fall, rise = sector.lower - slope, sector.upper - slope
        left = self.value(part.lower) - slope * part.lower
        right = self.value(part.upper) - slope * part.upper
        if not lowest:
            left, right, fall, rise = -left, -right, -rise, -fall
        span = (rise - fall).clamp(min=torch.finfo(slope.dtype).tiny)
        width = part.upper - part.lower
        share = ((left - right + rise * width) / span).clamp(min=0).minimum(width)
        meet = torch.minimum(left + fall * share, right - rise * (width - share))
        ends = torch.minimum(left, right)
        lowest_here = torch.where((fall >= 0) | (rise <= 0), ends, torch.minimum(meet, ends))
        return lowest_here if lowest else -lowest_here

    def _pad(self, box: Interval, slope: Tensor) -> Tensor:
        """Rounding of value, products and differences."""
        reach = box.magnitude()
        size = (slope.abs() + 2) * reach + self.value(box.lower).abs() + 2
        return 64 * unit_roundoff(reach.dtype) * size
