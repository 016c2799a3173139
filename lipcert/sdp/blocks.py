"""Symmetric matrices in blocks: Cholesky factors, solves and inverses that keep the sparsity."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from lipcert.sdp.maps import Array

Blocks = dict[tuple[int, int], Array]  # lower triangle: (row block, column block), row >= column


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """Lower block Cholesky factor L of a symmetric matrix P = L L'.

    Args:
        sizes: of the blocks, in the order of elimination.
        blocks: of L, fill included.
        below: per column block the row blocks under its diagonal, ascending.
    """

    sizes: tuple[int, ...]
    blocks: Blocks
    below: tuple[tuple[int, ...], ...]

    @property
    def logdet(self) -> float:
        """Logarithm of the determinant of P."""
        roots = [np.diag(self.blocks[j, j]) for j in range(len(self.sizes))]
        return 2 * float(np.log(np.concatenate(roots)).sum())

    def forward(self, values: Mapping[int, Array]) -> dict[int, Array]:
        """Solution of L y = values; blocks that are left out are zero."""
        left = dict(values)
        found: dict[int, Array] = {}
        for j in range(len(self.sizes)):
            if j not in left:
                continue
            found[j] = y = triangular(self.blocks[j, j], left.pop(j))
            for i in self.below[j]:
                part = self.blocks[i, j] @ y
                left[i] = left[i] - part if i in left else -part
        return found

    def backward(self, values: Mapping[int, Array]) -> dict[int, Array]:
        """Solution of L' x = values; every block from the last one given on."""
        found: dict[int, Array] = {}
        for j in range(max(values), -1, -1):
            rest = values.get(j)
            for i in self.below[j]:
                if i in found:
                    part = self.blocks[i, j].T @ found[i]
                    rest = -part if rest is None else rest - part
            if rest is not None:
                found[j] = triangular(self.blocks[j, j], rest, transposed=True)
        return found

    def solve(self, values: Mapping[int, Array]) -> dict[int, Array]:
        """Solution of P x = values."""
        return self.backward(self.forward(values))


def factor(sizes: Sequence[int], matrix: Mapping[tuple[int, int], Array]) -> Factor | None:
    """Cholesky factor, or None where the matrix is not positive definite to rounding."""
    rest = dict(matrix)
    done: Blocks = {}
    below: list[tuple[int, ...]] = []
    for j in range(len(sizes)):
        try:
            done[j, j] = cholesky(rest.pop((j, j)), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return None
        rows = tuple(sorted(i for i, column in rest if column == j))
        below.append(rows)
        for i in rows:
            done[i, j] = triangular(done[j, j], rest.pop((i, j)).T).T
        for place, i in enumerate(rows):
            for k in rows[: place + 1]:
                part = done[i, j] @ done[k, j].T
                rest[i, k] = rest[i, k] - part if (i, k) in rest else -part
    return Factor(tuple(sizes), done, tuple(below))


def extended(done: Factor, row: Mapping[int, Array], diagonal: Array) -> Factor | None:
    """The factor of a matrix with one more block row and column at its end."""
    half = done.forward({j: part.T for j, part in row.items()})
    rest = diagonal - np.sum([part.T @ part for part in half.values()], axis=0)
    last = factor((len(diagonal),), {(0, 0): rest})
    if last is None:
        return None
    number = len(done.sizes)
    blocks = done.blocks | {(number, j): part.T for j, part in half.items()}
    below = [(*rows, number) if j in half else rows for j, rows in enumerate(done.below)]
    blocks[number, number] = last.blocks[0, 0]
    return Factor((*done.sizes, len(diagonal)), blocks, (*below, ()))


def inverse(done: Factor) -> Array:
    """P^{-1}, dense, from the last block up: a row needs only the rows below that it reads."""
    ends = np.cumsum((0, *done.sizes)).tolist()
    rows = [slice(a, b) for a, b in itertools.pairwise(ends)]
    full = np.zeros((ends[-1], ends[-1]))
    for j in range(len(rows) - 1, -1, -1):
        root = triangular(done.blocks[j, j], np.eye(done.sizes[j]))
        own, later = root.T @ root, slice(ends[j + 1], None)
        reads = {i: done.blocks[i, j] @ root for i in done.below[j]}
        for i, part in reads.items():
            full[rows[j], later] -= part.T @ full[rows[i], later]
        full[later, rows[j]] = full[rows[j], later].T
        for i, part in reads.items():
            own -= part.T @ full[rows[i], rows[j]]
        full[rows[j], rows[j]] = (own + own.T) / 2
    return full


def triangular(lower: Array, values: Array, transposed: bool = False) -> Array:
    """Solution of lower x = values, or of lower' x = values."""
    return solve_triangular(lower, values, lower=True, trans=int(transposed), check_finite=False)
