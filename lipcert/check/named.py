"""Curves by name, and written out as the product of a value and a function of it."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from lipcert.check import curve
from lipcert.check.curve import Curve
from lipcert.check.layers import STORED, scaled, times
from lipcert.check.operation import UNIT, Activation
from lipcert.check.reader import Reader, Step, need

Line = tuple[Step, Fraction, Fraction, float]  # a root, factor and offset; the factor's error
HALF = 0.5


def lines(net: Reader, step: Step) -> Iterator[Line]:
    """A step in terms of itself and of those before it, while all its entries are alike."""
    factor, offset, error = Fraction(1), Fraction(0), 0.0
    yield step, factor, offset, error
    while len(step.maps) == 1:
        (linear,), every = step.maps, np.arange(len(step.bias)).reshape(-1, 1, 1)
        own = np.array_equal(linear.index, every) and linear.size == every.size
        if not own or np.ptp(linear.weight) or np.ptp(step.bias) or (error and step.bias.any()):
            return
        offset += factor * Fraction(float(step.bias[0, 0]))
        factor *= Fraction(float(linear.weight[0, 0, 0]))
        error += linear.error
        step = net.steps[step.inputs[0]]
        yield step, factor, offset, error


def product(net: Reader, x: Any, y: Any) -> Step:
    """Mul by a constant, or of a value and a function of it."""
    if not (isinstance(x, Step) and isinstance(y, Step)):
        return times(net, x, y)
    for value, factor in ((x, y), (y, x)):
        own = {root.name: (a, error) for root, a, b, error in lines(net, value) if b == 0}
        *_, gate = lines(net, factor)
        inner = lines(net, net.steps[gate[0].inputs[0]]) if gate[0].act else ()
        for root, stretch, moved, error in inner:
            found = gated(gate, moved)
            if found and root.name in own and stretch:
                slope, more = own[root.name]
                inside = float(stretch) * found[1]
                gain = float(slope * found[2]) / inside
                return _scaled(net, root, found[0], (inside, gain), error + more + gate[3])
    raise ValueError("a product of two computed values")


def gated(gate: Line, moved: Fraction) -> tuple[Curve, float, Fraction] | None:
    """What x gate(x + moved) is: gain curve(k x) / k, as curve, k and gain."""
    act, (gain, offset, error) = gate[0].act, gate[1:]
    if isinstance(act, Activation):
        clip = (act.low, act.high, act.scale) == (0.0, 2 * moved, None) and not np.any(act.below)
        if clip and moved > 0 and offset == 0:
            return curve.HARD_SWISH, 6 / act.high, gain * Fraction(act.high)
    elif moved == 0 and act is curve.ERF and offset == gain and not error:
        return curve.GELU, math.sqrt(2), 2 * gain
    elif moved == offset == 0 and act is curve.SIGMOID:
        return curve.SILU, 1.0, gain
    elif (
        moved == offset == 0
        and isinstance(act, Curve)
        and act is curve.hard_sigmoid(act.steep, HALF)
    ):
        return curve.HARD_SWISH, 6 * act.steep, gain
    return None


def _scaled(net: Reader, x: Step, act: Curve, factors: tuple[float, float], error: float) -> Step:
    """A curve of a multiple, times a gain; both right to some relative error."""
    if factors == (1.0, 1.0) and not error:
        return curved(net, x, act)
    error = 2 * error + 8 * UNIT
    inside = scaled(net, x, factors[0], 0.0, ".inside", error)
    return scaled(net, curved(net, inside, act, ".curve"), factors[1], error=error)


def curved(net: Reader, x: Step, act: Curve, part: str = "") -> Step:
    """A curve of each entry."""
    return net.emit(x.shape, [x], act=act, part=part)


def gelu(net: Reader, x: Step) -> Step:
    """By the error function."""
    net.only(approximate="none")
    return curved(net, x, curve.GELU)


def hard_sigmoid(net: Reader, x: Step) -> Step:
    """A line between 0 and 1."""
    alpha, beta = net.left.pop("alpha", float(np.float32(0.2))), net.left.pop("beta", HALF)
    need(0 < alpha < math.inf and math.isfinite(beta), f"HardSigmoid by {alpha} and {beta}")
    return curved(net, x, curve.hard_sigmoid(alpha, beta))


def plain(act: Curve) -> Any:
    """An operator without parameters."""
    return lambda net, x, part="": curved(net, x, act, part)


sigmoid = plain(curve.SIGMOID)
RULES: dict[str, Any] = {
    "Sigmoid": (sigmoid, Step), "Tanh": (plain(curve.TANH), Step), "Erf": (plain(curve.ERF), Step),
    "HardSwish": (plain(curve.HARD_SWISH), Step), "HardSigmoid": (hard_sigmoid, Step),
    "Gelu": (gelu, Step), "Mul": (product, STORED, STORED),
}  # fmt: skip
