"""The published LiteRT networks of the shared data, against the ONNX files converted from them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lipcert.errors import BadFile
from lipcert.graph.pair import Pair
from lipcert.graph.simplify import simplify
from lipcert.ops.quantize import Quantize
from lipcert.read import read_file, read_onnx

pytestmark = pytest.mark.data

TWINS = {
    "ic_resnet8_float": "ic_resnet8_float",
    "ic_resnet8_int8": "ic_resnet8_int8_qdq",
    "sww_dscnn1d_int8": "sww_dscnn1d_int8_qdq",
}


def inputs_of(data: Path, name: str) -> np.ndarray:
    """Channels last, as LiteRT reads them."""
    if name.startswith("ic"):
        return np.load(data / "cifar10/test100.npz")["x"][:60].astype(np.float32)
    return np.load(data / "mlperf_tiny/sww_calibration_samples.npz")["specs"].astype(np.float32)


def channels_first(inputs: Tensor) -> Tensor:
    return inputs.permute(0, 3, 1, 2)


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("simpler", [False, True], ids=["as read", "simplified"])
def test_network_is_that_of_the_onnx_file(data: Path, name: str, simpler: bool) -> None:
    graph = read_file(data / f"mlperf_tiny/{name}.tflite")
    twin = read_onnx(data / f"mlperf_tiny/{TWINS[name]}.onnx")
    if simpler:
        graph, twin = simplify(graph), simplify(twin)
    inputs = torch.from_numpy(inputs_of(data, name)).double()
    found, expected = graph(inputs), twin(channels_first(inputs))
    assert graph.input.shape == tuple(inputs.shape[1:])
    if "int8" not in name:
        assert float((found - expected).abs().max()) <= 1e-12
        return
    last = graph.output.op
    assert isinstance(last, Quantize)
    apart = ((found - expected) / last.scale).abs()
    assert float(apart.max()) < 1.5  # averages of 64 codes lie on ties
    assert float((apart > 0.5).double().mean()) < 0.1


@pytest.mark.peer
def test_networks_stay_near_litert(data: Path) -> None:
    """Its default kernels, behind the SOFTMAX; they requantise in other arithmetic."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="pip install ai-edge-litert")
    for name in TWINS:
        stays_near(litert, data, name)


def stays_near(litert: Any, data: Path, name: str) -> None:
    path = data / f"mlperf_tiny/{name}.tflite"
    session = litert.Interpreter(str(path), num_threads=1)
    session.allocate_tensors()
    first, last = session.get_input_details()[0], session.get_output_details()[0]
    inputs = inputs_of(data, name)[:30]
    graph = read_file(path)
    logits = graph(torch.from_numpy(inputs).double())
    wanted = logits.softmax(-1).numpy()
    scale, zero = first["quantization"]
    given = inputs if scale == 0 else np.clip(np.rint(inputs / np.float32(scale)) + zero, -128, 127)
    found = np.empty(wanted.shape)
    for place, row in enumerate(given):
        session.set_tensor(first["index"], row.astype(first["dtype"])[None])
        session.invoke()
        found[place] = session.get_tensor(last["index"])[0]
    step, zero = last["quantization"]
    found = found if step == 0 else (found - zero) * step
    gap = np.abs(found - wanted)
    assert np.median(gap) <= (1e-6 if step == 0 else step)
    assert (found.argmax(1) == wanted.argmax(1)).mean() >= 0.9


def test_float_and_int8_files_are_a_pair(data: Path) -> None:
    f, g = (read_file(data / f"mlperf_tiny/ic_resnet8_{kind}.tflite") for kind in ("float", "int8"))
    pair = Pair.of(f, g)
    assert pair.aligned
    inputs = torch.from_numpy(inputs_of(data, "ic")).double()
    assert float((f(inputs) - g(inputs)).abs().max()) < 3


@pytest.mark.parametrize("name", TWINS)
def test_truncated_files(data: Path, tmp_path: Path, name: str) -> None:
    """Wherever it is cut: FlatBuffers keep tables at both ends."""
    whole = (data / f"mlperf_tiny/{name}.tflite").read_bytes()
    for size in [*range(40), *range(40, len(whole), len(whole) // 40), len(whole) - 1]:
        (tmp_path / "x.tflite").write_bytes(whole[:size])
        with pytest.raises(BadFile):
            read_file(tmp_path / "x.tflite")
