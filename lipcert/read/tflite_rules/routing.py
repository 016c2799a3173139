"""Operators that move values without changing them."""

from math import prod

import numpy as np
import tflite

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.ops.concat import Concat
from lipcert.ops.pad import Pad
from lipcert.ops.transpose import Transpose
from lipcert.read.lower.reshaping import reshaped
from lipcert.read.tflite_grid import NONE
from lipcert.read.tflite_rules.arithmetic import branches
from lipcert.read.tflite_view import FIRST, Held, View, inner_shape, reads


@reads("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def reshape(view: View) -> Held:
    """To the shape that the file gives its result."""
    x, shape = view.natural(0), inner_shape(view.output)
    if prod(x.shape) != prod(shape):
        raise BadFile(f"reshapes {x.shape} to {shape}, batch aside")
    return view.moved(reshaped(view.scope, x, shape), False, view.held(0))


@reads("TRANSPOSE")
def transpose(view: View) -> Held:
    """Where the batch axis stays first."""
    x, order = view.natural(0), view.integers(1)
    if sorted(order) != list(range(len(x.shape) + 1)):
        raise BadFile(f"perm {order} is no permutation of {len(x.shape) + 1} axes")
    if order[0] != 0:
        raise UnsupportedOp(f"moves the batch axis (perm = {order})")
    inner = tuple(axis - 1 for axis in order[1:])
    same = inner == tuple(range(len(inner)))
    return view.moved(x if same else view.scope.emit(Transpose(inner), x), False, view.held(0))


@reads("CONCATENATION")
def concatenation(view: View) -> Held:
    """Of computed branches."""
    options = view.options(tflite.ConcatenationOptions)
    activation = options.FusedActivationFunction()
    nodes, first = branches(view)
    rank = len(view.output.shape)
    axis = options.Axis() % rank
    if axis == 0 or any(len(node.shape) != rank - 1 for node in nodes):
        raise UnsupportedOp(f"joins along axis {options.Axis()} of {rank}")
    place = FIRST.index(axis - 1) if first else axis - 1
    rests = {(*n.shape[:place], *n.shape[place + 1 :]) for n in nodes}
    if len(rests) != 1:
        raise BadFile(f"joins shapes that do not fit: {[n.shape for n in nodes]}")
    op = Concat(place, tuple(n.shape[place] for n in nodes))
    same = all(view.output.same_grid(view.held(p).stored) for p in range(len(nodes)))
    scope = view.scope if same and activation == NONE else view.before(activation)
    joined = scope.emit(op, *nodes) if len(nodes) > 1 else nodes[0]
    if same and activation == NONE:
        return view.moved(joined, first, view.held(0))
    return view.finished(joined, first, activation)


@reads("PAD", "PADV2")
def pad(view: View) -> Held:
    """With zero, or with a constant."""
    x, widths = view.held(0), view.stored(1).values
    rank = len(x.stored.shape)
    if widths is None or widths.shape != (rank, 2) or widths.dtype.kind != "i":
        raise BadFile(f"has no pads for {rank} axes")
    if (widths < 0).any() or widths[0].any():
        raise UnsupportedOp("has negative pads, or pads the batch axis")
    filling = 0.0 if view.operator.kind == "PAD" else view.weights(2).scalar()
    rows = widths[1:][list(FIRST)] if x.first else widths[1:]
    before, after = (tuple(int(w) for w in column) for column in np.asarray(rows).T)
    y = view.scope.emit(Pad(before, after, x.node.shape, filling), x.node)
    return view.moved(y, x.first, x)
