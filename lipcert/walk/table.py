"""Facts per neuron, read at the neurons that rows of functionals touch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.numeric.rounding import inflate
from lipcert.ops.functional import Functional, Shape

Where = tuple[slice, ...]
WORTH_A_LOOP = 1 << 14  # coefficients of a run of rows from which a view beats a gathered copy


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive rows that read the same facts."""

    rows: slice
    sample: int


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Which row of the batch each functional belongs to, in runs.

    Args:
        sample: (rows,) indices into the batch, ascending.
        by_sample: runs of one sample.
        by_place: runs of one sample and one place of a feature map.
    """

    sample: Tensor
    by_sample: tuple[Run, ...]
    by_place: tuple[Run, ...]

    @classmethod
    def of(cls, sample: Tensor, place: Tensor) -> "Rows":
        """Runs of equal samples, and of equal samples and places."""
        key = sample * (int(place.max()) + 1 if len(place) else 1) + place
        return cls(sample, _runs(sample, sample), _runs(key, sample))


def _runs(key: Tensor, sample: Tensor) -> tuple[Run, ...]:
    _, counts = torch.unique_consecutive(key, return_counts=True)
    ends = counts.cumsum(0).tolist()
    starts = [0, *ends[:-1]]
    owners = sample[torch.tensor(starts, device=sample.device)].tolist() if ends else []
    return tuple(
        Run(slice(start, end), owner)
        for start, end, owner in zip(starts, ends, owners, strict=False)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Several facts per neuron, or per channel of a map where they do not vary over it.

    Args:
        facts: (batch, facts, *shape), on maps with channels last: (batch, facts, h, w, channels).
            A map whose facts do not vary over it has h = w = 1.
    """

    facts: Tensor

    @classmethod
    def pack(cls, facts: Sequence[Tensor]) -> "Table":
        """From tensors (batch, *shape) of one shape."""
        stacked = torch.stack([fact.contiguous() for fact in facts], 1)
        if stacked.ndim != 5:
            return cls(stacked)
        if bool((stacked == stacked[..., :1, :1]).all()):
            stacked = stacked[..., :1, :1]
        return cls(stacked.permute(0, 1, 3, 4, 2).contiguous())

    def at(self, sample: Tensor, index: Tensor, shape: Shape) -> tuple[Tensor, ...]:
        """Each fact of single neurons, (rows,); `index` is flat in a node's natural order."""
        if len(shape) == 3:
            size, channels = shape[1] * shape[2], shape[0]
            place = index % size if self.facts.shape[2] * self.facts.shape[3] > 1 else 0
            index = place * channels + index // size
        return self.facts.flatten(2)[sample, :, index].unbind(1)

    def blocks(
        self, functional: Functional, rows: Rows
    ) -> Iterator[tuple[Where, Sequence[Tensor]]]:
        """Blocks of coefficients, each with facts that broadcast against them.

        Coefficients outside every block lie outside their map and are zero.
        """
        patches = functional.origin is not None and self.facts.shape[2:4] != (1, 1)
        runs = rows.by_place if patches else rows.by_sample
        if functional.values.numel() < WORTH_A_LOOP * len(runs) and len(runs) > 1:
            gathered = self._gathered(functional, rows) if patches else self.facts[rows.sample]
            yield (slice(None),), gathered.unbind(1)
        elif patches:
            yield from self._patches(functional, rows)
        else:
            for run in runs:
                yield (run.rows,), self.facts[run.sample].unbind(0)

    def _gathered(self, functional: Functional, rows: Rows) -> Tensor:
        """(rows, facts, h, w, channels), zero where a patch sticks out of the map."""
        origin = functional.origin
        assert origin is not None
        _, high, wide, _ = functional.values.shape
        _, height, width = functional.shape
        down = origin[:, 0, None] + torch.arange(high, device=origin.device)
        right = origin[:, 1, None] + torch.arange(wide, device=origin.device)
        inside = ((down >= 0) & (down < height))[:, :, None]
        inside = inside & ((right >= 0) & (right < width))[:, None, :]
        down, right = down.clamp(0, height - 1), right.clamp(0, width - 1)
        maps = self.facts.permute(0, 2, 3, 1, 4)
        found = maps[rows.sample[:, None, None], down[:, :, None], right[:, None, :]]
        return (found * inside[..., None, None].to(found)).permute(0, 3, 1, 2, 4)

    def _patches(
        self, functional: Functional, rows: Rows
    ) -> Iterator[tuple[Where, Sequence[Tensor]]]:
        """Views of the map where it meets each run's patch."""
        origin = functional.origin
        assert origin is not None
        _, high, wide, _ = functional.values.shape
        _, height, width = functional.shape
        first = torch.tensor([run.rows.start for run in rows.by_place], device=origin.device)
        for run, (y, x) in zip(rows.by_place, origin[first].tolist(), strict=True):
            top, bottom = max(y, 0), min(y + high, height)
            left, right = max(x, 0), min(x + wide, width)
            if top < bottom and left < right:
                facts = self.facts[run.sample, :, top:bottom, left:right]
                where = (run.rows, slice(top - y, bottom - y), slice(left - x, right - x))
                yield where, facts.unbind(0)

    def spent(
        self, functional: Functional, rows: Rows, constant: int, loss: int
    ) -> tuple[Tensor, Tensor]:
        """Coefficients times one fact; and above their sizes times another; both (rows,)."""
        values = functional.values
        total, slack = values.new_zeros(len(values)), values.new_zeros(len(values))
        for where, facts in self.blocks(functional, rows):
            total[where[0]] = contract(values[where], facts[constant])
            slack[where[0]] = contract_sizes(values[where], facts[loss])
        return total, slack


def contract(values: Tensor, facts: Tensor) -> Tensor:
    """Sum over all neurons of values times facts, (rows,); facts have a row axis or none."""
    if facts.numel() == 0 or values.numel() == 0:
        return values.new_zeros(len(values))
    if facts.shape[-3:-1] == (1, 1) and values.ndim == 4:  # per channel
        values, facts = values.sum((1, 2)), facts[..., 0, 0, :]
    if facts.ndim < values.ndim:
        return values.flatten(1) @ facts.flatten()
    return torch.linalg.vecdot(values.flatten(1), facts.flatten(1))


def contract_sizes(values: Tensor, facts: Tensor) -> Tensor:
    """Upper bound on the sum over all neurons of |values| times nonnegative facts, (rows,)."""
    terms = values[0].numel() if len(values) else 1
    return inflate(contract(values.abs(), facts), terms)
