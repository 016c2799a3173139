"""Calls computed while reading: all their tensors are constants (pruning masks, index vectors)."""

import numpy as np
import torch
from torch import Tensor
from torch._ops import OpOverload

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.read.builder import MOST_VALUES
from lipcert.read.constant import Constant
from lipcert.read.module_rules.quantise import dequantised, quantised
from lipcert.read.module_view import Call, parameters

MOVES = {
    "alias", "arange", "cat", "chunk", "clone", "contiguous", "detach", "detach_", "expand",
    "flatten", "full", "index_select", "lift_fresh_copy", "ones", "permute", "reshape", "select",
    "slice", "squeeze", "stack", "t", "to", "_to_copy", "transpose", "unsqueeze", "view", "zeros",
}  # fmt: skip

QUANTISERS = {
    "quantize_per_tensor", "quantize_per_channel", "dequantize_per_tensor",
    "dequantize_per_channel", "dequantize_affine",
}  # fmt: skip


def folded(call: Call, target: OpOverload) -> Constant:
    """Exact for what only moves values; float arithmetic keeps a bound on its relative error."""
    kind = call.operator.rstrip("_")
    if kind in ("add", "sub") and call.arguments.get("alpha", 1) == 1:
        return call.constant("self").plus(call.constant("other"), 1 if kind == "add" else -1)
    if kind == "mul":
        return call.constant("self").times(call.constant("other"))
    if kind == "div" and call.arguments.get("rounding_mode") is None:
        return call.constant("self").over(call.constant("other"))
    if kind == "neg":
        found = call.constant("self")
        return Constant(-found.values, found.name, found.error)
    if kind in QUANTISERS:
        return quantised(call, target) if kind.startswith("quantize") else dequantised(call)
    if call.operator not in MOVES:
        raise UnsupportedOp("computes with constants in a way that has no rule")
    return _moved(call, target)


def _moved(call: Call, target: OpOverload) -> Constant:
    errors: list[float] = [0.0]

    def plain(value: object) -> object:
        if isinstance(value, Constant):
            errors.append(value.error)
            return torch.from_numpy(np.ascontiguousarray(value.values))
        if isinstance(value, list | tuple):
            return type(value)(plain(v) for v in value)
        return torch.float64 if value is torch.float32 else value

    positional = [a for a in parameters(target) if not a.kwarg_only]
    named = {a.name: plain(call.arguments[a.name]) for a in parameters(target)
             if a.kwarg_only and a.name in call.arguments}  # fmt: skip
    result = target(*(plain(call.arguments[a.name]) for a in positional), **named)
    if not isinstance(result, Tensor) or result.numel() > MOST_VALUES:
        raise BadFile("makes no constant, or one that is too large")
    return Constant(result.numpy(), call.name, max(errors))
