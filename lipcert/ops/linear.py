"""Fully connected layer on the last axis."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lipcert.ops.functional import Functional, Shape
from lipcert.ops.kinds import Affine, Op


@dataclass(frozen=True, slots=True, eq=False)
class Linear(Affine):
    """weight x + bias on the last axis, whatever axes come before it.

    Args:
        weight: (out, in).
        bias: (out,).
        error: relative error of weight and bias against the true ones.
    """

    weight: Tensor
    bias: Tensor
    error: float = 0.0

    def shape(self, *inputs: Shape) -> Shape:
        """The last axis becomes `out`."""
        return (*inputs[0][:-1], self.weight.shape[0])

    def linear(self, *inputs: Tensor) -> Tensor:
        """Matrix product."""
        return F.linear(inputs[0], self.weight)

    def adjoint(self, functional: Functional) -> tuple[Functional, ...]:
        """Product with the transposed matrix."""
        back = functional.in_natural_order() @ self.weight
        return (Functional.natural(back, (*functional.shape[:-1], self.weight.shape[1])),)

    def coordinates(self, index: Tensor, shape: Shape, like: Tensor) -> tuple[Functional, ...]:
        """Rows of the matrix."""
        if len(shape) > 1:
            return self.adjoint(Functional.unit(index, shape, like))
        return (Functional(self.weight[index], (self.weight.shape[1],)),)

    def magnitude(self) -> "Linear":
        """Absolute weights."""
        return Linear(self.weight.abs(), self.bias.abs(), self.error)

    def same_form(self, other: Op) -> bool:
        """Another linear layer of the same size."""
        return isinstance(other, Linear) and other.weight.shape == self.weight.shape

    def minus(self, other: Op) -> "Linear | None":
        """Difference of the weights."""
        if not isinstance(other, Linear):
            raise TypeError(f"Linear cannot subtract {type(other).__name__}")
        weight, bias = self.weight - other.weight, self.bias - other.bias
        return Linear(weight, bias) if bool(weight.any() or bias.any()) else None

    @property
    def terms(self) -> int:
        """The longer side."""
        return max(self.weight.shape) + 2

    @property
    def weight_error(self) -> float:
        """As given."""
        return self.error

    def constant(self, like: Tensor) -> Tensor | None:
        """The bias."""
        return self.bias

    def rounded(self, relative: float) -> "Linear":
        """Adds to the error."""
        return replace(self, error=torch.finfo(torch.float64).eps + self.error + relative)
