"""Multiplication by and addition of constants."""

from collections.abc import Sequence
from decimal import Context, Decimal, localcontext

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.functional import Shape
from lipcert.ops.scale import Scale
from lipcert.read.builder import Scope
from lipcert.read.constant import ROUNDING, SMALLEST, tensor

DIGITS = 60
LARGEST = 2.0**1000


def fitted(values: np.ndarray, shape: Shape, what: str = "constant") -> np.ndarray:
    """A constant with as many axes as the node, each 1 or the node's; its batch axis must be 1."""
    rank = len(shape)
    if values.ndim > rank and all(size == 1 for size in values.shape[: values.ndim - rank]):
        values = values.reshape(values.shape[values.ndim - rank :])
    if values.ndim > rank:
        raise UnsupportedOp(f"{what} of shape {values.shape} differs from row to row of the batch")
    values = values.reshape((1,) * (rank - values.ndim) + values.shape)
    if any(size not in (1, full) for size, full in zip(values.shape, shape, strict=True)):
        raise UnsupportedOp(f"{what} of shape {values.shape} enlarges a value of shape {shape}")
    return values


def scaled(
    scope: Scope,
    x: Node,
    factor: np.ndarray | float = 1.0,
    shift: np.ndarray | float = 0.0,
    error: float = 0.0,
    part: str = "",
) -> Node:
    """Factor x + shift, broadcast to the value's axes; itself where that changes nothing."""
    stretch = fitted(np.asarray(factor, dtype=np.float64), x.shape)
    move = fitted(np.asarray(shift, dtype=np.float64), x.shape)
    if (stretch == 1).all() and (move == 0).all() and error == 0:
        return x
    if not (np.isfinite(stretch).all() and np.isfinite(move).all()):
        raise BadFile("multiplies or divides by a number that is too large or too small")
    for values in (stretch, move):
        size = np.abs(values)
        if error > 0 and bool(((size > 0) & (size < SMALLEST)).any() or (size > LARGEST).any()):
            raise UnsupportedOp("a computed factor or shift underflows or overflows")
    return scope.emit(Scale(tensor(stretch), tensor(move), error), x, part=part)


def divided(scope: Scope, x: Node, divisor: np.ndarray, error: float, part: str = "") -> Node:
    """X / divisor; the reciprocal is rounded once unless it is a power of two."""
    if (divisor == 0).any():
        raise BadFile("divides by zero")
    mantissas = np.abs(np.frexp(divisor)[0])
    exact = error == 0 and (mantissas == 0.5).all()
    return scaled(scope, x, 1.0 / divisor, 0.0, 0.0 if exact else 2 * (error + ROUNDING), part)


def normalised(
    scope: Scope,
    x: Node,
    statistics: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    epsilon: float,
) -> Node:
    """Batch normalisation in inference: (x - mean) / sqrt(variance + epsilon) gamma + beta.

    Factor and shift are computed to 60 digits and rounded once each, although beta and
    mean * factor may cancel; where they cancel beyond 30 digits, mean is subtracted first.

    Args:
        scope: names the nodes.
        x: (channels, ...).
        statistics: gamma, beta, mean, variance, each (channels,), finite, exact.
        epsilon: added to the variance.
    """
    channels = x.shape[0]
    if any(values.shape != (channels,) for values in statistics):
        raise BadFile(f"batch normalisation of {channels} channels has statistics of other sizes")
    if (statistics[3] < 0).any() or not (statistics[3] + epsilon > 0).all():
        raise BadFile("a variance is negative, or zero with no epsilon added")
    rows = [_folded(statistics, channel, epsilon) for channel in range(channels)]
    column = (channels,) + (1,) * (len(x.shape) - 1)
    factor = np.array([float(f) for f, _ in rows]).reshape(column)
    if any(shift is None for _, shift in rows):
        centred = scaled(scope, x, 1.0, -statistics[2].reshape(column), part="centred")
        return scaled(scope, centred, factor, statistics[1].reshape(column), 2 * ROUNDING)
    shift = np.array([float(s) for _, s in rows if s is not None]).reshape(column)
    return scaled(scope, x, factor, shift, 2 * ROUNDING)


def _folded(
    statistics: Sequence[np.ndarray], channel: int, epsilon: float
) -> tuple[Decimal, Decimal | None]:
    """Factor and shift to at least 29 digits; no shift where too many digits cancel."""
    gamma, beta, mean, variance = (Decimal(float(values[channel])) for values in statistics)
    with localcontext(Context(prec=DIGITS)):
        factor = gamma / (variance + Decimal(epsilon)).sqrt()
        moved = mean * factor
        shift = beta - moved
        return factor, None if moved != 0 and abs(shift) < abs(moved) * Decimal("1e-30") else shift
