"""Hyperbolic tangent."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.smooth import Smooth


@dataclass(frozen=True, slots=True, eq=False)
class Tanh(Smooth):
    """tanh(x)."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Between -1 and 1."""
        return torch.tanh(inputs[0])

    def derivative(self, x: Tensor) -> Tensor:
        """1 - tanh^2."""
        return 1 - torch.tanh(x) ** 2

    def turning(self) -> tuple[float, ...]:
        """Steepest at zero."""
        return (0.0,)
