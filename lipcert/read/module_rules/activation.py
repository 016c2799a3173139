"""Functions of one value."""

import math

import numpy as np

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.clip import Clip
from lipcert.ops.erf import Erf
from lipcert.ops.gelu import Gelu
from lipcert.ops.hard_sigmoid import HardSigmoid
from lipcert.ops.hard_swish import HardSwish
from lipcert.ops.kinds import Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.relu import Relu
from lipcert.ops.sigmoid import Sigmoid
from lipcert.ops.silu import Silu
from lipcert.ops.softmax import Softmax
from lipcert.ops.tanh import Tanh
from lipcert.read.constant import tensor
from lipcert.read.lower.quantising import along, staircase
from lipcert.read.module_view import Call, calls

PLAIN: dict[str, Op] = {
    "relu": Relu(),
    "relu6": Clip(0.0, 6.0),
    "sigmoid": Sigmoid(),
    "tanh": Tanh(),
    "erf": Erf(),
    "silu": Silu(),
    "hardswish": HardSwish(),
    "hardsigmoid": HardSigmoid(1 / 6, 0.5),
}


@calls(*PLAIN)
def plain(call: Call) -> Node:
    """No parameters."""
    return call.scope.emit(PLAIN[call.operator.rstrip("_")], call.activation())


@calls("gelu")
def gelu(call: Call) -> Node:
    """The erf form."""
    if call.arguments["approximate"] != "none":
        raise UnsupportedOp(f"has approximate = {call.arguments['approximate']}")
    return call.scope.emit(Gelu(), call.activation())


@calls("leaky_relu")
def leaky_relu(call: Call) -> Node:
    """One slope."""
    x = call.activation()
    slope = np.full((1,) * len(x.shape), call.number("negative_slope"))
    return call.scope.emit(LeakyRelu(tensor(slope)), x)


@calls("prelu")
def prelu(call: Call) -> Node:
    """One slope, or one per channel."""
    x, slope = call.activation(), call.constant("weight")
    if slope.error:
        raise UnsupportedOp("has a computed slope")
    return call.scope.emit(LeakyRelu(tensor(along(slope.floats(), x, 1))), x)


@calls("hardtanh", "clamp", "clamp_min", "clamp_max", "clip")
def clip(call: Call) -> Node:
    """Between two numbers, either of which may be missing."""
    x = call.activation()
    ends = [math.inf * sign for sign in (-1, 1)]
    for place, names in enumerate((("min_val", "min"), ("max_val", "max"))):
        for name in names:
            if call.arguments.get(name) is not None:
                ends[place] = call.number(name)
    if not ends[0] <= ends[1]:
        raise UnsupportedOp(f"clips to an empty range: {ends[0]} to {ends[1]}")
    return call.scope.emit(Relu() if ends == [0, math.inf] else Clip(ends[0], ends[1]), x)


@calls("softmax", "_softmax")
def softmax(call: Call) -> Node:
    """Over the only axis."""
    x = call.activation()
    if len(x.shape) != 1 or call.axes("dim") != (0,):
        raise UnsupportedOp(f"runs over a value of shape {x.shape}; only vectors")
    return call.scope.emit(Softmax(), x)


@calls("fake_quantize_per_tensor_affine", "fake_quantize_per_channel_affine")
def fake_quantize(call: Call) -> Node:
    """A staircase; the kernel's scale is a float32 number."""
    x, scale, zero = call.activation(), call.constant("scale"), call.constant("zero_point")
    if scale.error:
        raise UnsupportedOp("has a computed scale")
    limits = (call.integer("quant_min"), call.integer("quant_max"))
    axis = call.integer("axis") if "axis" in call.arguments else 1
    step = scale.floats().astype(np.float32)
    return staircase(call.scope, x, step, zero.values, limits, axis)
