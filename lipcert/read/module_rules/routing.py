"""Calls that move values without changing them, and sums, products and quotients."""

from math import prod

import numpy as np
import torch

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.concat import Concat
from lipcert.ops.pad import Pad
from lipcert.ops.transpose import Transpose
from lipcert.read.constant import Constant
from lipcert.read.lower.reshaping import batched_shape, reshaped, selected
from lipcert.read.module_view import Call, calls, inner_axes


@calls("alias", "clone", "contiguous", "detach", "dropout", "feature_dropout", "lift_fresh_copy")
def identity(call: Call) -> Node:
    """Nothing in evaluation mode."""
    if call.arguments.get("train"):
        raise UnsupportedOp("is in training mode")
    return call.activation("input" if "input" in call.arguments else "self")


@calls("to", "_to_copy")
def to(call: Call) -> Node:
    """Between float32 and float64 only: the real number stays."""
    dtype = call.arguments.get("dtype")
    if dtype not in (None, torch.float32, torch.float64):
        raise UnsupportedOp(f"converts a computed value to {dtype}")
    return call.activation()


@calls("flatten")
def flatten(call: Call) -> Node:
    """A run of axes behind the batch's."""
    x = call.activation()
    start, end = (call.integer(name) % (len(x.shape) + 1) for name in ("start_dim", "end_dim"))
    (start, end) = inner_axes((start, end), len(x.shape) + 1)
    middle = prod(x.shape[start : end + 1])
    return reshaped(call.scope, x, (*x.shape[:start], middle, *x.shape[end + 1 :]))


@calls("view", "reshape", "_unsafe_view")
def view(call: Call) -> Node:
    """Where the rows of the batch stay apart."""
    x = call.activation()
    target = list(call.integers("shape" if "shape" in call.arguments else "size"))
    return reshaped(call.scope, x, batched_shape(x.shape, target, call.batch, True))


@calls("unflatten")
def unflatten(call: Call) -> Node:
    """One axis in several."""
    x = call.activation()
    (axis,) = call.axes("dim")
    sizes = list(call.integers("sizes"))
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.shape[axis] // -prod(sizes)
    return reshaped(call.scope, x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


@calls("permute", "transpose")
def permute(call: Call) -> Node:
    """Where the batch axis stays first."""
    x = call.activation()
    rank = len(x.shape) + 1
    if "dims" in call.arguments:
        order = [axis % rank for axis in call.integers("dims")]
    else:
        order = list(range(rank))
        first, second = (call.integer(name) % rank for name in ("dim0", "dim1"))
        order[first], order[second] = order[second], order[first]
    if order[0] != 0:
        raise UnsupportedOp("moves the batch axis")
    inner = tuple(axis - 1 for axis in order[1:])
    return x if inner == tuple(range(rank - 1)) else call.scope.emit(Transpose(inner), x)


@calls("squeeze")
def squeeze(call: Call) -> Node:
    """Of given axes, where they have one entry."""
    x = call.activation()
    if "dim" not in call.arguments:
        if call.batch == 1:
            raise UnsupportedOp("names no axes, so it drops the batch axis too")
        return reshaped(call.scope, x, tuple(size for size in x.shape if size != 1))
    places = [axis for axis in call.axes("dim") if x.shape[axis] == 1]
    return reshaped(call.scope, x, tuple(s for a, s in enumerate(x.shape) if a not in places))


@calls("unsqueeze")
def unsqueeze(call: Call) -> Node:
    """Behind the batch axis."""
    x = call.activation()
    (place,) = inner_axes(call.integers("dim"), len(x.shape) + 2)
    return reshaped(call.scope, x, (*x.shape[:place], 1, *x.shape[place:]))


@calls("cat")
def cat(call: Call) -> Node:
    """Of computed branches."""
    branches = call.arguments["tensors"]
    assert isinstance(branches, list | tuple)
    nodes = [branch for branch in branches if isinstance(branch, Node)]
    if len(nodes) != len(branches):
        raise UnsupportedOp("joins a constant with computed values")
    (axis,) = inner_axes(call.integers("dim"), len(nodes[0].shape) + 1)
    if len(nodes) == 1:
        return nodes[0]
    return call.scope.emit(Concat(axis, tuple(n.shape[axis] for n in nodes)), *nodes)


@calls("chunk", "split", "split_with_sizes")
def chunk(call: Call) -> tuple[Node, ...]:
    """Into parts of one or of given sizes."""
    x = call.activation()
    (axis,) = call.axes("dim")
    size = x.shape[axis]
    if "chunks" in call.arguments:
        starts = list(range(0, size, -(-size // call.integer("chunks"))))
    elif isinstance(call.arguments.get("split_size"), int):
        starts = list(range(0, size, call.integer("split_size")))
    else:
        name = "split_sizes" if "split_sizes" in call.arguments else "split_size"
        sizes = call.integers(name)
        starts = [sum(sizes[:place]) for place in range(len(sizes))]
    ends = [*starts[1:], size]
    return tuple(
        selected(call.scope, x, axis, tuple(range(start, end)), f"part{place}")
        for place, (start, end) in enumerate(zip(starts, ends, strict=True))
    )


@calls("slice")
def slices(call: Call) -> Node:
    """Along one axis."""
    x = call.activation()
    start, end = (call.arguments.get(name) for name in ("start", "end"))
    step = call.integer("step")
    axis = call.integer("dim") % (len(x.shape) + 1)
    if axis == 0 and start in (None, 0) and (end is None or end >= 2**62) and step == 1:  # type: ignore[operator]
        return x
    (place,) = inner_axes((axis,), len(x.shape) + 1)
    index = tuple(range(x.shape[place]))[start:end:step]  # type: ignore[misc]
    return selected(call.scope, x, place, index)


@calls("select")
def select(call: Call) -> Node:
    """One entry of an axis, which vanishes."""
    x = call.activation()
    (axis,) = call.axes("dim")
    found = selected(call.scope, x, axis, (call.integer("index") % x.shape[axis],), "entry")
    return reshaped(call.scope, found, (*x.shape[:axis], *x.shape[axis + 1 :]))


@calls("index", "index_select")
def index(call: Call) -> Node:
    """A constant vector of indices along one axis."""
    x = call.activation()
    if "dim" in call.arguments:
        (axis,), chosen = call.axes("dim"), call.constant("index")
    else:
        listed = call.arguments["indices"]
        assert isinstance(listed, list | tuple)
        given = [(axis, i) for axis, i in enumerate(listed) if i is not None]
        if len(given) != 1 or not isinstance(given[0][1], Constant):
            raise UnsupportedOp("gathers along several axes, or by computed indices")
        (axis,), chosen = inner_axes((given[0][0],), len(x.shape) + 1), given[0][1]
    if chosen.values.dtype.kind not in "iu" or chosen.values.ndim != 1:
        raise UnsupportedOp("gathers by something other than a vector of indices")
    size = x.shape[axis]
    return selected(call.scope, x, axis, tuple(i % size for i in chosen.integers()))


@calls("pad", "constant_pad_nd")
def pad(call: Call) -> Node:
    """With a constant; widths come last axis first."""
    x = call.activation()
    mode = call.arguments.get("mode", "constant")
    widths = call.integers("pad")
    if mode != "constant" or any(width < 0 for width in widths):
        raise UnsupportedOp(f"has mode = {mode}, widths {widths}")
    if len(widths) > 2 * len(x.shape):
        raise UnsupportedOp("pads the batch axis")
    before, after = np.zeros((2, len(x.shape)), dtype=int).tolist()
    for place in range(len(widths) // 2):
        before[-1 - place], after[-1 - place] = widths[2 * place], widths[2 * place + 1]
    value = call.arguments.get("value")
    filling = 0.0 if value is None else call.number("value")
    return call.scope.emit(Pad(tuple(before), tuple(after), x.shape, filling), x)
