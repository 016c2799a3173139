"""Twin bounds: the drift g - f followed through every aligned node (BOUNDS.md section 2)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.graph.align import PairNode
from lipcert.graph.pair import Pair
from lipcert.methods.agreement import beyond, label_of, margins
from lipcert.methods.base import Bounds, Method, contrast_of
from lipcert.methods.budget import Seen, budget
from lipcert.methods.crown import joint_bounds
from lipcert.methods.enclosed import Enclosed, enclose, tightened
from lipcert.methods.noise import noise
from lipcert.methods.softmax import executed_rates
from lipcert.methods.twin_facts import Values, step_of
from lipcert.methods.twin_rule import Step, TwinRule
from lipcert.numeric.placement import Placement
from lipcert.numeric.rounding import down
from lipcert.ops.kinds import Elementwise
from lipcert.sets.enclosure import Interval, Twin
from lipcert.sets.region import Region
from lipcert.walk.backward import Query, least
from lipcert.walk.progress import Watch, quiet

FINE = 2.0**-30  # of a layer's largest value: a drift known so well, as at points, is known


@dataclass(frozen=True, slots=True, eq=False)
class TwinEnclosed:
    """A pair with proved enclosures of f, g and g - f at every node."""

    names: tuple[str, ...]
    twins: Mapping[str, Twin]
    rule: TwinRule
    placement: Placement

    def margins(self, label: Tensor) -> Tensor:
        """Lower bounds of drift[label] less every other drift, (batch, outputs)."""
        count = self.twins[self.names[-1]].drift.lower.shape[1]
        return margins(self.names, self.rule, self.placement, label, count)

    def contrasts(self) -> Interval:
        """Differences of drifts, entry i less entry j, (batch, outputs, outputs)."""
        batch, count = self.twins[self.names[-1]].drift.lower.shape
        every = torch.arange(count, device=self.rule.support.hull.lower.device).repeat(batch, 1)
        query = Query.contrasts(every, count)
        bound = least(self.names, self.names[-1], query, self.rule, self.placement)
        lower = bound.view(batch, count, count)
        return Interval(lower, -lower.transpose(1, 2))

    def drift(self, name: str) -> Interval:
        """Bounds on the drift of a node, tightened by a backward walk from every coordinate."""
        box = self.twins[name].drift
        everywhere = torch.ones_like(box.lower, dtype=torch.bool)
        return tightened(box, everywhere, self.names, name, self.rule, self.placement)


def enclose_pair(
    pair: Pair, original: Enclosed, compressed: Enclosed, watch: Watch = quiet
) -> TwinEnclosed:
    """Enclosures of the drift on every node, tight where an undecided activation reads it."""
    placement, support = original.placement, original.rule.support
    zero = torch.zeros_like(support.hull.lower)
    twins = {pair.nodes[0].name: Twin(support.hull, support.hull, Interval.point(zero))}
    steps: dict[str, Step] = {}
    rule = TwinRule({node.name: node for node in pair.nodes}, steps, support)
    names = tuple(node.name for node in pair.nodes)
    for done, node in enumerate(pair.nodes[1:]):
        watch("bounding the drift", done, len(names) - 1)
        inputs = [twins[name] for name in node.inputs]
        steps[node.name], twin = step_of(
            node, inputs, _values(node, original, compressed), placement
        )
        mask = _undecided(pair, node, twin)
        drift = tightened(twin.drift, mask, names, node.name, rule, placement)
        twins[node.name] = Twin(twin.original, twin.compressed, drift).consistent()
    return TwinEnclosed(names, twins, rule, placement)


def _values(node: PairNode, original: Enclosed, compressed: Enclosed) -> Values:
    """What is known of both networks' values at a pair node."""
    f, g = node.original.name, node.compressed.name
    return Values(
        original.boxes[f],
        compressed.boxes[g],
        original.errors[f] if node.original_op is not None else None,
        compressed.errors[g] if node.compressed_op is not None else None,
    )


def _undecided(pair: Pair, node: PairNode, twin: Twin) -> Tensor:
    """Neurons whose drift a backward walk may tighten to the profit of an activation."""
    mask = torch.zeros_like(twin.drift.lower, dtype=torch.bool)
    if isinstance(node.original_op or node.compressed_op, Elementwise):
        return mask
    both = twin.original.hull(twin.compressed)
    for reader in pair.nodes:
        f, g = reader.original_op, reader.compressed_op
        if node.name in reader.inputs and isinstance(f, Elementwise) and isinstance(g, Elementwise):
            mask |= ~(f.settled(both) & g.settled(both))
    width, size = twin.drift.upper - twin.drift.lower, both.magnitude()
    return mask & (width > FINE * size.flatten(1).amax(1).view(-1, *[1] * (size.ndim - 1)))


Walked = tuple[Enclosed, Enclosed, TwinEnclosed]


def followed(
    pair: Pair, region: Region, placement: Placement, watch: Watch, *, shares: bool = False
) -> tuple[Bounds, Walked | None]:
    """Twin bounds, and what they were read from; CROWN alone where no networks are aligned.

    Args:
        pair: not ending in a softmax.
        region: the inputs.
        placement: dtype and device.
        watch: told of every node.
        shares: whether to split the bound of each row's largest drift by source.
    """
    original = enclose(pair.original, region, placement, watch)
    compressed = enclose(pair.compressed, region, placement, watch)
    crown = joint_bounds(pair, original, compressed)
    noises = noise(original), noise(compressed)
    if not pair.aligned:
        return crown.as_evaluated(*noises), None
    twins = enclose_pair(pair, original, compressed, watch)
    walked = twins.drift(twins.names[-1])
    drift = walked.intersect(crown.drift)
    rates = executed_rates(pair, crown.original, crown.compressed)
    agree = crown.agree | _agreement(crown.original, original, twins, rates)
    contrast = twins.contrasts().intersect(contrast_of(drift)) if pair.softmax else None
    split = None
    if shares and not pair.softmax:
        split = budget(Seen(twins.twins, compressed.excess), twins.rule, walked, placement)
    bounds = Bounds(drift, crown.original, crown.compressed, agree, contrast, split)
    return bounds.as_evaluated(*noises), (original, compressed, twins)


@dataclass(frozen=True)
class TwinBounds(Method):
    """Twin bounds, intersected with CROWN on g - f and with the difference of both outputs.

    Args:
        budget: whether to split the bound of each row's largest drift by source; not for pairs
            that end in a softmax.
    """

    budget: bool = False

    def bound(self, pair: Pair, region: Region, placement: Placement, watch: Watch) -> Bounds:
        """Never looser than CROWN; CROWN alone where the networks could not be aligned."""
        return followed(pair, region, placement, watch, shares=self.budget)[0]


def _agreement(
    outputs: Interval, original: Enclosed, twins: TwinEnclosed, rates: tuple[Tensor, Tensor]
) -> Tensor:
    """Rows in which f keeps its label by more than the drift can take away."""
    label = label_of(outputs)
    if label is None:
        return torch.zeros(len(outputs.lower), dtype=torch.bool)
    margin = original.margins(label)
    return beyond(rates, margin, down(margin + twins.margins(label)))
