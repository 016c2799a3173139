"""Both networks as layers of neurons: which of them are coordinates of the drift SDP."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.methods.enclosed import Enclosed
from lipcert.ops.kinds import Elementwise
from lipcert.sdp.chain import KNOWN
from lipcert.sdp.maps import Array, Maps, Mask
from lipcert.sdp.procedure import Forms, Stage
from lipcert.sdp.pull import Source, maps_of_node

SMALLEST = 1e-100  # size of what is worth a unit of its own


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One network over the region and at its centre."""

    graph: LayerGraph
    over: Enclosed
    at: Enclosed


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """An activation of one network, before its columns are known.

    Args:
        side: its network.
        node: the activation.
        reads: increments of what it reads, by block.
        slope: (2, neurons) sector over the region.
        free: neurons whose slope the region leaves open: they are variables.
        source: for the maps of later layers.
    """

    side: Side
    node: Node
    reads: Maps
    slope: Array
    free: Mask
    source: Source


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Increments of a layer: what it reads and what it makes."""

    layer: Layer
    reads: Forms
    makes: Forms


def layers_of(side: Side, before: int) -> Iterator[Layer]:
    """Activations in topological order; blocks are numbered from `before` + 1."""
    sources: dict[str, Source] = {}
    for node in side.graph.nodes[1:]:
        if not isinstance(node.op, Elementwise):
            continue
        sector = node.op.slope(side.over.boxes[node.inputs[0]])
        lower, upper = (flat(end) for end in (sector.lower, sector.upper))
        if not bool((np.isfinite(lower) & np.isfinite(upper)).all()):
            raise UnsupportedOp(f"drift SDP: '{node.name}' has no finite slope")
        free = upper - lower > KNOWN * np.maximum(abs(lower), abs(upper))
        middle = np.where(lower == upper, lower, lower / 2 + upper / 2)
        slope = torch.from_numpy(np.where(free, 0.0, middle))
        reads = maps_of_node(side.graph, node.inputs[0], sources)
        exact = bool((lower == upper)[~free].all())
        source = Source(before + len(sources) + 1, torch.from_numpy(free.nonzero()[0]), slope,
                        0.0 if exact else KNOWN)  # fmt: skip
        sources[node.name] = source
        yield Layer(side, node, reads, np.stack([lower, upper]), free, source)


def columns_of(inputs: int, layers: Sequence[Layer]) -> tuple[dict[int, slice], int]:
    """Columns of every block behind that of the constant, and how many there are."""
    columns, width = {0: slice(1, 1 + inputs)}, 1 + inputs
    for layer in layers:
        size = int(layer.free.sum())
        columns[layer.source.block] = slice(width, width + size)
        width += size
    return columns, width


def moves_of(layer: Layer, columns: Mapping[int, slice], width: int) -> Moves:
    """Forms of a layer; neurons of known slope make a multiple of what they read."""
    reads = Forms.of(layer.reads, columns, width)
    makes = reads.times(layer.source.slope.numpy())
    doubt = layer.source.error * abs(makes.value)
    makes = Forms(makes.value, (makes.error + doubt) * (1 + 1e-9))
    places = layer.free.nonzero()[0]
    own = columns[layer.source.block]
    makes.value[places] = makes.error[places] = 0.0
    makes.value[places, np.arange(own.start, own.stop)] = 1.0
    return Moves(layer, reads, makes)


def units_of(layers: Sequence[Layer], columns: Mapping[int, slice], width: int) -> Array:
    """Half widths of what the neurons make over the region; one where there is none."""
    units = np.ones(width)
    for layer in layers:
        box = layer.side.over.boxes[layer.node.name]
        half = flat(box.upper - box.lower)[layer.free] / 2
        units[columns[layer.source.block]] = np.where(half > SMALLEST, half, 1.0)
    return units


def stages_of(layers: Sequence[Layer], columns: Mapping[int, slice]) -> tuple[Stage, ...]:
    """Sectors of all layers, one behind the other."""
    ends = np.cumsum([0, *(int(layer.free.sum()) for layer in layers)]).tolist()
    return tuple(
        Stage(slice(first, last), columns[layer.source.block])
        for layer, first, last in zip(layers, ends, ends[1:], strict=False)
    )


def output_of(
    part: tuple[Side, Sequence[Layer]], columns: Mapping[int, slice], width: int
) -> Forms:
    """Increment of a network's output, a form per coordinate."""
    side, layers = part
    sources = {layer.node.name: layer.source for layer in layers}
    return Forms.of(maps_of_node(side.graph, side.graph.output.name, sources), columns, width)


def flat(values: Tensor) -> Array:
    """As a vector for numpy."""
    return values.double().reshape(-1).numpy()
