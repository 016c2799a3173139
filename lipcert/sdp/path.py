r"""Following the central path of a convex program, with a bound on what is left to gain.

Maximise the first variable over a set that a barrier F describes, all variables positive, by
minimising $F - w \log x_0$ for growing weights w. Along the path the variables change by orders of
magnitude at first: there the steps are Newton's in the logarithms of all variables. Near the path
they are Newton's in the variables themselves, each followed by a step along the path's tangent.

F is a sum of -log and -log det of affine functions, of degree $\nu$ in all. A Newton step d then
gives a dual point for free, $s = -(F' + F'' d)$ in the space of those functions: it is feasible
where its decrement is below one or where x - d lies in the set, and shows for every point x' that
$x'_0 - x_0 \le (\nu + F'(x) d) / (w / x_0 (1 - d_0 / x_0))$.
Source: Nesterov, Nemirovskii, Interior-point polynomial algorithms in convex programming, 1994;
Benson, Ye, Zhang, Solving large-scale sparse semidefinite programs, SIAM J. Optim. 10 (2000).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import cho_solve, cholesky

from lipcert.sdp.maps import Array

NEAR = 2.0  # Newton decrement below which steps are linear
FAR = 6.0  # and above which they are logarithmic again
CENTRED = 1.5  # decrement below which the path is followed further
SHARE = 0.75  # of the way along the tangent to the boundary
SHRINK = 0.7
RETREAT = 0.6  # of the way to the boundary, where a step does not fit
LONGEST = 2.5  # change of any logarithm in one step
STEPS = 200
LIFTS = (0.0, 1e-14, 1e-10, 1e-6)
TANGENT = (0.98, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)

Solve = Callable[[Array], Array]


@dataclass(frozen=True, slots=True, eq=False)
class Derivatives:
    """Of a barrier at a point.

    Args:
        gradient: (variables,).
        hessian: (variables, variables), its lower triangle; it will be overwritten.
    """

    gradient: Array
    hessian: Array


class Barrier(Protocol):
    """A sum of -log and -log det of affine functions of positive variables.

    It must grow without bound towards the edge of the set, or where a variable becomes zero.
    """

    @property
    def degree(self) -> float:
        """Number of logarithms, a determinant's by its order."""
        ...

    def at(self, point: Array) -> Callable[[], Derivatives] | None:
        """What finds the derivatives at a point; None where it is not strictly in the set."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A point strictly in the set, and a bound on the first variable that no point passes.

    The bound is computed in plain floating point.
    """

    point: Array
    most: float


@dataclass(frozen=True, slots=True, eq=False)
class _Here:
    """What is known at a point, all relative to the variables there.

    Args:
        point: the variables.
        slope: gradient of the barrier.
        decrement: Newton's.
        step: Newton's.
        solve: the inverse of the Hessian that it used.
    """

    point: Array
    slope: Array
    decrement: float
    step: Array
    solve: Solve


def follow(barrier: Barrier, first: Array, gap: float) -> Iterator[Found]:
    """Points of growing first variable, until that is within a share `gap` of the largest.

    Args:
        barrier: of the set.
        first: strictly in the set.
        gap: relative; the last point may miss it where rounding or patience ends the search.
    """
    point, weight, most, near = first, barrier.degree, math.inf, False
    for _ in range(STEPS):
        yield Found(point, most)
        if most <= point[0] * (1 + gap):
            return
        here = _newton(barrier, point, weight, near)
        if near and here is not None and here.decrement > FAR:
            near, here = False, _newton(barrier, point, weight, near=False)
        if here is None:
            return
        if near:
            most = min(most, _most(barrier, here, weight))
            point, weight = _along(barrier, here, weight)
        else:
            near = here.decrement < NEAR
            point, _ = _fitted(barrier, here, near=False)


def _newton(barrier: Barrier, point: Array, weight: float, near: bool) -> _Here | None:
    """Newton's step in the variables, or in their logarithms; None where rounding prevents it."""
    derive = barrier.at(point)
    assert derive is not None, "every point of the path is in the set"
    found = derive()
    slope = point * found.gradient
    gradient = slope.copy()
    gradient[0] -= weight
    diagonal = np.zeros(len(point)) if near else slope
    if near:
        diagonal[0] = weight
    solve = _solver(found.hessian, point, diagonal)
    if solve is None:
        return None
    step = solve(-gradient)
    if not np.isfinite(step).all():
        return None
    return _Here(point, slope, math.sqrt(max(0.0, -gradient @ step)), step, solve)


def _solver(hessian: Array, point: Array, diagonal: Array) -> Solve | None:
    """Inverse of the relative Hessian plus a diagonal, lifted where that is not positive."""
    own = point**2 * np.diag(hessian)
    size = np.sqrt(own + abs(diagonal))
    hessian *= (point / size)[:, None]
    hessian *= point / size
    for lift in LIFTS:
        raised = np.maximum(diagonal, 0.0) + lift * own if lift else diagonal
        np.fill_diagonal(hessian, (own + raised) / size**2)
        try:
            root = cholesky(hessian.T, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        return lambda values: cho_solve((root, False), values / size, check_finite=False) / size
    return None


def _most(barrier: Barrier, here: _Here, weight: float) -> float:
    """Bound on the first variable by the dual point of a linear step; infinite where not one."""
    step = here.step
    if step[0] >= 1:
        return math.inf
    if here.decrement >= 1 and barrier.at(here.point * (1 - step)) is None:
        return math.inf
    more = (barrier.degree + here.slope @ step) / (weight * (1 - step[0]))
    return float(here.point[0] * (1 + more))


def _along(barrier: Barrier, here: _Here, weight: float) -> tuple[Array, float]:
    """The next point and weight: to the path, then along its tangent where that is close."""
    point, share = _fitted(barrier, here, near=True)
    if share < 1 or here.decrement >= CENTRED:
        return point, weight
    first = np.zeros(len(point))
    first[0] = weight
    tangent = here.point * here.solve(first)
    for reach in TANGENT:
        if barrier.at(point + reach * tangent) is not None:
            return point + SHARE * reach * tangent, weight / (1 - SHARE * reach)
    return point, weight


def _fitted(barrier: Barrier, here: _Here, near: bool) -> tuple[Array, float]:
    """The point at the end of a step, or well before the boundary, and the share of the step."""

    def end(share: float) -> Array:
        return here.point * (1 + share * here.step if near else np.exp(share * here.step))

    share = first = min(1.0, LONGEST / max(float(abs(here.step).max()), 1.0))
    while barrier.at(end(share)) is None:
        share *= SHRINK
    if share < first:
        share *= RETREAT
    return end(share), share
