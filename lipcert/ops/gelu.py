"""GELU, the exact (erf) form."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.smooth import Smooth


@dataclass(frozen=True, slots=True, eq=False)
class Gelu(Smooth):
    """x Phi(x), Phi the normal distribution function; its slope reaches 1.129, not 1."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Erf form."""
        (x,) = inputs
        return x * torch.erfc(-x / math.sqrt(2)) / 2

    def derivative(self, x: Tensor) -> Tensor:
        """Phi(x) + x phi(x)."""
        density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
        return torch.erfc(-x / math.sqrt(2)) / 2 + x * density

    def turning(self) -> tuple[float, ...]:
        """The second derivative phi(x) (2 - x^2) vanishes at the square roots of two."""
        return (-math.sqrt(2), math.sqrt(2))
