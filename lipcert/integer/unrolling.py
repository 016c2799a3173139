"""Products as matrix products: one row of codes per output place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipcert.errors import BadFile
from lipcert.integer.encoding import Codes
from lipcert.integer.program import Convolution, Dense, Product, Weights


@dataclass(frozen=True, slots=True, eq=False)
class Unrolled:
    """What the kernels of a product multiply, group by group.

    Args:
        groups: rows (places, inputs) and the weights they meet, along the same reduction.
        outer: axes of the places: batch and windows, or all but the last.
        channels_second: whether outputs become the second axis (else the last).
    """

    groups: tuple[tuple[Codes, Weights], ...]
    outer: tuple[int, ...]
    channels_second: bool

    def rolled(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Results (places, outputs) of each group as one array with the product's axes."""
        whole = np.concatenate(parts, axis=1).reshape(*self.outer, -1)
        return np.moveaxis(whole, -1, 1) if self.channels_second else whole


def unroll(operation: Product, codes: Codes, filler: int) -> Unrolled:
    """Rows in the order that kernels reduce: channels first, then the kernel's taps.

    Args:
        operation: the product.
        codes: its input, (batch, *shape).
        filler: code of the padding.
    """
    expected = operation.weights.codes.shape[1]
    expected *= operation.groups if isinstance(operation, Convolution) else 1
    found = codes.shape[-1 if isinstance(operation, Dense) else 1]
    if found != expected:
        raise BadFile(f"a product reads {expected} channels and is given {found}")
    if isinstance(operation, Dense):
        rows = codes.reshape(-1, codes.shape[-1])
        return Unrolled(((rows, operation.weights),), codes.shape[:-1], channels_second=False)
    patches = operation.window.patches(codes, filler)
    outer = patches.shape[: 1 + len(operation.window.kernel)]
    share = operation.weights.codes.shape[1]
    groups = tuple(
        (
            patches[..., group * share : (group + 1) * share].reshape(int(np.prod(outer)), -1),
            _of_group(operation, group),
        )
        for group in range(operation.groups)
    )
    return Unrolled(groups, outer, channels_second=True)


def _of_group(operation: Convolution, group: int) -> Weights:
    """The weights of one group's output channels."""
    weights = operation.weights
    size = weights.outputs // operation.groups
    rows = slice(group * size, (group + 1) * size)
    return Weights(
        weights.codes[rows], weights.zero_point[rows], weights.scale[rows], weights.bias[rows]
    )
