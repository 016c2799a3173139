"""Pooling and means in terms of sums, differences and ReLU."""

from math import prod

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.add import Add
from lipcert.ops.conv import Conv
from lipcert.ops.linear import Linear
from lipcert.ops.relu import Relu
from lipcert.ops.transpose import Transpose
from lipcert.read.builder import Scope, checked
from lipcert.read.constant import tensor
from lipcert.read.lower.reshaping import as_before, as_map, reshaped, selected
from lipcert.read.lower.scaling import divided
from lipcert.read.lower.window import Window

SMALL = 64  # entries of a window, whatever the size of the map


def max_pooled(scope: Scope, x: Node, window: Window) -> Node:
    """Maximum over each window, axis by axis; padding never wins.

    Taps outside the map are replaced by one inside the same window, which changes no maximum.
    """
    counts = _counts(scope, x, window)
    for axis, count in enumerate(counts):
        views = _views(window.taps(axis, count), x.shape[axis + 1])
        parts = [selected(scope, x, axis + 1, view, f"tap{axis}") for view in views]
        x = _tournament(scope, parts)
    return x


def average_pooled(scope: Scope, x: Node, window: Window, count_padding: bool) -> Node:
    """Mean over each window, of what lies in the map or of its padding too."""
    counts = _counts(scope, x, window)
    divisor = np.ones((1, *([1] * len(counts))))
    for axis, count in enumerate(counts):
        low = -window.before[axis] if count_padding else 0
        high = x.shape[axis + 1] + (window.after[axis] if count_padding else 0)
        inside = [sum(low <= p < high for p in taps) for taps in window.taps(axis, count)]
        if min(inside) == 0:
            raise UnsupportedOp("has a window that lies in the padding entirely")
        row = np.array(inside if len(set(inside)) > 1 else inside[:1], dtype=np.float64)
        divisor = divisor * row.reshape([-1 if a == axis + 1 else 1 for a in range(len(x.shape))])
    total = as_before(scope, _summed(scope, as_map(scope, x), window.filled(x.shape[1:])), x)
    return divided(scope, total, divisor, 0.0)


def reduced(scope: Scope, x: Node, axes: tuple[int, ...], keep: bool, mean: bool) -> Node:
    """Sum or mean over some axes (batch not counted)."""
    if not axes or len(set(axes)) != len(axes):
        raise BadFile(f"cannot reduce a value of shape {x.shape} over axes {axes}")
    kept = tuple(a for a in range(len(x.shape)) if a not in axes)
    size = prod(x.shape[a] for a in axes)
    after = tuple(1 if a in axes else s for a, s in enumerate(x.shape) if keep or a not in axes)
    if len(x.shape) == 3 and sorted(axes) == [1, 2]:
        total = _summed(scope, x, _whole(x.shape[1:]))
    else:
        order = (*kept, *sorted(axes))
        turned = (
            x if order == tuple(sorted(order)) else scope.emit(Transpose(order), x, part="turn")
        )
        row = reshaped(scope, turned, (*(x.shape[a] for a in kept), size), "row")
        total = scope.emit(Linear(tensor(np.ones((1, size))), tensor([0.0])), row, part="sum")
    shaped = reshaped(scope, total, after, "shape")
    return divided(scope, shaped, np.array(float(size)), 0.0) if mean else shaped


def _counts(scope: Scope, x: Node, window: Window) -> tuple[int, ...]:
    """Windows per axis, once they are known to be of a size that makes sense."""
    if len(x.shape) != len(window.kernel) + 1:
        raise BadFile(f"a window over {len(window.kernel)} axes does not slide over {x.shape}")
    counts = window.outputs(x.shape[1:])
    checked((x.shape[0], *counts), f"node '{scope.name}'", scope.builder.source)
    for taps, size in zip(window.kernel, x.shape[1:], strict=True):
        if taps > max(SMALL, 4 * size):
            raise UnsupportedOp(f"pools over {taps} entries of an axis of {size}")
    return counts


def _whole(sizes: tuple[int, ...]) -> Window:
    ones, zeros = (1,) * len(sizes), (0,) * len(sizes)
    return Window(sizes, ones, ones, zeros, zeros)


def _summed(scope: Scope, x: Node, window: Window) -> Node:
    """Sum over each window of a map, channel by channel: exact weights of one."""
    lifted = window.lifted()
    channels = x.shape[0]
    op = Conv(
        tensor(np.ones((channels, 1, *lifted.kernel))),
        tensor(np.zeros(channels)),
        x.shape,
        (lifted.stride[0], lifted.stride[1]),
        (lifted.dilation[0], lifted.dilation[1]),
        (lifted.before[0], lifted.before[1], lifted.after[0], lifted.after[1]),
        channels,
    )
    return scope.emit(op, x, part="sum")


def _views(windows: list[list[int]], size: int) -> list[tuple[int, ...]]:
    """Tap by tap, one index inside the map for every window."""
    columns: list[list[int]] = [[] for _ in windows[0]]
    for taps in windows:
        inside = [p for p in taps if 0 <= p < size]
        if not inside:
            raise UnsupportedOp("has a window that lies in the padding entirely")
        for column, place in zip(columns, taps, strict=True):
            column.append(min(max(place, inside[0]), inside[-1]))
    return list(dict.fromkeys(tuple(column) for column in columns))


def _tournament(scope: Scope, parts: list[Node]) -> Node:
    """Greatest of values of one shape: max(a, b) = b + relu(a - b)."""
    while len(parts) > 1:
        paired = [_larger(scope, a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = paired + parts[len(paired) * 2 :]
    return parts[0]


def _larger(scope: Scope, a: Node, b: Node) -> Node:
    gap = scope.emit(Add((1, -1)), a, b, part="gap")
    return scope.emit(Add((1, 1)), b, scope.emit(Relu(), gap, part="lead"), part="max")
