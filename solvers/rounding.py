r"""Outward rounding in float64: sums, sparse products, norms and smallest eigenvalues.

Sound for round-to-nearest arithmetic, sums in any order, fused or not, gradual underflow or flush
to zero. What overflows becomes infinite or NaN, and neither passes for a bound. Source: N. Higham,
Accuracy and Stability of Numerical Algorithms, 2nd ed., sec. 3.1 (gamma_n) and 3.5.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from solvers.array import Dense, Sparse, Vector, sparse

UNIT = 2.0**-53
TINY = float(np.finfo(np.float64).tiny)

Numbers = TypeVar("Numbers", float, Vector)


def up(value: Numbers) -> Numbers:
    """The next number above: one correctly rounded operation is bounded above."""
    return np.nextafter(value, np.inf)  # pyright: ignore[reportReturnType]


def down(value: Numbers) -> Numbers:
    """The next number below: one correctly rounded operation is bounded below."""
    return np.nextafter(value, -np.inf)  # pyright: ignore[reportReturnType]


def gamma(terms: float | Vector) -> Vector:
    r"""Upper bound on $\gamma_n = n u / (1 - n u)$, infinite from n u >= 1/4 on."""
    product = np.asarray(terms, np.float64) * UNIT
    ratio = product / (1 - np.minimum(product, 0.5)) * (1 + 1e-9)
    return np.where(product >= 0.25, np.inf, ratio)


def inflate(value: float | Vector, terms: float | Vector) -> Vector:
    """Upper bound on a sum of `terms` nonnegative products that was computed as `value`.

    Adds what underflow can have lost: at most the smallest normal number per term.
    """
    terms = np.asarray(terms, np.float64)
    return up(np.asarray(value * (1 + 2 * gamma(terms + 4)) + 2 * (terms + 1) * TINY))


def sum_upper(values: Vector) -> float:
    """Upper bound on the sum of nonnegative numbers."""
    return float(inflate(values.sum(), values.size))


def norm_upper(values: Vector) -> float:
    """Upper bound on the Euclidean norm."""
    return float(up(np.sqrt(inflate((values * values).sum(), values.size))))


@dataclass(frozen=True, slots=True, eq=False)
class Enclosure:
    """Numbers known up to an error: |true - value| <= error, entry by entry."""

    value: Vector
    error: Vector

    @classmethod
    def exact(cls, value: Vector) -> "Enclosure":
        """Numbers known exactly."""
        return cls(value, np.zeros_like(value))

    @property
    def lower(self) -> Vector:
        """Below every number enclosed."""
        return np.where(self.error == 0, self.value, down(self.value - self.error))

    @property
    def upper(self) -> Vector:
        """Above every number enclosed."""
        return np.where(self.error == 0, self.value, up(self.value + self.error))

    @property
    def magnitude(self) -> Vector:
        """Above every absolute value enclosed."""
        return np.maximum(-self.lower, self.upper)

    def plus(self, other: "Enclosure") -> "Enclosure":
        """Sums, entry by entry."""
        value = self.value + other.value
        slip = UNIT * np.abs(value) + TINY
        slip = np.where((self.value == 0) | (other.value == 0), 0.0, slip)
        error = self.error + other.error + slip
        return Enclosure(value, np.where(error == 0, 0.0, up(up(up(error)))))

    def minus(self, other: "Enclosure") -> "Enclosure":
        """Differences, entry by entry."""
        return self.plus(Enclosure(-other.value, other.error))

    def take(self, places: object) -> "Enclosure":
        """The entries at `places`: a slice, a mask or indices."""
        return Enclosure(self.value[places], self.error[places])  # pyright: ignore[reportArgumentType, reportCallIssue]


def product(matrix: Sparse, point: Enclosure) -> Enclosure:
    """The product of a sparse matrix and a vector; entries without terms are exactly zero.

    The sum of k products errs by at most gamma_k times the sum of the absolute products.
    """
    terms = np.diff(matrix.tocsr().indptr).astype(np.float64)
    size = abs(matrix)
    computed = inflate(size @ np.abs(point.value), terms)
    carried = inflate(size @ point.error, terms)
    error = up(up(gamma(terms) * computed + terms * TINY) + carried)
    return Enclosure(matrix @ point.value, np.where(terms == 0, 0.0, error))


def dot(first: Vector, second: Enclosure) -> Enclosure:
    """The inner product with a vector known exactly, as an enclosure of one entry."""
    return product(sparse(first.reshape(1, -1)), second)


@np.errstate(all="ignore")
def gershgorin_lower(matrix: Dense) -> float:
    """A lower bound of the eigenvalues of a symmetric matrix: diagonals less absolute rows."""
    diagonal = matrix.diagonal()
    beside = np.abs(matrix).sum(axis=1) - np.abs(diagonal)
    slack = gamma(matrix.shape[0] + 2) * np.abs(matrix).sum(axis=1) * 2
    return _known(float(down(down(diagonal - beside) - up(slack)).min()))


@np.errstate(all="ignore")
def smallest_eigenvalue_lower(matrix: Dense) -> float:
    r"""A lower bound of the smallest eigenvalue, minus infinity where nothing is proved.

    For ANY matrix L: $\lambda_{\min}(M) \ge c - \|M - c I - L L'\|_\infty$. We take for L the
    Cholesky factor of M - c I with c just below the computed eigenvalue, and bound the residual
    as computed plus gamma_n |L||L'|; nothing is assumed of the factorisation.

    Args:
        matrix: symmetric, (n, n); its entries are taken as exact.

    Returns:
        A bound that lies below the eigenvalue by a multiple of n^1.5 u times the norm.

    Source:
        S. Rump, Verification of positive definiteness, BIT 46 (2006), with the residual bounded
        after the fact instead of beforehand.
    """
    assert np.array_equal(matrix, matrix.T, equal_nan=True), "not symmetric"
    if not np.isfinite(matrix).all():
        return -np.inf
    best = gershgorin_lower(matrix)
    try:
        guess = float(np.linalg.eigvalsh(matrix)[0])
    except np.linalg.LinAlgError:
        return best
    step = matrix.shape[0] * UNIT * float(np.abs(matrix).sum(axis=1).max())
    for reach in (1.0, 16.0, 256.0, 4096.0):
        proved = _shifted_cholesky(matrix, guess - reach * step)
        if proved > -np.inf:
            return max(best, proved)
    return best


def _shifted_cholesky(matrix: Dense, shift: float) -> float:
    """The bound that a factor of `matrix - shift I` proves; minus infinity without one."""
    order = matrix.shape[0]
    shifted = matrix - shift * np.eye(order)
    try:
        factor = np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:
        return -np.inf
    residual = np.abs(factor @ factor.T - shifted)
    size = np.abs(factor)
    rows = inflate(size @ inflate(size.sum(axis=0), order), order)  # row sums of |L||L'|
    slip = gamma(order + 2) * rows + order * order * TINY
    slip += 2 * UNIT * (np.abs(shifted.diagonal()) + np.abs(residual).sum(axis=1))
    away = up(up(inflate(residual.sum(axis=1), order) + up(slip))).max()
    return _known(float(down(shift - away)))


def _known(bound: float) -> float:
    """NaN, what is left of an overflow, taken for what it is: no lower bound."""
    return -np.inf if np.isnan(bound) else bound
