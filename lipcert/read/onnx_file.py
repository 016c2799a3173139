"""ONNX files opened without trust: sizes are compared with bytes before anything is converted."""

from math import prod
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, numpy_helper

from lipcert.errors import BadFile
from lipcert.read.constant import Constant
from lipcert.read.file_bytes import regular_bytes

OLDEST_OPSET = 11
LARGEST_FILE = 2**31  # protobuf's own limit
BITS: dict[int, int] = {
    TensorProto.FLOAT: 32, TensorProto.UINT8: 8, TensorProto.INT8: 8, TensorProto.UINT16: 16,
    TensorProto.INT16: 16, TensorProto.INT32: 32, TensorProto.INT64: 64, TensorProto.BOOL: 8,
    TensorProto.FLOAT16: 16, TensorProto.DOUBLE: 64, TensorProto.UINT32: 32,
    TensorProto.UINT64: 64, TensorProto.BFLOAT16: 16, TensorProto.UINT4: 4, TensorProto.INT4: 4,
}  # fmt: skip
FIELDS: dict[int, str] = {
    TensorProto.FLOAT: "float_data", TensorProto.DOUBLE: "double_data",
    TensorProto.INT64: "int64_data", TensorProto.UINT32: "uint64_data",
    TensorProto.UINT64: "uint64_data",
}  # fmt: skip


def open_model(path: Path) -> tuple[ModelProto, int]:
    """The parsed file and its opset; external data are not read yet."""
    try:
        model = ModelProto.FromString(regular_bytes(path, LARGEST_FILE))
    except DecodeError as error:
        raise BadFile(f"{path}: not an ONNX file, or a truncated one ({error})") from error
    if not model.graph.node or not model.graph.output:
        raise BadFile(f"{path}: not an ONNX file, or an empty one: it holds no graph")
    opsets = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if len(opsets) != 1 or not OLDEST_OPSET <= opsets[0] <= newest:
        found = ", ".join(map(str, opsets)) or "none"
        raise BadFile(
            f"{path}: needs one ONNX opset between {OLDEST_OPSET} and {newest}, has {found}; "
            "convert it with onnx.version_converter"
        )
    if model.graph.sparse_initializer:
        raise BadFile(f"{path}: sparse initialisers are not read; store them dense")
    return model, opsets[0]


def constant_of(proto: TensorProto, path: Path) -> Constant:
    """The tensor's values, once its declared size is known to be that of its bytes."""
    where = f"{path}: tensor '{proto.name}'"
    if proto.data_type not in BITS:
        raise BadFile(f"{where} has element type {proto.data_type}, which is not read")
    if any(d < 0 for d in proto.dims):
        raise BadFile(f"{where} has a negative axis: {list(proto.dims)}")
    if proto.HasField("segment"):
        raise BadFile(f"{where} is stored in segments, which are not read")
    count = prod(proto.dims)
    expected = (count * BITS[proto.data_type] + 7) // 8
    if proto.data_location == TensorProto.EXTERNAL:
        local = TensorProto(dims=proto.dims, data_type=proto.data_type, name=proto.name)
        local.raw_data = _external(proto, path, expected)
        return Constant(numpy_helper.to_array(local), proto.name)
    field = FIELDS.get(proto.data_type, "int32_data")
    if proto.HasField("raw_data"):
        held, unit = len(proto.raw_data), "bytes"
    else:
        packed = BITS[proto.data_type] == 4
        held, unit = len(getattr(proto, field)), "values"
        expected = (count + 1) // 2 if packed else count
    if held != expected:
        raise BadFile(f"{where} of shape {list(proto.dims)} holds {held} {unit}, not {expected}")
    try:
        return Constant(np.asarray(numpy_helper.to_array(proto)), proto.name)
    except (ValueError, OverflowError) as error:
        raise BadFile(f"{where} cannot be converted: {error}") from error


def _external(proto: TensorProto, path: Path, expected: int) -> bytes:
    """Bytes beside the model, never from outside its folder."""
    where = f"{path}: tensor '{proto.name}'"
    facts = {entry.key: entry.value for entry in proto.external_data}
    folder = path.parent.resolve()
    location = facts.get("location", "")
    if not location or "\0" in location or Path(location).is_absolute():
        raise BadFile(f"{where} has its data at '{location}', which is no relative file name")
    target = (folder / location).resolve()
    if not target.is_relative_to(folder):
        raise BadFile(f"{where} has its data at '{location}', outside the model's folder")
    try:
        offset, length = int(facts.get("offset", "0")), int(facts.get("length", str(expected)))
    except ValueError as error:
        raise BadFile(f"{where} has an offset or length that is no number") from error
    if offset < 0 or length != expected:
        raise BadFile(f"{where} needs {expected} bytes, its data are said to have {length}")
    return regular_bytes(target, None, offset, length)
