"""Nodes that only change the shape of a value."""

from lipcert.graph.layer_graph import Node
from lipcert.ops.functional import Shape
from lipcert.ops.reshape import Reshape
from lipcert.ops.select import Select
from lipcert.read.builder import Scope


def reshaped(scope: Scope, x: Node, shape: Shape, part: str = "") -> Node:
    """The value under another shape; itself where the shape is the same."""
    return x if x.shape == shape else scope.emit(Reshape(x.shape, shape), x, part=part)


def selected(scope: Scope, x: Node, axis: int, index: tuple[int, ...], part: str = "") -> Node:
    """Coordinates `index` along an axis; itself where they are all, in order."""
    size = x.shape[axis]
    if index == tuple(range(size)):
        return x
    return scope.emit(Select(axis, index, size), x, part=part)


def as_map(scope: Scope, x: Node) -> Node:
    """A sequence (channels, length) as a map (channels, length, 1); a map as it is."""
    return reshaped(scope, x, (*x.shape, 1), "map") if len(x.shape) == 2 else x


def as_before(scope: Scope, y: Node, x: Node) -> Node:
    """Undoes `as_map` on what was computed from it; `x` is the value before."""
    return reshaped(scope, y, y.shape[:-1], "sequence") if len(x.shape) == 2 else y
