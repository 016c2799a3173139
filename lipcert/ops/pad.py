"""Constant padding."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Affine, Op


@dataclass(frozen=True, slots=True, eq=False)
class Pad(Affine):
    """The value surrounded by a constant.

    Args:
        before: entries added in front of each axis (batch not counted).
        after: entries added behind each axis.
        input_shape: the value's shape.
        filling: the constant.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    input_shape: Shape
    filling: float = 0.0

    def shape(self, *inputs: Shape) -> Shape:
        """Every axis grows."""
        sizes = zip(self.before, inputs[0], self.after, strict=True)
        return tuple(sum(size) for size in sizes)

    def linear(self, *inputs: Tensor) -> Tensor:
        """Padded with zeros."""
        return F.pad(inputs[0], self._widths())

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """The middle."""
        values = functional.in_natural_order()
        for axis, (start, size) in enumerate(zip(self.before, self.input_shape, strict=True)):
            values = values.narrow(axis + 1, start, size)
        return (Functional.natural(values, self.input_shape),)

    def magnitude(self) -> "Pad":
        """A nonnegative filling."""
        return Pad(self.before, self.after, self.input_shape, abs(self.filling))

    def same_form(self, other: Op) -> bool:
        """The same margins and filling."""
        return isinstance(other, Pad) and self._facts() == other._facts()

    def minus(self, other: Op) -> None:
        """Two paddings of one form are equal."""
        if not self.same_form(other):
            raise TypeError(f"Pad cannot subtract {type(other).__name__}")

    @property
    def terms(self) -> int:
        """One, and one for the filling."""
        return 4

    def constant(self, like: Tensor) -> Tensor | None:
        """The filling in the margins, zero inside."""
        if self.filling == 0:
            return None
        inside = torch.ones(1, *self.input_shape, dtype=like.dtype, device=like.device)
        return (1 - F.pad(inside, self._widths()))[0] * self.filling

    def _widths(self) -> list[int]:
        """PyTorch's order: last axis first."""
        pairs = list(zip(self.before, self.after, strict=True))[::-1]
        return [width for pair in pairs for width in pair]

    def _facts(self) -> tuple[object, ...]:
        return (self.before, self.after, self.input_shape, self.filling)
