"""Float operators between DequantizeLinear and QuantizeLinear."""

import numpy as np

from lipcert.errors import UnsupportedOp
from lipcert.integer.encoding import Encoding
from lipcert.integer.lowering import Factors, convolution, dense, flat, pool_window, reshaped
from lipcert.integer.program import Addition, Average, Operation, Quantise, Recode
from lipcert.integer.values import (
    Decoded,
    Encoded,
    NodeView,
    Pending,
    Source,
    Stored,
    StoredCodes,
    Value,
    reads,
)


@reads("", "QuantizeLinear", block_size=0, saturate=1)
def quantize_linear(view: NodeView) -> Value:
    """Ends a kernel, or makes codes of the input or of other codes' values."""
    value, zero = view.value(0), view.zero_point(2)
    if isinstance(value, Stored):
        return _constant_codes(view, value, zero)
    scale = view.constant(1)
    if scale.dtype != np.float32:
        raise UnsupportedOp(f"has a scale of type {scale.dtype}")
    encoding = Encoding.of(scale, zero)
    if isinstance(value, Source):
        return Encoded(view.steps.add(view.name, Quantise(), (), encoding))
    if isinstance(value, Decoded):
        if view.steps.encoding(value.step) == encoding:
            return Encoded(value.step)
        return Encoded(view.steps.add(view.name, Recode(), (value.step,), encoding))
    if not isinstance(value, Pending):
        raise UnsupportedOp("quantises no value of a known operator")
    floor = encoding.zero_point if value.rectified else encoding.lowest
    step = view.steps.rectified(value.name, value.operation, value.inputs, encoding, floor)
    return Encoded(step)


def _constant_codes(view: NodeView, value: Stored, zero: np.ndarray) -> Stored:
    """Codes of stored float weights."""
    scale = view.constant(1)
    axis = view.integer("axis", 1)
    held = StoredCodes(value.values, scale, zero, axis, value.name)
    rank = value.values.ndim
    shape = [-1 if k == axis % max(rank, 1) else 1 for k in range(rank)]
    steps = scale.reshape(shape) if scale.size > 1 else scale.reshape(())
    zeros = held.zero_point.astype(np.float32)
    zeros = zeros.reshape(shape) if zeros.size > 1 else zeros.reshape(())
    codes = np.rint(value.values.astype(np.float32) / steps) + zeros
    limits = np.iinfo(zero.dtype)
    return Stored(np.clip(codes, limits.min, limits.max).astype(zero.dtype), value.name)


@reads("", "DequantizeLinear", block_size=0)
def dequantize_linear(view: NodeView) -> Value:
    """The values of codes, with the codes' own scale and zero point."""
    value = view.value(0)
    if isinstance(value, Stored):
        zero = view.constant(2) if view.value(2) is not None else np.zeros((), np.int64)
        axis = view.integer("axis", 1)
        return StoredCodes(value.values, view.constant(1), zero, axis, value.name)
    step = view.encoded(0)
    encoding = Encoding.of(view.constant(1), view.zero_point(2))
    if encoding != view.steps.encoding(step):
        raise UnsupportedOp("has another scale or zero point than the codes it reads")
    return Decoded(step)


@reads("", "Conv", auto_pad=b"NOTSET")
def conv(view: NodeView) -> Value:
    """Stored weights only."""
    source = view.decoded(0)
    operation = convolution(view, _factors(view, source))
    return Pending(operation, (source,), False, view.name)


@reads("", "Gemm", alpha=1.0, beta=1.0, transA=0)
def gemm(view: NodeView) -> Value:
    """Stored weights only."""
    source = view.decoded(0)
    operation = dense(_factors(view, source), bool(view.integer("transB", 0)))
    return Pending(operation, (source,), False, view.name)


@reads("", "MatMul")
def matmul(view: NodeView) -> Value:
    """An activation times stored weights."""
    source = view.decoded(0)
    operation = dense(_factors(view, source), transposed=False)
    return Pending(operation, (source,), False, view.name)


def _factors(view: NodeView, source: str) -> Factors:
    """Weights from the second input, a bias from the third."""
    weights = _stored(view, 1)
    bias = None if view.value(2) is None else _stored(view, 2)
    return Factors(view.steps.encoding(source), weights, bias, shifted=True)


def _stored(view: NodeView, place: int) -> StoredCodes:
    value = view.value(place)
    if not isinstance(value, StoredCodes):
        raise UnsupportedOp(f"input {place} holds no quantised constant")
    return value


@reads("", "Add")
def add(view: NodeView) -> Value:
    """Two activations."""
    return Pending(Addition(), (view.decoded(0), view.decoded(1)), False, view.name)


@reads("", "AveragePool", auto_pad=b"NOTSET", ceil_mode=0, dilations=[1, 1])
def average_pool(view: NodeView) -> Value:
    """With or without the padding."""
    counts = bool(view.integer("count_include_pad", 0))
    operation: Operation = Average(pool_window(view), counts)
    return Pending(operation, (view.decoded(0),), False, view.name)


@reads("", "GlobalAveragePool")
def global_average_pool(view: NodeView) -> Value:
    """Over all axes but batch and channels."""
    return Pending(Average(None), (view.decoded(0),), False, view.name)


@reads("", "Relu")
def relu(view: NodeView) -> Value:
    """Part of the kernel in front of it."""
    value = view.value(0)
    if isinstance(value, Pending):
        return value.relu()
    if isinstance(value, Decoded):
        source = view.steps.encoding(value.step)
        step = view.steps.rectified(view.name, Recode(), (value.step,), source, source.zero_point)
        return Decoded(step)
    raise UnsupportedOp("rectifies no value of a known operator")


@reads("", "Identity", "Dropout")
def identity(view: NodeView) -> Value:
    """Its input."""
    value = view.value(0)
    if value is None:
        raise UnsupportedOp("has no input")
    return value


@reads("", "Flatten", axis=1)
def flatten(view: NodeView) -> Value:
    """All axes but the batch's into one."""
    return flat(view)


@reads("", "Reshape", allowzero=0)
def reshape(view: NodeView) -> Value:
    """The batch axis stays."""
    return reshaped(view)
