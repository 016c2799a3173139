"""A pair of dense networks, one ReLU-like activation beside one quantiser in every layer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from lipcert.graph.align import PairNode
from lipcert.graph.pair import Pair
from lipcert.methods.enclosed import Enclosed
from lipcert.ops.linear import Linear
from lipcert.ops.piecewise import PiecewiseLinear
from lipcert.ops.quantize import Quantize
from lipcert.sets.enclosure import Interval, Twin

Twins = Mapping[str, Twin]
WIDEST = 1024  # neurons of a layer whose curvature is still factored in well under a second


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """A layer `f(W a + b)` of f beside `quantiser(V a' + c)` of g.

    Args:
        original: W and b.
        compressed: V and c.
        twin: enclosures of both sums and of their difference, (batch, n).
        activation: of f.
        quantiser: of g, in exact arithmetic.
        middle: the sum of g from the middle of what the layer reads, as computed, (batch, n).
        codes: what g returns there; a middle of its values, (batch, n).
        moving: neurons that g does not return one code for, (batch, at most n); rows that have
            fewer than others are filled up.
    """

    original: Linear
    compressed: Linear
    twin: Twin
    activation: PiecewiseLinear
    quantiser: Quantize
    middle: Tensor
    codes: Tensor
    moving: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Hidden layers and the last, affine one, over boxes of one input.

    Args:
        centre: of the input boxes, (batch, inputs).
        radius: proved distance from it, (batch, inputs).
        hidden: from the input on.
        original: the last layer of f.
        compressed: the last layer of g.
    """

    centre: Tensor
    radius: Tensor
    hidden: tuple[Hidden, ...]
    original: Linear
    compressed: Linear

    def part(self, rows: slice) -> "Chain":
        """Some rows of the batch."""
        hidden = tuple(
            replace(
                layer,
                twin=_part(layer.twin, rows),
                middle=layer.middle[rows],
                codes=layer.codes[rows],
                moving=layer.moving[rows],
            )
            for layer in self.hidden
        )
        return replace(self, centre=self.centre[rows], radius=self.radius[rows], hidden=hidden)


def _part(twin: Twin, rows: slice) -> Twin:
    boxes = twin.original, twin.compressed, twin.drift
    return Twin(*(Interval(box.lower[rows], box.upper[rows]) for box in boxes))


def chain_of(pair: Pair, original: Enclosed, compressed: Enclosed, twins: Twins) -> Chain | None:
    """The pair as a chain; None where it is none, or where its arithmetic is not exact.

    Args:
        pair: aligned.
        original: f, enclosed.
        compressed: g, enclosed.
        twins: enclosures of every pair node.
    """
    errors = [*original.errors.values(), *compressed.errors.values()]
    in_line = all(b.inputs == (a.name,) for a, b in pairwise(pair.nodes))
    if not in_line or len(pair.nodes) % 2 or any(error is not None for error in errors):
        return None
    ends = _dense(pair.nodes[-1])
    hull = twins[pair.nodes[0].name].original
    here, hidden = hull.centre, list[Hidden]()
    for affine, activation in zip(pair.nodes[1:-1:2], pair.nodes[2:-1:2], strict=True):
        both, f, g = _dense(affine), activation.original_op, activation.compressed_op
        if both is None or not isinstance(f, PiecewiseLinear) or not _exact(g):
            return None
        assert isinstance(g, Quantize)
        sums, twin = both[1].value(here), twins[affine.name]
        here = g.value(sums)
        hidden.append(Hidden(*both, twin, f, g, sums, here, _moving(g, twin.compressed)))
    if ends is None or not hidden:
        return None
    return Chain(hull.centre, hull.radius(hull.centre), tuple(hidden), *ends)


def _dense(node: PairNode) -> tuple[Linear, Linear] | None:
    """Two layers on vectors, not too wide."""
    w, v = node.original_op, node.compressed_op
    if not (isinstance(w, Linear) and isinstance(v, Linear)) or len(node.original.shape) != 1:
        return None
    return (w, v) if w.weight.shape == v.weight.shape and len(w.weight) <= WIDEST else None


def _exact(op: object) -> bool:
    """A quantiser that rounds to the nearest code, nothing else."""
    if not isinstance(op, Quantize):
        return False
    return op.stray is None and op.requantiser is None and op.slack == 0


def _moving(quantiser: Quantize, box: Interval) -> Tensor:
    first, last = quantiser.codes(box)
    moves = last > first
    count = max(1, int(moves.sum(1).max()))
    return moves.to(torch.int8).topk(count, 1).indices
