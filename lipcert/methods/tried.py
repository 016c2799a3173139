"""Which planes are tried below two activations; of each the intercept is exact."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.methods.hull import Activation, Hull, hull
from lipcert.ops.kinds import Elementwise, Lines
from lipcert.ops.quantize import Quantize
from lipcert.sets.enclosure import Interval, Twin


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """Slopes per neuron, each (batch, *shape), beside the hull that gives intercepts.

    Args:
        hull: of both activations.
        compressed: for g's activation, (candidates, batch, *shape).
        original: of lines below and above f's activation.
        chords: of chords below and above the activations' difference, in the drift before them.
        drift: a middle of the drift before them.
        middle: a middle of what f's reads.
    """

    hull: Hull
    compressed: Tensor
    original: tuple[Tensor, Tensor]
    chords: tuple[Tensor, Tensor]
    drift: Tensor
    middle: Tensor

    @classmethod
    def of(cls, f: Activation, g: Activation, twin: Twin) -> "Tried":
        """For a pair that has a hull."""
        lines = lines_of(f, twin.original)
        one = torch.ones_like(twin.drift.lower)
        return cls(
            hull(f, g, twin),
            one[None] if g is None else g.slopes(twin.compressed),
            (lines.lower_slope, lines.upper_slope),
            _chords(f, g, twin),
            twin.drift.centre,
            twin.original.centre,
        )

    def best(self, after: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Slopes along drift and f's input, and intercept, of the highest plane in the middle.

        Args:
            after: coefficients of g's activation, (..., batch, *shape).
            before: coefficients of f's.

        Returns:
            Three tensors of the same shape; the earlier candidate wins ties.
        """
        found: tuple[Tensor, Tensor, Tensor] | None = None
        score = after
        for drift, original in self._slopes(after, before):
            plane = (drift, original, self.hull.lowest(after, before, drift, original))
            here = plane[2] + drift * self.drift + original * self.middle
            if found is None:
                found, score = plane, here
                continue
            wins = here > score
            score = torch.where(wins, here, score)
            old = found
            found = tuple(torch.where(wins, a, b) for a, b in zip(plane, old, strict=True))  # type: ignore[assignment]
        assert found is not None
        return found

    def _slopes(self, after: Tensor, before: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The difference's chord with f's line; then g's slopes, each with f's line."""
        below, above = self.chords
        both = after + before
        yield torch.where(after >= 0, below, above) * after, self._line(both) * both
        line = self._line(before) * before
        for slope in self.compressed:
            along = slope * after
            yield along, along + line

    def _line(self, coefficient: Tensor) -> Tensor:
        return torch.where(coefficient >= 0, *self.original)


def lines_of(op: Elementwise | None, box: Interval) -> Lines:
    """Lines around an activation; the identity is its own."""
    if op is not None:
        return op.lines(box)
    zero, one = torch.zeros_like(box.lower), torch.ones_like(box.lower)
    return Lines(one, zero, one, zero)


def _chords(f: Activation, g: Activation, twin: Twin) -> tuple[Tensor, Tensor]:
    """Slopes of the chords below and above what difference quotients allow.

    The quotients are those of the continuous activation, which the staircase follows.
    """
    one = torch.ones_like(twin.drift.lower)
    smooth = g if isinstance(f, Quantize) else f
    if smooth is None:
        return one, one
    sector, drift = smooth.slope(twin.original.hull(twin.compressed)), twin.drift
    ends = [
        [pick(sector.lower * end, sector.upper * end) for pick in (torch.minimum, torch.maximum)]
        for end in (drift.lower, drift.upper)
    ]
    width = drift.upper - drift.lower
    below, above = ((right - left) / width for left, right in zip(*ends, strict=True))
    return tuple(torch.where(s.isfinite(), s, sector.lower) for s in (below, above))  # type: ignore[return-value]
