"""Which value of g plays the part of which value of f."""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from lipcert.graph.absorb import saturates
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.add import Add
from lipcert.ops.kinds import Affine, Elementwise, Op
from lipcert.ops.quantize import Quantize
from lipcert.ops.scale import Scale

Compatible = Callable[[Op, Op], bool]


@dataclass(frozen=True, slots=True, eq=False)
class PairNode:
    """A value of f beside the value of g that plays the same part.

    Args:
        name: unique in the pair.
        original: the node of f whose value this is.
        compressed: the node of g whose value this is.
        inputs: pair nodes read.
        original_op: what f computes here from its inputs; None where only g computes.
        compressed_op: what g computes here; None where only f computes.
    """

    name: str
    original: Node
    compressed: Node
    inputs: tuple[str, ...]
    original_op: Op | None
    compressed_op: Op | None


def same_form(f: Op, g: Op) -> bool:
    """Whether the difference of the two values has a rule."""
    if isinstance(f, Affine):
        return f.same_form(g)
    if isinstance(f, Elementwise) and isinstance(g, Elementwise):
        alike = isinstance(f, Quantize) == isinstance(g, Quantize)
        return alike or saturates(f, g) or saturates(g, f)
    return type(f) is type(g)


def aligned(
    original: LayerGraph, compressed: LayerGraph, compatible: Compatible = same_form
) -> tuple[PairNode, ...]:
    """Pair nodes in topological order, the input first; none where the outputs do not correspond.

    Args:
        original: f.
        compressed: g.
        compatible: whether an operation of f may stand beside one of g.
    """
    aligner = _Aligner(original.by_name(), compressed.by_name(), compatible, {}, {})
    with _deep_recursion(len(original.nodes) + len(compressed.nodes)):
        end = aligner.match(original.output, compressed.output)
    if end is None:
        return ()
    wanted, order = {end}, []
    for name, node in reversed(aligner.nodes.items()):
        if name in wanted:
            order.append(node)
            wanted.update(node.inputs)
    return tuple(reversed(order))


@dataclass(frozen=True, slots=True, eq=False)
class _Aligner:
    """Matches values from the outputs down; a node that fits nothing is paired with nothing."""

    original: Mapping[str, Node]
    compressed: Mapping[str, Node]
    compatible: Compatible
    found: dict[tuple[str, str], str | None]
    nodes: dict[str, PairNode]

    def match(self, f: Node, g: Node) -> str | None:
        """Name of the pair node for these two values, or None if they do not correspond."""
        key = (f.name, g.name)
        if key not in self.found:
            self.found[key] = self._input(f, g) or self._both(f, g) or self._either(f, g)
        return self.found[key]

    def _input(self, f: Node, g: Node) -> str | None:
        if f.op is None and g.op is None:
            return self._add(f, g, (), None, None)
        return None

    def _both(self, f: Node, g: Node) -> str | None:
        if f.op is None or g.op is None or not self.compatible(f.op, g.op):
            return None
        orders = [g.inputs]
        if isinstance(g.op, Add) and g.op.signs == (1, 1):
            orders.append(g.inputs[::-1])
        for order in orders:
            inputs = [
                self.match(self.original[a], self.compressed[b])
                for a, b in zip(f.inputs, order, strict=True)
            ]
            if all(name is not None for name in inputs):
                return self._add(f, g, tuple(str(name) for name in inputs), f.op, g.op)
        return None

    def _either(self, f: Node, g: Node) -> str | None:
        """A node of one network alone: a quantiser first, then whatever keeps the shape."""
        sides: list[tuple[Node, Node, Op | None, Op | None]] = []
        if _alone(g.op):
            sides.append((f, self.compressed[g.inputs[0]], None, g.op))
        if _alone(f.op):
            sides.append((self.original[f.inputs[0]], g, f.op, None))
        for below_f, below_g, f_op, g_op in sides:
            below = self.match(below_f, below_g)
            if below is not None:
                return self._add(f, g, (below,), f_op, g_op)
        return None

    def _add(
        self, f: Node, g: Node, inputs: tuple[str, ...], f_op: Op | None, g_op: Op | None
    ) -> str:
        name = f.name if f.name == g.name else f"{f.name}|{g.name}"
        while name in self.nodes:  # a file may use any name, "a|b" too
            name += "'"
        self.nodes[name] = PairNode(name, f, g, inputs, f_op, g_op)
        return name


@contextmanager
def _deep_recursion(nodes: int) -> Generator[None]:
    """Room for one chain through all nodes, four calls each."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 4 * nodes)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _alone(op: Op | None) -> bool:
    """Whether a node may stand against nothing in the other network."""
    return isinstance(op, Elementwise | Scale)
