"""What ONNX's operators on numbers compute."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lipcert.check.operation import UNIT, Activation, Array, Linear, move
from lipcert.check.reader import Reader, Step, need

EPSILON, BEND = (float(np.float32(value)) for value in (1e-5, 0.01))  # where none is given


def dense(net: Reader, x: Step, weight: Array, bias: Any = None, part: str = "") -> Step:
    """Gemm or MatMul of one row: a convolution over no axes."""
    weight = weight if net.left.pop("transB", 0) else weight.T
    net.only(alpha=1.0, beta=1.0, transA=0)
    need(weight.ndim == 2, "a product with other than a matrix")
    return conv(net, x, weight, None if bias is None else bias.ravel(), part)


def matmul(net: Reader, x: Step, weight: Array) -> Step:
    """A product with a matrix, row by row."""
    *many, width = x.shape
    if not many:
        return dense(net, x, weight)
    need(weight.ndim == 2 and len(weight) == width, "a product with other than a matrix")
    places = np.arange(int(np.prod(x.shape))).reshape(1, -1, width).swapaxes(1, 2)
    linear = Linear(weight.T[None].astype(float), places, places.size)
    columns = net.emit((weight.shape[1], places.shape[2]), [x], [linear], part=".columns")
    order = np.arange(int(np.prod(columns.shape))).reshape(columns.shape).T
    return net.emit((*many, weight.shape[1]), [columns], [move(order, order.size)])


def conv(net: Reader, x: Step, weight: Array, bias: Any = None, part: str = "") -> Step:
    """A cross-correlation with zero padding over any axes."""
    kernel, groups = weight.shape[2:], net.left.pop("group", 1)
    net.only(kernel_shape=list(kernel))
    fine = len(x.shape) == weight.ndim - 1 and x.shape[0] == weight.shape[1] * groups
    need(fine, "a window that does not fit")
    index, sizes = windows(net, x.shape, kernel)
    blocks = weight.astype(float).reshape(groups, len(weight) // groups, -1)
    index = index.reshape(groups, -1, index.shape[2])
    shift = 0.0 if bias is None else bias.reshape(-1, *[1] * len(kernel))
    linear = Linear(blocks, index, int(np.prod(x.shape)))
    return net.emit((len(weight), *sizes), [x], [linear], shift, part=part)


def windows(net: Reader, shape: Sequence[int], kernel: Sequence[int]) -> tuple[Any, Sequence[int]]:
    """Places (channels, taps, windows) that windows read, beyond the value in the padding."""
    rank, count, how = len(kernel), int(np.prod(shape)), net.left.pop("auto_pad", b"NOTSET")
    strides, dilations = (net.left.pop(name, [1] * rank) for name in ("strides", "dilations"))
    pads = net.left.pop("pads", [0] * 2 * rank)
    need(min([1, *strides, *dilations]) > 0 and min([0, *pads]) >= 0, "a window of no steps")
    spans = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    if how in (b"SAME_UPPER", b"SAME_LOWER") and {*dilations} == {1}:
        sizes = zip(spans, shape[1:], strides, strict=True)
        exact = [span + (-(-n // s) - 1) * s - n for span, n, s in sizes]
        need(min([0, *exact]) >= -1, "padding by itself, of less than nothing")
        total = [max(0, n) for n in exact]
        less, more = [n // 2 for n in total], [n - n // 2 for n in total]
        pads = less + more if how == b"SAME_UPPER" else more + less
    else:
        need(how == b"NOTSET" or (how == b"VALID" and not any(pads)), f"auto_pad {how}")
        if net.left.pop("ceil_mode", 0):
            need(how == b"NOTSET", "padding by itself, with windows that stick out")
            pads = ceiled(pads, spans, shape[1:], strides)
    edges = [(0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    places = np.pad(np.arange(count).reshape(shape), edges, constant_values=count)
    found = sliding_window_view(places, spans, tuple(range(1, rank + 1)))
    found = found[tuple(slice(None, None, n) for n in (1, *strides, *dilations))]
    sizes = found.shape[1 : rank + 1]
    return found.reshape(shape[0], int(np.prod(sizes)), -1).swapaxes(1, 2), sizes


def ceiled(pads: Sequence[int], spans: Sequence[int], sizes: Sequence[int],
           strides: Sequence[int]) -> Sequence[int]:  # fmt: skip
    """More padding behind for a last window, unless it would start there."""
    found, rank = [*pads], len(spans)
    for k, (span, size, stride) in enumerate(zip(spans, sizes, strides, strict=True)):
        room = pads[k] + size + pads[rank + k] - span
        start = -(-room // stride) * stride
        found[rank + k] += start - room if start < pads[k] + size else 0
    return found


def average(net: Reader, x: Step, part: str = "") -> Step:
    """Sums over windows, channel by channel, over as many taps as there are, or all."""
    kernel = net.left.pop("kernel_shape", x.shape[1:])
    padding = net.left.pop("count_include_pad", 0)
    if net.left.get("ceil_mode"):
        need(not (padding and any(net.left.get("pads", ()))), "a mean that counts some padding")
        padding = 0
    (index, sizes), count = windows(net, x.shape, kernel), int(np.prod(x.shape))
    taps = np.sum((index < count) | bool(padding), 1, keepdims=True).reshape(x.shape[0], *sizes)
    need(taps.all(), "a window in the padding alone")
    ones = Linear(np.ones((x.shape[0], 1, index.shape[1])), index, count)
    total = net.emit((x.shape[0], *sizes), [x], [ones], part=f"{part}.sum")
    return scaled(net, total, 1 / taps, 0.0, part, 2 * UNIT)


def scaled(net: Reader, x: Step, factor: Any, bias: Any = 0.0, part: str = "",
           error: float = 0.0) -> Step:  # fmt: skip
    """Each entry times a factor of its own, known up to a relative error, plus a bias."""
    every = np.arange(int(np.prod(x.shape))).reshape(-1, 1, 1)
    weight = np.broadcast_to(factor, x.shape).reshape(-1, 1, 1).astype(float)
    return net.emit(x.shape, [x], [Linear(weight, every, every.size, error)], bias, part=part)


def normalise(net: Reader, x: Step, scale: Array, bias: Array, mean: Array, var: Array) -> Step:
    """BatchNormalization: less the mean, then times scale / sqrt(var + epsilon)."""
    net.only(training_mode=0)
    epsilon, _ = net.left.pop("epsilon", EPSILON), net.left.pop("momentum", 0.9)
    long = -1, *[1] * (len(x.shape) - 1)
    wide = [v.astype(float).reshape(long) for v in (scale, bias, mean, var)]
    need((wide[3] + epsilon > 0).all(), "a variance that is not positive")
    centred = scaled(net, x, 1.0, -wide[2], ".centred")
    factor = wide[0] / np.sqrt(wide[3] + epsilon)
    return scaled(net, centred, factor, wide[1], error=4 * UNIT)


def summed(net: Reader, x: Any, y: Any, sign: float = 1.0, part: str = "") -> Step:
    """Add or Sub of two computed values of one shape, or of one and a constant."""
    need(isinstance(x, Step) or isinstance(y, Step), "a sum of constants")
    if not isinstance(x, Step):
        return scaled(net, y, sign, constant(y, x), part)
    if not isinstance(y, Step):
        return scaled(net, x, 1.0, sign * constant(x, y), part)
    need(x.shape == y.shape, "a sum of two shapes")
    places = np.arange(int(np.prod(x.shape)))
    maps = [move(places, places.size), move(places, places.size, sign)]
    return net.emit(x.shape, [x, y], maps, part=part)


def times(net: Reader, x: Any, y: Any) -> Step:
    """Mul of a computed value and a constant."""
    x, y = (x, y) if isinstance(x, Step) else (y, x)
    need(isinstance(x, Step) and not isinstance(y, Step), "a product that is not by a constant")
    return scaled(net, x, constant(x, y))


def over(net: Reader, x: Step, y: Array) -> Step:
    """Div by a constant."""
    need(y.astype(float).all(), "a division by zero")
    exact = (np.abs(np.frexp(y.astype(float))[0]) == 0.5).all()
    return scaled(net, x, 1 / constant(x, y), error=0.0 if exact else 2 * UNIT)


def cast(net: Reader, x: Step) -> Step:
    """To float32 or float64: the real number stays."""
    kind = net.left.pop("to")
    need(kind in (1, 11), "a cast that rounds")
    net.steps.double |= kind == 11
    return x


def constant(x: Step, value: Any) -> Array:
    """A constant in the shape of a computed value."""
    return np.broadcast_to(value.astype(float), (1, *x.shape))[0]


def mean(net: Reader, x: Step, axes: Array | None = None) -> Step:
    """ReduceMean over all axes but batch and channels: one window."""
    given = net.left.pop("axes", None) if axes is None else axes.tolist()
    keep, rank = net.left.pop("keepdims", 1), len(x.shape) + 1
    net.only(noop_with_empty_axes=0)
    fine = given and sorted(a % rank for a in given) == list(range(2, rank))
    need(fine, "a mean over other axes than those of a map")
    found = average(net, x, "" if keep else ".kept")
    whole = np.arange(x.shape[0])
    return found if keep else net.emit(x.shape[:1], [found], [move(whole, whole.size)])


def act(net: Reader, x: Step, low: Any = None, high: Any = None, below: Any = 0.0,
        part: str = "") -> Step:  # fmt: skip
    """Relu, Clip between constants, or a slope below zero."""
    ends = -np.inf if low is None else low.item(), np.inf if high is None else high.item()
    need(ends[0] <= ends[1], "Clip to an empty range")
    return net.emit(x.shape, [x], act=Activation(*ends, below=below), part=part)


def leaky(net: Reader, x: Step, slope: Any = None, part: str = "") -> Step:
    """LeakyRelu or PRelu."""
    below: Any = net.left.pop("alpha", BEND) if slope is None else constant(x, slope).reshape(-1, 1)
    return act(net, x, np.zeros(1), None, below, part)


def greatest(net: Reader, x: Step) -> Step:
    """MaxPool, axis by axis; taps in the padding repeat the nearest one inside."""
    net.only(storage_order=0)
    kernel, given = net.left.pop("kernel_shape"), net.left
    for axis, size in enumerate(x.shape[1:]):
        net.left = {
            k: v[axis :: len(kernel)] if isinstance(v, list) else v for k, v in given.items()
        }
        index = windows(net, (1, size), kernel[axis : axis + 1])[0][0]
        inside, fits = index < size, len(x.shape) == len(kernel) + 1
        need(fits and inside.any(0).all(), "a window in the padding alone")
        early = np.arange(len(index))[:, None] < inside.argmax(0)
        ends = np.where(inside, index, size).min(0), np.where(inside, index, 0).max(0)
        index = np.where(inside, index, np.where(early, *ends))
        places = np.arange(int(np.prod(x.shape))).reshape(x.shape)
        taps = [places.take(some, axis + 1) for some in dict.fromkeys(map(tuple, index.tolist()))]
        parts = [
            net.emit(some.shape, [x], [move(some, places.size)], part=f".{axis}.{k}")
            for k, some in enumerate(taps)
        ]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=False)
            parts = [larger(net, a, b) for a, b in pairs] + parts[len(parts) // 2 * 2 :]
        (x,) = parts
    return x


def larger(net: Reader, a: Step, b: Step) -> Step:
    """max(a, b) = b + relu(a - b)."""
    part = f".{len(net.steps)}"
    gap = summed(net, a, b, -1.0, f"{part}.gap")
    lead = net.emit(gap.shape, [gap], act=Activation(0.0, np.inf), part=f"{part}.lead")
    return summed(net, b, lead, 1.0, f"{part}.max")


def dropout(_: Reader, x: Step, _share: Array | None = None, training: Any = None) -> Step:
    """Nothing, but in training."""
    need(not np.any(training), "a dropout in training")
    return x


def softmax(net: Reader, x: Step) -> Step:
    """Of logits, at the end alone."""
    axis = net.left.pop("axis", -1 if net.opset >= 13 else 1)
    need(len(x.shape) == 1 and axis in (-1, 1), "a softmax of a map")
    net.steps.softmax = True
    return x


A, MAYBE, STORED = np.ndarray, (np.ndarray, type(None)), (np.ndarray, Step)
RULES: dict[str, Any] = {
    "Gemm": (dense, Step, A, MAYBE), "MatMul": (matmul, Step, A), "Conv": (conv, Step, A, MAYBE),
    "AveragePool": (average, Step), "GlobalAveragePool": (average, Step),
    "ReduceMean": (mean, Step, A), "MaxPool": (greatest, Step),
    "BatchNormalization": (normalise, Step, A, A, A, A),
    "Add": (summed, STORED, STORED), "Mul": (times, STORED, STORED),
    "Sub": (lambda net, x, y: summed(net, x, y, -1.0), STORED, STORED), "Div": (over, Step, A),
    "Neg": (lambda net, x: scaled(net, x, -1.0), Step), "Cast": (cast, Step),
    "Identity": (lambda net, x: x, (Step, tuple)), "Dropout": (dropout, Step, MAYBE, MAYBE),
    "Relu": (lambda net, x: act(net, x, np.zeros(1)), Step), "Clip": (act, Step, MAYBE, MAYBE),
    "LeakyRelu": (leaky, Step), "PRelu": (leaky, Step, A), "Softmax": (softmax, Step),
}  # fmt: skip
