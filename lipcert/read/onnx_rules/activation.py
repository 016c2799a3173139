"""Functions of one value."""

import numpy as np

from lipcert.errors import BadFile, UnsupportedOp
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
from lipcert.ops.softmax import Softmax
from lipcert.ops.tanh import Tanh
from lipcert.read.constant import tensor
from lipcert.read.lower.scaling import fitted
from lipcert.read.onnx_view import View, reads

PLAIN: dict[str, Op] = {
    "Relu": Relu(),
    "Sigmoid": Sigmoid(),
    "Tanh": Tanh(),
    "Erf": Erf(),
    "HardSwish": HardSwish(),
}


@reads(*PLAIN)
def plain(view: View) -> Node:
    """No parameters."""
    return view.scope.emit(PLAIN[view.proto.op_type], view.activation(0))


@reads("Gelu", approximate=("none",))
def gelu(view: View) -> Node:
    """The erf form."""
    return view.scope.emit(Gelu(), view.activation(0))


@reads("LeakyRelu")
def leaky_relu(view: View) -> Node:
    """One slope."""
    x = view.activation(0)
    slope = np.full((1,) * len(x.shape), view.number("alpha", float(np.float32(0.01))))
    return view.scope.emit(LeakyRelu(tensor(slope)), x)


@reads("PRelu")
def prelu(view: View) -> Node:
    """Slopes that broadcast."""
    x = view.activation(0)
    slope = view.constant(1)
    if slope.error:
        raise UnsupportedOp("has a computed slope")
    return view.scope.emit(LeakyRelu(tensor(fitted(slope.floats(), x.shape, "slope"))), x)


@reads("Clip")
def clip(view: View) -> Node:
    """Between two constants, either of which may be missing."""
    x = view.activation(0)
    low, high = (view.optional(place) for place in (1, 2))
    if (low is not None and low.error) or (high is not None and high.error):
        raise UnsupportedOp("has a computed end")
    ends = (-np.inf if low is None else low.scalar(), np.inf if high is None else high.scalar())
    return clipped(view, x, *ends)


def clipped(view: View, x: Node, low: float, high: float) -> Node:
    """Clip, or ReLU where that is what it is."""
    if low > high or low == np.inf or high == -np.inf:
        raise BadFile(f"clips to an empty range: {low} to {high}")
    if (low, high) == (-np.inf, np.inf):
        return x
    return view.scope.emit(Relu() if (low, high) == (0, np.inf) else Clip(low, high), x)


@reads("HardSigmoid")
def hard_sigmoid(view: View) -> Node:
    """A clamped line; its defaults are float32 numbers."""
    alpha = view.number("alpha", float(np.float32(0.2)))
    beta = view.number("beta", 0.5)
    if not 0 < alpha < np.inf or not np.isfinite(beta):
        raise UnsupportedOp(f"has alpha = {alpha}, beta = {beta}")
    return view.scope.emit(HardSigmoid(alpha, beta), view.activation(0))


@reads("Softmax")
def softmax(view: View) -> Node:
    """Over the only axis."""
    x = view.activation(0)
    axis = view.integer("axis", -1 if view.opset >= 13 else 1)
    if len(x.shape) != 1 or axis not in (-1, 1):
        raise UnsupportedOp(f"runs over axis {axis} of a value of shape {x.shape}; only vectors")
    return view.scope.emit(Softmax(), x)
