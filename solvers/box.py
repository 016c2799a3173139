"""Boxes that are known to hold every feasible point."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from solvers.array import Places, Vector
from solvers.cones import Range
from solvers.errors import BadProgram
from solvers.program import ConicProgram
from solvers.rounding import TINY, Enclosure, down, gamma, inflate, up

SWEEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """All x with lower <= x <= upper, entry by entry; ends may be infinite.

    Raises:
        BadProgram: if the ends differ in shape or hold a NaN.
    """

    lower: Vector
    upper: Vector

    def __post_init__(self) -> None:
        """Ends of one shape, without NaN."""
        for name in ("lower", "upper"):
            object.__setattr__(self, name, np.array(getattr(self, name), np.float64))
        if self.lower.ndim != 1 or self.lower.shape != self.upper.shape:
            raise BadProgram(
                f"Box: ends of shape {self.lower.shape} and {self.upper.shape}; expected one axis"
            )
        for place in np.flatnonzero(np.isnan(self.lower) | np.isnan(self.upper))[:1]:
            raise BadProgram(f"Box: variable {place} has a NaN for an end; infinity is no bound")

    @classmethod
    def of(cls, lower: ArrayLike, upper: ArrayLike, variables: int) -> "Box":
        """From numbers or arrays, (variables,)."""
        ends = [np.broadcast_to(np.asarray(v, np.float64), (variables,)) for v in (lower, upper)]
        return cls(ends[0], ends[1])

    @property
    def empty(self) -> bool:
        """Whether it holds no point at all."""
        return bool((self.lower > self.upper).any())

    def intersect(self, other: "Box") -> "Box":
        """Points of both."""
        return Box(np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper))

    @np.errstate(all="ignore")
    def least(self, slope: Enclosure) -> Vector:
        """Proved lower bounds of slope times x over the box, entry by entry, (variables,).

        Zero where the slope is exactly zero, minus infinity where the box does not bound it.
        """
        ends = [
            _product(s, x) for s in (slope.lower, slope.upper) for x in (self.lower, self.upper)
        ]
        lowest = _below(np.minimum.reduce(ends))
        return np.where((slope.value == 0) & (slope.error == 0), 0.0, lowest)


@np.errstate(all="ignore")
def implied(program: ConicProgram) -> Box:
    """A box proved to hold every feasible x, read off the rows one at a time.

    Each row bounds each of its variables by the ranges of the others and of its slack, which the
    cone bounds: no entry of a second-order cone exceeds the first, an entry of a positive
    semidefinite matrix not the root of its two diagonals. Sweeps end when no more ends become
    finite. An empty box proves the program infeasible.
    """
    rows = _Rows.of(program)
    box = Box.of(-np.inf, np.inf, program.variables)
    for _ in range(SWEEPS):
        tightened = rows.tighten(box)
        gained = np.isfinite(tightened.lower) > np.isfinite(box.lower)
        gained |= np.isfinite(tightened.upper) > np.isfinite(box.upper)
        box = tightened
        if box.empty or not gained.any():
            break
    return box


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Entries of A one by one: where they stand and what they are."""

    row: Places
    column: Places
    entry: Vector
    program: ConicProgram

    @classmethod
    def of(cls, program: ConicProgram) -> "_Rows":
        """All entries that are not zero."""
        entries = program.A.tocoo()
        row, column = entries.coords
        return cls(row, column, np.asarray(entries.data, np.float64), program)

    def tighten(self, box: Box) -> Box:
        """One sweep over all rows: b = a x + the other terms + the slack."""
        low, high = self._terms(box)
        least_all, least_rest = self._sums(low)
        most_all, most_rest = (-part for part in self._sums(-high))
        b = self.program.b
        slack = _in_cones(self.program, _below(b - most_all), _above(b - least_all))
        if (slack[0] > slack[1]).any():
            return Box.of(np.inf, -np.inf, self.program.variables)
        most = _above(_above(b - slack[0])[self.row] - least_rest)
        least = _below(_below(b - slack[1])[self.row] - most_rest)
        return self._divided(least, most, box)

    def _terms(self, box: Box) -> Range:
        """Ranges of every term a x."""
        first, second = (_product(self.entry, end[self.column]) for end in (box.lower, box.upper))
        return _below(np.minimum(first, second)), _above(np.maximum(first, second))

    def _sums(self, low: Vector) -> Range:
        """Lower bounds of a row's sum of terms, (rows,), and of the sum without one, (entries,)."""
        rows = self.program.rows
        open_ended = np.isinf(low)
        finite = np.where(open_ended, 0.0, low)
        opens, terms, total, size = (
            np.bincount(self.row, weights, rows).astype(np.float64)
            for weights in (open_ended, np.ones_like(low), finite, np.abs(finite))
        )
        slack = inflate(2 * gamma(terms + 4) * inflate(size, terms), 1)
        every = np.where(opens > 0, -np.inf, _below(total - slack))
        rest = _below(_below(total[self.row] - finite) - slack[self.row])
        return every, np.where(opens[self.row] > open_ended, -np.inf, rest)

    def _divided(self, least: Vector, most: Vector, box: Box) -> Box:
        """Ranges of the terms, divided by their entries and gathered by variable."""
        first, second = least / self.entry, most / self.entry
        low, high = _below(np.minimum(first, second)), _above(np.maximum(first, second))
        lower, upper = box.lower.copy(), box.upper.copy()
        np.maximum.at(lower, self.column, np.where(np.isnan(low), -np.inf, low))
        np.minimum.at(upper, self.column, np.where(np.isnan(high), np.inf, high))
        return Box(lower, upper)


def _in_cones(program: ConicProgram, lower: Vector, upper: Vector) -> Range:
    """Ranges of the slack, cut by what its cones allow."""
    lower, upper = lower.copy(), upper.copy()
    for cone, rows in program.blocks():
        lower[rows], upper[rows] = cone.tighten(lower[rows], upper[rows])
    return lower, upper


def _product(first: Vector, second: Vector) -> Vector:
    """Products of ends of ranges, where zero times infinity is zero."""
    return np.where((first == 0) | (second == 0), 0.0, first * second)


def _below(value: Vector) -> Vector:
    """Under the true value of one operation that came out as `value`, underflow included."""
    return down(value - TINY)


def _above(value: Vector) -> Vector:
    """Over the true value of one operation that came out as `value`, underflow included."""
    return up(value + TINY)
