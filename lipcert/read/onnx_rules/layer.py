"""Layers with weights."""

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.linear import Linear
from lipcert.read.constant import Constant, tensor
from lipcert.read.lower.convolution import convolved
from lipcert.read.lower.scaling import fitted, normalised
from lipcert.read.lower.window import Window, same_padding
from lipcert.read.onnx_view import View, reads


@reads("Gemm", transA=(0,))
def gemm(view: View) -> Node:
    """Alpha x B + beta C."""
    x, stored = view.activation(0), view.constant(1)
    stored = _times(stored, view.number("alpha", 1.0))
    weight: np.ndarray = stored.floats() if view.integer("transB", 0) else stored.floats().T
    if len(x.shape) != 1 or weight.ndim != 2 or weight.shape[1] != x.shape[0]:
        raise BadFile(f"weight of shape {stored.values.shape} does not fit a value of {x.shape}")
    given = view.optional(2) or Constant(np.zeros(1), "")
    given = _times(given, view.number("beta", 1.0))
    rows = weight.shape[0]
    bias = np.broadcast_to(fitted(given.floats(), (rows,), "bias"), (rows,))
    error = max(stored.error, given.error)
    return view.scope.emit(Linear(tensor(weight), tensor(bias), error), x)


@reads("MatMul")
def matmul(view: View) -> Node:
    """Product with a constant matrix on the right."""
    x, stored = view.activation(0), view.constant(1)
    weight = stored.floats()
    if weight.ndim > 2 and all(size == 1 for size in weight.shape[:-2]):
        weight = weight.squeeze(tuple(range(weight.ndim - 2)))
    if weight.ndim != 2 or not x.shape:
        raise UnsupportedOp(f"multiplies with a constant of shape {stored.values.shape}")
    if weight.shape[0] != x.shape[-1]:
        raise BadFile(f"weight of shape {weight.shape} does not fit a value of shape {x.shape}")
    bias = np.zeros(weight.shape[1])
    return view.scope.emit(Linear(tensor(weight.T), tensor(bias), stored.error), x)


@reads("Conv", auto_pad=("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"))
def conv(view: View) -> Node:
    """Over one or two axes."""
    x, weight, bias = view.activation(0), view.constant(1), view.optional(2)
    kernel = weight.values.shape[2:]
    if view.integers("kernel_shape") not in (None, kernel):
        raise BadFile(f"kernel_shape differs from that of the weight {weight.values.shape}")
    error = max(weight.error, bias.error if bias is not None else 0.0)
    parts = (weight.floats(), None if bias is None else bias.floats(), error)
    window = window_of(view, kernel, x.shape[1:])
    return convolved(view.scope, x, parts, window, view.integer("group", 1))


@reads("BatchNormalization", training_mode=(0,))
def batch_normalization(view: View) -> Node:
    """Of stored statistics."""
    x = view.activation(0)
    stored = [view.constant(place) for place in range(1, 5)]
    if any(s.error for s in stored) or not x.shape:
        raise UnsupportedOp("has computed statistics")
    gamma, beta, mean, variance = (s.floats() for s in stored)
    epsilon = view.number("epsilon", float(np.float32(1e-5)))
    return normalised(view.scope, x, (gamma, beta, mean, variance), epsilon)


def window_of(view: View, kernel: tuple[int, ...], sizes: tuple[int, ...]) -> Window:
    """The window that the attributes of a convolution or pooling describe.

    Raises:
        UnsupportedOp: SAME where ONNX Runtime does otherwise than the standard: it overlooks the
            dilations of a pool, and crops in front where strides leave entries over.
    """
    rank = len(kernel)
    if rank != len(sizes):
        raise BadFile(f"a kernel over {rank} axes does not slide over {len(sizes)}")
    pads = view.integers("pads") or (0,) * (2 * rank)
    if len(pads) != 2 * rank:
        raise BadFile(f"has {len(pads)} pads for {rank} axes")
    automatic = view.text("auto_pad", "NOTSET")
    if automatic != "NOTSET":
        pads = (0,) * (2 * rank)
    window = Window(
        kernel,
        view.integers("strides") or (1,) * rank,
        view.integers("dilations") or (1,) * rank,
        pads[:rank],
        pads[rank:],
        bool(view.integer("ceil_mode", 0)) and automatic == "NOTSET",
    )
    if automatic.startswith("SAME"):
        if "Pool" in view.proto.op_type and set(window.dilation) != {1}:
            raise UnsupportedOp(f"has auto_pad={automatic} and dilations; give its pads instead")
        if min(window.missing(sizes)) < -1:
            raise UnsupportedOp(f"has auto_pad={automatic} and entries that no window reads")
        return same_padding(window, sizes, automatic == "SAME_UPPER")
    return window


def _times(stored: Constant, factor: float) -> Constant:
    """Multiplied by an attribute, which is a float32 number."""
    return stored if factor == 1 else stored.times(Constant(np.array(factor), "its factor"))
