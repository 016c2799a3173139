"""What every method is: a relaxation that bounds the drift of a pair over a region."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from lipcert.graph.pair import Pair
from lipcert.methods.softmax import through_softmax
from lipcert.numeric.placement import Placement
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region
from lipcert.walk.guard import direct_arithmetic
from lipcert.walk.progress import Watch, quiet


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """Proved over the region, in exact arithmetic; each (batch, *output shape).

    Args:
        drift: g(x) - f(x).
        original: f(x).
        compressed: g(x).
        agree: per row, whether both networks are proved to have one and the same top-1 label
            all over the region, (batch,) bool.
        contrast: differences of drifts, entry i less entry j, (batch, outputs, outputs), where a
            method bounds them better than by subtraction.
    """

    drift: Interval
    original: Interval
    compressed: Interval
    agree: Tensor
    contrast: Interval | None = None


class Method(ABC):
    """A way of bounding; its dataclass fields are its options."""

    def certify(
        self, pair: Pair, region: Region, placement: Placement, watch: Watch = quiet
    ) -> Bounds:
        """Proved bounds on the drift and on both outputs."""
        with direct_arithmetic():
            body = pair.body()
            bounds = self.bound(body, region, placement, watch)
            if not body.softmax:
                return bounds
            contrast = bounds.contrast or contrast_of(bounds.drift)
            values = (bounds.original, bounds.compressed)
            return Bounds(*through_softmax(*values, contrast), bounds.agree)

    @abstractmethod
    def bound(self, pair: Pair, region: Region, placement: Placement, watch: Watch) -> Bounds:
        """Bounds of a pair that does not end in a softmax."""


def contrast_of(drift: Interval) -> Interval:
    """Every difference of two drifts, by subtraction."""
    entry = Interval(drift.lower[..., :, None], drift.upper[..., :, None])
    return entry.minus(Interval(drift.lower[..., None, :], drift.upper[..., None, :]))
