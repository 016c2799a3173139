"""Facts per neuron, read at the neurons that rows of functionals touch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.functional import Functional, Shape


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Which row of the batch each functional belongs to.

    Args:
        sample: (rows,) indices into the batch, ascending.
        only: the single index that occurs, if there is just one.
    """

    sample: Tensor
    only: int | None

    @classmethod
    def of(cls, sample: Tensor) -> "Rows":
        """Finds out whether one sample owns all rows."""
        if len(sample) == 0:
            return cls(sample, None)
        first, last = int(sample[0]), int(sample[-1])
        return cls(sample, first if first == last else None)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Several facts per neuron; maps are stored channels last, with one zero cell behind.

    Args:
        facts: (batch, facts, *shape), or (batch * height * width + 1, facts, channels) on maps.
        batch: number of samples.
    """

    facts: Tensor
    batch: int

    @classmethod
    def pack(cls, facts: Sequence[Tensor]) -> "Table":
        """From tensors (batch, *shape) of one shape."""
        stacked = torch.stack([fact.contiguous() for fact in facts], 1)
        if stacked.ndim != 5:
            return cls(stacked, len(stacked))
        cells = stacked.permute(0, 3, 4, 1, 2).flatten(0, 2)
        return cls(torch.cat([cells, cells.new_zeros(1, *cells.shape[1:])]), len(stacked))

    def take(self, functional: Functional, rows: Rows) -> tuple[Tensor, ...]:
        """Each fact where each row's coefficients lie: (1 or rows, *as functional.values)."""
        if len(functional.shape) != 3:
            only = rows.only
            chosen = self.facts[rows.sample] if only is None else self.facts[only : only + 1]
            return chosen.unbind(1)
        _, height, width = functional.shape
        if functional.origin is None:
            maps = self.facts[:-1].unflatten(0, (self.batch, height, width))
            only = rows.only
            chosen = maps[rows.sample] if only is None else maps[only : only + 1]
            return chosen.unbind(3)
        return self._patches(functional, functional.origin, rows).unbind(3)

    def at(self, sample: Tensor, index: Tensor, shape: Shape) -> tuple[Tensor, ...]:
        """Each fact of single neurons, (rows,); `index` is flat in a node's natural order."""
        if len(shape) == 3:
            size = shape[1] * shape[2]
            return self.facts[sample * size + index % size, :, index // size].unbind(1)
        return self.facts.flatten(2)[sample, :, index].unbind(1)

    def _patches(self, functional: Functional, origin: Tensor, rows: Rows) -> Tensor:
        """(rows, h, w, facts, channels), zero where a patch sticks out of the map."""
        _, height, width = functional.shape
        _, high, wide, _ = functional.values.shape
        down = origin[:, 0, None] + torch.arange(high, device=origin.device)
        right = origin[:, 1, None] + torch.arange(wide, device=origin.device)
        inside = ((down >= 0) & (down < height))[:, :, None]
        inside = inside & ((right >= 0) & (right < width))[:, None, :]
        cell = (rows.sample[:, None] * height + down)[:, :, None] * width + right[:, None, :]
        cell = torch.where(inside, cell, len(self.facts) - 1)
        return self.facts[cell]


def contract(values: Tensor, facts: Tensor) -> Tensor:
    """Sum over all neurons of values times facts, (rows,)."""
    if len(facts) == 1:
        return values.flatten(1) @ facts.flatten()
    return (values * facts).flatten(1).sum(1)
