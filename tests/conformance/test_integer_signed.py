"""Operator files with signed activations: ONNX Runtime runs them as they are, without VNNI too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from lipcert.graph.semantics import Semantics
from lipcert.integer import evaluate, overflow
from lipcert.read.integer import read_integer

INT8, SAT16 = Semantics.INT8, Semantics.ORT_X86_SAT16


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A convolution and a matrix product, every weight near its limits."""
    generator = np.random.default_rng(0)
    tensors = {
        "s": np.float32(0.1), "z": np.int8(-7), "ws": np.float32(0.01), "wz": np.int8(0),
        "t": np.float32(1), "u": np.float32(8), "b": np.arange(6, dtype=np.int32),
        "w": generator.choice([-127, 127, 100], (6, 4, 3, 3)).astype(np.int8),
        "m": generator.choice([-127, 127, 100], (5, 54)).astype(np.int8),
        "c": np.arange(5, dtype=np.int32), "flat": np.array([0, -1], np.int64),
    }  # fmt: skip
    node = helper.make_node
    conv = ["q", "s", "z", "w", "ws", "wz", "t", "z", "b"]
    gemm = ["f", "t", "z", "m", "ws", "wz", "c", "u", "z"]
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        node("QLinearConv", conv, ["p"], kernel_shape=[3, 3]),
        node("Reshape", ["p", "flat"], ["f"]),
        node("QGemm", gemm, ["g"], domain="com.microsoft", transB=1),
        node("DequantizeLinear", ["g", "u", "z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "signed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 5, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in tensors.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "signed.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    return path


def test_nothing_saturates(signed: Path, deploy: Callable[..., Any]) -> None:
    program = read_integer(signed)
    report = overflow(program)
    assert report.safe
    assert all(layer.most > 32767 for layer in report.layers)  # the kernels add at 32 bits
    generator = np.random.default_rng(1)
    inputs = generator.normal(0, 20, (300, 4, 5, 5)).astype(np.float32)
    expected = evaluate(program, inputs, INT8)
    assert len(np.unique(expected)) > 50
    np.testing.assert_array_equal(evaluate(program, inputs, SAT16), expected)
    np.testing.assert_array_equal(deploy(signed, SAT16)(inputs), expected)
