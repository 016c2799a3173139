"""Small LiteRT files, one operator or idiom each, as numbers and as int8 codes.

The expected values are PyTorch's on the dequantised weights, rounded to each grid in float64. With
the peer installed (ai-edge-litert) the same files run on it: floats agree to float32 rounding,
codes to one step, since its kernels requantise in fixed-point arithmetic.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
import tflite
import torch
from torch import Tensor
from torch.nn import functional as F

from lipcert.errors import BadFile, LipcertError, UnsupportedOp
from lipcert.graph.simplify import simplify
from lipcert.ops.softmax import Softmax
from lipcert.ops.transpose import Transpose
from lipcert.read import read_file, read_tflite

Function = Callable[[Tensor], Tensor]
Grid = tuple[float, int]
Options = tuple[str, Mapping[str, float]] | None
CODES = {np.dtype(np.int8): tflite.TensorType.INT8, np.dtype(np.float32): tflite.TensorType.FLOAT32,
         np.dtype(np.float16): tflite.TensorType.FLOAT16,
         np.dtype(np.int32): tflite.TensorType.INT32}  # fmt: skip
NARROW, WIDE = (0.05, 3), (0.09, -20)
RELU, RELU6 = tflite.ActivationFunctionType.RELU, tflite.ActivationFunctionType.RELU6


def rand(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape).astype(np.float32)


@dataclass(frozen=True)
class Declared:
    shape: Sequence[int]
    dtype: np.dtype
    scale: np.ndarray
    zero: int
    axis: int
    values: np.ndarray | None


@dataclass
class Net:
    """A file under construction; every operator reads tensors by their places."""

    coded: bool
    tensors: list[Declared] = field(default_factory=list)
    operators: list[tuple[str, list[int], list[int], Options]] = field(default_factory=list)
    output: int = -1

    def value(self, *shape: int, grid: Grid = NARROW, coded: bool | None = None) -> int:
        coded = self.coded if coded is None else coded
        scale = np.array([grid[0]] if coded else [], np.float32)
        dtype = np.dtype(np.int8 if coded else np.float32)
        return self._add(Declared((1, *shape), dtype, scale, grid[1], 0, None))

    def weight(self, values: np.ndarray, axis: int | None = 0) -> tuple[int, Tensor]:
        """A constant, and what it stands for; codes have one scale per coordinate of an axis."""
        if not self.coded:
            found = Declared(values.shape, values.dtype, np.zeros(0, np.float32), 0, 0, values)
            return self._add(found), torch.from_numpy(values).double()
        rest = tuple(a for a in range(values.ndim) if a != axis)
        largest = np.abs(values).max(rest if axis is not None else None, keepdims=True)
        step = (largest / 127).astype(np.float32)
        codes = np.clip(np.rint(values / step), -127, 127).astype(np.int8)
        found = Declared(values.shape, codes.dtype, step.reshape(-1), 0, axis or 0, codes)
        return self._add(found), torch.from_numpy(codes * step.astype(np.float64))

    def bias(self, values: np.ndarray, weight: int) -> tuple[int, Tensor]:
        """Integers in units of the scales of the input, tensor 0, and of the weights."""
        if not self.coded:
            return self.weight(values)
        step = self.tensors[0].scale * self.tensors[weight].scale
        unit = self.tensors[0].scale.astype(np.float64) * self.tensors[weight].scale
        codes = np.rint(values / step).astype(np.int32)
        return (self._add(Declared(values.shape, codes.dtype, step, 0, 0, codes)),
                torch.from_numpy(codes * unit))  # fmt: skip

    def integers(self, values: object) -> int:
        held = np.array(values, np.int32)
        return self._add(Declared(held.shape, held.dtype, np.zeros(0, np.float32), 0, 0, held))

    def op(self, kind: str, reads: list[int], makes: int, options: Options = None) -> int:
        self.operators.append((kind, reads, [makes], options))
        self.output = makes
        return makes

    def rounded(self, x: Tensor, grid: Grid = NARROW, activation: int = 0) -> Tensor:
        """The value after the fused activation, on its grid where the file holds codes."""
        least, most = {0: (-np.inf, np.inf), RELU: (0.0, np.inf), RELU6: (0.0, 6.0)}[activation]
        if not self.coded:
            return x.clamp(least, most)
        scale, zero = float(np.float32(grid[0])), grid[1]
        codes = torch.round(x / scale) + zero
        top = min(127, zero + round(most / scale)) if np.isfinite(most) else 127
        return (codes.clamp(-128 if least < 0 else max(-128, zero), top) - zero) * scale

    def save(self, path: Path) -> Path:
        path.write_bytes(content(self))
        return path

    def _add(self, found: Declared) -> int:
        self.tensors.append(found)
        return len(self.tensors) - 1


def content(net: Net) -> bytes:
    """The FlatBuffer: tables after what they point to."""
    b = flatbuffers.Builder(1024)
    buffers = [table(b, "Buffer", {})]
    tensors = []
    for place, t in enumerate(net.tensors):
        if t.values is not None:
            data = b.CreateByteVector(t.values.tobytes())
            buffers.append(table(b, "Buffer", {"Data": data}))
        facts: dict[str, float] = {"Type": CODES[t.dtype]}
        if t.scale.size:
            scale = b.CreateNumpyVector(t.scale)
            zero = b.CreateNumpyVector(np.full(t.scale.size, t.zero, np.int64))
            facts["Quantization"] = table(b, "QuantizationParameters", {
                "Scale": scale, "ZeroPoint": zero, "QuantizedDimension": t.axis})  # fmt: skip
        facts["Shape"] = b.CreateNumpyVector(np.array(t.shape, np.int32))
        facts["Name"] = b.CreateString(f"t{place}")
        facts["Buffer"] = len(buffers) - 1 if t.values is not None else 0
        tensors.append(table(b, "Tensor", facts))
    kinds = list(dict.fromkeys(kind for kind, *_ in net.operators))
    codes = [table(b, "OperatorCode", {"DeprecatedBuiltinCode": code, "BuiltinCode": code,
                                       "Version": VERSIONS.get(kind, 2 if net.coded else 1)})
             for kind in kinds for code in [getattr(tflite.BuiltinOperator, kind)]]  # fmt: skip
    operators = []
    for kind, reads, makes, options in net.operators:
        facts = {"OpcodeIndex": kinds.index(kind)}
        if options is not None:
            facts["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, options[0])
            facts["BuiltinOptions"] = table(b, options[0], options[1])
        facts["Inputs"] = b.CreateNumpyVector(np.array(reads, np.int32))
        facts["Outputs"] = b.CreateNumpyVector(np.array(makes, np.int32))
        operators.append(table(b, "Operator", facts))
    graph = table(b, "SubGraph", {
        "Tensors": tables(b, tensors), "Operators": tables(b, operators),
        "Inputs": b.CreateNumpyVector(np.array([0], np.int32)),
        "Outputs": b.CreateNumpyVector(np.array([net.output], np.int32))})  # fmt: skip
    model = table(b, "Model", {
        "Version": 3, "OperatorCodes": tables(b, codes), "Subgraphs": tables(b, [graph]),
        "Buffers": tables(b, buffers)})  # fmt: skip
    b.Finish(model, b"TFL3")
    return bytes(b.Output())


VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 5, "LEAKY_RELU": 2,
            "HARD_SWISH": 1, "PRELU": 1, "RESHAPE": 1}  # fmt: skip


def table(b: flatbuffers.Builder, kind: str, facts: Mapping[str, float]) -> int:
    module = importlib.import_module(f"tflite.{kind}")
    getattr(module, f"{kind}Start")(b)
    for name, value in facts.items():
        getattr(module, f"{kind}Add{name}")(b, value)
    return int(getattr(module, f"{kind}End")(b))


def tables(b: flatbuffers.Builder, places: Sequence[int]) -> int:
    b.StartVector(4, len(places), 4)
    for place in reversed(places):
        b.PrependUOffsetTRelative(place)
    return int(b.EndVector())


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
FLOAT_ONLY = {"half", "between"}
RUNS = [(name, coded) for name in CASES for coded in (False, True)
        if not (coded and name in FLOAT_ONLY)]  # fmt: skip


def case_of(name: str, coded: bool, folder: Path) -> tuple[Path, Net, Function, Tensor]:
    net = Net(coded)
    expected = CASES[name](net)
    inputs = torch.from_numpy(rand(5, *net.tensors[0].shape[1:])).double() * 2
    return net.save(folder / "x.tflite"), net, expected, inputs


@pytest.mark.parametrize(("name", "coded"), RUNS)
def test_operator_agrees_with_torch(tmp_path: Path, name: str, coded: bool) -> None:
    path, net, expected, inputs = case_of(name, coded, tmp_path)
    graph = read_tflite(path)
    found, wanted = graph(inputs), expected(net.rounded(inputs))
    assert found.shape == wanted.shape
    assert graph.input.shape == tuple(net.tensors[0].shape[1:])
    ties = NARROW[0] + 1e-6 if coded and name.startswith("average") else 0.0
    for other in (wanted, simplify(graph)(inputs)):
        gap = (found - other).abs()
        assert float(gap.max()) <= max(1e-12, ties)  # means of codes lie on ties
        assert float((gap > 1e-12).double().mean()) <= 0.1


@pytest.mark.peer
@pytest.mark.parametrize(("name", "coded"), RUNS)
def test_operator_agrees_with_litert(tmp_path: Path, name: str, coded: bool) -> None:
    """A code that its fixed-point arithmetic puts on the other side of a tie moves what follows."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="pip install ai-edge-litert")
    path, net, _, inputs = case_of(name, coded, tmp_path)
    session = litert.Interpreter(str(path), num_threads=1)
    session.allocate_tensors()
    first, last = session.get_input_details()[0], session.get_output_details()[0]
    exact = read_tflite(path)(net.rounded(inputs)).numpy()
    given = inputs.numpy().astype(np.float32)
    if coded:
        given = np.clip(np.rint(given / np.float32(NARROW[0])) + NARROW[1], -128, 127)
    found = np.empty(exact.shape)
    for place, row in enumerate(given):
        session.set_tensor(first["index"], row.astype(first["dtype"])[None])
        session.invoke()
        found[place] = session.get_tensor(last["index"])[0]
    scale, zero = last["quantization"]
    if scale == 0:
        assert (np.abs(found - exact) > 1e-5).mean() <= (0.1 if name == "between" else 0)
    else:
        apart = np.abs(found - zero - np.rint(exact / np.float32(scale)))
        assert apart.max() <= 2 + NARROW[0] / scale
        assert (apart > 0).mean() <= 0.06


def ending_in_softmax(coded: bool) -> Net:
    net = Net(coded)
    x = net.value(6)
    w, _ = net.weight(rand(5, 6), None)
    y = net.op("FULLY_CONNECTED", [x, w, -1], net.value(5, grid=WIDE),
               ("FullyConnectedOptions", {}))  # fmt: skip
    net.op("SOFTMAX", [y], net.value(5, grid=(1 / 256, -128)), ("SoftmaxOptions", {"Beta": 1.0}))
    return net


@pytest.mark.parametrize("coded", [False, True])
def test_a_last_softmax_is_left_out_and_the_source_says_so(tmp_path: Path, coded: bool) -> None:
    path = ending_in_softmax(coded).save(tmp_path / "x.tflite")
    graph = read_file(path)
    assert "logits" in graph.source
    assert str(path) in graph.source
    if coded:
        with pytest.raises(UnsupportedOp, match="logits=True"):
            read_tflite(path, logits=False)
        return
    whole = read_tflite(path, logits=False)
    assert isinstance(whole.output.op, Softmax)
    assert whole.source == str(path)
    inputs = torch.from_numpy(rand(3, 6)).double()
    assert float((graph(inputs).softmax(-1) - whole(inputs)).abs().max()) <= 1e-15


def test_numbers_pass_through_codes_behind_a_softmax(tmp_path: Path) -> None:
    net = ending_in_softmax(True)
    net.op("DEQUANTIZE", [net.output], net.value(5, coded=False))
    assert "logits" in read_tflite(net.save(tmp_path / "x.tflite")).source
    net.op("RELU", [net.output], net.value(5, coded=False))
    with pytest.raises(UnsupportedOp, match="no last layer"):
        read_tflite(net.save(tmp_path / "x.tflite"))


def test_layers_on_maps_need_one_transposition(tmp_path: Path) -> None:
    net = Net(coded=True)
    x = net.value(8, 7, 3)
    for _ in range(3):
        w, _ = net.weight(rand(3, 3, 3, 3))
        x = net.op("CONV_2D", [x, w, -1], net.value(8, 7, 3),
                   ("Conv2DOptions", {"StrideH": 1, "StrideW": 1}))  # fmt: skip
    net.op("MEAN", [x, net.integers([1, 2])], net.value(3), ("ReducerOptions", {}))
    graph = read_tflite(net.save(tmp_path / "x.tflite"))
    assert sum(isinstance(n.op, Transpose) for n in graph.nodes) == 1


def refused(tmp_path: Path, net: Net, message: str) -> None:
    with pytest.raises(UnsupportedOp, match=message):
        read_tflite(net.save(tmp_path / "x.tflite"))


def test_hybrid_layers_are_refused_with_the_reason(tmp_path: Path) -> None:
    net = Net(coded=True)
    x = net.value(6, coded=False)
    w, _ = net.weight(rand(5, 6), None)
    net.op("FULLY_CONNECTED", [x, w, -1], net.value(5, coded=False), ("FullyConnectedOptions", {}))
    refused(tmp_path, net, "a scale of each input's own")


def test_all_unsupported_operators_are_named_at_once(tmp_path: Path) -> None:
    net = Net(coded=False)
    x = net.value(6)
    a = net.op("ELU", [x], net.value(6))
    b = net.op("RELU", [a], net.value(6))
    net.op("NEG", [b], net.value(6))
    refused(tmp_path, net, r"2 unsupported operators:\n  ELU 't1': has no rule\n  NEG 't3'")


def test_codes_moved_to_another_grid_are_refused(tmp_path: Path) -> None:
    net = Net(coded=True)
    net.op("RESHAPE", [net.value(6)], net.value(3, 2, grid=WIDE))
    refused(tmp_path, net, "moves codes of one scale")


def test_codes_and_numbers_do_not_mix(tmp_path: Path) -> None:
    net = Net(coded=True)
    net.op("RELU", [net.value(6)], net.value(6, coded=False))
    refused(tmp_path, net, "numbers of codes")


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"junkTFL3", b"\xff" * 4 + b"TFL3" * 50])
def test_what_is_no_tflite_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(BadFile, match=r"x\.tflite"):
        read_tflite(tmp_path / "x.tflite")


def test_unknown_suffixes_name_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"\.onnx, \.tflite"):
        read_file(tmp_path / "network.pb")


def small() -> bytes:
    net = Net(coded=True)
    x = net.value(3, 2, 2)
    w, _ = net.weight(rand(2, 2, 1, 2))
    y = net.op("CONV_2D", [x, w, -1], net.value(3, 2, 2),
               ("Conv2DOptions", {"StrideH": 1, "StrideW": 1}))  # fmt: skip
    y = net.op("MAX_POOL_2D", [y], net.value(2, 1, 2),
               ("Pool2DOptions", {"StrideH": 2, "StrideW": 2, "FilterHeight": 2,
                                  "FilterWidth": 2}))  # fmt: skip
    net.op("MEAN", [y, net.integers([1, 2])], net.value(2), ("ReducerOptions", {}))
    return content(net)


def test_truncation_anywhere(tmp_path: Path) -> None:
    whole, path = small(), tmp_path / "x.tflite"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(LipcertError):
            read_tflite(path)


@pytest.mark.parametrize("flip", [0x01, 0xFF])
def test_flipped_bytes_anywhere(tmp_path: Path, flip: int) -> None:
    """An error of ours or a network that can be evaluated, and soon."""
    whole, path = small(), tmp_path / "x.tflite"
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= flip
        path.write_bytes(broken)
        try:
            read_tflite(path)
        except LipcertError:
            continue
