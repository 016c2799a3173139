"""Facts per neuron, read at the neurons that rows of functionals touch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from lipcert.numeric.rounding import inflate
from lipcert.ops.functional import Functional, Shape

Where = tuple[slice, ...]
WORTH_A_LOOP = 1 << 14  # coefficients of a run of rows from which a view beats a gathered copy


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Which row of the batch each functional belongs to.

    Args:
        sample: (rows,) indices into the batch, ascending.
        runs: consecutive rows of one sample, and which.
    """

    sample: Tensor
    runs: tuple[tuple[slice, int], ...]

    @classmethod
    def of(cls, sample: Tensor) -> "Rows":
        """Runs of equal samples."""
        ends = accumulate(sample.bincount().tolist(), initial=0)
        spans = enumerate(slice(start, end) for start, end in pairwise(ends))
        return cls(sample, tuple((span, k) for k, span in spans if span.start < span.stop))


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Several facts per neuron.

    Args:
        facts: each (batch, *shape), on maps with channels last: (batch, h, w, channels); one that
            is the same for all of the batch, or all over a map, has ones there.
    """

    facts: tuple[Tensor, ...]

    @classmethod
    def pack(cls, facts: Sequence[Tensor]) -> "Table":
        """From tensors (batch or 1, *shape), on maps (batch or 1, channels, h or 1, w or 1)."""
        return cls(tuple(f.permute(0, 2, 3, 1).contiguous() if f.ndim == 4 else f for f in facts))

    def at(self, sample: Tensor, index: Tensor, shape: Shape) -> tuple[Tensor, ...]:
        """Each fact of single neurons, (rows,); `index` is flat in a node's natural order."""
        varied = index
        if len(shape) == 3:
            size, channels = shape[1] * shape[2], shape[0]
            varied, index = index % size * channels + index // size, index // size
        return tuple(
            fact.flatten(1)[sample if len(fact) > 1 else 0, index if _uniform(fact) else varied]
            for fact in self.facts
        )

    def blocks(
        self, functional: Functional, rows: Rows, wanted: Sequence[int]
    ) -> Iterator[tuple[Where, list[Tensor]]]:
        """Blocks of coefficients, each with the wanted facts, which broadcast against them.

        Coefficients outside every block lie outside their map and are zero.
        """
        facts = [self.facts[k] for k in wanted]
        count = functional.values.numel()
        if functional.origin is not None and not all(map(_uniform, facts)):
            key = torch.cat([rows.sample[:, None], functional.origin], 1)
            runs = _runs(key) if count >= WORTH_A_LOOP else []
            if runs and count >= WORTH_A_LOOP * len(runs):
                yield from _views(functional, facts, runs)
            else:
                place = _places(functional, rows)
                yield (slice(None),), [_gathered(fact, rows, place) for fact in facts]
        elif len(rows.runs) > 1 and count < WORTH_A_LOOP * len(rows.runs):
            yield (slice(None),), [_gathered(fact, rows) for fact in facts]
        else:
            for span, sample in rows.runs:
                yield (span,), [_of_sample(fact, sample) for fact in facts]

    def total(self, functional: Functional, rows: Rows, fact: int) -> Tensor:
        """Coefficients times a fact, (rows,)."""
        values = functional.values
        total = values.new_zeros(len(values))
        for where, (found,) in self.blocks(functional, rows, [fact]):
            part = contract(values[where], found)
            if len(part) == len(total):
                return part
            total[where[0]] = part
        return total

    def slack(self, functional: Functional, rows: Rows, fact: int) -> Tensor:
        """Upper bound on the sizes of coefficients times a nonnegative fact, (rows,)."""
        sizes = functional.with_values(functional.values.abs())
        return inflate(self.total(sizes, rows, fact), functional.values[0].numel())


def _uniform(fact: Tensor) -> bool:
    """Whether a fact is the same all over its map."""
    return fact.shape[1:-1] == (1, 1)


def _of_sample(fact: Tensor, sample: int) -> Tensor:
    return fact[sample if len(fact) > 1 else 0]


def _runs(key: Tensor) -> list[tuple[slice, list[int]]]:
    """Runs of equal consecutive rows of (rows, columns), and what they are equal to."""
    starts = [0, *((key[1:] != key[:-1]).any(1).nonzero()[:, 0] + 1).tolist()]
    spans = (slice(start, end) for start, end in pairwise([*starts, len(key)]))
    return list(zip(spans, key[starts].tolist(), strict=True))


def _views(
    functional: Functional, facts: Sequence[Tensor], runs: Sequence[tuple[slice, list[int]]]
) -> Iterator[tuple[Where, list[Tensor]]]:
    """Views of the map where it meets the patch of each run of one sample and one origin."""
    _, high, wide, _ = functional.values.shape
    _, height, width = functional.shape
    for span, (sample, y, x) in runs:
        top, bottom = max(y, 0), min(y + high, height)
        left, right = max(x, 0), min(x + wide, width)
        if top < bottom and left < right:
            seen = [_of_sample(fact, sample) for fact in facts]
            yield (
                (span, slice(top - y, bottom - y), slice(left - x, right - x)),
                [f if _uniform(f[None]) else f[top:bottom, left:right] for f in seen],
            )


def _places(functional: Functional, rows: Rows) -> tuple[Tensor, Tensor]:
    """Of every entry of every patch the place on its map, and that on all maps of the batch.

    Entries outside the map read the nearest neuron's facts: their coefficients are zero.
    """
    origin = functional.origin
    assert origin is not None
    _, high, wide, _ = functional.values.shape
    _, height, width = functional.shape
    down = origin[:, 0, None] + torch.arange(high, device=origin.device)
    right = origin[:, 1, None] + torch.arange(wide, device=origin.device)
    down, right = down.clamp(0, height - 1) * width, right.clamp(0, width - 1)
    place = down[:, :, None] + right[:, None, :]
    return place, place + rows.sample[:, None, None] * (height * width)


def _gathered(fact: Tensor, rows: Rows, place: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """A fact for every row, (rows, *shape) or (rows, h, w, channels), or one for all of them."""
    if place is None or _uniform(fact):
        return fact.index_select(0, rows.sample) if len(fact) > 1 else fact[0]
    chosen = place[len(fact) > 1]
    return fact.flatten(0, -2).index_select(0, chosen.flatten()).view(*chosen.shape, -1)


def contract(values: Tensor, fact: Tensor) -> Tensor:
    """Sum over all neurons of values times a fact, (rows,); facts have a row axis or none."""
    if fact.shape[-3:-1] == (1, 1) and values.ndim == 4:  # per channel
        values, fact = values.sum((1, 2)), fact[..., 0, 0, :]
    if fact.ndim < values.ndim:
        return values.flatten(1) @ fact.flatten()
    return torch.linalg.vecdot(values.flatten(1), fact.flatten(1))
