"""Operators computed while reading: all their inputs are constants.

Moving values and integer arithmetic are exact. Float arithmetic is done in float64, and the
constant keeps a bound on its relative error; a sum of inexact constants has none and is refused.
"""

import numpy as np
from onnx import TensorProto, helper

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.read.builder import MOST_VALUES
from lipcert.read.constant import ROUNDING, Constant
from lipcert.read.lower.reshaping import BATCH
from lipcert.read.onnx_view import View, folds, reads

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


@folds("Constant")
def constant(view: View) -> Constant:
    """As stored in an attribute."""
    if len(view.proto.attribute) != 1:
        raise BadFile("needs exactly one attribute")
    (name,) = view.attributes
    values: Constant | None = None
    if name == "value":
        values = view.stored(name)
    elif name in ("value_float", "value_floats"):
        found = view.attributes[name]
        data = found.f if name == "value_float" else list(found.floats)
        values = Constant(np.array(data, dtype=np.float32), "")
    elif name in ("value_int", "value_ints"):
        found = view.attributes[name]
        values = Constant(np.array(found.i if name == "value_int" else list(found.ints)), "")
    if values is None:
        raise UnsupportedOp(f"holds a '{name}'")
    return Constant(values.values, view.proto.output[0])


@reads("Shape")
def shape(view: View) -> Constant:
    """Static but for the batch axis, for which a number stands that no file uses."""
    return _shape_of(view, (BATCH, *view.activation(0).shape))


@folds("Shape")
def constant_shape(view: View) -> Constant:
    """Of a constant."""
    return _shape_of(view, view.constant(0).values.shape)


def _shape_of(view: View, full: tuple[int, ...]) -> Constant:
    start, end = view.integer("start", 0), view.integer("end", len(full))
    return Constant(np.array(full[start:end], dtype=np.int64), view.name)


@folds("Identity", "Dropout")
def identity(view: View) -> Constant:
    """The same."""
    return view.constant(0)


@folds("Cast")
def cast(view: View) -> Constant:
    """To integers only of whole numbers; to a float type with its rounding, half to even."""
    found = view.constant(0)
    to = view.integer("to", 0)
    if to not in TensorProto.DataType.values():
        raise BadFile(f"casts to an unknown type {to}")
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(to))
    after = found.values.astype(dtype)
    whole = found.values.dtype.kind in "iub"
    if whole and to in FLOATS and (found.values == BATCH).any():
        raise UnsupportedOp("computes with the batch's size")
    rounds = to in FLOATS and found.error == 0 and not whole
    if not rounds and not np.array_equal(after.astype(np.float64), found.values.astype(np.float64)):
        raise UnsupportedOp(f"rounds the constant '{found.name}' to {dtype}")
    return Constant(after, found.name, found.error)


@folds("Reshape")
def reshape(view: View) -> Constant:
    """Zeros keep an axis."""
    found, target = view.constant(0), view.constant(1).integers()
    sizes = [found.values.shape[p] if t == 0 else 1 if t == BATCH else t
             for p, t in enumerate(target)]  # fmt: skip
    return Constant(found.values.reshape(sizes), found.name, found.error)


@folds("Transpose")
def transpose(view: View) -> Constant:
    """Reversed by default."""
    found = view.constant(0)
    return Constant(found.values.transpose(view.integers("perm")), found.name, found.error)


@folds("Flatten")
def flatten(view: View) -> Constant:
    """To a matrix."""
    found, axis = view.constant(0), view.integer("axis", 1)
    rows = int(np.prod(found.values.shape[:axis]))
    return Constant(found.values.reshape(rows, -1), found.name, found.error)


@folds("Squeeze")
def squeeze(view: View) -> Constant:
    """All axes of one entry by default."""
    found = view.constant(0)
    return Constant(found.values.squeeze(_axes(view)), found.name, found.error)


@folds("Unsqueeze")
def unsqueeze(view: View) -> Constant:
    """At given axes."""
    found = view.constant(0)
    return Constant(np.expand_dims(found.values, _axes(view) or ()), found.name, found.error)


@folds("Concat")
def concat(view: View) -> Constant:
    """With the largest error of the parts."""
    parts = [view.constant(place) for place in range(len(view.inputs))]
    joined = np.concatenate([p.values for p in parts], view.integer("axis", 0))
    return Constant(joined, view.name, max(p.error for p in parts))


@folds("Gather")
def gather(view: View) -> Constant:
    """Any constant indices."""
    found, index = view.constant(0), view.constant(1).values
    _affordable(index.size * max(1, found.values.size))
    taken = np.take(found.values, index, view.integer("axis", 0))
    return Constant(np.asarray(taken), found.name, found.error)


@folds("Slice")
def slices(view: View) -> Constant:
    """Python's slices are ONNX's."""
    found, starts, ends = view.constant(0), view.constant(1).integers(), view.constant(2).integers()
    given, steps = view.optional(3), view.optional(4)
    axes = given.integers() if given else list(range(len(starts)))
    strides = steps.integers() if steps else [1] * len(starts)
    cut = [slice(None)] * found.values.ndim
    for start, end, axis, step in zip(starts, ends, axes, strides, strict=True):
        lowest = step < 0 and end < -found.values.shape[axis]
        cut[axis] = slice(start, None if lowest else end, step)
    return Constant(found.values[tuple(cut)], found.name, found.error)


@folds("ConstantOfShape", "Expand")
def filled(view: View) -> Constant:
    """One value repeated; a batch axis becomes 1, which broadcasts to any batch."""
    expands = view.proto.op_type == "Expand"
    target = view.constant(1 if expands else 0).integers()
    sizes = [1 if size == BATCH else size for size in target]
    if any(size < 0 for size in sizes):
        raise BadFile(f"fills a negative shape {sizes}")
    stored = view.constant(0) if expands else view.stored("value")
    found = Constant(np.zeros(1, np.float32), view.name) if stored is None else stored
    _affordable(max(1, found.values.size) * int(np.prod(sizes, dtype=object)))
    if not expands:
        return Constant(np.full(sizes, found.values.reshape(())), view.name)
    both = np.broadcast_shapes(found.values.shape, tuple(sizes))
    return Constant(np.broadcast_to(found.values, both), found.name, found.error)


@folds("Mul", "Div", "Add", "Sub")
def arithmetic(view: View) -> Constant:
    """Of two constants."""
    left, right = view.constant(0), view.constant(1)
    both = np.broadcast_shapes(left.values.shape, right.values.shape)
    _affordable(int(np.prod(both, dtype=object)))
    kind = view.proto.op_type
    if left.values.dtype.kind in "iu" and right.values.dtype.kind in "iu":
        return _whole(view, left, right)
    if kind in ("Mul", "Div"):
        return left.times(right) if kind == "Mul" else left.over(right)
    return left.plus(right, 1 if kind == "Add" else -1)


@folds("Neg", "Sqrt", "Reciprocal")
def unary(view: View) -> Constant:
    """Of one constant."""
    found, kind = view.constant(0), view.proto.op_type
    values = found.floats()
    if kind == "Neg":
        return Constant(-values, found.name, found.error)
    if (values <= 0).any() and (kind == "Sqrt" or (values == 0).any()):
        raise BadFile(f"takes the {kind} of an entry of '{found.name}' that has none")
    result = np.sqrt(values) if kind == "Sqrt" else 1 / values
    return found.computed(result, 2 * found.error + ROUNDING)


def _whole(view: View, left: Constant, right: Constant) -> Constant:
    """Exact, in Python's integers; what holds the batch's size can only be passed on."""
    a, b = (np.asarray(v.values, dtype=object) for v in (left, right))
    kind = view.proto.op_type
    if kind == "Div":
        if (b == 0).any():
            raise BadFile("divides an integer by zero")
        result = np.asarray(np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b))
    else:
        result = np.asarray({"Mul": a * b, "Add": a + b, "Sub": a - b}[kind])
    return Constant(result.astype(np.int64), view.name)


def _axes(view: View) -> tuple[int, ...] | None:
    given = view.optional(1)
    return tuple(given.integers()) if given is not None else view.integers("axes")


def _affordable(count: int) -> None:
    if count > MOST_VALUES:
        raise BadFile(f"would make a constant of {count} values; {MOST_VALUES} are allowed")
