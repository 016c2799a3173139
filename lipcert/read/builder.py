"""A layer graph under construction: unique names, checked shapes, dead ends cut off."""

from collections import Counter
from dataclasses import dataclass, field
from math import prod

from lipcert.errors import BadFile
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Op

MOST_VALUES = 2**26  # of one node, per input: half a gibibyte in float64


@dataclass(slots=True, eq=False)
class Builder:
    """Nodes in the order in which they were added; the first is the input."""

    source: str
    nodes: dict[str, Node] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)

    def start(self, name: str, shape: Shape) -> Node:
        """The network's input; `shape` has no batch axis."""
        return self._keep(Node(name, None, (), checked(shape, f"input '{name}'", self.source)))

    def add(self, name: str, op: Op, inputs: tuple[Node, ...]) -> Node:
        """A node under `name`, numbered where that name is taken."""
        shape = checked(op.shape(*(i.shape for i in inputs)), f"node '{name}'", self.source)
        return self._keep(Node(self._free(name), op, tuple(i.name for i in inputs), shape))

    def finish(self, output: Node) -> LayerGraph:
        """The graph of everything that the output depends on."""
        needed = {output.name}
        for node in reversed(self.nodes.values()):
            if node.name in needed:
                needed.update(node.inputs)
        first = next(iter(self.nodes.values()))
        if first.name not in needed:
            raise BadFile(f"{self.source}: the output does not depend on input '{first.name}'")
        return LayerGraph(tuple(n for n in self.nodes.values() if n.name in needed), self.source)

    def _free(self, name: str) -> str:
        free = name
        while free in self.nodes:
            self.taken[name] += 1
            free = f"{name}.{self.taken[name] + 1}"
        return free

    def _keep(self, node: Node) -> Node:
        self.nodes[node.name] = node
        return node


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Where the nodes go that one operation of the user's file is lowered to."""

    builder: Builder
    name: str

    def emit(self, op: Op, *inputs: Node, part: str = "") -> Node:
        """A node with the operation's own name, or a helper named after its part."""
        return self.builder.add(f"{self.name}.{part}" if part else self.name, op, inputs)

    def source_of(self, node: Node) -> tuple[Node, ...]:
        """The nodes that a node reads."""
        return tuple(self.builder.nodes[name] for name in node.inputs)


def checked(shape: Shape, what: str, source: str) -> Shape:
    """The shape, if a computer of our time can hold a value of it."""
    if any(size < 1 for size in shape):
        raise BadFile(f"{source}: {what} has shape {shape}; every axis needs at least one entry")
    if prod(shape) > MOST_VALUES:
        raise BadFile(
            f"{source}: {what} has shape {shape}, more than the {MOST_VALUES} values allowed"
        )
    return tuple(int(size) for size in shape)
