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
from scipy.linalg import get_lapack_funcs

from lipcert.sdp.maps import Array

NEAR = 4.0  # Newton decrement below which steps are linear
FAR = 6.0  # and above which they are logarithmic again
CENTRED = 1.0  # decrement below which the path is followed further
SHARE = 0.85  # of the way along the tangent to the boundary
USUAL = 1.5  # over the decrement: the share of a long step that does most
SHRINK = 0.7
RETREAT = 0.6  # of the way to the boundary at most
STRETCHES = 12  # of a share by SHRINK
LEAST = 1e-12  # share of a step below which there is none
FIRST = 1.0  # weight of the objective per degree of the barrier, at first
SAFE = 0.9  # decrement below which a linear step stays away from the boundary
LONGEST = 2.5  # change of any logarithm in one step
STEPS = 200
LIFTS = (0.0, 1e-14, 1e-10, 1e-6)
ENOUGH = 1.2  # times the weight at which a point on the path is near enough
TANGENT = (0.84, 0.75, 0.68, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
USUALLY = 3  # place among them

potrf, potrs = get_lapack_funcs(("potrf", "potrs"), dtype=np.float64)
Solve = Callable[[Array], Array]


@dataclass(frozen=True, slots=True, eq=False)
class Derivatives:
    """Of a barrier at a point.

    Args:
        gradient: (variables,).
        hessian: (variables, variables), its lower triangle; it will be overwritten, so that it
            must be another array every time.
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
    """A point of the search, the weight of its objective, and how far tangents reach there."""

    point: Array
    place: Place
    weight: float
    rung: int = USUALLY

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


@dataclass(frozen=True, slots=True, eq=False)
class _After:
    """Where a share of a step ends."""

    stand: _Stand
    share: float


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
        centred = step.linear and step.decrement < CENTRED and after.share >= 1
        enough = ENOUGH * barrier.degree / gap
        further = centred and here.weight < enough
        here = _along(barrier, after.stand, here, step, enough) if further else after.stand


def _newton(here: _Stand, linear: bool) -> _Step | None:
    """Newton's step in the variables, or in their logarithms; None where rounding prevents it."""
    for lift in LIFTS:
        found = here.place.derive()
        slope = here.point * found.gradient
        gradient = slope.copy()
        gradient[0] -= here.weight
        diagonal = np.zeros(len(slope)) if linear else slope
        if linear:
            diagonal[0] = here.weight
        solve = _solver(found.hessian, here.point, diagonal, lift)
        if solve is not None:
            change = solve(-gradient)
            if not np.isfinite(change).all():
                return None
            return _Step(linear, slope, math.sqrt(max(0.0, -gradient @ change)), change, solve)
    return None


def _solver(hessian: Array, point: Array, diagonal: Array, lift: float) -> Solve | None:
    """Inverse of the relative Hessian plus a diagonal, lifted by a share of its own."""
    own = point**2 * np.diag(hessian)
    size = np.sqrt(own + abs(diagonal))
    hessian *= (point / size)[:, None]
    hessian *= point / size
    raised = np.maximum(diagonal, 0.0) + lift * own if lift else diagonal
    np.fill_diagonal(hessian, (own + raised) / size**2)
    root, failed = potrf(hessian.T, lower=0, clean=0, overwrite_a=1)
    if failed:
        return None
    return lambda values: potrs(root, values / size)[0] / size


def _most(barrier: Barrier, here: _Stand, step: _Step) -> float:
    """Bound on the first variable by the dual point of a linear step; infinite where not one."""
    change = step.change
    if change[0] >= 1:
        return math.inf
    if step.decrement >= 1 and barrier.at(here.point * (1 - change)) is None:
        return math.inf
    more = (barrier.degree + step.slope @ change) / (here.weight * (1 - change[0]))
    return float(here.point[0] * (1 + more))


def _after(barrier: Barrier, here: _Stand, step: _Step) -> _After | None:
    """The end of the share of a step, away from the boundary, where the merit is about lowest.

    Variables that are far too near the boundary double with every step of Newton's: where those
    are what is left, several steps' length is the better one.
    """
    if step.linear and step.decrement < SAFE:
        found = _stand(barrier, here, step, 1.0)
        return None if found is None else _After(found, 1.0)
    longest = max(float(abs(step.change).max()) / LONGEST, step.decrement / USUAL, 1.0)
    first = _reached(barrier, here, step, 1 / longest)
    if first is None:
        return None
    found = _stretched(barrier, here, step, first, 1 / SHRINK)
    if found is first:
        found = _stretched(barrier, here, step, first, SHRINK)
    return found if found.stand.merit < here.merit else None


def _reached(barrier: Barrier, here: _Stand, step: _Step, share: float) -> _After | None:
    """The end of a share of a step that stays away from the boundary."""
    while barrier.at(step.end(here.point, share / RETREAT)) is None:
        share *= SHRINK
        if share < LEAST:
            return None
    found = _stand(barrier, here, step, share)
    return None if found is None else _After(found, share)


def _stretched(barrier: Barrier, here: _Stand, step: _Step, found: _After, factor: float) -> _After:
    """The end of a share that is longer or shorter, as long as the merit falls."""
    for _ in range(STRETCHES):
        share = found.share * factor
        if not step.linear and share * float(abs(step.change).max()) > LONGEST:
            break
        inside = factor < 1 or barrier.at(step.end(here.point, share / RETREAT)) is not None
        other = _stand(barrier, here, step, share) if inside else None
        if other is None or other.merit >= found.stand.merit:
            break
        found = _After(other, share)
    return found


def _stand(barrier: Barrier, here: _Stand, step: _Step, share: float) -> _Stand | None:
    point = step.end(here.point, share)
    place = barrier.at(point)
    return None if place is None else _Stand(point, place, here.weight, here.rung)


def _along(barrier: Barrier, end: _Stand, here: _Stand, step: _Step, enough: float) -> _Stand:
    """Further along the path's tangent, with the weight that belongs there."""
    first = np.zeros(len(here.point))
    first[0] = here.weight
    tangent = here.point * step.solve(first)
    rung = _rung(barrier, end.point, tangent, here.rung)
    reach = min(SHARE * TANGENT[rung], 1 - here.weight / enough)
    point = end.point + reach * tangent
    place = barrier.at(point)
    return end if place is None else _Stand(point, place, here.weight / (1 - reach), rung)


def _rung(barrier: Barrier, point: Array, tangent: Array, guess: int) -> int:
    """Which is the longest share of a tangent that stays in the set."""

    def inside(rung: int) -> bool:
        return barrier.at(point + TANGENT[rung] * tangent) is not None

    if inside(guess):
        while guess > 0 and inside(guess - 1):
            guess -= 1
        return guess
    while guess < len(TANGENT) - 1 and not inside(guess + 1):
        guess += 1
    return min(guess + 1, len(TANGENT) - 1)
