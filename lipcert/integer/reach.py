"""Which codes the steps of a program can reach from a box of inputs, by intervals."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lipcert.graph.semantics import Semantics
from lipcert.integer.encoding import Codes, Encoding, Single
from lipcert.integer.kernels import multiplier, requantise
from lipcert.integer.program import Convolution, Dense, Product, Program, Quantise, Weights
from lipcert.integer.run import Call, executed
from lipcert.integer.unrolling import unroll

Reached = tuple[Codes, Codes]  # smallest and largest code, (batch, *shape)


def reach(
    program: Program, lower: Single, upper: Single, known: Mapping[str, Reached] | None = None
) -> dict[str, Reached]:
    """Proved smallest and largest codes of every step under `int8`, (batch, *shape).

    Every kernel but a product is nondecreasing in its operands, float32 rounding included, so
    its ends are the kernel at the ends; sums of products are exact integers, and requantisation
    is nondecreasing.

    Args:
        program: the network.
        lower: (batch, *shape) float32 inputs.
        upper: likewise, at least `lower`.
        known: proved codes of some steps, to be cut with ours.
    """
    ends: dict[str, Reached] = {}
    encodings = {step.name: step.encoding for step in program.steps}
    for step in program.steps:
        sources = tuple(encodings[name] for name in step.inputs)
        call = Call(sources, step.encoding, Semantics.INT8)
        operands = tuple(ends[name] for name in step.inputs)
        operation = step.operation
        if isinstance(operation, Quantise):
            pair = (step.encoding.quantise(lower), step.encoding.quantise(upper))
        elif isinstance(operation, Dense | Convolution):
            pair = _of_product(operation, operands[0], sources[0], step.encoding)
        else:
            low = executed(operation, tuple(o[0] for o in operands), call)
            pair = (low, executed(operation, tuple(o[1] for o in operands), call))
        low, high = (np.maximum(codes, step.floor) for codes in pair)
        if known is not None and step.name in known:
            low, high = np.maximum(low, known[step.name][0]), np.minimum(high, known[step.name][1])
        ends[step.name] = (low, high)
    return ends


def _of_product(
    operation: Product, operand: Reached, source: Encoding, target: Encoding
) -> Reached:
    low, high = (unroll(operation, codes, source.zero_point) for codes in operand)
    least: list[Codes] = []
    most: list[Codes] = []
    for (lower, weights), (upper, _) in zip(low.groups, high.groups, strict=True):
        bottom, top = _sums(lower - source.zero_point, upper - source.zero_point, weights)
        factor = multiplier(source, weights, target)
        least.append(requantise(bottom, factor, target))
        most.append(requantise(top, factor, target))
    return low.rolled(least), low.rolled(most)


def _sums(lower: Codes, upper: Codes, weights: Weights) -> tuple[Codes, Codes]:
    """Exact extremes of the accumulators; float64 holds every sum."""
    ends = [codes.astype(np.float64) for codes in (lower, upper)]
    centred: NDArray[np.float64] = weights.centred.T.astype(np.float64)
    rising, falling = np.maximum(centred, 0), np.minimum(centred, 0)
    bottom = ends[0] @ rising + ends[1] @ falling
    top = ends[1] @ rising + ends[0] @ falling
    return bottom.astype(np.int64) + weights.bias, top.astype(np.int64) + weights.bias
