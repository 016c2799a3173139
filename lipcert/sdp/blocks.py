"""Symmetric matrices in blocks: Cholesky factors, solves and inverses that keep the sparsity."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import get_lapack_funcs

from lipcert.sdp.maps import Array

potrf, potri, trtrs = get_lapack_funcs(("potrf", "potri", "trtrs"), dtype=np.float64)
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
        root = _root(rest.pop((j, j)))
        if root is None:
            return None
        done[j, j] = root
        rows = tuple(sorted(i for i, column in rest if column == j))
        below.append(rows)
        for i in rows:
            done[i, j] = triangular(root, rest.pop((i, j)).T).T
        for place, i in enumerate(rows):
            for k in rows[: place + 1]:
                part = done[i, j] @ done[k, j].T
                rest[i, k] = np.subtract(rest[i, k], part, out=part) if (i, k) in rest else -part
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


def inverse(done: Factor, into: Array | None = None) -> Array:
    """P^{-1}, dense, from the last block up: a row needs only the rows below that it reads.

    Args:
        done: of P.
        into: (order, order), overwritten and returned.
    """
    ends = np.cumsum((0, *done.sizes)).tolist()
    rows = [slice(a, b) for a, b in itertools.pairwise(ends)]
    full = np.empty((ends[-1], ends[-1])) if into is None else into
    for j in range(len(rows) - 1, -1, -1):
        root, own, later = done.blocks[j, j], rows[j], slice(ends[j + 1], None)
        reads = {i: triangular(root, done.blocks[i, j].T, transposed=True) for i in done.below[j]}
        full[own, own] = _inverse_of_root(root)
        full[own, later] = 0.0
        for i, part in reads.items():
            full[own, later] -= part @ full[rows[i], later]
        for i, part in reads.items():
            full[own, own] -= full[own, rows[i]] @ part.T
        full[later, own] = full[own, later].T
    return full


def triangular(lower: Array, values: Array, transposed: bool = False) -> Array:
    """Solution of lower x = values, or of lower' x = values."""
    return trtrs(lower.T, values, lower=0, trans=int(not transposed))[0]


def _root(matrix: Array) -> Array | None:
    """Lower Cholesky factor; None where there is none."""
    upper, failed = potrf(matrix.T, lower=0, clean=1)
    return None if failed else upper.T


def _inverse_of_root(lower: Array) -> Array:
    """(L L')^{-1}."""
    half = potri(lower.T, lower=0)[0]
    return np.triu(half) + np.triu(half, 1).T
