"""Proved beside observed drift of a pair over a region, and what each took."""

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.measured import Measured, measured
from lipcert.attacks.drift import DriftAttack
from lipcert.graph.pair import Pair
from lipcert.methods.base import Method
from lipcert.methods.twin import TwinBounds
from lipcert.numeric.placement import Placement
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region


@dataclass(frozen=True, slots=True)
class Proved:
    """Of one pair over one region; each tensor is (batch,), the largest over outputs.

    Args:
        bound: proved, of the drift's magnitude.
        seen: found by the attack.
        sound: whether every drift that was seen lies inside its own bounds; no tolerance.
        certified: rows with finite bounds on every output.
        bounding: what the bounds took.
        attacking: what the attack took.
    """

    bound: Tensor
    seen: Tensor
    sound: bool
    certified: int
    bounding: Measured[Interval]
    attacking: Measured[Interval]

    @property
    def ratio(self) -> Tensor:
        """Proved over observed; 1 where both are zero."""
        return torch.where(self.bound == self.seen, 1.0, self.bound / self.seen)


def bounded(
    pair: Pair, region: Region, method: Method, runs: int, threads: int
) -> Measured[Interval]:
    """Bounds of the drift in float64."""
    return measured(lambda: method.certify(pair, region, Placement()).drift, runs, threads)


def proved(pair: Pair, region: Region, runs: int = 1, threads: int = 1) -> Proved:
    """Twin bounds, and the default attack."""
    bounding = bounded(pair, region, TwinBounds(), runs, threads)
    attacking = measured(
        lambda: DriftAttack().observe(pair, region, Placement()).drift, threads=threads
    )
    drift, seen = bounding.value, attacking.value
    inside = (seen.lower >= drift.lower) & (seen.upper <= drift.upper)
    finite = drift.lower.isfinite() & drift.upper.isfinite()
    return Proved(
        bound=largest(drift),
        seen=largest(seen),
        sound=bool(inside.all()),
        certified=int(finite.flatten(1).all(1).sum()),
        bounding=bounding,
        attacking=attacking,
    )


def largest(drift: Interval) -> Tensor:
    """Largest magnitude over outputs, (batch,)."""
    return drift.magnitude().flatten(1).amax(1)
