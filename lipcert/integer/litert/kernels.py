"""What LiteRT's reference kernels compute on int8 codes, bit for bit, and how far it strays.

Codes are (batch, *shape), channels last. The exact result of a kernel is its function in real
arithmetic of what its operands' codes stand for, over the scale of its result; the reference
kernels round it to a code that may lie a little more than half a step away: by `stray`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from lipcert.errors import UnsupportedOp
from lipcert.integer.litert.fixed_point import Multiplier, Real, Whole, nearest
from lipcert.integer.litert.grid import Grid
from lipcert.integer.litert.requantising import FAR, WholeSums
from lipcert.ops.quantize import Requantiser

RELATIVE = 2.0**-22  # error of a multiplier that is allowed everywhere
FARTHEST = 255  # of an int8 code from its zero point
LEFT = 20  # bits that sums are shifted left by


class Kernel(ABC):
    """An operator on codes."""

    __slots__ = ()

    @abstractmethod
    def codes(self, *operands: Whole) -> Whole:
        """The result's codes, (batch, *shape)."""

    @property
    def stray(self) -> Real:
        """Bound beyond half a step, in steps: one, or one per channel; zero where codes move.

        The multiplier's own error, at most `RELATIVE` of the result, is left out.
        """
        return np.zeros(())

    def requantiser(self, first: bool) -> Requantiser | None:
        """The kernel on whole sums, if it is one; `first` where values hold channels first."""
        return None


def multiplier(runtime: Real | float, exact: Real | float, largest: int) -> Multiplier:
    """Of the quotient that the runtime computes, for whole numbers up to `largest`.

    Refused where it is far from the exact one, or where 32 bits may not hold what it shifts.
    """
    found = Multiplier.of(runtime)
    found.refuse_overflow(largest)
    if (np.abs(found.value() - exact) > 0.9 * RELATIVE * np.asarray(exact)).any():
        raise UnsupportedOp("has scales too far apart for its fixed-point multiplier")
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Scaled(Kernel):
    """Whole numbers times a multiplier: products, rectifiers, other scales.

    Args:
        factor: of the whole numbers.
        target: grid of the result.
    """

    factor: Multiplier
    target: Grid

    def codes(self, *operands: Whole) -> Whole:
        """Of the whole numbers themselves."""
        return self.target.codes(self.rounded(operands[0]))

    def rounded(self, sums: Whole) -> Whole:
        """Steps of the result."""
        return self.factor.times(sums)

    def of_sums(self, unit: Real, first: bool) -> Requantiser:
        """The kernel on sums worth whole numbers of units."""
        most = FAR / 2.0 ** np.maximum(0, self.factor.shift)  # each channel has its own
        return WholeSums(unit, np.ones((), np.int64), self.rounded, first, most)

    @property
    def stray(self) -> Real:
        """Of the first of two roundings."""
        return self.factor.stray()


@dataclass(frozen=True, slots=True, eq=False)
class InDouble(Kernel):
    """Whole numbers times a float64 number, half away from zero: dense layers in LiteRT 2.

    Args:
        factor: one per output, or one for all.
        target: grid of the result.
    """

    factor: Real
    target: Grid

    def codes(self, *operands: Whole) -> Whole:
        """Of the whole numbers themselves."""
        return self.target.codes(self.rounded(operands[0]))

    def rounded(self, sums: Whole) -> Whole:
        """Steps of the result."""
        return nearest(sums * self.factor)

    def of_sums(self, unit: Real, first: bool) -> Requantiser:
        """The kernel on sums worth whole numbers of units."""
        return WholeSums(unit, np.ones((), np.int64), self.rounded, first)


@dataclass(frozen=True, slots=True, eq=False)
class Rounded(Kernel):
    """Codes of float32 numbers, the network's inputs.

    Args:
        target: grid of the result.
    """

    target: Grid

    def codes(self, *operands: Whole | Real) -> Whole:
        """Half away from zero."""
        return self.target.quantise(np.asarray(operands[0], dtype=np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Sum(Kernel):
    """The first operand plus or minus the second, broadcast.

    Args:
        sources: grids of the operands.
        target: grid of the result.
        sign: of the second operand.
    """

    sources: tuple[Grid, Grid]
    target: Grid
    sign: int

    def codes(self, *operands: Whole) -> Whole:
        """Both on a common finer grid, added, and back."""
        factors, back = self._multipliers()
        first, second = (
            factor.times((codes - grid.zero_point) << LEFT)
            for factor, codes, grid in zip(factors, operands, self.sources, strict=True)
        )
        return self.target.codes(back.times(first + self.sign * second))

    @property
    def stray(self) -> Real:
        """Two roundings of each operand on the finer grid, and the last of the sum."""
        factors, back = self._multipliers()
        spent = np.zeros(())
        for factor, exact, grid in zip(factors, self._shares(), self.sources, strict=True):
            reach = float(max(grid.highest - grid.zero_point, grid.zero_point - grid.lowest))
            off = np.abs(factor.value() - exact) + exact * 2.0**-50
            spent = spent + 0.5 + factor.stray() + reach * 2.0**LEFT * off
        return (spent * back.value() + back.stray()) * (1 + 1e-9)

    def _shares(self) -> tuple[float, float]:
        """Of each operand's scale in twice the larger one."""
        first, second = (grid.scale for grid in self.sources)
        twice = 2 * max(first, second)
        return first / twice, second / twice

    def _multipliers(self) -> tuple[tuple[Multiplier, Multiplier], Multiplier]:
        twice = 2 * max(grid.scale for grid in self.sources)
        back = twice / (2.0**LEFT * self.target.scale)
        first, second = (Multiplier.of(share) for share in self._shares())
        return (first, second), multiplier(back, back, 2 * FARTHEST << LEFT)


@dataclass(frozen=True, slots=True, eq=False)
class Times(Kernel):
    """The product of two operands, broadcast.

    Args:
        sources: grids of the operands.
        target: grid of the result.
    """

    sources: tuple[Grid, Grid]
    target: Grid

    def codes(self, *operands: Whole) -> Whole:
        """Of the codes less their zero points."""
        first, second = (
            codes - grid.zero_point for codes, grid in zip(operands, self.sources, strict=True)
        )
        return self._scaled().codes(first * second)

    @property
    def stray(self) -> Real:
        """Of the first of two roundings."""
        return self._scaled().stray

    def requantiser(self, first: bool) -> Requantiser:
        """Of products of steps."""
        unit = np.array(self.sources[0].scale * self.sources[1].scale)
        return self._scaled().of_sums(unit, first)

    def _scaled(self) -> Scaled:
        first, second = self.sources
        runtime = first.single * second.single / self.target.single
        exact = first.scale * second.scale / self.target.scale
        return Scaled(multiplier(float(runtime), exact, FARTHEST**2), self.target)


@dataclass(frozen=True, slots=True, eq=False)
class Lookup(Kernel):
    """A function of one operand, by its code.

    Args:
        lowest: code that the first entry belongs to.
        entries: codes of the result, one per code of the operand.
        far: how much further than half a step any entry lies from the exact function.
    """

    lowest: int
    entries: Whole
    far: float

    def codes(self, *operands: Whole) -> Whole:
        """Entry by entry."""
        return self.entries[operands[0] - self.lowest]

    @property
    def stray(self) -> Real:
        """Known entry by entry."""
        return np.array(self.far)


@dataclass(frozen=True, slots=True, eq=False)
class Prelu(Kernel):
    """Below zero, times a slope that is stored as codes and broadcast.

    Args:
        sources: grids of the operand and of the slopes.
        target: grid of the result.
        slopes: every code of the second operand, once.
    """

    sources: tuple[Grid, Grid]
    target: Grid
    slopes: Whole

    def codes(self, *operands: Whole) -> Whole:
        """One multiplier on either side of zero."""
        first, second = self.sources
        steps, slopes = operands[0] - first.zero_point, operands[1] - second.zero_point
        own = float(first.single / self.target.single)
        below = float(first.single * second.single / self.target.single)
        sides = (
            (own, first.scale / self.target.scale, FARTHEST, steps),
            (below, first.scale * second.scale / self.target.scale, FARTHEST**2, steps * slopes),
        )
        above, under = (
            Scaled(multiplier(runtime, exact, most), self.target).codes(whole)
            for runtime, exact, most, whole in sides
        )
        return np.where(steps >= 0, above, under)

    @property
    def stray(self) -> Real:
        """Over all codes and slopes."""
        first, second = self.sources
        every = np.arange(first.lowest, first.highest + 1)[:, None]
        values, slopes = first.values(every), second.values(self.slopes)
        exact = np.where(values >= 0, values, values * slopes) / self.target.scale
        return np.array(self.target.stray(self.codes(every, self.slopes), exact))
