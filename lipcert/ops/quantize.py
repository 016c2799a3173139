"""QuantizeLinear followed by DequantizeLinear: a saturating staircase."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from lipcert.errors import UnsupportedOp
from lipcert.numeric.rounding import down, unit_roundoff, up
from lipcert.ops.kinds import Cornered
from lipcert.ops.piecewise import chord
from lipcert.sets.enclosure import Interval

DIVISION = 2.0**-22  # four roundings in float32
MANY = 4  # codes from which on a band of half a step is about as good as the steps


class Requantiser(ABC):
    """How an integer kernel makes codes of whole sums: never falling where the sums rise."""

    __slots__ = ()

    @abstractmethod
    def codes(self, box: Interval) -> tuple[Tensor, Tensor]:
        """First and last code (less zero point, unsaturated) of the sums that a box holds."""

    @abstractmethod
    def nearest(self, values: Tensor) -> Tensor:
        """Code (likewise) of the whole sum next to each value."""


@dataclass(frozen=True, slots=True, eq=False)
class Quantize(Cornered):
    """scale * clamp(round_half_even(x / scale), lowest, highest), in exact reals.

    Args:
        scale: positive; broadcasts against the node's shape.
        lowest: smallest code less the zero point; broadcasts likewise.
        highest: largest code less the zero point; broadcasts likewise.
        slack: relative error of x / scale as executed; zero in exact arithmetic.
        stray: how much further than half a step the kernel behind these codes may round, beside
            the relative error, in steps; broadcasts likewise. None where x is rounded to the
            nearest code; before it is executed, a graph of LiteRT's knows it already.
        requantiser: that kernel, where x is a whole number of units: codes are then exact.
    """

    scale: Tensor
    lowest: Tensor
    highest: Tensor
    slack: float = 0.0
    stray: Tensor | None = None
    requantiser: Requantiser | None = None

    def parameters(self) -> dict[str, object]:
        """What decides about the codes; the requantiser follows from the layer in front."""
        return {
            "scale": self.scale,
            "lowest": self.lowest,
            "highest": self.highest,
            "slack": self.slack,
            "stray": self.stray,
        }

    def with_parameters(self, changes: Mapping[str, object]) -> "Quantize":
        """Without a requantiser where shapes change, since its own do not."""
        moved = replace(self, **cast(Any, changes))
        own = self.parameters()
        kept = all(
            isinstance(mine := own[name], Tensor)
            and isinstance(value, Tensor)
            and mine.shape == value.shape
            for name, value in changes.items()
        )
        return moved if kept else replace(moved, requantiser=None)

    def value(self, *inputs: Tensor) -> Tensor:
        """The staircase; its gradient is passed straight through where it does not saturate."""
        x = inputs[0]
        if self.requantiser is not None:
            exact = self.scale * self.requantiser.nearest(x.detach())
            x = exact + (x - x.detach())
        return _Staircase.apply(x, self.scale, self.lowest, self.highest)  # type: ignore[no-any-return]

    def executed(self, executed: bool) -> "Quantize":
        """Runtimes divide in float32, or multiply by a quotient that was rounded before."""
        slack = DIVISION if executed else 0.0
        return replace(self, slack=slack, stray=None, requantiser=None)

    def in_fixed_point(self) -> "Quantize":
        """As LiteRT's integer kernels make codes."""
        if self.stray is None:
            raise UnsupportedOp(
                "litert: the compressed network has quantisers that were not read from a LiteRT "
                "file of int8 codes; give the .tflite file, or use another semantics"
            )
        return replace(self, slack=DIVISION)

    def slope(self, box: Interval) -> Interval:
        """A staircase has steps: any nonnegative slope, or none where it is constant."""
        first, last = self.codes(box)
        upper = torch.where(first == last, 0.0, torch.inf).to(box.lower)
        return Interval(torch.zeros_like(box.lower), upper)

    def image(self, box: Interval) -> Interval:
        """From the first code to the last."""
        first, last = self.codes(box)
        return Interval(down(self.scale * first), up(self.scale * last))

    def slopes(self, box: Interval) -> Tensor:
        """Flat, the identity's slope, and the chord."""
        flat = torch.zeros_like(box.lower)
        return torch.stack([flat, torch.ones_like(flat), chord(self.value, box)])

    def settled(self, box: Interval) -> Tensor:
        """Where one code covers the box, or many do and none saturates."""
        first, last = self.codes(box)
        free = (box.lower >= self.scale * self.lowest) & (box.upper <= self.scale * self.highest)
        return (first == last) | (free & (last - first >= MANY))

    def codes(self, box: Interval) -> tuple[Tensor, Tensor]:
        """First and last code (less zero point) that the box can reach, outward at ties."""
        low, high = self._reached(box) if self.requantiser is None else self.requantiser.codes(box)
        return (
            torch.maximum(torch.minimum(low, self.highest), self.lowest),
            torch.maximum(torch.minimum(high, self.highest), self.lowest),
        )

    def _reached(self, box: Interval) -> tuple[Tensor, Tensor]:
        """The same, without saturation, of any numbers."""
        lower, upper = box.lower / self.scale, box.upper / self.scale
        low = down(down(lower - self.slack * lower.abs()))
        high = up(up(upper + self.slack * upper.abs()))
        if self.stray is not None:
            low, high = down(low - self.stray), up(high + self.stray)
        return torch.ceil(low - 0.5), torch.floor(high + 0.5)

    def corners(self, box: Interval) -> list[tuple[Tensor, Tensor]]:
        """The ends of the box, and the first and the last jump from both sides.

        The graph is flat between jumps, and along the jumps place and value are linear in the code.
        """
        first, last = self.codes(box)
        many = last > first
        points = [(box.lower, first), (box.upper, last)]
        for jump in (first + 0.5, last - 0.5):
            for code in (jump - 0.5, jump + 0.5):
                place = torch.where(many, self.scale * jump, box.lower)
                points.append((place, torch.where(many, code, first)))
        return [(place, self.scale * code) for place, code in points]

    def pad(self, box: Interval, slope: Tensor) -> Tensor:
        """Rounding of products and differences, and what the jumps may be off by."""
        first, last = self.codes(box)
        reach = torch.maximum(first.abs(), last.abs()) * self.scale
        reach = (reach + self.scale) * (1 + slope.abs()) + slope.abs() * box.magnitude()
        tiny = torch.finfo(reach.dtype).tiny
        pad = (8 * unit_roundoff(reach.dtype) + 2 * self.slack) * reach + 16 * tiny
        if self.stray is None:
            return pad
        return pad + (1 + 2.0**-20) * slope.abs() * self.scale * self.stray  # of the jumps' places


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
