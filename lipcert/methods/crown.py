"""CROWN: linear bounds on the graph of g - f, and on each network alone."""

from dataclasses import dataclass

import torch

from lipcert.graph.pair import Pair
from lipcert.methods.agreement import beyond, label_of
from lipcert.methods.base import Bounds, Method
from lipcert.methods.crown_rule import CrownRule, relaxation
from lipcert.methods.enclosed import Enclosed, enclose
from lipcert.methods.noise import noise
from lipcert.methods.softmax import executed_rates
from lipcert.numeric.placement import Placement
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch
from lipcert.walk.table import Table


@dataclass(frozen=True)
class Crown(Method):
    """CROWN on the graph of g - f, intersected with the difference of separate bounds."""

    def bound(self, pair: Pair, region: Region, placement: Placement, watch: Watch) -> Bounds:
        """Never looser than subtraction."""
        original = enclose(pair.original, region, placement, watch)
        compressed = enclose(pair.compressed, region, placement, watch)
        bounds = joint_bounds(pair, original, compressed)
        return bounds.as_evaluated(noise(original), noise(compressed))


def joint_bounds(pair: Pair, original: Enclosed, compressed: Enclosed) -> Bounds:
    """Bounds of CROWN from two networks that are enclosed already."""
    values, others = original.output(), compressed.output()
    drift = joint(pair, original, compressed).output().intersect(others.minus(values))
    agree = torch.zeros(len(values.lower), dtype=torch.bool)
    label = label_of(values)
    if label is not None:  # each network alone keeps it
        rates = executed_rates(pair, values, others)
        agree = beyond(rates, original.margins(label), compressed.margins(label))
    return Bounds(drift, values, others, agree)


def joint(pair: Pair, original: Enclosed, compressed: Enclosed) -> Enclosed:
    """The graph of g - f, enclosed: the same slopes as in each network alone."""
    graph = pair.joined().placed(original.placement)
    boxes = {graph.input.name: original.rule.support.hull}
    tables: dict[str, Table] = {}
    for prefix, part in (("original", original), ("compressed", compressed)):
        names = [node.name for node in part.graph.nodes[1:]]
        boxes |= {f"{prefix}:{name}": part.boxes[name] for name in names}
        tables |= {f"{prefix}:{n}": part.rule.tables[n] for n in names if n in part.rule.tables}
    drift = graph.output
    assert drift.op is not None
    inputs = [boxes[name] for name in drift.inputs]
    boxes[drift.name], facts = relaxation(drift.op, *inputs)
    tables[drift.name] = Table.pack(facts)
    rule = CrownRule(graph.by_name(), tables, original.rule.support)
    return Enclosed(graph, boxes, {}, {}, rule, original.placement)
