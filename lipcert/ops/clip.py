"""Clip (ReLU6 among them)."""

from dataclasses import dataclass

from torch import Tensor

from lipcert.ops.piecewise import PiecewiseLinear


@dataclass(frozen=True, slots=True, eq=False)
class Clip(PiecewiseLinear):
    """min(max(x, low), high); either end may be infinite."""

    low: float
    high: float

    def value(self, *inputs: Tensor) -> Tensor:
        """Clamped."""
        return inputs[0].clamp(self.low, self.high)

    def knots(self, like: Tensor) -> list[Tensor]:
        """The finite ends."""
        return [like.new_tensor(end) for end in (self.low, self.high) if abs(end) < float("inf")]

    def pieces(self, like: Tensor) -> list[Tensor]:
        """One between the ends, zero beyond a finite one."""
        slopes = [like.new_ones(())]
        if self.low > -float("inf"):
            slopes.insert(0, like.new_zeros(()))
        if self.high < float("inf"):
            slopes.append(like.new_zeros(()))
        return slopes
