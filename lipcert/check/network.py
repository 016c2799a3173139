"""A network from the bytes of an ONNX file, for a batch of one; what is unknown is refused."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from onnx import ModelProto, NodeProto, helper, numpy_helper

from lipcert.check.operation import LARGEST, UNIT, Activation, Array, Linear, move

CODES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}
EXACT = 2**29  # an integer up to this times a float32 is exact in float64
INPUT = ""  # what the input is called, of either network


class CannotCheckError(Exception):
    """What this checker does not know."""


def need(fine: object, words: str) -> None:
    """Refuse what this checker does not know."""
    if not fine:
        raise CannotCheckError(words)


def hold(fine: object, words: str) -> None:
    """Refuse what does not follow."""
    if not fine:
        raise ValueError(words)


@dataclass(frozen=True)
class Step:
    """One value: its tensor, what it reads, its shape without batch; a sum of maps, or act."""

    name: str
    inputs: Sequence[str]
    shape: Sequence[int]
    maps: Sequence[Linear]
    bias: Array
    act: Activation | None


Coded = tuple[Step, object]  # codes behind QuantizeLinear: the rounded value, and its grid
Steps = dict[str, Step]  # in an order of evaluation: the input first, the output last


def opened(path: Path, role: str, expected: str | None) -> Steps:
    """A network from the file whose SHA-256 is as stated."""
    need(path.is_file(), f"{path} is not here; name the files with --models")
    data = path.read_bytes()
    same = hashlib.sha256(data).hexdigest() == expected
    hold(same, f"{path} is not the {role} file that was certified")
    return read(data)


def read(data: bytes) -> Steps:
    """Every value, by tensor."""
    graph = (model := ModelProto.FromString(data)).graph
    opsets = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    need(len(opsets) == 1 and opsets[0] >= 11, "an opset before 11")
    need(not model.functions and not graph.sparse_initializer, "functions or sparse weights")
    need(not any(t.data_location for t in graph.initializer), "weights outside the file")
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    (source,), (output,) = (v for v in graph.input if v.name not in stored), graph.output
    kind = source.type.tensor_type
    shape = tuple(d.dim_value for d in kind.shape.dim)[1:]
    need(len(stored) == len(graph.initializer), "two weights of one name")
    need(kind.elem_type in (1, 11) and min(shape, default=0) > 0, "an input of no known shape")
    start = Step(INPUT, (), shape, (), np.zeros(1), None)
    net = Reader({"": None} | stored | {source.name: start}, {INPUT: start})
    for node in graph.node:
        net.read(node)
    last = list(net.steps.values())[-1]
    need(net.known.get(output.name) is last is not start, "an output that is not the last value")
    kept = {last.name: last}
    for name, step in reversed(net.steps.items()):
        kept |= {name: step} if any(name in reader.inputs for reader in kept.values()) else {}
    return dict(reversed(kept.items()))


class Reader:
    """What every tensor is known to be: a constant, a step or codes; and the node in hand."""

    def __init__(self, known: dict[str, Any], steps: Steps) -> None:
        """No node yet."""
        self.known, self.steps, self.rounded = known, steps, dict[str, object]()
        self.name, self.left = "", dict[str, Any]()

    def read(self, node: NodeProto) -> None:
        """One node; inputs and attributes that its rule does not take are refused."""
        self.name, kind = node.output[0], node.op_type
        self.left = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        need(kind in RULES and node.domain in ("", "ai.onnx"), f"operator {kind}")
        (rule, *takes), given = RULES[kind], [self.known[name] for name in node.input]
        fine = len(given) <= len(takes) and all(map(isinstance, given, takes))
        need(fine, f"{kind} of constants or computed values where it has none")
        value = rule(self, *given)
        need(not self.left and len(node.output) == 1, f"{kind} with {[*self.left]}")
        need(self.name not in self.known, "two tensors of one name")
        self.known[self.name] = value

    def emit(self, shape: Sequence[int], inputs: Sequence[Step], maps: Sequence[Linear] = (),
             bias: Any = 0.0, act: Activation | None = None) -> Step:  # fmt: skip
        """A new step, named by the tensor that the node makes."""
        name = self.name
        need(0 < np.prod(shape) <= LARGEST and name not in self.steps, f"{name} of shape {shape}")
        bias = np.broadcast_to(bias, shape).reshape(-1, 1).astype(float)
        self.steps[name] = Step(name, [i.name for i in inputs], tuple(shape), maps, bias, act)
        return self.steps[name]

    def only(self, **values: object) -> None:
        """Attributes that may have no other values."""
        for name, value in values.items():
            found = self.left.pop(name, value)
            need(found in (value, str(value).encode()), f"{name} of {self.name} is {found}")


def dense(net: Reader, x: Step, weight: Array, bias: Array | None = None) -> Step:
    """Gemm or MatMul of one row: a convolution over no axes."""
    weight = weight if net.left.pop("transB", 0) else weight.T
    net.only(alpha=1.0, beta=1.0, transA=0)
    need(weight.ndim == 2, "a product with other than a matrix")
    return conv(net, x, weight, None if bias is None else bias.ravel())


def conv(net: Reader, x: Step, weight: Array, bias: Any = None, error: float = 0.0) -> Step:
    """A cross-correlation with zero padding over any axes."""
    kernel, rank, groups = weight.shape[2:], weight.ndim - 2, net.left.pop("group", 1)
    net.only(auto_pad="NOTSET", kernel_shape=list(kernel))
    strides, dilations = (net.left.pop(name, [1] * rank) for name in ("strides", "dilations"))
    pads, count = net.left.pop("pads", [0] * 2 * rank), int(np.prod(x.shape))
    fine = len(x.shape) == rank + 1 and x.shape[0] == weight.shape[1] * groups
    fine &= min([1, *strides, *dilations]) > 0 and min([0, *pads]) >= 0
    need(fine, "a window that does not fit")
    edges = [(0, 0), *zip(pads[:rank], pads[rank:], strict=True)]
    places = np.pad(np.arange(count).reshape(x.shape), edges, constant_values=count)
    spans = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True))
    windows = sliding_window_view(places, spans, tuple(range(1, rank + 1)))
    windows = windows[tuple(slice(None, None, n) for n in (1, *strides, *dilations))]
    sizes = windows.shape[1 : rank + 1]
    index = windows.reshape(x.shape[0], int(np.prod(sizes)), -1).swapaxes(1, 2)
    blocks = weight.astype(float).reshape(groups, len(weight) // groups, -1)
    linear = Linear(blocks, index.reshape(groups, -1, index.shape[2]), count, error)
    shift = 0.0 if bias is None else bias.reshape(-1, *[1] * rank)
    return net.emit((len(weight), *sizes), [x], [linear], shift)


def average(net: Reader, x: Step) -> Step:
    """A convolution with equal weights, each channel for itself; padding has to count."""
    counts = net.left.pop("count_include_pad", 0) == 1 or not any(net.left.get("pads", ()))
    kernel, net.left["group"] = net.left.get("kernel_shape", x.shape[1:]), x.shape[0]
    net.only(ceil_mode=0)
    need(counts, "padding that does not count")
    return conv(net, x, np.full((x.shape[0], 1, *kernel), 1 / np.prod(kernel)), None, 2 * UNIT)


def add(net: Reader, x: Any, y: Any) -> Step:
    """Two computed values of one shape, or one and a constant."""
    x, y = (x, y) if isinstance(x, Step) else (y, x)
    need(isinstance(x, Step), "Add of two constants")
    every = move(np.arange(int(np.prod(x.shape))), int(np.prod(x.shape)))
    if isinstance(y, Step):
        need(x.shape == y.shape, "Add of two shapes")
        return net.emit(x.shape, [x, y], [every, every])
    return net.emit(x.shape, [x], [every], np.broadcast_to(y, (1, *x.shape))[0])


def moved(net: Reader, x: Step, target: Sequence[int] = (0, -1), axes: Any = None) -> Step:
    """Values that are moved about, into another shape (zeros keep an axis), then by axes."""
    places = np.arange(int(np.prod(x.shape))).reshape(1, *x.shape)
    net.only(axis=1, allowzero=0)
    places = places.reshape([places.shape[k] if n == 0 else n for k, n in enumerate(target)])
    places = places if axes is None else places.transpose(axes)
    need(len(places) == 1 and places.ndim > 1, "a batch axis that is moved")
    return net.emit(places.shape[1:], [x], [move(places, places.size)])


def act(net: Reader, x: Step, low: Array | None = None, high: Array | None = None) -> Step:
    """Relu, or Clip between constants."""
    ends = -np.inf if low is None else low.item(), np.inf if high is None else high.item()
    need(ends[0] <= ends[1], "Clip to an empty range")
    return net.emit(x.shape, [x], act=Activation(*ends))


def quantise(net: Reader, x: Step, scale: Array, zero: Array | None = None) -> Coded:
    """A staircase, which reads past a ReLU that its saturation makes idle."""
    how = step, offset, kind = grid(net, scale, zero)
    need(kind in CODES, f"codes of type {kind}")
    source, (low, high) = x, (float(end - offset) for end in CODES[kind])
    while [m.weight.tolist() for m in source.maps] == [[[[1.0]]]] and not source.bias.any():
        source = net.steps[source.inputs[0]]  # only moved since
    if net.rounded.get(source.name) != how:
        while idle(x.act, step * (low + 0.25), step * (high - 0.25)):
            x = net.steps[x.inputs[0]]
        x = net.emit(x.shape, [x], act=Activation(low, high, step))
        net.rounded[x.name] = how
    return x, how


def idle(act: Activation | None, low: float, high: float) -> bool:
    """Whether an activation only does what a quantiser's saturation between these does too."""
    return act is not None and act.scale is None and act.low <= low and act.high >= high


def dequantise(net: Reader, x: Any, scale: Array, zero: Array | None = None) -> Any:
    """Of codes, the rounded value; of constants, numbers that float64 holds exactly."""
    if isinstance(x, tuple):
        need(x[1] == grid(net, scale, zero), "codes that are read by another grid")
        return x[0]
    axis, zero = net.left.pop("axis", 1) % max(1, x.ndim), np.zeros(1) if zero is None else zero
    places = [-1 if k == axis else 1 for k in range(x.ndim)] if scale.size > 1 else [1] * x.ndim
    need(zero.size in (1, scale.size) and scale.ndim < 2, "scales in blocks")
    whole = x.astype(float) - zero.astype(float).reshape(places)
    exact = (whole == np.round(whole)).all() and np.abs(whole).max(initial=0) <= EXACT
    need(exact and scale.dtype == np.float32, "codes of more than 29 bits, or other scales")
    return whole * scale.astype(float).reshape(places)


def grid(net: Reader, scale: Array, zero: Any) -> tuple[float, int, str]:
    """Step, zero point and type of codes."""
    zero, _ = np.zeros((), np.uint8) if zero is None else zero, net.left.pop("axis", 1)
    fine = scale.size == zero.size == 1 and scale.dtype == np.float32 and 0 < scale.item() < np.inf
    need(fine, "values that are quantised per channel, or scales that are no positive float32")
    return float(scale.item()), int(zero.item()), zero.dtype.name


MAYBE, STORED = (np.ndarray, type(None)), (np.ndarray, Step)
RULES: dict[str, Any] = {
    "Gemm": (dense, Step, np.ndarray, MAYBE), "MatMul": (dense, Step, np.ndarray),
    "Conv": (conv, Step, np.ndarray, MAYBE), "Add": (add, STORED, STORED),
    "AveragePool": (average, Step), "GlobalAveragePool": (average, Step),
    "Identity": (lambda net, x: x, Step), "Relu": (lambda net, x: act(net, x, np.zeros(1)), Step),
    "Clip": (act, Step, MAYBE, MAYBE), "Flatten": (moved, Step),
    "Reshape": (moved, Step, np.ndarray),
    "Transpose": (lambda net, x: moved(net, x, (1, *x.shape), net.left.pop("perm")), Step),
    "QuantizeLinear": (quantise, Step, np.ndarray, MAYBE),
    "DequantizeLinear": (dequantise, (tuple, np.ndarray), np.ndarray, MAYBE),
}  # fmt: skip
