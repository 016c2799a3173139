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
CENTRED = 1.0  # decrement below which the path is followed further
SHARE = 0.75  # of the way along the tangent to the boundary
SHRINK = 0.8
RETREAT = 0.6  # of the way to the boundary at most
LEAST = 1e-12  # share of a step below which there is none
FIRST = 0.1  # weight of the objective per degree of the barrier, at first
STRETCHES = 12  # halvings or doublings of a step
SAFE = 0.9  # decrement below which a linear step stays away from the boundary
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


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A barrier at a point: its value, and what finds its derivatives."""

    value: float
    derive: Callable[[], Derivatives]


class Barrier(Protocol):
    """A sum of -log and -log det of affine functions of positive variables.

    It must grow without bound towards the edge of the set, or where a variable becomes zero.
    """

    @property
    def degree(self) -> float:
        """Number of logarithms, a determinant's by its order."""
        ...

    def at(self, point: Array) -> Place | None:
        """The barrier at a point; None where that is not strictly in the set."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A point strictly in the set, and a bound on the first variable that no point passes.

    The bound is computed in plain floating point.
    """

    point: Array
    most: float


@dataclass(frozen=True, slots=True, eq=False)
class _Stand:
    """A point of the search and the weight of its objective."""

    point: Array
    place: Place
    weight: float

    @property
    def merit(self) -> float:
        """What the path minimises."""
        return self.place.value - self.weight * math.log(self.point[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """Newton's step from a point, all relative to the variables there.

    Args:
        linear: whether in the variables, not in their logarithms.
        slope: gradient of the barrier.
        decrement: Newton's.
        change: of the variables or of their logarithms.
        solve: the inverse of the Hessian that it used.
    """

    linear: bool
    slope: Array
    decrement: float
    change: Array
    solve: Solve

    def end(self, point: Array, share: float) -> Array:
        """After a share of the step."""
        moved = share * self.change
        return point * (1 + moved) if self.linear else point * np.exp(moved)


def follow(barrier: Barrier, first: Array, gap: float) -> Iterator[Found]:
    """Points of growing first variable, until that is within a share `gap` of the largest.

    Args:
        barrier: of the set.
        first: strictly in the set.
        gap: relative; the last point may miss it where rounding or patience ends the search.
    """
    place = barrier.at(first)
    assert place is not None, "the first point is in the set"
    here, most, near = _Stand(first, place, max(1.0, FIRST * barrier.degree)), math.inf, False
    for _ in range(STEPS):
        yield Found(here.point, most)
        if most <= here.point[0] * (1 + gap):
            return
        step = _newton(here, near)
        if near and step is not None and step.decrement > FAR:
            step = _newton(here, linear=False)
        if step is None:
            return
        if step.linear:
            most = min(most, _most(barrier, here, step))
        near = step.decrement < (FAR if step.linear else NEAR)
        after = _after(barrier, here, step)
        if after is None:
            return
        stand, share = after
        centred = step.linear and step.decrement < CENTRED and share >= 1
        here = _along(barrier, stand, here, step) if centred else stand


def _newton(here: _Stand, linear: bool) -> _Step | None:
    """Newton's step in the variables, or in their logarithms; None where rounding prevents it."""
    found = here.place.derive()
    slope = here.point * found.gradient
    gradient = slope.copy()
    gradient[0] -= here.weight
    diagonal = np.zeros(len(slope)) if linear else slope
    if linear:
        diagonal[0] = here.weight
    solve = _solver(found.hessian, here.point, diagonal)
    if solve is None:
        return None
    change = solve(-gradient)
    if not np.isfinite(change).all():
        return None
    return _Step(linear, slope, math.sqrt(max(0.0, -gradient @ change)), change, solve)


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


def _most(barrier: Barrier, here: _Stand, step: _Step) -> float:
    """Bound on the first variable by the dual point of a linear step; infinite where not one."""
    change = step.change
    if change[0] >= 1:
        return math.inf
    if step.decrement >= 1 and barrier.at(here.point * (1 - change)) is None:
        return math.inf
    more = (barrier.degree + step.slope @ change) / (here.weight * (1 - change[0]))
    return float(here.point[0] * (1 + more))


def _after(barrier: Barrier, here: _Stand, step: _Step) -> tuple[_Stand, float] | None:
    """The end of a step, away from the boundary, where the merit is lowest; with its share.

    Variables that are far too near the boundary double with every step of Newton's: where those
    are what is left, several steps' length is the better one.
    """
    first = min(1.0, LONGEST / max(float(abs(step.change).max()), 1.0))
    found = _reached(barrier, here, step, first)
    if found is None or (step.linear and step.decrement < SAFE):
        return found
    if step.linear and found[1] == first:
        found = _stretched(barrier, here, step, found, 2.0)
    if found[1] <= first:
        found = _stretched(barrier, here, step, found, 0.5)
    return found if found[0].merit < here.merit else None


def _stretched(
    barrier: Barrier, here: _Stand, step: _Step, found: tuple[_Stand, float], factor: float
) -> tuple[_Stand, float]:
    """The end of a share that is longer or shorter, as long as the merit falls."""
    for _ in range(STRETCHES):
        share = found[1] * factor
        inside = factor < 1 or barrier.at(step.end(here.point, share / RETREAT)) is not None
        other = _stand(barrier, here, step, share) if inside else None
        if other is None or other.merit >= found[0].merit:
            break
        found = other, share
    return found


def _reached(
    barrier: Barrier, here: _Stand, step: _Step, first: float
) -> tuple[_Stand, float] | None:
    """The end of a share of a step that stays away from the boundary."""
    margin = 1.0 if step.linear and step.decrement < SAFE else RETREAT
    reach = first / margin
    while barrier.at(step.end(here.point, reach)) is None:
        reach *= SHRINK
        if reach < LEAST:
            return None
    share = min(first, reach * margin)
    stand = _stand(barrier, here, step, share)
    return None if stand is None else (stand, share)


def _stand(barrier: Barrier, here: _Stand, step: _Step, share: float) -> _Stand | None:
    point = step.end(here.point, share)
    place = barrier.at(point)
    return None if place is None else _Stand(point, place, here.weight)


def _along(barrier: Barrier, end: _Stand, here: _Stand, step: _Step) -> _Stand:
    """Further along the path's tangent, with the weight that belongs there."""
    first = np.zeros(len(here.point))
    first[0] = here.weight
    tangent = here.point * step.solve(first)
    for reach in TANGENT:
        if barrier.at(end.point + reach * tangent) is not None:
            point = end.point + SHARE * reach * tangent
            place = barrier.at(point)
            if place is not None:
                return _Stand(point, place, here.weight / (1 - SHARE * reach))
    return end
