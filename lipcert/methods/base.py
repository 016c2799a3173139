"""What every method is: a relaxation that bounds the drift of a pair over a region."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lipcert.graph.on_grid import on_grid
from lipcert.graph.pair import Pair
from lipcert.methods.softmax import as_executed, executed_rates, through_softmax
from lipcert.numeric.memory import told_of_memory
from lipcert.numeric.placement import Placement
from lipcert.sets.enclosure import Interval
from lipcert.sets.origin import Origin
from lipcert.sets.region import Region
from lipcert.sets.share import Share
from lipcert.walk.guard import direct_arithmetic
from lipcert.walk.progress import Watch, quiet

FACTS = 64  # numbers kept per neuron of either network, temporaries included


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
        budget: the bound on each row's largest drift by source, where it was asked for.
        origin: which relaxation gave each bound of the drift, where there are several.
        norm: upper bounds of the drift's l2 norm, (batch,), where a method has one of its own.
    """

    drift: Interval
    original: Interval
    compressed: Interval
    agree: Tensor
    contrast: Interval | None = None
    budget: tuple[Share, ...] | None = None
    origin: Origin | None = None
    norm: Tensor | None = None

    def as_evaluated(self, original: Tensor, compressed: Tensor) -> "Bounds":
        """Widened so that float64 evaluations, off by at most these, lie inside as well."""
        return replace(
            self,
            drift=_widened(_widened(self.drift, original), compressed),
            original=_widened(self.original, original),
            compressed=_widened(self.compressed, compressed),
        )


class Method(ABC):
    """A way of bounding; its dataclass fields are its options."""

    def certify(
        self, pair: Pair, region: Region, placement: Placement, watch: Watch = quiet
    ) -> Bounds:
        """Proved bounds on the drift and on both outputs.

        Raises:
            OutOfMemory: an allocation failed.
        """
        with direct_arithmetic(), told_of_memory(f"bounding {region.batch} regions"):
            body = on_grid(pair.body(), region)
            size = _rows_that_fit(body, placement)
            parts = [
                self.bound(body, region.part(slice(first, first + size)), placement, watch)
                for first in range(0, region.batch, size)
            ]
            bounds = _joined(parts)
            boxes = (bounds.drift, bounds.original, bounds.compressed)
            if body.softmax:
                contrast = bounds.contrast or contrast_of(bounds.drift)
                boxes = as_executed(
                    through_softmax(bounds.original, bounds.compressed, contrast),
                    executed_rates(body, bounds.original, bounds.compressed),
                )
            drift, original, compressed = (box.known() for box in boxes)
            found = Bounds(drift, original, compressed, bounds.agree, budget=bounds.budget)
            if body.softmax:
                return found
            return replace(found, origin=bounds.origin, norm=bounds.norm)

    @abstractmethod
    def bound(self, pair: Pair, region: Region, placement: Placement, watch: Watch) -> Bounds:
        """Bounds of a pair that does not end in a softmax."""


def _rows_that_fit(pair: Pair, placement: Placement) -> int:
    """Rows of the batch whose enclosures and tables take half of the memory budget."""
    graphs = (pair.original, pair.compressed)
    neurons = sum(torch.Size(node.shape).numel() for graph in graphs for node in graph.nodes)
    return max(1, placement.budget() // (2 * FACTS * 8 * neurons))


def _joined(parts: Sequence[Bounds]) -> Bounds:
    """Bounds of consecutive rows as one."""
    if len(parts) == 1:
        return parts[0]
    origins = [part.origin for part in parts if part.origin is not None]
    norms = [part.norm for part in parts if part.norm is not None]
    contrasts = [part.contrast for part in parts if part.contrast is not None]
    return Bounds(
        _stacked([part.drift for part in parts]),
        _stacked([part.original for part in parts]),
        _stacked([part.compressed for part in parts]),
        torch.cat([part.agree for part in parts]),
        _stacked(contrasts) if contrasts else None,
        _budgets(parts),
        Origin.joined(origins) if origins else None,
        torch.cat(norms) if norms else None,
    )


def _widened(box: Interval, noise: Tensor) -> Interval:
    return box.plus(Interval(-noise, noise))


def _budgets(parts: Sequence[Bounds]) -> tuple[Share, ...] | None:
    """Shares of consecutive rows, source by source."""
    budgets = [part.budget for part in parts if part.budget is not None]
    return (
        tuple(
            Share(first.cause, first.node, torch.cat([first.drift, *(s.drift for s in others)]))
            for first, *others in zip(*budgets, strict=True)
        )
        or None
    )


def _stacked(boxes: Sequence[Interval]) -> Interval:
    return Interval(torch.cat([b.lower for b in boxes]), torch.cat([b.upper for b in boxes]))


def contrast_of(drift: Interval) -> Interval:
    """Every difference of two drifts, by subtraction."""
    entry = Interval(drift.lower[..., :, None], drift.upper[..., :, None])
    return entry.minus(Interval(drift.lower[..., None, :], drift.upper[..., None, :]))
