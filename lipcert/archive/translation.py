"""Names of nodes in lipcert's graphs as names of tensors in the files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lipcert.certificate.evidence import Partner, SlopeEvidence
from lipcert.certificate.store import Arrays
from lipcert.check.claim import values_at
from lipcert.check.operation import Box
from lipcert.check.reader import INPUT, Step, Steps
from lipcert.errors import UnsupportedOp
from lipcert.graph.absorb import absorbed
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.pair import Pair
from lipcert.graph.simplify import simplify
from lipcert.graph.widen import restored
from lipcert.methods.slopes import Slopes
from lipcert.ops.kinds import Elementwise

POINTS = 2  # inputs at which values are compared
NEAR = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Translation:
    """Nodes of lipcert's graphs as tensors of the files, matched by their values.

    Nothing rests on it: whatever the names, what the checker derives is true.

    Args:
        names: of f's and of g's nodes.
        kept: by g's node, which entries of f's (as many) g's are, where channels were pruned.
    """

    names: tuple[Mapping[str, str], Mapping[str, str]]
    kept: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, pair: Pair, networks: tuple[Steps, Steps]) -> "Translation":
        """Both networks at the same few random inputs."""
        assert pair.read is not None
        simple = [absorbed(simplify(graph)) for graph in pair.read]
        shape = pair.original.input.shape
        points = torch.randn(POINTS, *shape, generator=torch.Generator().manual_seed(0)).double()
        names = tuple(
            dict(_matched(graph, network, points))
            for graph, network in zip(simple, networks, strict=True)
        )
        wide = pair.compressed.by_name()
        kept = {
            name: _entries(rows, wide[name].shape)
            for name, rows in restored(simple[0], simple[1])[1].items()
            if name in wide and len(rows) < wide[name].shape[0]
        }
        return cls((names[0], names[1]), kept)

    def evidence(self, found: Slopes) -> tuple[SlopeEvidence, Arrays]:
        """In the names of the files."""
        slopes: Arrays = {}
        for name, values in found.original.items():
            slopes[f"f:{self._name(0, name)}"] = values.flatten(2).numpy()
        for name, values in found.compressed.items():
            slopes[f"g:{self._name(1, name)}"] = self._narrowed(values, name)
        kept: Arrays = {}
        partners: dict[str, Partner] = {}
        for node, values in found.pairs:
            f, g = self._name(0, node.original.name), self._name(1, node.compressed.name)
            slopes[f"D:h:{g}"] = self._narrowed(values, node.compressed.name)
            which = self.kept.get(node.compressed.name)
            array = None if which is None else f"kept_{len(kept)}"
            kept |= {} if array is None or which is None else {array: which}
            partners[g] = (f, node.original_op is not None, array)
        names = {name: f"slopes_{place}" for place, name in enumerate(slopes)}
        arrays = {names[name]: values for name, values in slopes.items()}
        return SlopeEvidence(slopes=names, partners=partners), arrays | kept

    def _name(self, side: int, node: str) -> str:
        found = self.names[side].get(node)
        if found is None:
            raise UnsupportedOp(f"'{node}', which is no single tensor of its file")
        return found

    def _narrowed(self, values: Tensor, node: str) -> np.ndarray:
        """(batch, slopes, entries), of g's own entries."""
        flat, kept = values.flatten(2).numpy(), self.kept.get(node)
        return flat if kept is None else flat[:, :, kept]


def _entries(channels: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """Flat places of whole channels in a value of some shape."""
    size = int(np.prod(shape[1:]))
    return (channels[:, None] * size + torch.arange(size)).flatten().numpy()


def _matched(graph: LayerGraph, network: Steps, points: Tensor) -> Iterator[tuple[str, str]]:
    """Each node with the first unused tensor of its kind, size and values."""
    mine, theirs = graph.values(points), values_at(network, points.numpy())
    free = dict(network)
    for node in graph.nodes:
        affine = not isinstance(node.op, Elementwise)
        for name, step in free.items():
            if _is_affine(step) == affine and _near(mine[node.name], theirs[name]):
                del free[name]
                yield node.name, name
                break


def _is_affine(step: Step) -> bool:
    return step.name == INPUT or step.act is None


def _near(mine: Tensor, theirs: Box) -> bool:
    """Whether an enclosure is that of some values."""
    first, second = mine.flatten(1).numpy().T, (theirs[0] + theirs[1]) / 2
    if first.shape != second.shape:
        return False
    scale = np.abs(first).max() + 1e-30
    return bool((np.abs(first - second) <= NEAR * scale).all())
