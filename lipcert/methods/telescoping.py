r"""The telescoping bound: how far an aligned pair can drift apart in the l2 norm, layer by layer.

With z and y the values of f and of g at one and the same input, an affine layer makes of them

$V y + c - (W z + b) = V (y - z) + (V - W) z + (c - b),$

of length at most $\|V\|_2 \|y - z\|_2$ and that of the layers' difference over f's values: their
box, or $\|V - W\|_2$ times how far f may be from a point. An activation of slopes up to L makes
$L \|y - z\|_2$ of a length, and adds what both networks' activations differ by. Written out it is
the sum over all layers of what one differs by, enlarged by those of g behind it. Nothing is said
of networks of some layers of f and some of g: their values need not lie in boxes of either.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.gain.affine import affine_gain, rows_upper
from lipcert.graph.align import PairNode
from lipcert.graph.pair import Pair
from lipcert.methods.coupling import coupling
from lipcert.methods.enclosed import Enclosed
from lipcert.methods.image import image
from lipcert.methods.moves import Moves, enlarged, known, on_cpu, shapes_of, size
from lipcert.methods.noise import noise
from lipcert.methods.twin import TwinEnclosed, Walked
from lipcert.methods.twin_facts import form_error
from lipcert.numeric.norm import Norm
from lipcert.numeric.rounding import up
from lipcert.ops.kinds import Affine, Elementwise, same
from lipcert.sets.enclosure import Interval, Twin
from lipcert.sets.region import Region
from lipcert.walk.progress import Watch


@dataclass(frozen=True, slots=True, eq=False)
class Telescoped:
    """Proved of the outputs, and of float64 evaluations.

    Args:
        drift: g(x) - f(x), (batch, *shape), float64.
        norm: upper bounds of its l2 norm, (batch,).
    """

    drift: Interval
    norm: Tensor


def telescoped(pair: Pair, region: Region, walked: Walked, watch: Watch) -> Telescoped:
    """Bounds of an aligned pair; infinite behind what has neither a rule nor a box.

    Args:
        pair: aligned.
        region: of the enclosures.
        walked: enclosures of f, of g and of both.
        watch: told of every layer.
    """
    original, compressed, over = walked
    walk = _Walk(Moves.of(pair.original, original, region), original, compressed, over)
    lengths = {pair.nodes[0].name: torch.zeros(region.batch, dtype=torch.float64)}
    for done, node in enumerate(pair.nodes[1:]):
        watch("telescoping", done, len(pair.nodes) - 1)
        lengths[node.name] = walk.length(node, [lengths[name] for name in node.inputs])
    *_, end = pair.nodes
    entries = walk.entries(end, [lengths[name] for name in end.inputs])
    norm = lengths[end.name].view(-1, *[1] * (entries.ndim - 1))
    one, two = (on_cpu(Interval.point(noise(net))).upper for net in (original, compressed))
    off = up(one + two)
    most = up(torch.minimum(entries, norm) + off)
    return Telescoped(Interval(-most, most), up(lengths[end.name] + size(off)))


@dataclass(frozen=True, slots=True, eq=False)
class _Walk:
    """Rules for the length of the drift, node by node of a pair."""

    moves: Moves
    original: Enclosed
    compressed: Enclosed
    over: TwinEnclosed

    def length(self, node: PairNode, below: list[Tensor]) -> Tensor:
        """Behind a node, given the lengths of what it reads, (batch,); never beyond its box."""
        box = size(self._twin(node.name).drift.magnitude())
        f, g = node.original_op, node.compressed_op
        if isinstance(f, Affine) and isinstance(g, Affine) and g.same_form(f):
            found = affine_gain(g, self._shapes(node), below, Norm.TWO)
            found = up(found + self._between(node, f, g)[1])
        elif isinstance(f, Elementwise | None) and isinstance(g, Elementwise | None):
            found = self._activated(f, g, self._twin(node.inputs[0]), below[0])
        else:
            return box
        return torch.minimum(box, known(up(found + size(self._executing(node)))))

    def entries(self, node: PairNode, below: list[Tensor]) -> Tensor:
        """Of every entry behind a layer with one input, (batch, *shape); infinite elsewhere."""
        f, g = node.original_op, node.compressed_op
        if isinstance(f, Affine) and isinstance(g, Affine) and g.same_form(f) and len(below) == 1:
            rows = rows_upper(g, self._shapes(node)[0])
            if rows is not None:
                found = up(below[0].view(-1, *[1] * rows.ndim) * rows)
                found = up(found + self._between(node, f, g)[0])
                return known(up(found + self._executing(node)))
        return torch.full_like(self._twin(node.name).drift.lower, torch.inf)

    def _between(self, node: PairNode, f: Affine, g: Affine) -> tuple[Tensor, Tensor]:
        """How far apart two layers send one value of f: every entry, and the l2 norm."""
        names, difference = node.original.inputs, g.minus(f)
        boxes = [self.moves.boxes[name] for name in names]
        sizes = [box.magnitude() for box in boxes]
        pad = form_error((f, g), (f.weight_error, g.weight_error), sizes)
        pad = torch.zeros_like(self._twin(node.name).drift.lower) if pad is None else pad
        if difference is None:
            return pad, size(pad)
        difference = difference.rounded(0.0)  # each weight once
        points = [self.moves.points[name] for name in names]
        lengths = [self.moves.lengths[name] for name in names]
        moved = affine_gain(difference, shapes_of(points), lengths, Norm.TWO)
        there = image(difference, *map(Interval.point, points)).magnitude()
        moved = known(up(up(moved + size(there)) + size(pad)))
        entries = up(image(difference, *boxes).magnitude() + pad)
        return entries, torch.minimum(moved, known(size(entries)))

    def _activated(
        self, f: Elementwise | None, g: Elementwise | None, twin: Twin, below: Tensor
    ) -> Tensor:
        """By the slopes of f, of g or of the identity, and what the others differ by from it."""
        z, y = twin.original, twin.compressed
        if f is not None and g is not None and same(f, g):
            ways = [enlarged(f, z.hull(y), below)]
        else:
            ways = [
                up(enlarged(f, z.hull(y), below) + _apart(f, g, y)),
                up(enlarged(g, z.hull(y), below) + _apart(f, g, z)),
            ]
        ways.append(up(up(below + _apart(None, g, y)) + _apart(f, None, z)))
        return torch.stack([known(way) for way in ways]).amin(0)

    def _executing(self, node: PairNode) -> Tensor:
        """What executing both operations adds to an exact difference at most, entry by entry."""
        total = torch.zeros_like(self._twin(node.name).drift.lower)
        for side, own, op in (
            (self.original, node.original.name, node.original_op),
            (self.compressed, node.compressed.name, node.compressed_op),
        ):
            error = None if op is None else side.errors[own]
            total = total if error is None else up(total + on_cpu(error).magnitude())
        return total

    def _twin(self, name: str) -> Twin:
        found = self.over.twins[name]
        return Twin(*map(on_cpu, (found.original, found.compressed, found.drift)))

    def _shapes(self, node: PairNode) -> tuple[tuple[int, ...], ...]:
        return shapes_of([self.over.twins[name].drift.lower for name in node.inputs])


def _apart(f: Elementwise | None, g: Elementwise | None, box: Interval) -> Tensor:
    """Upper bound on the l2 norm of how far apart two activations send one value, (batch,)."""
    if f is None and g is None:
        return torch.zeros(len(box.lower), dtype=torch.float64)
    both = Twin(box, box, Interval.point(torch.zeros_like(box.lower)))
    return size(coupling(f, g, both, alike=False).image.magnitude())
