r"""Least values of curved functions over two activations at once.

With z and y what f's activation $\sigma$ and g's quantiser q read, and $\delta = y - z$, all three
in proved boxes,

    P q(y) + R \sigma(z) - a z - b y + D (y - m)^2 - T (q(y) - k)^2,   D, T >= 0

is piecewise linear in z for fixed y, hence least on a line: z an end or a knot, or delta an end. On
such a line it is convex in y from jump to jump, and its values at the jumps are a quadratic in the
code, so few places are tried. A place off by rounding is off where the slope is as small as
rounding: less is lost than `ROUNDING` of the sizes of the terms, which whoever proves subtracts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.methods.dense_chain import Hidden
from lipcert.methods.hull import edges

ROUNDING = 2.0**-40  # of float64, a few thousand roundings


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Where the function can be least; each (batch, n, lines).

    Args:
        first: smallest y.
        last: largest y.
        tilt: 1 where z moves with y, else 0.
        offset: z = tilt y + offset.
        slope: of f's activation in y along the line.
        low: code at `first`.
        high: code at `last`.
        scale: of a code, (batch or 1, n or 1, 1).
    """

    first: Tensor
    last: Tensor
    tilt: Tensor
    offset: Tensor
    slope: Tensor
    low: Tensor
    high: Tensor
    scale: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """The function's coefficients; each (..., batch, n).

    Args:
        after: P, of g's codes.
        before: R, of f's values.
        along_original: a.
        along_compressed: b.
        curve: D.
        share: T.
    """

    after: Tensor
    before: Tensor
    along_original: Tensor
    along_compressed: Tensor
    curve: Tensor
    share: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where it is looked at; each (..., batch, n), or with one more axis of candidates.

    Args:
        code: q(y).
        value: of f's activation.
        original: z.
        compressed: y.
        away: (y - m)^2.
        apart: (q(y) - k)^2.
    """

    code: Tensor
    value: Tensor
    original: Tensor
    compressed: Tensor
    away: Tensor
    apart: Tensor

    def of(self, terms: Terms, axis: int = 0) -> Tensor:
        """The function there; `axis` 1 where these have one more axis than the terms."""
        t = [part[..., None] if axis else part for part in _parts(terms)]
        total = t[0] * self.code + t[1] * self.value - t[2] * self.original
        return total - t[3] * self.compressed + t[4] * self.away - t[5] * self.apart

    def size(self, terms: Terms) -> Tensor:
        """The same of the sizes of all terms."""
        sizes = zip(_parts(terms), self._all(), strict=True)
        return torch.stack([part.abs() * own.abs() for part, own in sizes]).sum(0)

    def mixed(self, weight: Tensor) -> "Places":
        """Averages over the candidates."""
        return Places(*((part * weight).sum(-1) for part in self._all()))

    def _all(self) -> tuple[Tensor, ...]:
        return (
            self.code,
            self.value,
            self.original,
            self.compressed,
            self.away,
            self.apart,
        )


def _parts(terms: Terms) -> tuple[Tensor, ...]:
    return (
        terms.after,
        terms.before,
        terms.along_original,
        terms.along_compressed,
        terms.curve,
        terms.share,
    )


def lines_of(layer: Hidden) -> Lines:
    """All lines of a layer's neurons."""
    found = list(_lines(layer))
    first, last, tilt, offset, slope, low, high = (
        torch.stack(part, -1) for part in zip(*found, strict=True)
    )
    return Lines(first, last, tilt, offset, slope, low, high, _like(layer)[..., None])


def _like(layer: Hidden) -> Tensor:
    return layer.quantiser.scale.expand_as(layer.middle)


def _lines(layer: Hidden) -> Iterator[tuple[Tensor, ...]]:
    f = layer.activation
    for edge in edges(f, layer.twin):
        y, (_, begin), (_, end) = edge.y, edge.at(edge.y.lower), edge.at(edge.y.upper)
        width, rise = y.upper - y.lower, f.value(end) - f.value(begin)
        slope = torch.where(width > 0, rise / torch.where(width > 0, width, 1.0), 0.0)
        tilt = torch.full_like(width, 1.0 if edge.original is None else 0.0)
        offset = edge.at(torch.zeros_like(width))[1]
        yield y.lower, y.upper, tilt, offset, slope, *layer.quantiser.codes(y)


def candidates(layer: Hidden, lines: Lines, terms: Terms) -> Places:
    """Places of which one is least; one more axis at the end."""
    places = [*_between_jumps(layer, lines, terms), *_at_jumps(layer, lines, terms)]
    shape = torch.broadcast_shapes(*(y.shape for y, _ in places))
    y, code = (
        torch.stack([part.expand(shape) for part in parts], -1)
        for parts in zip(*places, strict=True)
    )
    code = code * lines.scale[..., None]
    z = lines.tilt[..., None] * y + lines.offset[..., None]
    away = (y - layer.middle[..., None, None]).square()
    apart = (code - layer.codes[..., None, None]).square()
    every = (code, layer.activation.value(z), z, y, away, apart)
    return Places(*(part.flatten(-2) for part in every))


def _lift(lines: Lines, terms: Terms) -> Tensor:
    """Slope in y along every line, beside those of the codes and the squares."""
    before, original, compressed = (
        part[..., None] for part in (terms.before, terms.along_original, terms.along_compressed)
    )
    return before * lines.slope - original * lines.tilt - compressed


def _between_jumps(layer: Hidden, lines: Lines, terms: Terms) -> list[tuple[Tensor, Tensor]]:
    """Both ends, and where the slope is zero; places and codes."""
    step = _lift(lines, terms) / (2 * terms.curve[..., None]).clamp(min=1e-30)
    still = torch.maximum(layer.middle[..., None] - step, lines.first)
    still = torch.minimum(still, lines.last)
    code = torch.maximum(torch.round(still / lines.scale), lines.low)
    return [
        (lines.first, lines.low),
        (lines.last, lines.high),
        (still, torch.minimum(code, lines.high)),
    ]


def _at_jumps(layer: Hidden, lines: Lines, terms: Terms) -> list[tuple[Tensor, Tensor]]:
    """The first, the last, and those around the least one, from both sides."""
    scale, low, last = lines.scale, lines.low, lines.high - 1
    curve, share = terms.curve[..., None], terms.share[..., None]
    bend = (curve - share) * scale.square()
    rise = (terms.after[..., None] + _lift(lines, terms)) * scale
    rise = rise + 2 * curve * scale * (scale / 2 - layer.middle[..., None])
    many, found = lines.high > low, list[tuple[Tensor, Tensor]]()
    for side in (0.0, 1.0):
        slope = rise - 2 * share * scale * (scale * side - layer.codes[..., None])
        best = torch.where(bend > 0, -slope / (2 * bend), low).nan_to_num()
        for jump in (low, last, best.floor(), best.ceil()):
            kept = torch.minimum(torch.maximum(jump, low), last)
            place = torch.where(many, scale * (kept + 0.5), lines.first)
            found.append((place, torch.where(many, kept + side, low)))
    return found
