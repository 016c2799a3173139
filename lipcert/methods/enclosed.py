"""One network with a proved box on every node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.methods.agreement import margins
from lipcert.methods.crown_rule import CrownRule, executed_facts, relaxation
from lipcert.methods.executed import added, error_of, excess_of, widened
from lipcert.numeric.placement import Placement
from lipcert.ops.kinds import Affine, Elementwise
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region
from lipcert.walk.backward import Query, Rule, S, least
from lipcert.walk.progress import Watch, quiet
from lipcert.walk.support import Support
from lipcert.walk.table import Table


@dataclass(frozen=True, slots=True, eq=False)
class Enclosed:
    """A network with proved boxes on every node, ready for more backward walks.

    `errors` holds what executing each node may add to its exact value, None where it is nothing;
    `excess` what of it saturating sums add, for the nodes whose kernels can saturate.
    """

    graph: LayerGraph
    boxes: Mapping[str, Interval]
    errors: Mapping[str, Interval | None]
    excess: Mapping[str, Interval | None]
    rule: CrownRule
    placement: Placement

    @property
    def names(self) -> tuple[str, ...]:
        """Topological order."""
        return tuple(node.name for node in self.graph.nodes)

    def margins(self, label: Tensor) -> Tensor:
        """Lower bounds of output[label] less every other output, (batch, outputs)."""
        count = self.graph.output.shape[0]
        return margins(self.names, self.rule, self.placement, label, count)

    def output(self) -> Interval:
        """Bounds on every output, tightened by a backward walk."""
        return self.tightened(self.graph.output.name)

    def tightened(self, name: str, mask: Tensor | None = None) -> Interval:
        """A node's box, walked backward from wherever `mask` is true (everywhere by default)."""
        box = self.boxes[name]
        mask = torch.ones_like(box.lower, dtype=torch.bool) if mask is None else mask
        return tightened(box, mask, self.names, name, self.rule, self.placement)


def tightened(
    box: Interval,
    mask: Tensor,
    names: Sequence[str],
    target: str,
    rule: Rule[S],
    placement: Placement,
) -> Interval:
    """The box intersected with proved backward bounds where `mask` (batch, *shape) is true."""
    if not bool(mask.any()):
        return box
    query = Query.both_sides(mask)
    bounds = least(names, target, query, rule, placement)
    where = (query.sample * box.lower[0].numel() + query.index)[0::2]
    lower = box.lower.flatten().scatter_reduce(0, where, bounds[0::2], "amax")
    upper = box.upper.flatten().scatter_reduce(0, where, -bounds[1::2], "amin")
    return Interval(lower.view_as(box.lower), upper.view_as(box.upper))


def enclose(
    graph: LayerGraph, region: Region, placement: Placement, watch: Watch = quiet
) -> Enclosed:
    """Proved boxes (batch, *shape) of every node, tight where a nonlinearity reads them."""
    graph = graph.placed(placement)
    support = Support.of(region, placement)
    boxes: dict[str, Interval] = {graph.input.name: support.hull}
    tables: dict[str, Table] = {}
    errors: dict[str, Interval | None] = {graph.input.name: None}
    excess: dict[str, Interval | None] = {}
    rule = CrownRule(graph.by_name(), tables, support)
    names = [node.name for node in graph.nodes]
    readers = graph.readers()
    for done, node in enumerate(graph.nodes[1:]):
        watch(f"bounding {graph.source}", done, len(names) - 1)
        assert node.op is not None
        inputs = [boxes[name] for name in node.inputs]
        box, facts = relaxation(node.op, *inputs)
        lost = excess_of(graph, node, boxes)
        error = added(error_of(node.op, graph.semantics, box, *inputs), lost)
        errors[node.name] = error
        if graph.excess is not None and node.name in graph.excess:
            excess[node.name] = lost
        boxes[node.name] = box = widened(box, error)
        tables[node.name] = Table.pack(executed_facts(node.op, facts, error))
        exact = support.ball is None and set(node.inputs) == {graph.input.name}
        if isinstance(node.op, Affine) and not exact:
            mask = _undecided(node.name, box, readers)
            boxes[node.name] = tightened(box, mask, names, node.name, rule, placement)
    return Enclosed(graph, boxes, errors, excess, rule, placement)


def _undecided(name: str, box: Interval, readers: Mapping[str, tuple[Node, ...]]) -> Tensor:
    """Neurons whose box a backward walk may tighten to the profit of the activations that follow.

    Activations one behind the other (ReLU, then a quantiser) are looked through.
    """
    mask = torch.zeros_like(box.lower, dtype=torch.bool)
    for reader in readers[name]:
        if isinstance(reader.op, Elementwise):
            mask |= ~reader.op.settled(box)
            if any(isinstance(next_one.op, Elementwise) for next_one in readers[reader.name]):
                mask |= _undecided(reader.name, reader.op.image(box), readers)
    return mask
