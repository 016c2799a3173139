"""Functions of one value."""

import numpy as np
import tflite

from lipcert.errors import UnsupportedOp
from lipcert.ops.hard_swish import HardSwish
from lipcert.ops.kinds import Op
from lipcert.ops.leaky_relu import LeakyRelu
from lipcert.ops.sigmoid import Sigmoid
from lipcert.ops.softmax import Softmax
from lipcert.ops.tanh import Tanh
from lipcert.read.constant import tensor
from lipcert.read.lower.scaling import fitted
from lipcert.read.tflite_view import Held, View, reads

CLAMPS = {
    "RELU": tflite.ActivationFunctionType.RELU,
    "RELU_N1_TO_1": tflite.ActivationFunctionType.RELU_N1_TO_1,
    "RELU6": tflite.ActivationFunctionType.RELU6,
}
PLAIN: dict[str, Op] = {"LOGISTIC": Sigmoid(), "TANH": Tanh(), "HARD_SWISH": HardSwish()}


@reads(*CLAMPS)
def clamp(view: View) -> Held:
    """As a fused activation of nothing."""
    x = view.held(0)
    return view.finished(x.node, x.first, CLAMPS[view.operator.kind])


@reads(*PLAIN)
def plain(view: View) -> Held:
    """No parameters."""
    x = view.held(0)
    return view.finished(view.before().emit(PLAIN[view.operator.kind], x.node), x.first)


@reads("LEAKY_RELU")
def leaky_relu(view: View) -> Held:
    """One slope."""
    x, slope = view.held(0), view.options(tflite.LeakyReluOptions).Alpha()
    op = LeakyRelu(tensor(np.full((1,) * len(x.node.shape), slope)))
    return view.finished(view.before().emit(op, x.node), x.first)


@reads("PRELU")
def prelu(view: View) -> Held:
    """Slopes that broadcast, in the file's order of axes."""
    x = view.natural(0)
    slope = fitted(view.weights(1).floats(), x.shape, "slope")
    return view.finished(view.before().emit(LeakyRelu(tensor(slope)), x), False)


@reads("SOFTMAX")
def softmax(view: View) -> Held:
    """Of a vector of numbers, as the last layer."""
    if view.options(tflite.SoftmaxOptions).Beta() != 1:
        raise UnsupportedOp("has a beta other than one")
    x = view.natural(0)
    if len(x.shape) != 1:
        raise UnsupportedOp(f"runs over a value of shape {x.shape}; only vectors")
    if view.output.coded:
        raise UnsupportedOp("rounds probabilities to codes, which no bound follows; read the "
                            "network up to its logits instead (logits=True)")  # fmt: skip
    return view.finished(view.before().emit(Softmax(), x), False)
