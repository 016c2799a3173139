r"""What the drift SDP knows of a pair over a ball: sectors, lines and planes of every activation.

The coordinates are 1, the input's increment from the centre, and the increments u of all neurons
of f and of g whose slope the region does not fix; reads v of a layer are linear in earlier ones.
Of neurons of one network: $(u - a v)(b v - u) \ge 0$ for slopes in [a, b], from the centre and from
every knot, and products of lines below and above the activation and of the lines below, so that a
ReLU is all but exact: $\sigma (\sigma - z) = 0$. Of the two networks at the same input, where
$\zeta = y - z$ and $\delta = \sigma(y) - \sigma(z)$: $(\delta - a \zeta)(b \zeta - \delta) \ge 0$,
and the product of the planes below and above $\delta$ that twin bounds know. What is known at the
centre enters as constants between proved bounds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lipcert.graph.align import PairNode
from lipcert.graph.pair import Pair
from lipcert.methods.coupling import Plane, coupling
from lipcert.methods.enclosed import enclose
from lipcert.methods.noise import noise
from lipcert.methods.sdp_layers import (
    SMALLEST,
    Layer,
    Moves,
    Side,
    columns_of,
    flat,
    layers_of,
    moves_of,
    output_of,
    stages_of,
    units_of,
)
from lipcert.methods.twin import TwinEnclosed, enclose_pair
from lipcert.numeric.placement import Placement
from lipcert.ops.kinds import Elementwise, same
from lipcert.ops.piecewise import PiecewiseLinear
from lipcert.sdp.maps import Array, Mask
from lipcert.sdp.procedure import Forms, Known, Products
from lipcert.sdp.procedure.known import joined
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Box, Region

ROOM = 1e-5  # of a box's width, kept between facts that contradict each other at a touch
Sized = tuple[Products, Array]  # products and their typical sizes


@dataclass(frozen=True, slots=True, eq=False)
class DriftFacts:
    """Of one row of a region.

    Args:
        known: products of forms that are never negative.
        drift: the output drift, a form per output.
        noise: what float64 evaluations of f and of g may be off by, (1, *output shape).
    """

    known: Known
    drift: Forms
    noise: tuple[Tensor, Tensor]


def drift_facts(pair: Pair, region: Region, placement: Placement) -> DriftFacts:
    """Facts of an aligned pair over a region of one row that has a ball.

    Args:
        pair: executed in real arithmetic.
        region: of one row.
        placement: CPU and float64.

    Raises:
        UnsupportedOp: an operation is neither affine nor slope-restricted.
    """
    around = region.ball()
    assert around is not None
    point = Box.around(around[0], 0.0)
    f, g = (
        Side(graph, enclose(graph, region, placement), enclose(graph, point, placement))
        for graph in (pair.original, pair.compressed)
    )
    first = list(layers_of(f, 0))
    second = list(layers_of(g, len(first)))
    layers = (*first, *second)
    columns, width = columns_of(around[0][0].numel(), layers)
    moves = [moves_of(layer, columns, width) for layer in layers]
    found = [*_sectors(moves), *_all_lines(moves)]
    couple = _Couple(
        enclose_pair(pair, f.over, g.over),
        enclose_pair(pair, f.at, g.at),
        {move.layer.node.name: move for move in moves[: len(first)]},
        {move.layer.node.name: move for move in moves[len(first) :]},
    )
    found += [sized for node in pair.nodes for sized in couple.products(node)]
    ends = [output_of(part, columns, width) for part in ((f, first), (g, second))]
    every = np.ones(len(ends[0].value), dtype=bool)
    drift = _shifted(ends[1].minus(ends[0]), couple.at.twins[couple.at.names[-1]].drift, every)
    known = Known(
        columns[0].stop - 1,
        around[1],
        joined([products for products, _ in found], width),
        stages_of(layers, columns),
        units_of(layers, columns, width),
        np.concatenate([np.zeros(0), *(size for _, size in found)]),
    )
    return DriftFacts(known, drift, (noise(f.over), noise(g.over)))


def _sectors(moves: list[Moves]) -> Iterator[Sized]:
    """Of all layers in their order: the stages of a search."""
    for move in moves:
        free = move.layer.free
        yield _sector(move.makes, move.reads, move.layer.slope, free), _size(move.layer)


def _all_lines(moves: list[Moves]) -> Iterator[Sized]:
    for move in moves:
        for products in _lines(move):
            yield products, _size(move.layer)


def _size(layer: Layer) -> Array:
    """Squares of how far free neurons' inputs may be from the middle."""
    read = layer.side.over.boxes[layer.node.inputs[0]]
    return _squares(flat(read.upper - read.lower)[layer.free] / 2)


def _sector(makes: Forms, reads: Forms, slope: Array, keep: Mask) -> Products:
    """(made - lower read) (upper read - made)."""
    lower, upper = slope[:, keep]
    makes, reads = makes.rows(keep), reads.rows(keep)
    return Products(makes.minus(reads.times(lower)), reads.times(upper).minus(makes))


def _lines(move: Moves) -> Iterator[Products]:
    """Lines below at both ends of the sector, with the line above and with each other; knots."""
    node, free, where = move.layer.node, move.layer.free, move.layer.side
    assert isinstance(node.op, Elementwise)
    box = where.over.boxes[node.inputs[0]]
    z = _shifted(move.reads.rows(free), where.at.boxes[node.inputs[0]], free)
    a = _shifted(move.makes.rows(free), where.at.boxes[node.name], free)
    chosen = node.op.lines(box)
    top = _tilted(z, chosen.upper_slope, free)
    top = _shifted(top, Interval.point(chosen.upper_intercept), free).minus(a)
    below: list[Forms] = []
    for slope in (torch.from_numpy(end).view_as(box.lower) for end in move.layer.slope):
        intercept = Interval.point(node.op.remainder(box, slope).lower)
        below.append(a.minus(_shifted(_tilted(z, slope, free), intercept, free)))
        yield Products(below[-1], top)
    room = Interval.point((box.upper - box.lower) * ROOM)
    yield Products(_shifted(below[0], room, free), _shifted(below[1], room, free))
    for knot in node.op.knots(box.lower) if isinstance(node.op, PiecewiseLinear) else ():
        place = Interval.point(knot.expand_as(box.lower))
        far = (
            _shifted(z, _negative(place), free),
            _shifted(a, _negative(node.op.image(place)), free),
        )
        yield _sector(far[1], far[0], move.layer.slope[:, free], np.ones(len(z.value), dtype=bool))


def _negative(box: Interval) -> Interval:
    return Interval(-box.upper, -box.lower)


def _tilted(forms: Forms, slope: Tensor, keep: Mask) -> Forms:
    """Kept neurons' forms times their slopes."""
    return forms.times(flat(slope)[keep])


def _shifted(forms: Forms, box: Interval, keep: Mask) -> Forms:
    """Kept neurons' forms plus constants from a box of all neurons."""
    lower, upper = (flat(end)[keep] for end in (box.lower, box.upper))
    return forms.plus(Forms.constants(lower, upper, forms.value.shape[1]))


@dataclass(frozen=True, slots=True, eq=False)
class _Couple:
    """Both networks side by side."""

    over: TwinEnclosed
    at: TwinEnclosed
    first: Mapping[str, Moves]
    second: Mapping[str, Moves]

    def products(self, node: PairNode) -> Iterator[Sized]:
        """Of an activation that both networks have; none elsewhere."""
        f, g = node.original_op, node.compressed_op
        if not (isinstance(f, Elementwise) and isinstance(g, Elementwise)):
            return
        one, two = self.first[node.original.name], self.second[node.compressed.name]
        keep = one.layer.free | two.layer.free
        name, twin = node.inputs[0], self.over.twins[node.inputs[0]]
        zeta = two.reads.rows(keep).minus(one.reads.rows(keep))
        zeta = _shifted(zeta, self.at.twins[name].drift, keep)
        delta = two.makes.rows(keep).minus(one.makes.rows(keep))
        delta = _shifted(delta, self.at.twins[node.name].drift, keep)
        centre = one.layer.side.at.boxes[one.layer.node.inputs[0]]
        z = _shifted(one.reads.rows(keep), centre, keep)
        planes = coupling(f, g, twin, alike=same(f, g))
        low, high = (_plane(plane, zeta, z, keep) for plane in (planes.below, planes.above))
        size = _squares(flat(twin.drift.magnitude())[keep])
        yield Products(delta.minus(low), high.minus(delta)), size
        if same(f, g):
            sector = f.slope(twin.original.hull(twin.compressed))
            slope = np.stack([flat(sector.lower), flat(sector.upper)])
            every = np.ones(int(keep.sum()), dtype=bool)
            yield _sector(delta, zeta, slope[:, keep], every), size


def _plane(plane: Plane, zeta: Forms, z: Forms, keep: Mask) -> Forms:
    """A plane in the difference of what is read and in what f reads."""
    tilted = _tilted(zeta, plane.along_drift, keep).plus(_tilted(z, plane.along_original, keep))
    return _shifted(tilted, Interval.point(plane.intercept), keep)


def _squares(sizes: Array) -> Array:
    """Squares, one where they are next to nothing."""
    return np.where(sizes > SMALLEST, sizes, 1.0) ** 2
