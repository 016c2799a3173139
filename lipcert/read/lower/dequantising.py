"""Constants that are stored as codes."""

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.read.constant import ROUNDING, Constant, single
from lipcert.read.lower.quantising import RANGES

FEW = 2**29  # an integer this small times a float32 is exact in float64


def codes_undone(
    codes: Constant, scale: Constant, zero_point: Constant | None, axis: int, block: int = 0
) -> Constant:
    """(codes - zero point) scale, exact for codes of up to 29 bits and float32 scales.

    Args:
        codes: integers.
        scale: one entry, one per coordinate of an axis, or one per block along that axis.
        zero_point: likewise; none is zero.
        axis: of the codes.
        block: codes along the axis that share a scale; 0 where there are no blocks.
    """
    if codes.values.dtype.name not in (*RANGES, "int32"):
        raise UnsupportedOp(f"reads codes of type {codes.values.dtype.name}")
    step, shape = positive(scale), codes.values.shape
    zero = np.zeros(()) if zero_point is None else zero_point.floats()
    whole = codes.floats() - spread(zero, shape, axis, block)
    exact = scale.error == 0 and single(step) and (np.abs(whole) <= FEW).all()
    error = 0.0 if exact else 2 * scale.error + ROUNDING
    return codes.computed(whole * spread(step, shape, axis, block), error)


def positive(scale: Constant) -> np.ndarray:
    """The scales, all of them positive numbers."""
    step = scale.floats()
    if not (step > 0).all():
        raise BadFile(f"scale '{scale.name}' is not positive")
    return step


def spread(values: np.ndarray, shape: tuple[int, ...], axis: int, block: int = 0) -> np.ndarray:
    """Parameters of quantised values of some shape, so that they broadcast against these."""
    rank = len(shape)
    if values.size == 1 and not block:
        return values.reshape(())
    if not -rank <= axis < rank or block < 0:
        raise BadFile(f"axis {axis} and blocks of {block} do not fit codes {shape}")
    place = axis % rank
    if not block:
        if values.ndim != 1 or values.size != shape[place]:
            raise BadFile(f"scales of shape {values.shape} do not fit axis {axis} of codes {shape}")
        return values.reshape(tuple(-1 if p == place else 1 for p in range(rank)))
    blocks = (*shape[:place], -(-shape[place] // block), *shape[place + 1 :])
    if values.ndim and values.shape != blocks:
        raise BadFile(f"scales of shape {values.shape} do not fit blocks of {block} along axis "
                      f"{axis} of codes {shape}")  # fmt: skip
    return values.take(np.arange(shape[place]) // block, place) if values.ndim else values
