"""Two networks aligned node by node, so that their difference can be followed."""

from dataclasses import dataclass, replace
from pathlib import Path

from lipcert.errors import Mismatch
from lipcert.graph.absorb import absorbed
from lipcert.graph.align import PairNode, aligned
from lipcert.graph.exact_ties import with_exact_ties
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.semantics import Semantics
from lipcert.graph.simplify import simplify
from lipcert.graph.stray import with_strays
from lipcert.graph.widen import widened
from lipcert.ops.add import Add
from lipcert.ops.softmax import Softmax

INTEGER = (Semantics.INT8, Semantics.ORT_X86_SAT16, Semantics.LITERT)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An original network f and a compressed network g with the same inputs and outputs.

    Args:
        original: f.
        compressed: g, pruned channels restored as zero rows.
        nodes: aligned values in topological order, the input first; empty without alignment.
        softmax: whether a softmax was taken off both ends: see `body`.
        files: the two files, where both networks were read from files.
        read: both networks as they were read, before they were made alike.
    """

    original: LayerGraph
    compressed: LayerGraph
    nodes: tuple[PairNode, ...]
    softmax: bool = False
    files: tuple[Path, Path] | None = None
    read: tuple[LayerGraph, LayerGraph] | None = None

    @classmethod
    def of(
        cls,
        original: LayerGraph,
        compressed: LayerGraph,
        files: tuple[Path, Path] | None = None,
        semantics: Semantics = Semantics.REAL,
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
        read = (original, compressed)
        original, compressed = (absorbed(simplify(g)) for g in read)
        compressed = widened(original, compressed).under(semantics)
        original = original.under(Semantics.FLOAT32 if semantics in INTEGER else semantics)
        original, compressed = (_executed(graph) for graph in (original, compressed))
        if semantics == Semantics.REAL:
            original, compressed = (with_exact_ties(graph) for graph in (original, compressed))
        pairs = aligned(original, compressed)
        return cls(original, compressed, pairs, files=files, read=read)

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
        f, g = (replace(p, nodes=p.nodes[:-1]) for p in (self.original, self.compressed))
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


def _executed(graph: LayerGraph) -> LayerGraph:
    """With what float32 kernels round away of codes; LiteRT's tell it by themselves."""
    alone = (Semantics.REAL, Semantics.LITERT)
    return graph if graph.semantics in alone else with_strays(graph)
