"""Derivatives along a direction, of activations smoothed so that their kinks can be climbed."""

from dataclasses import replace

import torch
from torch import Tensor

from lipcert.attacks.fast import LibraryConv
from lipcert.graph.layer_graph import LayerGraph
from lipcert.ops.kinds import Affine, Elementwise, Op
from lipcert.ops.softmax import Softmax

NARROW = 0.25  # of the width, for the half of the smoothing that is nearer to the kinks


def tangent(graph: LayerGraph, points: Tensor, directions: Tensor, width: float) -> Tensor:
    """Derivative of the outputs along `directions`, (points, outputs), differentiable in both.

    Every activation's derivative is its difference quotient over `width` times the typical size
    of what it reads: a derivative that is constant almost everywhere gets a slope to climb.
    """
    values, changes = {graph.input.name: points}, {graph.input.name: directions}
    for node in graph.nodes[1:]:
        assert node.op is not None
        reads = [values[name] for name in node.inputs]
        moves = [changes[name] for name in node.inputs]
        values[node.name] = node.op.value(*reads)
        changes[node.name] = _moved(node.op, reads, moves, values[node.name], width)
    return changes[graph.output.name].flatten(1)


def _moved(op: Op, reads: list[Tensor], moves: list[Tensor], value: Tensor, width: float) -> Tensor:
    """Change of one operation's value."""
    if isinstance(op, Elementwise):
        (x,) = reads
        step = width * x.detach().abs().flatten(1).mean(1).clamp(min=1e-30)
        step = step.view(-1, *[1] * (x.ndim - 1))
        slopes = [(op.value(x + s) - op.value(x - s)) / (2 * s) for s in (step, step * NARROW)]
        return (slopes[0] + slopes[1]) / 2 * moves[0]
    if isinstance(op, Affine):
        return op.linear(*moves)
    if isinstance(op, LibraryConv):
        unbiased = replace(op.conv, bias=torch.zeros_like(op.conv.bias))
        return LibraryConv(unbiased).value(*moves)
    assert isinstance(op, Softmax), f"no derivative is known for {type(op).__name__}"
    return value * (moves[0] - (value * moves[0]).sum(-1, keepdim=True))


def jacobians(graph: LayerGraph, points: Tensor) -> Tensor:
    """Derivatives of every output by every input, (points, outputs, inputs)."""
    with torch.enable_grad():
        moving = points.detach().requires_grad_()
        outputs = graph(moving).flatten(1)
        rows = [
            torch.autograd.grad(outputs[:, k].sum(), moving, retain_graph=True)[0].flatten(1)
            for k in range(outputs.shape[1])
        ]
    return torch.stack(rows, 1)
