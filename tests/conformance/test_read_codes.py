"""Integer layers on static codes, codes that are moved about, and codes that are misread."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import NodeProto, TensorProto, helper

from lipcert.errors import UnsupportedOp
from lipcert.graph.simplify import simplify
from lipcert.read import read_onnx

Runtime = Callable[[Path, np.ndarray], np.ndarray]
Maker = Callable[..., Path]


def rand(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def node(kind: str, reads: str, makes: str, **attributes: object) -> NodeProto:
    return helper.make_node(kind, reads.split(), makes.split(), f"{kind}_{makes}", **attributes)


INTEGER = {
    "matmul": (node("MatMulInteger", "q w z v", "i"), rand(5, 4), (5,)),
    "conv": (node("ConvInteger", "q w z v", "i", pads=[1, 1, 0, 0]), rand(4, 3, 2, 2), (3, 6, 5)),
}


@pytest.mark.parametrize("kind", INTEGER)
def test_static_integer_layers_agree_with_onnx_runtime(
    onnx_file: Maker, runtime: Runtime, kind: str
) -> None:
    """What is accumulated is exact on both sides, so only float32 rounding remains."""
    layer, weight, shape = INTEGER[kind]
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        layer,
        node("Cast", "i", "c", to=TensorProto.FLOAT),
        node("Mul", "s t", "u"),
        node("Mul", "c u", "m"),
        node("Add", "m b", "y"),
    ]
    tensors = {
        "s": np.float32(0.02), "z": np.uint8(120), "t": np.float32(0.013), "v": np.uint8(128),
        "w": np.clip(np.rint(weight / 0.013) + 128, 64, 192).astype(np.uint8),
        "b": rand(4) if kind == "matmul" else rand(4, 1, 1),
    }  # fmt: skip
    path = onnx_file(nodes, tensors, ("N", *shape))
    inputs = rand(32, *shape)
    graph, expected = read_onnx(path), runtime(path, inputs)
    exact = torch.from_numpy(inputs).double()
    assert np.abs(graph(exact).numpy() - expected).max() <= 3e-6 * np.abs(expected).max()
    simpler = simplify(graph)
    assert len(simpler.nodes) < len(graph.nodes)
    assert float((simpler(exact) - graph(exact)).abs().max()) <= 1e-12


def test_codes_are_padded_with_a_code(onnx_file: Maker, runtime: Runtime) -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("Pad", "q p v", "r"),
        node("Slice", "r a b", "c"),
        node("DequantizeLinear", "c s z", "y"),
    ]
    tensors = {"s": np.float32(0.05), "z": np.uint8(7), "v": np.uint8(90),
               "p": np.array([0, 1, 0, 0, 0, 2]), "a": np.array([0, 0]),
               "b": np.array([2**40, 2])}  # fmt: skip
    path, inputs = onnx_file(nodes, tensors, ("N", 3, 4)), rand(2, 3, 4)
    found = read_onnx(path)(torch.from_numpy(inputs).double()).numpy()
    assert np.abs(found - runtime(path, inputs)).max() <= 1e-6


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([node("QuantizeLinear", "x s z", "q"), node("MatMulInteger", "q w v", "y")],
         "another zero point"),
        ([node("QuantizeLinear", "x s z", "q"),
          helper.make_node("QLinearSigmoid", ["q", "t", "z", "s", "z"], ["r"], "sigmoid",
                           domain="com.microsoft"),
          node("DequantizeLinear", "r s z", "y")], "another scale"),
        ([node("QuantizeLinear", "x s z", "q"), node("Transpose", "q", "y", perm=[0, 1])],
         "integer codes"),
        ([helper.make_node("QGemm", ["x"] * 6, ["y"], "gemm", domain="com.microsoft",
                           surprise=1)], "unknown attribute 'surprise'"),
        ([helper.make_node("QLinearMul", ["x"] * 8, ["y"], "mul", domain="com.microsoft")],
         "no codes"),
    ],
)  # fmt: skip
def test_codes_that_mean_something_else_are_refused(
    onnx_file: Maker, nodes: list[NodeProto], message: str
) -> None:
    tensors = {"s": np.float32(0.05), "t": np.float32(0.06), "z": np.uint8(7), "v": np.uint8(9),
               "w": np.ones((3, 2), np.uint8)}  # fmt: skip
    with pytest.raises(UnsupportedOp, match=message):
        read_onnx(onnx_file(nodes, tensors, ("N", 3)))
