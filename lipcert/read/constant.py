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
            raise BadFile(f"tensor '{self.name}' holds NaN or infinity; a proof needs numbers")
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

    def times(self, other: "Constant") -> "Constant":
        """Product; exact where both are float32 numbers, else rounded once."""
        a, b = self.floats(), other.floats()
        error = self.error + other.error
        exact = error == 0 and single(a) and single(b)
        return self.computed(a * b, 0.0 if exact else 2 * error + ROUNDING)

    def over(self, other: "Constant") -> "Constant":
        """Quotient, rounded once."""
        a, b = self.floats(), other.floats()
        if (b == 0).any():
            raise BadFile(f"divides by zero in '{other.name}'")
        return self.computed(a / b, 2 * (self.error + other.error) + ROUNDING)

    def plus(self, other: "Constant", sign: int = 1) -> "Constant":
        """Sum or difference, rounded once; inexact operands are refused, since they may cancel."""
        if self.error or other.error:
            raise UnsupportedOp("adds computed constants, whose difference may cancel")
        return Constant(self.floats() + sign * other.floats(), self.name, ROUNDING)


def single(values: np.ndarray) -> bool:
    """Whether every value is a float32 number; products of two such are exact in float64."""
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float32) == values).all())


def tensor(values: np.ndarray | list[float]) -> Tensor:
    """A float64 tensor of its own memory."""
    return torch.from_numpy(np.array(values, dtype=np.float64))
