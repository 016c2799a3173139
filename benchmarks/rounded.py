"""Pairs made here: a network beside itself with weights rounded row by row, or pruned."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.ops.linear import Linear


def rounded_pair(graph: LayerGraph, bits: int) -> Pair:
    """The network and its rounded self; every linear layer's weights have `bits` bits."""
    return _pair(graph, lambda weight: rounded_rows(weight, bits), f"{bits} bits per row")


def pruned_pair(graph: LayerGraph, share: float) -> Pair:
    """The network and itself without the smallest weights of each linear layer."""
    return _pair(graph, lambda weight: pruned(weight, share), f"{share:.0%} pruned")


def _pair(graph: LayerGraph, change: Callable[[Tensor], Tensor], what: str) -> Pair:
    nodes = tuple(
        Node(n.name, replace(n.op, weight=change(n.op.weight)), n.inputs, n.shape)
        if isinstance(n.op, Linear)
        else n
        for n in graph.nodes
    )
    return Pair.of(graph, LayerGraph(nodes, f"{graph.source}, {what}"))


def pruned(weight: Tensor, share: float) -> Tensor:
    """Zero where a weight is among the given share of smallest magnitudes."""
    count = int(share * weight.numel())
    last = weight.abs().flatten().kthvalue(count).values if count else weight.new_tensor(-1.0)
    return torch.where(weight.abs() <= last, 0.0, weight)


def rounded_rows(weight: Tensor, bits: int) -> Tensor:
    """Symmetric rounding: each row to multiples of its largest magnitude / (2^(bits - 1) - 1)."""
    largest = weight.abs().amax(1, keepdim=True)
    step = torch.where(largest > 0, largest, 1) / (2 ** (bits - 1) - 1)
    return (weight / step).round() * step
