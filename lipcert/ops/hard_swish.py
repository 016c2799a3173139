"""HardSwish."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.smooth import Smooth
from lipcert.sets.enclosure import Interval


@dataclass(frozen=True, slots=True, eq=False)
class HardSwish(Smooth):
    """x min(max(x + 3, 0), 6) / 6: zero, then a parabola, then the identity."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Three pieces."""
        (x,) = inputs
        return x * (x + 3).clamp(0, 6) / 6

    def derivative(self, x: Tensor) -> Tensor:
        """(2 x + 3) / 6 between -3 and 3; it jumps there."""
        inner = (2 * x + 3) / 6
        return torch.where(x <= -3, torch.zeros_like(x), torch.where(x >= 3, 1.0, inner))

    def turning(self) -> tuple[float, ...]:
        """The derivative jumps here: see `slope`."""
        return (-3.0, 3.0)

    def slope(self, box: Interval) -> Interval:
        """Hull of the pieces' derivatives over the parts of the box that they cover."""
        left = torch.clamp(box.lower, -3, 3)
        right = torch.clamp(box.upper, -3, 3)
        inside = (box.upper >= -3) & (box.lower <= 3)
        lower = torch.where(inside, (2 * left + 3) / 6, torch.inf)
        upper = torch.where(inside, (2 * right + 3) / 6, -torch.inf)
        for flat, there in ((0.0, box.lower <= -3), (1.0, box.upper >= 3)):
            lower = torch.where(there, lower.clamp(max=flat), lower)
            upper = torch.where(there, upper.clamp(min=flat), upper)
        pad = 8 * unit_roundoff(box.lower.dtype)
        return Interval(down(lower - pad), up(upper + pad))
