"""The product of the layers' norms, sums where branches meet."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lipcert.gain.affine import affine_gain, softmax_gain
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.lipschitz.maxima import leaves, shared
from lipcert.lipschitz.relaxation import Proved, Relaxation, Task
from lipcert.lipschitz.slopes import Slopes
from lipcert.numeric.norm import Norm
from lipcert.numeric.rounding import up
from lipcert.ops.kinds import Affine, Elementwise
from lipcert.ops.softmax import Softmax


@dataclass(frozen=True)
class Product(Relaxation):
    """Layer by layer: the fastest, and the loosest in depth."""

    words: ClassVar[str] = "product of norms"
    norms: ClassVar[frozenset[Norm]] = frozenset(Norm)

    def prove(self, task: Task) -> Proved:
        """Bounds on the change of every node, from the input on."""
        found = {task.graph.input.name: torch.ones(task.rows, dtype=torch.float64)}
        nodes = task.graph.by_name()
        for done, node in enumerate(task.graph.nodes[1:]):
            task.watch(f"norms of {task.graph.source}", done, len(task.graph.nodes) - 1)
            parts = leaves(nodes, node.name)
            if parts:
                found[node.name] = _of_maximum(task.graph, parts, found, task.norm)
            else:
                below = [found[name] for name in node.inputs]
                shapes = tuple(nodes[name].shape for name in node.inputs)
                found[node.name] = _through(node, shapes, below, task)
        return Proved(found[task.graph.output.name])


def _through(
    node: Node, shapes: tuple[tuple[int, ...], ...], below: list[Tensor], task: Task
) -> Tensor:
    """Through one operation."""
    if isinstance(node.op, Affine):
        return affine_gain(node.op, shapes, below, task.norm)
    if isinstance(node.op, Softmax):
        return up(below[0] * softmax_gain())
    assert isinstance(node.op, Elementwise)
    return up(below[0] * steepest(task.slopes, node.name))


def steepest(slopes: Slopes, name: str) -> Tensor:
    """Largest absolute slope of an activation, (rows,)."""
    return slopes[name].magnitude().flatten(1).amax(1)


def _of_maximum(
    graph: LayerGraph, parts: tuple[str, ...], found: dict[str, Tensor], norm: Norm
) -> Tensor:
    """Of a maximum: per coordinate it changes by no more than some part does."""
    every = torch.stack([found[part] for part in parts])
    if norm is Norm.MAX:
        return every.amax(0)
    base = shared(graph, parts)
    if base is not None:
        often = torch.tensor(float(base[1]), dtype=torch.float64)
        times = up(torch.sqrt(often)) if norm is Norm.TWO and often > 1 else often
        return up(found[base[0]] * times) if often > 1 else found[base[0]]
    total = every[0] if norm is Norm.ONE else up(every[0] * every[0])
    for part in every[1:]:
        total = up(total + (part if norm is Norm.ONE else up(part * part)))
    return total if norm is Norm.ONE else up(torch.sqrt(total))
