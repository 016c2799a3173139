"""The search for multipliers that prove a small Lipschitz constant."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lipcert.sdp.blocks import factor
from lipcert.sdp.chain import Chain
from lipcert.sdp.maps import Array
from lipcert.sdp.proof import LipschitzProof
from lipcert.sdp.quadratic import interior
from lipcert.sdp.start import largest, reached, start
from lipcert.sdp.verify import verified

INFLATIONS = tuple(4.0**k * 1e-14 for k in range(22))  # up to a twentieth of rho


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
    began = time.perf_counter()
    if not chain.output.nonzero().any():
        return LipschitzProof(0.0, 0.0, tuple(np.ones(layer.size) for layer in chain.layers), 0.0)
    multipliers = start(chain)
    watch(Progress("start", math.sqrt(constant(chain, multipliers)), 0.0, _since(began)))
    return proved(chain, multipliers, 0.0)


def constant(chain: Chain, multipliers: Sequence[Array]) -> float:
    """Square of the Lipschitz constant that multipliers at rho = 1 give, in float64."""
    done = factor(chain.sizes, interior(chain, multipliers, 1.0))
    return math.inf if done is None else largest(reached(done, chain.output))


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


def _since(began: float) -> float:
    return time.perf_counter() - began
