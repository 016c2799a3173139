"""What ONNX's operators on codes compute: what the codes stand for, then a staircase."""

from typing import Any

import numpy as np

from lipcert.check.curve import Scalar
from lipcert.check.layers import average, conv, dense, leaky, summed
from lipcert.check.named import sigmoid
from lipcert.check.operation import Activation, Array
from lipcert.check.reader import Coded, Reader, Step, need

CODES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}
EXACT = 2**29  # an integer up to this times a float32 is exact in float64


def quantise(net: Reader, x: Step, scale: Array, zero: Array | None = None) -> Coded:
    """A staircase, which reads past a ReLU that its saturation makes idle."""
    how = step, offset, kind = grid(net, scale, zero)
    need(kind in CODES, f"codes of type {kind}")
    source, (low, high) = x, (float(end - offset) for end in CODES[kind])
    while [m.weight.tolist() for m in source.maps] == [[[[1.0]]]] and not source.bias.any():
        source = net.steps[source.inputs[0]]  # only moved since
    if net.rounded.get(source.name) != how:
        while idle(x.act, step * (low + 0.25), step * (high - 0.25)):
            x = net.steps[x.inputs[0]]
        x = net.emit(x.shape, [x], act=Activation(low, high, step))
        net.rounded[x.name] = how
    return x, how


def idle(act: Scalar | None, low: float, high: float) -> bool:
    """Whether an activation only does what a quantiser's saturation between these does too."""
    if not isinstance(act, Activation):
        return False
    return act.scale is None and not np.any(act.below) and act.low <= low and act.high >= high


def dequantise(net: Reader, x: Any, scale: Array, zero: Array | None = None) -> Any:
    """Of codes, the rounded value; of constants, numbers that float64 holds exactly."""
    if isinstance(x, tuple):
        need(x[1] == grid(net, scale, zero), "codes that are read by another grid")
        return x[0]
    axis, zero = net.left.pop("axis", 1) % max(1, x.ndim), np.zeros(1) if zero is None else zero
    places = [-1 if k == axis else 1 for k in range(x.ndim)] if scale.size > 1 else [1] * x.ndim
    need(zero.size in (1, scale.size) and scale.ndim < 2, "scales in blocks")
    whole = x.astype(float) - zero.astype(float).reshape(places)
    exact = (whole == np.round(whole)).all() and np.abs(whole).max(initial=0) <= EXACT
    need(exact and scale.dtype == np.float32, "codes of more than 29 bits, or other scales")
    if x.dtype.name in CODES:
        low, high = CODES[x.dtype.name]
        net.steps.stored = max(net.steps.stored, 2 * (high - low) * float(np.abs(scale).max()))
    return whole * scale.astype(float).reshape(places)


def grid(net: Reader, scale: Array, zero: Any) -> tuple[float, int, str]:
    """Step, zero point and type of codes."""
    zero, _ = np.zeros((), np.uint8) if zero is None else zero, net.left.pop("axis", 1)
    fine = scale.size == zero.size == 1 and scale.dtype == np.float32 and 0 < scale.item() < np.inf
    need(fine, "values that are quantised per channel, or scales that are no positive float32")
    return float(scale.item()), int(zero.item()), zero.dtype.name


def q_product(net: Reader, rule: Any, layer: Any, added: Any, grid: Any) -> Any:
    """A layer of codes and constant codes; rounded to codes where a grid is given."""
    x, own, zero, weight, scale, shift = layer
    value, first = dequantise(net, x, own, zero), rule is conv or net.left.get("transB")
    net.left["axis"] = 0 if first else 1
    exact = dequantise(net, weight, scale.reshape(-1), None if shift is None else shift.reshape(-1))
    unit = (own.astype(float) * scale.astype(float)).reshape(-1)
    given, rounds = (any(part is not None for part in parts) for parts in (added, grid))
    bias = dequantise(net, added[0], np.ones_like(own)) * unit if given else None
    made = rule(net, value, exact, bias, ".exact" if rounds else "")
    return quantise(net, made, *grid) if rounds else made


def q_add(net: Reader, *given: Any) -> Coded:
    """A sum of codes, or of codes and constant codes."""
    x, y = dequantise(net, *given[:3]), dequantise(net, *given[3:6])
    return quantise(net, summed(net, x, y, part=".exact"), *given[6:])


def q_same(rule: Any) -> Any:
    """An operator on codes alone."""

    def made(net: Reader, *given: Any) -> Coded:
        net.only(channels_last=0, ceil_mode=0)
        return quantise(net, rule(net, dequantise(net, *given[:3]), part=".exact"), *given[3:])

    return made


A, MAYBE = np.ndarray, (np.ndarray, type(None))
GRID, LAYER, OWN = (A, MAYBE), (tuple, A, MAYBE, A, A, MAYBE), "com.microsoft."
RULES: dict[str, Any] = {
    "QuantizeLinear": (quantise, Step, *GRID), "DequantizeLinear": (dequantise, (tuple, A), *GRID),
    "QLinearConv": (lambda n, *g: q_product(n, conv, g[:6], g[8:], g[6:8]), *LAYER, *GRID, MAYBE),
    "QLinearMatMul": (lambda n, *g: q_product(n, dense, g[:6], (), g[6:]), *LAYER, *GRID),
    OWN + "QGemm": (lambda n, *g: q_product(n, dense, g[:6], g[6:7], g[7:]), *LAYER, *[MAYBE] * 3),
    OWN + "QLinearAdd": (q_add, *[(tuple, A), A, MAYBE] * 2, *GRID),
    OWN + "QLinearLeakyRelu": (q_same(leaky), tuple, *GRID, *GRID),
    OWN + "QLinearSigmoid": (q_same(sigmoid), tuple, *GRID, *GRID),
    OWN + "QLinearAveragePool": (q_same(average), tuple, *GRID, *GRID),
    OWN + "QLinearGlobalAveragePool": (q_same(average), tuple, *GRID, *GRID),
}  # fmt: skip
