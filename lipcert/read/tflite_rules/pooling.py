"""Pooling and means."""

import tflite

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.read.lower.pooling import average_pooled, max_pooled, reduced
from lipcert.read.tflite_grid import NONE
from lipcert.read.tflite_rules.layer import window_of
from lipcert.read.tflite_view import Held, View, reads


@reads("AVERAGE_POOL_2D")
def average_pool(view: View) -> Held:
    """Of what lies in the map; codes keep their scale."""
    options, x = view.options(tflite.Pool2DOptions), view.mapped(0)
    if not view.output.same_grid(view.held(0).stored):
        raise UnsupportedOp("averages codes of one scale to codes of another")
    window = window_of(options, (options.FilterHeight(), options.FilterWidth()), x.shape[1:])
    activation = options.FusedActivationFunction()
    y = average_pooled(view.before(activation), x, window, False)
    return view.finished(y, True, activation)


@reads("MAX_POOL_2D")
def max_pool(view: View) -> Held:
    """Padding never wins; codes keep their scale."""
    options, x, source = view.options(tflite.Pool2DOptions), view.mapped(0), view.held(0)
    window = window_of(options, (options.FilterHeight(), options.FilterWidth()), x.shape[1:])
    activation = options.FusedActivationFunction()
    y = max_pooled(view.before(activation), x, window)
    if activation != NONE and view.output.same_grid(source.stored):
        return view.finished(y, True, activation)
    return view.moved(y, True, source)


@reads("MEAN", "SUM")
def mean(view: View) -> Held:
    """Over constant axes."""
    keep = bool(view.options(tflite.ReducerOptions).KeepDims())
    rank = len(view.held(0).stored.shape)
    axes = tuple(sorted({axis % rank for axis in view.integers(1) if -rank <= axis < rank}))
    if not axes or len(axes) != len(set(view.integers(1))):
        raise BadFile(f"runs over axes {view.integers(1)} of {rank}")
    if axes[0] == 0:
        raise UnsupportedOp("runs over the batch axis")
    over_map = axes == (1, 2) and rank == 4
    x = view.mapped(0) if over_map else view.natural(0)
    places = (1, 2) if over_map else tuple(axis - 1 for axis in axes)
    y = reduced(view.before(), x, places, keep, view.operator.kind == "MEAN")
    return view.finished(y, over_map and keep)
