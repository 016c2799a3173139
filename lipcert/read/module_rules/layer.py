"""Layers with weights, and pooling."""

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.linear import Linear
from lipcert.read.constant import tensor
from lipcert.read.lower.convolution import convolved
from lipcert.read.lower.pooling import average_pooled, max_pooled, reduced
from lipcert.read.lower.scaling import normalised
from lipcert.read.lower.window import Window
from lipcert.read.module_view import Call, calls


@calls("linear", "matmul", "mm", "addmm")
def linear(call: Call) -> Node:
    """On the last axis."""
    names = {"linear": ("input", "weight", "bias"), "addmm": ("mat1", "mat2", "self")}
    second = "mat2" if call.operator == "mm" else "other"
    x_name, weight_name, bias_name = names.get(call.operator, ("self", second, "bias"))
    x, stored, given = call.activation(x_name), call.constant(weight_name), call.optional(bias_name)
    if call.operator == "addmm" and (call.number("alpha"), call.number("beta")) != (1, 1):
        raise UnsupportedOp("has factors other than one")
    weight = stored.floats() if call.operator == "linear" else stored.floats().T
    if weight.ndim != 2 or not x.shape or weight.shape[1] != x.shape[-1]:
        raise UnsupportedOp(f"multiplies {x.shape} with a constant of shape {weight.shape}")
    bias = np.zeros(len(weight)) if given is None else np.broadcast_to(given.floats(), len(weight))
    error = max(stored.error, given.error if given is not None else 0.0)
    return call.scope.emit(Linear(tensor(weight), tensor(bias), error), x)


@calls("conv1d", "conv2d", "convolution")
def convolution(call: Call) -> Node:
    """Over one or two axes."""
    x, weight, bias = call.activation("input"), call.constant("weight"), call.optional("bias")
    if call.arguments.get("transposed"):
        raise UnsupportedOp("is transposed")
    rank, kernel = len(x.shape) - 1, weight.values.shape[2:]
    dilation = call.integers("dilation", rank)
    if isinstance(call.arguments["padding"], str):
        before, after = _named_padding(str(call.arguments["padding"]), kernel, dilation)
    else:
        before = after = call.integers("padding", rank)
    window = Window(kernel, call.integers("stride", rank), dilation, before, after)
    error = max(weight.error, bias.error if bias is not None else 0.0)
    parts = (weight.floats(), None if bias is None else bias.floats(), error)
    return convolved(call.scope, x, parts, window, call.integer("groups"))


@calls("batch_norm", "_native_batch_norm_legit_no_training")
def batch_norm(call: Call) -> Node:
    """Of stored statistics."""
    x = call.activation("input")
    if call.arguments.get("training"):
        raise UnsupportedOp("normalises with the batch's own statistics")
    size = x.shape[0]
    plain = {"weight": np.ones(size), "bias": np.zeros(size)}
    found: list[np.ndarray] = []
    for name in ("weight", "bias", "running_mean", "running_var"):
        stored = call.optional(name)
        if stored is None and name not in plain:
            raise UnsupportedOp("keeps no running statistics")
        if stored is not None and stored.error:
            raise UnsupportedOp("has computed statistics")
        found.append(plain[name] if stored is None else stored.floats())
    return normalised(call.scope, x, (found[0], found[1], found[2], found[3]), call.number("eps"))


@calls("max_pool1d", "max_pool2d")
def max_pool(call: Call) -> Node:
    """Values only."""
    x = call.activation()
    dilation = call.integers("dilation", len(x.shape) - 1)
    return max_pooled(call.scope, x, _window(call, x, dilation))


@calls("avg_pool1d", "avg_pool2d")
def average_pool(call: Call) -> Node:
    """With or without the padding."""
    x = call.activation()
    if call.arguments.get("divisor_override") is not None:
        raise UnsupportedOp("has a divisor of its own")
    window = _window(call, x, (1,) * (len(x.shape) - 1))
    return average_pooled(call.scope, x, window, bool(call.arguments["count_include_pad"]))


@calls("adaptive_avg_pool1d", "adaptive_avg_pool2d")
def adaptive_average_pool(call: Call) -> Node:
    """To sizes that divide the map's."""
    x = call.activation()
    sizes = call.integers("output_size", len(x.shape) - 1)
    if any(full % size for full, size in zip(x.shape[1:], sizes, strict=True)):
        raise UnsupportedOp(f"pools {x.shape[1:]} to {sizes}, which does not divide it")
    kernel = tuple(full // size for full, size in zip(x.shape[1:], sizes, strict=True))
    ones, zeros = (1,) * len(sizes), (0,) * len(sizes)
    return average_pooled(call.scope, x, Window(kernel, kernel, ones, zeros, zeros), False)


@calls("mean", "sum")
def mean(call: Call) -> Node:
    """Over given axes."""
    if not call.arguments.get("dim"):
        raise UnsupportedOp("runs over the batch axis")
    return reduced(
        call.scope,
        call.activation(),
        call.axes("dim"),
        bool(call.arguments.get("keepdim")),
        call.operator == "mean",
    )


def _window(call: Call, x: Node, dilation: tuple[int, ...]) -> Window:
    rank = len(x.shape) - 1
    kernel = call.integers("kernel_size", rank)
    stride = call.integers("stride", rank) or kernel
    pads = call.integers("padding", rank)
    return Window(kernel, stride, dilation, pads, pads, bool(call.arguments["ceil_mode"]))


def _named_padding(
    name: str, kernel: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """PyTorch's padding by name; the odd entry of "same" lies behind."""
    if name not in ("same", "valid"):
        raise BadFile(f"has padding '{name}'")
    totals = [(k - 1) * d if name == "same" else 0 for k, d in zip(kernel, dilation, strict=False)]
    return tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
