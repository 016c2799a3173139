"""Symbols of linear maps between channels, with a bound on their rounding."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lipcert.gain.symbol import symbol_error, symbols
from lipcert.lipschitz.fourier.level import Level, half, spread
from lipcert.lipschitz.fourier.reading import WHOLE, Reading
from lipcert.numeric.rounding import gamma, inflate

DOUBLE = torch.float64
SPARE = 8


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """How the channels of one map depend on those of another, frequency by frequency.

    Args:
        values: (kept frequencies of the finer map, channels, finer channels) complex.
        size: no entry's modulus exceeds it, at any frequency, (channels, finer channels).
        error: every entry is right to this share of its size.
    """

    values: Tensor
    size: Tensor
    error: float

    def plus(self, other: "Wave", sign: int) -> "Wave":
        """Sum or difference."""
        values = self.values + sign * other.values
        size = inflate(self.size + other.size, 2)
        return Wave(values, size, max(self.error, other.error) + 2 * gamma(SPARE, DOUBLE))

    def scaled(self, factors: Tensor, error: float = 0.0) -> "Wave":
        """Each channel times a number."""
        values, size = (
            self.values * factors[:, None],
            inflate(self.size * factors.abs()[:, None], 2),
        )
        return Wave(values, size, self.error + error + 2 * gamma(SPARE, DOUBLE))

    def rows(self, first: int, total: int) -> "Wave":
        """The same channels among `total`, from the `first` one on."""
        after = total - first - self.values.shape[1]
        return replace(
            self,
            values=torch.nn.functional.pad(self.values, (0, 0, first, after)),
            size=torch.nn.functional.pad(self.size, (0, 0, first, after)),
        )


def diagonal(level: Level, factors: Tensor) -> Wave:
    """Each channel is a number times the same channel."""
    values = torch.diag(factors).to(torch.complex128)
    return Wave(values.expand(len(half(level).rows), -1, -1), torch.diag(factors.abs()), 0.0)


def level_below(reading: Reading, level: Level) -> Level:
    """Torus of the outputs."""
    sizes = [
        1 if stride == WHOLE else size // stride
        for stride, size in zip(reading.stride, (level.height, level.width), strict=True)
    ]
    return Level(*sizes)


def transfer(reading: Reading, level: Level) -> Wave:
    """From the inputs of a correlation, on a torus, to its outputs: orthonormal on both sides."""
    here, outer = half(level), len(reading.weight)
    order = (level.height, level.width)
    rows, columns = torch.arange(level.height), torch.arange(level.width)
    parts = symbols(reading.weight, rows, columns, order, reading.places)
    grid = torch.complex(parts[0], parts[1]).permute(2, 3, 0, 1)
    values = grid[here.rows, here.columns]
    size = inflate(reading.weight.abs().sum((-2, -1)), reading.weight[0, 0].numel() + 2)
    if reading.groups > 1:
        values, size = (_apart(part, reading.groups) for part in (values, size))
    below = level_below(reading, level)
    share = 1 / math.sqrt(level.frequencies // below.frequencies)
    error = symbol_error(reading.weight.shape[-2:]) + reading.error
    return Wave(values, size, error).scaled(torch.full((outer,), share, dtype=DOUBLE))


def _apart(blocks: Tensor, groups: int) -> Tensor:
    """Groups of channels as one matrix, zero between them."""
    outer, inner = blocks.shape[-2:]
    whole = blocks.new_zeros(*blocks.shape[:-1], inner * groups)
    each = outer // groups
    for g in range(groups):
        rows, columns = slice(g * each, (g + 1) * each), slice(g * inner, (g + 1) * inner)
        whole[..., rows, columns] = blocks[..., rows, :]
    return whole


def behind(first: Wave, second: Wave, fine: Level, level: Level) -> Wave:
    """`second` of what `first` makes: first from a finer map to one on `level`.

    Real and imaginary parts are products of real matrices, so each is off by at most gamma
    times the product of the moduli.
    """
    outer = spread(second.values, fine, level)
    left, right = (torch.view_as_real(part.resolve_conj()) for part in (outer, first.values))
    real = left[..., 0] @ right[..., 0] - left[..., 1] @ right[..., 1]
    imaginary = left[..., 0] @ right[..., 1] + left[..., 1] @ right[..., 0]
    terms = first.values.shape[1]
    size = inflate(second.size @ first.size, terms + 2)
    rounding = 4 * gamma(terms + SPARE, DOUBLE)
    error = (1 + first.error) * (1 + second.error) * (1 + rounding) - 1
    return Wave(torch.complex(real, imaginary), size, error * (1 + 2.0**-20) + 2.0**-52)
