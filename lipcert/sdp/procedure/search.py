"""The search for multipliers that prove a small bound on a goal."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lipcert.sdp.maps import Array
from lipcert.sdp.procedure.interior import Iterate, iterates
from lipcert.sdp.procedure.known import Known, Products
from lipcert.sdp.procedure.proof import Multipliers, holds
from lipcert.sdp.procedure.scaled import Scaled

log = logging.getLogger(__name__)
GAP = 1e-3  # relative, between the bound and what the relaxation cannot beat
HALF_WAY = 2.0  # times a bound's reciprocal is what that cannot pass
PATIENCE = 6  # steps that gain next to nothing
CLOSE = 0.05  # to the optimum: only there steps are expected to gain
INFLATIONS = tuple(8.0**k * 1e-12 for k in range(12))  # up to a hundredth


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands: a bound that its multipliers give, and what it cannot beat.

    Neither is proved before the search ends.
    """

    upper: float
    lower: float


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """A proved bound on a goal.

    Args:
        upper: proved; infinite where nothing was.
        relaxation_lower: no multipliers prove less, in float64 arithmetic that is not verified;
            minus infinity where unknown.
        multipliers: those that `holds` accepts; None where nothing was proved.
        inflation: relative amount that the verification added.
        interrupted: whether the user wants no more.
        course: where a search for another goal with the same products can begin.
    """

    upper: float
    relaxation_lower: float
    multipliers: Multipliers | None
    inflation: float
    interrupted: bool = False
    course: "Course | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What is left of a search.

    Args:
        program: its goal reads every input direction that a later one does.
        half: where it was half way to the optimum; None if it never was.
        worth: what a later bound is a part of: it may miss its optimum by a share of that.
    """

    program: Scaled
    half: Iterate | None
    worth: float = 0.0


NOTHING = Proof(math.inf, -math.inf, None, math.inf)
Watch = Callable[[Progress], None]


def search(
    known: Known,
    goal: Products,
    unit: float,
    limit_seconds: float,
    watch: Watch,
    course: Course | None = None,
) -> Proof:
    """A proved upper bound on the sum of the goal's products over all points.

    Args:
        known: of the points.
        goal: whose sum is not negative at some point: the bound is never below zero.
        unit: about the size of that sum.
        limit_seconds: after which the best multipliers so far are proved; a KeyboardInterrupt
            does the same.
        watch: told after every step.
        course: of an earlier search with the same products.
    """
    with np.errstate(all="ignore"):  # what overflows is no proof: `holds` asks for finite numbers
        if course is None:
            program = Scaled.of(known, goal, unit)
        else:
            program = course.program.aimed(goal, unit)
        if not program.usable:
            return NOTHING
        walk = _Walk(program, course)
        walk.follow(limit_seconds, watch)
        proof = _proved(known, goal, program, walk.points, walk.least)
    return replace(proof, interrupted=walk.interrupted, course=Course(program, walk.half))


class _Walk:
    """The points of a search, what the relaxation cannot beat, whether the user stopped it."""

    def __init__(self, program: Scaled, course: Course | None) -> None:
        """Not a step taken."""
        self.program, self.points, self.values = program, list[Array](), list[float]()
        self.near, self.worth = (None, 0.0) if course is None else (course.half, course.worth)
        self.half: Iterate | None = None
        self.least, self.interrupted = -math.inf, False

    def follow(self, limit_seconds: float, watch: Watch) -> None:
        """Until it is near enough, or has to end."""
        end = time.perf_counter() + limit_seconds
        try:
            for found in iterates(self.program, self.near):
                self._count(found)
                watch(Progress(self.values[-1], self.least))
                if self.enough or time.perf_counter() > end:
                    break
        except KeyboardInterrupt:
            log.info("interrupted: the best multipliers so far are proved")
            self.interrupted = True
        except np.linalg.LinAlgError:
            log.info("the search for multipliers ended: a factorisation failed")

    def _count(self, found: Iterate) -> None:
        """One more point; what the relaxation cannot beat may be wrong at first: it settles."""
        self.points.append(found.point)
        self.values.append(self.program.value(found.point))
        self.least = self.program.unit / found.most
        if self.half is None and found.most <= HALF_WAY * found.point[0]:
            self.half = found

    @property
    def enough(self) -> bool:
        """Whether little is left to gain, or little was gained by the last steps near the end."""
        little = GAP * max(self.least, self.worth)
        if self.values[-1] - self.least <= little:
            return True
        before, lately = self.values[:-PATIENCE], self.values[-PATIENCE:]
        stands = bool(before) and min(lately) > min(before) - little / 2
        return stands and self.values[-1] - self.least <= CLOSE * max(self.least, self.worth)


def _proved(
    known: Known, goal: Products, program: Scaled, found: list[Array], least: float
) -> Proof:
    """The least that is proved, each point raised on a geometric grid until it passes.

    The last ones may lie too near to the boundary for the rounding of their own verification.
    """
    best = NOTHING
    for point in reversed(found):
        value, multipliers = program.value(point), program.multipliers(point)
        for inflation in INFLATIONS:
            raised = value * (1 + inflation)
            if raised >= best.upper:
                break
            lifted = Multipliers(multipliers.ball * (1 + inflation / 2), multipliers.products)
            if holds(known, goal, lifted, raised):
                best = Proof(raised, least, lifted, inflation)
                break
        if value >= best.upper:
            break
    return best
