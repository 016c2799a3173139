"""Layers with weights."""

import numpy as np
import tflite

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.ops.linear import Linear
from lipcert.read.constant import Constant, tensor
from lipcert.read.lower.convolution import convolved
from lipcert.read.lower.reshaping import reshaped
from lipcert.read.lower.window import Window, same_padding
from lipcert.read.tflite_view import Held, View, reads

EXACT = 2**53  # larger integers are not exact in float64


@reads("CONV_2D")
def conv(view: View) -> Held:
    """Kernels (out, height, width, in / groups)."""
    options = view.options(tflite.Conv2DOptions)
    weight = view.weights(1)
    if weight.values.ndim != 4:
        raise BadFile(f"has a kernel of shape {weight.values.shape}")
    channels = view.mapped(0).shape[0]
    groups = channels // max(1, weight.values.shape[3])
    kernel = Constant(weight.values.transpose(0, 3, 1, 2), weight.name, weight.error)
    return _convolved(view, options, kernel, groups)


@reads("DEPTHWISE_CONV_2D")
def depthwise_conv(view: View) -> Held:
    """Kernels (1, height, width, channels times multiplier), each on one channel."""
    options = view.options(tflite.DepthwiseConv2DOptions)
    weight = view.weights(1)
    if weight.values.ndim != 4 or weight.values.shape[0] != 1:
        raise BadFile(f"has a kernel of shape {weight.values.shape}")
    kernel = Constant(weight.values.transpose(3, 0, 1, 2), weight.name, weight.error)
    return _convolved(view, options, kernel, view.mapped(0).shape[0])


@reads("FULLY_CONNECTED")
def fully_connected(view: View) -> Held:
    """Weights (out, in) on the last axis, or on all axes as one."""
    options = view.options(tflite.FullyConnectedOptions)
    if options.WeightsFormat() != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise UnsupportedOp("has shuffled weights")
    weight, activation = view.weights(1), options.FusedActivationFunction()
    matrix, x, scope = weight.floats(), view.natural(0), view.before(activation)
    if matrix.ndim != 2 or not matrix.size:
        raise BadFile(f"has weights of shape {matrix.shape}")
    if not options.KeepNumDims() and len(x.shape) != 1:
        x = reshaped(scope, x, (int(np.prod(x.shape)),), "row")
    if not x.shape or x.shape[-1] != matrix.shape[1]:
        raise UnsupportedOp(f"multiplies a value of shape {x.shape} with weights {matrix.shape}")
    bias, error = _bias(view, len(matrix))
    op = Linear(tensor(matrix), tensor(bias), max(weight.error, error))
    return view.finished(scope.emit(op, x), False, activation)


def _convolved(
    view: View,
    options: tflite.Conv2DOptions | tflite.DepthwiseConv2DOptions,
    weight: Constant,
    groups: int,
) -> Held:
    """With kernels (out, in / groups, height, width)."""
    activation, x = options.FusedActivationFunction(), view.mapped(0)
    high, wide = weight.values.shape[2:]
    window = window_of(options, (high, wide), x.shape[1:])
    bias, error = _bias(view, len(weight.values))
    parts = (weight.floats(), bias, max(weight.error, error))
    return view.finished(
        convolved(view.before(activation), x, parts, window, groups), True, activation
    )


def window_of(
    options: tflite.Conv2DOptions | tflite.DepthwiseConv2DOptions | tflite.Pool2DOptions,
    kernel: tuple[int, int],
    sizes: tuple[int, ...],
) -> Window:
    """The window that the options of a convolution or pooling describe."""
    dilation = (1, 1)
    if not isinstance(options, tflite.Pool2DOptions):
        dilation = (options.DilationHFactor(), options.DilationWFactor())
    window = Window(kernel, (options.StrideH(), options.StrideW()), dilation, (0, 0), (0, 0))
    if options.Padding() not in (tflite.Padding.SAME, tflite.Padding.VALID):
        raise BadFile(f"has padding {options.Padding()}")
    same = options.Padding() == tflite.Padding.SAME
    return same_padding(window, sizes, upper=True) if same else window


def _bias(view: View, outputs: int) -> tuple[np.ndarray, float]:
    """Numbers, or integers in units of the product of the two scales; and their relative error."""
    if not view.has(2):
        return np.zeros(outputs), 0.0
    stored, x, weight = view.stored(2), view.held(0).stored, view.stored(1)
    found = stored.constant()
    if x.coded:
        if stored.dtype not in ("int32", "int64") or (np.abs(found.values) > EXACT).any():
            raise UnsupportedOp(f"has a bias of type {stored.dtype}")
        unit = Constant(x.scale, x.name).times(Constant(weight.scale, weight.name))
        found = found.times(unit)
    elif stored.dtype not in ("float32", "float64"):
        raise UnsupportedOp(f"has a bias of type {stored.dtype}")
    bias = found.floats()
    if bias.shape != (outputs,):
        raise BadFile(f"bias of shape {bias.shape} does not fit {outputs} outputs")
    return bias, found.error
