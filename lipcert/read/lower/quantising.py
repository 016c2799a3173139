"""Rounding to codes and back."""

from dataclasses import dataclass

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.quantize import Quantize
from lipcert.read.builder import Scope
from lipcert.read.constant import tensor
from lipcert.read.lower.scaling import fitted

RANGES = {
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
}


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """Codes of a value, between QuantizeLinear and DequantizeLinear.

    Args:
        staircase: the value rounded to codes and back.
        scale: as stored.
        zero_point: as stored.
        dtype: the codes' integer type.
        axis: of the file's value, batch counted; meaningful for vectors only.
        name: of the node that made them.
    """

    staircase: Node
    scale: np.ndarray
    zero_point: np.ndarray
    dtype: str
    axis: int
    name: str

    def undone_by(self, scale: np.ndarray, zero_point: np.ndarray, axis: int) -> bool:
        """Whether these parameters are the codes' own."""
        same_axis = scale.size == 1 or axis == self.axis
        return (
            same_axis
            and np.array_equal(scale.reshape(-1), self.scale.reshape(-1))
            and np.array_equal(
                np.broadcast_to(zero_point.reshape(-1), scale.reshape(-1).shape),
                np.broadcast_to(self.zero_point.reshape(-1), scale.reshape(-1).shape),
            )
        )


def staircase(
    scope: Scope,
    x: Node,
    scale: np.ndarray,
    zero_point: np.ndarray,
    limits: tuple[int, int],
    axis: int,
) -> Node:
    """A node of the steps; see `steps`."""
    return scope.emit(steps(x, scale, zero_point, limits, axis), x)


def steps(
    x: Node, scale: np.ndarray, zero_point: np.ndarray, limits: tuple[int, int], axis: int
) -> Quantize:
    """Scale (clamp(round(x / scale) + zero point, limits) - zero point).

    Args:
        x: the value.
        scale: one entry, or one per coordinate of `axis`; positive and finite.
        zero_point: likewise, integers.
        limits: smallest and largest code.
        axis: of the value, batch counted.
    """
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise BadFile("a quantisation scale is not a positive number")
    step = along(scale.astype(np.float64), x, axis)
    zero = along(zero_point.astype(np.float64), x, axis)
    if (zero < limits[0]).any() or (zero > limits[1]).any():
        raise BadFile(f"a zero point lies outside the codes {limits[0]} to {limits[1]}")
    return Quantize(tensor(step), tensor(limits[0] - zero), tensor(limits[1] - zero))


def along(values: np.ndarray, x: Node, axis: int) -> np.ndarray:
    """One value, or one per coordinate of an axis (batch counted), with the node's axes."""
    if values.size == 1:
        return values.reshape((1,) * len(x.shape))
    rank = len(x.shape)
    place = axis + rank + 1 if axis < 0 else axis
    if values.ndim != 1 or not 0 <= place <= rank:
        raise UnsupportedOp(f"has parameters of shape {values.shape} along axis {axis}")
    if place == 0:
        raise UnsupportedOp("is quantised along the batch axis")
    if values.size != x.shape[place - 1]:
        raise BadFile(f"{values.size} parameters do not fit axis {axis} of {x.shape}, batch aside")
    return fitted(values.reshape([-1 if a == place - 1 else 1 for a in range(rank)]), x.shape)
