"""SiLU (Swish)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.ops.smooth import Smooth

TURN = 2.399357280515468  # root of x tanh(x / 2) = 2


@dataclass(frozen=True, slots=True, eq=False)
class Silu(Smooth):
    """x sigmoid(x); its slope reaches 1.0998."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Swish with beta = 1."""
        return inputs[0] * torch.sigmoid(inputs[0])

    def derivative(self, x: Tensor) -> Tensor:
        """Product rule, s (1 + x (1 - s)) with s the sigmoid."""
        return torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))

    def turning(self) -> tuple[float, ...]:
        """Where x tanh(x / 2) = 2."""
        return (-TURN, TURN)
