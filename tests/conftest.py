"""What the tests share: the data folder, small ONNX files, and ONNX Runtime as the reference."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

Maker = Callable[..., Path]
Runtime = Callable[[Path, np.ndarray], np.ndarray]


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """Ctrl-C interrupts, also where a shell runs the tests in the background and ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared networks and inputs; their absence is a skip, in CI a failure."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("LIPCERT_DATA", beside))
    if folder.is_dir():
        return folder
    reason = f"no shared data in {folder}; set LIPCERT_DATA"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"{reason} (never skipped in CI)")
    pytest.skip(reason)


@pytest.fixture
def onnx_file(tmp_path: Path) -> Maker:
    """Writes a model of some nodes that read `x` and make `y`."""

    def make(
        nodes: Sequence[NodeProto],
        tensors: Mapping[str, np.ndarray],
        shape: Sequence[int | str | None],
        *,
        opset: int = 13,
        name: str = "model.onnx",
    ) -> Path:
        graph = helper.make_graph(
            list(nodes),
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in tensors.items()],
        )
        opsets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return make


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    """ONNX Runtime with its graph optimisation off."""

    def run(path: Path, inputs: np.ndarray) -> np.ndarray:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        return np.asarray(session.run(None, {session.get_inputs()[0].name: inputs})[0])

    return run
