"""Pairs made here: a network beside itself with weights rounded row by row."""

from dataclasses import replace

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.ops.linear import Linear


def rounded_pair(graph: LayerGraph, bits: int) -> Pair:
    """The network and its rounded self; every linear layer's weights have `bits` bits."""
    nodes = tuple(
        Node(n.name, _rounded(n.op, bits), n.inputs, n.shape) if isinstance(n.op, Linear) else n
        for n in graph.nodes
    )
    return Pair.of(graph, LayerGraph(nodes, f"{graph.source}, {bits} bits per row"))


def _rounded(op: Linear, bits: int) -> Linear:
    return replace(op, weight=rounded_rows(op.weight, bits))


def rounded_rows(weight: Tensor, bits: int) -> Tensor:
    """Symmetric rounding: each row to multiples of its largest magnitude / (2^(bits - 1) - 1)."""
    largest = weight.abs().amax(1, keepdim=True)
    step = torch.where(largest > 0, largest, 1) / (2 ** (bits - 1) - 1)
    return (weight / step).round() * step
