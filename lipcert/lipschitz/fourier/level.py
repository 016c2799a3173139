r"""Frequencies of a torus, one of each conjugate pair, and how a coarser torus folds them.

A map that is read with stride s lives on a torus s times as small, on which the frequencies
$f + m T / s$ of the finer one coincide. Values of real maps at $-f$ are the conjugates of those at
f, so half of the frequencies stand for all.
"""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Level:
    """A torus of some size."""

    height: int
    width: int

    @property
    def frequencies(self) -> int:
        """All of them."""
        return self.height * self.width

    def refines(self, other: "Level") -> bool:
        """Whether the other one is a whole number of times as small along both axes."""
        return self.height % other.height == 0 and self.width % other.width == 0


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """One frequency of each conjugate pair.

    Args:
        rows: vertical frequencies, (kept,).
        columns: horizontal ones, (kept,).
        weight: how many frequencies each stands for, 1 or 2, (kept,).
        place: for every frequency, in row-major order, which one stands for it.
        flipped: whether that one is its negative.
    """

    rows: Tensor
    columns: Tensor
    weight: Tensor
    place: Tensor
    flipped: Tensor


@functools.cache
def half(level: Level) -> Half:
    """The frequencies that stand for all."""
    index = torch.arange(level.frequencies)
    rows, columns = index // level.width, index % level.width
    other = (-rows % level.height) * level.width + (-columns % level.width)
    first = torch.minimum(index, other)
    kept = (first == index).nonzero().flatten()
    place = torch.searchsorted(kept, first)
    weight = torch.where(other[kept] == kept, 1, 2)
    return Half(rows[kept], columns[kept], weight, place, first != index)


@functools.cache
def _image(fine: Level, coarse: Level) -> Tensor:
    """For every frequency of the finer level, the coarse one that it folds to; row-major."""
    index = torch.arange(fine.frequencies)
    rows, columns = index // fine.width, index % fine.width
    return (rows % coarse.height) * coarse.width + columns % coarse.width


@functools.cache
def _folding(fine: Level, coarse: Level) -> tuple[Tensor, Tensor, Tensor]:
    """Which kept fine values, conjugated or not, add up to which kept coarse ones."""
    first, second, image = half(fine), half(coarse), _image(fine, coarse)
    wanted = (~second.flipped[image]).nonzero().flatten()
    return first.place[wanted], first.flipped[wanted], second.place[image[wanted]]


def folded(values: Tensor, fine: Level, coarse: Level) -> Tensor:
    """Sums over the frequencies that coincide on the coarser level, (kept, ...)."""
    if fine == coarse:
        return values
    source, flipped, target = _folding(fine, coarse)
    every = values[source]
    if values.is_complex():
        every[flipped] = every[flipped].conj()
    total = values.new_zeros(len(half(coarse).rows), *values.shape[1:])
    return total.index_add_(0, target, every)


def spread(values: Tensor, fine: Level, coarse: Level) -> Tensor:
    """At each kept frequency of the finer level, the value of the coarse one that it folds to."""
    if fine == coarse:
        return values
    first, second = half(fine), half(coarse)
    image = _image(fine, coarse)[first.rows * fine.width + first.columns]
    every = values[second.place[image]]
    flipped = second.flipped[image]
    if values.is_complex():
        every[flipped] = every[flipped].conj()
    return every
