"""Error function."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.smooth import Smooth


@dataclass(frozen=True, slots=True, eq=False)
class Erf(Smooth):
    """erf(x)."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Between -1 and 1."""
        return torch.erf(inputs[0])

    def derivative(self, x: Tensor) -> Tensor:
        """2 / sqrt(pi) exp(-x^2)."""
        return 2 / math.sqrt(math.pi) * torch.exp(-x * x)

    def turning(self) -> tuple[float, ...]:
        """Steepest at zero."""
        return (0.0,)
