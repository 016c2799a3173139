"""Sums, differences and products."""

import numpy as np
import tflite

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.add import Add
from lipcert.read.constant import Constant
from lipcert.read.lower.gated import gated
from lipcert.read.lower.scaling import scaled
from lipcert.read.tflite_file import Stored
from lipcert.read.tflite_view import Held, View, reads


@reads("ADD")
def add(view: View) -> Held:
    """Of two branches, or of a constant."""
    return _sum(view, (1, 1), view.options(tflite.AddOptions).FusedActivationFunction())


@reads("SUB")
def sub(view: View) -> Held:
    """Of two branches, of a constant, or from one."""
    return _sum(view, (1, -1), view.options(tflite.SubOptions).FusedActivationFunction())


@reads("MUL")
def mul(view: View) -> Held:
    """By a constant, or by a gate of the value itself."""
    activation = view.options(tflite.MulOptions).FusedActivationFunction()
    scope = view.before(activation)
    if all(isinstance(value, Held) for value in view.inputs):
        (left, right), first = branches(view)
        return view.finished(gated(scope, left, right), first, activation)
    own = 1 if isinstance(view.inputs[0], Stored) else 0
    factor = _laid(view, 1 - own)
    x = view.held(own)
    y = scaled(scope, x.node, factor.floats(), 0.0, factor.error)
    return view.finished(y, x.first, activation)


def branches(view: View) -> tuple[list[Node], bool]:
    """All inputs in one order of axes, and whether it puts channels first."""
    places = range(len(view.inputs))
    first = any(view.held(place).first for place in places)
    return [view.mapped(p) if first else view.natural(p) for p in places], first


def _sum(view: View, signs: tuple[int, int], activation: int) -> Held:
    scope = view.before(activation)
    if all(isinstance(value, Held) for value in view.inputs):
        (left, right), first = branches(view)
        if left.shape != right.shape:
            raise UnsupportedOp(f"joins branches of different shapes, {left.shape}, {right.shape}")
        return view.finished(scope.emit(Add(signs), left, right), first, activation)
    own = 1 if isinstance(view.inputs[0], Stored) else 0
    shift = _laid(view, 1 - own)
    x = view.held(own)
    y = scaled(scope, x.node, float(signs[own]), signs[1 - own] * shift.floats(), shift.error)
    return view.finished(y, x.first, activation)


def _laid(view: View, place: int) -> Constant:
    """A constant in the order of axes in which the computed operand is held."""
    found, x = view.weights(place), view.held(1 - place)
    values = found.values
    if x.first:
        values = values.reshape((1,) * (3 - values.ndim) + values.shape)
        if values.ndim == 4 and len(values) == 1:
            values = values[0]
        if values.ndim != 3:
            raise UnsupportedOp(f"has a constant of shape {values.shape}")
        values = values.transpose(2, 0, 1)
    return Constant(np.asarray(values), found.name, found.error)
