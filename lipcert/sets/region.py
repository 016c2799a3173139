"""Regions: the inputs that a certificate quantifies over, one region per row of a batch."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Generator, Tensor

from lipcert.errors import BadInput
from lipcert.numeric.rounding import down, up
from lipcert.sets.enclosure import Interval

Range = tuple[float, float]
Inputs = Any  # what numpy.asarray or torch.as_tensor takes: (batch, *shape)


class Region(ABC):
    """A set of inputs per row of the batch."""

    __slots__ = ()

    @property
    @abstractmethod
    def hull(self) -> Interval:
        """Smallest box known to contain the region, (batch, *shape), float64."""

    @abstractmethod
    def project(self, points: Tensor, rows: Tensor) -> Tensor:
        """A member of the region of row `rows[k]` near each point (points, *shape), float64."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """Facts for a certificate."""

    @abstractmethod
    def part(self, rows: slice) -> "Region":
        """The regions of some rows."""

    def ball(self) -> tuple[Tensor, float] | None:
        """Centres (batch, *shape) and radius of an l2 ball that contains the region, if any."""
        return None

    def sample(self, rows: Tensor, generator: Generator) -> Tensor:
        """A random member of the region of each of `rows`."""
        hull = self.hull
        share = torch.rand(len(rows), *hull.lower.shape[1:], generator=generator).double()
        points = hull.lower[rows] + share * (hull.upper - hull.lower)[rows]
        return self.project(points, rows)

    @property
    def batch(self) -> int:
        """Number of rows."""
        return len(self.hull.lower)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.hull.lower.shape[1:])


@dataclass(frozen=True, slots=True, eq=False)
class Box(Region):
    """All inputs between `lower` and `upper`, coordinate by coordinate.

    Args:
        lower: (batch, *shape), float64.
        upper: (batch, *shape), float64.
    """

    lower: Tensor
    upper: Tensor

    def __post_init__(self) -> None:
        """Refuse NaN, infinity and empty rows, naming the row."""
        if self.lower.shape != self.upper.shape:
            got = f"{tuple(self.lower.shape)} and {tuple(self.upper.shape)}"
            raise BadInput(f"Box: lower and upper must have one shape, got {got}")
        _refuse(self.lower.isfinite() & self.upper.isfinite(), "has NaN or infinite bounds")
        _refuse(self.lower <= self.upper, "is empty: its lower bound lies above its upper bound")

    @classmethod
    def around(cls, inputs: Inputs, eps: float, clip: Range | None = None) -> Self:
        """Inputs within `eps` of each given one in every coordinate, cut to the range `clip`.

        Args:
            inputs: (batch, *shape), the networks' input units.
            eps: nonnegative, input units.
            clip: valid range of every coordinate; an input outside it is an error.
        """
        centre = _centres(inputs, eps, clip)
        hull = _cut(_widen(centre, eps), clip)
        return cls(hull.lower, hull.upper)

    @classmethod
    def between(cls, lower: Inputs, upper: Inputs) -> Self:
        """An explicit box per row, for instance the whole input range."""
        return cls(_float64(lower), _float64(upper))

    @property
    def hull(self) -> Interval:
        """The box itself."""
        return Interval(self.lower, self.upper)

    def project(self, points: Tensor, rows: Tensor) -> Tensor:
        """Clamped."""
        return points.maximum(self.lower[rows]).minimum(self.upper[rows])

    def part(self, rows: slice) -> "Box":
        """The boxes of some rows."""
        return Box(self.lower[rows], self.upper[rows])

    def describe(self) -> dict[str, object]:
        """Batch and largest half width."""
        return {"kind": "box", "batch": self.batch, "radius": _radius(self.hull)}


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Ball(Region):
    """All inputs within `radius` of `centre` in the l2 norm, cut to the range `clip`.

    Args:
        centre: (batch, *shape), any array; kept in float64.
        radius: nonnegative, input units.
        clip: valid range of every coordinate; a centre outside it is an error.
    """

    centre: Tensor
    radius: float
    clip: Range | None

    def __init__(self, centre: Inputs, radius: float, clip: Range | None = None) -> None:
        """Refuse centres and radii that are none, naming the row."""
        kept = isinstance(centre, Tensor) and centre.dtype == torch.float64  # wherever it lies
        checked = centre.detach() if kept else _float64(centre)
        _check(checked, radius, clip)
        values = {"centre": checked, "radius": float(radius), "clip": clip}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def around(cls, inputs: Inputs, eps: float, clip: Range | None = None) -> Self:
        """Inputs within `eps` of each given one in the l2 norm."""
        return cls(_float64(inputs), eps, clip)

    @property
    def hull(self) -> Interval:
        """Smallest box around the ball, cut to the valid range."""
        return _cut(_widen(self.centre, self.radius), self.clip)

    def ball(self) -> tuple[Tensor, float] | None:
        """The ball itself."""
        return self.centre, self.radius

    def project(self, points: Tensor, rows: Tensor) -> Tensor:
        """Clamped, then drawn towards the centre until inside; the range is convex around it.

        Rounding of centre plus step moves a point by at most an ulp of each coordinate: that much
        of the radius is kept in hand, so members are members in exact arithmetic.
        """
        hull, centre = self.hull, self.centre[rows]
        step = points.maximum(hull.lower[rows]).minimum(hull.upper[rows]) - centre
        reach = torch.linalg.vector_norm((centre.abs() + self.radius).flatten(1), dim=1)
        allowed = (self.radius * (1 - 1e-12) - reach * 2.0**-50).clamp(min=0)
        length = torch.linalg.vector_norm(step.flatten(1), dim=1) * (1 + 1e-12)
        share = (allowed / length.clamp(min=1e-300)).clamp(max=1)
        inside = centre + step * share.view(-1, *[1] * (step.ndim - 1))
        return inside.maximum(hull.lower[rows]).minimum(hull.upper[rows])

    def part(self, rows: slice) -> "Ball":
        """The balls of some rows."""
        return Ball(self.centre[rows], self.radius, self.clip)

    def describe(self) -> dict[str, object]:
        """Batch, norm and radius."""
        return {"kind": "ball", "norm": 2, "batch": self.batch, "radius": self.radius}


@dataclass(frozen=True, slots=True, eq=False)
class Grid(Region):
    """Multiples of `step` between `first` and `last` steps: integer pixels, int8 sensor codes.

    Args:
        first: (batch, *shape), float64, whole numbers.
        last: (batch, *shape), float64, whole numbers.
        step: positive, input units.
    """

    first: Tensor
    last: Tensor
    step: float

    @classmethod
    def around(
        cls, inputs: Inputs, eps: float, clip: Range | None = None, *, step: float = 1.0
    ) -> Self:
        """Grid points within `eps` of each given grid point in every coordinate."""
        if not step > 0:
            raise BadInput(f"Grid: step must be positive, got {step}")
        whole = _centres(inputs, eps, clip) / step
        middle = whole.round()
        _refuse((whole - middle).abs() <= 1e-4, f"is not on the grid of multiples of {step}")
        steps = np.floor(eps / step * (1 + 1e-9))
        low, high = (-np.inf, np.inf) if clip is None else clip
        first = (middle - steps).clamp(min=np.ceil(low / step - 1e-9))
        last = (middle + steps).clamp(max=np.floor(high / step + 1e-9))
        return cls(first.minimum(middle), last.maximum(middle), step)

    @property
    def hull(self) -> Interval:
        """From the first grid point to the last, exact as the members are computed."""
        return Interval(self.first * self.step, self.last * self.step)

    def project(self, points: Tensor, rows: Tensor) -> Tensor:
        """The nearest grid point."""
        whole = (points / self.step).round()
        return whole.maximum(self.first[rows]).minimum(self.last[rows]) * self.step

    def part(self, rows: slice) -> "Grid":
        """The grids of some rows."""
        return Grid(self.first[rows], self.last[rows], self.step)

    def describe(self) -> dict[str, object]:
        """Batch, step and largest half width."""
        radius = _radius(self.hull)
        return {"kind": "grid", "batch": self.batch, "step": self.step, "radius": radius}


def _float64(values: Inputs) -> Tensor:
    """Any array as a float64 tensor on the CPU; half precision and integers convert exactly."""
    if isinstance(values, Tensor):
        return values.detach().to("cpu", torch.float64)
    return torch.from_numpy(np.asarray(values, dtype=np.float64).copy())


def _centres(inputs: Inputs, eps: float, clip: Range | None) -> Tensor:
    """Inputs in float64, checked row by row."""
    centre = _float64(inputs)
    _check(centre, eps, clip)
    return centre


def _check(centre: Tensor, eps: float, clip: Range | None) -> None:
    """Refuse what no region is around, naming the row."""
    if not 0 <= eps < np.inf:
        raise BadInput(f"region: eps must be finite and not negative, got {eps}")
    if centre.ndim < 2 or len(centre) == 0:
        got = tuple(centre.shape)
        raise BadInput(f"region: inputs must be (batch, *shape) with at least one row, got {got}")
    _refuse(centre.isfinite(), "has NaN or infinite entries")
    if clip is not None:
        low, high = clip
        if not low <= high:
            raise BadInput(f"region: the valid range [{low}, {high}] is empty")
        _refuse((centre >= low) & (centre <= high), f"lies outside the valid range [{low}, {high}]")


def _widen(centre: Tensor, eps: float) -> Interval:
    """`centre` plus and minus eps, rounded outward; a point where eps is zero."""
    if eps == 0:
        return Interval.point(centre)
    return Interval(down(centre - eps), up(centre + eps))


def _cut(hull: Interval, clip: Range | None) -> Interval:
    if clip is None:
        return hull
    return Interval(hull.lower.clamp(min=clip[0]), hull.upper.clamp(max=clip[1]))


def _refuse(good: Tensor, what: str) -> None:
    """An error that names the first bad row."""
    bad = ~good.flatten(1).all(1)
    if bool(bad.any()):
        rows = bad.nonzero().flatten().tolist()
        others = f" (and {len(rows) - 1} more rows)" if len(rows) > 1 else ""
        raise BadInput(f"inputs: row {rows[0]} {what}{others}")


def _radius(hull: Interval) -> float:
    return float((hull.upper - hull.lower).max()) / 2
