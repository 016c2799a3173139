r"""The smallest allocation of bits whose certified drift is allowed.

What layers add to the drift nearly sums up: with $[l, u]$ the certified drift of each output where
one layer alone has its bits, the sum over the layers of their $[l, u]$ foretells that of all
together, cancellation included. The smallest allocation that the sum allows solves a
multiple-choice knapsack, exactly; it is then certified, and what was learned from that corrects
the next proposal. Only certified allocations are ever returned.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import Bounds, LinearConstraint, milp

from lipcert.sets.enclosure import Interval
from lipcert.walk.progress import Watch

Bits = Mapping[str, int]  # by layer
Certified = Callable[[Bits], float]  # the proved drift of an allocation
ROUNDS = 32  # proposals certified at most
PATIENCE = 4  # proposals that fail in a row before the search ends
HOPES = (1.0, 1.1, 1.25, 1.5, 2.0)  # how much less than foretold a proposal may drift


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """One width of one layer.

    Args:
        layer: its name.
        bits: of every weight.
        size: bits taken, scales included.
        drift: certified with this layer quantised alone, (batch, *output shape).
    """

    layer: str
    bits: int
    size: int
    drift: Interval

    @property
    def sides(self) -> Float[np.ndarray, " sides"]:
        """How far each output moves up, then how far down."""
        ends = (self.drift.upper, -self.drift.lower)
        return np.concatenate([end.double().cpu().numpy().reshape(-1) for end in ends])


class Knapsack:
    """Options to choose one from for every layer.

    Args:
        options: of every layer at least one; those without a finite drift are never chosen.
    """

    def __init__(self, options: Sequence[Option]) -> None:
        """Sizes, drifts and layers as arrays over the options."""
        self.options = options
        self.sizes = np.array([option.size for option in options], dtype=np.float64)
        sides = np.stack([option.sides for option in options])
        self.finite = np.asarray(np.isfinite(sides).all(1))
        self.sides = np.where(self.finite[:, None], sides, 0.0)
        self.layers = tuple(dict.fromkeys(option.layer for option in options))
        self.of_layer = np.array([[o.layer == name for o in options] for name in self.layers])

    def size(self, bits: Bits) -> int:
        """Bits that an allocation takes."""
        return sum(option.size for option in self._chosen(bits))

    def foretold(self, bits: Bits) -> float:
        """The sum's largest side."""
        return float(np.sum([option.sides for option in self._chosen(bits)], axis=0).max())

    def next_below(self, allowed: float, best: Bits, failed: Sequence[Bits]) -> Bits | None:
        """The smallest allocation that the sum allows, with as little hope beyond it as needed."""
        size = self.size(best)
        tries = (self.smallest(allowed * hope, size, failed) for hope in HOPES)
        return next((bits for bits in tries if bits is not None), None)

    def smallest(self, most: float, below: int, failed: Sequence[Bits]) -> Bits | None:
        """The smallest allocation that the sum allows, or None.

        Args:
            most: the sum's largest side.
            below: only smaller allocations than this.
            failed: allocations that drift too far; one of their layers must get more bits.
        """
        fixed = [
            LinearConstraint(self.of_layer.astype(float), 1, 1),
            LinearConstraint(self.sizes[None], -np.inf, below - 1),
            LinearConstraint((~self.finite[None]).astype(float), 0, 0),
            *(LinearConstraint(self._wider(bits)[None], 1, np.inf) for bits in failed),
        ]
        binding: list[int] = []
        while True:
            rows = LinearConstraint(self.sides[:, binding].T, -np.inf, most)
            chosen = self._solved([*fixed, rows] if binding else fixed)
            if chosen is None:
                return None
            sums = self.sides[chosen].sum(0)
            worst = int(sums.argmax())
            if sums[worst] <= most or worst in binding:
                return {self.options[k].layer: self.options[k].bits for k in chosen}
            binding.append(worst)

    def _solved(self, constraints: Sequence[LinearConstraint]) -> list[int] | None:
        """Options of a smallest choice under some constraints."""
        count = len(self.options)
        found = milp(
            self.sizes,
            integrality=np.ones(count),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
        return None if found.x is None else [int(k) for k in np.flatnonzero(found.x > 0.5)]

    def _wider(self, bits: Bits) -> np.ndarray:
        """Options with more bits than an allocation gives their layer."""
        return np.array([float(option.bits > bits[option.layer]) for option in self.options])

    def _chosen(self, bits: Bits) -> list[Option]:
        return [option for option in self.options if bits[option.layer] == option.bits]


def search(
    knapsack: Knapsack, certified: Certified, most: float, start: tuple[Bits, float], watch: Watch
) -> Bits:
    """The smallest allocation found whose certified drift is at most `most`.

    Args:
        knapsack: options of every layer.
        certified: called at most `ROUNDS` times, once per allocation.
        most: allowed drift.
        start: an allocation that is allowed, and its certified drift.
        watch: told how many of the rounds are over.
    """
    best, drift = start
    foretold, failed, in_vain = knapsack.foretold(best), [], 0
    for done in range(ROUNDS):
        allowed = most * foretold / drift if min(drift, foretold) > 0 else most
        proposal = knapsack.next_below(allowed, best, failed)
        if proposal is None or in_vain == PATIENCE:
            break
        watch(f"certifying an allocation of {knapsack.size(proposal) // 8} bytes", done, ROUNDS)
        drift, foretold = certified(proposal), knapsack.foretold(proposal)
        if drift <= most:
            best, in_vain = proposal, 0
        else:
            failed.append(proposal)
            in_vain += 1
    return best
