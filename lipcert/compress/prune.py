"""Weights of least magnitude set to zero."""

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from onnx import ModelProto, numpy_helper

from lipcert.compress.codes import Weight
from lipcert.compress.layers import Layer
from lipcert.errors import BadInput


def pruned(weight: Weight, share: float) -> Weight:
    """A copy in which the given share of its entries, those of least magnitude, is zero.

    Args:
        weight: finite, any float dtype.
        share: from 0 to 1; the number of zeros is rounded down, ties go to the first entries.
    """
    if not 0 <= share <= 1:
        raise BadInput(f"prune: the share of zeros must lie between 0 and 1, got {share}")
    least = np.abs(weight).reshape(-1).argsort(kind="stable")
    count = int(Fraction(repr(share)) * weight.size)  # 0.29 of 100 are 29
    made = weight.reshape(-1).copy()
    made[least[:count]] = 0
    return made.reshape(weight.shape)


def sparse(model: ModelProto, layers: Mapping[str, Layer], share: float) -> ModelProto:
    """A copy of the model in which each layer's weight is pruned.

    Args:
        model: with all its data inside.
        layers: under the names of their weight tensors.
        share: of zeros in each of them.
    """
    made = ModelProto()
    made.CopyFrom(model)
    for tensor in made.graph.initializer:
        if tensor.name in layers:
            weight = pruned(layers[tensor.name].weight, share)
            tensor.CopyFrom(numpy_helper.from_array(weight, tensor.name))
    for node in made.graph.node:
        if node.op_type == "Constant" and node.output[0] in layers:
            weight = pruned(layers[node.output[0]].weight, share)
            node.attribute[0].t.CopyFrom(numpy_helper.from_array(weight))
    return made
