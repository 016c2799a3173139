"""MatMulNBits: weights packed as blocks of codes, each block with its own scale.

Read with the exact dequantised weights. ONNX Runtime at accuracy level 4 (its default where it
makes such nodes itself) also rounds activations to int8, which this reading does not cover.
"""

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.linear import Linear
from lipcert.read.builder import MOST_VALUES
from lipcert.read.constant import ROUNDING, Constant, single, tensor
from lipcert.read.lower.dequantising import positive
from lipcert.read.onnx_rules.quantise import RUNTIME
from lipcert.read.onnx_view import View, reads


@reads(f"{RUNTIME}.MatMulNBits", K=(), N=(), bits=(4, 8), block_size=(), accuracy_level=(),
       weight_prepacked=(0,))  # fmt: skip
def matmul_nbits(view: View) -> Node:
    """Product with a constant matrix of 4- or 8-bit codes on the right."""
    x = view.activation(0)
    inner, outer = view.integer("K", 0), view.integer("N", 0)
    block, bits = view.integer("block_size", 0), view.integer("bits", 4)
    if view.has(4):
        raise UnsupportedOp("has a group index")
    if min(inner, outer, block) < 1 or inner * outer > MOST_VALUES or block % 2:
        raise BadFile(f"has K = {inner}, N = {outer} and blocks of {block}")
    if not x.shape or x.shape[-1] != inner:
        raise BadFile(f"multiplies {inner} rows with a value of shape {x.shape}")
    grid = (outer, -(-inner // block))
    packed, scale = view.constant(1), view.constant(2)
    if packed.values.dtype != np.uint8 or packed.values.size != np.prod(grid) * block * bits // 8:
        raise BadFile(f"'{packed.name}' does not hold {outer} x {inner} codes of {bits} bits")
    codes = _unpacked(packed.values.reshape(outer, -1), bits).reshape(*grid, block)
    step = positive(scale)
    if step.size != np.prod(grid):
        raise BadFile(f"'{scale.name}' does not hold one scale per block")
    zero, exact = _zero_points(view, grid, bits)
    whole = codes - zero[..., None]
    error = 0.0 if exact and single(step) and not scale.error else 2 * (scale.error + ROUNDING)
    weight = scale.computed(whole * step.reshape(*grid, 1), error).floats()
    bias = view.optional(5) or Constant(np.zeros(outer), "")
    if bias.values.shape != (outer,):
        raise BadFile(f"bias of shape {bias.values.shape} does not fit {outer} columns")
    matrix = weight.reshape(outer, -1)[:, :inner]
    op = Linear(tensor(matrix), tensor(bias.floats()), max(error, bias.error))
    return view.scope.emit(op, x)


def _zero_points(view: View, grid: tuple[int, int], bits: int) -> tuple[np.ndarray, bool]:
    """One per block, and whether they are integers; the middle code by default."""
    stored = view.optional(3)
    if stored is None:
        return np.full(grid, 2.0 ** (bits - 1)), True
    values = stored.floats()
    if stored.values.dtype == np.uint8:
        if values.size != grid[0] * -(-grid[1] * bits // 8):
            raise BadFile(f"'{stored.name}' does not hold one zero point per block")
        return _unpacked(stored.values.reshape(grid[0], -1), bits)[:, : grid[1]], True
    if values.size != np.prod(grid) or stored.error:
        raise BadFile(f"'{stored.name}' does not hold one zero point per block")
    return values.reshape(grid), False


def _unpacked(rows: np.ndarray, bits: int) -> np.ndarray:
    """Codes of every row, the low half of a byte first."""
    if bits == 8:
        return rows.astype(np.float64)
    return np.stack([rows & 15, rows >> 4], -1).reshape(len(rows), -1).astype(np.float64)
