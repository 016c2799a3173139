"""Curved activations, enclosed over boxes by their ends and by tangents.

Where a function is convex, it is below the higher of two ends and above any tangent between them,
also less a line; where it is concave, the other way round. So every tangent gives a true bound, and
one whose slope is near the line's a tight one. Assumed of NumPy's exp and tanh, and of the C
library's erf and erfc: results within 2^-48 of themselves. The formulas here lose 30 UNIT more.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lipcert.check import operation as op
from lipcert.check.operation import TINY, UNIT, Activation, Array, Box, Index, Mask, down, size, up

ERROR = 2.0**-46  # of values relative to |value| + steep |x|, of slopes relative to `steep`
FAR = 40.0  # hardly any slope changes beyond
HALVINGS = 24  # until the place of a tangent is settled
Function = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Curve:
    """A continuous function: convex (bend 1), concave (-1) or linear (0) between its knots.

    Knots are right to 8 UNIT. Each piece has a slope of its own, a limit at its ends; slopes and
    their limits are at most `steep` in size.
    """

    value: Function
    knots: Sequence[float]
    bends: Sequence[int]
    slopes: Sequence[Function]
    steep: float = 2.0

    def at(self, _: Index) -> "Curve":
        """Of a few entries."""
        return self

    def bent(self, box: Box) -> Mask:
        """Where a tighter box would help."""
        return box[0] < box[1]

    def pieces(self, box: Box) -> Iterator[tuple[Box, int, Function]]:
        """Ends of what a box has of each piece, or twice an end of the box; bend and slope."""
        stops = [np.clip(knot, *box) for knot in (-np.inf, *self.knots, np.inf)]
        yield from zip(itertools.pairwise(stops), self.bends, self.slopes, strict=True)

    def remainder(self, box: Box, slope: Array | float) -> Box:
        """Enclosure of `value(x) - slope x` over a box; any slope will do."""
        lows, highs = list[Array](), list[Array]()
        for ends, bend, steepness in self.pieces(box):
            values = [self.value(x) - slope * x for x in ends]
            tangent = [self.tangent(ends, slope, bend, steepness)] if bend else values
            lows += tangent if bend > 0 else values
            highs += tangent if bend < 0 else values
        sizes = np.abs(self.value(box[0])) + (self.steep + np.abs(slope)) * size(box)
        pad = 8 * ERROR * sizes + TINY
        return down(np.min(lows, 0) - pad), up(np.max(highs, 0) + pad)

    def tangent(self, ends: Box, slope: Array | float, bend: int, steepness: Function) -> Array:
        """The least value of a tangent less a line, or the greatest where concave."""
        left, right = np.clip(ends, -FAR, FAR)
        for _ in range(HALVINGS):
            middle = (left + right) / 2
            past = bend * (steepness(middle) - slope) > 0
            left, right = np.where(past, left, middle), np.where(past, middle, right)
        place = np.clip(left, *ends)
        rise = bend * (steepness(place) - slope)
        least = np.minimum(rise * (ends[0] - place), rise * (ends[1] - place))
        return self.value(place) - slope * place + bend * least

    def sector(self, box: Box) -> Box:
        """Enclosure of all difference quotients over a box: on a piece, slopes are monotone."""
        low, high = np.inf, -np.inf
        far = 16 * UNIT * size(box)
        for ends, _, steepness in self.pieces((down(box[0] - far), up(box[1] + far))):
            some = ends[0] < ends[1]
            for slope in map(steepness, ends):
                low = np.minimum(low, np.where(some, slope, np.inf))
                high = np.maximum(high, np.where(some, slope, -np.inf))
        pad = 2 * ERROR * self.steep
        return down(np.asarray(low - pad)), up(np.asarray(high + pad))


Scalar = Activation | Curve


def difference(f: Scalar, g: Scalar, boxes: Sequence[Box], slopes: Sequence[Array]) -> Box:
    """Enclosure of `g(y) - f(z) - s (y - z) - t z` over boxes of z, y and y - z.

    Each is taken for itself; of one curve twice, also its difference quotients times y - z.
    """
    (z, y, drift), (s, t) = boxes, slopes
    if isinstance(f, Activation) and isinstance(g, Activation) and (f.scale, g.scale).count(None):
        return op.gap(f, g, boxes, slopes)
    low, high = op.minus(g.remainder(y, s), f.remainder(z, s - t))
    slip = 4 * UNIT * (np.abs(s) + np.abs(t)) * size(z) + TINY
    found = down(low - slip), up(high + slip)
    if f is not g or isinstance(f, Activation):
        return found
    sector = f.sector((np.minimum(z[0], y[0]), np.maximum(z[1], y[1])))
    seen = [(q - s) * d - t * x for q in sector for d in drift for x in z]
    pad = 8 * UNIT * ((2 * f.steep + np.abs(s)) * size(drift) + np.abs(t) * size(z)) + TINY
    return op.meet(found, (down(np.min(seen, 0) - pad), up(np.max(seen, 0) + pad)))


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(x, -700, 700)))


def _normal(x: Array) -> Array:
    """The normal distribution function."""
    return erfc(-math.sqrt(0.5) * x) / 2


def _bell(x: Array) -> Array:
    """Its slope."""
    return math.sqrt(0.5 / math.pi) * np.exp(-x * x / 2)


erf, erfc = (np.vectorize(f, otypes=[float]) for f in (math.erf, math.erfc))
TURN = 2.399357280515468  # of x tanh(x / 2) = 2: where x sigmoid(x) turns


def _twice(value: Function, slope: Function) -> Curve:
    """Convex below zero, concave above."""
    return Curve(value, (0.0,), (1, -1), (slope, slope))


def _thrice(value: Function, knot: float, slope: Function) -> Curve:
    """Convex between two knots."""
    return Curve(value, (-knot, knot), (-1, 1, -1), (slope, slope, slope))


def _constant(slope: float) -> Function:
    return lambda x: np.full_like(x, slope)


TANH = _twice(np.tanh, lambda x: 1 - np.tanh(x) ** 2)
SIGMOID = _twice(_sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x))
ERF = _twice(erf, lambda x: math.sqrt(4 / math.pi) * np.exp(-x * x))
GELU = _thrice(lambda x: x * _normal(x), math.sqrt(2), lambda x: _normal(x) + x * _bell(x))
SILU = _thrice(lambda x: x * _sigmoid(x), TURN, lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x)))
HARD_SWISH = Curve(
    lambda x: x * np.clip(x + 3, 0, 6) / 6,
    (-3.0, 3.0), (0, 1, 0), (_constant(0.0), lambda x: x / 3 + 0.5, _constant(1.0)),
)  # fmt: skip


@functools.cache
def hard_sigmoid(alpha: float, beta: float) -> Curve:
    """A line clamped to [0, 1]; alpha is positive."""
    slopes = _constant(0.0), _constant(alpha), _constant(0.0)
    knots = -beta / alpha, (1 - beta) / alpha
    return Curve(lambda x: np.clip(alpha * x + beta, 0, 1), knots, (0, 0, 0), slopes, alpha)
