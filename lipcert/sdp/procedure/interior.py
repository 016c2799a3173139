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
from lipcert.sdp.procedure.scaled import Scaled, start

STEPS = 80
FIRST, SECOND = 0.95, 0.9  # share of the way to the boundary, of predictor and corrector
LIFTS = (0.0, 1e-14, 1e-12, 1e-10, 1e-8)

Solve = Callable[[Array], Array]


@dataclass(frozen=True, slots=True, eq=False)
class Iterate:
    """A strictly feasible point, and what t cannot pass.

    By weak duality t is at most X_00 where the moments meet their equations; what they miss them
    by is weighed with the present point, so that `most` settles with it.
    """

    point: Array
    most: float


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


def iterates(program: Scaled) -> Iterator[Iterate]:
    """Points of growing t, from a start that is always there, until rounding ends the search."""
    here = _first(program)
    goal = np.zeros(program.variables)
    goal[0] = 1
    for _ in range(STEPS):
        left = goal - (program.against(here.moments) - here.own)
        yield Iterate(here.point, float(here.moments[0, 0] + abs(left) @ here.point))
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
    """tr(A_i X A_j Z^{-1}) for all pairs of variables, A_i the symmetrised products."""
    F, G = program.first, program.second
    A, B = F @ moments, G @ moments
    C, D = F @ inverse, G @ inverse
    mixed, other = A @ G.T, C @ G.T
    rows = mixed.T * other + mixed * other.T
    rows += (B @ G.T) * (C @ F.T)
    rows += (A @ F.T) * (D @ G.T)
    rows = (rows + rows.T) / 8
    inner = slice(1, 1 + program.inputs)
    ball = A[:, 0] * D[:, 0] + B[:, 0] * C[:, 0]
    ball -= (A[:, inner] * D[:, inner] + B[:, inner] * C[:, inner]).sum(1)
    ball /= 2
    goals = program.goals
    matrix = np.empty((program.variables, program.variables))
    matrix[2:, 2:] = rows[goals:, goals:]
    matrix[0, 0] = rows[:goals, :goals].sum()
    matrix[2:, 0] = matrix[0, 2:] = rows[goals:, :goals].sum(1)
    matrix[2:, 1] = matrix[1, 2:] = ball[goals:]
    matrix[1, 0] = matrix[0, 1] = ball[:goals].sum()
    corner = moments[0, 0] * inverse[0, 0] - 2 * moments[0, inner] @ inverse[0, inner]
    matrix[1, 1] = corner + (moments[inner, inner] * inverse[inner, inner]).sum()
    return matrix


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
