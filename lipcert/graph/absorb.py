"""ReLUs and clips in front of quantisers whose codes saturate there anyway."""

from dataclasses import replace

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.clip import Clip
from lipcert.ops.kinds import Op
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu

ROOM = 0.25  # of a step, far more than any runtime's division is off by


def saturates(op: Op | None, quantiser: Op | None) -> bool:
    """Whether `quantiser` makes the same codes with and without a ReLU or clip in front of it."""
    if not isinstance(quantiser, Quantize):
        return False
    if isinstance(op, Relu):
        return bool((quantiser.lowest >= 0).all())
    if not isinstance(op, Clip) or quantiser.stray is not None:
        return False
    low, high = quantiser.lowest + ROOM, quantiser.highest - ROOM
    scale = quantiser.scale
    return bool((op.low <= scale * low).all()) and bool((op.high >= scale * high).all())


def absorbed(graph: LayerGraph) -> LayerGraph:
    """The same function; quantisers read past what their own saturation makes idle."""
    by_name = graph.by_name()
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = node.inputs
        while isinstance(node.op, Quantize) and saturates(by_name[inputs[0]].op, node.op):
            inputs = by_name[inputs[0]].inputs
        nodes.append(node if inputs == node.inputs else replace(node, inputs=inputs))
    wanted = {graph.output.name, graph.input.name}
    for node in reversed(nodes):
        if node.name in wanted:
            wanted.update(node.inputs)
    return replace(graph, nodes=tuple(node for node in nodes if node.name in wanted))
