r"""What each channel's width does to the certified drift, to first order.

Where its planes are kept, the twin bound on a side of an output is linear in the weights of g: with
$\Lambda$ the coefficients on a layer's drift and $a$ what g's layer reads at the region's worst
corner, other weights V' of a channel c move it by $\Lambda_c (V'_c - V_c) a$. That foretells; an
allocation counts once it is certified.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lipcert.compress.bench import Bench, Chosen
from lipcert.compress.codes import WIDTHS
from lipcert.graph.align import PairNode
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.pair import Pair
from lipcert.methods.recorded import recorded
from lipcert.methods.twin import TwinEnclosed, followed
from lipcert.methods.twin_rule import Double
from lipcert.ops.functional import Functional
from lipcert.ops.kinds import Elementwise
from lipcert.sets.enclosure import Interval
from lipcert.walk.backward import Query
from lipcert.walk.progress import quiet

SIDES = 2048  # of outputs, up and down, that are looked at: those that move furthest

Effect = Float[np.ndarray, "sides channels widths"]


@dataclass(frozen=True, slots=True, eq=False)
class Effects:
    """Of one allocation's channels.

    Args:
        certified: the largest drift of any output.
        sides: how far the outputs that drift furthest are proved to move, (sides,).
        layers: what every width of every channel would add to that; none where the bound is not
            linear in a layer's weights: networks that are not aligned, or end in a softmax.
    """

    certified: float
    sides: Float[np.ndarray, " sides"]
    layers: Mapping[str, Effect]


@dataclass(frozen=True, slots=True, eq=False)
class Foresight:
    """Foretells what widths do to the drift.

    Args:
        bench: the network.
        at_width: the network with all its channels at one width.
    """

    bench: Bench
    at_width: Mapping[int, LayerGraph]

    @classmethod
    def of(cls, bench: Bench) -> "Foresight":
        """Of a network."""
        made = {width: bench.pair(bench.everywhere(width)).compressed for width in WIDTHS}
        return cls(bench, made)

    def effects(self, chosen: Chosen) -> Effects:
        """Of other widths, beside what is certified of these."""
        drift = self.bench.drift(chosen)
        largest, pair = float(drift.magnitude().max()), self.bench.pair(chosen)
        if not pair.aligned or pair.body().softmax or not np.isfinite(largest):
            return Effects(largest, np.zeros(0), {})
        sides, parts = list[Tensor](), list[Mapping[str, Tensor]]()
        for row, query, ends in _furthest(drift):
            sides.append(ends)
            parts.append(self._of_row(pair, row, query))
        layers = {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}
        return Effects(largest, torch.cat(sides).numpy(), layers)

    def _of_row(self, pair: Pair, row: int, query: Query) -> Mapping[str, Tensor]:
        """Effects of every layer's widths on some sides of one region."""
        bench = self.bench
        region = bench.region.part(slice(row, row + 1))
        _, walked = followed(pair, region, bench.placement, quiet)
        assert walked is not None, "the networks are aligned"
        twins = walked[2]
        _, states = recorded(query, twins.rule, bench.placement)
        values = pair.compressed.values(_corners(twins, states[twins.names[0]]))
        nodes = {node.original.name: node for node in pair.nodes if node.name in states}
        found: dict[str, Tensor] = {}
        for node in (nodes[layer.name] for layer in bench.layers if layer.name in nodes):
            felt = _felt(pair, node)
            slopes = _slopes([state.drift for state in states[(felt or node).name]])
            if slopes is not None:
                found[node.original.name] = self._of_layer(node, felt, values, slopes)
        return found

    def _of_layer(
        self, node: PairNode, felt: PairNode | None, values: Mapping[str, Tensor], slopes: Tensor
    ) -> Tensor:
        """(sides, channels, widths)."""
        before = values[(felt or node).compressed.name]
        channel = 1 if slopes.ndim == 4 else slopes.ndim - 1
        others = [axis for axis in range(1, slopes.ndim) if axis != channel]
        found: list[Tensor] = []
        for width in WIDTHS:
            there = self.at_width[width].by_name()[node.compressed.name]
            assert there.op is not None
            value = there.op.value(*(values[name] for name in there.inputs))
            if felt is not None and felt.compressed_op is not None:
                value = felt.compressed_op.value(value)
            moved = -slopes * (value - before)
            found.append(moved.sum(others) if others else moved)
        return torch.stack(found, -1)


def _felt(pair: Pair, node: PairNode) -> PairNode | None:
    """The activation that alone reads a layer: what it cuts off is not felt."""
    readers = [reader for reader in pair.nodes if node.name in reader.inputs]
    alone = len(readers) == 1 and isinstance(readers[0].compressed_op, Elementwise)
    return readers[0] if alone else None


def _furthest(drift: Interval) -> list[tuple[int, Query, Tensor]]:
    """Of every region that has some of the furthest sides: its row, what to ask, how far."""
    sides = torch.stack([-drift.lower.flatten(1), drift.upper.flatten(1)], -1).flatten(1)
    least = sides.flatten().topk(min(SIDES, sides.numel())).values[-1]
    found: list[tuple[int, Query, Tensor]] = []
    for row, ends in enumerate(sides):
        places = (ends >= least).nonzero()[:, 0]
        if len(places):
            query = Query(torch.zeros_like(places), places // 2, 1 - 2 * (places % 2))
            found.append((row, query, ends[places].double().cpu()))
    return found


def _corners(twins: TwinEnclosed, states: Sequence[Double]) -> Tensor:
    """Where each row's linear function is least on a box; the middle of a ball."""
    support, slopes = twins.rule.support, _slopes([state.original for state in states])
    lower, upper = (end.double().cpu() for end in (support.hull.lower, support.hull.upper))
    if slopes is None or support.ball is not None:
        return (lower + upper) / 2
    return torch.where(slopes > 0, lower, upper)


def _slopes(parts: Sequence[Functional | None]) -> Tensor | None:
    """Dense coefficients of all rows, in the node's own order; None where there are none."""
    known = [part.in_natural_order() for part in parts if part is not None]
    return torch.cat(known).double().cpu() if len(known) == len(parts) else None
