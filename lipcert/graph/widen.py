"""Pruned channels restored as zero rows: the same function at the original's shapes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import singledispatch

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lipcert.graph.align import PairNode, aligned, same_form
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.add import Add
from lipcert.ops.concat import Concat
from lipcert.ops.conv import Conv
from lipcert.ops.dynamic_quantize import DynamicQuantize
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Elementwise, Op
from lipcert.ops.linear import Linear
from lipcert.ops.pad import Pad
from lipcert.ops.reshape import Reshape
from lipcert.ops.scale import Scale


class _CannotRestoreError(Exception):
    """The pruned network has a shape that zero rows cannot give back."""


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a pruned operation stands.

    Args:
        original: f's operation there.
        kept: for each input, which channels of f the channels of g are.
        channels: channels of f's value; of g's value.
        inputs: shape of each input in f.
    """

    original: Op | None
    kept: tuple[Tensor, ...]
    channels: tuple[int, int]
    inputs: tuple[Shape, ...]


def widened(original: LayerGraph, compressed: LayerGraph) -> LayerGraph:
    """The compressed network with removed channels put back as zeros, where it has any.

    Channels of g are matched to those of f with the nearest weights; whatever the match, the
    result is the same function, so a poor match loosens bounds and never falsifies them. Without
    a match the network itself comes back.
    """
    return restored(original, compressed)[0]


def restored(
    original: LayerGraph, compressed: LayerGraph
) -> tuple[LayerGraph, Mapping[str, Tensor]]:
    """The same, and for each node of it which of f's channels those of g are; else no nodes."""
    if aligned(original, compressed):
        return compressed, {}
    pairs = aligned(original, compressed, _same_but_for_channels)
    try:
        return _rebuilt(pairs, compressed) if pairs else (compressed, {})
    except _CannotRestoreError:
        return compressed, {}


def _same_but_for_channels(f: Op, g: Op) -> bool:
    """Whether g may be a pruned f."""
    if isinstance(f, Conv) and isinstance(g, Conv):
        grouped = [op.groups > 1 for op in (f, g)]
        return grouped[0] == grouped[1] and f.weight.shape[2:] == g.weight.shape[2:]
    if isinstance(f, Linear | Scale | Reshape | Pad | Concat):
        return type(f) is type(g)
    return same_form(f, g)


def _rebuilt(
    pairs: tuple[PairNode, ...], compressed: LayerGraph
) -> tuple[LayerGraph, Mapping[str, Tensor]]:
    """Every operation of g restored, in order, and the channels of f that g's are."""
    by_name = {pair.name: pair for pair in pairs}
    kept: dict[str, Tensor] = {}
    nodes: list[Node] = []
    for pair in pairs:
        node, shape = pair.compressed, pair.original.shape
        if not pair.inputs:
            kept[pair.name] = torch.arange(shape[0])
            nodes.append(node)
            continue
        below = tuple(kept[name] for name in pair.inputs)
        kept[pair.name] = below[0]
        if pair.compressed_op is not None:
            inputs = tuple(by_name[name].original.shape for name in pair.inputs)
            place = _Place(pair.original_op, below, (shape[0], node.shape[0]), inputs)
            op, kept[pair.name] = _restored(pair.compressed_op, place)
            nodes.append(Node(node.name, op, node.inputs, op.shape(*inputs)))
        if pair.name == pairs[-1].name and len(kept[pair.name]) != shape[0]:
            raise _CannotRestoreError
    channels = {pair.compressed.name: kept[pair.name] for pair in pairs}
    return LayerGraph(tuple(nodes), compressed.source), channels


@singledispatch
def _restored(op: Op, place: _Place) -> tuple[Op, Tensor]:
    """The operation at f's shapes, and which of f's channels its own are.

    By default an operation that treats every channel alike, on branches with one choice.
    """
    first = place.kept[0]
    if any(not torch.equal(first, other) for other in place.kept[1:]):
        raise _CannotRestoreError
    if isinstance(op, Elementwise):
        return _with_parameters(op, place), first
    whole = len(first) == place.inputs[0][0]
    if not whole and not isinstance(op, Add):
        raise _CannotRestoreError
    return op, first


def _with_parameters(op: Elementwise, place: _Place) -> Op:
    """Per-channel parameters spread to f's channels; a removed channel takes the first one's."""
    wide, narrow = place.channels
    spread: dict[str, Tensor] = {}
    for name, value in op.parameters().items():
        if isinstance(value, Tensor) and value.ndim and value.shape[0] == narrow > 1:
            full = value[:1].expand(wide, *value.shape[1:]).clone()
            full[place.kept[0]] = value
            spread[name] = full
    return op.with_parameters(spread)


@_restored.register
def _(op: DynamicQuantize, place: _Place) -> tuple[Op, Tensor]:
    """Only where nothing was removed: what stands for a removed channel would widen the range."""
    if len(place.kept[0]) != place.inputs[0][0]:
        raise _CannotRestoreError
    return op, place.kept[0]


@_restored.register
def _(op: Conv, place: _Place) -> tuple[Op, Tensor]:
    original = place.original
    if not isinstance(original, Conv):
        raise _CannotRestoreError
    if op.groups > 1:
        if op.weight.shape[0] != op.groups:
            raise _CannotRestoreError
        weight = _scattered(op.weight, place.kept[0], len(original.weight))
        bias = _scattered(op.bias, place.kept[0], len(original.weight))
        groups, rows = original.groups, place.kept[0]
    else:
        wide = _scattered(op.weight.transpose(0, 1), place.kept[0], place.inputs[0][0])
        weight, bias, rows = _rows(wide.transpose(0, 1), op.bias, original, place.kept[0])
        groups = 1
    shape = (place.inputs[0][0], *op.input_shape[1:])
    return replace(op, weight=weight, bias=bias, groups=groups, input_shape=shape), rows


@_restored.register
def _(op: Linear, place: _Place) -> tuple[Op, Tensor]:
    if not isinstance(place.original, Linear) or len(place.inputs[0]) != 1:
        raise _CannotRestoreError
    wide = _scattered(op.weight.T, place.kept[0], place.inputs[0][0]).T
    weight, bias, rows = _rows(wide, op.bias, place.original, place.kept[0])
    return replace(op, weight=weight, bias=bias), rows


@_restored.register
def _(op: Scale, place: _Place) -> tuple[Op, Tensor]:
    wide, narrow = place.channels
    factor, shift = (
        _scattered(part, place.kept[0], wide) if part.shape[0] == narrow > 1 else part
        for part in (op.factor, op.shift)
    )
    return replace(op, factor=factor, shift=shift), place.kept[0]


@_restored.register
def _(op: Reshape, place: _Place) -> tuple[Op, Tensor]:
    before, kept = place.inputs[0], place.kept[0]
    if before == op.before:
        return op, torch.arange(op.after[0])
    if len(op.after) != 1 or before[1:] != op.before[1:]:
        raise _CannotRestoreError
    size = torch.Size(before[1:]).numel()
    rows = (kept[:, None] * size + torch.arange(size)).flatten()
    return Reshape(before, (before[0] * size,)), rows


@_restored.register
def _(op: Pad, place: _Place) -> tuple[Op, Tensor]:
    if op.before[0] or op.after[0]:
        raise _CannotRestoreError
    return replace(op, input_shape=place.inputs[0]), place.kept[0]


@_restored.register
def _(op: Concat, place: _Place) -> tuple[Op, Tensor]:
    if op.axis != 0:
        raise _CannotRestoreError
    sizes = tuple(shape[0] for shape in place.inputs)
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    rows = torch.cat([kept + start for kept, start in zip(place.kept, starts, strict=True)])
    return replace(op, sizes=sizes), rows


def _scattered(values: Tensor, rows: Tensor, count: int) -> Tensor:
    """Rows of `values` at their places among `count` rows of zeros."""
    full = values.new_zeros(count, *values.shape[1:])
    full[rows] = values
    return full


def _rows(
    weight: Tensor, bias: Tensor, original: Conv | Linear, kept: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs of g at the places of the most similar outputs of f, the others zero."""
    count, total = len(weight), len(original.weight)
    if count > total:
        raise _CannotRestoreError
    rows = torch.arange(count)
    if count < total:
        mine = torch.cat([weight[:, kept].flatten(1), bias[:, None]], 1)
        theirs = torch.cat([original.weight[:, kept].flatten(1), original.bias[:, None]], 1)
        rows = torch.from_numpy(linear_sum_assignment(torch.cdist(mine, theirs).numpy())[1])
    return _scattered(weight, rows, total), _scattered(bias, rows, total), rows
