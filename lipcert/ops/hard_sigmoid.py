"""HardSigmoid."""

from dataclasses import dataclass

from torch import Tensor

from lipcert.ops.piecewise import PiecewiseLinear


@dataclass(frozen=True, slots=True, eq=False)
class HardSigmoid(PiecewiseLinear):
    """min(max(alpha x + beta, 0), 1) with alpha > 0."""

    alpha: float
    beta: float

    def value(self, *inputs: Tensor) -> Tensor:
        """A clamped line."""
        return (self.alpha * inputs[0] + self.beta).clamp(0, 1)

    def knots(self, like: Tensor) -> list[Tensor]:
        """Where the line meets 0 and 1."""
        ends = (-self.beta / self.alpha, (1 - self.beta) / self.alpha)
        return [like.new_tensor(end) for end in ends]

    def pieces(self, like: Tensor) -> list[Tensor]:
        """Zero, alpha, zero."""
        return [like.new_zeros(()), like.new_tensor(self.alpha), like.new_zeros(())]
