"""Averages and maxima."""

from dataclasses import dataclass

import numpy as np

from lipcert.errors import UnsupportedOp
from lipcert.integer.litert.fixed_point import Multiplier, Real, Whole
from lipcert.integer.litert.grid import Grid
from lipcert.integer.litert.kernels import FARTHEST, RELATIVE, Kernel
from lipcert.integer.litert.requantising import FAR, WholeSums
from lipcert.integer.window import Window
from lipcert.ops.quantize import Requantiser

TAPS = (3, 4)  # axes of a window's patches


@dataclass(frozen=True, slots=True, eq=False)
class AveragePool(Kernel):
    """Means of the codes that each window sees, padding left out, half away from zero.

    Args:
        window: without dilation.
        count: entries that each window sees, (rows, columns, 1).
        target: grid of operand and result.
    """

    window: Window
    count: Whole
    target: Grid

    def codes(self, *operands: Whole) -> Whole:
        """Of what each window sees."""
        steps = np.moveaxis(operands[0] - self.target.zero_point, -1, 1)
        return self.target.codes(self.rounded(self.window.patches(steps, 0).sum(axis=TAPS)))

    def rounded(self, sums: Whole) -> Whole:
        """Quotients of whole numbers, zero points included, half away from zero."""
        whole = sums + self.target.zero_point * self.count
        size = (np.abs(whole) + self.count // 2) // self.count
        return np.sign(whole) * size - self.target.zero_point

    def requantiser(self, first: bool) -> Requantiser:
        """Of sums of steps."""
        return WholeSums(np.array(self.target.scale), self.count, self.rounded, first)


@dataclass(frozen=True, slots=True, eq=False)
class MaxPool(Kernel):
    """Largest code that each window sees; padding never wins.

    Args:
        window: without dilation.
        target: grid of operand and result.
    """

    window: Window
    target: Grid

    def codes(self, *operands: Whole) -> Whole:
        """Codes move."""
        maps = np.moveaxis(operands[0], -1, 1)
        most = self.window.patches(maps, int(np.iinfo(np.int64).min)).max(axis=TAPS)
        return np.clip(most, self.target.lowest, self.target.highest)


@dataclass(frozen=True, slots=True, eq=False)
class Mean(Kernel):
    """Means over whole axes.

    Args:
        axes: batch counted.
        keep: whether the axes stay, with one entry.
        count: entries summed.
        source: grid of the operand.
        target: grid of the result.
    """

    axes: tuple[int, ...]
    keep: bool
    count: int
    source: Grid
    target: Grid

    def codes(self, *operands: Whole) -> Whole:
        """Exact sums, then one multiplier."""
        sums = (operands[0] - self.source.zero_point).sum(axis=self.axes, keepdims=self.keep)
        return self.target.codes(self._factor().times(sums))

    @property
    def stray(self) -> Real:
        """Of the first of two roundings."""
        return self._factor().stray()

    def requantiser(self, first: bool) -> Requantiser:
        """Of sums of steps."""
        divisor = np.array(self.count)
        factor = self._factor()
        most = FAR / 2.0 ** max(0, int(factor.shift))
        return WholeSums(np.array(self.source.scale), divisor, factor.times, first, most)

    def _factor(self) -> Multiplier:
        """Source steps to target steps, divided by the count and rounded down."""
        whole = Multiplier.of(self.source.scale / self.target.scale)
        bits = min(self.count.bit_length() - 1, 32, 31 + int(whole.shift))
        found = Multiplier((whole.mantissa << bits) // self.count, whole.shift - bits)
        exact = self.source.scale / self.target.scale / self.count
        if abs(float(found.value()) - exact) > 0.9 * RELATIVE * exact:
            raise UnsupportedOp("has scales too far apart for its fixed-point multiplier")
        found.refuse_overflow(FARTHEST * self.count)
        return found


def counts(window: Window, sizes: tuple[int, ...]) -> Whole:
    """Entries of a map that each window holds, (rows, columns, 1)."""
    ones = np.ones((1, 1, *sizes), dtype=np.int64)
    return window.patches(ones, 0).sum(axis=TAPS)[0]
