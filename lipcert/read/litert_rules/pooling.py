"""Averages and maxima."""

from math import prod

import tflite

from lipcert.errors import BadFile
from lipcert.integer.litert.kernels import Kernel
from lipcert.integer.litert.pooling import AveragePool, MaxPool, Mean, counts
from lipcert.integer.window import Window
from lipcert.read.litert_call import Call, computes
from lipcert.read.tflite_rules.layer import window_of


@computes("AVERAGE_POOL_2D")
def average_pool(call: Call) -> Kernel:
    """Of what lies in the map."""
    window, activation = _window(call)
    return AveragePool(window, counts(window, call.tensor(0).shape[1:3]), call.target(activation))


@computes("MAX_POOL_2D")
def max_pool(call: Call) -> Kernel:
    """Padding never wins."""
    window, activation = _window(call)
    return MaxPool(window, call.target(activation))


@computes("MEAN")
def mean(call: Call) -> Kernel:
    """Over constant axes."""
    shape, axes = call.tensor(0).shape, call.constant(1).reshape(-1)
    keep = bool(call.operator.table(tflite.ReducerOptions).KeepDims())
    places = tuple(sorted({int(axis) % len(shape) for axis in axes}))
    if not places or 0 in places:
        raise BadFile(f"runs over axes {axes} of {len(shape)}")
    count = prod(shape[place] for place in places)
    return Mean(places, keep, count, call.grid(0), call.target())


def _window(call: Call) -> tuple[Window, int]:
    """The window, and the fused activation."""
    call.same_grid()
    options = call.operator.table(tflite.Pool2DOptions)
    size = (options.FilterHeight(), options.FilterWidth())
    found = window_of(options, size, call.tensor(0).shape[1:3])
    window = Window(found.kernel, found.stride, found.dilation, found.before, found.after)
    return window, options.FusedActivationFunction()
