"""Operations on maps as correlations: which positions an output reads, with which weights."""

from dataclasses import dataclass
from functools import singledispatch

import torch
from torch import Tensor

from lipcert.ops.conv import Conv
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Op
from lipcert.ops.pad import Pad
from lipcert.ops.select import Select

WHOLE = 0  # a stride: one output, so the torus below may be a single point


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Output p reads input `stride p + place` with a tap's weight, along each of two axes.

    Args:
        weight: (out, in / groups, taps, taps').
        places: of the taps, (taps,) and (taps',).
        stride: along each axis, or `WHOLE`.
        groups: blocks of channels that do not mix.
        needs: extent along each axis of a torus on which nothing wraps around.
        outside: whether zeros outside the map are read.
        error: relative error of the weights.
    """

    weight: Tensor
    places: tuple[Tensor, Tensor]
    stride: tuple[int, int]
    groups: int
    needs: tuple[int, int]
    outside: bool
    error: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Axis:
    """One axis: taps that are kept, their places, and what follows from them."""

    kept: Tensor
    places: Tensor
    stride: int
    need: int
    outside: bool


@singledispatch
def reading(op: Op, before: Shape) -> Reading | None:
    """The correlation on a map of shape `before`, or None where an operation is none."""
    return None


@reading.register
def _of_conv(op: Conv, before: Shape) -> Reading | None:
    places = tuple(
        torch.arange(op.weight.shape[axis + 2]) * op.dilation[axis] - op.pads[axis]
        for axis in (0, 1)
    )
    return correlation(
        (op.weight, op.groups, op.error),
        (places[0], places[1]),
        op.stride,
        before,
        op.shape(before),
    )


@reading.register
def _of_select(op: Select, before: Shape) -> Reading | None:
    """Every so manyth coordinate along an axis of the map; channels in another order."""
    channels = before[0]
    if op.axis == 0:
        weight = torch.eye(channels, dtype=torch.float64)[torch.tensor(op.index)]
        weight, groups = weight[:, :, None, None], 1
        start, step = 0, 1
    else:
        weight, groups = torch.ones(channels, 1, 1, 1, dtype=torch.float64), channels
        start = op.index[0]
        step = op.index[1] - start if len(op.index) > 1 else 1
        if step < 1 or op.index != tuple(range(start, start + step * len(op.index), step)):
            return None
    places, steps = [torch.zeros(1, dtype=torch.long) for _ in "hw"], [1, 1]
    if op.axis:
        places[op.axis - 1] += start
        steps[op.axis - 1] = step
    return correlation(
        (weight, groups, 0.0),
        (places[0], places[1]),
        (steps[0], steps[1]),
        before,
        op.shape(before),
    )


@reading.register
def _of_pad(op: Pad, before: Shape) -> Reading | None:
    """A shift; the filling does not change, so increments there are zero."""
    if len(before) != 3 or op.before[0] or op.after[0] or min(*op.before, *op.after) < 0:
        return None
    places = [torch.tensor([-start]) for start in op.before[1:]]
    ones = torch.ones(before[0], 1, 1, 1, dtype=torch.float64)
    return correlation(
        (ones, before[0], 0.0), (places[0], places[1]), (1, 1), before, op.shape(before)
    )


def of_rows(rows: Tensor, error: float) -> Reading:
    """Linear functionals of a whole map, (rows, channels, height, width): a kernel of its size."""
    shape = tuple(rows.shape[1:])
    places = torch.arange(shape[1]), torch.arange(shape[2])
    found = correlation((rows, 1, error), places, (1, 1), shape, (len(rows), 1, 1))
    assert found is not None
    return found


def correlation(
    kernel: tuple[Tensor, int, float],
    places: tuple[Tensor, Tensor],
    stride: tuple[int, int],
    before: Shape,
    after: Shape,
) -> Reading | None:
    """Axis by axis; None where a single position is read by several outputs."""
    weight, groups, error = kernel
    axes = [_axis(places[k], stride[k], before[k + 1], after[k + 1]) for k in (0, 1)]
    if axes[0] is None or axes[1] is None:
        return None
    first, second = axes[0], axes[1]
    return Reading(
        weight[:, :, first.kept][:, :, :, second.kept],
        (first.places, second.places),
        (first.stride, second.stride),
        groups,
        (first.need, second.need),
        first.outside or second.outside,
        error,
    )


def _axis(places: Tensor, stride: int, before: int, after: int) -> _Axis | None:
    everything = torch.arange(len(places))
    if before == 1:
        kept = everything[places == 0]
        return _Axis(kept, places[kept], 1, 1, outside=False) if after == 1 else None
    if after == 1:
        kept = everything[(places >= 0) & (places < before)]
        return _Axis(kept, places[kept], WHOLE, before, outside=False)
    first, last = int(places.min()), int(places.max()) + stride * (after - 1)
    need = max(before - min(0, first), last + 1, stride * after)
    return _Axis(everything, places, stride, need, outside=first < 0 or last >= before)
