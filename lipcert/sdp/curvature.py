r"""The barrier of the program: -logdet P, and -log of multipliers that P leaves room below zero.

A multiplier's matrix is $M_j = (a_j b_j' + b_j a_j') / 2$ with $a_j = e_j - \alpha_j w_j$ and
$b_j = e_j - \beta_j w_j$, where $w_j$ are the weights that neuron j reads. With $S = P^{-1}$ the
gradient is $-a_j' S b_j$ and the second derivative $(a_i' S a_j b_i' S b_j + a_i' S b_j b_i' S a_j)
/ 2$: products of entries of S, W S and W S W'.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipcert.sdp.blocks import Factor, inverse
from lipcert.sdp.maps import Array
from lipcert.sdp.path import Derivatives, Place
from lipcert.sdp.program import Program, Reads

STRIP = 128  # rows of the Hessian at a time


@dataclass(frozen=True, slots=True)
class LogDet:
    """The barrier of a program's points."""

    program: Program

    @property
    def degree(self) -> float:
        """Order of P, and one per multiplier that has a logarithm of its own."""
        sizes = self.program.sizes
        return float(sum(sizes) + (sum(sizes[1:]) if self.program.guarded else 0))

    def at(self, point: Array) -> Place | None:
        """The barrier at (t, multipliers); None where that is not feasible."""
        done = self.program.factor(point)
        if done is None:
            return None
        value = -done.logdet - (float(np.log(point[1:]).sum()) if self.program.guarded else 0.0)
        return Place(value, lambda: _derivatives(self.program, done, point))


def _derivatives(program: Program, done: Factor, point: Array) -> Derivatives:
    """Of the barrier, from the factor of P at the point."""
    found = _of_logdet(program, inverse(done))
    if program.guarded:
        multipliers = point[1:]
        found.gradient[1:] -= 1 / multipliers
        place = np.arange(1, len(point))
        found.hessian[place, place] += 1 / multipliers**2
    return found


def _of_logdet(program: Program, inverse: Array) -> Derivatives:
    """Of -logdet P, from the inverse of P."""
    seen = _read(program, inverse)
    hessian = np.zeros((len(seen) + 1, len(seen) + 1))
    gradient = np.empty(len(hessian))
    inner = hessian[1:, 1:]
    _read_twice(program, seen, inner)
    plain, own = inverse[program.sizes[0] :, program.sizes[0] :], seen[:, program.sizes[0] :]
    lower, upper = (np.concatenate(slopes) for slopes in program.sectors)
    for start in range(0, len(seen), STRIP):
        rows, columns = slice(start, start + STRIP), slice(0, start + STRIP)
        parts = _Parts(
            plain[rows, columns], own[rows, columns], own[columns, rows].T, inner[rows, columns]
        )
        gradient[1:][rows], inner[rows, columns] = parts.derivatives(lower, upper, start)
    gradient[0], hessian[0, 0], hessian[1:, 0] = _of_output(program, inverse)
    return Derivatives(gradient, hessian)


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """Some rows and columns of S, W S, S W' and W S W'."""

    plain: Array
    left: Array
    right: Array
    both: Array

    def derivatives(self, lower: Array, upper: Array, start: int) -> tuple[Array, Array]:
        """First derivatives, and second ones of the rows from `start` on."""
        rows, columns = slice(start, start + STRIP), slice(0, start + STRIP)
        ends = (lower[rows], upper[rows]), (lower[columns], upper[columns])
        mixed = self.between(ends[0][0], ends[1][1])
        products = mixed * self.between(ends[0][1], ends[1][0])
        both = self.between(ends[0][1], ends[1][1])
        both *= self.between(ends[0][0], ends[1][0])
        products += both
        products /= 2
        return -np.diagonal(mixed, start), products

    def between(self, one: Array, two: Array) -> Array:
        """(e - one w)' S (e - two w), without the parts that vanish."""
        found = self.plain
        if one.any():
            found = found - one[:, None] * self.left
        if two.any():
            found = found - self.right * two
            if one.any():
                found += one[:, None] * self.both * two
        return found


def _of_output(program: Program, inverse: Array) -> tuple[float, float, Array]:
    """Derivative in t, second derivative in t, and those in t and each multiplier."""
    half = _applied(program.rows, program.output, inverse)
    gram = _applied(program.rows, program.output, half.T)
    own, below = half.T[program.sizes[0] :], _read(program, half.T)
    ends = (np.concatenate(slopes)[:, None] for slopes in program.sectors)
    lower, upper = (own - slope * below for slope in ends)
    cross = -(lower * upper).sum(1)
    return float(np.trace(gram)), float((gram**2).sum()), cross


def _read(program: Program, values: Array) -> Array:
    """What all neurons read of values with a row per coordinate of P."""
    found = np.empty((len(values) - program.sizes[0], values.shape[1]))
    rows = program.rows
    for block, place in zip(program.neurons, program.places, strict=True):
        _apply(rows, block.reads, values, found[place])
    return found


def _read_twice(program: Program, seen: Array, into: Array) -> None:
    """What all neurons read of what they read: the lower triangle, block by block."""
    rows = program.rows
    for block, place in zip(program.neurons, program.places, strict=True):
        _apply(rows, block.reads, seen[: place.stop].T, into[place, : place.stop])


def _applied(rows: Sequence[slice], reads: Reads, values: Array) -> Array:
    """W values, for values with a row per coordinate of P."""
    found = np.empty((len(next(iter(reads.values()))), values.shape[1]))
    _apply(rows, reads, values, found)
    return found


def _apply(rows: Sequence[slice], reads: Reads, values: Array, into: Array) -> None:
    """W values, written to a place."""
    for number, (j, part) in enumerate(reads.items()):
        if number == 0:
            np.matmul(part, values[rows[j]], out=into)
        else:
            into += part @ values[rows[j]]
