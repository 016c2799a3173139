"""Dynamically quantised networks are evaluated bit for bit as ONNX Runtime runs them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from typer.testing import CliRunner

import lipcert
from lipcert.cli import app
from lipcert.errors import BadInput, UnsupportedOp
from lipcert.graph.semantics import Semantics
from lipcert.integer import DynamicProgram, evaluate_dynamic, overflow
from lipcert.read.integer import read_kernels

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "model.onnx"
INT8, SAT16 = Semantics.INT8, Semantics.ORT_X86_SAT16
LEVELS = (
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)


def dense(folder: Path) -> Path:
    """Two layers of large weights, so that codes use their whole range."""
    chance = np.random.default_rng(1)
    shapes = {"w0": (64, 33), "b0": (33,), "w1": (33, 10), "b1": (10,)}
    tensors = {name: chance.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w0"], ["p"]),
        helper.make_node("Add", ["p", "b0"], ["z"]),
        helper.make_node("Relu", ["z"], ["a"]),
        helper.make_node("Gemm", ["a", "w1", "b1"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 10])],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "float.onnx")
    return folder / "float.onnx"


def convolutional(folder: Path) -> Path:
    """The shipped network at a batch of one."""
    model = onnx.load(DIGITS)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, folder / "float.onnx")
    return folder / "float.onnx"


def quantised(source: Path, weights: QuantType, *, per_channel: bool = False) -> Path:
    target = source.with_name("dynamic.onnx")
    quantize_dynamic(source, target, weight_type=weights, per_channel=per_channel)
    return target


def inputs() -> np.ndarray:
    chance = np.random.default_rng(0)
    spread = chance.normal(size=(300, 1, 8, 8)) * 10.0 ** chance.integers(-3, 4, (300, 1, 1, 1))
    sixteenths = chance.integers(0, 17, (60, 1, 8, 8)) / 16  # ties at the first quantiser
    special = np.stack([np.zeros((1, 8, 8)), np.ones((1, 8, 8)), -np.ones((1, 8, 8))])
    return np.concatenate([spread, np.abs(spread[:60]), sixteenths, special]).astype(np.float32)


def run(path: Path, rows: np.ndarray, level: object) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: row[None]})[0] for row in rows])


@pytest.mark.parametrize("network", [dense, convolutional])
@pytest.mark.parametrize("level", LEVELS)
def test_unsigned_weights_agree_to_the_bit(
    tmp_path: Path, network: Callable[[Path], Path], level: object
) -> None:
    path = quantised(network(tmp_path), QuantType.QUInt8)
    program = read_kernels(path)
    assert isinstance(program, DynamicProgram)
    assert overflow(program).safe
    for semantics in (INT8, SAT16):
        expected = evaluate_dynamic(program, inputs(), semantics)
        assert np.array_equal(expected, run(path, inputs(), level))


@pytest.mark.usefixtures("saturating")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("per_channel", [False, True])
def test_signed_weights_saturate_to_the_bit(
    tmp_path: Path, level: object, per_channel: bool
) -> None:
    path = quantised(dense(tmp_path), QuantType.QInt8, per_channel=per_channel)
    program = read_kernels(path)
    assert isinstance(program, DynamicProgram)
    exact, saturating = (evaluate_dynamic(program, inputs(), s) for s in (INT8, SAT16))
    assert np.array_equal(saturating, run(path, inputs(), level))
    assert not np.array_equal(saturating, exact)


@pytest.mark.usefixtures("saturating")
def test_integer_convolutions_do_not_saturate(tmp_path: Path) -> None:
    path = quantised(convolutional(tmp_path), QuantType.QInt8)
    program = read_kernels(path)
    assert isinstance(program, DynamicProgram)
    narrow = {step.name: product.narrow for step, product in program.products()}
    assert sum(narrow.values()) == 1
    for level in LEVELS:
        expected = evaluate_dynamic(program, inputs(), SAT16)
        assert np.array_equal(expected, run(path, inputs(), level))


def test_what_may_saturate_is_told(tmp_path: Path) -> None:
    source = dense(tmp_path)
    path = quantised(source, QuantType.QInt8)
    region = lipcert.Box.around(np.zeros((1, 1, 8, 8)), 0.1)
    assert CliRunner().invoke(app, ["overflow", str(path)]).exit_code == 1
    result = lipcert.certify(lipcert.load_pair(source, path, semantics=INT8), region)
    assert result.provenance.saturation is not None
    assert len(result.provenance.saturation.unsafe_layers) == 2
    assert lipcert.load_pair(source, path, semantics=SAT16).compressed.excess
    safe = quantised(source, QuantType.QUInt8)
    exact, narrow = (
        lipcert.certify(lipcert.load_pair(source, safe, semantics=s), region).drift
        for s in (INT8, SAT16)
    )
    assert bool((exact.lower == narrow.lower).all() and (exact.upper == narrow.upper).all())


def test_other_inputs_and_operators_are_refused(tmp_path: Path) -> None:
    path = quantised(dense(tmp_path), QuantType.QUInt8)
    program = read_kernels(path)
    assert isinstance(program, DynamicProgram)
    with pytest.raises(BadInput, match="reads inputs of shape"):
        evaluate_dynamic(program, np.zeros((1, 3)), INT8)
    with pytest.raises(BadInput, match="not computed in integers"):
        evaluate_dynamic(program, inputs(), Semantics.REAL)
    model = onnx.load(path)
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Tanh"
    onnx.save(model, path)
    with pytest.raises(UnsupportedOp, match="1 nodes have no step:\n  Tanh"):
        read_kernels(path)
