"""Codes in other places."""

from dataclasses import dataclass

import numpy as np

from lipcert.integer.litert.fixed_point import Whole
from lipcert.integer.litert.kernels import Kernel


@dataclass(frozen=True, slots=True)
class Reshape(Kernel):
    """In another shape, the batch axis aside."""

    shape: tuple[int, ...]

    def codes(self, *operands: Whole) -> Whole:
        """As they are."""
        return operands[0].reshape(len(operands[0]), *self.shape)


@dataclass(frozen=True, slots=True)
class Transpose(Kernel):
    """With axes in another order, the batch axis first."""

    order: tuple[int, ...]

    def codes(self, *operands: Whole) -> Whole:
        """As they are."""
        return operands[0].transpose(self.order)


@dataclass(frozen=True, slots=True)
class Pad(Kernel):
    """With a frame of one code.

    Args:
        widths: in front of and behind each axis, batch counted.
        filling: code of the frame.
    """

    widths: tuple[tuple[int, int], ...]
    filling: int

    def codes(self, *operands: Whole) -> Whole:
        """As they are."""
        return np.pad(operands[0], self.widths, constant_values=self.filling)


@dataclass(frozen=True, slots=True)
class Concatenation(Kernel):
    """One behind the other along an axis, batch counted."""

    axis: int

    def codes(self, *operands: Whole) -> Whole:
        """As they are."""
        return np.concatenate(operands, axis=self.axis)
