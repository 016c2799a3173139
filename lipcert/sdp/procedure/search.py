"""The search for multipliers that prove a small bound on a goal."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lipcert.sdp.procedure.interior import Iterate, iterates
from lipcert.sdp.procedure.known import Known, Products
from lipcert.sdp.procedure.proof import Multipliers, holds
from lipcert.sdp.procedure.scaled import Scaled

log = logging.getLogger(__name__)
GAP = 2e-4  # relative, between the bound and what the relaxation cannot beat
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
    """

    upper: float
    relaxation_lower: float
    multipliers: Multipliers | None
    inflation: float
    interrupted: bool = False


NOTHING = Proof(math.inf, -math.inf, None, math.inf)
Watch = Callable[[Progress], None]


def search(known: Known, goal: Products, unit: float, limit_seconds: float, watch: Watch) -> Proof:
    """A proved upper bound on the sum of the goal's products over all points.

    Args:
        known: of the points.
        goal: whose sum is not negative at some point: the bound is never below zero.
        unit: about the size of that sum.
        limit_seconds: after which the best multipliers so far are proved; a KeyboardInterrupt
            does the same.
        watch: told after every step.
    """
    with np.errstate(all="ignore"):  # what overflows is no proof: `holds` asks for finite numbers
        program = Scaled.of(known, goal, unit)
        if not program.usable:
            return NOTHING
        found, least, interrupted = _followed(program, limit_seconds, watch)
        return replace(_proved(known, goal, program, found, least), interrupted=interrupted)


def _followed(
    program: Scaled, limit_seconds: float, watch: Watch
) -> tuple[list[Iterate], float, bool]:
    """All iterates, what the relaxation cannot beat, and whether the user stopped it."""
    began = time.perf_counter()
    every, most, interrupted = list[Iterate](), math.inf, False
    try:
        for found in iterates(program):
            every.append(found)
            most = found.most  # earlier ones may be wrong: they settle with the moments
            least = program.unit / most
            watch(Progress(program.value(found.point), least))
            done = most <= found.point[0] * (1 + GAP)
            if done or time.perf_counter() - began > limit_seconds:
                break
    except KeyboardInterrupt:
        log.info("interrupted: the best multipliers so far are proved")
        interrupted = True
    except np.linalg.LinAlgError:
        log.info("the search for multipliers ended: a factorisation failed")
    return every, program.unit / most, interrupted


def _proved(
    known: Known, goal: Products, program: Scaled, found: list[Iterate], least: float
) -> Proof:
    """The least that is proved, each iterate raised on a geometric grid until it passes.

    The last ones may lie too near to the boundary for the rounding of their own verification.
    """
    best = NOTHING
    for iterate in reversed(found):
        value, multipliers = program.value(iterate.point), program.multipliers(iterate.point)
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
