"""Codes that a kernel makes of all whole sums in a box."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipcert.integer.litert.fixed_point import Whole
from lipcert.ops.quantize import Requantiser
from lipcert.sets.enclosure import Interval

FAR = 2.0**31  # no accumulator is larger
STEPS = 3  # towards a side, beyond two roundings


@dataclass(frozen=True, slots=True, eq=False)
class WholeSums(Requantiser):
    """Values that are whole numbers times `scale / divisor`.

    Args:
        scale: exact in float64; broadcasts against the node's value, channels last.
        divisor: whole; likewise.
        rounded: the kernel, from whole numbers to steps of its result.
        first: whether the node holds channels first.
        most: no sum is larger, and the kernel can take it; one per output or one for all.
    """

    scale: NDArray[np.float64]
    divisor: Whole
    rounded: Callable[[Whole], Whole]
    first: bool
    most: NDArray[np.float64] | float = FAR

    def codes(self, box: Interval) -> tuple[Tensor, Tensor]:
        """The kernel at the least and at the largest whole number."""
        low = np.ceil(self._units(box.lower, -np.inf))
        high = np.floor(self._units(box.upper, np.inf))
        return self._steps(low, box.lower), self._steps(high, box.upper)

    def nearest(self, values: Tensor) -> Tensor:
        """The kernel at the nearest whole number."""
        return self._steps(np.rint(self._units(values, 0.0)), values)

    def _units(self, values: Tensor, side: float) -> NDArray[np.float64]:
        """Quotients, moved to a side; NaN, what is left of an overflow, lies there."""
        found = values.detach().double().cpu().numpy()
        found = np.moveaxis(found, 1, -1) if self.first else found
        units = np.nan_to_num(found * self.divisor / self.scale, nan=side, posinf=FAR, neginf=-FAR)
        for _ in range(STEPS):
            units = np.nextafter(units, side)
        return np.clip(units, -self.most, self.most)

    def _steps(self, units: NDArray[np.float64], like: Tensor) -> Tensor:
        found = self.rounded(units.astype(np.int64)).astype(np.float64)
        found = np.moveaxis(found, -1, 1) if self.first else found
        return torch.from_numpy(np.ascontiguousarray(found)).to(like)
