"""Multiplication and addition of constants: batch normalisation, Mul, Div, Add, Sub."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Affine, Op


@dataclass(frozen=True, slots=True, eq=False)
class Scale(Affine):
    """factor x + shift, coordinate by coordinate.

    Args:
        factor: (broadcastable to the node's shape, with as many axes).
        shift: likewise.
        error: relative error of factor and shift against the true ones.
    """

    factor: Tensor
    shift: Tensor
    error: float = 0.0

    def shape(self, *inputs: Shape) -> Shape:
        """The input's shape."""
        return inputs[0]

    def linear(self, *inputs: Tensor) -> Tensor:
        """Product."""
        return inputs[0] * self.factor

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """The same product; on patches only where the factor does not vary over the map."""
        factor = self.factor
        if len(functional.shape) != 3:
            return (functional.with_values(functional.values * factor),)
        if factor.shape[1:] != (1, 1):
            functional = functional.dense()
        return (functional.with_values(functional.values * factor.permute(1, 2, 0)),)

    def magnitude(self) -> "Scale":
        """Absolute factor and shift."""
        return Scale(self.factor.abs(), self.shift.abs(), self.error)

    def same_form(self, other: Op) -> bool:
        """Another scale; broadcasting takes care of the rest."""
        return isinstance(other, Scale) and other.factor.ndim == self.factor.ndim

    def minus(self, other: Op) -> "Scale | None":
        """Difference of factors and shifts."""
        if not isinstance(other, Scale):
            raise TypeError(f"Scale cannot subtract {type(other).__name__}")
        factor, shift = self.factor - other.factor, self.shift - other.shift
        return Scale(factor, shift) if bool(factor.any() or shift.any()) else None

    @property
    def terms(self) -> int:
        """One product."""
        return 3

    @property
    def weight_error(self) -> float:
        """As given."""
        return self.error

    def constant(self, like: Tensor) -> Tensor | None:
        """The shift."""
        return self.shift

    def rounded(self, relative: float) -> "Scale":
        """Adds to the error."""
        return replace(self, error=torch.finfo(torch.float64).eps + self.error + relative)
