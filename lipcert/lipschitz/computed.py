"""Outputs as float64 computes them, with a bound on the l2 norm of their error.

An interval evaluation widens by absolute weights from layer to layer, which in deep networks ends
far above any difference of outputs. Here one number per node bounds the l2 norm of the error: what
an operation itself rounds, and the error before it times the operation's own norm.
Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., sec. 3.3, in norms.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.gain.affine import affine_gain, softmax_gain
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.lipschitz.slopes import everywhere
from lipcert.methods.image import image
from lipcert.numeric.norm import Norm
from lipcert.numeric.rounding import inflate, up
from lipcert.ops.kinds import Affine
from lipcert.ops.softmax import Softmax
from lipcert.sets.enclosure import Interval

LOST = 2.0**-510  # above the root of what underflow takes from a square


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """Values of a node at some points, (points, *shape).

    Args:
        value: as computed.
        error: (points,) upper bound on the l2 norm of value less the exact one.
    """

    value: Tensor
    error: Tensor


def computed(graph: LayerGraph, points: Tensor) -> Computed:
    """The outputs at points (points, *shape), float64."""
    steepest = {name: box.magnitude().amax() for name, box in everywhere(graph).items()}
    found = {graph.input.name: Computed(points, points.new_zeros(len(points)))}
    for node in graph.nodes[1:]:
        below = [found[name] for name in node.inputs]
        assert node.op is not None
        box = image(node.op, *(Interval.point(part.value) for part in below))
        value = box.centre
        own = upper_norm(box.radius(value).flatten(1), Norm.TWO)
        before = _carried(node, below, steepest.get(node.name))
        found[node.name] = Computed(value, up(own + before))
    return found[graph.output.name]


def upper_norm(vectors: Tensor, norm: Norm) -> Tensor:
    """Norms of nonnegative vectors (points, n), rounded up; squares may have underflowed."""
    terms = vectors.shape[1] + 4
    return up(inflate(norm.of(vectors), terms) + terms * LOST)


def _carried(node: Node, below: list[Computed], steepest: Tensor | None) -> Tensor:
    """What the errors of the inputs can become at a node."""
    errors = [part.error for part in below]
    if isinstance(node.op, Affine):
        shapes = tuple(tuple(part.value.shape[1:]) for part in below)
        return affine_gain(node.op, shapes, errors, Norm.TWO)
    if isinstance(node.op, Softmax):
        return up(errors[0] * softmax_gain())
    assert steepest is not None, "every other operation is an activation"
    return torch.where(errors[0] == 0, errors[0], up(errors[0] * steepest))
