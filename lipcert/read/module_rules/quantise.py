"""Quantisers of exported graphs: PT2E's quantized_decomposed operators and torchao's."""

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.read.constant import Constant, single
from lipcert.read.lower.dequantising import codes_undone
from lipcert.read.lower.quantising import Codes, staircase
from lipcert.read.module_view import Call, calls

FLOATS = (None, torch.float32, torch.float64, 6, 7)  # a schema's defaults are numbers of types


@calls("quantize_per_tensor", "quantize_per_channel")
def quantize(call: Call) -> Codes:
    """Codes, with the staircase that a matching dequantize makes of them."""
    scale, zero, axis = parameters(call)
    limits = (call.integer("quant_min"), call.integer("quant_max"))
    step, shift = scale.floats().reshape(-1), zero.values.reshape(-1)
    node = staircase(call.scope, call.activation("input"), step, shift, limits, axis)
    return Codes(node, step, shift, str(call.arguments["dtype"]), axis, call.name)


@calls("dequantize_per_tensor", "dequantize_per_channel")
def dequantize(call: Call) -> Node:
    """The staircase, if the parameters are those of the codes."""
    codes, (scale, zero, axis) = call.arguments["input"], parameters(call)
    if not isinstance(codes, Codes):
        raise UnsupportedOp("reads no codes that a quantize made")
    if not codes.undone_by(scale.floats(), np.asarray(zero.values), axis):
        raise UnsupportedOp(f"has another scale or zero point than '{codes.name}'")
    return codes.staircase


@calls("choose_qparams", "choose_qparams_symmetric", "choose_qparams_affine",
       "choose_qparams_per_token", "choose_qparams_per_token_asymmetric")  # fmt: skip
def choose(call: Call) -> Node:
    """Never: such a scale is no constant."""
    raise UnsupportedOp(
        f"computes a scale from the values that it is given ({call.operator}): every code then "
        "depends on all of them at once, for which no bound is known; quantise statically"
    )


def parameters(call: Call) -> tuple[Constant, Constant, int]:
    """Scale, zero point and axis (batch counted) of a quantiser."""
    plural = "scales" in call.arguments
    scale = call.constant("scales" if plural else "scale")
    zero = call.optional("zero_points" if plural else "zero_point")
    if scale.error or call.arguments.get("out_dtype") not in FLOATS:
        raise UnsupportedOp("has a computed scale, or makes numbers of a narrow type")
    axis = call.integer("axis") if plural else 0
    return scale, zero or Constant(np.zeros(1), ""), axis


def quantised(call: Call, target: OpOverload) -> Constant:
    """Codes of a constant, by the operator itself in float32."""
    stored = call.constant("input")
    scale, zero, axis = parameters(call)
    if stored.error or not single(stored.floats()):
        raise UnsupportedOp("quantises a computed constant")
    values = torch.from_numpy(stored.floats()).float()
    limits = [call.integer(name) for name in ("quant_min", "quant_max")]
    if "scales" in call.arguments:
        facts: list[object] = [torch.from_numpy(scale.floats()).float(),
                               torch.from_numpy(np.asarray(zero.values)), axis]  # fmt: skip
    elif isinstance(call.arguments["scale"], float):
        facts = [scale.scalar(), int(zero.scalar())]
    else:
        facts = [torch.from_numpy(scale.floats()).float(), torch.from_numpy(zero.values)]
    result = target(values, *facts, *limits, call.arguments["dtype"])
    if not isinstance(result, Tensor):
        raise BadFile("makes no constant")
    return Constant(result.numpy(), call.name)


def dequantised(call: Call) -> Constant:
    """Numbers of constant codes, exact."""
    codes = call.constant("input")
    if "block_size" in call.arguments:
        return _blocks_undone(call, codes)
    scale, zero, axis = parameters(call)
    whole = Constant(np.asarray(zero.values).reshape(-1), zero.name)
    return codes_undone(codes, scale, whole, axis)


def _blocks_undone(call: Call, codes: Constant) -> Constant:
    """Of torchao's blocks, which may reach along any axes."""
    block, shape = call.integers("block_size"), codes.values.shape
    scale, zero = call.constant("scale"), call.optional("zero_point")
    if call.arguments.get("output_dtype", torch.float32) not in FLOATS or scale.error:
        raise UnsupportedOp("makes numbers of a narrow type, or has a computed scale")
    if len(block) != len(shape) or any(b < 1 or s % b for s, b in zip(shape, block, strict=True)):
        raise BadFile(f"has blocks of {block} for codes of shape {shape}")
    grid = [size // step for size, step in zip(shape, block, strict=True)]
    whole = [np.asarray(v.values).reshape(grid) for v in (scale, zero) if v is not None]
    for axis, step in enumerate(block):
        whole = [np.repeat(values, step, axis) for values in whole]
    numbers = Constant(codes.values.astype(np.int32), codes.name)
    if zero is not None:
        if zero.values.dtype.kind not in "iu":
            raise UnsupportedOp("has zero points that are no integers")
        numbers = Constant((codes.values.astype(np.int64) - whole[1]).astype(np.int32), codes.name)
    return numbers.times(Constant(whole[0], scale.name))
