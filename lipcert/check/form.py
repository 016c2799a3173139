"""Quadratic forms whose coefficients are known up to an error, and proofs that none is negative.

A form is a diagonal less weighted products of rows, linear in the same coordinates. Its computed
factor is held against it. Source: Rump, Verification of positive definiteness, BIT 46 (2006).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lipcert.check.operation import SLACK, TINY, UNIT, Array, Index, Linear, gamma, up
from lipcert.check.reader import INPUT, Step, Steps


@dataclass(frozen=True)
class Rows:
    """Values as `matrix` times the coordinates.

    True coefficients lie within `error`; they may differ from point to point.
    """

    matrix: Array
    error: Array

    def through(self, linear: Linear) -> "Rows":
        """What a linear map makes of them."""
        whole = linear.of(np.abs(self.matrix), np.abs(linear.weight))
        error = linear.of(self.error, np.abs(linear.weight)) * (SLACK + linear.error)
        error = error + (gamma(linear.terms + 4) + linear.error) * whole * SLACK + TINY
        return Rows(linear.of(self.matrix, linear.weight), error)

    def plus(self, other: "Rows", sign: float = 1.0) -> "Rows":
        """A sum, or a difference."""
        matrix = self.matrix + sign * other.matrix
        return Rows(matrix, (self.error + other.error + UNIT * np.abs(matrix)) * SLACK)

    def times(self, low: Array, high: Array) -> "Rows":
        """Each times a factor (rows, 1) between two."""
        middle = (low + high) / 2
        radius, matrix = up(np.maximum(high - middle, middle - low)), middle * self.matrix
        error = np.abs(middle) * self.error + radius * (np.abs(self.matrix) + self.error)
        return Rows(matrix, (error + UNIT * np.abs(matrix)) * SLACK + TINY)

    def shifted(self, by: Array) -> "Rows":
        """With constants (rows, 1) added, of which the first coordinate is the factor."""
        matrix, error = self.matrix.copy(), self.error.copy()
        matrix[:, :1] += by
        error[:, :1] = (error[:, :1] + UNIT * np.abs(matrix[:, :1])) * SLACK
        return Rows(matrix, error)

    def some(self, places: Index) -> "Rows":
        """A few of them."""
        return Rows(self.matrix[places], self.error[places])

    def replaced(self, places: Index, first: int) -> "Rows":
        """Coordinates from `first` on in place of a few of them."""
        matrix, error = self.matrix.copy(), self.error.copy()
        matrix[places] = error[places] = 0.0
        matrix[places, first + np.arange(len(places))] = 1.0
        return Rows(matrix, error)


def followed(start: Rows, steps: Steps, neurons: Callable[[Step, Rows], Rows], *,
             biased: bool) -> Rows:  # fmt: skip
    """A network's output, given its input and a rule for activations; biases, or increments."""
    known = {INPUT: start}
    for step in list(steps.values())[1:]:
        parts = [known[i] for i in step.inputs]
        if step.act is None:
            moved = [p.through(m) for p, m in zip(parts, step.maps, strict=True)]
            whole = functools.reduce(Rows.plus, moved)
            known[step.name] = whole.shifted(step.bias) if biased else whole
        else:
            known[step.name] = neurons(step, parts[0])
    return known[list(steps)[-1]]


class Form:
    """A diagonal less products of rows."""

    def __init__(self, diagonal: Array) -> None:
        """Without products yet."""
        self.matrix, self.diagonal = np.diag(diagonal), np.abs(diagonal)
        self.parts = list[tuple[Rows, Rows, Array]]()

    def less(self, first: Rows, second: Rows, weight: Array) -> None:
        """Take weighted products off."""
        some = np.flatnonzero(first.matrix.any(0))
        part = (first.matrix[:, some].T * (weight / 2)) @ second.matrix
        self.matrix[some] -= part
        self.matrix[:, some] -= part.T
        self.parts.append((first, second, weight))

    def doubt(self, scale: Array) -> Array:
        """Above what each row of the matrix may be off by, entries weighed with the scale."""
        few = 2 * len(self.parts) + 8
        total = gamma(few) * self.diagonal * scale + TINY * np.sum(scale)
        for first, second, weight in self.parts:
            lost, half = gamma(len(weight) + few), weight / 2
            P, Q = np.abs(first.matrix), np.abs(second.matrix)
            p, q, d, e = (part @ scale for part in (P, Q, first.error, second.error))
            total += P.T @ (half * (lost * q + e)) + first.error.T @ (half * (q + e))
            total += Q.T @ (half * (lost * p + d)) + second.error.T @ (half * (p + d))
        return total * SLACK

    def nonnegative(self) -> bool:
        """Whether every form that this may be is nowhere negative."""
        diagonal = np.diag(self.matrix)
        if not (diagonal > 0).all():
            return False
        scale = np.exp2(-np.round(np.log2(diagonal) / 2))
        matrix, doubt = scale[:, None] * self.matrix * scale, scale * self.doubt(scale)
        lost = 2 * gamma(len(scale) + 8)
        shift = 2 * float(np.max(doubt + lost * (len(scale) + np.sum(np.abs(matrix), 1))))
        shifted = matrix - shift * np.eye(len(scale))
        try:
            factor = np.linalg.cholesky(shifted)
        except np.linalg.LinAlgError:
            return False
        rest, whole = np.abs(shifted - factor @ factor.T), np.abs(factor)
        sums = whole @ np.sum(whole, 0) + np.sum(np.abs(shifted), 1)
        rest = np.sum(np.maximum(rest, rest.T), 1)
        return bool(np.max(rest + lost * sums + doubt) * SLACK <= shift)
