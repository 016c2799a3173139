"""What every method is: a relaxation that bounds the drift of a pair over a region."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from lipcert.graph.pair import Pair
from lipcert.numeric.placement import Placement
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Proved over the region, in exact arithmetic; each (batch, *output shape).

    Args:
        drift: g(x) - f(x).
        original: f(x).
        compressed: g(x).
    """

    drift: Interval
    original: Interval
    compressed: Interval


class Method(ABC):
    """A way of bounding; its dataclass fields are its options."""

    @abstractmethod
    def certify(self, pair: Pair, region: Region, placement: Placement) -> Bounds:
        """Proved bounds on the drift and on both outputs."""
