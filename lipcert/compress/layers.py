"""The layers of an ONNX file whose weights can become codes, and why the others stay float."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lipcert.compress.codes import WIDTHS, Weight, Widths

KINDS = ("Conv", "Gemm", "MatMul")
FLOAT_BITS = 32
WIDTH_BITS, ONE_WIDTH_BITS = 2, 8  # of one channel's width in a list, of what all channels have


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A Conv, Gemm or MatMul node with a weight of its own.

    Args:
        name: as `LayerGraph` names it.
        tensor: the weight's name in the file.
        weight: float32, as stored.
        axis: of the weight, its output channels.
        fused: whether ONNX Runtime by default makes a MatMulNBits of it and its codes, which
            rounds activations to 8 bits as well.
    """

    name: str
    tensor: str
    weight: Weight
    axis: int
    fused: bool

    @property
    def channels(self) -> int:
        """Output channels: one scale each."""
        return self.weight.shape[self.axis]

    def size(self, widths: Widths) -> int:
        """Bits of the weight's codes, their scales, and their widths.

        A byte tells the width of all channels, or that a list of their widths follows.
        """
        per_channel = self.weight.size // self.channels
        listed = WIDTH_BITS * self.channels if len(np.unique(widths)) > 1 else 0
        rest = ONE_WIDTH_BITS + listed + FLOAT_BITS * self.channels
        return per_channel * int(widths.sum()) + rest

    def everywhere(self, width: int) -> Widths:
        """The same bits in every channel."""
        return np.full(self.channels, width)


@dataclass(frozen=True, slots=True)
class Kept:
    """A layer that stays float.

    Args:
        name: as `LayerGraph` names it.
        reason: why, to be read after its name.
    """

    name: str
    reason: str


def layers_of(model: ModelProto) -> tuple[tuple[Layer, ...], tuple[Kept, ...]]:
    """Layers that can be quantised and layers that stay float, in the file's order."""
    tensors = stored(model)
    found = [_layer(node, tensors, model) for node in model.graph.node if _matters(node)]
    layers = tuple(layer for layer in found if isinstance(layer, Layer))
    return layers, tuple(kept for kept in found if isinstance(kept, Kept))


def stored(model: ModelProto) -> Mapping[str, TensorProto]:
    """Every tensor of the file under its name: initialisers and values of Constant nodes."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and [a.name for a in node.attribute] == ["value"]:
            tensors[node.output[0]] = node.attribute[0].t
    return tensors


def _matters(node: NodeProto) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in KINDS


def _layer(node: NodeProto, tensors: Mapping[str, TensorProto], model: ModelProto) -> Layer | Kept:
    """The node as a layer, or why it stays float."""
    name, tensor = node.name or node.output[0], node.input[1]
    if tensor not in tensors:
        return Kept(name, "its weight is computed in the file")
    if tensors[tensor].data_type != TensorProto.FLOAT:
        return Kept(name, "its weight is not float32")
    readers = sum(list(reader.input).count(tensor) for reader in model.graph.node)
    if readers > 1 or tensor in {value.name for value in model.graph.output}:
        return Kept(name, f"its weight '{tensor}' is shared")
    weight = numpy_helper.to_array(tensors[tensor])
    if node.op_type != "Conv" and weight.ndim != 2:
        return Kept(name, f"its weight has {weight.ndim} axes")
    axis = _axis(node)
    layer = Layer(name, tensor, weight, axis, fused=node.op_type != "Conv" and axis == 1)
    if layer.size(layer.everywhere(max(WIDTHS))) >= FLOAT_BITS * weight.size:
        return Kept(name, "its codes and scales would take more than its floats")
    return layer


def _axis(node: NodeProto) -> int:
    """The axis of output channels."""
    if node.op_type == "Conv":
        return 0
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return 0 if attributes.get("transB", 0) else 1


def in_bytes(bits: int) -> int:
    """Whole bytes that hold some bits."""
    return -(-bits // 8)
