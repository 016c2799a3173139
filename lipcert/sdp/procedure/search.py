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
    program = Scaled.of(known, goal, unit)
    if not program.usable:
        return NOTHING
    best, least, interrupted = _followed(program, limit_seconds, watch)
    proof = NOTHING if best is None else _proved(known, goal, program, best, least)
    return replace(proof, interrupted=interrupted)


def _followed(
    program: Scaled, limit_seconds: float, watch: Watch
) -> tuple[Iterate | None, float, bool]:
    """The last iterate, what the relaxation cannot beat, and whether the user stopped it."""
    began = time.perf_counter()
    best, most, interrupted = None, math.inf, False
    try:
        for found in iterates(program):
            best, most = (
                found,
                found.most,
            )  # earlier ones may be wrong: they settle with the moments
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
    return best, program.unit / most, interrupted


def _proved(known: Known, goal: Products, program: Scaled, best: Iterate, least: float) -> Proof:
    """Raised on a geometric grid until the verification passes."""
    value, multipliers = program.value(best.point), program.multipliers(best.point)
    for inflation in INFLATIONS:
        raised = value * (1 + inflation)
        lifted = Multipliers(multipliers.ball * (1 + inflation / 2), multipliers.products)
        if holds(known, goal, lifted, raised):
            return Proof(raised, least, lifted, inflation)
    return NOTHING
