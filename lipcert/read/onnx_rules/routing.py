"""Operators that move values without changing them."""

from dataclasses import replace
from math import prod

import numpy as np
from onnx import TensorProto

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.concat import Concat
from lipcert.ops.pad import Pad
from lipcert.ops.transpose import Transpose
from lipcert.read.builder import checked
from lipcert.read.lower.quantising import Codes
from lipcert.read.lower.reshaping import batched_shape, reshaped, selected
from lipcert.read.onnx_rules.pooling import inner_axes
from lipcert.read.onnx_view import View, carries, reads

FAR = 2**62  # Slice's way to say "to the end"


@reads("Identity")
@carries
def identity(view: View) -> Node:
    """Nothing."""
    return view.activation(0)


@reads("Cast")
def cast(view: View) -> Node:
    """Between float32 and float64 only: the real number stays."""
    to = view.integer("to", 0)
    if to in (TensorProto.FLOAT16, TensorProto.BFLOAT16):
        raise UnsupportedOp(f"casts a computed value to {TensorProto.DataType.Name(to)}, which "
                            "rounds it; keep activations in float32 and store weights in 16 bits"
                            )  # fmt: skip
    if to not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise UnsupportedOp(f"casts a computed value to {TensorProto.DataType.Name(to)}")
    return view.activation(0)


@reads("Dropout")
def dropout(view: View) -> Node:
    """Nothing in inference; the mask is not read."""
    mode = view.optional(2)
    if mode is not None and bool(mode.values.any()):
        raise UnsupportedOp("is in training mode")
    if len([name for name in view.proto.output if name]) > 1:
        raise UnsupportedOp("has its mask as a second output")
    return view.activation(0)


@reads("Flatten")
@carries
def flatten(view: View) -> Node:
    """Everything but the batch axis."""
    x = view.activation(0)
    rank = len(x.shape) + 1
    axis = view.integer("axis", 1)
    axis = axis + rank if axis < 0 else axis
    if axis < 1 or prod(x.shape[: axis - 1]) != 1:
        raise UnsupportedOp(f"merges the batch axis with others (axis = {axis})")
    return reshaped(view.scope, x, (prod(x.shape),))


@reads("Reshape")
@carries
def reshape(view: View) -> Node:
    """Where the rows of the batch stay apart."""
    x, target = view.activation(0), view.constant(1).integers()
    keeps_zero = bool(view.integer("allowzero", 0))
    return reshaped(view.scope, x, batched_shape(x.shape, target, view.batch, keeps_zero))


@reads("Transpose")
@carries
def transpose(view: View) -> Node:
    """Where the batch axis stays first."""
    x = view.activation(0)
    rank = len(x.shape) + 1
    order = view.integers("perm") or tuple(range(rank))[::-1]
    if sorted(order) != list(range(rank)):
        raise BadFile(f"perm {order} is no permutation of {rank} axes")
    if order[0] != 0:
        raise UnsupportedOp(f"moves the batch axis (perm = {order})")
    inner = tuple(axis - 1 for axis in order[1:])
    return x if inner == tuple(range(rank - 1)) else view.scope.emit(Transpose(inner), x)


@reads("Squeeze")
@carries
def squeeze(view: View) -> Node:
    """Of given axes."""
    x = view.activation(0)
    axes = _axes(view)
    if axes is None:
        raise UnsupportedOp("names no axes, so it depends on the batch's size")
    places = inner_axes(axes, x)
    if any(x.shape[place] != 1 for place in places):
        raise BadFile(f"squeezes axes {axes} of a value of shape {x.shape}, batch aside")
    return reshaped(
        view.scope, x, tuple(s for place, s in enumerate(x.shape) if place not in places)
    )


@reads("Unsqueeze")
@carries
def unsqueeze(view: View) -> Node:
    """Behind the batch axis."""
    x, axes = view.activation(0), _axes(view) or ()
    rank = len(x.shape) + 1 + len(axes)
    places = sorted(axis + rank if axis < 0 else axis for axis in axes)
    if len(set(places)) != len(places) or any(not 0 <= p < rank for p in places):
        raise BadFile(f"has axes {axes} for a value of {rank} axes")
    if 0 in places:
        raise UnsupportedOp("moves the batch axis")
    shape = list(x.shape)
    for place in places:
        shape.insert(place - 1, 1)
    return reshaped(view.scope, x, tuple(shape))


@reads("Concat")
def concat(view: View) -> Node:
    """Of computed branches."""
    branches = [view.activation(place) for place in range(len(view.inputs))]
    (axis,) = inner_axes((view.integer("axis", 0),), branches[0])
    rests = {(*b.shape[:axis], *b.shape[axis + 1 :]) for b in branches}
    if len(rests) != 1 or len({len(b.shape) for b in branches}) != 1:
        raise BadFile(f"joins shapes that do not fit: {[b.shape for b in branches]}")
    if len(branches) == 1:
        return branches[0]
    return view.scope.emit(Concat(axis, tuple(b.shape[axis] for b in branches)), *branches)


@reads("Split")
@carries
def split(view: View) -> tuple[Node, ...]:
    """Into given or equal sizes."""
    x = view.activation(0)
    (axis,) = inner_axes((view.integer("axis", 0),), x)
    given = view.optional(1)
    sizes = view.integers("split") if given is None else tuple(given.integers())
    if sizes is None:
        parts = len(view.proto.output)
        each = -(-x.shape[axis] // parts)
        sizes = (each,) * (parts - 1) + (x.shape[axis] - each * (parts - 1),)
    if sum(sizes) != x.shape[axis] or min(sizes) < 1:
        raise BadFile(f"splits an axis of {x.shape[axis]} into {sizes}")
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    return tuple(
        selected(view.scope, x, axis, tuple(range(s, s + n)), f"part{place}")
        for place, (s, n) in enumerate(zip(starts, sizes, strict=True))
    )


@reads("Pad", mode=("constant",))
def pad(view: View) -> Node | Codes:
    """With a constant, behind the batch axis; codes are padded with a code."""
    codes = view.inputs[0]
    if not isinstance(codes, Codes):
        filling = view.optional(2)
        if filling is not None and filling.error:
            raise UnsupportedOp("has a computed filling")
        return _padded(view, view.activation(0), 0.0 if filling is None else filling.scalar())
    if codes.scale.size > 1 or codes.zero_point.size > 1:
        raise UnsupportedOp("pads codes that have scales along an axis")
    code = np.zeros(()) if not view.has(2) else view.constant(2).floats().reshape(())
    moved = (code - codes.zero_point.astype(np.float64)) * codes.scale
    return replace(codes, staircase=_padded(view, codes.staircase, float(moved.reshape(()))))


def _padded(view: View, x: Node, value: float) -> Node:
    """Surrounded by a value; negative pads are not read."""
    widths = view.constant(1).integers()
    rank = len(x.shape) + 1
    given = view.optional(3)
    axes = [axis % rank for axis in given.integers()] if given else list(range(rank))
    if len(widths) != 2 * len(axes) or len(set(axes)) != len(axes) or max(axes) >= rank:
        raise BadFile(f"has {len(widths)} pads for {len(axes)} axes")
    if any(w < 0 for w in widths):
        raise UnsupportedOp("has negative pads")
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        before[axis], after[axis] = widths[place], widths[place + len(axes)]
    if before[0] or after[0]:
        raise UnsupportedOp("pads the batch axis")
    if not any(before + after):
        return x
    return view.scope.emit(Pad(tuple(before[1:]), tuple(after[1:]), x.shape, value), x)


@reads("Slice")
@carries
def slices(view: View) -> Node:
    """Forward or backward along any axes but the batch's."""
    x = view.activation(0)
    starts, ends = view.constant(1).integers(), view.constant(2).integers()
    given, steps = view.optional(3), view.optional(4)
    rank = len(x.shape) + 1
    axes = given.integers() if given else list(range(len(starts)))
    strides = steps.integers() if steps else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(strides) or 0 in strides:
        raise BadFile("has starts, ends, axes and steps that do not fit")
    for start, end, axis, step in zip(starts, ends, axes, strides, strict=True):
        if axis % rank == 0 and (start, step) == (0, 1) and end >= FAR // 2**32:
            continue
        (place,) = inner_axes((axis,), x)
        index = tuple(range(*_limits(start, end, step, x.shape[place])))
        if not index:
            raise BadFile(f"selects nothing along axis {axis}")
        x = selected(view.scope, x, place, index)
    return x


@reads("Gather")
@carries
def gather(view: View) -> Node:
    """Constant indices, one or a vector of them."""
    x, index = view.activation(0), view.constant(1)
    (axis,) = inner_axes((view.integer("axis", 0),), x)
    size = x.shape[axis]
    places = index.integers()
    if not places or any(not -size <= i < size for i in places):
        raise BadFile(f"gathers entries {places[:8]} of an axis of {size}")
    checked((*x.shape[:axis], len(places), *x.shape[axis + 1 :]), view.name, view.builder.source)
    scalar = index.values.ndim == 0
    part = "entry" if scalar else ""
    found = selected(view.scope, x, axis, tuple(i % size for i in places), part)
    if not scalar:
        return found
    return reshaped(view.scope, found, (*x.shape[:axis], *x.shape[axis + 1 :]))


def _limits(start: int, end: int, step: int, size: int) -> tuple[int, int, int]:
    """ONNX's clamping of a slice's ends, for `range`."""
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    if step > 0:
        return min(max(start, 0), size), min(max(end, 0), size), step
    return min(max(start, 0), size - 1), min(max(end, -1), size - 1), step


def _axes(view: View) -> tuple[int, ...] | None:
    """From an attribute (opset 11, 12) or an input."""
    given = view.optional(1)
    return tuple(given.integers()) if given is not None else view.integers("axes")
