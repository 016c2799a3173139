r"""Proof that multipliers bound a goal, apart from how they were found.

The matrix of the S-procedure is formed in floating point; how far it may lie from the one of the
true forms is bounded row by row, and `verify.positive` decides for all matrices so near.
"""

from dataclasses import dataclass

import numpy as np
import torch

from lipcert.numeric.rounding import gamma
from lipcert.sdp.maps import Array
from lipcert.sdp.procedure.known import Known, Products
from lipcert.sdp.verify import UNDERFLOW, positive

SPARE = 16  # roundings of an entry beside its sum
LARGEST = 2.0**60  # of the scales: beyond it underflow might matter


@dataclass(frozen=True, slots=True, eq=False)
class Multipliers:
    """Of the ball, and of the products (count,)."""

    ball: float
    products: Array

    def usable(self, count: int) -> bool:
        """Whether there is one for each product, all finite and not negative."""
        every = np.append(self.products, self.ball)
        fits = self.products.shape == (count,)
        return fits and bool((np.isfinite(every) & (every >= 0)).all())


def holds(known: Known, goal: Products, multipliers: Multipliers, value: float) -> bool:
    """Whether the sum of the goal's products is proved to be at most `value` at every point."""
    if not (np.isfinite(value) and value >= 0 and multipliers.usable(known.products.count)):
        return False
    parts = [(goal, np.ones(goal.count)), (known.products, multipliers.products)]
    square = np.nextafter(known.radius * known.radius, np.inf)
    matrix = -np.sum([_weighted(products, weights) for products, weights in parts], axis=0)
    matrix[0, 0] += value - multipliers.ball * square
    inner = np.arange(1, 1 + known.inputs)
    matrix[inner, inner] += multipliers.ball
    diagonal = np.diag(matrix)
    if not (np.isfinite(matrix).all() and (diagonal > 0).all()):
        return False
    scale = np.exp2(-np.round(np.log2(diagonal) / 2))
    if scale.max() > LARGEST:
        return False
    doubt = np.full(len(scale), UNDERFLOW)
    for products, weights in parts:
        doubt += _doubt(products, weights, scale)
    few = gamma(SPARE, torch.float64)
    doubt[0] += few * scale[0] ** 2 * (value + multipliers.ball * square)
    doubt[inner] += few * scale[inner] ** 2 * multipliers.ball
    scaled = scale[:, None] * matrix * scale
    doubt = doubt * (1 + 1e-6)
    return bool(np.isfinite(doubt).all()) and positive(
        (len(scale),), {(0, 0): scaled}, {0: doubt}, len(scale) + SPARE
    )


def _weighted(products: Products, weights: Array) -> Array:
    """Symmetric matrix of the weighted sum of products."""
    half = (products.first.value.T * weights) @ products.second.value
    return (half + half.T) / 2


def _doubt(products: Products, weights: Array, scale: Array) -> Array:
    """Scaled row sums of how far `_weighted` may be from the true sum.

    With P, Q the coefficients' magnitudes and D, E their errors, an entry of P' w Q is off by
    rounding, P' w E, D' w Q and D' w E; the transposed one alike; what they add to is halved.
    """
    first, second = products.first, products.second
    rounding = gamma(len(weights) + SPARE, torch.float64)
    P, Q = abs(first.value), abs(second.value)
    D, E = first.error, second.error
    rows = {name: part @ scale for name, part in (("P", P), ("Q", Q), ("D", D), ("E", E))}
    total = P.T @ (weights * (rounding * rows["Q"] + rows["E"]))
    total += D.T @ (weights * (rows["Q"] + rows["E"]))
    total += Q.T @ (weights * (rounding * rows["P"] + rows["D"]))
    total += E.T @ (weights * (rows["P"] + rows["D"]))
    return scale * total / 2
