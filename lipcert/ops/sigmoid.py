"""Sigmoid."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.smooth import Smooth


@dataclass(frozen=True, slots=True, eq=False)
class Sigmoid(Smooth):
    """1 / (1 + exp(-x))."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Between 0 and 1."""
        return torch.sigmoid(inputs[0])

    def derivative(self, x: Tensor) -> Tensor:
        """Sigmoid of x times sigmoid of -x, written without cancellation."""
        return torch.sigmoid(x) * torch.sigmoid(-x)

    def turning(self) -> tuple[float, ...]:
        """Steepest at zero."""
        return (0.0,)
