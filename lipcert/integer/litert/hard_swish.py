"""LiteRT's HARD_SWISH on codes: x relu6(x + 3) / 6 in 16-bit fixed point."""

import numpy as np

from lipcert.errors import UnsupportedOp
from lipcert.integer.litert.fixed_point import Multiplier, Whole
from lipcert.integer.litert.grid import Grid

LOWEST, HIGHEST = -(2**15), 2**15 - 1
LEFT = 7  # bits that codes are shifted left by


def hard_swish_codes(steps: Whole, source: Grid, target: Grid) -> Whole:
    """Codes of the result.

    Args:
        steps: codes of the operand, less the zero point.
        source: grid of the operand.
        target: grid of the result.
    """
    hires = np.float32(1 / 2**LEFT) * source.single
    out, out_shift = _short(float(hires / target.single))
    if out_shift > 0:
        raise UnsupportedOp("makes codes of a scale far below that of its operand")
    gate, gate_shift = _short(float(hires / np.float32(3 / 2**15)))
    wide = steps << LEFT
    scaled = _high_product(wide, out, rounded=True)
    share = _gate(wide, gate, gate_shift)
    product = _high_product(share, scaled, rounded=False)
    return target.codes(_divided(product, -out_shift))


def _gate(wide: Whole, mantissa: int, shift: int) -> Whole:
    """Relu6(x + 3) / 6 in units of 2^-15."""
    value = wide
    if shift > 0:
        value = _saturated(value << (shift - 1))
    value = _high_product(value, mantissa, rounded=True)
    if shift > 0:
        value = _saturated(value << 1)
    if shift < 0:
        value = _divided(value, -shift)
    return (value + 2**15) >> 1


def _short(factor: float) -> tuple[int, int]:
    """Mantissa of 16 bits, and shift."""
    found = Multiplier.of(factor)
    mantissa = int(found.mantissa)
    short = HIGHEST if mantissa >= 2**31 - 1 - 2**15 else (mantissa + 2**15) >> 16
    return short, int(found.shift)


def _high_product(first: Whole, second: Whole | int, *, rounded: bool) -> Whole:
    """Upper half of twice the product, ties up; towards zero where it is not rounded."""
    product = first * second
    if rounded:
        return _saturated((product + 2**14) >> 15)
    return _saturated(np.sign(product) * (np.abs(product) >> 15))


def _saturated(values: Whole) -> Whole:
    return np.clip(values, LOWEST, HIGHEST)


def _divided(values: Whole, bits: int) -> Whole:
    """By a power of two, half away from zero."""
    half = (1 << bits) >> 1
    return np.sign(values) * ((np.abs(values) + half) >> bits)
