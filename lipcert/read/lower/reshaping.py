"""Nodes that only change the shape of a value."""

from math import prod

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.functional import Shape
from lipcert.ops.reshape import Reshape
from lipcert.ops.select import Select
from lipcert.read.builder import Scope

BATCH = 7_919_000_000_000_009  # stands for the batch's size where a graph computes with shapes


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


def batched_shape(
    shape: Shape, target: list[int], batch: int | None, keeps_zero: bool = False
) -> Shape:
    """What becomes of each row's shape when the whole batch is reshaped to `target`.

    Args:
        shape: of one row.
        target: with the batch axis first, perhaps with 0 (as before) and -1 (what remains).
        batch: the batch's size if the file fixes it.
        keeps_zero: whether 0 is a size.
    """
    full = (BATCH, *shape)
    if not target or any(t < -1 for t in target) or target.count(-1) > 1:
        raise BadFile(f"reshapes to {target}")
    if keeps_zero and 0 in target:
        raise BadFile(f"reshapes to {target}, with no values left")
    if any(t == 0 and place >= len(full) for place, t in enumerate(target)):
        raise BadFile(f"keeps an axis that a value of {len(full)} axes has not: {target}")
    sizes = [full[place] if t == 0 else t for place, t in enumerate(target)]
    rest, count = sizes[1:], prod(shape)
    if -1 in rest:
        known = -prod(rest)
        rest = [count // known if t == -1 and known > 0 else t for t in rest]
    if sizes[0] not in (-1, 1, BATCH, batch) or prod(rest) != count:
        named = ["batch" if t == BATCH else t for t in target]
        raise UnsupportedOp(f"reshapes rows of {shape} to {named}, across the batch axis")
    return tuple(rest)
