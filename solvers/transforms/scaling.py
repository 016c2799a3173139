"""Rows and columns of like size, by powers of two: an exactly equivalent program."""

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from scipy.sparse import diags_array

from solvers.array import Sparse, Vector, sparse
from solvers.candidate import Candidate
from solvers.cones import Nonneg, Zero
from solvers.program import ConicProgram
from solvers.transforms.base import Transformed

SWEEPS = 10


@final
@dataclass(frozen=True, slots=True, eq=False)
class Scaled(Transformed):
    """x = columns times the scaled x, z = rows times the scaled z."""

    program: ConicProgram
    columns: Vector
    rows: Vector

    def lift(self, candidate: Candidate) -> Candidate:
        """Back in the units of the program it came from."""
        return _multiplied(candidate, self.columns, self.rows)

    def lower(self, candidate: Candidate) -> Candidate:
        """A candidate of the program it came from, in scaled units: a start."""
        return _multiplied(candidate, 1 / self.columns, 1 / self.rows)


def apply(program: ConicProgram) -> Scaled:
    """Entries of A near one in every row and column, b and c near one in size.

    Rows of one second-order or semidefinite cone share a factor, which keeps the cone.

    Source:
        D. Ruiz, A scaling algorithm to equilibrate both rows and columns norms in matrices,
        Rutherford Appleton Laboratory report RAL-TR-2001-034.
    """
    rows, columns = np.ones(program.rows), np.ones(program.variables)
    for _ in range(SWEEPS):
        scaled = abs(diags_array(rows) @ program.A @ diags_array(columns)).tocsc()
        rows = rows / np.sqrt(_row_sizes(program, scaled))
        columns = columns / np.sqrt(_or_one(scaled.max(axis=0).toarray().ravel()))
    rows, columns = _power(rows), _power(columns)
    A = diags_array(rows) @ program.A @ diags_array(columns)
    b, c = rows * program.b, columns * program.c
    size_b, size_c = (_power(_or_one(np.abs(v).max(initial=0.0))) for v in (b, c))
    scaled = ConicProgram(c / size_c, sparse(A), b / size_b, program.cones)
    return Scaled(scaled, columns * size_b, rows * size_c)


def _row_sizes(program: ConicProgram, scaled: Sparse) -> Vector:
    """Largest entry of each row, or of all rows of a cone that must be scaled as one."""
    sizes = scaled.max(axis=1).toarray().ravel()
    for cone, rows in program.blocks():
        if not isinstance(cone, (Zero, Nonneg)):
            sizes[rows] = sizes[rows].max()
    return _or_one(sizes)


def _or_one(sizes: Vector) -> Vector:
    return np.where(sizes > 0, sizes, 1.0)


def _power(sizes: Vector) -> Vector:
    """The nearest power of two."""
    return np.exp2(np.round(np.log2(sizes)))


def _multiplied(candidate: Candidate, columns: Vector, rows: Vector) -> Candidate:
    x = None if candidate.x is None else candidate.x * columns
    z = None if candidate.z is None else candidate.z * rows
    return replace(candidate, x=x, z=z)
