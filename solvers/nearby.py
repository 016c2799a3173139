"""Exact solutions near floating-point ones: how far at most the nearest solution of M y = d is."""

import numpy as np
from scipy.sparse import diags_array, tril

from solvers.array import Dense, Sparse, Vector, sparse
from solvers.rounding import (
    TINY,
    down,
    gamma,
    inflate,
    norm_upper,
    smallest_eigenvalue_lower,
    up,
)

DENSE = 6000  # rows whose Gram matrix is worth factoring


@np.errstate(all="ignore")
def correction(matrix: Sparse, residual: Vector) -> Vector | None:
    r"""Upper bound, entry by entry, of |y* - y| for some y* with M y* = d exactly.

    The nearest solution is $y^* = y + M'(M M')^{-1} (d - M y)$, so that with a proved lower bound
    g of the smallest eigenvalue of M M' it is within $|d - M y| / \sqrt g$ in norm, and entry j
    within $|M e_j| |d - M y| / g$. Rows are first scaled by powers of two, which is exact.

    Args:
        matrix: M, (rows, variables).
        residual: upper bound of |d - M y|, (rows,).

    Returns:
        (variables,); None where no exact solution is proved: the rows may be dependent.
    """
    if not residual.any():
        return np.zeros(matrix.shape[1])
    size = np.sqrt(np.asarray((matrix * matrix).sum(axis=1), np.float64).ravel())
    if not (np.isfinite(size).all() and size.all()):
        return None
    scale = np.exp2(-np.round(np.log2(size)))
    scaled = sparse(diags_array(scale) @ matrix)
    least = _gram_lower(scaled)
    if not least > 0:
        return None
    norm = norm_upper(up(residual * scale + TINY))
    anywhere = up(norm / down(np.sqrt(down(least))))
    squares = np.asarray((scaled * scaled).sum(axis=0), np.float64).ravel()
    columns = np.where(squares == 0, 0.0, up(np.sqrt(inflate(squares, matrix.shape[0]))))
    return np.where(columns == 0, 0.0, np.minimum(anywhere, up(columns * up(norm / least)) + TINY))


def _gram_lower(matrix: Sparse) -> float:
    """A lower bound of the smallest eigenvalue of M M'."""
    rows = matrix.shape[0]
    if rows > matrix.shape[1]:
        return -np.inf
    gram = sparse(matrix @ matrix.T)
    size = abs(matrix)
    terms = int(np.diff(matrix.tocsr().indptr).max())
    spread = inflate(size @ inflate(size.sum(axis=0), rows), matrix.shape[1])
    slip = float(up(gamma(terms + 2) * spread.max() * 2 + rows * TINY))
    diagonal = gram.diagonal()
    beside = inflate(abs(gram).sum(axis=1), rows) - np.abs(diagonal)
    least = float(down(down(diagonal - up(beside)) - slip).min())
    if least >= 0.1 or rows > DENSE:  # rows near orthogonal, or too many
        return least
    return float(down(smallest_eigenvalue_lower(_mirrored(gram)) - slip))


def _mirrored(gram: Sparse) -> Dense:
    """Dense, and symmetric to the last bit."""
    lower = tril(gram).toarray()
    return lower + np.tril(lower, -1).T
