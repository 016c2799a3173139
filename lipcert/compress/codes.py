"""Weights as codes of few bits, one scale per output channel, zero point zero."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int8

WIDTHS = (8, 6, 4, 2)  # bits of a code
FRACTIONS = np.linspace(1.0, 0.2, 81)  # of the scale at which the largest weight saturates not
EXACT = 16  # significant bits of a scale: its product with a code of 8 bits is a float32 number
SMALLEST = 2.0**-100

Weight = Float[np.ndarray, "..."]
Scale = Float[np.ndarray, " channels"]
Widths = Int[np.ndarray, " channels"]  # bits of each output channel's codes


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A weight of some layer, quantised.

    Args:
        codes: of the weight's shape, within the range of their width.
        scale: what one code step stands for, float32, positive.
        axis: the output channels'.
        bits: width of a code, of the widest where channels differ.
    """

    codes: Int8[np.ndarray, "..."]
    scale: Scale
    axis: int
    bits: int

    @property
    def values(self) -> Weight:
        """What the codes stand for: exact in float32."""
        return self.codes * _along(self.scale.astype(np.float64), self.codes.ndim, self.axis)


def code_range(bits: int) -> tuple[int, int]:
    """Least and greatest code of a width."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def every_width(weight: Weight, axis: int) -> Mapping[int, Coded]:
    """Codes of each width; of more bits, the squared error of no channel is larger.

    Args:
        weight: finite, any float dtype.
        axis: output channels.
    """
    scales: list[Scale] = []
    found: dict[int, Coded] = {}
    for bits in sorted(WIDTHS):
        scales.append(closest_scale(weight, axis, bits, scales))
        found[bits] = coded(weight, axis, bits, scales[-1])
    return found


def mixed(every: Mapping[int, Coded], widths: Widths) -> Coded:
    """Codes with a width for each channel.

    Args:
        every: one weight's codes at each width that occurs.
        widths: of the channels.
    """
    found = [every[width] for width in np.unique(widths).tolist()]
    wide = found[-1]
    codes, scale = wide.codes.copy(), wide.scale.copy()
    for narrow in found[:-1]:
        mine = widths == narrow.bits
        places = (slice(None),) * wide.axis + (mine,)
        codes[places], scale[mine] = narrow.codes[places], narrow.scale[mine]
    return Coded(codes, scale, wide.axis, wide.bits)


def coded(weight: Weight, axis: int, bits: int, scale: Scale) -> Coded:
    """The nearest codes; ties go to the even one, what lies beyond the range saturates.

    Args:
        weight: finite, any float dtype.
        axis: output channels.
        bits: 2 to 8.
        scale: one per channel.
    """
    steps = weight.astype(np.float64) / _along(scale.astype(np.float64), weight.ndim, axis)
    codes = np.clip(np.rint(steps), *code_range(bits)).astype(np.int8)
    return Coded(codes, scale, axis, bits)


def widest_scale(weight: Weight, axis: int, bits: int) -> Scale:
    """The largest magnitude of each channel over the greatest code; 1 where all is zero."""
    largest = np.abs(_rows(weight, axis)).max(1)
    return _short(np.where(largest > 0, largest / code_range(bits)[1], 1.0))


def closest_scale(weight: Weight, axis: int, bits: int, others: Sequence[Scale] = ()) -> Scale:
    """Per channel the scale of least squared error.

    It is sought among fractions of the `widest_scale`, since few weights are large, and `others`.
    """
    rows = _rows(weight, axis)
    widest = widest_scale(weight, axis, bits).astype(np.float64)
    scales = np.stack([*(_short(widest * part) for part in FRACTIONS), *others])
    errors = np.stack([((coded(rows, 0, bits, s).values - rows) ** 2).sum(1) for s in scales])
    return scales[errors.argmin(0), np.arange(len(rows))]


def _rows(weight: Weight, axis: int) -> Weight:
    """One row per channel, (channels, weights), float64."""
    moved = np.moveaxis(weight.astype(np.float64), axis, 0)
    return moved.reshape(len(moved), -1)


def _short(scale: Weight) -> Scale:
    """Rounded to few significant bits, as float32; not so small that products lose bits."""
    fraction, exponent = np.frexp(np.maximum(scale, SMALLEST))
    return np.ldexp(np.rint(np.ldexp(fraction, EXACT)), exponent - EXACT).astype(np.float32)


def _along(scale: Weight, rank: int, axis: int) -> Weight:
    """Shaped so that it broadcasts along an axis."""
    return scale.reshape(tuple(-1 if place == axis else 1 for place in range(rank)))
