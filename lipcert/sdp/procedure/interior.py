r"""A primal-dual interior-point method for programs whose matrices are sums of a few products.

Iterates keep Z positive, so each of them is a bound; X is what Z is the multiplier of, the second
moments of points in the relaxation. The Schur complement $tr(A_i X A_j Z^{-1})$ comes from
products of forms with X and Z^{-1}. Barriers alone wander far from the central path here: measured
on a digits network, 30 steps instead of several hundred.
Source: Helmberg, Rendl, Vanderbei, Wolkowicz, An interior-point method for semidefinite
programming, SIAM J. Optim. 6 (1996), with Mehrotra's predictor and corrector.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, eigvalsh, solve_triangular

from lipcert.sdp.maps import Array
from lipcert.sdp.procedure.scaled import Scaled, start, with_goal

STEPS = 80
FIRST, SECOND = 0.95, 0.9  # share of the way to the boundary, of predictor and corrector
BLOCK = 192  # rows of the Schur complement at a time
CLOSE = 0.9  # of the largest t that another goal's multipliers allow
LIFTS = (0.0, 1e-14, 1e-12, 1e-10, 1e-8)

Solve = Callable[[Array], Array]


@dataclass(frozen=True, slots=True, eq=False)
class Iterate:
    """A strictly feasible point, and what t cannot pass.

    By weak duality t is at most X_00 where the moments meet their equations; what they miss them
    by is weighed with the present point, so that `most` settles with it.

    Args:
        point: the variables.
        most: in float64 arithmetic.
        moments: X, and x of the variables: where a search for another goal can begin.
    """

    point: Array
    most: float
    moments: tuple[Array, Array]


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Z of a point with its factor and inverse; moments X of matrices and x of variables."""

    point: Array
    slack: Array
    root: Array
    inverse: Array
    moments: Array
    own: Array

    @property
    def gap(self) -> float:
        """Mean complementarity."""
        total = float((self.moments * self.slack).sum() + self.own @ self.point)
        return total / (len(self.slack) + len(self.point))


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """A direction: of the point, of Z, of X and of x."""

    point: Array
    slack: Array
    moments: Array
    own: Array


def iterates(program: Scaled, near: Iterate | None = None) -> Iterator[Iterate]:
    """Points of growing t until rounding ends the search.

    Args:
        program: to be solved.
        near: half way to another goal's optimum; by default a start that is always there.
    """
    here = _beside(program, near) or _first(program)
    goal = np.zeros(program.variables)
    goal[0] = 1
    for _ in range(STEPS):
        left = goal - (program.against(here.moments) - here.own)
        most = float(here.moments[0, 0] + abs(left) @ here.point)
        yield Iterate(here.point, most, (here.moments, here.own))
        solve = _solver(program, here)
        found = None if solve is None else _advanced(program, here, goal, solve)
        if found is None:
            return
        here = found


def _first(program: Scaled) -> _Pair:
    """On a central path of its own: X a multiple of the inverse of Z."""
    point = start(program)
    slack = program.slack(point)
    root = cholesky(slack, lower=True)
    inverse = _inverse(root)
    size = float(program.against(inverse)[0])
    return _Pair(point, slack, root, inverse, inverse / size, 1 / (point * size))


def _beside(program: Scaled, near: Iterate | None) -> _Pair | None:
    """Where the search for another goal was, at this goal."""
    point = None if near is None else with_goal(program, near.point, CLOSE)
    if near is None or point is None:
        return None
    slack = program.slack(point)
    root = cholesky(slack, lower=True)
    return _Pair(point, slack, root, _inverse(root), *near.moments)


def _advanced(program: Scaled, here: _Pair, goal: Array, solve: Solve) -> _Pair | None:
    """After a predictor and a corrector; None where rounding prevents a step."""
    step = _direction(program, here, goal, solve, (0.0, None))
    lengths = _lengths(here, step, FIRST)
    if lengths is None:
        return None
    primal, dual = lengths
    after = (here.moments + primal * step.moments) * (here.slack + dual * step.slack)
    own = (here.own + primal * step.own) @ (here.point + dual * step.point)
    reached = float(after.sum() + own) / (len(here.slack) + len(here.point))
    centre = min(1.0, max(1e-3, (reached / here.gap) ** 2)) if min(lengths) > 0.1 else 0.5
    step = _direction(program, here, goal, solve, (centre, step))
    lengths = _lengths(here, step, SECOND)
    if lengths is None or not np.isfinite(step.point).all():
        return None
    primal, dual = lengths
    point = here.point + dual * step.point
    slack = program.slack(point)
    try:
        root = cholesky(slack, lower=True)
    except np.linalg.LinAlgError:
        return None
    moments, own = here.moments + primal * step.moments, here.own + primal * step.own
    return _Pair(point, slack, root, _inverse(root), moments, own)


def _direction(
    program: Scaled, here: _Pair, goal: Array, solve: Solve, aim: tuple[float, _Step | None]
) -> _Step:
    """Towards a share of the present gap, with or without the second-order term of a predictor."""
    centre, before = aim[0] * here.gap, aim[1]
    product = np.zeros_like(here.slack)
    own = np.zeros_like(here.point)
    if before is not None:
        product = before.moments @ before.slack @ here.inverse
        own = before.own * before.point / here.point
    right = goal - centre * (program.against(here.inverse) - 1 / here.point)
    point = solve(right + program.against((product + product.T) / 2) - own)
    slack = -program.image(point)
    moments = centre * here.inverse - here.moments - product
    moments -= here.moments @ slack @ here.inverse
    moved = centre / here.point - here.own - own - here.own * point / here.point
    return _Step(point, slack, (moments + moments.T) / 2, moved)


def _solver(program: Scaled, here: _Pair) -> Solve | None:
    """Inverse of the Schur complement, lifted where rounding made it indefinite."""
    matrix = schur(program, here.moments, here.inverse)
    inner = np.arange(len(matrix))
    matrix[inner, inner] += here.own / here.point
    size = np.sqrt(np.diag(matrix))
    if not (np.isfinite(size).all() and (size > 0).all()):
        return None
    matrix /= size[:, None]
    matrix /= size
    for lift in LIFTS:
        matrix[inner, inner] += lift
        try:
            done = cho_factor(matrix, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        return lambda values: cho_solve(done, values / size, check_finite=False) / size
    return None


def schur(program: Scaled, moments: Array, inverse: Array) -> Array:
    """tr(A_i X A_j Z^{-1}) for all pairs of variables i >= j, A_i the symmetrised products."""
    F, G = program.first, program.second
    A, B = F @ moments, G @ moments
    C, D = F @ inverse, G @ inverse
    inner = slice(1, 1 + program.inputs)
    ball = A[:, 0] * D[:, 0] + B[:, 0] * C[:, 0]
    ball -= (A[:, inner] * D[:, inner] + B[:, inner] * C[:, inner]).sum(1)
    ball /= 2
    goals, size = program.goals, len(F)
    matrix = np.zeros((program.variables, program.variables))
    own = _paired((F, G), (A, B, C, D), slice(0, goals), slice(0, goals))
    matrix[0, 0] = own.sum()
    for first in range(goals, size, BLOCK):
        rows = slice(first, min(first + BLOCK, size))
        place = slice(rows.start - goals + 2, rows.stop - goals + 2)
        matrix[place, 0] = _paired((F, G), (A, B, C, D), rows, slice(0, goals)).sum(1)
        columns = slice(goals, rows.stop)
        matrix[place, 2 : place.stop] = _paired((F, G), (A, B, C, D), rows, columns)
    matrix[2:, 1] = ball[goals:]
    matrix[1, 0] = ball[:goals].sum()
    corner = moments[0, 0] * inverse[0, 0] - 2 * moments[0, inner] @ inverse[0, inner]
    matrix[1, 1] = corner + (moments[inner, inner] * inverse[inner, inner]).sum()
    return matrix


def _paired(
    forms: tuple[Array, Array], images: tuple[Array, Array, Array, Array], i: slice, j: slice
) -> Array:
    """Of products i with products j; images are those of both forms under X and under Z^{-1}."""
    (F, G), (A, B, C, D) = forms, images
    found = (A[i] @ G[j].T) * (D[i] @ F[j].T)
    found += (B[i] @ F[j].T) * (C[i] @ G[j].T)
    found += (B[i] @ G[j].T) * (C[i] @ F[j].T)
    found += (A[i] @ F[j].T) * (D[i] @ G[j].T)
    return found / 4


def _lengths(here: _Pair, step: _Step, share: float) -> tuple[float, float] | None:
    """Steps of X and of Z that stay inside, at most one; None where X is lost to rounding."""
    try:
        root = cholesky(here.moments, lower=True)
    except np.linalg.LinAlgError:
        return None
    primal = min(_reach(root, step.moments), _share(here.own, step.own))
    dual = min(_reach(here.root, step.slack), _share(here.point, step.point))
    return min(1.0, share * primal), min(1.0, share * dual)


def _reach(root: Array, step: Array) -> float:
    """Largest multiple of a step that keeps a matrix with this factor nonnegative."""
    half = solve_triangular(root, step, lower=True)
    least = float(eigvalsh(solve_triangular(root, half.T, lower=True))[0])
    return math.inf if least >= 0 else -1 / least


def _share(values: Array, step: Array) -> float:
    falling = step < 0
    return float((values[falling] / -step[falling]).min(initial=math.inf))


def _inverse(root: Array) -> Array:
    return cho_solve((root, True), np.eye(len(root)))
