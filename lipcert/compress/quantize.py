"""ONNX files whose weights are codes: a DequantizeLinear makes each weight again.

Codes of 5 to 8 bits are stored as INT8, of up to 4 bits as INT4: there is no narrower type that
runtimes commonly read. Activations, biases and everything else stay as they are.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lipcert.compress.codes import Coded
from lipcert.errors import LipcertError
from lipcert.read.onnx import read_onnx
from lipcert.read.onnx_file import constant_of, open_model

OPSET, IR = 21, 10  # the first that have INT4
PER_CHANNEL = 13  # the first opset with scales along an axis
NARROW = 4
CONVERSION = (
    RuntimeError,
    onnx.version_converter.ConvertError,
    onnx.shape_inference.InferenceError,
    onnx.checker.ValidationError,
)  # what the converter raises at operators that it does not know
RUNTIME = "com.microsoft"  # has DequantizeLinear for INT4 at any opset


def opened(path: Path) -> ModelProto:
    """The file with all its data inside, at an opset that has INT4 where that is possible.

    Raises:
        BadFile: if it is malformed, truncated or unsafe to read.
    """
    model, opset = open_model(path)
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            tensor.CopyFrom(numpy_helper.from_array(constant_of(tensor, path).values, tensor.name))
    return model if opset >= OPSET else _raised(model)


def _raised(model: ModelProto) -> ModelProto:
    """The same network at the opset that has INT4; as it is where the converter changes it."""
    try:
        raised = onnx.version_converter.convert_version(model, OPSET)
        same = _hash(raised) == _hash(model)
    except (*CONVERSION, LipcertError):
        return model
    return raised if same else model


def _hash(model: ModelProto) -> str:
    """Of the network as it is read."""
    with TemporaryDirectory() as folder:
        return read_onnx(written(model, Path(folder) / "model.onnx")).content_hash()


def quantised(model: ModelProto, weights: Mapping[str, Coded]) -> ModelProto:
    """A copy of the model whose named weights are codes.

    Args:
        model: with all its data inside.
        weights: codes of weight tensors, under the tensors' names.
    """
    made = ModelProto()
    made.CopyFrom(model)
    del made.graph.initializer[:], made.graph.input[:], made.graph.node[:]
    domain, taken = _domain(made, weights), _names(model)
    for name, coded in weights.items():
        tensors, node = _parts(name, coded, taken)
        node.domain = domain
        made.graph.initializer.extend(tensors)
        made.graph.node.append(node)
    made.graph.initializer.extend(t for t in model.graph.initializer if t.name not in weights)
    made.graph.input.extend(value for value in model.graph.input if value.name not in weights)
    made.graph.node.extend(n for n in model.graph.node if not weights.keys() & set(n.output))
    return made


def written(model: ModelProto, path: Path) -> Path:
    """The path, once the model is there."""
    path.write_bytes(model.SerializeToString())
    return path


def _domain(model: ModelProto, weights: Mapping[str, Coded]) -> str:
    """Where the DequantizeLinear that is needed lives; declared in the model."""
    (own,) = (o for o in model.opset_import if o.domain in ("", "ai.onnx"))
    narrow = any(coded.bits <= NARROW for coded in weights.values())
    model.ir_version = max(model.ir_version, IR if narrow else 0)
    if own.version >= (OPSET if narrow else PER_CHANNEL):
        return ""
    if RUNTIME not in {o.domain for o in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(RUNTIME, 1))
    return RUNTIME


def _names(model: ModelProto) -> set[str]:
    """Every tensor's name."""
    made = {name for node in model.graph.node for name in node.output}
    return made | {value.name for value in (*model.graph.input, *model.graph.initializer)}


def _parts(name: str, coded: Coded, taken: set[str]) -> tuple[list[TensorProto], NodeProto]:
    """Codes, scales and zero points of a weight, and the node that makes it of them."""
    names = [_unused(f"{name}_{part}", taken) for part in ("quantized", "scale", "zero_point")]
    zeros = np.zeros(len(coded.scale), np.int8)
    tensors = [
        _integers(names[0], coded.codes, coded.bits),
        numpy_helper.from_array(coded.scale, names[1]),
        _integers(names[2], zeros, coded.bits),  # some runtimes refuse scales without them
    ]
    label = f"{name}_DequantizeLinear"
    node = helper.make_node("DequantizeLinear", names, [name], label, axis=coded.axis)
    return tensors, node


def _unused(name: str, taken: set[str]) -> str:
    """The name, longer where the file has it already."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _integers(name: str, codes: np.ndarray, bits: int) -> TensorProto:
    """As INT8, or as INT4 packed in pairs, the first in the low half of a byte."""
    if bits > NARROW:
        return numpy_helper.from_array(codes, name)
    halves = np.zeros(codes.size + codes.size % 2, np.uint8)
    halves[: codes.size] = codes.reshape(-1).astype(np.uint8) & 15
    packed = halves[::2] | halves[1::2] << 4
    return TensorProto(
        name=name, data_type=TensorProto.INT4, dims=codes.shape, raw_data=packed.tobytes()
    )
