"""The codes that LiteRT's kernels make: where they lie, and where fused activations cut them."""

import numpy as np
import tflite

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.integer.litert.fixed_point import nearest
from lipcert.integer.litert.grid import Grid
from lipcert.read.lower.quantising import RANGES
from lipcert.read.tflite_file import Stored

NONE = tflite.ActivationFunctionType.NONE
ENDS: dict[int, tuple[float, float]] = {
    NONE: (-np.inf, np.inf),
    tflite.ActivationFunctionType.RELU: (0.0, np.inf),
    tflite.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
    tflite.ActivationFunctionType.RELU6: (0.0, 6.0),
}


def limits(stored: Stored, ends: tuple[float, float]) -> tuple[int, int]:
    """Smallest and largest code of a tensor, behind an activation that stops at `ends`."""
    if stored.scale.size != 1:
        raise UnsupportedOp(f"makes codes of {stored.scale.size} scales")
    scale, zero = np.float32(stored.scale[0]), int(stored.zero_point[0])
    if not (np.isfinite(scale) and scale > 0):
        raise BadFile(f"tensor '{stored.name}' has a scale that is not a positive number")
    least, most = RANGES[stored.dtype]
    low, high = (min(max(_code(end, scale, zero), least), most) for end in ends)
    return low, high


def _code(end: float, scale: np.float32, zero: int) -> int:
    """The code of a fused activation's end, rounded half away from zero as LiteRT does."""
    with np.errstate(over="ignore"):
        quotient = float(np.float32(end) / scale)
    if abs(quotient) > 2.0**31:
        return int(np.sign(end)) * 2**31
    return zero + int(nearest(np.array(quotient)))


def grid_of(stored: Stored, activation: int = NONE) -> Grid:
    """Of a tensor of int8 codes, cut by a fused activation."""
    if not stored.coded or stored.dtype != "int8":
        raise UnsupportedOp(f"computes with '{stored.name}' of type {stored.dtype}; LiteRT's fixed-"
                            "point arithmetic is that of int8 codes with a scale")  # fmt: skip
    if activation not in ENDS:
        raise UnsupportedOp(f"has the fused activation {activation}")
    low, high = limits(stored, ENDS[activation])
    return Grid(float(stored.scale[0]), int(stored.zero_point[0]), low, high)
