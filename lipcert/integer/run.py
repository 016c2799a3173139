"""The evaluator: what a program's integer kernels compute, bit for bit."""

from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from lipcert.graph.semantics import Semantics
from lipcert.integer.encoding import Codes, Encoding, Single
from lipcert.integer.kernels import accumulate, added, multiplier, requantise, saturation
from lipcert.integer.program import (
    Addition,
    Average,
    Convolution,
    Dense,
    Operation,
    Product,
    Program,
    Quantise,
    Recode,
    Reshape,
)
from lipcert.integer.received import received
from lipcert.integer.unrolling import unroll

ROWS = 32  # inputs at a time


def evaluate(program: Program, inputs: NDArray[np.floating], semantics: Semantics) -> Single:
    """The network's float32 outputs, (batch, *shape).

    Args:
        program: from `program_of`.
        inputs: (batch, *shape); converted to float32 as a runtime receives them.
        semantics: int8 or ort-x86-sat16.
    """
    output = program.output
    return output.encoding.dequantise(codes_of(program, inputs, semantics)[output.name])


def codes_of(
    program: Program, inputs: NDArray[np.floating], semantics: Semantics
) -> dict[str, Codes]:
    """The codes that every step makes, (batch, *shape)."""
    single = received(program, inputs, semantics)
    blocks = [single[k : k + ROWS] for k in range(0, len(single), ROWS)]
    parts = [_run(program, block, semantics) for block in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _run(program: Program, inputs: Single, semantics: Semantics) -> dict[str, Codes]:
    made: dict[str, Codes] = {}
    encodings = {step.name: step.encoding for step in program.steps}
    for step in program.steps:
        if isinstance(step.operation, Quantise):
            codes = step.encoding.quantise(inputs)
        else:
            sources = tuple(encodings[name] for name in step.inputs)
            call = Call(sources, step.encoding, semantics)
            codes = executed(step.operation, tuple(made[name] for name in step.inputs), call)
        made[step.name] = np.maximum(codes, step.floor)
    return made


class Call:
    """What a kernel is told besides its operands."""

    __slots__ = ("semantics", "sources", "target")

    def __init__(
        self, sources: tuple[Encoding, ...], target: Encoding, semantics: Semantics
    ) -> None:
        """Encodings of the operands and of the result."""
        self.sources, self.target, self.semantics = sources, target, semantics


@singledispatch
def executed(operation: Operation, operands: tuple[Codes, ...], call: Call) -> Codes:
    """The codes that the operation makes of its operands."""
    raise TypeError(f"no kernel for {type(operation).__name__}")


@executed.register(Recode)
def executed_recode(operation: Recode, operands: tuple[Codes, ...], call: Call) -> Codes:
    """Dequantised and quantised in float32."""
    return call.target.quantise(call.sources[0].dequantise(operands[0]))


@executed.register(Reshape)
def executed_reshape(operation: Reshape, operands: tuple[Codes, ...], call: Call) -> Codes:
    """The codes themselves."""
    return operands[0].reshape(len(operands[0]), *operation.shape)


@executed.register(Addition)
def executed_addition(operation: Addition, operands: tuple[Codes, ...], call: Call) -> Codes:
    """One operand after the other, in float32."""
    first, second = np.broadcast_arrays(*operands)
    return added((first, second), (call.sources[0], call.sources[1]), call.target)


@executed.register(Dense)
@executed.register(Convolution)
def executed_product(operation: Product, operands: tuple[Codes, ...], call: Call) -> Codes:
    """Group by group: sums, then requantisation."""
    source = call.sources[0]
    saturating = operation.narrow and call.semantics is Semantics.ORT_X86_SAT16
    unrolled = unroll(operation, operands[0], source.zero_point)
    parts: list[Codes] = []
    for rows, weights in unrolled.groups:
        sums = accumulate(rows, source.zero_point, weights)
        if saturating:
            sums = sums + saturation(rows - source.lowest, weights.rows)
        parts.append(requantise(sums, multiplier(source, weights, call.target), call.target))
    return unrolled.rolled(parts)


@executed.register(Average)
def executed_average(operation: Average, operands: tuple[Codes, ...], call: Call) -> Codes:
    """Integer sums where a window covers the whole map, float32 sums elsewhere."""
    codes, source, target = operands[0], call.sources[0], call.target
    window = operation.window
    if window is None or (window.kernel == codes.shape[2:] and not window.padded):
        axes = tuple(range(2, codes.ndim))
        count = np.array(np.prod(codes.shape[2:]), dtype=np.float32)
        factor = np.asarray(np.float32(source.scale) / (np.float32(target.scale) * count))
        sums = (codes - source.zero_point).sum(axis=axes, keepdims=True)
        return requantise(sums, factor, target)
    rank = len(window.kernel)
    seen = window.patches(codes, source.zero_point)
    inside = window.patches(np.ones((1, 1, *codes.shape[2:]), dtype=np.int64), 0)
    taps = tuple(range(1 + rank, 1 + 2 * rank))
    counts = np.prod(window.kernel) if operation.count_padding else inside.sum(axis=taps)
    values = source.dequantise(seen).reshape(*seen.shape[: 1 + rank], -1, codes.shape[1])
    total = np.zeros(values.shape[: 1 + rank] + values.shape[-1:], dtype=np.float32)
    for tap in range(values.shape[1 + rank]):
        total = total + values[..., tap, :]
    mean = total / np.asarray(counts, dtype=np.float32)
    shifted = np.rint(mean / np.float32(target.scale) + np.float32(target.zero_point))
    return np.moveaxis(np.clip(shifted, target.lowest, target.highest).astype(np.int64), -1, 1)
