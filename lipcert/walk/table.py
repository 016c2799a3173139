"""Facts per neuron, read at the neurons that rows of functionals touch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.numeric.rounding import inflate
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
    """Several facts per neuron, or per channel of a map where they do not vary over it.

    Args:
        facts: (batch, facts, *shape); on maps (batch * height * width + 1, facts, channels) with
            one zero cell behind, or (batch, facts, channels) if `flat`.
        batch: number of samples.
        flat: whether a map's facts are per channel.
    """

    facts: Tensor
    batch: int
    flat: bool = False

    @classmethod
    def pack(cls, facts: Sequence[Tensor]) -> "Table":
        """From tensors (batch, *shape) of one shape."""
        stacked = torch.stack([fact.contiguous() for fact in facts], 1)
        if stacked.ndim != 5:
            return cls(stacked, len(stacked))
        if bool((stacked == stacked[..., :1, :1]).all()):
            return cls(stacked[..., 0, 0].contiguous(), len(stacked), flat=True)
        cells = stacked.permute(0, 3, 4, 1, 2).flatten(0, 2)
        return cls(torch.cat([cells, cells.new_zeros(1, *cells.shape[1:])]), len(stacked))

    def take(self, functional: Functional, rows: Rows) -> tuple[Tensor, ...]:
        """Each fact where each row's coefficients lie, broadcastable to `functional.values`."""
        only = rows.only
        pick = rows.sample if only is None else slice(only, only + 1)
        if len(functional.shape) != 3:
            return self.facts[pick].unbind(1)
        if self.flat:
            return self.facts[pick][:, :, None, None, :].unbind(1)
        if functional.origin is not None:
            return self._patches(functional, functional.origin, rows).unbind(3)
        _, height, width = functional.shape
        maps = self.facts[:-1].unflatten(0, (self.batch, height, width))
        return maps[pick].unbind(3)

    def at(self, sample: Tensor, index: Tensor, shape: Shape) -> tuple[Tensor, ...]:
        """Each fact of single neurons, (rows,); `index` is flat in a node's natural order."""
        if len(shape) != 3:
            return self.facts.flatten(2)[sample, :, index].unbind(1)
        size = shape[1] * shape[2]
        cell = sample if self.flat else sample * size + index % size
        return self.facts[cell, :, index // size].unbind(1)

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
    if facts.shape[1:] != values.shape[1:]:  # facts per channel
        values, facts = values.sum((1, 2)), facts[:, 0, 0]
    if len(facts) == 1:
        return values.flatten(1) @ facts.flatten()
    return (values * facts).flatten(1).sum(1)


def contract_sizes(values: Tensor, facts: Tensor) -> Tensor:
    """Upper bound on the sum over all neurons of |values| times nonnegative facts, (rows,)."""
    if facts.shape[1:] != values.shape[1:]:
        total = contract(torch.linalg.vector_norm(values, 1, (1, 2))[:, None, None], facts)
    else:
        total = contract(values.abs(), facts)
    return inflate(total, values[0].numel())
