"""Networks that quantise dynamically: float32 between integer products, bit for bit.

Every row is a run of its own: step and zero point follow from its least and greatest entry.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipcert.graph.semantics import Semantics
from lipcert.integer.encoding import Codes, Single
from lipcert.integer.kernels import accumulate, saturation
from lipcert.integer.program import Product, Reshape
from lipcert.integer.received import received
from lipcert.integer.unrolling import unroll
from lipcert.integer.window import Sizes

MOST = 255  # codes are unsigned bytes
INPUT = ""  # the name of what the network reads


@dataclass(frozen=True, slots=True)
class Rectify:
    """The value, or zero where that is larger."""


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """A stored float32 array added."""

    by: Single


@dataclass(frozen=True, slots=True)
class Sum:
    """Two values added."""


@dataclass(frozen=True, slots=True, eq=False)
class FloatStep:
    """One operation on float32 values; a product quantises what it reads.

    Args:
        name: unique; the node's name in the user's file.
        operation: what is computed.
        inputs: names of earlier steps, or `INPUT`.
    """

    name: str
    operation: Product | Shift | Sum | Rectify | Reshape
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DynamicProgram:
    """Steps in the order they run; the last makes the output.

    Args:
        steps: topologically ordered, names unique.
        source: the user's file.
        input_shape: of one input, the batch axis aside.
    """

    steps: tuple[FloatStep, ...]
    source: str
    input_shape: Sizes

    def products(self) -> tuple[tuple[FloatStep, Product], ...]:
        """The steps that multiply with weights, beside their operations."""
        return tuple((s, s.operation) for s in self.steps if isinstance(s.operation, Product))


def evaluate_dynamic(
    program: DynamicProgram, inputs: NDArray[np.floating], semantics: Semantics
) -> Single:
    """The network's float32 outputs, (batch, *shape), row by row.

    Args:
        program: from `dynamic_of`.
        inputs: (batch, *shape); converted to float32 as a runtime receives them.
        semantics: int8 or ort-x86-sat16.
    """
    single = received(program, inputs, semantics)
    return np.concatenate([_run(program, row[None], semantics) for row in single])


def scheme(row: Single) -> tuple[np.float32, int]:
    """Step and zero point of a row, as DynamicQuantizeLinear computes them."""
    least, most = min(row.min(), np.float32(0)), max(row.max(), np.float32(0))
    step = np.float32(most - least) / np.float32(MOST)
    step = step if step > 0 else np.float32(1)
    return step, int(np.rint(np.clip(np.float32(-least) / step, 0, MOST)))


def _run(program: DynamicProgram, row: Single, semantics: Semantics) -> Single:
    made = {INPUT: row}
    for step in program.steps:
        operands = [made[name] for name in step.inputs]
        made[step.name] = _executed(step.operation, operands, semantics)
    return made[program.steps[-1].name]


def _executed(
    operation: Product | Shift | Sum | Rectify | Reshape,
    operands: list[Single],
    semantics: Semantics,
) -> Single:
    value = operands[0]
    if isinstance(operation, Product):
        return _product(operation, value, semantics)
    if isinstance(operation, Shift):
        return value + operation.by
    if isinstance(operation, Sum):
        return value + operands[1]
    if isinstance(operation, Rectify):
        return np.maximum(value, np.float32(0))
    return value.reshape(len(value), *operation.shape)


def _product(operation: Product, row: Single, semantics: Semantics) -> Single:
    """Codes, exact or pairwise saturating sums, then one rounding for each of two factors."""
    step, zero = scheme(row)
    codes: Codes = np.clip(np.rint(row / step) + zero, 0, MOST).astype(np.int64)
    unrolled = unroll(operation, codes, zero)
    parts: list[Single] = []
    for rows, weights in unrolled.groups:
        sums = accumulate(rows, zero, weights)
        if operation.narrow and semantics is Semantics.ORT_X86_SAT16:
            sums = sums + saturation(rows, weights.rows)
        scale: Single = (step * weights.scale).astype(np.float32)
        parts.append(sums.astype(np.float32) * scale)
    return unrolled.rolled(parts)
