"""Writes small LiteRT files for tests, and says what their codes stand for."""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import flatbuffers
import numpy as np
import tflite
import torch
from torch import Tensor

Grid = tuple[float, int]
Options = tuple[str, Mapping[str, float]] | None
CODES = {np.dtype(np.int8): tflite.TensorType.INT8, np.dtype(np.float32): tflite.TensorType.FLOAT32,
         np.dtype(np.float16): tflite.TensorType.FLOAT16,
         np.dtype(np.int32): tflite.TensorType.INT32}  # fmt: skip
NARROW, WIDE = (0.05, 3), (0.09, -20)
RELU, RELU6 = tflite.ActivationFunctionType.RELU, tflite.ActivationFunctionType.RELU6


def rand(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape).astype(np.float32)


VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 5, "LEAKY_RELU": 2,
            "HARD_SWISH": 1, "PRELU": 1, "RESHAPE": 1}  # fmt: skip


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
    held = [t.values for t in net.tensors if t.values is not None]
    buffers = [table(b, "Buffer", {})]
    buffers += [table(b, "Buffer", {"Data": b.CreateByteVector(v.tobytes())}) for v in held]
    places = np.cumsum([t.values is not None for t in net.tensors])
    tensors = [_tensor(b, t, place, int(places[place])) for place, t in enumerate(net.tensors)]
    kinds = list(dict.fromkeys(kind for kind, *_ in net.operators))
    codes = [table(b, "OperatorCode", {"DeprecatedBuiltinCode": code, "BuiltinCode": code,
                                       "Version": VERSIONS.get(kind, 2 if net.coded else 1)})
             for kind in kinds for code in [getattr(tflite.BuiltinOperator, kind)]]  # fmt: skip
    operators = [_operator(b, kinds.index(kind), *facts) for kind, *facts in net.operators]
    graph = table(b, "SubGraph", {
        "Tensors": tables(b, tensors), "Operators": tables(b, operators),
        "Inputs": b.CreateNumpyVector(np.array([0], np.int32)),
        "Outputs": b.CreateNumpyVector(np.array([net.output], np.int32))})  # fmt: skip
    model = table(b, "Model", {
        "Version": 3, "OperatorCodes": tables(b, codes), "Subgraphs": tables(b, [graph]),
        "Buffers": tables(b, buffers)})  # fmt: skip
    b.Finish(model, b"TFL3")
    return bytes(b.Output())


def _tensor(b: flatbuffers.Builder, t: Declared, place: int, buffer: int) -> int:
    facts: dict[str, float] = {"Type": CODES[t.dtype]}
    if t.scale.size:
        scale = b.CreateNumpyVector(t.scale)
        zero = b.CreateNumpyVector(np.full(t.scale.size, t.zero, np.int64))
        facts["Quantization"] = table(b, "QuantizationParameters", {
            "Scale": scale, "ZeroPoint": zero, "QuantizedDimension": t.axis})  # fmt: skip
    facts["Shape"] = b.CreateNumpyVector(np.array(t.shape, np.int32))
    facts["Name"] = b.CreateString(f"t{place}")
    facts["Buffer"] = 0 if t.values is None else buffer
    return table(b, "Tensor", facts)


def _operator(
    b: flatbuffers.Builder, code: int, reads: list[int], makes: list[int], options: Options
) -> int:
    facts: dict[str, float] = {"OpcodeIndex": code}
    if options is not None:
        facts["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, options[0])
        facts["BuiltinOptions"] = table(b, options[0], options[1])
    facts["Inputs"] = b.CreateNumpyVector(np.array(reads, np.int32))
    facts["Outputs"] = b.CreateNumpyVector(np.array(makes, np.int32))
    return table(b, "Operator", facts)


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
