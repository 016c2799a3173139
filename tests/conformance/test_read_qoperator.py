"""Networks that ONNX Runtime quantises to layers on codes, code by code against ONNX Runtime.

Each staircase is fed with the runtime's own codes. Requantisation in float32 against exact reals
may move a value that lies beside a tie to the other code, and nothing else: one step at most.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph
from lipcert.graph.simplify import simplify
from lipcert.ops.quantize import Quantize
from lipcert.read import read_onnx

Runtime = Callable[[Path, np.ndarray], np.ndarray]
Model = tuple[Sequence[NodeProto], dict[str, np.ndarray], tuple[int, ...]]

NEAR_A_TIE = 2e-4  # of a quantisation step
ACTIVATIONS = {"u8": QuantType.QUInt8, "s8": QuantType.QInt8}
TYPES = [("u8", "u8", False), ("u8", "s8", True), ("s8", "s8", False), ("s8", "s8", True)]


def rand(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def node(kind: str, reads: str, makes: str, **attributes: object) -> NodeProto:
    return helper.make_node(kind, reads.split(), makes.split(), f"{kind}_{makes}", **attributes)


CNN = (
    [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("MaxPool", "r1", "m1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "m1 w2", "c2", group=2, strides=[1, 2]),
        node("LeakyRelu", "c2", "l2", alpha=0.1),
        node("GlobalAveragePool", "l2", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f w3 b3", "y", transB=1),
    ],
    {"w1": rand(6, 3, 3, 3), "b1": rand(6), "w2": rand(4, 3, 2, 3), "w3": rand(5, 4),
     "b3": rand(5)},
    (3, 8, 8),
)  # fmt: skip
MLP = (
    [
        node("Gemm", "x w1 b1", "g1"),
        node("Relu", "g1", "r1"),
        node("MatMul", "r1 w2", "h2"),
        node("Add", "h2 b2", "a2"),
        node("Sigmoid", "a2", "s2"),
        node("Mul", "s2 k", "k2"),
        node("Gemm", "k2 w3 b3", "y", transB=1),
    ],
    {"w1": rand(10, 16), "b1": rand(16), "w2": rand(16, 12), "b2": rand(12), "k": rand(12),
     "w3": rand(5, 12), "b3": rand(5)},
    (10,),
)  # fmt: skip
RESIDUAL = (
    [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1"),
        node("Conv", "r1 w2 b2", "c2", auto_pad="SAME_UPPER"),
        node("Add", "c2 r1", "a2"),
        node("Relu", "a2", "r2"),
        node("AveragePool", "r2", "p", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0],
             count_include_pad=1),
        node("AveragePool", "r2", "q", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0]),
        node("Concat", "p q", "j", axis=1),
        node("Reshape", "j t", "v"),
        node("MatMul", "v w3", "y"),
    ],
    {"w1": rand(4, 3, 3, 3), "b1": rand(4), "w2": rand(4, 4, 3, 3), "b2": rand(4),
     "t": np.array([0, -1]), "w3": rand(128, 3)},
    (3, 8, 8),
)  # fmt: skip
MODELS: dict[str, Model] = {"cnn": CNN, "mlp": MLP, "residual": RESIDUAL}
BLOCK = (
    [*RESIDUAL[0][:5], node("Flatten", "r2", "f"), node("MatMul", "f w3", "y")],
    {**RESIDUAL[1], "w3": rand(256, 3)},
    (3, 8, 8),
)


class Samples(CalibrationDataReader):
    def __init__(self, inputs: np.ndarray) -> None:
        self.rows: Iterator[np.ndarray] = iter(inputs)

    def get_next(self) -> dict[str, np.ndarray] | None:  # type: ignore[override]
        row = next(self.rows, None)
        return None if row is None else {"x": row[None]}


def quantised(folder: Path, model: Model, kind: tuple[str, str, bool], form: QuantFormat) -> Path:
    nodes, tensors, shape = model
    path, target = folder / "float.onnx", folder / f"{form.name}.onnx"
    onnx.save(model_of(nodes, tensors, shape), path)
    quantize_static(
        path,
        target,
        Samples(inputs_of(model)[:32]),
        form,
        per_channel=kind[2],
        reduce_range=kind[0] != kind[1],  # else products of mixed signs may saturate in pairs
        activation_type=ACTIVATIONS[kind[0]],
        weight_type=ACTIVATIONS[kind[1]],
        extra_options={"ForceQuantizeNoInputCheck": True},
    )
    return target


def model_of(nodes: Sequence[NodeProto], tensors: dict[str, np.ndarray], shape: Sequence[int],
             opset: int = 17) -> ModelProto:  # fmt: skip
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in tensors.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def inputs_of(model: Model) -> np.ndarray:
    return rand(64, *model[2])


def codes_of(path: Path, inputs: np.ndarray, signed: bool) -> dict[str, np.ndarray]:
    """The codes that the runtime makes at every node that makes codes, under the node's name."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    makers = [n for n in model.graph.node if n.op_type.startswith("Q") and n.output[0] != "y"]
    del model.graph.output[:]
    for maker in makers:
        kind = TensorProto.INT8 if signed else TensorProto.UINT8
        model.graph.output.append(helper.make_tensor_value_info(maker.output[0], kind, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    results = session.run(None, {"x": inputs})
    return {n.name: np.asarray(r) for n, r in zip(makers, results, strict=True)}


def steps_apart(graph: LayerGraph, codes: dict[str, np.ndarray], inputs: np.ndarray,
                signed: bool) -> tuple[int, int, float]:  # fmt: skip
    """Codes compared, codes that differ, and the largest difference; all others raise."""
    values = {graph.input.name: torch.from_numpy(inputs).double()}
    compared = different = 0
    largest = 0.0
    for each in graph.nodes[1:]:
        assert each.op is not None
        value = each.op.value(*(values[name] for name in each.inputs))
        if isinstance(each.op, Quantize):
            least = -128 if signed else 0
            seen = torch.from_numpy(codes[each.name].astype(np.float64)) - least + each.op.lowest
            apart = (value / each.op.scale).round() - seen
            exact = values[each.inputs[0]] / each.op.scale
            tie = (exact - exact.floor() - 0.5).abs()
            assert bool((tie[apart != 0] < NEAR_A_TIE).all()), each.name
            compared, different = compared + apart.numel(), different + int((apart != 0).sum())
            largest = max(largest, float(apart.abs().max()))
            value = seen * each.op.scale
        values[each.name] = value
    return compared, different, largest


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: "-".join(map(str, kind)))
@pytest.mark.parametrize("name", MODELS)
def test_every_code_agrees_with_onnx_runtime(
    tmp_path: Path, name: str, kind: tuple[str, str, bool]
) -> None:
    path = quantised(tmp_path, MODELS[name], kind, QuantFormat.QOperator)
    graph, inputs = read_onnx(path), inputs_of(MODELS[name])
    codes = codes_of(path, inputs, kind[0] == "s8")
    assert {n.name for n in graph.nodes if isinstance(n.op, Quantize)} == set(codes)
    compared, different, largest = steps_apart(graph, codes, inputs, kind[0] == "s8")
    assert largest <= 1
    assert different <= max(2, 1e-3 * compared)


def test_the_models_hold_every_operator_that_is_read(tmp_path: Path) -> None:
    kinds = set()
    for model in MODELS.values():
        path = quantised(tmp_path, model, TYPES[0], QuantFormat.QOperator)
        kinds |= {n.op_type for n in onnx.load(path).graph.node if n.op_type.startswith("Q")}
    assert kinds >= {
        "QuantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm", "QLinearAdd", "QLinearMul",
        "QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearSigmoid", "QLinearLeakyRelu",
        "QLinearConcat",
    }  # fmt: skip


@pytest.mark.parametrize("model", [CNN, BLOCK], ids=["cnn", "block"])
def test_the_qdq_form_is_the_same_function(tmp_path: Path, model: Model) -> None:
    """But for biases, whose scale a QDQ file rounds to float32: a tie may fall the other way."""
    graphs = [
        simplify(read_onnx(quantised(tmp_path, model, TYPES[1], form)))
        for form in (QuantFormat.QOperator, QuantFormat.QDQ)
    ]
    assert [type(n.op) for n in graphs[0].nodes] == [type(n.op) for n in graphs[1].nodes]
    inputs = torch.from_numpy(inputs_of(model)).double()
    first, second = (graph(inputs) for graph in graphs)
    last = graphs[0].output.op
    assert isinstance(last, Quantize)
    apart = ((first - second) / last.scale).abs()
    assert float(apart.max()) < 1.5
    assert float((apart > 0.5).double().mean()) < 0.01


def test_dynamic_quantisation_is_refused_with_the_reason(tmp_path: Path) -> None:
    nodes, tensors, shape = MODELS["cnn"]
    onnx.save(model_of(nodes, tensors, shape), tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "dynamic.onnx")
    with pytest.raises(UnsupportedOp, match="scale from all rows") as caught:
        read_onnx(tmp_path / "dynamic.onnx")
    assert all("DynamicQuantizeLinear" in line for line in str(caught.value).splitlines()[1:])
