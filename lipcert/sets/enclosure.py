"""Enclosures: boxes that are proved to contain the values of a node."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, up


@dataclass(frozen=True, slots=True, eq=False)
class Interval:
    """Elementwise bounds `lower <= value <= upper`, tensors of one shape (batch, *node)."""

    lower: Tensor
    upper: Tensor

    @classmethod
    def point(cls, value: Tensor) -> Self:
        """The interval that holds one value."""
        return cls(value, value)

    @property
    def centre(self) -> Tensor:
        """A point inside or within rounding of the interval: any would do."""
        return (self.lower + self.upper) / 2

    def radius(self, centre: Tensor) -> Tensor:
        """Upper bound on the distance from `centre` to any member."""
        return up(torch.maximum(self.upper - centre, centre - self.lower))

    def magnitude(self) -> Tensor:
        """Exact largest absolute value of a member."""
        return torch.maximum(self.upper, -self.lower)

    def clamp(self, value: Tensor) -> Tensor:
        """The member nearest to `value`."""
        return torch.minimum(torch.maximum(value, self.lower), self.upper)

    def intersect(self, other: "Interval") -> "Interval":
        """Members of both; both are proved, so the result is proved."""
        return Interval(
            torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper)
        )

    def hull(self, other: "Interval") -> "Interval":
        """Smallest interval that contains both."""
        return Interval(
            torch.minimum(self.lower, other.lower), torch.maximum(self.upper, other.upper)
        )

    def known(self) -> "Interval":
        """NaN, what is left of an overflow, taken for what it is: no bound."""
        return Interval(
            self.lower.masked_fill(self.lower.isnan(), -torch.inf),
            self.upper.masked_fill(self.upper.isnan(), torch.inf),
        )

    def plus(self, other: "Interval") -> "Interval":
        """Sums of members, rounded outward."""
        return Interval(down(self.lower + other.lower), up(self.upper + other.upper))

    def minus(self, other: "Interval") -> "Interval":
        """Differences of members, rounded outward."""
        return Interval(down(self.lower - other.upper), up(self.upper - other.lower))


@dataclass(frozen=True, slots=True, eq=False)
class Twin:
    """Enclosures of one aligned node: value of f, value of g, and their difference g - f."""

    original: Interval
    compressed: Interval
    drift: Interval

    def consistent(self) -> "Twin":
        """Each enclosure intersected with what the other two imply (BOUNDS.md section 2)."""
        drift = self.drift.intersect(self.compressed.minus(self.original))
        compressed = self.compressed.intersect(self.original.plus(drift))
        original = self.original.intersect(compressed.minus(drift))
        return Twin(original, compressed, drift)
