"""Small programs whose optimum is known, for tests and benchmarks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import vstack

from solvers.array import Dense, Sparse, Vector, sparse
from solvers.cones import Nonneg, Psd, SecondOrder, Zero
from solvers.program import ConicProgram


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A program and its optimum.

    Args:
        optimum: to all digits of a float; of the program as displayed, which its stored numbers
            round (`exact` says that they do not).
        exact: whether `optimum` is exactly that of the stored program.
        feasible: whether there is a feasible point; `optimum` is plus infinity if not.
    """

    program: ConicProgram
    optimum: float
    exact: bool = True

    @property
    def feasible(self) -> bool:
        """Whether there is a feasible point."""
        return self.optimum < np.inf


def production() -> Known:
    """Maximise 3 x + 5 y with x <= 4, 2 y <= 12, 3 x + 2 y <= 18, x, y >= 0: 36 at (2, 6)."""
    A = np.array([[1, 0], [0, 2], [3, 2], [-1, 0], [0, -1]])
    b = np.array([4, 12, 18, 0, 0])
    return Known(ConicProgram(np.array([-3.0, -5.0]), A, b, (Nonneg(5),)), -36.0)


def transport() -> Known:
    """Two sources of 3 and 4, two sinks of 2 and 5, costs 1, 2, 3, 1: 8, one row to spare."""
    A = np.vstack([[[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]], -np.eye(4)])
    b = np.array([3, 4, 2, 0, 0, 0, 0])
    return Known(ConicProgram(np.array([1.0, 2, 3, 1]), A, b, (Zero(3), Nonneg(4))), 8.0)


def infeasible() -> Known:
    """No x, y >= 1 have x + y <= 1."""
    A = np.array([[1, 1], [-1, 0], [0, -1]])
    return Known(ConicProgram(np.ones(2), A, np.array([1, -1, -1]), (Nonneg(3),)), np.inf)


def distance() -> Known:
    """Distance of the origin from the line 3 x + 4 y = 10: 2."""
    # variables t, x, y; (t, x, y) in the second-order cone
    A = np.vstack([[[0, 3, 4]], -np.eye(3)])
    b = np.array([10, 0, 0, 0])
    return Known(ConicProgram(np.array([1.0, 0, 0]), A, b, (Zero(1), SecondOrder(3))), 2.0)


def largest_sum() -> Known:
    """Maximise x + y over the unit disc: sqrt(2)."""
    A = np.vstack([np.zeros((1, 2)), -np.eye(2)])
    program = ConicProgram(-np.ones(2), A, np.array([1, 0, 0]), (SecondOrder(3),))
    return Known(program, -float(np.sqrt(2)), exact=False)


def smallest_eigenvalue() -> Known:
    """Largest t with C - t I positive semidefinite, C the path of three vertices: t = -sqrt(2)."""
    cone = Psd(3)
    C = np.diag(np.ones(2), 1) + np.diag(np.ones(2), -1)
    program = ConicProgram(np.array([-1.0]), cone.identity()[:, None], cone.pack(C), (cone,))
    return Known(program, float(np.sqrt(2)), exact=False)


def max_cut(vertices: int = 5) -> Known:
    r"""The relaxation of the largest cut of an odd cycle: $n (1 + \cos(\pi / n)) / 2$."""
    edges = np.roll(np.eye(vertices), 1, axis=1)
    laplacian = 2 * np.eye(vertices) - edges - edges.T
    diagonal = np.flatnonzero(Psd(vertices).identity())
    rows = np.eye(Psd(vertices).rows)[diagonal]
    program = standard_form(-laplacian / 4, sparse(rows), np.ones(vertices))
    return Known(program, -vertices * (1 + np.cos(np.pi / vertices)) / 2, exact=False)


def theta(vertices: int = 5) -> Known:
    r"""Lovasz's number of an odd cycle: $n \cos(\pi/n) / (1 + \cos(\pi/n))$; sqrt(5) for five."""
    cone = Psd(vertices)
    row, column = cone.places()
    beside = (row - column == 1) | (row - column == vertices - 1)
    rows = np.vstack([cone.identity(), np.eye(cone.rows)[beside]])
    program = standard_form(
        -np.ones((vertices, vertices)), sparse(rows), np.eye(1, vertices + 1)[0]
    )
    cosine = np.cos(np.pi / vertices)
    return Known(program, -float(vertices * cosine / (1 + cosine)), exact=False)


def correlation() -> Known:
    """Smallest entry (0, 2) of a correlation matrix with entries (0, 1), (1, 2) of 0.8: 0.28."""
    cone = Psd(3)
    fixed = cone.pack(np.array([[1, 0.8, 0], [0.8, 1, 0.8], [0, 0.8, 1]]))
    place = cone.pack(np.eye(3)[::-1] * (1 - np.eye(3)))
    program = ConicProgram(np.ones(1), -place[:, None], fixed, (cone,))
    return Known(program, 0.28, exact=False)


def standard_form(cost: Dense, rows: Sparse, right: Vector) -> ConicProgram:
    """Minimise <C, X> subject to `rows` svec(X) = `right`, X positive semidefinite."""
    cone = Psd(cost.shape[0])
    A = vstack([rows, sparse(-np.eye(cone.rows))])
    b = np.concatenate([right, np.zeros(cone.rows)])
    return ConicProgram(cone.pack(cost), sparse(A), b, (Zero(right.size), cone))


LIBRARY: Mapping[str, Callable[[], Known]] = {
    "production": production,
    "transport": transport,
    "infeasible": infeasible,
    "distance": distance,
    "largest sum": largest_sum,
    "smallest eigenvalue": smallest_eigenvalue,
    "max-cut": max_cut,
    "theta": theta,
    "correlation": correlation,
}
