"""Products with stored weights."""

from dataclasses import dataclass

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.integer.litert.fixed_point import Real, Whole
from lipcert.integer.litert.kernels import FARTHEST, InDouble, Kernel, Scaled
from lipcert.integer.window import Window
from lipcert.ops.quantize import Requantiser

LARGEST_SUM = 2**31 - 1  # of an int32 accumulator


@dataclass(frozen=True, slots=True, eq=False)
class Product(Kernel):
    """A convolution, or a dense layer as one of a single tap.

    Args:
        weights: (outputs, *kernel, inputs per group), less their zero points.
        bias: (outputs,), in units of the accumulator.
        zero_point: of the operand; what padding holds.
        window: over the operand's map; None for a dense layer over rows of its entries.
        shape: of the result.
        unit: of accumulators, one per output or one for all; exact.
        scaled: from accumulators to codes, likewise.
    """

    weights: Whole
    bias: Whole
    zero_point: int
    window: Window | None
    shape: tuple[int, ...]
    unit: Real
    scaled: Scaled | InDouble

    def __post_init__(self) -> None:
        """Refuse accumulators that could leave 32 bits."""
        flat = np.abs(self.weights).reshape(len(self.weights), -1)
        largest = flat.sum(axis=1) * FARTHEST + np.abs(self.bias)
        if largest.max(initial=0) > LARGEST_SUM:
            raise UnsupportedOp("may overflow its int32 accumulator")
        if isinstance(self.scaled, Scaled):
            self.scaled.factor.refuse_overflow(largest)

    def codes(self, *operands: Whole) -> Whole:
        """Exact sums, then fixed-point arithmetic."""
        found = self.scaled.codes(self.sums(operands[0]))
        return found.reshape(len(found), *self.shape)

    def sums(self, operand: Whole) -> Whole:
        """The accumulators, bias included; float64 holds every partial sum."""
        centred = self._seen(operand - self.zero_point).astype(np.float64)
        share = self.weights.shape[-1]
        groups, left = divmod(centred.shape[-1], share)
        if left or len(self.weights) % groups:
            raise BadFile(f"weights {self.weights.shape} do not fit {centred.shape[-1]} channels")
        rank = self.weights.ndim - 2  # axes of the kernel
        taps = centred.reshape(*centred.shape[:-1], groups, share)
        taps = np.moveaxis(taps, -2, -2 - rank)  # (..., groups, *kernel, share)
        rows = taps.reshape(*taps.shape[: taps.ndim - rank - 1], -1)
        weights = self.weights.reshape(groups, len(self.weights) // groups, -1)
        columns = weights.swapaxes(1, 2).astype(np.float64)
        sums = (rows[..., None, :] @ columns)[..., 0, :]
        return sums.reshape(*sums.shape[:-2], -1).astype(np.int64) + self.bias

    def _seen(self, centred: Whole) -> Whole:
        """What each place sees: (batch, *windows, *kernel, channels)."""
        if self.window is None:
            return centred.reshape(len(centred), -1, self.weights.shape[-1])
        return self.window.patches(np.moveaxis(centred, -1, 1), 0)

    @property
    def stray(self) -> Real:
        """Of the first of two roundings."""
        return self.scaled.stray

    def requantiser(self, first: bool) -> Requantiser:
        """Of the accumulators."""
        return self.scaled.of_sums(self.unit, first)
