"""The search for multipliers that prove a small Lipschitz constant."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lipcert.sdp.blocks import factor
from lipcert.sdp.chain import Chain
from lipcert.sdp.curvature import LogDet
from lipcert.sdp.maps import Array
from lipcert.sdp.path import follow
from lipcert.sdp.program import Program, reached
from lipcert.sdp.proof import LipschitzProof
from lipcert.sdp.quadratic import interior
from lipcert.sdp.spectrum import largest
from lipcert.sdp.verify import verified

log = logging.getLogger(__name__)
HALF = 0.5  # of the largest t that the starting multipliers prove
GAP = 5e-4  # relative, between the constant and what LipSDP cannot beat
INFLATIONS = tuple(8.0**k * 1e-10 for k in range(11))  # up to a tenth of rho


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands: a constant that its multipliers give, and what LipSDP cannot beat.

    Neither is proved before the search ends.
    """

    stage: str
    upper: float
    lower: float
    seconds: float

    @property
    def gap(self) -> float:
        """Relative distance."""
        return self.upper / self.lower - 1 if self.lower > 0 else math.inf


Watch = Callable[[Progress], None]


def unwatched(_progress: Progress) -> None:
    """Watch nothing."""


def search(
    chain: Chain, watch: Watch = unwatched, limit_seconds: float = math.inf
) -> LipschitzProof:
    """A proved Lipschitz constant of the chain's output in the l2 norm.

    Args:
        chain: from `Chain.of`; its slopes decide whether the constant is global or local.
        watch: told after every step.
        limit_seconds: after which the best constant so far is proved and returned; a
            KeyboardInterrupt does the same.

    Returns:
        A constant that rests on `verified` alone.
    """
    clock = _Clock(time.perf_counter(), limit_seconds)
    if not chain.output.nonzero().any():
        return LipschitzProof(0.0, 0.0, tuple(np.ones(layer.size) for layer in chain.layers), 0.0)
    if not chain.layers:
        return proved(chain, (), math.sqrt(constant(chain, ())))
    program = Program.of(chain)
    multipliers, lower = _searched(program, watch, clock)
    lower = 0.0 if program.opened else lower
    found = proved(chain, program.original(multipliers), lower)
    if math.isfinite(found.upper):
        return found
    return proved(chain, program.original(program.first), lower)


def _searched(program: Program, watch: Watch, clock: "_Clock") -> tuple[Array, float]:
    """The best multipliers by the end of the search, and what LipSDP cannot beat."""
    multipliers, lower = program.first, 0.0
    first = np.concatenate([[HALF], multipliers])
    try:
        for found in follow(LogDet(program), first, (1 + GAP) ** 2 - 1):
            multipliers = found.point[1:]
            upper, lower = (program.scales[-1] / math.sqrt(t) for t in (found.point[0], found.most))
            watch(Progress("searching", upper, lower, clock.seconds))
            if clock.out():
                break
    except KeyboardInterrupt:
        log.info("interrupted: proving the best constant so far")
    return multipliers, lower


@dataclass(slots=True)
class _Clock:
    """Whether another step as long as the longest so far would pass the limit."""

    began: float
    limit: float
    longest: float = 0.0
    last: float = 0.0

    @property
    def seconds(self) -> float:
        """Since the search began."""
        return time.perf_counter() - self.began

    def out(self) -> bool:
        """Counts a step."""
        now = self.seconds
        self.longest, self.last = max(self.longest, now - self.last), now
        return now + self.longest > self.limit


def constant(chain: Chain, multipliers: Sequence[Array]) -> float:
    """Square of the Lipschitz constant that multipliers at rho = 1 give, in float64."""
    done = factor(chain.sizes, interior(chain, multipliers, 1.0))
    return math.inf if done is None else largest(reached(done, chain.output.weight))


def proved(chain: Chain, multipliers: Sequence[Array], lower: float) -> LipschitzProof:
    """The least constant that is verified, on a geometric grid upward from what float64 says.

    Args:
        chain: the network.
        multipliers: at rho = 1.
        lower: what LipSDP cannot beat.
    """
    found = constant(chain, multipliers)
    for inflation in INFLATIONS:
        rho = found * (1 + inflation)
        scaled = tuple(weights * rho for weights in multipliers)
        if math.isfinite(rho) and verified(chain, scaled, rho):
            upper = math.nextafter(math.sqrt(rho), math.inf)
            return LipschitzProof(upper, lower, scaled, inflation)
    return LipschitzProof(math.inf, lower, tuple(multipliers), math.inf)
