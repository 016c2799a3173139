"""Two networks aligned node by node, so that their difference can be followed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lipcert.errors import Mismatch
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.widen import widened
from lipcert.ops.add import Add
from lipcert.ops.kinds import Affine, Elementwise, Op
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.scale import Scale
from lipcert.ops.softmax import Softmax


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


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An original network f and a compressed network g with the same inputs and outputs.

    Args:
        original: f.
        compressed: g, pruned channels restored as zero rows.
        nodes: aligned values in topological order, the input first; empty without alignment.
        softmax: whether a softmax was taken off both ends: see `body`.
        files: the two files, where both networks were read from files.
    """

    original: LayerGraph
    compressed: LayerGraph
    nodes: tuple[PairNode, ...]
    softmax: bool = False
    files: tuple[Path, Path] | None = None

    @classmethod
    def of(
        cls,
        original: LayerGraph,
        compressed: LayerGraph,
        files: tuple[Path, Path] | None = None,
    ) -> "Pair":
        """Aligned if possible; see `aligned`.

        Raises:
            Mismatch: inputs or outputs differ in shape.
        """
        for what in ("input", "output"):
            first, second = getattr(original, what), getattr(compressed, what)
            if first.shape != second.shape:
                raise Mismatch(
                    f"Pair: {what} '{first.name}' of {original.source} has shape {first.shape}, "
                    f"{what} '{second.name}' of {compressed.source} has {second.shape}; "
                    "the two networks must read and return the same shapes"
                )
        original, compressed = with_relus(original), with_relus(compressed)
        compressed = widened(original, compressed)
        return cls(original, compressed, _aligned_nodes(original, compressed), files=files)

    @property
    def aligned(self) -> bool:
        """Whether the difference can be followed through every node."""
        return bool(self.nodes)

    def body(self) -> "Pair":
        """Both networks without a softmax as last layer; itself where there is none.

        Raises:
            Mismatch: only one of the two ends in a softmax.
        """
        ends = [isinstance(g.output.op, Softmax) for g in (self.original, self.compressed)]
        if not any(ends):
            return self
        if not all(ends):
            raise Mismatch(
                f"Pair: only one of {self.original.source} and {self.compressed.source} ends in a "
                "Softmax; compare logits with logits or probabilities with probabilities"
            )
        f, g = (LayerGraph(p.nodes[:-1], p.source) for p in (self.original, self.compressed))
        return Pair(f, g, self.nodes[:-1], softmax=True)

    def joined(self) -> LayerGraph:
        """One graph that computes g - f."""
        nodes = [self.original.input]
        ends = []
        for prefix, graph in (("original", self.original), ("compressed", self.compressed)):
            names = {n.name: f"{prefix}:{n.name}" for n in graph.nodes[1:]}
            names[graph.input.name] = self.original.input.name
            nodes += [
                Node(names[n.name], n.op, tuple(names[i] for i in n.inputs), n.shape)
                for n in graph.nodes[1:]
            ]
            ends.append(names[graph.output.name])
        drift = Node("drift", Add((-1, 1)), (ends[0], ends[1]), self.original.output.shape)
        return LayerGraph((*nodes, drift), f"{self.compressed.source} - {self.original.source}")


def with_relus(graph: LayerGraph) -> LayerGraph:
    """A ReLU made visible before every quantiser whose codes stop at zero: the same function."""
    ops = graph.by_name()
    nodes: list[Node] = []
    for node in graph.nodes:
        op = node.op
        hides = isinstance(op, Quantize) and not bool(op.lowest.any())
        if hides and not isinstance(ops[node.inputs[0]].op, Relu):
            relu = Node(f"{node.name}.relu", Relu(), node.inputs, node.shape)
            nodes += [relu, Node(node.name, op, (relu.name,), node.shape)]
        else:
            nodes.append(node)
    return LayerGraph(tuple(nodes), graph.source)


def _aligned_nodes(original: LayerGraph, compressed: LayerGraph) -> tuple[PairNode, ...]:
    """Pair nodes in topological order, or none."""
    aligner = _Aligner(original.by_name(), compressed.by_name(), {}, {})
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
        if f.op is None or g.op is None or not _compatible(f.op, g.op):
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
        sides = [(f, self.compressed[g.inputs[0]], None, g.op)] if _alone(g.op) else []
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
        self.nodes[name] = PairNode(name, f, g, inputs, f_op, g_op)
        return name


def _compatible(f: Op, g: Op) -> bool:
    """Whether the difference of the two values has a rule."""
    if isinstance(f, Affine):
        return f.same_form(g)
    if isinstance(f, Elementwise) and isinstance(g, Elementwise):
        return isinstance(f, Quantize) == isinstance(g, Quantize)
    return type(f) is type(g)


def _alone(op: Op | None) -> bool:
    """Whether a node may stand against nothing in the other network."""
    return isinstance(op, Elementwise | Scale)
