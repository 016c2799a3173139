"""Normal equations, factored once. Nothing here is trusted."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.sparse import diags_array, eye_array
from scipy.sparse.linalg import splu

from solvers.array import Sparse, Vector, sparse

DENSE = 3000  # order up to which a dense factor is faster
Solve = Callable[[Vector], Vector]


def gram_solver(matrix: Sparse, ridge: float) -> Solve:
    """Solves (M M' + ridge I) y = right, for M of (rows, columns).

    Raises:
        LinAlgError: if it is singular in floats.
    """
    gram = sparse(matrix @ matrix.T + ridge * eye_array(matrix.shape[0]))
    if not np.isfinite(gram.data).all():
        raise LinAlgError("overflow")
    if gram.shape[0] <= DENSE:
        factor = cho_factor(gram.toarray(), overwrite_a=True, check_finite=False)
        return lambda right: cho_solve(factor, right, check_finite=False)
    try:
        return splu(gram).solve
    except RuntimeError as error:
        raise LinAlgError(str(error)) from error


class NormalEquations:
    """Least squares with one matrix M of more columns than rows, rows scaled to one."""

    def __init__(self, matrix: Sparse, ridge: float = 1e-13) -> None:
        """Factor M M'.

        Raises:
            LinAlgError: if it cannot be factored even with the ridge.
        """
        size = np.sqrt(np.asarray((matrix * matrix).sum(axis=1)).ravel())
        self._scale = 1 / np.where(size > 0, size, 1.0)
        self._matrix = sparse(diags_array(self._scale) @ matrix)
        self._solve = gram_solver(self._matrix, ridge)

    def solve(self, right: Vector) -> Vector:
        """The y with M M' y = right."""
        return self._scale * self._solve(self._scale * right)

    def shift(self, residual: Vector) -> Vector:
        """The smallest step d with M d = residual."""
        return self._matrix.T @ self._solve(self._scale * residual)
