"""The maps that were read off a graph, checked against the graph run forward."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lipcert.errors import Unsound, UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph
from lipcert.ops.kinds import Affine
from lipcert.sdp.layer import Layer
from lipcert.sdp.maps import Array, Maps
from lipcert.sdp.pull import Source

TOLERANCE = 1e-7
SPARE = 4  # times the maps' error: for theirs, and for the forward pass's own


def check(
    graph: LayerGraph,
    sources: Mapping[str, Source],
    layers: Sequence[Layer],
    ends: tuple[Tensor | None, Maps],
) -> None:
    """Random increments of all neurons, forward through the operations and through the maps.

    Backward walks found the maps; this runs the operations forward, so an order of axes that one
    of the two gets wrong shows.

    Raises:
        Unsound: the two disagree, a bug in an operation's adjoint or in the walk.
    """
    given, values = _increments(graph, sources)
    blocks: dict[int, Array] = {0: values[graph.input.name].flatten().numpy()}
    inputs = {node.name: node.inputs for node in graph.nodes}
    for layer in layers:
        source = sources[layer.name]
        blocks[source.block] = given[layer.name][source.neurons].numpy()
        below = values[inputs[layer.name][0]].flatten()
        _compare(layer.name, layer.reads, blocks, below[source.neurons])
    rows, output = ends
    end = values[graph.output.name].flatten()
    _compare(graph.output.name, output, blocks, end if rows is None else rows @ end)


def _increments(
    graph: LayerGraph, sources: Mapping[str, Source]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Random increments of the variables, and what follows from them at every node."""
    generator = torch.Generator().manual_seed(0)
    given: dict[str, Tensor] = {}
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        fresh = torch.randn(1, *node.shape, generator=generator, dtype=torch.float64)
        if node.op is None:
            values[node.name] = fresh
        elif node.name in sources:
            source = sources[node.name]
            given[node.name] = fresh.flatten()
            known = values[node.inputs[0]].flatten() * source.slope
            known[source.neurons] = given[node.name][source.neurons]
            values[node.name] = known.view(1, *node.shape)
        elif isinstance(node.op, Affine):
            values[node.name] = node.op.linear(*(values[name] for name in node.inputs))
        else:
            raise UnsupportedOp(
                f"LipSDP: '{node.name}' is a {type(node.op).__name__}, which has neither a linear "
                "map nor a slope; take it off or use another bound"
            )
    return given, values


def _compare(name: str, maps: Maps, blocks: Mapping[int, Array], expected: Tensor) -> None:
    """The map's value beside the forward pass, relative to the size of its terms.

    Entries that are differences of nearly equal ones are right to the error that they are known to.
    """
    found = torch.from_numpy(maps.times(blocks)) if maps.weight else torch.zeros_like(expected)
    size = sum((abs(w) @ abs(blocks[b]) for b, w in maps.weight.items()), start=0.0)
    error = sum((part @ abs(blocks[b]) for b, part in maps.error.items()), start=0.0)
    slack = TOLERANCE * (torch.as_tensor(size) + expected.abs()) + SPARE * torch.as_tensor(error)
    if bool(((found - expected).abs() > slack).any()):
        raise Unsound(
            f"LipSDP: the linear maps read at '{name}' disagree with a forward pass; "
            "this is a bug in lipcert: please report it with the model"
        )
