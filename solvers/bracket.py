"""What is proved of a program's optimum, from the program and an untrusted candidate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import LinAlgError

from solvers.array import Vector
from solvers.box import Box, implied
from solvers.candidate import Candidate
from solvers.cones import Zero
from solvers.errors import BadProgram, Contradiction
from solvers.nearby import correction
from solvers.program import ConicProgram
from solvers.repair import Proposal, Repair, finite
from solvers.rounding import Enclosure, dot, product

CLOSE = 1e-9  # relative: what a further repair could gain is not worth its time
STEPS = 60  # binary orders of magnitude that a step towards the interior is searched over


@dataclass(frozen=True, slots=True)
class Bracket:
    """Proved: lower <= optimum <= upper; a side that is not proved is infinite.

    The optimum of an infeasible program is plus infinity, so `lower` is plus infinity where
    infeasibility is proved.
    """

    lower: float
    upper: float

    @property
    def gap(self) -> float:
        """Width, infinite unless both sides are proved."""
        return self.upper - self.lower if np.isfinite([self.lower, self.upper]).all() else np.inf

    def intersect(self, other: "Bracket") -> "Bracket":
        """Both are proved, so is what they have in common."""
        return Bracket(max(self.lower, other.lower), min(self.upper, other.upper))

    @property
    def infeasible(self) -> bool:
        """Whether no point is feasible, proved."""
        return self.lower == np.inf


def bracket(
    program: ConicProgram,
    candidate: Candidate,
    *,
    box: Box | None = None,
    interior: Vector | None = None,
    direction: Vector | None = None,
) -> Bracket:
    r"""Bounds of the optimum that hold whatever the candidate claims.

    Upper: c'x of a point x near the candidate's that is proved feasible; equations and active
    rows hold exactly at some point within a proved distance. Lower: for z in the dual cone,
    $c'x \ge -b'z + \min_{x \in \text{box}} (c + A'z)'x$; or, without a box, $-b'z$ for an exact
    solution of A'z + c = 0 near the candidate's z that is proved to lie in the dual cone.

    Args:
        program: its data are taken as exact.
        candidate: anything; arrays of wrong shape or with NaN prove nothing.
        box: known by the caller to hold an optimal x; what the rows imply is found without it.
        interior: a strictly feasible x, (variables,), to move towards where x is infeasible.
        direction: d with -A d inside K, (variables,), to move along where x is infeasible.

    Raises:
        BadProgram: if box, interior or direction do not fit the program.
        Contradiction: if the box given excludes the optimum.

    Source:
        C. Jansson, D. Chaykin, C. Keil, Rigorous error bounds for the optimal value in
        semidefinite programming, SIAM J. Numer. Anal. 46 (2007); upper bounds by a nearest exact
        solution instead of interval linear systems.
    """
    hints = _checked(program, interior, "interior"), _checked(program, direction, "direction")
    if box is not None and box.lower.size != program.variables:
        raise BadProgram(
            f"bracket: box has {box.lower.size} variables, expected {program.variables}"
        )
    with np.errstate(all="ignore"):
        known = implied(program)
        if known.empty:
            return Bracket(np.inf, np.inf)
        known = known if box is None else known.intersect(box)
        repair = Repair(program, *finite(candidate, program))
        upper = _best_upper(repair, *hints)
        lower = _best_lower(repair, known, upper)
    if lower > upper:
        raise Contradiction(
            f"bracket: proved lower bound {lower} above proved upper bound {upper}: the box given "
            "holds no optimal x; widen it"
        )
    return Bracket(lower, upper)


@np.errstate(all="ignore")
def proved_upper(program: ConicProgram, proposal: Proposal) -> float:
    """The cost of an exact feasible point near the proposal; infinite without a proof of one."""
    held = proposal.exact | program.of_kind(Zero)
    off = program.slack(Enclosure.exact(proposal.point)).take(held).magnitude
    away = correction(program.A[held], off)
    if away is None:
        return np.inf
    near = Enclosure(proposal.point, away)
    slack = program.slack(near)
    slack = Enclosure(np.where(held, 0.0, slack.value), np.where(held, 0.0, slack.error))
    if all(cone.margin(slack.take(rows)) >= 0 for cone, rows in program.blocks()):
        return _known(float(dot(program.c, near).upper[0]), np.inf)
    return np.inf


@np.errstate(all="ignore")
def lower_in_box(program: ConicProgram, proposal: Proposal, box: Box) -> float:
    """By any point of the dual cone: z plus what it lacks, and the reduced costs over the box."""
    point, lacking = Enclosure.exact(proposal.point), np.zeros_like(proposal.point)
    for cone, rows in program.blocks():
        dual = cone.dual()
        lacking[rows] = max(0.0, -dual.margin(point.take(rows))) * dual.identity()
    if not np.isfinite(lacking).all():
        return -np.inf
    shift = Enclosure.exact(lacking)
    reduced = program.reduced_cost(point).plus(product(program.A.T, shift))
    least = dot(np.ones(program.variables), Enclosure.exact(box.least(reduced)))
    value = least.minus(dot(program.b, point)).minus(dot(program.b, shift))
    return _known(float(value.lower[0]), -np.inf)


@np.errstate(all="ignore")
def lower_nearby(program: ConicProgram, proposal: Proposal, _box: Box) -> float:
    """By an exact solution of A'z + c = 0 that differs from the proposal in movable entries."""
    point, movable = proposal.point, proposal.exact
    off = program.reduced_cost(Enclosure.exact(point)).magnitude
    away = correction(program.A[movable].T.tocsc(), off)
    if away is None:
        return -np.inf
    move = np.zeros_like(point)
    move[movable] = away
    near = Enclosure(point, move)
    if all(cone.dual().margin(near.take(rows)) >= 0 for cone, rows in program.blocks()):
        return _known(-float(dot(program.b, near).upper[0]), -np.inf)
    return -np.inf


def _best_upper(repair: Repair, interior: Vector | None, direction: Vector | None) -> float:
    """The candidate's own x if proved, else the least over the ways to repair it."""

    def proved(proposal: Proposal) -> float:
        return proved_upper(repair.program, proposal)

    found = _first(repair.primal(), proved, np.inf)
    if found < np.inf:
        return found
    found = _first(repair.primal_centred(), proved, np.inf)

    def at(start: Vector, step: Vector) -> Callable[[float], float]:
        return lambda size: _first(repair.primal_at(start + size * step), proved, np.inf)

    x = repair.x
    if interior is not None:
        start = interior if x is None else x
        found = min(found, _least_step(at(start, interior - start), 0))
    if direction is not None and x is not None:
        found = min(found, _least_step(at(x, direction), STEPS // 3))
    return found


def _best_lower(repair: Repair, box: Box, upper: float) -> float:
    """The best over the ways to repair z, until one is as good as the candidate claims."""
    program, best = repair.program, -np.inf
    for proposals in (repair.dual(), repair.dual_centred()):
        for proposal in _tried(proposals):
            claim = min(-float(program.b @ proposal.point), upper)
            for value in (lower_in_box, lower_nearby):
                best = max(best, value(program, proposal, box))
                if best >= claim - CLOSE * (1 + abs(claim)):
                    return best
    if upper == np.inf and repair.z is not None:
        every = np.ones(program.rows, np.bool_)
        none = replace(program, c=np.zeros(program.variables))
        ray = Proposal(repair.z, every)
        if lower_in_box(none, ray, box) > 0 or lower_nearby(none, ray, box) > 0:
            return np.inf
    return best


def _first(
    proposals: Iterator[Proposal], proved: Callable[[Proposal], float], default: float
) -> float:
    return next((v for v in map(proved, _tried(proposals)) if v < np.inf), default)


def _tried(proposals: Iterator[Proposal]) -> Iterator[Proposal]:
    """Proposals until a linear system cannot be solved: then there are no more."""
    try:
        yield from proposals
    except LinAlgError:
        return


def _least_step(value_at: Callable[[float], float], largest: int) -> float:
    """Value at the smallest power of two that proves anything, by bisection of the exponent."""
    good, bad = largest, largest - STEPS
    best = value_at(2.0**good)
    while best < np.inf and good - bad > 1:
        middle = (good + bad) // 2
        value = value_at(2.0**middle)
        if value < np.inf:
            best, good = min(best, value), middle
        else:
            bad = middle
    return best


def _known(bound: float, unknown: float) -> float:
    """NaN, what is left of an overflow, taken for what it is: no bound."""
    return unknown if np.isnan(bound) else bound


def _checked(program: ConicProgram, hint: Vector | None, name: str) -> Vector | None:
    if hint is None:
        return None
    values = np.asarray(hint, np.float64)
    if values.shape != (program.variables,) or not np.isfinite(values).all():
        raise BadProgram(
            f"bracket: {name} has shape {values.shape}; expected ({program.variables},) and "
            "finite numbers"
        )
    return values
