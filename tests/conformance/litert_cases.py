"""Small LiteRT networks, one operator or idiom each, and what PyTorch computes in their place."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from litert_net import NARROW, RELU, RELU6, WIDE, Declared, Grid, Net, Options, rand
from torch import Tensor
from torch.nn import functional as F

Function = Callable[[Tensor], Tensor]


def nchw(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)


def nhwc(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def conv(net: Net, kernel: np.ndarray, groups: int = 1, activation: int = 0,
         **facts: int) -> Function:  # fmt: skip
    """SAME by default; `facts` are options of the operator."""
    x = net.value(8, 7, kernel.shape[3] * groups)
    w, weight = net.weight(kernel)
    c, bias = net.bias(rand(len(kernel)), w)
    facts = {"StrideH": 1, "StrideW": 1, "FusedActivationFunction": activation, **facts}
    step = (facts["StrideH"], facts["StrideW"])
    gap = (facts.get("DilationHFactor", 1), facts.get("DilationWFactor", 1))
    pads, sizes = same_pads((8, 7), kernel.shape[1:3], step, gap, bool(facts.get("Padding", 0)))
    y = net.value(*sizes, len(kernel), grid=WIDE)
    net.op("CONV_2D", [x, w, c], y, ("Conv2DOptions", facts))

    def expected(value: Tensor) -> Tensor:
        padded = F.pad(nchw(value), pads)
        z = F.conv2d(padded, weight.permute(0, 3, 1, 2), bias, step, 0, gap, groups)
        return net.rounded(nhwc(z), WIDE, activation)

    return expected


def same_pads(
    sizes: Sequence[int],
    kernel: Sequence[int],
    step: Sequence[int],
    gap: Sequence[int],
    valid: bool,
) -> tuple[list[int], list[int]]:
    """PyTorch's pads, and the sizes of the result."""
    pads, after = [0, 0], []
    for size, taps, move, apart in reversed(list(zip(sizes, kernel, step, gap, strict=True))):
        reach = (taps - 1) * apart + 1
        count = (size - reach) // move + 1 if valid else -(-size // move)
        total = max((count - 1) * move + reach - size, 0)
        pads += [total // 2, total - total // 2]
        after.append(count)
    return pads[2:], after[::-1]


def depthwise(net: Net) -> Function:
    x = net.value(8, 7, 3)
    w, weight = net.weight(rand(1, 3, 2, 6), 3)
    c, bias = net.bias(rand(6), w)
    y = net.value(4, 4, 6, grid=WIDE)
    options = {"StrideH": 2, "StrideW": 2, "DepthMultiplier": 2, "FusedActivationFunction": RELU}
    net.op("DEPTHWISE_CONV_2D", [x, w, c], y, ("DepthwiseConv2DOptions", options))
    pads, _ = same_pads((8, 7), (3, 2), (2, 2), (1, 1), False)

    def expected(value: Tensor) -> Tensor:
        z = F.conv2d(F.pad(nchw(value), pads), weight.permute(3, 0, 1, 2), bias, 2, groups=3)
        return net.rounded(nhwc(z), WIDE, RELU)

    return expected


def dense(net: Net, keep: bool, biased: bool) -> Function:
    x = net.value(*((4, 6) if keep else (3, 2)))
    w, weight = net.weight(rand(5, 6), None)
    c, bias = net.bias(rand(5), w) if biased else (-1, torch.zeros(5).double())
    y = net.value(*((4, 5) if keep else (5,)), grid=WIDE)
    options = {"KeepNumDims": keep, "FusedActivationFunction": RELU6}
    net.op("FULLY_CONNECTED", [x, w, c], y, ("FullyConnectedOptions", options))
    return lambda v: net.rounded(F.linear(v if keep else v.flatten(1), weight, bias), WIDE, RELU6)


def after_conv(net: Net, *shape: int) -> tuple[int, Function]:
    """A map held channels first, (8, 7, 4), on the narrow grid."""
    x = net.value(8, 7, 3)
    w, weight = net.weight(rand(4, 1, 1, 3))
    c, bias = net.bias(rand(4), w)
    y = net.op("CONV_2D", [x, w, c], net.value(8, 7, 4),
               ("Conv2DOptions", {"StrideH": 1, "StrideW": 1}))  # fmt: skip
    return y, lambda v: net.rounded(nhwc(F.conv2d(nchw(v), weight.permute(0, 3, 1, 2), bias)))


def binary(net: Net, kind: str, constant: np.ndarray | None, last: bool = True) -> Function:
    x, before = after_conv(net)
    options = (f"{kind.capitalize()}Options", {"FusedActivationFunction": RELU})
    if constant is None:
        z = net.op("LOGISTIC", [x], net.value(8, 7, 4, grid=(1 / 256, -128)))
        other: Tensor | None = None
    else:
        z, other = net.weight(constant, None)
    y = net.value(8, 7, 4, grid=WIDE)
    net.op(kind, [x, z] if last else [z, x], y, options)

    def expected(value: Tensor) -> Tensor:
        a = before(value)
        b = net.rounded(a.sigmoid(), (1 / 256, -128)) if other is None else other
        a, b = (a, b) if last else (b, a)
        return net.rounded({"ADD": a + b, "SUB": a - b, "MUL": a * b}[kind], WIDE, RELU)

    return expected


def pool(net: Net, kind: str, size: tuple[int, int], valid: int) -> Function:
    x, before = after_conv(net)
    pads, sizes = same_pads((8, 7), size, (2, 2), (1, 1), bool(valid))
    options = {"StrideH": 2, "StrideW": 2, "FilterHeight": size[0], "FilterWidth": size[1],
               "Padding": valid, "FusedActivationFunction": RELU}  # fmt: skip
    net.op(f"{kind}_POOL_2D", [x], net.value(*sizes, 4), ("Pool2DOptions", options))

    def expected(value: Tensor) -> Tensor:
        a = nchw(before(value))
        if kind == "MAX":
            y = F.max_pool2d(F.pad(a, pads, value=-1e9), size, 2)
        else:
            total = F.avg_pool2d(F.pad(a, pads), size, 2)
            y = total / F.avg_pool2d(F.pad(torch.ones_like(a), pads), size, 2)
        return net.rounded(nhwc(y), NARROW, RELU)

    return expected


def mean(net: Net, axes: list[int], keep: bool) -> Function:
    x, before = after_conv(net)
    sizes = [
        1 if a + 1 in axes else s for a, s in enumerate((8, 7, 4)) if keep or a + 1 not in axes
    ]
    y = net.value(*sizes, grid=WIDE)
    net.op("MEAN", [x, net.integers(axes)], y, ("ReducerOptions", {"KeepDims": keep}))
    return lambda v: net.rounded(before(v).mean(axes, keepdim=keep), WIDE)


def elementwise(net: Net, kind: str, function: Function, grid: Grid, options: Options = None,
                activation: int = 0) -> Function:  # fmt: skip
    x, before = after_conv(net)
    net.op(kind, [x], net.value(8, 7, 4, grid=grid), options)
    return lambda v: net.rounded(function(before(v)), grid, activation)


def prelu(net: Net) -> Function:
    x, before = after_conv(net)
    w, slope = net.weight(np.abs(rand(1, 1, 4)), None)
    net.op("PRELU", [x, w], net.value(8, 7, 4, grid=WIDE))
    return lambda v: net.rounded(torch.where(before(v) > 0, before(v), slope * before(v)), WIDE)


def moved(net: Net, kind: str, shape: tuple[int, ...], values: object, function: Function,
          options: Options = None) -> Function:  # fmt: skip
    x, before = after_conv(net)
    net.op(kind, [x, net.integers(values)], net.value(*shape), options)
    return lambda v: function(before(v))


def padded_with(net: Net) -> Function:
    x, before = after_conv(net)
    if net.coded:
        scale, code = np.array([0.05], np.float32), np.array([67], np.int8)
        z = net._add(Declared((), code.dtype, scale, 3, 0, code))
    else:
        z = net._add(Declared((), np.dtype(np.float32), np.zeros(0), 0, 0, np.float32([3.2])))
    widths = net.integers([[0, 0], [1, 0], [2, 1], [0, 3]])
    net.op("PADV2", [x, widths, z], net.value(9, 10, 7))
    filling = 64 * float(np.float32(0.05)) if net.coded else float(np.float32(3.2))
    return lambda v: F.pad(before(v), [0, 3, 2, 1, 1, 0], value=filling)


def joined(net: Net, axis: int, shape: tuple[int, ...]) -> Function:
    x, before = after_conv(net)
    z = net.op("RELU", [x], net.value(8, 7, 4))
    net.op("CONCATENATION", [x, z], net.value(*shape), ("ConcatenationOptions", {"Axis": axis}))
    return lambda v: torch.cat([before(v), before(v).relu()], axis)


def between(net: Net) -> Function:
    """Numbers, codes, other codes, numbers: with float input and output."""
    x = net.value(6, coded=False)
    net.tensors[0] = Declared((1, 6), np.dtype(np.float32), np.zeros(0, np.float32), 0, 0, None)
    a = net.op("QUANTIZE", [x], net.value(6, coded=True))
    b = net.op("QUANTIZE", [a], net.value(6, grid=WIDE, coded=True))
    net.op("DEQUANTIZE", [b], net.value(6, coded=False))
    codes = Net(coded=True)
    return lambda v: codes.rounded(codes.rounded(v), WIDE)


def half(net: Net) -> Function:
    """Weights in float16, converted by an operator."""
    x = net.value(6, coded=False)
    values = rand(5, 6).astype(np.float16)
    none = np.zeros(0, np.float32)
    h = net._add(Declared(values.shape, values.dtype, none, 0, 0, values))
    w = net._add(Declared(values.shape, np.dtype(np.float32), none, 0, 0, None))
    net.op("DEQUANTIZE", [h], w)
    net.op("FULLY_CONNECTED", [x, w, -1], net.value(5, coded=False), ("FullyConnectedOptions", {}))
    return lambda v: v @ torch.from_numpy(values.astype(np.float64)).T


CASES: dict[str, Callable[[Net], Function]] = {
    "conv": lambda n: conv(n, rand(4, 3, 2, 3)),
    "conv strided": lambda n: conv(n, rand(4, 3, 3, 3), activation=RELU, StrideH=2, StrideW=3),
    "conv dilated": lambda n: conv(n, rand(4, 3, 2, 3), DilationHFactor=2, DilationWFactor=3),
    "conv valid": lambda n: conv(n, rand(4, 3, 2, 3), activation=RELU6, Padding=1, StrideH=2),
    "depthwise": depthwise,
    "dense": lambda n: dense(n, False, True),
    "dense on rows": lambda n: dense(n, True, False),
    "add branch": lambda n: binary(n, "ADD", None),
    "add constant": lambda n: binary(n, "ADD", rand(4)),
    "add map": lambda n: binary(n, "ADD", rand(1, 8, 7, 4), last=False),
    "subtract branch": lambda n: binary(n, "SUB", None),
    "subtract from": lambda n: binary(n, "SUB", rand(7, 1), last=False),
    "multiply": lambda n: binary(n, "MUL", rand(4)),
    "average pool": lambda n: pool(n, "AVERAGE", (3, 3), 0),
    "average pool valid": lambda n: pool(n, "AVERAGE", (2, 3), 1),
    "max pool": lambda n: pool(n, "MAX", (3, 3), 0),
    "max pool valid": lambda n: pool(n, "MAX", (2, 3), 1),
    "mean": lambda n: mean(n, [1, 2], False),
    "mean kept": lambda n: mean(n, [1, 2], True),
    "mean of channels": lambda n: mean(n, [3], True),
    "logistic": lambda n: elementwise(n, "LOGISTIC", torch.sigmoid, (1 / 256, -128)),
    "tanh": lambda n: elementwise(n, "TANH", torch.tanh, (1 / 128, 0)),
    "relu": lambda n: elementwise(n, "RELU", lambda v: v, WIDE, None, RELU),
    "relu6": lambda n: elementwise(n, "RELU6", lambda v: v, WIDE, None, RELU6),
    "leaky": lambda n: elementwise(n, "LEAKY_RELU", lambda v: F.leaky_relu(v, 0.25), WIDE,
                                   ("LeakyReluOptions", {"Alpha": 0.25})),
    "hard swish": lambda n: elementwise(n, "HARD_SWISH", F.hardswish, WIDE),
    "prelu": prelu,
    "reshape": lambda n: moved(n, "RESHAPE", (4, 56), [1, 4, 56], lambda v: v.reshape(-1, 4, 56),
                               ("ReshapeOptions", {})),
    "transpose": lambda n: moved(n, "TRANSPOSE", (4, 8, 7), [0, 3, 1, 2], nchw),
    "pad": lambda n: moved(n, "PAD", (9, 10, 4), [[0, 0], [0, 1], [1, 2], [0, 0]],
                           lambda v: F.pad(v, [0, 0, 1, 2, 0, 1])),
    "pad with": padded_with,
    "join channels": lambda n: joined(n, 3, (8, 7, 8)),
    "join columns": lambda n: joined(n, -2, (8, 14, 4)),
    "between": between,
    "half": half,
}  # fmt: skip
