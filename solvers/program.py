"""The conic program: minimise c'x subject to b - A x in K."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse

from solvers.array import Mask, Sparse, Vector, sparse
from solvers.cones import Cone, Free
from solvers.errors import BadProgram
from solvers.rounding import Enclosure, product


@dataclass(frozen=True, slots=True, eq=False)
class ConicProgram:
    r"""Minimise c'x over all x with b - A x in K, a product of cones.

    The dual: maximise -b'z over all z in the dual of K with A'z + c = 0. The data are taken as
    exact; they are copied and cannot be changed afterwards.

    Args:
        c: the cost of each variable, (variables,).
        A: dense or sparse, (rows, variables); kept as compressed sparse columns.
        b: (rows,).
        cones: of consecutive rows; a packed matrix as `solvers.cones.Psd` says.

    Raises:
        BadProgram: on shapes that do not fit and numbers that are not finite, by row.
    """

    c: Vector
    A: Sparse
    b: Vector
    cones: tuple[Cone, ...]

    def __post_init__(self) -> None:
        """Checked and frozen."""
        object.__setattr__(self, "c", _vector("c", self.c))
        object.__setattr__(self, "b", _vector("b", self.b))
        object.__setattr__(self, "A", _matrix(self.A, self.b.size, self.c.size))
        object.__setattr__(self, "cones", _cones(self.cones))
        self._check_rows()
        self._check_numbers()

    @property
    def rows(self) -> int:
        """How many rows A has."""
        return self.b.size

    @property
    def variables(self) -> int:
        """How many entries x has."""
        return self.c.size

    def blocks(self) -> Iterator[tuple[Cone, slice]]:
        """Every cone with its rows."""
        ends = list(accumulate((cone.rows for cone in self.cones), initial=0))
        for cone, first, last in zip(self.cones, ends, ends[1:], strict=False):
            yield cone, slice(first, last)

    def of_kind(self, kind: type[Cone]) -> Mask:
        """Which rows lie in cones of a kind."""
        marks = [np.full(cone.rows, isinstance(cone, kind)) for cone in self.cones]
        return np.concatenate([np.zeros(0, np.bool_), *marks])

    def identity(self) -> Vector:
        """A point inside K, but for the rows of equations: zero there."""
        return np.concatenate([np.zeros(0), *(cone.identity() for cone in self.cones)])

    def slack(self, point: Enclosure) -> Enclosure:
        """The slack b - A x, proved."""
        return Enclosure.exact(self.b).minus(product(self.A, point))

    def reduced_cost(self, dual: Enclosure) -> Enclosure:
        """The reduced cost c + A'z, proved."""
        return Enclosure.exact(self.c).plus(product(self.A.T, dual))

    def where(self, row: int) -> str:
        """A row by number and by its place in a cone."""
        for index, (cone, rows) in enumerate(self.blocks()):
            if rows.start <= row < rows.stop:
                return f"row {row} (entry {row - rows.start} of cone {index}, {cone})"
        return f"row {row} (in no cone)"

    def _check_rows(self) -> None:
        count = sum(cone.rows for cone in self.cones)
        if count < self.rows:
            raise BadProgram(
                f"ConicProgram: the cones take {count} rows and b has {self.rows}: row {count} is "
                "in no cone; add its cone"
            )
        if count > self.rows:
            raise BadProgram(
                f"ConicProgram: the cones take {count} rows and b has {self.rows}: "
                f"{self.where(self.rows)} is not in A and b"
            )

    def _check_numbers(self) -> None:
        for column in np.flatnonzero(~np.isfinite(self.c))[:1]:
            raise BadProgram(f"ConicProgram: c[{column}] is {self.c[column]}, expected a number")
        for row in np.flatnonzero(~np.isfinite(self.b))[:1]:
            raise BadProgram(
                f"ConicProgram: b is {self.b[row]} in {self.where(int(row))}, expected a number"
            )
        bad = ~np.isfinite(self.A.data)
        if bad.any():
            entries = self.A.tocoo()
            row, column = (int(place[bad][0]) for place in entries.coords)
            raise BadProgram(
                f"ConicProgram: A[{row}, {column}] is {entries.data[bad][0]} in "
                f"{self.where(row)}, expected a number"
            )


def _vector(name: str, values: ArrayLike) -> Vector:
    """A read-only copy of one axis."""
    try:
        vector = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadProgram(f"ConicProgram: {name} holds what is not a real number: {error}") from None
    if np.iscomplexobj(values) or vector.ndim != 1:
        shape = f"shape {vector.shape}, {np.asarray(values).dtype}"
        raise BadProgram(f"ConicProgram: {name} has {shape}; expected one axis of real numbers")
    vector.setflags(write=False)
    return vector


def _matrix(values: object, rows: int, columns: int) -> Sparse:
    """A read-only copy as sorted columns, without stored zeros."""
    given: Any = values if issparse(values) else np.atleast_2d(np.asarray(values))
    if given.ndim != 2 or given.dtype.kind not in "biuf":
        raise BadProgram(
            f"ConicProgram: A has shape {given.shape}, {given.dtype}; expected a matrix of real "
            "numbers, (rows, variables)"
        )
    matrix = sparse(given).copy()
    if matrix.shape != (rows, columns):
        raise BadProgram(
            f"ConicProgram: A has shape {matrix.shape}; expected {(rows, columns)}, the lengths "
            "of b and c"
        )
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.setflags(write=False)
    return matrix


def _cones(cones: Sequence[Cone]) -> tuple[Cone, ...]:
    """Checked to be cones that a program may have."""
    for index, cone in enumerate(cones):
        if not isinstance(cone, Cone) or isinstance(cone, Free):
            raise BadProgram(
                f"ConicProgram: cone {index} is {cone!r}; expected Zero, Nonneg, SecondOrder or Psd"
            )
    return tuple(cones)
