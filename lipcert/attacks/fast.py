"""Networks that are right up to rounding and fast: for searches, on which no proof depends."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lipcert.graph.layer_graph import LayerGraph
from lipcert.ops.conv import Conv
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Op


@dataclass(frozen=True, slots=True, eq=False)
class LibraryConv(Op):
    """The same convolution, up to rounding, two to three times as fast."""

    conv: Conv

    def value(self, *inputs: Tensor) -> Tensor:
        """Padded, then convolved with channels innermost."""
        conv = self.conv
        top, left, bottom, right = conv.pads
        x = inputs[0].contiguous(memory_format=torch.channels_last)
        even = (top, left) == (bottom, right)
        if not even:
            x = F.pad(x, (left, right, top, bottom))
        pad = (top, left) if even else (0, 0)
        return F.conv2d(x, conv.weight, conv.bias, conv.stride, pad, conv.dilation, conv.groups)

    def shape(self, *inputs: Shape) -> Shape:
        """The convolution's."""
        return self.conv.shape(*inputs)


def fast(graph: LayerGraph, dtype: torch.dtype) -> LayerGraph:
    """The placed graph in another dtype, every convolution on the library's kernel."""
    nodes = (
        node if node.op is None else replace(node, op=_fast(node.op, dtype)) for node in graph.nodes
    )
    return LayerGraph(tuple(nodes), graph.source)


def _fast(op: Op, dtype: torch.dtype) -> Op:
    """Rounded to the dtype without an account of the error, unlike `Op.placed`."""
    moved = {
        name: value.to(dtype)
        for name, value in op.parameters().items()
        if isinstance(value, Tensor) and value.is_floating_point()
    }
    rounded = op.with_parameters(moved)
    return LibraryConv(rounded) if isinstance(rounded, Conv) else rounded
