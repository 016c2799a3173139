"""Random LiteRT operators on int8 codes: shapes, grids, weights and activations all drawn."""

from collections.abc import Callable

import numpy as np
from litert_net import RELU, RELU6, Declared, Grid, Net, Options

INT8, INT32 = np.dtype(np.int8), np.dtype(np.int32)
ACTIVATIONS = (0, RELU, RELU6)


class Draw:
    """Numbers for one operator."""

    def __init__(self, seed: int) -> None:
        self.any = np.random.default_rng(seed)

    def count(self, most: int) -> int:
        return int(self.any.integers(1, most + 1))

    def grid(self, low: float = -2.5, high: float = 0.5) -> Grid:
        """Scales between e^low and e^high."""
        return float(np.float32(np.exp(self.any.uniform(low, high)))), int(
            self.any.integers(-128, 128)
        )

    def activation(self) -> dict[str, int]:
        return {"FusedActivationFunction": int(self.any.choice(ACTIVATIONS))}

    def weight(self, net: Net, shape: tuple[int, ...], axis: int | None) -> int:
        """Codes around zero, one scale or one per coordinate of an axis."""
        count = 1 if axis is None else shape[axis]
        scale = np.exp(self.any.uniform(-6, -3, count)).astype(np.float32)
        codes = self.any.integers(-127, 128, shape).astype(np.int8)
        return net._add(Declared(shape, INT8, scale, 0, axis or 0, codes))

    def bias(self, net: Net, weight: int, count: int) -> int:
        scale = net.tensors[0].scale * net.tensors[weight].scale
        return net._add(
            Declared((count,), INT32, scale, 0, 0,
                     self.any.integers(-3000, 3000, count).astype(np.int32))
        )  # fmt: skip

    def constant(self, net: Net, *shape: int) -> int:
        """Codes on a grid of their own."""
        scale, zero = self.grid()
        codes = self.any.integers(-128, 128, shape).astype(np.int8)
        return net._add(Declared(shape, INT8, np.array([scale], np.float32), zero, 0, codes))


def conv(net: Net, draw: Draw) -> None:
    groups, outputs, size = draw.count(2), draw.count(4), draw.count(3)
    x = net.value(7, 6, 3 * groups, grid=draw.grid())
    w = draw.weight(net, (groups * outputs, size, size, 3), 0)
    y = net.value(7, 6, groups * outputs, grid=draw.grid(-4, 3))
    options = {"StrideH": 1, "StrideW": 1, **draw.activation()}
    net.op("CONV_2D", [x, w, draw.bias(net, w, groups * outputs)], y, ("Conv2DOptions", options))


def depthwise(net: Net, draw: Draw) -> None:
    channels, times = draw.count(4), draw.count(3)
    x = net.value(7, 6, channels, grid=draw.grid())
    w = draw.weight(net, (1, 3, 2, channels * times), 3)
    y = net.value(4, 3, channels * times, grid=draw.grid(-4, 2))
    options = {"StrideH": 2, "StrideW": 2, "DepthMultiplier": times, **draw.activation()}
    net.op("DEPTHWISE_CONV_2D", [x, w, draw.bias(net, w, channels * times)], y,
           ("DepthwiseConv2DOptions", options))  # fmt: skip


def dense(net: Net, draw: Draw) -> None:
    inputs, outputs = draw.count(300), draw.count(60)
    x = net.value(inputs, grid=draw.grid())
    w = draw.weight(net, (outputs, inputs), None if draw.any.random() < 0.5 else 0)
    y = net.value(outputs, grid=draw.grid(-3, 3))
    net.op("FULLY_CONNECTED", [x, w, draw.bias(net, w, outputs)], y,
           ("FullyConnectedOptions", draw.activation()))  # fmt: skip


def binary(kind: str) -> Callable[[Net, Draw], None]:
    def make(net: Net, draw: Draw) -> None:
        x = net.value(9, 7, grid=draw.grid())
        if draw.any.random() < 0.5:
            z = net.op("RELU", [x], net.value(9, 7, grid=draw.grid()))
        else:
            z = draw.constant(net, 7)
        operands = [x, z] if draw.any.random() < 0.5 else [z, x]
        options = (f"{kind.capitalize()}Options", draw.activation())
        net.op(kind, operands, net.value(9, 7, grid=draw.grid(-3, 2)), options)

    return make


def unary(
    kind: str, grid: Grid | None = None, options: Options = None
) -> Callable[[Net, Draw], None]:
    def make(net: Net, draw: Draw) -> None:
        x = net.value(256, grid=draw.grid(-4, 0))
        net.op(kind, [x], net.value(256, grid=grid or draw.grid(-4, 1)), options)

    return make


def prelu(net: Net, draw: Draw) -> None:
    x = net.value(8, 7, 4, grid=draw.grid(-4, 0))
    net.op("PRELU", [x, draw.constant(net, 1, 1, 4)], net.value(8, 7, 4, grid=draw.grid(-4, 1)))


def pool(kind: str) -> Callable[[Net, Draw], None]:
    def make(net: Net, draw: Draw) -> None:
        grid, size, step = draw.grid(), (draw.count(4), draw.count(4)), draw.count(2)
        x = net.value(7, 6, 3, grid=grid)
        y = net.value(-(-7 // step), -(-6 // step), 3, grid=grid)
        options = {"StrideH": step, "StrideW": step, "FilterHeight": size[0],
                   "FilterWidth": size[1], "Padding": 0, **draw.activation()}  # fmt: skip
        net.op(f"{kind}_POOL_2D", [x], y, ("Pool2DOptions", options))

    return make


def mean(net: Net, draw: Draw) -> None:
    rows, columns = draw.count(8), draw.count(8)
    shapes = {(1, 2): (3,), (3,): (rows, columns), (1,): (columns, 3), (2, 3): (rows,)}
    axes = list(shapes)[int(draw.any.integers(4))]
    x = net.value(rows, columns, 3, grid=draw.grid())
    y = net.value(*shapes[axes], grid=draw.grid(-3, 2))
    net.op("MEAN", [x, net.integers(list(axes))], y, ("ReducerOptions", {}))


RANDOM: dict[str, Callable[[Net, Draw], None]] = {
    "conv": conv, "depthwise": depthwise, "dense": dense, "add": binary("ADD"),
    "sub": binary("SUB"), "mul": binary("MUL"), "mean": mean, "average": pool("AVERAGE"),
    "max": pool("MAX"), "prelu": prelu, "quantize": unary("QUANTIZE"), "relu": unary("RELU"),
    "relu6": unary("RELU6"), "logistic": unary("LOGISTIC", (1 / 256, -128)),
    "tanh": unary("TANH", (1 / 128, 0)), "hard swish": unary("HARD_SWISH"),
    "leaky": unary("LEAKY_RELU", None, ("LeakyReluOptions", {"Alpha": 0.37})),
}  # fmt: skip
