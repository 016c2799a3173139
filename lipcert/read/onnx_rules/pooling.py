"""Pooling and means."""

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.read.lower.pooling import average_pooled, max_pooled, reduced
from lipcert.read.onnx_rules.layer import window_of
from lipcert.read.onnx_view import View, carries, reads


@reads("MaxPool", auto_pad=("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"))
@carries
def max_pool(view: View) -> Node:
    """Values only; indices of the maxima are not read."""
    if len([name for name in view.proto.output if name]) > 1:
        raise UnsupportedOp("has its indices as a second output")
    x = view.activation(0)
    window = window_of(view, view.integers("kernel_shape") or (), x.shape[1:])
    return max_pooled(view.scope, x, window)


@reads("AveragePool", auto_pad=("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"))
def average_pool(view: View) -> Node:
    """With or without the padding."""
    x = view.activation(0)
    window = window_of(view, view.integers("kernel_shape") or (), x.shape[1:])
    return average_pooled(view.scope, x, window, bool(view.integer("count_include_pad", 0)))


@reads("GlobalAveragePool")
def global_average_pool(view: View) -> Node:
    """Mean over all axes but batch and channels."""
    x = view.activation(0)
    return reduced(view.scope, x, tuple(range(1, len(x.shape))), keep=True, mean=True)


@reads("ReduceMean", "ReduceSum")
def reduce(view: View) -> Node:
    """Over axes given as an attribute or as an input."""
    x = view.activation(0)
    axes = view.integers("axes")
    given = view.optional(1)
    if given is not None:
        axes = tuple(given.integers())
    if not axes and view.integer("noop_with_empty_axes", 0):
        return x
    places = inner_axes(axes or tuple(range(len(x.shape) + 1)), x)
    keep = bool(view.integer("keepdims", 1))
    return reduced(view.scope, x, places, keep, view.proto.op_type == "ReduceMean")


def inner_axes(axes: tuple[int, ...], x: Node) -> tuple[int, ...]:
    """Axes of the file's value as axes of the node's, which has no batch axis."""
    rank = len(x.shape) + 1
    if any(not -rank <= axis < rank for axis in axes):
        raise BadFile(f"axes {axes} are not among those of a value of {rank} axes")
    places = tuple(axis % rank - 1 for axis in axes)
    if -1 in places:
        raise UnsupportedOp("runs over the batch axis")
    return places
