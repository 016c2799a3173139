"""The codes of a LiteRT tensor."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipcert.integer.litert.fixed_point import Real, Whole, nearest


@dataclass(frozen=True, slots=True)
class Grid:
    """Code c stands for scale (c - zero_point).

    Args:
        scale: positive, a float32 number.
        zero_point: whole.
        lowest: smallest code that a kernel makes: of the type, or of a fused activation.
        highest: largest code that a kernel makes.
    """

    scale: float
    zero_point: int
    lowest: int
    highest: int

    @property
    def single(self) -> np.float32:
        """The scale as kernels hold it."""
        return np.float32(self.scale)

    def codes(self, shifted: Whole) -> Whole:
        """Rounded values, still without the zero point, saturated."""
        return np.clip(shifted + self.zero_point, self.lowest, self.highest)

    def quantise(self, values: NDArray[np.floating]) -> Whole:
        """Half away from zero after a float32 division, as QUANTIZE does."""
        most = float(self.highest - self.lowest + 1)  # beyond it the code is an end's
        with np.errstate(over="ignore"):
            quotient = np.nan_to_num(values.astype(np.float32) / self.single)
        return self.codes(nearest(np.clip(quotient, -2 * most, 2 * most)))

    def values(self, codes: Whole) -> Real:
        """What codes stand for: exact."""
        return (codes - self.zero_point).astype(np.float64) * self.scale

    def stray(self, codes: Whole, exact: Real) -> float:
        """How much further than half a step codes lie from exact quotients, beyond saturation."""
        gap = exact - (codes - self.zero_point)
        above = np.where(codes < self.highest, gap, 0.0)
        below = np.where(codes > self.lowest, -gap, 0.0)
        worst = float(np.maximum(above, below).max(initial=0.0))
        return max(0.0, worst - 0.5) * (1 + 1e-9) + 1e-9 * (worst > 0.5)
