"""Leaky ReLU, with one slope or one per channel (PRelu)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.piecewise import PiecewiseLinear


@dataclass(frozen=True, slots=True, eq=False)
class LeakyRelu(PiecewiseLinear):
    """x above zero, `negative_slope` x below.

    Args:
        negative_slope: tensor that broadcasts against the node's shape; a scalar for LeakyRelu.
    """

    negative_slope: Tensor

    def value(self, *inputs: Tensor) -> Tensor:
        """Both pieces."""
        (x,) = inputs
        return torch.where(x >= 0, x, self.negative_slope * x)

    def knots(self, like: Tensor) -> list[Tensor]:
        """Zero."""
        return [like.new_zeros(())]

    def pieces(self, like: Tensor) -> list[Tensor]:
        """The negative slope, then one."""
        return [self.negative_slope.to(like), like.new_ones(())]

    def rounded(self, relative: float) -> "LeakyRelu":
        """One rounding of the slope is part of every piecewise-linear bound."""
        return self
