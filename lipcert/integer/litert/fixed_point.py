"""Fixed-point arithmetic of LiteRT's reference kernels.

Source: "LiteRT 8-bit quantization specification" and the functions of the same names in its
reference kernels (MultiplyByQuantizedMultiplier, RoundingDivideByPOT), with two roundings.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipcert.errors import UnsupportedOp

Whole = NDArray[np.int64]
Real = NDArray[np.float64]
ONE = 2**31
SMALLEST_SHIFT = -31
LARGEST = 2**31 - 1  # of an int32


@dataclass(frozen=True, slots=True, eq=False)
class Multiplier:
    """The number `mantissa 2^(shift - 31)`, one or one per channel.

    Args:
        mantissa: whole, in [2^30, 2^31) or zero; negative for subtraction.
        shift: power of two beside it.
    """

    mantissa: Whole
    shift: Whole

    @classmethod
    def of(cls, factor: Real | float) -> "Multiplier":
        """Nearest to `factor` (QuantizeMultiplier)."""
        share, shift = np.frexp(np.asarray(factor, dtype=np.float64))
        mantissa = np.floor(share * ONE + 0.5).astype(np.int64)
        full = mantissa == ONE
        mantissa = np.where(full, mantissa // 2, mantissa)
        power = shift.astype(np.int64) + full
        lost = power < SMALLEST_SHIFT
        return cls(np.where(lost, 0, mantissa), np.where(lost, 0, power))

    def times(self, values: Whole) -> Whole:
        """Product with int32 values, rounded once at 31 bits and once more where it is shifted.

        The first rounding takes ties up, the second away from zero.
        """
        left, right = np.maximum(self.shift, 0), np.maximum(-self.shift, 0)
        product = (values << left) * self.mantissa
        high = (product + ONE // 2) >> 31
        half = (np.int64(1) << right) >> 1
        return np.where(high < 0, -((half - high) >> right), (high + half) >> right)

    def value(self) -> Real:
        """The number itself, exact."""
        return np.ldexp(self.mantissa.astype(np.float64), (self.shift - 31).astype(np.int32))

    def stray(self) -> Real:
        """How much further than half a unit `times` can lie from the exact product."""
        return np.where(self.shift < 0, np.ldexp(0.5, self.shift.astype(np.int32)), 0.0)

    def refuse_overflow(self, largest: Whole | int) -> None:
        """Values up to `largest` must stay in 32 bits when they are shifted left."""
        if (np.abs(largest) << np.maximum(self.shift, 0)).max(initial=0) > LARGEST:
            raise UnsupportedOp("may overflow its int32 accumulator")


def nearest(values: NDArray[np.floating]) -> Whole:
    """Half away from zero (TfLiteRound)."""
    size = np.abs(values)
    whole = np.floor(size)
    return (np.sign(values) * (whole + (size - whole >= 0.5))).astype(np.int64)
