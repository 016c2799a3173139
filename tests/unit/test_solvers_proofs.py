"""What brackets rest on, against exact rationals and many digits."""

import math
from fractions import Fraction
from itertools import pairwise

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from solvers import Box, ConicProgram, Nonneg, Psd, SecondOrder, Zero
from solvers.array import sparse
from solvers.box import implied
from solvers.library import max_cut, theta
from solvers.nearby import correction
from solvers.rounding import (
    Enclosure,
    dot,
    gershgorin_lower,
    norm_upper,
    product,
    smallest_eigenvalue_lower,
    sum_upper,
)

Matrix = NDArray[np.float64]
SCALES = (1.0, 1e-170, 1e150)


def exact(values: Matrix) -> list[Fraction]:
    return [Fraction(float(v)) for v in values.ravel()]


def wild(rng: np.random.Generator, *shape: int) -> Matrix:
    """Of all magnitudes, some zero."""
    return (
        rng.standard_normal(shape)
        * 10.0 ** rng.integers(-12, 12, shape)
        * rng.integers(0, 2, shape)
    )


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(5))
def test_products_contain_the_exact_ones(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    A, x, error = wild(rng, 7, 30) * scale, wild(rng, 30), np.abs(wild(rng, 30)) * 1e-9
    found = product(sparse(A), Enclosure(x, error))
    ends = [(Fraction(float(v)) - Fraction(float(e)), Fraction(float(v)) + Fraction(float(e)))
            for v, e in zip(x, error, strict=True)]  # fmt: skip
    for row, low, high in zip(A, found.lower, found.upper, strict=True):
        terms = [(a * lo, a * hi) for a, (lo, hi) in zip(exact(row), ends, strict=True)]
        assert Fraction(float(low)) <= sum(min(t) for t in terms)
        assert sum(max(t) for t in terms) <= Fraction(float(high))
    total = dot(x, Enclosure.exact(A[0]))
    assert Fraction(float(total.lower[0])) <= sum(
        (a * b for a, b in zip(exact(x), exact(A[0]), strict=True)), Fraction(0)
    ) <= Fraction(float(total.upper[0]))  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_sums_norms_and_differences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = wild(rng, 50), wild(rng, 50)
    assert Fraction(sum_upper(np.abs(first))) >= sum(map(abs, exact(first)))
    assert Fraction(norm_upper(first)) ** 2 >= sum(v * v for v in exact(first))
    one, other = Enclosure(first, np.abs(second) * 1e-3), Enclosure(second, np.abs(first) * 1e-3)
    gap = one.minus(other)
    for low, high, value, slack, a, b in zip(
        gap.lower, gap.upper, exact(first), exact(one.error), exact(second), exact(other.error),
        strict=True,
    ):  # fmt: skip
        assert Fraction(float(low)) <= value - slack - (a + b)
        assert value + slack - (a - b) <= Fraction(float(high))


def matrices() -> list[Matrix]:
    """Symmetric: random, singular, graded, indefinite, nearly singular, tiny and huge."""
    rng = np.random.default_rng(0)
    found: list[Matrix] = [np.zeros((1, 1)), np.array([[-3.0]]), np.eye(4)]
    for order in (2, 5, 14):
        factor = rng.standard_normal((order, order))
        found += [factor + factor.T, factor @ factor.T, factor[:, :1] @ factor[:, :1].T]
        grade = 10.0 ** np.linspace(-8, 8, order)
        found.append(grade[:, None] * (factor @ factor.T) * grade)
        found.append(np.vander(np.arange(1.0, order + 1) / order, order))
    return [(m + m.T) / 2 * s for m in found for s in (1.0, 2.0**-400, 2.0**400)]


def test_smallest_eigenvalues_are_bounded_from_below_and_closely() -> None:
    for matrix in matrices():
        scale = float(np.abs(matrix).max()) or 1.0
        with mpmath.workdps(60):
            values = mpmath.eigsy(mpmath.matrix((matrix / scale).tolist()), eigvals_only=True)
            true = min(values) * mpmath.mpf(scale)
            bound = smallest_eigenvalue_lower(matrix)
            assert bound <= true
            assert gershgorin_lower(matrix) <= true
            assert true - bound <= 1e-12 * matrix.shape[0] ** 2 * scale


def test_what_is_no_number_has_no_eigenvalue_bound() -> None:
    for wrong in (np.nan, np.inf):
        assert smallest_eigenvalue_lower(np.array([[wrong, 0.0], [0.0, 1.0]])) == -np.inf
    assert smallest_eigenvalue_lower(np.full((2, 2), 1e308)) <= 0


def test_a_false_factor_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever LAPACK returns: the residual is bounded after the fact."""
    matrix = np.array([[1.0, 2.0], [2.0, 1.0]])  # smallest eigenvalue -1
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda _: np.array([5.0, 6.0]))
    for factor in (np.eye(2), np.zeros((2, 2)), np.full((2, 2), np.nan), 1e200 * np.eye(2)):
        monkeypatch.setattr(np.linalg, "cholesky", lambda _, factor=factor: factor)
        with np.errstate(all="ignore"):
            assert smallest_eigenvalue_lower(matrix) <= -1.0


def nearest(matrix: list[list[Fraction]], y: list[Fraction], d: list[Fraction]) -> list[Fraction]:
    """The change that the nearest exact solution makes, by rational elimination."""
    gram = [[sum(a * b for a, b in zip(r, s, strict=True)) for s in matrix] for r in matrix]
    rest = [
        v - sum(a * b for a, b in zip(r, y, strict=True)) for r, v in zip(matrix, d, strict=True)
    ]
    size = len(gram)
    rows = [[*gram[i], rest[i]] for i in range(size)]
    for i in range(size):
        pivot = next(r for r in range(i, size) if rows[r][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for r in range(size):
            if r != i:
                rows[r] = [v - rows[r][i] * w for v, w in zip(rows[r], rows[i], strict=True)]
    weights = [row[-1] for row in rows]
    return [sum(m[j] * w for m, w in zip(matrix, weights, strict=True)) for j in range(len(y))]


@pytest.mark.parametrize("seed", range(6))
def test_an_exact_solution_lies_within_the_correction(seed: int) -> None:
    rng = np.random.default_rng(seed)
    M = rng.integers(-3, 4, (4, 9)) * 10.0 ** rng.integers(-4, 5, (4, 1))
    M[:, 7] = 0
    y, d = rng.standard_normal(9), rng.standard_normal(4)
    residual = Enclosure.exact(d).minus(product(sparse(M), Enclosure.exact(y))).magnitude
    bound = correction(sparse(M), residual)
    assert bound is not None
    change = nearest([exact(row) for row in M], exact(y), exact(d))
    for most, true in zip(bound, change, strict=True):
        assert abs(true) <= Fraction(float(most))
    assert bound[7] == 0


def test_dependent_rows_have_no_proved_correction() -> None:
    some = np.array([1.0, 2.0])
    assert correction(sparse([[1.0, 2.0], [1.0, 2.0]]), some) is None
    assert correction(sparse([[1.0, 2.0], [0.0, 0.0]]), some) is None
    assert correction(sparse(np.zeros((2, 0))), some) is None
    assert correction(sparse([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.ones(3)) is None
    zero = correction(sparse([[1.0, 2.0], [1.0, 2.0]]), np.zeros(2))
    assert zero is not None
    assert not zero.any()


def test_boxes_follow_from_rows() -> None:
    rows = np.array([[-1.0, 0], [0, -1], [1, 1]])
    box = implied(ConicProgram(np.ones(2), rows, np.array([0, 0, 3]), (Nonneg(3),)))
    assert (box.lower <= 0).all()
    assert (box.lower > -1e-300).all()
    assert (box.upper >= 3).all()
    assert (box.upper < 3 + 1e-12).all()


@pytest.mark.parametrize("known", [max_cut(), theta()])
def test_matrices_of_bounded_trace_are_bounded(known: object) -> None:
    program = known.program
    box = implied(program)
    assert np.isfinite(box.lower).all()
    assert np.isfinite(box.upper).all()
    feasible = program.cones[1].identity() * (1 if program.b[0] == program.b[1] else 0.2)
    assert (box.lower <= feasible).all()
    assert (feasible <= box.upper).all()


def test_second_order_cones_bound_their_entries() -> None:
    A = np.vstack([[0, 0], -np.eye(2)])
    box = implied(ConicProgram(np.ones(2), A, np.array([2.0, 1, 0]), (SecondOrder(3),)))
    for low, high, limit in zip(box.lower, box.upper, [(-3, 1), (-2, 2)], strict=True):
        assert low <= limit[0] <= low + 1e-12
        assert high - 1e-12 <= limit[1] <= high


def test_contradictory_rows_leave_an_empty_box() -> None:
    A = np.array([[1.0], [1.0]])
    assert implied(ConicProgram(np.ones(1), A, np.array([1.0, 2]), (Zero(2),))).empty
    none = ConicProgram(np.ones(1), np.zeros((1, 1)), -np.ones(1), (Nonneg(1),))
    assert implied(none).empty
    fits = ConicProgram(np.ones(1), A, np.array([0.1, 0.1]), (Zero(2),))
    assert not implied(fits).empty


def test_feasible_points_survive_in_random_rows() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        A, x = wild(rng, 12, 4), wild(rng, 4)
        cones = (Nonneg(6), Psd(3))
        slack = np.concatenate([np.abs(wild(rng, 6)), Psd(3).identity()])
        b = A @ x + slack
        x_true = exact(x)
        off = [Fraction(float(v)) - sum(a * t for a, t in zip(exact(row), x_true, strict=True))
               for v, row in zip(b, A, strict=True)]  # fmt: skip
        far = (abs(o - Fraction(float(s))) for o, s in zip(off[6:], slack[6:], strict=True))
        if min(off[:6]) < 0 or max(far) > Fraction(1, 9):
            continue  # rounding of b made the point infeasible
        box = implied(ConicProgram(np.ones(4), A, b, cones))
        assert (box.lower <= x).all()
        assert (x <= box.upper).all()


def test_boxes_bound_products() -> None:
    box = Box(np.array([-1.0, 0, -np.inf, 2]), np.array([2.0, np.inf, np.inf, 2]))
    slope = Enclosure(np.array([-1.0, 0.5, 0, 1]), np.array([0.5, 0.25, 0, 0]))
    least = box.least(slope)
    assert least[0] <= -3
    assert math.isclose(least[0], -3)
    assert -1e-300 < least[1] <= 0
    assert least[2] == 0
    assert least[3] <= 2
    wide = box.least(Enclosure(np.array([0.0, -1e-9, 1e-20, 0]), np.full(4, 1e-12)))
    assert wide[1] == wide[2] == -np.inf


def test_packing_keeps_inner_products_and_orders_columns() -> None:
    cone = Psd(4)
    first, second = (np.add.outer(v, v) for v in np.random.default_rng(0).standard_normal((2, 4)))
    assert math.isclose(cone.pack(first) @ cone.pack(second), float((first * second).sum()))
    np.testing.assert_allclose(cone.unpack(cone.pack(first)), first, rtol=1e-15)
    row, column = cone.places()
    assert all(a <= b for a, b in pairwise(column))
    assert (row >= column).all()


@pytest.mark.parametrize("cone", [Zero(3), Nonneg(3), SecondOrder(4), Psd(3)])
def test_projections_are_nearest_members(cone: object) -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        point = rng.standard_normal(cone.rows)
        inside, polar = cone.project(point), -cone.dual().project(-point)
        np.testing.assert_allclose(inside + polar, point, atol=1e-12)  # Moreau
        assert abs(inside @ polar) < 1e-12
        moved = inside + 1e-9 * cone.identity()
        assert isinstance(cone, Zero) or cone.margin(Enclosure.exact(moved)) >= 0
        if np.abs(inside - point).max() > 1e-6:
            assert cone.margin(Enclosure.exact(point)) < 0
