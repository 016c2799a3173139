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


@dataclass(frozen=True, slots=True, eq=False)
class WholeSums(Requantiser):
    """Values that are whole numbers times `scale / divisor`.

    Args:
        scale: exact in float64; broadcasts against the node's value, channels last.
        divisor: whole; likewise.
        rounded: the kernel, from whole numbers to steps of its result.
        first: whether the node holds channels first.
    """

    scale: NDArray[np.float64]
    divisor: Whole
    rounded: Callable[[Whole], Whole]
    first: bool

    def codes(self, box: Interval) -> tuple[Tensor, Tensor]:
        """The kernel at the least and at the largest whole number."""
        low = np.ceil(self._units(box.lower, -np.inf))
        high = np.floor(self._units(box.upper, np.inf))
        return self._steps(low, box.lower), self._steps(high, box.upper)

    def _units(self, values: Tensor, side: float) -> NDArray[np.float64]:
        """Quotients, rounded outward."""
        found = values.detach().double().cpu().numpy()
        found = np.moveaxis(found, 1, -1) if self.first else found
        outward = np.nextafter(found * self.divisor, side)
        outward = np.nextafter(outward / self.scale, side)
        return np.clip(np.nan_to_num(outward, nan=side, posinf=FAR, neginf=-FAR), -FAR, FAR)

    def _steps(self, units: NDArray[np.float64], like: Tensor) -> Tensor:
        found = self.rounded(units.astype(np.int64)).astype(np.float64)
        found = np.moveaxis(found, -1, 1) if self.first else found
        return torch.from_numpy(np.ascontiguousarray(found)).to(like)
