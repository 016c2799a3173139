"""Layers with weights."""

import numpy as np
import tflite

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.integer.litert.kernels import InDouble, Kernel, Scaled, multiplier
from lipcert.integer.litert.product import Product
from lipcert.integer.window import Window
from lipcert.read.litert_call import Call, computes
from lipcert.read.tflite_file import Stored
from lipcert.read.tflite_rules.layer import window_of


@computes("CONV_2D")
def conv(call: Call) -> Kernel:
    """Weights (out, height, width, in / groups)."""
    options = call.operator.table(tflite.Conv2DOptions)
    return _sliding(call, options, call.constant(1), 0)


@computes("DEPTHWISE_CONV_2D")
def depthwise_conv(call: Call) -> Kernel:
    """Weights (1, height, width, out), turned to (out, height, width, 1)."""
    options = call.operator.table(tflite.DepthwiseConv2DOptions)
    return _sliding(call, options, np.moveaxis(call.constant(1), -1, 0)[..., None][:, 0], 3)


@computes("FULLY_CONNECTED")
def fully_connected(call: Call) -> Kernel:
    """Weights (out, in)."""
    options = call.operator.table(tflite.FullyConnectedOptions)
    if options.WeightsFormat() != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise UnsupportedOp("has shuffled weights")
    return _product(call, call.constant(1), 0, (None, options.FusedActivationFunction()))


def _sliding(
    call: Call,
    options: tflite.Conv2DOptions | tflite.DepthwiseConv2DOptions,
    weights: np.ndarray,
    axis: int,
) -> Kernel:
    if weights.ndim != 4 or len(call.tensor(0).shape) != 4:
        raise BadFile(f"has a kernel of shape {call.tensor(1).shape}")
    found = window_of(options, weights.shape[1:3], call.tensor(0).shape[1:3])
    window = Window(found.kernel, found.stride, found.dilation, found.before, found.after)
    return _product(call, weights, axis, (window, options.FusedActivationFunction()))


def _product(
    call: Call,
    weights: np.ndarray,
    axis: int,
    facts: tuple[Window | None, int],
) -> Product:
    """Weights (out, ...), whose scales lie along `axis` of the stored tensor."""
    window, activation = facts
    source, target = call.grid(0), call.target(activation)
    unit = source.scale * _scales(call.tensor(1), weights, axis)
    factor = unit / target.scale
    fixed = Scaled(multiplier(factor, factor, 0), target)
    scaled = InDouble(factor, target) if window is None else fixed
    bias = _bias(call, len(weights))
    whole = weights.astype(np.int64)
    return Product(whole, bias, source.zero_point, window, call.output.shape[1:], unit, scaled)


def _scales(stored: Stored, weights: np.ndarray, axis: int) -> np.ndarray:
    """One per output, or one for all."""
    if stored.dtype != "int8" or not stored.coded or stored.zero_point.any():
        raise UnsupportedOp(f"has weights '{stored.name}' that are no int8 codes around zero")
    scale = stored.scale.astype(np.float64)
    if scale.size != 1 and (scale.size != len(weights) or stored.axis != axis):
        raise UnsupportedOp(f"has {scale.size} scales along axis {stored.axis} of its weights")
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise BadFile("a weight scale is not a positive number")
    return scale


def _bias(call: Call, outputs: int) -> np.ndarray:
    """Whole numbers in units of the accumulator."""
    if len(call.inputs) < 3 or call.inputs[2] is None:
        return np.zeros(outputs, dtype=np.int64)
    stored = call.constant(2)
    if stored.dtype != np.int32 or stored.shape != (outputs,):
        raise UnsupportedOp(f"has a bias of type {stored.dtype} and shape {stored.shape}")
    return stored.astype(np.int64)
