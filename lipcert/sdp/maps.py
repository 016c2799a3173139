"""Linear maps from blocks of neurons to a vector, with a bound on each entry's error."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """v = sum over blocks of weight[block] u_block, entries right to error[block].

    Args:
        size: of v.
        weight: per block that v reads, (size, block's size).
        error: bound on |true - stored| of each entry, where they may differ.
    """

    size: int
    weight: Mapping[int, Array]
    error: Mapping[int, Array] = field(default_factory=dict[int, Array])

    def rows(self, keep: Mask) -> "Maps":
        """Some coordinates of v."""
        weight = {block: part[keep] for block, part in self.weight.items()}
        return Maps(int(keep.sum()), weight, {b: part[keep] for b, part in self.error.items()})

    def columns(self, keep: Mapping[int, Mask]) -> "Maps":
        """With some neurons of the blocks left out; blocks that nothing is left of go."""
        weight = {b: part[:, keep[b]] for b, part in self.weight.items() if keep[b].any()}
        error = {b: part[:, keep[b]] for b, part in self.error.items() if keep[b].any()}
        return Maps(self.size, weight, error)

    def reads(self, block: int) -> Mask:
        """Which neurons of a block have a coefficient that may differ from zero, (size,)."""
        found = (self.weight[block] != 0).any(0)
        return found | (self.error[block] != 0).any(0) if block in self.error else found

    def nonzero(self) -> Mask:
        """Which coordinates of v may differ from zero, (size,)."""
        found = np.zeros(self.size, dtype=bool)
        for part in (*self.weight.values(), *self.error.values()):
            found |= (part != 0).any(1)
        return found

    def times(self, values: Mapping[int, Array]) -> Array:
        """Value of v for given values (block's size, ...) of the blocks."""
        parts = [part @ values[block] for block, part in self.weight.items()]
        return np.sum(parts, axis=0)
