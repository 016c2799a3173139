"""Reading linear maps off a graph: rows of functionals pulled back to the nearest neurons."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.numeric.rounding import gamma
from lipcert.ops.functional import Functional
from lipcert.ops.kinds import Affine
from lipcert.ops.routing import Routing
from lipcert.ops.select import Select
from lipcert.sdp.maps import Array, Maps

SMALLEST = 1e-290  # products below may have lost digits to underflow
FLOOR = 1e-250  # then added to magnitudes: far above what underflow can lose


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """An activation whose neurons are variables, or of one known slope, or never move.

    Args:
        block: number of the variables.
        neurons: flat coordinates of the variables, ascending.
        slope: (size,) slope of the other neurons, zero at variables.
        error: relative error of those slopes.
    """

    block: int
    neurons: Tensor
    slope: Tensor
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Coefficients on a node, and the same with every weight replaced by its magnitude."""

    exact: Functional
    size: Functional

    def plus(self, other: "_Rows") -> "_Rows":
        return _Rows(self.exact.plus(other.exact), self.size.plus(other.size))


@dataclass(slots=True)
class _Pull:
    """A walk in progress: how many roundings, and how much relative error, any path has met."""

    graph: LayerGraph
    sources: Mapping[str, Source]
    pending: dict[str, _Rows]
    weight: dict[int, Tensor]
    size: dict[int, Tensor]
    roundings: int = 0
    relative: float = 0.0

    def add(self, name: str, rows: _Rows) -> None:
        """Coefficients on a node, summed where branches meet."""
        if name in self.pending:
            self.roundings += 1
            rows = self.pending[name].plus(rows)
        self.pending[name] = rows

    def through(self, node: Node, rows: _Rows) -> None:
        """From a node's value to what it reads."""
        if node.name in self.sources:
            self._activation(node, rows)
        else:
            self._affine(node, rows)

    def _affine(self, node: Node, rows: _Rows) -> None:
        op = node.op
        if not isinstance(op, Affine):
            raise UnsupportedOp(
                f"LipSDP: '{node.name}' is a {type(op).__name__}, which has neither a linear map "
                "nor a slope; take it off or use another bound"
            )
        exact, size = op.adjoint(rows.exact), op.magnitude().adjoint(rows.size)
        if isinstance(op, Select) or not isinstance(op, Routing):
            self.roundings += op.terms
            if _least(op, rows.size) < SMALLEST:
                size = tuple(s.with_values(s.values + FLOOR) for s in size)
        self._grow(op.weight_error)
        for name, part, whole in zip(node.inputs, exact, size, strict=True):
            self.add(name, _Rows(part, whole))

    def _activation(self, node: Node, rows: _Rows) -> None:
        source = self.sources[node.name]
        exact, size = (f.in_natural_order().flatten(1) for f in (rows.exact, rows.size))
        if len(source.neurons):
            self.weight[source.block] = exact[:, source.neurons]
            self.size[source.block] = size[:, source.neurons]
        if not bool(source.slope.any()):
            return
        if not bool(((source.slope == 0) | (source.slope == 1)).all()):
            self.roundings += 1
        self._grow(source.error)
        shape = node.shape
        kept = [f * s for f, s in ((exact, source.slope), (size, source.slope.abs()))]
        both = [Functional.natural(f.view(len(f), *shape), shape) for f in kept]
        self.add(node.inputs[0], _Rows(both[0], both[1]))

    def _grow(self, error: float) -> None:
        self.relative = (self.relative + error + self.relative * error) * (1 + 1e-9)

    def run(self, rows: int) -> Maps:
        """Down to the neurons and the input, whose block is zero."""
        for node in reversed(self.graph.nodes):
            here = self.pending.pop(node.name, None)
            if here is None:
                continue
            if node.op is None:
                self.weight[0] = here.exact.in_natural_order().flatten(1)
                self.size[0] = here.size.in_natural_order().flatten(1)
            else:
                self.through(node, here)
        weight = {block: _array(part) for block, part in sorted(self.weight.items())}
        slack = gamma(self.roundings, torch.float64) if self.roundings else 0.0
        total = (self.relative + slack * (1 + self.relative)) * (1 + 1e-9)
        if total == 0:
            return Maps(rows, weight)
        if not math.isfinite(total) or total > 1e-3:
            raise UnsupportedOp("LipSDP: weights with too large an error of their own")
        error = {block: _array(part) * (total * 1.01) for block, part in self.size.items()}
        return Maps(rows, weight, error)


def maps_of_node(graph: LayerGraph, name: str, sources: Mapping[str, Source]) -> Maps:
    """Every coordinate of a node's value as linear maps of the neurons that it reads.

    Raises:
        UnsupportedOp: an operation on the way has neither a linear map nor a slope.
    """
    node = graph.by_name()[name]
    count = torch.Size(node.shape).numel()
    index = torch.arange(count)
    like = torch.zeros(1, dtype=torch.float64)
    pull = _Pull(graph, sources, {}, {}, {})
    op = node.op
    if isinstance(op, Affine) and name not in sources:
        exact = op.coordinates(index, node.shape, like)  # stored weights: nothing is rounded
        pull.relative = op.weight_error
        for below, part in zip(node.inputs, exact, strict=True):
            pull.add(below, _Rows(part, part.with_values(part.values.abs())))
    else:
        unit = Functional.unit(index, node.shape, like)
        pull.add(name, _Rows(unit, unit))
    return pull.run(count)


def maps_of_rows(graph: LayerGraph, rows: Tensor | None, sources: Mapping[str, Source]) -> Maps:
    """Linear functionals (rows, size) of the output, or all of it, as maps of the neurons."""
    if rows is None:
        return maps_of_node(graph, graph.output.name, sources)
    shape = graph.output.shape
    functional = Functional.natural(rows.view(len(rows), *shape), shape)
    pull = _Pull(graph, sources, {}, {}, {})
    whole = functional.with_values(functional.values.abs())
    pull.add(graph.output.name, _Rows(functional, whole))
    return pull.run(len(rows))


def _least(op: Affine, size: Functional) -> float:
    """Lower bound on the nonzero products of coefficients and weights."""
    tensors = [size.values, *(v for v in op.parameters().values() if isinstance(v, Tensor))]
    least = 1.0
    for found in (t[t != 0].abs() for t in tensors if t.is_floating_point()):
        least *= min(1.0, float(found.min())) if found.numel() else 1.0
    return least


def _array(values: Tensor) -> Array:
    return values.double().contiguous().numpy()
