"""Every node as a linear form in the channels of earlier activations, on a torus."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.lipschitz.fourier.level import Level
from lipcert.lipschitz.fourier.reading import WHOLE, Reading, of_rows, reading
from lipcert.lipschitz.fourier.wave import Wave, behind, diagonal, level_below, transfer
from lipcert.numeric.rounding import up
from lipcert.ops.add import Add
from lipcert.ops.concat import Concat
from lipcert.ops.functional import Functional
from lipcert.ops.kinds import Elementwise
from lipcert.ops.linear import Linear
from lipcert.ops.routing import Routing
from lipcert.ops.scale import Scale
from lipcert.sets.enclosure import Interval

Nodes = Mapping[str, Node]
Reads = dict[int, Wave]


class NotAMapError(Exception):
    """The network has a part that is no correlation on a torus."""


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """A node's increments as a linear form in blocks of channels.

    Args:
        reads: per block, how.
        level: torus that the node's map lies on.
        clean: whether increments outside the map are zero.
    """

    reads: Reads
    level: Level
    clean: bool


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Channels of increments b with 0 <= b / z <= 1 for the z that they read.

    Args:
        name: of its multipliers.
        source: the node that is read: below an activation, else the node itself.
        channels: how many.
        level: torus that they lie on.
        reads: z as a linear form; empty for the input.
        moves: whether it is an activation's, and not a mask's, the input's or the output's.
    """

    name: str
    source: str
    channels: int
    level: Level
    reads: Reads
    moves: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Forms:
    """Forms of the nodes seen so far, and the blocks that they are made of."""

    nodes: Nodes
    slopes: Mapping[str, Interval]
    blocks: list[Block] = field(default_factory=list[Block])
    forms: dict[str, Form] = field(default_factory=dict[str, Form])

    def add(self, node: Node) -> None:
        """One more node; those that only move values about are seen through by their readers."""
        if isinstance(node.op, Elementwise):
            self.forms[node.name] = self._activation(node)
        elif isinstance(node.op, Add):
            self.forms[node.name] = self._sum(node, node.op.signs)
        elif isinstance(node.op, Concat):
            self.forms[node.name] = self._joined(node, node.op)
        elif isinstance(node.op, Scale):
            factors = channel_factors(node.op, node)
            self.forms[node.name] = self._scaled(node, factors, node.op.error)
        else:
            found = reading_of(self.nodes, node)
            if found is not None:
                self.forms[node.name] = self._correlated(*found)

    def form(self, name: str) -> Form:
        """Of a node, which must have one.

        Raises:
            NotAMapError: it has none.
        """
        if name not in self.forms:
            raise NotAMapError(name)
        return self.forms[name]

    def _activation(self, node: Node) -> Form:
        before, size = self.form(node.inputs[0]), tuple(node.shape)
        lower, upper = (_of_channels(end, node) for end in _ends(self.slopes[node.name]))
        full = (before.level.height, before.level.width) == (size[1:] if len(size) == 3 else (1, 1))
        if not full:  # neurons beyond the map do not move: slope zero
            lower, upper = lower.amin(-1).clamp(max=0), upper.amax(-1).clamp(min=0)
        else:
            lower, upper = lower.amin(-1), upper.amax(-1)
        own = self._block((node.name, node.inputs[0]), before, up(upper - lower), moves=True)
        if not bool(lower.any()):
            return own
        kept = {j: wave.scaled(lower) for j, wave in before.reads.items()}
        return Form(_total([(kept, 1), (own.reads, 1)]), own.level, before.clean)

    def _block(self, names: tuple[str, str], before: Form, width: Tensor, *, moves: bool) -> Form:
        """A new block of channels; the form is `width` times it."""
        number = len(self.blocks)
        self.blocks.append(Block(*names, len(width), before.level, before.reads, moves))
        return Form({number: diagonal(before.level, width)}, before.level, clean=True)

    def _correlated(self, name: str, read: Reading) -> Form:
        before = self.form(name)
        if read.outside and not before.clean:  # the mask is an activation of slopes 0 and 1
            ones = torch.ones(self.nodes[name].shape[0], dtype=torch.float64)
            before = self._block((f"{name}.mask", name), before, ones, moves=False)
        below, through = level_below(read, before.level), transfer(read, before.level)
        reads = {
            j: behind(wave, through, self.blocks[j].level, before.level)
            for j, wave in before.reads.items()
        }
        return Form(reads, below, clean=False)

    def _sum(self, node: Node, signs: tuple[int, ...]) -> Form:
        parts = [self.form(name) for name in node.inputs]
        if len({part.level for part in parts}) > 1:
            raise NotAMapError(node.name)
        reads = _total([(part.reads, sign) for part, sign in zip(parts, signs, strict=True)])
        return Form(reads, parts[0].level, all(part.clean for part in parts))

    def _joined(self, node: Node, op: Concat) -> Form:
        parts = [self.form(name) for name in node.inputs]
        if op.axis != 0 or len({part.level for part in parts}) > 1:
            raise NotAMapError(node.name)
        spread: list[tuple[Reads, int]] = []
        first = 0
        for part, size in zip(parts, op.sizes, strict=True):
            spread.append(({j: w.rows(first, sum(op.sizes)) for j, w in part.reads.items()}, 1))
            first += size
        return Form(_total(spread), parts[0].level, all(part.clean for part in parts))

    def _scaled(self, node: Node, factors: Tensor | None, error: float) -> Form:
        if factors is None:
            raise NotAMapError(node.name)
        before = self.form(node.inputs[0])
        reads = {j: wave.scaled(factors, error) for j, wave in before.reads.items()}
        return Form(reads, before.level, before.clean)


def _ends(sector: Interval) -> tuple[Tensor, Tensor]:
    return sector.lower, sector.upper


def _of_channels(end: Tensor, node: Node) -> Tensor:
    """(1, *shape) as (channels, positions)."""
    return end.expand(1, *node.shape)[0].reshape(node.shape[0], -1)


def _total(parts: list[tuple[Reads, int]]) -> Reads:
    """Signed sum of forms."""
    total: Reads = {}
    for reads, sign in parts:
        for j, wave in reads.items():
            if j in total:
                total[j] = total[j].plus(wave, sign)
            else:
                total[j] = wave if sign > 0 else wave.scaled(-torch.ones(len(wave.size)).double())
    return total


def channel_factors(op: Scale, node: Node) -> Tensor | None:
    """One factor per channel, or None where it varies over the map."""
    whole = op.factor.expand(node.shape).reshape(node.shape[0], -1)
    return whole[:, 0] if bool((whole == whole[:, :1]).all()) else None


def reading_of(nodes: Nodes, node: Node) -> tuple[str, Reading] | None:
    """The node that is read and how; None for one that only moves values about.

    Raises:
        NotAMapError: the operation is no correlation.
    """
    assert node.op is not None
    if isinstance(node.op, Linear):
        return _of_linear(nodes, node, node.op)
    before = nodes[node.inputs[0]].shape
    found = reading(node.op, before) if len(before) == 3 and len(node.inputs) == 1 else None
    if found is not None:
        return node.inputs[0], found
    if isinstance(node.op, Routing) and len(node.inputs) == 1:
        return None
    raise NotAMapError(node.name)


def _of_linear(nodes: Nodes, node: Node, op: Linear) -> tuple[str, Reading]:
    """Of a dense layer: its rows on the map, seen through reshapes and the like."""
    if len(node.shape) != 1:
        raise NotAMapError(node.name)
    below = nodes[node.inputs[0]]
    rows = Functional.natural(op.weight, below.shape)
    while isinstance(below.op, Routing) and not isinstance(below.op, Add | Concat):
        if len(below.shape) == 3 and reading(below.op, nodes[below.inputs[0]].shape) is not None:
            break
        (rows,) = below.op.adjoint(rows)
        below = nodes[below.inputs[0]]
    values = rows.in_natural_order()
    if values.ndim == 2:
        values = values[:, :, None, None]
    if values.ndim != 4:
        raise NotAMapError(node.name)
    return below.name, of_rows(values, op.error)


def torus(graph: LayerGraph) -> Level:
    """The smallest torus on which no correlation of the graph wraps around.

    Raises:
        NotAMapError: the input is no map, or an operation is no correlation.
    """
    nodes, first = graph.by_name(), graph.input
    if len(first.shape) != 3:
        raise NotAMapError(first.name)
    strides: dict[str, tuple[int, int]] = {first.name: (1, 1)}
    needs, wholes = list(first.shape[1:]), [1, 1]
    for node in graph.nodes[1:]:
        if isinstance(node.op, Elementwise | Add | Concat | Scale):
            strides[node.name] = strides.get(node.inputs[0], (WHOLE, WHOLE))
            continue
        found = reading_of(nodes, node)
        if found is None:
            continue
        name, read = found
        before = strides.get(name, (WHOLE, WHOLE))
        needs = [max(n, b * r) for n, b, r in zip(needs, before, read.needs, strict=True)]
        after = tuple(b * s for b, s in zip(before, read.stride, strict=True))
        strides[node.name] = (after[0], after[1])
        wholes = [math.lcm(w, max(1, a)) for w, a in zip(wholes, after, strict=True)]
    return Level(*(-(-n // w) * w for n, w in zip(needs, wholes, strict=True)))
