"""Convolution over one or two axes."""

import numpy as np

from lipcert.errors import BadFile
from lipcert.graph.layer_graph import Node
from lipcert.ops.conv import Conv
from lipcert.read.builder import Scope, checked
from lipcert.read.constant import tensor
from lipcert.read.lower.reshaping import as_before, as_map
from lipcert.read.lower.window import Window


def convolved(
    scope: Scope,
    x: Node,
    kernel: tuple[np.ndarray, np.ndarray | None, float],
    window: Window,
    groups: int,
) -> Node:
    """Cross-correlation of (channels, ...) with a kernel.

    Args:
        scope: names the nodes.
        x: (channels, length) or (channels, height, width).
        kernel: weight (out, channels / groups, ...), bias (out,) or None, and their relative error.
        window: how it slides; `ceil` is not for convolutions.
        groups: blocks of channels that do not mix.
    """
    weight, bias, error = kernel
    if weight.ndim != len(x.shape) + 1 or weight.shape[2:] != window.kernel:
        raise BadFile(f"weight of shape {weight.shape} does not slide over a value {x.shape}")
    if groups < 1 or weight.shape[0] % groups or weight.shape[1] * groups != x.shape[0]:
        raise BadFile(
            f"weight {weight.shape} in {groups} groups does not fit {x.shape[0]} channels"
        )
    if bias is None:
        bias = np.zeros(weight.shape[0])
    if bias.shape != weight.shape[:1]:
        raise BadFile(f"bias of shape {bias.shape} does not fit {weight.shape[0]} channels")
    window.outputs(x.shape[1:])  # refuses a kernel larger than the padded map
    edges = zip(x.shape[1:], window.before, window.after, strict=True)
    padded = tuple(sum(edge) for edge in edges)
    checked((x.shape[0], *padded), f"the padded input of '{scope.name}'", scope.builder.source)
    lifted, mapped = window.lifted(), as_map(scope, x)
    stored = tensor(weight if weight.ndim == 4 else weight[..., None])
    op = Conv(
        stored,
        tensor(bias),
        mapped.shape,
        (lifted.stride[0], lifted.stride[1]),
        (lifted.dilation[0], lifted.dilation[1]),
        (lifted.before[0], lifted.before[1], lifted.after[0], lifted.after[1]),
        groups,
        error,
    )
    return as_before(scope, scope.emit(op, mapped), x)
