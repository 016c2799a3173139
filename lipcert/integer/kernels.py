"""Integer products, exact or with saturating pairs, and their float32 requantisation."""

import numpy as np
from numpy.typing import NDArray

from lipcert.integer.encoding import Codes, Encoding, Single
from lipcert.integer.program import Weights

LEAST, MOST = -(2**15), 2**15 - 1
BYTE = 255


def accumulate(rows: Codes, zero_point: int, weights: Weights) -> Codes:
    """Exact sums of (code - zero point) (weight - its zero point), plus bias.

    Args:
        rows: (rows, inputs).
        zero_point: of the codes.
        weights: (outputs, inputs) along the reduction.
    """
    centred = (rows - zero_point).astype(np.float64)  # every sum stays below 2**53
    sums = centred @ weights.centred.T.astype(np.float64)
    return sums.astype(np.int64) + weights.bias


def saturation(raw: Codes, weights: NDArray[np.int64]) -> Codes:
    """What saturating pair sums at 16 bits adds to the exact sums.

    Args:
        raw: (rows, inputs) activations as unsigned bytes.
        weights: (outputs, inputs) stored codes, signed bytes.
    """
    added = np.zeros((len(raw), len(weights)), dtype=np.int64)
    upper, lower = pair_extremes(weights)
    exposed = (upper > MOST) | (lower < LEAST)
    for pair in np.flatnonzero(exposed.any(axis=0)):
        outputs = np.flatnonzero(exposed[:, pair])
        places = slice(2 * pair, 2 * pair + 2)
        sums = raw[:, places] @ weights[outputs, places].T
        added[:, outputs] += np.clip(sums, LEAST, MOST) - sums
    return added


def pair_extremes(weights: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Largest and smallest sum of each pair of products over all bytes, (outputs, pairs)."""
    split = pairs(weights)
    return BYTE * np.maximum(split, 0).sum(axis=-1), BYTE * np.minimum(split, 0).sum(axis=-1)


def pairs(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Neighbours along the last axis, (..., pairs, 2); zero behind an odd end."""
    odd = rows.shape[-1] % 2
    wide = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, odd)])
    return wide.reshape(*rows.shape[:-1], -1, 2)


def multiplier(source: Encoding, weights: Weights, target: Encoding) -> Single:
    """Target steps per unit of the accumulator, rounded as runtimes do: (outputs,)."""
    return np.float32(source.scale) * weights.scale / np.float32(target.scale)


def requantise(sums: Codes, factor: Single, target: Encoding) -> Codes:
    """Round half to even of a float32 product, then saturate."""
    return target.saturate(np.rint(sums.astype(np.float32) * factor))


def fused(factor: np.float32, values: Single, addend: Single) -> Single:
    """Float32 of factor * values + addend rounded once, as a fused multiply-add does.

    The float64 sum is rounded to odd first, so that the second rounding is the only one.
    """
    product = np.float64(factor) * values.astype(np.float64)  # exact: 48 bits
    addend64 = addend.astype(np.float64)
    total = product + addend64
    back = total - product
    lost = (product - (total - back)) + (addend64 - back)
    even = (total.view(np.int64) & 1) == 0
    outward = np.nextafter(total, np.where(lost > 0, np.inf, -np.inf))
    return np.where(even & (lost != 0), outward, total).astype(np.float32)


def added(
    codes: tuple[Codes, Codes], sources: tuple[Encoding, Encoding], target: Encoding
) -> Codes:
    """The sum of two encoded values by fused multiply-adds, zero points gathered in front."""
    first, second = (np.float32(e.scale) / np.float32(target.scale) for e in sources)
    zeros = [np.array([e.zero_point], dtype=np.float32) for e in sources]
    start = np.float32(target.zero_point) - fused(first, zeros[0], second * zeros[1])
    behind, ahead = (c.astype(np.float32) for c in codes)
    sums = fused(first, behind, fused(second, ahead, start))
    return np.clip(np.rint(sums), target.lowest, target.highest).astype(np.int64)
