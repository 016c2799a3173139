"""Largest eigenvalues of symmetric matrices, in plain float64."""

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from lipcert.sdp.maps import Array

SMALL = 200  # order up to which all eigenvalues are as fast
ROUGH = 1e-2


def largest(matrix: Array) -> float:
    """Largest eigenvalue."""
    last = len(matrix) - 1
    return float(eigh(matrix, eigvals_only=True, subset_by_index=[last, last])[0])


def roughly_largest(matrix: Array) -> float:
    """Largest eigenvalue of a nonnegative matrix, to a few percent above."""
    if len(matrix) <= SMALL:
        return largest(matrix)
    first = np.random.default_rng(0).standard_normal(len(matrix))
    try:
        found = eigsh(matrix, k=1, tol=ROUGH, v0=first, return_eigenvectors=False)  # pyright: ignore[reportArgumentType] - no integer
    except ArpackNoConvergence:
        return largest(matrix)
    return float(found[0]) * (1 + 2 * ROUGH)
