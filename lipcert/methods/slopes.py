"""Slopes behind a method's bounds: the evidence from which a checker derives them again."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.align import PairNode
from lipcert.graph.pair import Pair
from lipcert.methods.base import Method
from lipcert.methods.crown import Crown
from lipcert.methods.enclosed import Enclosed, enclose
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.sdp import DriftSdp
from lipcert.methods.twin import TwinBounds, TwinEnclosed, enclose_pair
from lipcert.methods.twin_rule import ElementwiseStep
from lipcert.numeric.placement import Placement
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Elementwise
from lipcert.sets.region import Region
from lipcert.walk.guard import direct_arithmetic
from lipcert.walk.table import Table

SLOPES = (0, 2)  # of a table of lines: below and above
PLANES = (0, 1, 3, 4)  # of a table of planes: along drift and value, below and above


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """Slopes of every line and plane, on the CPU in float32.

    Args:
        original: by f's node, (batch, 2, *shape): below, above.
        compressed: by g's node, likewise.
        pairs: by pair node, (batch, 4, *shape): along drift and along f's value below, then above.
    """

    original: Mapping[str, Tensor]
    compressed: Mapping[str, Tensor]
    pairs: tuple[tuple[PairNode, Tensor], ...]


def slopes(method: Method, pair: Pair, region: Region, placement: Placement) -> Slopes:
    """Slopes that a method uses for a pair that does not end in a softmax.

    Raises:
        UnsupportedOp: a method that is not made of lines and planes.
    """
    with direct_arithmetic():
        return _slopes(method, pair, region, placement)


@singledispatch
def _slopes(method: Method, pair: Pair, region: Region, placement: Placement) -> Slopes:
    raise UnsupportedOp(f"{type(method).__name__} has no slopes to give as evidence")


@_slopes.register
def _of_interval(
    method: IntervalArithmetic, pair: Pair, region: Region, placement: Placement
) -> Slopes:
    """Constants."""
    batch = region.batch
    original, compressed = (
        {
            node.name: torch.zeros(batch, 2, *node.shape)
            for node in graph.nodes
            if isinstance(node.op, Elementwise)
        }
        for graph in (pair.original, pair.compressed)
    )
    return Slopes(original, compressed, ())


@_slopes.register
def _of_crown(method: Crown, pair: Pair, region: Region, placement: Placement) -> Slopes:
    """Lines alone."""
    return Slopes(
        _lines(enclose(pair.original, region, placement)),
        _lines(enclose(pair.compressed, region, placement)),
        (),
    )


@_slopes.register(TwinBounds)
@_slopes.register(DriftSdp)
def _of_twin(method: Method, pair: Pair, region: Region, placement: Placement) -> Slopes:
    """Lines, and planes where the networks are aligned."""
    original = enclose(pair.original, region, placement)
    compressed = enclose(pair.compressed, region, placement)
    planes: tuple[tuple[PairNode, Tensor], ...] = ()
    if pair.aligned:
        planes = _planes(pair, enclose_pair(pair, original, compressed))
    return Slopes(_lines(original), _lines(compressed), planes)


def _lines(enclosed: Enclosed) -> dict[str, Tensor]:
    tables, batch = enclosed.rule.tables, len(enclosed.rule.support.hull.lower)
    return {
        node.name: _facts(tables[node.name], SLOPES, node.shape, batch)
        for node in enclosed.graph.nodes
        if isinstance(node.op, Elementwise)
    }


def _planes(pair: Pair, twins: TwinEnclosed) -> tuple[tuple[PairNode, Tensor], ...]:
    found: list[tuple[PairNode, Tensor]] = []
    batch = len(twins.rule.support.hull.lower)
    for node in pair.nodes[1:]:
        step = twins.rule.steps[node.name]
        if isinstance(step, ElementwiseStep) and node.compressed_op is not None:
            found.append((node, _facts(step.table, PLANES, node.original.shape, batch)))
    return tuple(found)


def _facts(table: Table, which: tuple[int, ...], shape: Shape, batch: int) -> Tensor:
    """Some facts of a table, (batch, facts, *shape)."""
    chosen = [table.facts[k] for k in which]
    natural = (fact.permute(0, 3, 1, 2) if fact.ndim == 4 else fact for fact in chosen)
    return torch.stack([fact.expand(batch, *shape) for fact in natural], 1).cpu().float()
