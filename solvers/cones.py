r"""The cones of a conic program: zero, nonnegative, second-order, positive semidefinite.

A symmetric matrix of order n is packed as its lower triangle, column by column, with entries off
the diagonal times sqrt(2), so that inner products are kept (`svec`; n (n + 1) / 2 rows). This is
how SCS and MOSEK pack; the backends of others permute.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from solvers.array import Dense, Places, Vector
from solvers.errors import BadProgram
from solvers.rounding import TINY, UNIT, Enclosure, down, norm_upper, smallest_eigenvalue_lower, up

ROOT = float(np.sqrt(2.0))
Range = tuple[Vector, Vector]


class Cone(ABC):
    """A closed convex cone in consecutive rows of a program."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """How many rows of the program it takes."""

    @abstractmethod
    def identity(self) -> Vector:
        """A point inside (zero where there is none); margins are measured along it."""

    @abstractmethod
    def project(self, point: Vector) -> Vector:
        """About the nearest member: a float computation, nothing is proved of it."""

    @abstractmethod
    def margin(self, point: Enclosure) -> float:
        """A proved t such that v - t identity is a member for every v enclosed."""

    @abstractmethod
    def tighten(self, lower: Vector, upper: Vector) -> Range:
        """Proved ranges of the entries of a member whose entries lie in the given ones."""

    def dual(self) -> "Cone":
        """The cone of all points whose inner product with every member is nonnegative."""
        return self


@dataclass(frozen=True, slots=True)
class _Sized(Cone, ABC):
    """A cone that is told by how many rows it has."""

    size: int

    def __post_init__(self) -> None:
        """Refuse a cone without rows."""
        _check_size(self, self.size)

    @property
    def rows(self) -> int:
        """One for each entry."""
        return self.size


@final
@dataclass(frozen=True, slots=True)
class Zero(_Sized):
    """The origin alone: equations."""

    def identity(self) -> Vector:
        """Zero has nothing inside."""
        return np.zeros(self.size)

    def project(self, point: Vector) -> Vector:
        """The origin."""
        return np.zeros_like(point)

    def margin(self, point: Enclosure) -> float:
        """Zero for the exact origin, else minus infinity."""
        return 0.0 if not point.magnitude.any() else -np.inf

    def tighten(self, lower: Vector, upper: Vector) -> Range:
        """Every entry is zero."""
        return np.maximum(lower, 0.0), np.minimum(upper, 0.0)

    def dual(self) -> Cone:
        """The whole space."""
        return Free(self.size)


@final
@dataclass(frozen=True, slots=True)
class Free(_Sized):
    """The whole space: the dual of Zero, no cone for a program's rows."""

    def identity(self) -> Vector:
        """There is nothing to move away from."""
        return np.zeros(self.size)

    def project(self, point: Vector) -> Vector:
        """The point itself."""
        return point.copy()

    def margin(self, point: Enclosure) -> float:
        """Every point is a member, however far it moves."""
        return np.inf

    def tighten(self, lower: Vector, upper: Vector) -> Range:
        """Nothing is known of a member."""
        return lower, upper

    def dual(self) -> Cone:
        """The origin."""
        return Zero(self.size)


@final
@dataclass(frozen=True, slots=True)
class Nonneg(_Sized):
    """Entries of at least zero: inequalities."""

    def identity(self) -> Vector:
        """All ones."""
        return np.ones(self.size)

    def project(self, point: Vector) -> Vector:
        """Negative entries become zero."""
        return np.maximum(point, 0.0)

    def margin(self, point: Enclosure) -> float:
        """The smallest entry."""
        return float(point.lower.min())

    def tighten(self, lower: Vector, upper: Vector) -> Range:
        """Entries are at least zero."""
        return np.maximum(lower, 0.0), upper


@final
@dataclass(frozen=True, slots=True)
class SecondOrder(_Sized):
    """First entry at least the Euclidean norm of the others."""

    def identity(self) -> Vector:
        """The axis."""
        return np.eye(1, self.size)[0]

    def project(self, point: Vector) -> Vector:
        """Inside: itself; inside the polar: the origin; else on the boundary."""
        first, norm = point[0], float(np.linalg.norm(point[1:]))
        if norm <= first:
            return point.copy()
        if norm <= -first:
            return np.zeros_like(point)
        height = (first + norm) / 2
        return np.concatenate(([height], point[1:] * (height / norm)))

    def margin(self, point: Enclosure) -> float:
        """First entry less the norm of the others."""
        return float(down(point.lower[0] - norm_upper(point.magnitude[1:])))

    def tighten(self, lower: Vector, upper: Vector) -> Range:
        """No entry exceeds the first in size."""
        lower, upper = lower.copy(), upper.copy()
        lower[0] = max(lower[0], 0.0)
        lower[1:] = np.maximum(lower[1:], -upper[0])
        upper[1:] = np.minimum(upper[1:], upper[0])
        return lower, upper


@final
@dataclass(frozen=True, slots=True)
class Psd(Cone):
    """Symmetric positive semidefinite matrices of order `order`, packed."""

    order: int

    def __post_init__(self) -> None:
        """Refuse a matrix without entries."""
        _check_size(self, self.order)

    @property
    def rows(self) -> int:
        """Entries of a triangle."""
        return self.order * (self.order + 1) // 2

    def places(self) -> tuple[Places, Places]:
        """Row and column in the matrix of every packed entry, row >= column."""
        return _triangle(self.order)

    def pack(self, matrix: Dense) -> Vector:
        """The packed lower triangle of a matrix, (order, order) -> (rows,), rounded to nearest."""
        row, column = self.places()
        packed = matrix[row, column] * ROOT
        packed[row == column] = matrix.diagonal()
        return packed

    def unpack(self, packed: Vector) -> Dense:
        """The symmetric matrix of packed entries, each within 3 units of rounding."""
        row, column = self.places()
        matrix = np.empty((self.order, self.order))
        matrix[row, column] = matrix[column, row] = packed / ROOT
        np.fill_diagonal(matrix, packed[row == column])
        return matrix

    def identity(self) -> Vector:
        """The packed identity matrix."""
        row, column = self.places()
        return (row == column).astype(np.float64)

    def project(self, point: Vector) -> Vector:
        """Negative eigenvalues become zero."""
        values, vectors = np.linalg.eigh(self.unpack(point))
        if values[0] >= 0:
            return point.copy()
        return self.pack((vectors * np.maximum(values, 0.0)) @ vectors.T)

    def margin(self, point: Enclosure) -> float:
        """Smallest eigenvalue of the middle less the Frobenius norm of the errors (Weyl)."""
        slip = up(up(point.error + TINY) + up(4 * UNIT * np.abs(point.value)))
        smallest = smallest_eigenvalue_lower(self.unpack(point.value))
        return float(down(smallest - norm_upper(slip)))

    def tighten(self, lower: Vector, upper: Vector) -> Range:
        """A diagonal of at least zero; entries beside it at most the root of their diagonals."""
        row, column = self.places()
        on = row == column
        lower = np.where(on, np.maximum(lower, 0.0), lower)
        peak = np.maximum(upper[on], 0.0)  # (order,), in the order of the diagonal
        limit = up(np.sqrt(up(up(2 * peak[row] * peak[column]) + TINY)))
        limit = np.where(on | np.isnan(limit), np.inf, limit)
        return np.maximum(lower, -limit), np.minimum(upper, limit)


@lru_cache(maxsize=64)
def _triangle(order: int) -> tuple[Places, Places]:
    """Rows and columns of a lower triangle, column by column, read-only."""
    column, row = np.triu_indices(order)
    for places in (row, column):
        places.setflags(write=False)
    return row, column


def _check_size(cone: Cone, size: object) -> None:
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise BadProgram(f"{cone}: expected a whole number of at least 1, got {size!r}")
