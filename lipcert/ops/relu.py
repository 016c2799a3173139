"""ReLU."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.piecewise import PiecewiseLinear


@dataclass(frozen=True, slots=True, eq=False)
class Relu(PiecewiseLinear):
    """max(x, 0)."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Zero below zero."""
        return torch.relu(inputs[0])

    def knots(self, like: Tensor) -> list[Tensor]:
        """Zero."""
        return [like.new_zeros(())]

    def pieces(self, like: Tensor) -> list[Tensor]:
        """Zero, then one."""
        return [like.new_zeros(()), like.new_ones(())]
