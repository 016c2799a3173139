"""Maxima that readers write as b + relu(a - b), found again."""

from collections.abc import Mapping

import torch

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.add import Add
from lipcert.ops.functional import Functional
from lipcert.ops.relu import Relu
from lipcert.ops.routing import Routing

Nodes = Mapping[str, Node]


def leaves(nodes: Nodes, name: str) -> tuple[str, ...]:
    """Names of the values whose maximum a node is; none where it is no maximum."""
    pair = _pair(nodes, nodes[name])
    if pair is None:
        return ()
    return tuple(leaf for part in pair for leaf in leaves(nodes, part) or (part,))


def _pair(nodes: Nodes, node: Node) -> tuple[str, str] | None:
    """The a and b of b + relu(a - b)."""
    if not isinstance(node.op, Add) or node.op.signs != (1, 1):
        return None
    for rest, lead in (node.inputs, node.inputs[::-1]):
        if not isinstance(nodes[lead].op, Relu):
            continue
        gap = nodes[nodes[lead].inputs[0]]
        if isinstance(gap.op, Add) and gap.op.signs == (1, -1) and gap.inputs[1] == rest:
            return gap.inputs[0], rest
    return None


def shared(graph: LayerGraph, parts: tuple[str, ...]) -> tuple[str, int] | None:
    """A node of which all parts are selections, and the most often that a coordinate is selected.

    None where the parts have no such node in common.
    """
    nodes = graph.by_name()
    chains = [_chain(nodes, part) for part in parts]
    common = [name for name in chains[0] if all(name in chain for chain in chains)]
    if not common:
        return None
    base = common[0]
    uses = torch.zeros(1, *nodes[base].shape, dtype=torch.float64)
    for part in parts:
        node = nodes[part]
        back = Functional.natural(torch.ones(1, *node.shape, dtype=torch.float64), node.shape)
        while node.name != base:
            assert isinstance(node.op, Routing)
            (back,) = node.op.adjoint(back)
            node = nodes[node.inputs[0]]
        uses = uses + back.in_natural_order()
    return base, int(uses.max())


def _chain(nodes: Nodes, name: str) -> list[str]:
    """The node, and those that it merely moves the coordinates of, upwards."""
    chain, node = [name], nodes[name]
    while isinstance(node.op, Routing) and len(node.inputs) == 1:
        node = nodes[node.inputs[0]]
        chain.append(node.name)
    return chain
