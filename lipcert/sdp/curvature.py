r"""The barrier of the program: -logdet P, and -log of multipliers that P leaves room below zero.

A multiplier's matrix is $M_j = (a_j b_j' + b_j a_j') / 2$ with $a_j = e_j - \alpha_j w_j$ and
$b_j = e_j - \beta_j w_j$, where $w_j$ are the weights that neuron j reads. With $S = P^{-1}$ the
gradient is $-a_j' S b_j$ and the second derivative $(a_i' S a_j b_i' S b_j + a_i' S b_j b_i' S a_j)
/ 2$: products of entries of S, W S and W S W'.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lipcert.sdp.blocks import Factor, inverse
from lipcert.sdp.maps import Array
from lipcert.sdp.path import Derivatives
from lipcert.sdp.program import Program, Reads


@dataclass(frozen=True, slots=True)
class LogDet:
    """The barrier of a program's points."""

    program: Program

    @property
    def degree(self) -> float:
        """Order of P, and one per multiplier that has a logarithm of its own."""
        sizes = self.program.sizes
        return float(sum(sizes) + (sum(sizes[1:]) if self.program.guarded else 0))

    def at(self, point: Array) -> Callable[[], Derivatives] | None:
        """What finds the derivatives at (t, multipliers); None where that is not feasible."""
        done = self.program.factor(point)
        return None if done is None else lambda: _derivatives(self.program, done, point)


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
    seen = np.empty((len(inverse) - program.sizes[0], len(inverse)))
    for block, place in zip(program.neurons, program.places, strict=True):
        seen[place] = _applied(program, block.reads, inverse)
    count = len(seen) + 1
    gradient, hessian = np.empty(count), np.empty((count, count))
    inner = hessian[1:, 1:]
    for one, place in enumerate(program.places):
        for two, other in enumerate(program.places[: one + 1]):
            inner[place, other], products = _pair(program, inverse, seen, (one, two))
            if one == two:
                gradient[1:][place] = -np.diag(products)
    gradient[0], hessian[0, 0], hessian[1:, 0] = _of_output(program, inverse)
    return Derivatives(gradient, hessian)


def _pair(
    program: Program, inverse: Array, seen: Array, which: tuple[int, int]
) -> tuple[Array, Array]:
    """Second derivatives between two blocks of neurons, and a_i' S b_j of theirs."""
    first, second = (program.neurons[number] for number in which)
    places = [program.places[number] for number in which]
    rows = [program.rows[number + 1] for number in which]
    plain = inverse[rows[0], rows[1]]
    left, right = seen[places[0], rows[1]], seen[places[1], rows[0]].T
    both = np.sum([seen[places[0], program.rows[j]] @ w.T for j, w in second.reads.items()], axis=0)

    def between(one: Array, two: Array) -> Array:
        """(e - one w)' S (e - two w), without the parts that vanish."""
        found = plain
        if one.any():
            found = found - one[:, None] * left
        if two.any():
            found = found - right * two
            found = found + one[:, None] * both * two if one.any() else found
        return found

    mixed = between(first.lower, second.upper)
    other = mixed.T if which[0] == which[1] else between(first.upper, second.lower)
    squares = between(first.lower, second.lower) * between(first.upper, second.upper)
    return (squares + mixed * other) / 2, mixed


def _of_output(program: Program, inverse: Array) -> tuple[float, float, Array]:
    """Derivative in t, second derivative in t, and those in t and each multiplier."""
    half = _applied(program, program.output, inverse)
    gram = _applied(program, program.output, half.T)
    cross = np.empty(len(inverse) - program.sizes[0])
    for number, (block, place) in enumerate(zip(program.neurons, program.places, strict=True), 1):
        own, below = half.T[program.rows[number]], _applied(program, block.reads, half.T)
        lower, upper = (own - slope[:, None] * below for slope in (block.lower, block.upper))
        cross[place] = -(lower * upper).sum(1)
    return float(np.trace(gram)), float((gram**2).sum()), cross


def _applied(program: Program, reads: Reads, values: Array) -> Array:
    """W values, for values with a row per coordinate of P."""
    return np.sum([part @ values[program.rows[j]] for j, part in reads.items()], axis=0)
