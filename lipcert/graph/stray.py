"""How far executed quantisers may round beside a quotient's own error: of codes that are added.

Kernels that add codes, or a zero point, do so in float32 on the codes as they are stored: what is
rounded away there goes by their size, however small the sum. Measured: an addition whose true sum
is 1e-8 steps from the middle of two codes went to the farther one.
"""

from dataclasses import replace

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.numeric.rounding import gamma, inflate
from lipcert.ops.kinds import Elementwise
from lipcert.ops.pad import Pad
from lipcert.ops.quantize import Quantize
from lipcert.ops.routing import Routing
from lipcert.ops.scale import Scale

ADDED = 2  # roundings of a quotient to which a zero point is added
RAW = 8  # roundings of a sum of codes and zero points
STORED = 2 * 255  # steps of a constant that is added as codes, and of its zero point


def with_strays(graph: LayerGraph) -> LayerGraph:
    """An executed network whose quantisers know of it."""
    raw = dict[str, float]()
    nodes = tuple(_node(node, sum(raw[name] for name in node.inputs), raw) for node in graph.nodes)
    return replace(graph, nodes=nodes)


def _node(node: Node, below: float, raw: dict[str, float]) -> Node:
    """The node; notes how large the codes and zero points behind its value are, in its units."""
    op = node.op
    raw[node.name] = 0.0
    if isinstance(op, Quantize):
        codes = float(((op.highest - op.lowest) * op.scale).max())
        raw[node.name] = 2 * codes
        size = gamma(RAW, torch.float32) * (below + codes) if below else _zero_point(codes)
        return replace(node, op=replace(op, stray=inflate(size / op.scale, 8)))
    if isinstance(op, Routing | Pad | Elementwise):
        raw[node.name] = below
    elif isinstance(op, Scale) and below and bool((op.factor == 1).all()):
        raw[node.name] = below + STORED * _step(op.shift)
    return node


def _zero_point(codes: float) -> float:
    return gamma(ADDED, torch.float32) * codes


def _step(values: Tensor) -> float:
    """No step of which all values are multiples is larger; zero where all of them are zero."""
    places = torch.cat([values.flatten(), values.new_zeros(1)]).sort().values
    gaps = places.diff()
    return float(gaps[gaps > 0].min()) if bool((gaps > 0).any()) else 0.0
