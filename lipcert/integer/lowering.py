"""Operations made of stored codes, for any spelling of them in a file."""

from dataclasses import dataclass

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.integer.encoding import Encoding
from lipcert.integer.program import Convolution, Dense, Operation, Reshape, Weights
from lipcert.integer.values import Decoded, Encoded, NodeView, StoredCodes, Value
from lipcert.integer.window import Sizes, Window

NEAR = 2.0**-20  # relative; bias scales are products, rounded in one way or another
WEIGHT_TYPES = ("int4", "uint4", "int8", "uint8")


@dataclass(frozen=True, slots=True, eq=False)
class Factors:
    """What a product is made of.

    Args:
        source: encoding of the activation.
        weights: as stored.
        bias: in units of input scale times weight scale, if there is one.
        shifted: whether runtimes turn signed activations into unsigned ones first, as ONNX
            Runtime does in QDQ files on x86; only unsigned times signed adds pairs at 16 bits.
    """

    source: Encoding
    weights: StoredCodes
    bias: StoredCodes | None
    shifted: bool

    @property
    def narrow(self) -> bool:
        """Whether a kernel without VNNI adds pairs of these products at 16 bits."""
        signed = self.weights.codes.dtype == np.int8
        return signed and (self.shifted or self.source.lowest == 0)


def dense(factors: Factors, transposed: bool) -> Dense:
    """A product with a matrix stored (inputs, outputs), or (outputs, inputs) if transposed."""
    stored = factors.weights
    if stored.codes.ndim != 2:
        raise UnsupportedOp(f"multiplies with '{stored.name}' of {stored.codes.ndim} axes")
    return Dense(_weights(factors, 0 if transposed else 1), factors.narrow)


def convolution(view: NodeView, factors: Factors) -> Convolution:
    """A convolution with stored weights (outputs, inputs per group, *kernel)."""
    stored = factors.weights
    kernel = stored.codes.shape[2:]
    rank = len(kernel)
    if rank not in (1, 2) or view.integers("kernel_shape", kernel) != kernel:
        raise UnsupportedOp(f"has a kernel of shape {kernel}")
    pads = view.integers("pads", (0,) * (2 * rank))
    ones = (1,) * rank
    window = Window(
        kernel,
        view.integers("strides", ones),
        view.integers("dilations", ones),
        pads[:rank],
        pads[rank:],
    )
    groups = view.integer("group", 1)
    if groups < 1 or stored.codes.shape[0] % groups:
        raise BadFile(f"{stored.codes.shape[0]} channels do not form {groups} groups")
    weights = _weights(factors, 0)
    depthwise = stored.codes.shape[1] == 1 and groups == weights.outputs
    return Convolution(weights, factors.narrow and not depthwise, window, groups)


def _weights(factors: Factors, axis: int) -> Weights:
    source, stored = factors.source, factors.weights
    if not source.bytes_wide:
        raise UnsupportedOp("multiplies codes that are no bytes")
    name = stored.codes.dtype.name
    if name not in WEIGHT_TYPES:
        raise UnsupportedOp(f"has weights of type {name}")
    scale, zero = stored.spread(axis)
    codes = np.moveaxis(stored.codes.astype(np.int64), axis, 0)
    bias = _bias_codes(source, scale, factors.bias)
    return Weights(codes, zero, scale, bias)


def _bias_codes(source: Encoding, scale: np.ndarray, bias: StoredCodes | None) -> np.ndarray:
    """Integers in units of the accumulator."""
    if bias is None:
        return np.zeros(len(scale), dtype=np.int64)
    if bias.codes.dtype != np.int32 or bias.zero_point.any():
        raise UnsupportedOp(f"bias '{bias.name}' is not made of int32 codes around zero")
    if bias.codes.size not in (1, len(scale)):
        raise UnsupportedOp(f"bias '{bias.name}' has shape {bias.codes.shape}")
    unit = source.scale * scale.astype(np.float64)
    if (np.abs(bias.scale.astype(np.float64) - unit) > NEAR * unit).any():
        raise UnsupportedOp(
            f"the scale of bias '{bias.name}' is not the input's times the weights'"
        )
    return np.broadcast_to(bias.codes.astype(np.int64).reshape(-1), len(scale))


def pool_window(view: NodeView) -> Window:
    """The window of a pooling node."""
    kernel = view.integers("kernel_shape", ())
    rank = len(kernel)
    ones = (1,) * rank
    pads = view.integers("pads", (0,) * (2 * rank))
    return Window(kernel, view.integers("strides", ones), ones, pads[:rank], pads[rank:])


def flat(view: NodeView) -> Value:
    """All axes but the batch's into one."""
    return _moved(view, Reshape((-1,)))


def reshaped(view: NodeView) -> Value:
    """Another shape behind the same batch axis."""
    target = [int(v) for v in view.constant(1).reshape(-1)]
    fixed = view.batch or 0
    if not target or target[0] not in (0, -1, fixed) or 0 in target[1:]:
        raise UnsupportedOp(f"reshapes to {target}, which does not keep the batch axis first")
    rest: Sizes = tuple(target[1:])
    return _moved(view, Reshape(rest or ()))


def _moved(view: NodeView, operation: Operation) -> Value:
    """Codes or their values, rearranged; the encoding stays."""
    value = view.value(0)
    if not isinstance(value, Decoded | Encoded):
        raise UnsupportedOp("moves a value that is not quantised")
    encoding = view.steps.encoding(value.step)
    return type(value)(view.steps.add(view.name, operation, (value.step,), encoding))
