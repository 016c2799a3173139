"""ReLU."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.numeric.rounding import down, up
from lipcert.ops.kinds import Lines
from lipcert.ops.piecewise import PiecewiseLinear
from lipcert.sets.enclosure import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Relu(PiecewiseLinear):
    """max(x, 0). States image, lines and where it is settled in closed form: exact and fast."""

    def value(self, *inputs: Tensor) -> Tensor:
        """Zero below zero."""
        return torch.relu(inputs[0])

    def knots(self, like: Tensor) -> list[Tensor]:
        """Zero."""
        return [like.new_zeros(())]

    def pieces(self, like: Tensor) -> list[Tensor]:
        """Zero, then one."""
        return [like.new_zeros(()), like.new_ones(())]

    def image(self, box: Interval) -> Interval:
        """Monotone, and exact."""
        return Interval(torch.relu(box.lower), torch.relu(box.upper))

    def settled(self, box: Interval) -> Tensor:
        """Where the sign is known."""
        return (box.lower >= 0) | (box.upper <= 0)

    def lines(self, box: Interval) -> Lines:
        """Chord above; below, the identity where it is nearer in the middle, else zero.

        The chord's rounded slope s needs the larger of `-s lower` and `upper - s upper` behind it.
        Without a finite width the line above is the identity moved up by `-lower`.
        """
        lower, upper = box.lower, box.upper
        active, idle = lower >= 0, upper <= 0
        chord = upper / (upper - lower)
        usable = chord.isfinite() & lower.isfinite() & ~active
        slope = torch.where(idle, 0.0, torch.where(usable, chord, 1.0))
        rise = torch.maximum(up(-slope * lower), up(upper - down(slope * upper)))
        rise = torch.where(active | idle, 0.0, torch.where(usable, rise, -lower))
        return Lines((upper > -lower).to(lower), torch.zeros_like(lower), slope, rise)
