"""One network as a frozen, topologically ordered graph of operations."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.excess import Excess
from lipcert.graph.semantics import Semantics
from lipcert.numeric.placement import Placement
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Op
from lipcert.ops.quantize import Quantize
from lipcert.sets.enclosure import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value: the name that the user's file gives it, its operation and where it reads.

    The graph's input has no operation and no inputs.
    """

    name: str
    op: Op | None
    inputs: tuple[str, ...]
    shape: Shape


@dataclass(frozen=True, slots=True, eq=False)
class LayerGraph:
    """A network with one input and one output.

    Args:
        nodes: topologically ordered; the first is the input, the last the output.
        source: where it came from, for messages.
        semantics: the arithmetic that it is executed in.
        path: the file that it was read from, if any.
        excess: what kernels may add to the exact value of a node, by its name; None where that
            was not looked into.
    """

    nodes: tuple[Node, ...]
    source: str = "network"
    semantics: Semantics = Semantics.REAL
    path: Path | None = None
    excess: Mapping[str, Excess] | None = None

    def __post_init__(self) -> None:
        """Check the order; a reader that breaks it is a bug of ours."""
        seen: set[str] = set()
        for node in self.nodes:
            assert node.name not in seen, f"two nodes are named {node.name}"
            assert seen.issuperset(node.inputs), f"{node.name} reads a later node"
            assert (node.op is None) == (not seen), f"only the first node is the input: {node.name}"
            seen.add(node.name)

    @property
    def input(self) -> Node:
        """The node that stands for the network's input."""
        return self.nodes[0]

    @property
    def output(self) -> Node:
        """The node whose value is the network's output."""
        return self.nodes[-1]

    def by_name(self) -> Mapping[str, Node]:
        """Nodes under their names."""
        return {node.name: node for node in self.nodes}

    def readers(self) -> Mapping[str, tuple[Node, ...]]:
        """For each name, the nodes that read it."""
        return {n.name: tuple(r for r in self.nodes if n.name in r.inputs) for n in self.nodes}

    def values(self, inputs: Tensor) -> dict[str, Tensor]:
        """Every node's value on a batch (batch, *input shape)."""
        values = {self.input.name: inputs}
        for node in self.nodes[1:]:
            values[node.name] = self._value(node, values)
        return values

    def __call__(self, inputs: Tensor) -> Tensor:
        """The output (batch, *output shape); intermediate values are freed once read."""
        last = {name: node.name for node in self.nodes for name in self._read(node)}
        values = {self.input.name: inputs}
        for node in self.nodes[1:]:
            values[node.name] = self._value(node, values)
            for name in self._read(node):
                if last[name] == node.name:
                    del values[name]
        return values[self.output.name]

    def _value(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        """With what the node's kernel adds to it at these very inputs."""
        assert node.op is not None
        value = node.op.value(*(values[name] for name in node.inputs))
        kernel = self._kernel(node)
        added = None if kernel is None else kernel.over(Interval.point(values[kernel.reads]))
        return value if added is None else value + added.centre

    def _kernel(self, node: Node) -> Excess | None:
        return None if self.excess is None else self.excess.get(node.name)

    def _read(self, node: Node) -> set[str]:
        """All values that decide a node's."""
        kernel = self._kernel(node)
        return {*node.inputs} if kernel is None else {*node.inputs, kernel.reads}

    def placed(self, placement: Placement) -> "LayerGraph":
        """The same network with weights on a device and in a dtype."""
        return self.mapped(lambda op: op.placed(placement))

    def mapped(self, change: Callable[[Op], Op]) -> "LayerGraph":
        """The same graph with every operation changed."""
        nodes = (Node(n.name, n.op and change(n.op), n.inputs, n.shape) for n in self.nodes)
        return replace(self, nodes=tuple(nodes))

    def under(self, semantics: Semantics) -> "LayerGraph":
        """The same network executed in a named arithmetic."""
        if semantics == Semantics.LITERT:
            if not any(isinstance(node.op, Quantize) for node in self.nodes):
                raise UnsupportedOp(f"litert: {self.source} computes on no codes; give a .tflite "
                                    "file of int8 codes, or use another semantics")  # fmt: skip
            return replace(self.mapped(lambda op: op.in_fixed_point()), semantics=semantics)
        executed = semantics != Semantics.REAL
        return replace(self.mapped(lambda op: op.executed(executed)), semantics=semantics)

    def content_hash(self) -> str:
        """SHA-256 of the operations, their parameters and how they are connected."""
        digest = hashlib.sha256()
        places = {node.name: str(place) for place, node in enumerate(self.nodes)}
        for node in self.nodes:
            digest.update(f"{type(node.op).__name__}{[places[i] for i in node.inputs]}".encode())
            for name, value in (node.op.parameters() if node.op is not None else {}).items():
                if isinstance(value, Tensor):
                    digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
                    digest.update(value.cpu().numpy().tobytes())
                else:
                    digest.update(f"{name} {value!r}".encode())
        return digest.hexdigest()

    def parameters(self) -> int:
        """Number of stored floating-point weights."""
        values = (
            value
            for node in self.nodes
            if node.op is not None
            for value in node.op.parameters().values()
        )
        return sum(v.numel() for v in values if isinstance(v, Tensor) and v.is_floating_point())
