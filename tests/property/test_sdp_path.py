"""Path following on programs whose optimum another solver knows."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import eigvalsh
from scipy.optimize import linprog

from lipcert.sdp.path import Derivatives, Place, follow

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Polytope:
    """matrix @ x <= right, x >= 0."""

    matrix: Array
    right: Array

    @property
    def degree(self) -> float:
        return float(sum(self.matrix.shape))

    def at(self, point: Array) -> Place | None:
        slack = self.right - self.matrix @ point
        if slack.min() <= 0 or point.min() <= 0:
            return None
        scaled = self.matrix / slack[:, None]
        hessian = scaled.T @ scaled + np.diag(point**-2)
        value = -np.log(slack).sum() - np.log(point).sum()
        return Place(float(value), lambda: Derivatives(scaled.sum(0) - 1 / point, hessian.copy()))


@dataclass(frozen=True)
class Shifted:
    """x_1 A + C - x_0 B positive definite, x_1 <= 1."""

    A: Array
    B: Array
    C: Array

    @property
    def degree(self) -> float:
        return float(len(self.A) + 2)

    def at(self, point: Array) -> Place | None:
        matrix = point[1] * self.A + self.C - point[0] * self.B
        if point.min() <= 0 or point[1] >= 1 or eigvalsh(matrix)[0] <= 0:
            return None
        one, two = np.linalg.solve(matrix, -self.B), np.linalg.solve(matrix, self.A)
        gradient = np.array([-np.trace(one), -np.trace(two)])
        gradient[1] += 1 / (1 - point[1]) - 1 / point[1]
        hessian = np.array([[np.sum(a * b.T) for a in (one, two)] for b in (one, two)])
        hessian[1, 1] += (1 - point[1]) ** -2 + point[1] ** -2
        logs = np.log([1 - point[1], point[1]]).sum() + np.linalg.slogdet(matrix)[1]
        return Place(-float(logs), lambda: Derivatives(gradient, hessian.copy()))


@pytest.mark.parametrize("seed", range(8))
def test_ends_at_the_optimum_of_a_linear_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, count = 30, 12
    matrix = rng.random((rows, count)) * 10 ** rng.uniform(-3, 3, count)
    polytope = Polytope(matrix, rng.random(rows) + 0.1)
    first = np.full(count, 1e-9 / matrix.max())
    matrix[:, 0] -= 0.1 * matrix[:, 1]
    cost = -np.eye(count)[0]
    best = -linprog(cost, matrix, polytope.right, method="highs").fun
    found = list(follow(polytope, first, 1e-6))
    assert all(here.point[0] <= best * (1 + 1e-9) for here in found)
    assert all(here.most >= best * (1 - 1e-9) for here in found)
    assert found[-1].point[0] >= best * (1 - 2e-6)


@pytest.mark.parametrize("seed", range(4))
def test_ends_at_the_optimum_of_a_semidefinite_program(seed: int) -> None:
    rng = np.random.default_rng(seed)
    A, B, C = (m @ m.T for m in rng.standard_normal((3, 6, 6)))
    best = 1 / eigvalsh(B, A + C)[-1]  # x_1 at its limit
    found = list(follow(Shifted(A, B, C), np.array([1e-6, 1e-6]), 1e-7))
    assert all(here.most >= best * (1 - 1e-9) for here in found)
    assert best * (1 - 2e-7) <= found[-1].point[0] <= best


def test_no_bound_before_the_path_is_near() -> None:
    """From a corner the first points claim nothing."""
    polytope = Polytope(np.eye(3), np.ones(3))
    found = list(follow(polytope, np.array([1e-12, 1 - 1e-12, 1e-12]), 1e-3))
    assert found[0].most == np.inf
    assert found[-1].most <= 1.001
