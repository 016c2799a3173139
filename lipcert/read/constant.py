"""Values that do not depend on the network's input."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lipcert.errors import BadFile, UnsupportedOp

ROUNDING = 2.0**-53
SMALLEST = 1e-290  # a computed weight below it may have lost digits to underflow


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A stored or computed array.

    Args:
        values: as stored, any numeric type; computed ones are float64.
        name: the tensor's name in the user's file.
        error: relative error of `values` against the true ones, in their own units.
    """

    values: np.ndarray
    name: str
    error: float = 0.0

    def floats(self) -> np.ndarray:
        """Finite float64; every smaller type converts exactly."""
        values = self.unbounded()
        if not np.isfinite(values).all():
            raise BadFile(f"tensor '{self.name}' holds NaN or infinity; a proof needs numbers")
        return values

    def unbounded(self) -> np.ndarray:
        """Float64 without NaN, perhaps infinite: the ends of a Clip."""
        values = np.asarray(self.values).astype(np.float64)
        if np.isnan(values).any():
            raise BadFile(f"tensor '{self.name}' holds NaN; a proof needs numbers")
        return values

    def scalar(self) -> float:
        """The only entry."""
        values = self.unbounded()
        if values.size != 1:
            raise UnsupportedOp(f"tensor '{self.name}' has shape {values.shape}, not one value")
        return float(values.reshape(()))

    def integers(self) -> list[int]:
        """Entries of an integer vector; a scalar counts as a vector of one."""
        if self.values.dtype.kind not in "iu" or self.values.ndim > 1:
            raise BadFile(f"tensor '{self.name}' should be a vector of integers")
        return [int(v) for v in self.values.reshape(-1)]

    def computed(self, values: np.ndarray, error: float) -> "Constant":
        """A float64 result of arithmetic; refused where underflow spoils the relative error."""
        size = np.abs(values)
        if error > 0 and bool(((size > 0) & (size < SMALLEST)).any()):
            raise UnsupportedOp(f"tensor '{self.name}' underflows when it is computed with")
        return Constant(values, self.name, error)


def tensor(values: np.ndarray | list[float]) -> Tensor:
    """A float64 tensor of its own memory."""
    return torch.from_numpy(np.array(values, dtype=np.float64))
