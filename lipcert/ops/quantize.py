"""QuantizeLinear followed by DequantizeLinear: a saturating staircase."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.kinds import Elementwise
from lipcert.ops.piecewise import chord
from lipcert.sets.enclosure import Interval

DIVISION = 2.0**-22  # four roundings in float32
MANY = 4  # codes from which on a band of half a step is about as good as the steps


@dataclass(frozen=True, slots=True, eq=False)
class Quantize(Elementwise):
    """scale * clamp(round_half_even(x / scale), lowest, highest), in exact reals.

    Args:
        scale: positive; broadcasts against the node's shape.
        lowest: smallest code less the zero point; broadcasts likewise.
        highest: largest code less the zero point; broadcasts likewise.
        slack: relative error of x / scale as executed; zero in exact arithmetic.
    """

    scale: Tensor
    lowest: Tensor
    highest: Tensor
    slack: float = 0.0

    def value(self, *inputs: Tensor) -> Tensor:
        """The staircase; its gradient is passed straight through where it does not saturate."""
        return _Staircase.apply(inputs[0], self.scale, self.lowest, self.highest)  # type: ignore[no-any-return]

    def executed(self, executed: bool) -> "Quantize":
        """Runtimes divide in float32, or multiply by a quotient that was rounded before."""
        return replace(self, slack=DIVISION if executed else 0.0)

    def slope(self, box: Interval) -> Interval:
        """A staircase has steps: any nonnegative slope, or none where it is constant."""
        first, last = self._codes(box)
        upper = torch.where(first == last, 0.0, torch.inf).to(box.lower)
        return Interval(torch.zeros_like(box.lower), upper)

    def image(self, box: Interval) -> Interval:
        """From the first code to the last."""
        first, last = self._codes(box)
        return Interval(down(self.scale * first), up(self.scale * last))

    def slopes(self, box: Interval) -> Tensor:
        """Flat, the identity's slope, and the chord."""
        flat = torch.zeros_like(box.lower)
        return torch.stack([flat, torch.ones_like(flat), chord(self.value, box)])

    def remainder(self, box: Interval, slope: Tensor) -> Interval:
        """Extremes over the ends of the box and the first and last jumps, widened by rounding."""
        seen = self._remainders(box, slope)
        pad = self._pad(box, slope)
        return Interval(down(seen.amin(0) - pad), up(seen.amax(0) + pad))

    def settled(self, box: Interval) -> Tensor:
        """Where one code covers the box, or many do and none saturates."""
        first, last = self._codes(box)
        free = (box.lower >= self.scale * self.lowest) & (box.upper <= self.scale * self.highest)
        return (first == last) | (free & (last - first >= MANY))

    def _codes(self, box: Interval) -> tuple[Tensor, Tensor]:
        """First and last code (less zero point) that the box can reach, outward at ties."""
        lower, upper = box.lower / self.scale, box.upper / self.scale
        low = torch.ceil(down(down(lower - self.slack * lower.abs())) - 0.5)
        high = torch.floor(up(up(upper + self.slack * upper.abs())) + 0.5)
        return (
            torch.maximum(torch.minimum(low, self.highest), self.lowest),
            torch.maximum(torch.minimum(high, self.highest), self.lowest),
        )

    def _remainders(self, box: Interval, slope: Tensor) -> Tensor:
        """`value - slope x` wherever it can be extreme.

        On a step the remainder is linear, so it is extreme at the step's ends; along the jumps
        it is linear in the code, so only the first and the last jump matter, seen from both sides.
        """
        first, last = self._codes(box)
        many = last > first
        points = [(box.lower, first), (box.upper, last)]
        for jump in (first + 0.5, last - 0.5):
            for code in (jump - 0.5, jump + 0.5):
                place = torch.where(many, self.scale * jump, box.lower)
                points.append((place, torch.where(many, code, first)))
        return torch.stack([self.scale * code - slope * x for x, code in points])

    def _pad(self, box: Interval, slope: Tensor) -> Tensor:
        """Rounding of products and differences."""
        first, last = self._codes(box)
        reach = torch.maximum(first.abs(), last.abs()) * self.scale
        reach = (reach + self.scale) * (1 + slope.abs()) + slope.abs() * box.magnitude()
        tiny = torch.finfo(reach.dtype).tiny
        return (8 * unit_roundoff(reach.dtype) + 2 * self.slack) * reach + 16 * tiny


class _Staircase(torch.autograd.Function):
    """Exact forward, straight-through backward (zero where the code is saturated)."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, scale: Tensor, lowest: Tensor, highest: Tensor
    ) -> Tensor:
        codes = torch.round(x / scale)
        inside = (codes >= lowest) & (codes <= highest)
        ctx.save_for_backward(inside)
        return scale * torch.maximum(torch.minimum(codes, highest), lowest)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        (inside,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient * inside, None, None, None
