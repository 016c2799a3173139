"""What a layer computes, rounded outward: sums of linear maps plus a bias, or one activation.

Sums of products may be taken in any order, but directly (no Strassen). Source: N. Higham, Accuracy
and Stability of Numerical Algorithms, 2nd ed., sec. 3.1 (gamma_n) and 3.5.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Mask = NDArray[np.bool]
Box = tuple[Array, Array]  # lower and upper ends
Ball = tuple[Array, float]  # centre and radius
UNIT = 2.0**-53
LARGEST = 10**6  # entries of one value
SLACK = 1 + 1e-9  # above 1 + gamma of LARGEST: a nonnegative sum times this is an upper bound
HUGE = 1e40  # values are smaller
FITS = 2.0**40  # values of what a runtime executes are smaller
TINY = 1e-250  # above whatever underflow can take from sums of values below HUGE
FAINT = 1e-150  # above whatever underflow can take from a length


def gamma(terms: int) -> float:
    """Above n u / (1 - n u): a sum of n products is off by at most this times their sizes."""
    return terms * UNIT * SLACK


def down(value: Array) -> Array:
    """Below the exact result of one rounded operation."""
    return np.nextafter(value, -np.inf)


def up(value: Array) -> Array:
    """Above the exact result of one rounded operation."""
    return np.nextafter(value, np.inf)


def size(box: Box) -> Array:
    """Largest absolute value of a member."""
    return np.maximum(np.abs(box[0]), np.abs(box[1]))


def meet(first: Box, second: Box) -> Box:
    """What both contain."""
    return np.maximum(first[0], second[0]), np.minimum(first[1], second[1])


def minus(first: Box, second: Box) -> Box:
    """Differences of members."""
    return down(first[0] - second[1]), up(first[1] - second[0])


def length(values: Array) -> Array:
    """Above the l2 norm of each column."""
    return np.sqrt(np.sum(np.square(values), 0)) * SLACK + FAINT


@dataclass(frozen=True)
class Linear:
    """y[g, o, p] = sum over k of weight[g, o, k] x[index[g, k, p]], where index `size` reads zero.

    Dense layers have one group and one place; convolutions a place per window; moves weight one.
    True weights lie within `error` of the stored ones, relative to themselves. Values are flat,
    one input or functional per column.
    """

    weight: Array
    index: Index
    size: int
    error: float = 0.0

    def of(self, x: Array, weight: Array) -> Array:
        """Values (entries, columns) at inputs (size, columns), with these or with other weights."""
        groups, count, places = self.index.shape
        taken = np.pad(x, ((0, 1), (0, 0)))[self.index].reshape(groups, count, places * x.shape[1])
        return (weight @ taken).reshape(-1, x.shape[1])

    def adjoint(self, rows: Array) -> Array:
        """Coefficients on the inputs (size, columns) from coefficients on the values."""
        groups, outputs, reads = self.weight.shape
        wide = np.zeros((self.index.size + 1, rows.shape[1]))
        back = wide[:-1].reshape(groups, reads, -1)
        np.matmul(self.weight.swapaxes(1, 2), rows.reshape(groups, outputs, -1), out=back)
        total = wide[self.readers[0]]
        for place in self.readers[1:]:
            total += wide[place]
        return total

    def within(self, support: Index) -> tuple[Index, "Linear", Index]:
        """Entries that go with some, whole places at once; the map to these; all that it reads."""
        places, blocks = self.index.shape[2], self.weight.shape[0] * self.weight.shape[1]
        some = np.flatnonzero(np.bincount(support % places))
        taken = self.index[:, :, some]
        seen = np.bincount(taken.ravel()) > 0
        reads, count = np.flatnonzero(seen), int(np.sum(seen[: self.size]))
        part = Linear(self.weight, (np.cumsum(seen) - 1)[taken], count, self.error)
        return (np.arange(blocks)[:, None] * places + some).ravel(), part, reads[:count]

    @functools.cached_property
    def readers(self) -> Index:
        """Where `index` reads each input, (most, size), filled up with a place beyond."""
        flat = self.index.ravel().astype(np.min_scalar_type(self.size))
        order = np.argsort(flat, kind="stable")
        order = order[: np.searchsorted(flat[order], self.size)]
        counts = np.bincount(flat[order], minlength=self.size)
        rank = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        table = np.full((max(1, counts.max(initial=0)), self.size), flat.size)
        table[rank, flat[order]] = order
        return table

    @property
    def terms(self) -> int:
        """Most products in a sum, in either direction."""
        return max(self.weight.shape[2], self.weight.shape[1] * len(self.readers))


def among(wide: Index, support: Index, rows: Array) -> Array:
    """Rows of some entries, with zeros for the others of more entries, both in order."""
    if len(wide) == len(support):
        return rows
    found = np.zeros((len(wide), rows.shape[1]))
    found[np.searchsorted(wide, support)] = rows
    return found


def move(index: Index, count: int, sign: float = 1.0) -> Linear:
    """Entries `index` of a value of `count` entries."""
    return Linear(np.full((1, 1, 1), sign), index.reshape(1, 1, -1), count)


@dataclass(frozen=True)
class Rounding:
    """What a runtime's sum is off by: at most a share of the sizes of its terms, and a constant."""

    share: float = 0.0
    floor: float = 0.0

    def of(self, total: Array) -> Array:
        """Above that; infinite where a sum might overflow, or codes might."""
        known = (self.share * total + self.floor) * SLACK
        return np.where(total < FITS, known, np.inf) if self.share else known


EXACT = Rounding()


def affine_image(maps: Sequence[Linear], bias: Array, boxes: Sequence[Box],
                 rounding: Rounding) -> tuple[Box, Array]:  # fmt: skip
    """Enclosure of a sum of maps and a bias; above what rounding takes from it or its adjoint."""
    middle, spread, total = bias, np.zeros(1), np.abs(bias)
    for linear, box in zip(maps, boxes, strict=True):
        centre, sizes = (box[0] + box[1]) / 2, np.abs(linear.weight)
        radius = np.maximum(up(box[1] - centre), up(centre - box[0]))
        middle = middle + linear.of(centre, linear.weight)
        spread = spread + linear.of(radius, sizes) * (1 + 2 * linear.error)
        total = total + linear.of(size(box), sizes)
    relative = gamma(sum(m.terms + 2 for m in maps) + 8) + 2 * max(m.error for m in maps)
    loss = relative * total * SLACK + TINY + rounding.of(total * SLACK)
    spread = (spread + loss) * SLACK
    return (down(middle - spread), up(middle + spread)), loss


@dataclass(frozen=True)
class Activation:
    """clamp(x, low, high), plus below * (x - low) under low.

    With a scale instead: scale * clamp(round_half_even(x / scale), low, high).
    """

    low: float
    high: float
    scale: float | None = None
    below: Array | float = 0.0

    def at(self, places: Index) -> "Activation":
        """Of a few entries."""
        below = np.asarray(self.below)
        return replace(self, below=below[places]) if below.ndim else self

    def of(self, x: Array) -> Array:
        """Values without a scale."""
        return np.clip(x, self.low, self.high) + self.below * np.minimum(x - self.low, 0.0)

    def sector(self, box: Box) -> Box:
        """Least and largest slope between any two places of a box, without a scale."""
        (lower, upper), parts = box, list[tuple[Array | float, Mask]]()
        parts += [(self.below, lower < self.low), (0.0, self.high < upper)]
        parts += [(1.0, (lower < self.high) & (self.low < upper))]
        low = np.min([np.where(meets, slope, np.inf) for slope, meets in parts], 0)
        high = np.max([np.where(meets, slope, -np.inf) for slope, meets in parts], 0)
        return np.where(low > high, 0.0, low), np.where(low > high, 0.0, high)  # one place: any

    def corners(self, box: Box) -> tuple[list[tuple[Array, Array]], Mask]:
        """Places, and values or their limits, of which one is extreme whatever line is taken off.

        Along the jumps of a staircase both are linear in the code, so that the first and the last
        jump count alone, seen from both sides. Also where a tighter box would help.
        """
        (lower, upper), limits = box, (self.low, self.high)
        if self.scale is None:
            places = (lower, *(np.clip(knot, lower, upper) for knot in limits), upper)
            bent = np.any([(lower < knot) & (knot < upper) for knot in limits], 0)
            return [(x, self.of(x)) for x in places], bent
        first = np.clip(np.ceil(down(lower / self.scale) - 0.5), *limits)
        last = np.clip(np.floor(up(upper / self.scale) + 0.5), *limits)
        found, many = [(lower, first), (upper, last)], last > first
        for jump in (first + 0.5, last - 0.5):
            place = np.where(many, self.scale * jump, lower)
            found += [(place, np.where(many, jump + side, first)) for side in (-0.5, 0.5)]
        saturates = (lower < self.scale * self.low) | (upper > self.scale * self.high)
        return [(x, self.scale * c) for x, c in found], many & (saturates | (last < first + 4))

    def bent(self, box: Box) -> Mask:
        """Where a tighter box would help."""
        return self.corners(box)[1]

    def remainder(self, box: Box, slope: Array | float) -> Box:
        """Enclosure of `value(x) - slope x` over a box; any slope will do."""
        low, high = np.inf, -np.inf
        for x, value in self.corners(box)[0]:
            line = slope * x
            pad = 8 * UNIT * (np.abs(value) + np.abs(line)) + TINY
            low, high = np.minimum(low, value - line - pad), np.maximum(high, value - line + pad)
        return down(np.asarray(low)), up(np.asarray(high))


def gap(f: Activation, g: Activation, boxes: Sequence[Box], slopes: Sequence[Array]) -> Box:
    """Enclosure of `g(y) - f(z) - s (y - z) - t z` over boxes of z, y and y - z.

    One is a clamp: it is extreme on the lines through its knots, through the ends of its box and
    along the ends of y - z, and there at corners of the other one.
    """
    (z, y, drift), (s, t) = boxes, slopes
    seen = _extremes(f, z, g, y, drift)
    if f.scale is not None:
        seen = _extremes(g, y, f, z, (-drift[1], -drift[0]))
    low, high = np.full(z[0].shape, np.inf), np.full(z[0].shape, -np.inf)
    for pair in seen:
        (a, f_value), (b, g_value) = pair if f.scale is None else pair[::-1]
        far = np.abs(a) + np.abs(b) + np.abs(f_value) + np.abs(g_value)
        value = (g_value - s * b) - (f_value - (s - t) * a)
        pad = 32 * UNIT * (2 + np.abs(s) + np.abs(t)) * far + TINY
        low, high = np.minimum(low, value - pad), np.maximum(high, value + pad)
    return down(low), up(high)


def _extremes(
    first: Activation, own: Box, second: Activation, box: Box, drift: Box
) -> Iterator[Any]:
    """Places and values of a clamp and of another one, of which the other's are off by `drift`."""
    stops = [place for place, _ in first.corners(own)[0]]
    for place in stops:
        reach = down(place + drift[0]), up(place + drift[1])
        for corner in second.corners(_within(box, reach))[0]:
            yield (place, first.of(place)), corner
    for delta, start, stop in ((d, *ends) for d in drift for ends in itertools.pairwise(stops)):
        for x, value in second.corners(_within(box, (down(start + delta), up(stop + delta))))[0]:
            yield (x - delta, first.of(x - delta)), (x, value)


def _within(box: Box, reach: Box) -> Box:
    """What a box has of another, or an end of it."""
    return np.clip(reach[0], *box), np.clip(reach[1], *box)
