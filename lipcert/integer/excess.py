"""How far saturating pair sums can move a product, over a box of what it reads.

Where the sum p of two neighbouring products leaves 16 bits, clip(p) - p is added to it, which
never rises with p. Over a box of codes the largest and the smallest sum of each pair are exact, so
that the ends of what is added are too; the accumulator moves by the sum over its pairs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lipcert.errors import UnsupportedOp
from lipcert.graph.excess import Excess
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.integer.dynamic import DynamicProgram
from lipcert.integer.encoding import Codes, Encoding
from lipcert.integer.kernels import LEAST, MOST, pair_extremes, pairs
from lipcert.integer.program import Convolution, Product, Program
from lipcert.integer.unrolling import unroll
from lipcert.numeric.rounding import cast_down, cast_up
from lipcert.ops.conv import Conv
from lipcert.ops.dynamic_quantize import DynamicQuantize
from lipcert.ops.linear import Linear
from lipcert.sets.enclosure import Interval

NEAR = 1e-6  # relative; values and weights of a graph are codes times their scales
ROUNDING = 2.0**-20  # relative; sixteen roundings in float32

Sums = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DynamicExcess(Excess):
    """Of a product whose codes are made of each row, its kernel adding pairs at 16 bits.

    Args:
        product: a matrix product.
        quantiser: makes the codes, of the value of `reads`.
    """

    product: Product
    quantiser: DynamicQuantize

    def over(self, box: Interval) -> Interval | None:
        """Units of the accumulator times the steps that a row may have."""
        first, last, step = self.quantiser.stored(Interval(box.lower.detach(), box.upper.detach()))
        low, high = (end.cpu().numpy().astype(np.int64) for end in (first, last))
        lows, highs = unroll(self.product, low, 0), unroll(self.product, high, 0)
        ((bottom, weights),), ((top, _),) = lows.groups, highs.groups
        least, most = added(bottom, top, weights.rows)
        if not (least.any() or most.any()):
            return None
        scale = weights.scale.astype(np.float64)
        ends = [torch.from_numpy(lows.rolled([units * scale])) for units in (least, most)]
        sizes = [size.double().cpu() for size in (step.lower, step.upper)]
        products = [torch.where(end == 0, 0.0, end * size) for end in ends for size in sizes]
        lower, upper = torch.stack(products).aminmax(dim=0)
        lower, upper = lower - ROUNDING * lower.abs(), upper + ROUNDING * upper.abs()
        lower = cast_down(lower, box.lower.dtype).to(box.lower.device)
        return Interval(lower, cast_up(upper, box.upper.dtype).to(box.upper.device))


@dataclass(frozen=True, slots=True, eq=False)
class PairExcess(Excess):
    """Of a product whose kernel adds pairs at 16 bits.

    Args:
        product: codes along the kernel's own reduction.
        source: of the codes that it reads.
        shape: of the node's value.
    """

    product: Product
    source: Encoding
    shape: tuple[int, ...]

    def over(self, box: Interval) -> Interval | None:
        """Units of the accumulator times what one is worth, requantisation's rounding included."""
        low, high = (self._codes(end, side) for end, side in ((box.lower, -1), (box.upper, 1)))
        filler = self.source.zero_point - self.source.lowest
        lows, highs = (unroll(self.product, codes, filler) for codes in (low, high))
        parts = [
            added(bottom, top, weights.rows)
            for (bottom, weights), (top, _) in zip(lows.groups, highs.groups, strict=True)
        ]
        if not any(end.any() for part in parts for end in part):
            return None
        units = self.source.scale * self.product.weights.scale.astype(np.float64)
        ends: list[Tensor] = []
        for end, side in zip(zip(*parts, strict=True), (-1, 1), strict=True):
            found = np.concatenate(end, axis=1) * units
            whole = lows.rolled([found + side * ROUNDING * np.abs(found)])
            ordered = np.ascontiguousarray(whole.reshape(len(low), *self.shape))
            ends.append(torch.from_numpy(ordered))
        lower = cast_down(ends[0], box.lower.dtype).to(box.lower.device)
        return Interval(lower, cast_up(ends[1], box.upper.dtype).to(box.upper.device))

    def _codes(self, end: Tensor, side: int) -> Codes:
        """First or last code that the box reaches, counted from the lowest."""
        values = end.detach().double().cpu().numpy() / self.source.scale
        steps = values + side * NEAR * (1 + np.abs(values))
        whole = np.ceil(steps) if side < 0 else np.floor(steps)
        furthest = float(self.source.highest - self.source.lowest)
        raw = np.nan_to_num(whole, nan=side * np.inf) + (
            self.source.zero_point - self.source.lowest
        )
        codes = np.clip(raw, 0, furthest).astype(np.int64)
        flat = isinstance(self.product, Convolution) and len(self.product.window.kernel) == 1
        return codes[..., 0] if flat and codes.ndim == 4 else codes


def excess_of(graph: LayerGraph, program: Program | DynamicProgram) -> Mapping[str, Excess]:
    """For every node of the graph whose kernel may saturate, what that can add.

    Args:
        graph: the network in the program's file, as a pair holds it.
        program: its integer kernels.

    Raises:
        UnsupportedOp: a kernel that may saturate has no node of its own.
    """
    nodes = graph.by_name()
    found: dict[str, Excess] = {}
    for step, product in program.products():
        if product.narrow and _exposed(product.weights.rows).any():
            node = next((nodes[n] for n in (f"{step.name}.product", step.name) if n in nodes), None)
            reads = None if node is None else nodes[node.inputs[0]]
            if node is None or reads is None or not _computes(node, product):
                raise UnsupportedOp(
                    f"ort-x86-sat16: '{step.name}' may saturate, and no layer of the network "
                    "alone corresponds to it; use semantics 'int8'"
                )
            if isinstance(program, DynamicProgram):
                found[node.name] = _dynamic(reads, product)
            else:
                source = program[step.inputs[0]].encoding
                found[node.name] = PairExcess(reads.name, product, source, node.shape)
    return found


def _dynamic(reads: Node, product: Product) -> DynamicExcess:
    """Of a product that reads the codes which a node stands for."""
    if not isinstance(reads.op, DynamicQuantize):
        raise UnsupportedOp(
            f"ort-x86-sat16: '{reads.name}' stands between codes that are made of each row and a "
            "product that may saturate; use semantics 'int8'"
        )
    return DynamicExcess(reads.inputs[0], product, reads.op)


def _computes(node: Node, product: Product) -> bool:
    """Whether the node's weights are the product's, times their scales."""
    op, weights = node.op, product.weights
    if not isinstance(op, Conv if isinstance(product, Convolution) else Linear):
        return False
    ones = (1,) * (weights.codes.ndim - 1)
    centred = weights.codes - weights.zero_point.reshape(-1, *ones)
    values = centred * weights.scale.astype(np.float64).reshape(-1, *ones)
    held = op.weight.numpy()
    if held.size != values.size or len(held) != len(values):
        return False
    return bool(np.allclose(held.reshape(values.shape), values, rtol=NEAR, atol=0))


def _exposed(weights: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pairs that leave 16 bits for some bytes, (outputs, pairs)."""
    upper, lower = pair_extremes(weights)
    return (upper > MOST) | (lower < LEAST)


def added(low: Codes, high: Codes, weights: NDArray[np.int64]) -> tuple[Sums, Sums]:
    """Least and most that saturation adds to each sum, exact, (places, outputs) each.

    Args:
        low: smallest activations as unsigned bytes, (places, inputs).
        high: largest ones.
        weights: (outputs, inputs) stored codes, signed bytes.
    """
    lower = np.zeros((len(low), len(weights)))
    upper = np.zeros_like(lower)
    factors = pairs(weights).astype(np.float64)
    bottoms, tops = (pairs(rows).astype(np.float64) for rows in (low, high))
    exposed = _exposed(weights)
    for pair in np.flatnonzero(exposed.any(axis=0)):
        outputs = np.flatnonzero(exposed[:, pair])
        chosen = factors[outputs, pair].T  # (2, outputs)
        rising, falling = np.maximum(chosen, 0), np.minimum(chosen, 0)
        most = tops[:, pair] @ rising + bottoms[:, pair] @ falling
        least = bottoms[:, pair] @ rising + tops[:, pair] @ falling
        lower[:, outputs] += np.clip(most, LEAST, MOST) - most
        upper[:, outputs] += np.clip(least, LEAST, MOST) - least
    return lower, upper
