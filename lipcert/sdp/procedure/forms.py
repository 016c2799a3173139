"""Affine forms of many coordinates, with a bound on each coefficient's error."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lipcert.sdp.maps import Array, Maps, Mask

ROUNDING = 2.0**-52  # twice what one operation may be off by, relatively
LOST = 1e-300  # far above what underflow can take from a product


@dataclass(frozen=True, slots=True, eq=False)
class Forms:
    """A form per row: true coefficients lie within `error` of `value`.

    The true coefficients may even depend on the point at which the form is evaluated.

    Args:
        value: (rows, columns); column 0 is the constant's.
        error: likewise, not negative.
    """

    value: Array
    error: Array

    @classmethod
    def of(cls, maps: Maps, columns: Mapping[int, slice], width: int) -> "Forms":
        """Linear maps of blocks, each block at its columns."""
        value, error = np.zeros((2, maps.size, width))
        for block, weight in maps.weight.items():
            value[:, columns[block]] = weight
        for block, part in maps.error.items():
            error[:, columns[block]] = part
        return cls(value, error)

    @classmethod
    def constants(cls, lower: Array, upper: Array, width: int) -> "Forms":
        """Constants that lie between two vectors (rows,)."""
        value, error = np.zeros((2, len(lower), width))
        value[:, 0] = lower / 2 + upper / 2
        reach = np.maximum(upper - value[:, 0], value[:, 0] - lower)
        error[:, 0] = np.where(lower == upper, 0.0, reach * (1 + ROUNDING) + LOST)
        return cls(value, error)

    def plus(self, other: "Forms") -> "Forms":
        """Sums, row by row."""
        value = self.value + other.value
        error = self.error + other.error + abs(value) * ROUNDING
        return Forms(value, error * (1 + 4 * ROUNDING))

    def minus(self, other: "Forms") -> "Forms":
        """Differences, row by row."""
        return self.plus(Forms(-other.value, other.error))

    def times(self, factors: Array) -> "Forms":
        """Multiples, row by row, by (rows,) exact numbers."""
        value = factors[:, None] * self.value
        error = abs(factors)[:, None] * self.error + (abs(value) * ROUNDING + LOST)
        exact = np.isin(factors, (0.0, 1.0))[:, None]
        error = np.where(exact, abs(factors)[:, None] * self.error, error * (1 + 4 * ROUNDING))
        return Forms(value, error)

    def rows(self, keep: Mask) -> "Forms":
        """Some of the forms."""
        return Forms(self.value[keep], self.error[keep])


def stacked(parts: list[Forms]) -> Forms:
    """All rows below each other."""
    return Forms(
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.error for part in parts]),
    )
