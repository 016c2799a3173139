"""ONNX Runtime configured as the integer semantics describe."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lipcert.graph.semantics import Semantics

FLOAT_KERNELS = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "Add",
                 "AveragePool", "GlobalAveragePool", "Relu"}  # fmt: skip


@dataclass(frozen=True)
class Deployed:
    """A session, and which kernels it left in float."""

    session: onnxruntime.InferenceSession
    floats: frozenset[str]

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Outputs, all rows at once."""
        name = self.session.get_inputs()[0].name
        return np.asarray(self.session.run(None, {name: inputs})[0])


Deploy = Callable[..., Deployed]


def deployed(path: Path, semantics: Semantics, folder: Path, *, kept: bool = False) -> Deployed:
    """The default session for ort-x86-sat16; for int8 with one option more.

    `kept`: signed activations stay signed, which avoids the saturating kernels as well.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    optimised = folder / "optimised.onnx"
    options.optimized_model_filepath = str(optimised)
    if kept:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    elif semantics is Semantics.INT8:
        options.add_session_config_entry("session.x64quantprecision", "1")
    made = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(optimised).graph.node}
    return Deployed(made, frozenset(kinds & FLOAT_KERNELS))


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    """Sessions for a file and a semantics."""

    def make(path: Path, semantics: Semantics, *, kept: bool = False) -> Deployed:
        return deployed(path, semantics, tmp_path, kept=kept)

    return make


@pytest.fixture(scope="session")
def litert() -> ModuleType:
    """LiteRT's interpreter; its absence is a skip, in CI a failure."""
    try:
        return import_module("ai_edge_litert.interpreter")
    except ImportError:
        reason = "no LiteRT here: pip install ai-edge-litert"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason} (never skipped in CI)")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def saturating(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where this processor adds pairs of products at 32 bits."""
    folder = tmp_path_factory.mktemp("probe")
    stored = {
        "unit": np.float32(1), "scale": np.float32(255), "zero": np.uint8(0),
        "weights": np.full((1, 2), 127, np.int8), "middle": np.int8(0),
    }  # fmt: skip
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "unit", "zero"], ["codes"]),
        node("DequantizeLinear", ["codes", "unit", "zero"], ["values"]),
        node("DequantizeLinear", ["weights", "unit", "middle"], ["matrix"]),
        node("Gemm", ["values", "matrix"], ["product"], transB=1),
        node("QuantizeLinear", ["product", "scale", "zero"], ["result"]),
        node("DequantizeLinear", ["result", "scale", "zero"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes, "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in stored.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "probe.onnx"
    path.write_bytes(model.SerializeToString())
    run = deployed(path, Semantics.ORT_X86_SAT16, folder)
    if run(np.full((1, 2), 255, np.float32)).item() != 128 * 255:  # 64770 without saturation
        pytest.skip("this processor adds pairs of int8 products at 32 bits (VNNI, or not x86)")
