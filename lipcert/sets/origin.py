"""Which of several relaxations gave a bound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from lipcert.sets.enclosure import Interval

CLOSER = 1e-12  # relative: less is rounding, and the simpler relaxation is named


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Of each side of a batch of bounds.

    Args:
        names: of relaxations.
        lower: (batch, *shape) places in `names`.
        upper: likewise.
    """

    names: tuple[str, ...]
    lower: Tensor
    upper: Tensor

    @classmethod
    def joined(cls, parts: Sequence["Origin"]) -> Self:
        """Of consecutive rows; all parts have the same names."""
        lower, upper = (torch.cat([getattr(p, side) for p in parts]) for side in ("lower", "upper"))
        return cls(parts[0].names, lower, upper)

    def on_cpu(self) -> Self:
        """Likewise, for a certificate."""
        return replace(self, lower=self.lower.cpu(), upper=self.upper.cpu())

    def words(self, rows: tuple[int, int], output: int) -> str:
        """The name of one output's bounds, both of them where they differ.

        Args:
            rows: of the lower and of the upper bound.
            output: flattened.
        """
        places = (side[row].flatten()[output] for side, row in zip((self.lower, self.upper), rows,
                  strict=True))  # fmt: skip
        low, high = (self.names[int(place)] for place in places)
        return low if low == high else f"{low}, {high}"


def smallest(parts: Mapping[str, Interval]) -> tuple[Interval, Origin]:
    """The intersection of proved boxes of one shape, and which of them gave each side.

    Args:
        parts: simpler ones first: they are named where others are no tighter.
    """
    (_, best), *others = parts.items()
    lower, upper = (torch.zeros_like(best.lower, dtype=torch.int64) for _ in range(2))
    for place, (_, box) in enumerate(others, 1):
        size = best.magnitude()
        above = box.lower > best.lower + CLOSER * size
        below = box.upper < best.upper - CLOSER * size
        lower, upper = lower.masked_fill(above, place), upper.masked_fill(below, place)
        best = best.intersect(box)
    return best, Origin(tuple(parts), lower, upper)
