"""Small ONNX models, one operator or idiom each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import NodeProto, helper

Array = np.ndarray


def rand(*shape: int) -> Array:
    return np.random.default_rng(sum(shape) + len(shape)).normal(size=shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, dtype=np.int64)


def one(kind: str, *inputs: str, **attributes: object) -> list[NodeProto]:
    return [helper.make_node(kind, ["x", *inputs], ["y"], "op", **attributes)]


def chain(*steps: tuple[str, str, str]) -> list[NodeProto]:
    """Nodes from ("Mul", "x half", "h") and the like."""
    return [
        helper.make_node(kind, reads.split(), makes.split(), f"n{place}")
        for place, (kind, reads, makes) in enumerate(steps)
    ]


@dataclass(frozen=True)
class Case:
    name: str
    nodes: Sequence[NodeProto]
    tensors: Mapping[str, Array] = field(default_factory=dict)
    shape: Sequence[int | str] = ("N", 3, 7, 6)
    opset: int = 13


W4, B4 = {"w": rand(4, 3, 3, 2), "b": rand(4)}, ["w", "b"]
SEQUENCE = ("N", 4, 11)
POOL = {"kernel_shape": [3, 2], "strides": [2, 2]}
PLAIN = ["Relu", "Sigmoid", "Tanh", "Erf", "LeakyRelu", "HardSigmoid", "Neg", "Identity"]
SIXTEEN = {"s": np.float32(0.05), "z": np.uint8(100)}

LAYERS = [
    Case("gemm", one("Gemm", "w", "b"), {"w": rand(5, 4), "b": rand(4)}, ("N", 5)),
    Case("gemm transposed", one("Gemm", "w", transB=1), {"w": rand(4, 5)}, ("N", 5)),
    Case(
        "gemm scaled",
        one("Gemm", "w", "b", alpha=0.3, beta=-1.7),
        {"w": rand(5, 4), "b": rand(1, 4)},
        (2, 5),
    ),
    Case("gemm scalar bias", one("Gemm", "w", "b"), {"w": rand(5, 4), "b": rand(1)}, (1, 5)),
    Case("matmul", one("MatMul", "w"), {"w": rand(6, 4)}),
    Case("matmul leading one", one("MatMul", "w"), {"w": rand(1, 6, 4)}, ("N", 5, 6)),
    Case("conv", one("Conv", *B4), W4),
    Case("conv uneven pads", one("Conv", *B4, pads=[0, 1, 2, 0], strides=[2, 1]), W4),
    Case("conv dilated", one("Conv", *B4, dilations=[2, 3], pads=[1, 2, 0, 1]), W4),
    Case("conv same upper", one("Conv", *B4, auto_pad="SAME_UPPER", strides=[2, 2]), W4),
    Case("conv same lower", one("Conv", *B4, auto_pad="SAME_LOWER", strides=[2, 3]), W4),
    Case("conv valid", one("Conv", *B4, auto_pad="VALID"), W4),
    Case("conv grouped", one("Conv", "w", group=3), {"w": rand(6, 1, 3, 3)}),
    Case("conv groups", one("Conv", "w", group=2), {"w": rand(6, 2, 2, 1)}, ("N", 4, 5, 5)),
    Case("conv stride past the end", one("Conv", "w", strides=[3, 4]), {"w": rand(2, 3, 2, 3)}),
    Case("conv 1-D", one("Conv", "w", "b", pads=[2, 1]), {"w": rand(5, 4, 3), "b": rand(5)},
         SEQUENCE),
    Case("conv 1-D dilated", one("Conv", "w", dilations=[2], strides=[2], group=2),
         {"w": rand(6, 2, 3)}, SEQUENCE),
    Case("conv 1-D same", one("Conv", "w", auto_pad="SAME_LOWER"), {"w": rand(5, 4, 4)}, SEQUENCE),
]  # fmt: skip

STATISTICS = {"g": rand(3), "b": rand(3) + 1, "m": rand(3) * 2, "v": np.abs(rand(3)) + 0.1}
NORMS = [
    Case("batch norm", one("BatchNormalization", "g", "b", "m", "v", epsilon=1e-3), STATISTICS),
    Case("batch norm of rows", one("BatchNormalization", "g", "b", "m", "v"), STATISTICS,
         ("N", 3), 15),
    Case("batch norm that cancels", one("BatchNormalization", "g", "b", "m", "v", epsilon=0.0),
         {"g": np.ones(3, np.float32), "b": np.ones(3, np.float32),
          "m": np.full(3, 3, np.float32), "v": np.full(3, 9, np.float32)}),
]  # fmt: skip

POOLS = [
    Case("max pool", one("MaxPool", **POOL)),
    Case("max pool padded", one("MaxPool", kernel_shape=[3, 3], pads=[1, 0, 2, 1])),
    Case("max pool dilated", one("MaxPool", kernel_shape=[2, 3], dilations=[3, 2])),
    Case("max pool ceil", one("MaxPool", **POOL, ceil_mode=1, pads=[1, 1, 0, 0])),
    Case("max pool same", one("MaxPool", **POOL, auto_pad="SAME_UPPER")),
    Case("max pool same lower", one("MaxPool", **POOL, auto_pad="SAME_LOWER")),
    Case("max pool 1-D", one("MaxPool", kernel_shape=[4], strides=[3], pads=[2, 1]),
         shape=SEQUENCE),
    Case("max pool 1-D ceil", one("MaxPool", kernel_shape=[3], strides=[3], ceil_mode=1),
         shape=SEQUENCE),
    Case("average pool", one("AveragePool", **POOL)),
    Case("average pool padded", one("AveragePool", kernel_shape=[3, 3], pads=[1, 2, 0, 1])),
    Case("average pool counts pads",
         one("AveragePool", kernel_shape=[3, 3], pads=[1, 2, 0, 1], count_include_pad=1)),
    Case("average pool ceil", one("AveragePool", **POOL, ceil_mode=1), opset=19),
    Case("average pool ceil without pads",
         one("AveragePool", **POOL, ceil_mode=1, count_include_pad=1), opset=19),
    Case("average pool ceil counts pads",
         one("AveragePool", **POOL, ceil_mode=1, pads=[1, 0, 1, 1], count_include_pad=1),
         opset=19),
    Case("average pool same", one("AveragePool", **POOL, auto_pad="SAME_UPPER")),
    Case("average pool 1-D", one("AveragePool", kernel_shape=[3], strides=[2], pads=[1, 1]),
         shape=SEQUENCE),
    Case("global average pool", one("GlobalAveragePool")),
    Case("global average pool 1-D", one("GlobalAveragePool"), shape=SEQUENCE),
    Case("reduce mean", one("ReduceMean", axes=[2, 3], keepdims=0)),
    Case("reduce mean kept", one("ReduceMean", axes=[-1, -2])),
    Case("reduce mean of channels", one("ReduceMean", axes=[1])),
    Case("reduce mean outer", one("ReduceMean", axes=[1, 3], keepdims=0)),
    Case("reduce mean by input", one("ReduceMean", "a", keepdims=0), {"a": ints(2)}, opset=18),
    Case("reduce sum", one("ReduceSum", "a"), {"a": ints(3)}),
]  # fmt: skip

ACTIVATIONS = [
    *(Case(kind.lower(), one(kind)) for kind in PLAIN),
    Case("leaky relu alpha", one("LeakyRelu", alpha=0.3)),
    Case("hard sigmoid alpha", one("HardSigmoid", alpha=0.4, beta=0.3)),
    Case("hard swish", one("HardSwish"), opset=14),
    Case("gelu", one("Gelu"), opset=20),
    Case("prelu", one("PRelu", "s"), {"s": rand(3, 1, 1)}),
    Case("prelu scalar", one("PRelu", "s"), {"s": rand(1)}),
    Case("clip", one("Clip", "l", "h"), {"l": np.float32(-0.3), "h": np.float32(0.6)}),
    Case("clip above", one("Clip", "", "h"), {"h": np.float32(0.6)}),
    Case("clip below", one("Clip", "l"), {"l": np.float32(0)}),
    Case("softmax", one("Softmax"), shape=("N", 7)),
    Case("softmax of opset 11", one("Softmax"), shape=("N", 7), opset=11),
    Case("cast", one("Cast", to=1)),
    Case("dropout", one("Dropout")),
    Case("silu", chain(("Sigmoid", "x", "s"), ("Mul", "s x", "y"))),
    Case("quick gelu",
         chain(("Mul", "x k", "t"), ("Sigmoid", "t", "s"), ("Mul", "x s", "y")),
         {"k": np.float32(1.702)}),
    Case("hard swish written out", chain(("HardSigmoid", "x", "s"), ("Mul", "x s", "y"))),
    Case("hard swish by clip",
         chain(("Add", "x three", "a"), ("Clip", "a zero six", "c"), ("Mul", "x c", "m"),
               ("Div", "m six", "y")),
         {"three": np.float32(3), "zero": np.float32(0), "six": np.float32(6)}),
    Case("gelu half first",
         chain(("Div", "x r", "t"), ("Erf", "t", "e"), ("Add", "e one", "f"),
               ("Mul", "x half", "h"), ("Mul", "h f", "y")),
         {"r": np.float32(np.sqrt(2)), "one": np.float32(1), "half": np.float32(0.5)}),
    Case("gelu half last",
         chain(("Mul", "x r", "t"), ("Erf", "t", "e"), ("Add", "one e", "f"),
               ("Mul", "x f", "g"), ("Mul", "g half", "y")),
         {"r": np.float32(np.sqrt(0.5)), "one": np.float32(1), "half": np.float32(0.5)}),
    Case("gelu half inside",
         chain(("Div", "x r", "t"), ("Erf", "t", "e"), ("Add", "e one", "f"),
               ("Mul", "f half", "h"), ("Mul", "x h", "y")),
         {"r": np.float32(np.sqrt(2)), "one": np.float32(1), "half": np.float32(0.5)}),
]  # fmt: skip

ARITHMETIC = [
    Case("add constant", one("Add", "c"), {"c": rand(3, 1, 1)}),
    Case("add batched constant", one("Add", "c"), {"c": rand(1, 3, 1, 6)}),
    Case("sub constant", one("Sub", "c"), {"c": rand(6)}),
    Case("sub from constant", chain(("Sub", "c x", "y")), {"c": rand(7, 1)}),
    Case("mul constant", chain(("Mul", "c x", "y")), {"c": rand(3, 7, 6)}),
    Case("div constant", one("Div", "c"), {"c": rand(3, 1, 1) + 3}),
    Case("residual", chain(("Relu", "x", "r"), ("Add", "r x", "y"))),
    Case("difference", chain(("Relu", "x", "r"), ("Sub", "r x", "y"))),
    Case("twice itself", chain(("Add", "x x", "y"))),
    Case("concat", [*chain(("Relu", "x", "r"), ("Tanh", "x", "t")),
                    helper.make_node("Concat", ["x", "r", "t"], ["y"], axis=-2)]),
    Case("shift, scale and layer",
         chain(("Sub", "x m", "c"), ("Div", "c d", "n"), ("MatMul", "n w", "p"),
               ("Add", "p b", "q"), ("Mul", "q f", "y")),
         {"m": rand(6), "d": rand(6) + 3, "w": rand(6, 5), "b": rand(5), "f": rand(5)}),
]  # fmt: skip

ROUTES = [
    Case("pad", one("Pad", "p"), {"p": ints(0, 0, 1, 2, 0, 1, 0, 3)}),
    Case("pad with a value", one("Pad", "p", "v"),
         {"p": ints(0, 0, 1, 2, 0, 1, 0, 3), "v": np.float32(-1.5)}),
    Case("pad some axes", one("Pad", "p", "", "a"), {"p": ints(1, 2, 0, 1), "a": ints(-1, 2)},
         opset=18),
    Case("flatten", one("Flatten")),
    Case("flatten negative", one("Flatten", axis=-3)),
    Case("reshape zero", one("Reshape", "t"), {"t": ints(0, -1)}),
    Case("reshape minus one", one("Reshape", "t"), {"t": ints(-1, 6, 21)}),
    Case("reshape one", one("Reshape", "t"), {"t": ints(1, 3, 42)}, (1, 3, 7, 6)),
    Case("reshape fixed batch", one("Reshape", "t"), {"t": ints(2, 42, -1)}, (2, 3, 7, 6)),
    Case("reshape keeps axes", one("Reshape", "t"), {"t": ints(0, 0, -1)}),
    Case("transpose", one("Transpose", perm=[0, 2, 3, 1])),
    Case("squeeze", chain(("Squeeze", "x a", "y")), {"a": ints(1, -1)}, ("N", 1, 5, 1)),
    Case("squeeze of opset 11", one("Squeeze", axes=[3]), {}, ("N", 2, 5, 1), 11),
    Case("unsqueeze", one("Unsqueeze", "a"), {"a": ints(1, -1)}, ("N", 5)),
    Case("slice", one("Slice", "s", "e", "a"), {"s": ints(1, -4), "e": ints(3, 2**62),
                                               "a": ints(1, 2)}),
    Case("slice backwards", one("Slice", "s", "e", "a", "t"),
         {"s": ints(-1, 5), "e": ints(-(2**62), 1), "a": ints(3, 2), "t": ints(-1, -2)}),
    Case("slice of all axes", one("Slice", "s", "e"),
         {"s": ints(0, 0, 2, 1), "e": ints(2**62, 2, 5, 4)}),
    Case("gather", one("Gather", "i", axis=1), {"i": ints(2, 0, -1, 0)}),
    Case("gather one", one("Gather", "i", axis=-1), {"i": np.int64(-2)}),
    Case("split", [helper.make_node("Split", ["x", "s"], ["a", "b"], axis=2),
                   helper.make_node("Concat", ["b", "a"], ["y"], axis=2)], {"s": ints(3, 4)}),
    Case("shape arithmetic",
         [*chain(("Shape", "x", "s"), ("Gather", "s zero", "n"), ("Unsqueeze", "n axis", "u")),
          helper.make_node("Concat", ["u", "rest"], ["t"], axis=0),
          helper.make_node("Reshape", ["x", "t"], ["y"])],
         {"zero": np.int64(0), "axis": ints(0), "rest": ints(-1)}),
    Case("filled constant",
         chain(("Shape", "x", "s"), ("ConstantOfShape", "s", "c"), ("Add", "x c", "y"))),
    Case("constant node",
         [helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0]),
          helper.make_node("Unsqueeze", ["c", "a"], ["d"]),
          helper.make_node("Add", ["x", "d"], ["y"])], {"a": ints(1, 2)}),
    Case("folded transpose",
         [helper.make_node("Transpose", ["w"], ["v"], perm=[1, 0]),
          helper.make_node("MatMul", ["x", "v"], ["y"])], {"w": rand(5, 6)}),
    Case("out of order",
         [helper.make_node("Relu", ["h"], ["y"]), helper.make_node("Tanh", ["x"], ["h"])]),
]  # fmt: skip

QUANTISED = [
    Case("quantise", chain(("QuantizeLinear", "x s z", "q"), ("DequantizeLinear", "q s z", "y")),
         SIXTEEN),
    Case("quantise without zero point",
         chain(("QuantizeLinear", "x s", "q"), ("DequantizeLinear", "q s", "y")),
         {"s": np.float32(0.02)}),
    Case("quantise per channel",
         [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], axis=-3),
          helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], axis=1)],
         {"s": np.array([0.01, 0.03, 0.1], np.float32), "z": np.array([3, -9, 0], np.int8)}),
    Case("weights quantised in the graph",
         [helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"], axis=1),
          helper.make_node("DequantizeLinear", ["q", "s", "z"], ["v"], axis=1),
          helper.make_node("MatMul", ["x", "v"], ["y"])],
         {"w": rand(5, 3), "s": np.array([0.01, 0.03, 0.1], np.float32),
          "z": np.array([3, -9, 0], np.int8)}, ("N", 5)),
    Case("quantised weights",
         [helper.make_node("DequantizeLinear", ["w", "s", "z"], ["v"], axis=1),
          helper.make_node("DequantizeLinear", ["b", "t"], ["c"], axis=0),
          helper.make_node("Gemm", ["x", "v", "c"], ["y"])],
         {"w": np.arange(-10, 10, dtype=np.int8).reshape(5, 4),
          "s": np.array([0.01, 0.2, 0.03, 0.4], np.float32), "z": np.zeros(4, np.int8),
          "b": np.array([2**30 + 1, -7, 5, 2**31 - 1], np.int32),
          "t": np.array([1e-9, 0.3, 0.2, 1e-8], np.float32)}, ("N", 5)),
]  # fmt: skip

CASES = [*LAYERS, *NORMS, *POOLS, *ACTIVATIONS, *ARITHMETIC, *ROUTES, *QUANTISED]
