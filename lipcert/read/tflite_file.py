"""LiteRT files (.tflite) opened without trust.

FlatBuffers are read where they lie, and a broken offset may lead anywhere: whatever goes wrong in
here means that the file is broken. No length is believed before as many bytes are there.
"""

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import tflite
from flatbuffers.table import Table

from lipcert.errors import BadFile
from lipcert.ops.functional import Shape
from lipcert.read.constant import Constant
from lipcert.read.file_bytes import regular_bytes

IDENTIFIER = b"TFL3"
VERSION = 3
LARGEST_FILE = 2**31
BROKEN = (struct.error, ValueError, IndexError, KeyError, TypeError, OverflowError, AttributeError,
          ArithmeticError, AssertionError, RuntimeError)  # fmt: skip
TYPES: dict[int, str] = {
    tflite.TensorType.FLOAT32: "float32", tflite.TensorType.FLOAT16: "float16",
    tflite.TensorType.INT32: "int32", tflite.TensorType.UINT8: "uint8",
    tflite.TensorType.INT64: "int64", tflite.TensorType.INT16: "int16",
    tflite.TensorType.INT8: "int8", tflite.TensorType.FLOAT64: "float64",
}  # fmt: skip
NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if name.isupper()}


class Options(Protocol):
    """A table of options in the generated schema."""

    def Init(self, buf: object, pos: int) -> None:  # noqa: N802
        """Lets it read at a place of the file."""
        ...


T = TypeVar("T")
Kind = TypeVar("Kind", bound=Options)


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A tensor as the file declares it.

    Args:
        name: in the file.
        shape: with the batch axis.
        dtype: NumPy's name of its type, or "type N" for those that are not read.
        scale: of its codes, float32; empty where it has none.
        zero_point: likewise.
        axis: along which scales vary.
        values: what the file holds of it; None for what is computed.
    """

    name: str
    shape: Shape
    dtype: str
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    values: np.ndarray | None

    @property
    def coded(self) -> bool:
        """Whether it holds codes of a scale."""
        return self.scale.size > 0 and self.dtype in ("int8", "uint8", "int16")

    def same_grid(self, other: "Stored") -> bool:
        """Whether equal codes of both stand for equal numbers, or both are no codes."""
        return self.dtype == other.dtype and (
            not self.coded
            or (
                np.array_equal(self.scale, other.scale)
                and np.array_equal(self.zero_point, other.zero_point)
            )
        )

    def constant(self) -> Constant:
        """The stored values."""
        assert self.values is not None
        return Constant(self.values, self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """An operator: its name, the tensors it reads (-1 for none) and makes, and its options."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options_type: int
    options: Table | None

    def table(self, kind: type[Kind]) -> Kind:
        """The operator's options, of the type that it should have."""
        found, wanted = self.options, getattr(tflite.BuiltinOptions, kind.__name__)
        if found is None or self.options_type != wanted:
            raise BadFile(f"has no {kind.__name__}")
        options = kind()
        options.Init(found.Bytes, found.Pos)
        return options


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """The first graph of a file."""

    tensors: tuple[Stored, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def open_model(path: Path) -> Model:
    """The file's tensors and operators.

    Raises:
        BadFile: if it is no .tflite file, or a broken one.
    """
    content = regular_bytes(path, LARGEST_FILE)
    if content[4:8] != IDENTIFIER:
        raise BadFile(f"{path}: not a .tflite file: it lacks the mark {IDENTIFIER.decode()}")
    try:
        return _model(content, path)
    except BROKEN as error:
        kind = type(error).__name__
        raise BadFile(f"{path}: a broken .tflite file ({kind}: {error})") from error


def _model(content: bytes, path: Path) -> Model:
    model = tflite.Model.GetRootAs(content, 0)
    if model.Version() != VERSION or model.SubgraphsLength() < 1:
        raise BadFile(f"{path}: needs a graph in schema {VERSION}, has {model.SubgraphsLength()} "
                      f"in schema {model.Version()}")  # fmt: skip
    graph = _there(model.Subgraphs(0))
    counts = (graph.TensorsLength(), graph.OperatorsLength(), model.OperatorCodesLength())
    if 4 * max(counts) > len(content):
        raise BadFile(f"{path}: claims more tensors or operators than it has bytes for")
    kinds = [_kind(_there(model.OperatorCodes(k))) for k in range(counts[2])]
    tensors = tuple(_tensor(model, _there(graph.Tensors(k)), path) for k in range(counts[0]))
    operators = tuple(_operator(_there(graph.Operators(k)), kinds) for k in range(counts[1]))
    return Model(
        tensors, operators, _places(graph.InputsAsNumpy()), _places(graph.OutputsAsNumpy())
    )


def _kind(code: tflite.OperatorCode) -> str:
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if number == tflite.BuiltinOperator.CUSTOM:
        return f"CUSTOM {(code.CustomCode() or b'').decode('utf-8', 'replace')}"
    return NAMES.get(number, f"operator {number}")


def _operator(operator: tflite.Operator, kinds: list[str]) -> Operator:
    return Operator(
        kinds[operator.OpcodeIndex()],
        _places(operator.InputsAsNumpy()),
        _places(operator.OutputsAsNumpy()),
        operator.BuiltinOptionsType(),
        operator.BuiltinOptions(),
    )


def _tensor(model: tflite.Model, tensor: tflite.Tensor, path: Path) -> Stored:
    name = (tensor.Name() or b"").decode("utf-8", "replace")
    shape = tuple(int(size) for size in _row(tensor.ShapeAsNumpy()))
    if any(size < 0 for size in shape):
        raise BadFile(f"{path}: tensor '{name}' has a negative axis: {shape}")
    if tensor.IsVariable() or tensor.Sparsity() is not None:
        raise BadFile(f"{path}: tensor '{name}' is a variable or stored as sparse; not read")
    dtype = TYPES.get(tensor.Type(), f"type {tensor.Type()}")
    scale, zero, axis = np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    facts = tensor.Quantization()
    if facts is not None and facts.ScaleLength() > 0:
        scale = _row(facts.ScaleAsNumpy()).astype(np.float32)
        zero = _row(facts.ZeroPointAsNumpy()).astype(np.int64)
        zero = np.zeros(len(scale), np.int64) if len(zero) == 0 else zero
        axis = facts.QuantizedDimension()
        if len(zero) != len(scale) or facts.DetailsType() != 0:
            raise BadFile(f"{path}: tensor '{name}' has {len(scale)} scales and {len(zero)} zero "
                          "points, or custom ones")  # fmt: skip
    values = _values(model, tensor.Buffer(), (name, shape, dtype), path)
    return Stored(name, shape, dtype, scale, zero, axis, values)


def _values(
    model: tflite.Model, place: int, facts: tuple[str, Shape, str], path: Path
) -> np.ndarray | None:
    """A view of the bytes that the file holds for a tensor, once they are as many as declared."""
    name, shape, dtype = facts
    if place >= model.BuffersLength():
        raise BadFile(f"{path}: tensor '{name}' lies in buffer {place}, which is not there")
    buffer = _there(model.Buffers(place))
    if buffer.Offset() > 1:
        raise BadFile(f"{path}: tensor '{name}' lies behind the tables of the file; not read")
    data = _row(buffer.DataAsNumpy())
    if len(data) == 0:
        return None
    if dtype not in TYPES.values():
        return data.reshape(-1)
    width = np.dtype(dtype).itemsize
    if len(data) != prod(shape) * width:
        raise BadFile(f"{path}: tensor '{name}' of shape {shape} and type {dtype} holds "
                      f"{len(data)} bytes, not {prod(shape) * width}")  # fmt: skip
    return data.view(np.dtype(dtype).newbyteorder("<")).reshape(shape)


def _there(table: T | None) -> T:
    """A table that every such file has."""
    if table is None:
        raise ValueError("a table is missing")
    return table


def _row(values: object) -> np.ndarray:
    """FlatBuffers' zero for an absent vector is an empty one."""
    return values if isinstance(values, np.ndarray) else np.zeros(0)


def _places(values: object) -> tuple[int, ...]:
    return tuple(int(v) for v in _row(values))
