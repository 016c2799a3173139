"""Every network of the shared data, read and evaluated in float64, against ONNX Runtime.

ONNX Runtime computes in float32, so outputs agree to rounding, relative to the largest value of
any node. Where a network quantises activations, a value beside a tie may fall on the other step.
"""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lipcert.graph.simplify import simplify
from lipcert.ops.quantize import Quantize
from lipcert.read import read_onnx

Runtime = Callable[[Path, np.ndarray], np.ndarray]

pytestmark = pytest.mark.data

ROUNDING = 2e-6  # relative to the largest value of any node
NEAR_A_TIE = 1e-4  # of a quantisation step
MEAN = np.array([0.485, 0.456, 0.406])[:, None, None]
DEVIATION = np.array([0.229, 0.224, 0.225])[:, None, None]
TINY = [
    "ad_autoencoder_float",
    "ad_autoencoder_int8_qdq",
    "ic_resnet8_float",
    "ic_resnet8_int8_qdq",
    "ic_resnet8_int8_weights_only",
    "kws_dscnn_hybrid_as_float",
    "kws_dscnn_int8_qdq",
    "sww_dscnn1d_float",
    "sww_dscnn1d_int8_qdq",
    "sww_dscnn1d_int8_weights_only",
]
NETWORKS = [
    *(f"mlperf_tiny/{name}.onnx" for name in TINY),
    *(
        f"acasxu/ACASXU_run2a_{first}_{second}_batch_2000{twin}.onnx"
        for first in range(1, 6)
        for second in range(1, 5)
        for twin in ("", "_16bit")
    ),
    "mnist/mnist_relu_3_100.onnx",
    "mnist/mnist_relu_3_100_16bit.onnx",
    "cifar10/resnet20_cifar10.onnx",
    "har/HAR_561x500x6.onnx",
]


def real_inputs(data: Path, network: str) -> np.ndarray:
    kind = network.split("/")[1].split("_", maxsplit=1)[0]
    return {
        "sww": sww,
        "ic": images,
        "ad": log_mel,
        "kws": mfcc,
        "ACASXU": acas,
        "mnist": digits,
        "resnet20": normalised_images,
        "HAR": har,
    }[kind](data).astype(np.float32)


def sww(data: Path) -> np.ndarray:
    stored = np.load(data / "mlperf_tiny/sww_calibration_samples.npz")["specs"]
    return stored.transpose(0, 3, 1, 2)


def images(data: Path) -> np.ndarray:
    return np.load(data / "cifar10/test100.npz")["x"].transpose(0, 3, 1, 2)[:40]


def normalised_images(data: Path) -> np.ndarray:
    return (images(data) / 255 - MEAN) / DEVIATION


def log_mel(data: Path) -> np.ndarray:
    return np.random.default_rng(0).normal(-5, 5, (40, 640))


def mfcc(data: Path) -> np.ndarray:
    codes = np.random.default_rng(0).integers(-128, 128, (40, 1, 49, 10))
    return (codes - 83) * np.float32(0.5847029)


def acas(data: Path) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (100, 5))


def digits(data: Path) -> np.ndarray:
    raw = gzip.decompress((data / "mnist/t10k-images-idx3-ubyte.gz").read_bytes())
    return np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 784)[:100]


def har(data: Path) -> np.ndarray:
    stored = np.load(data / "har/har100.npz")
    return next(stored[key] for key in stored.files if stored[key].shape[1:] == (561,))


@pytest.mark.parametrize("network", [n for n in NETWORKS if "qdq" not in n])
@pytest.mark.parametrize("simpler", [False, True], ids=["as read", "simplified"])
def test_float_network_agrees_with_onnx_runtime(
    data: Path, runtime: Runtime, network: str, simpler: bool
) -> None:
    graph = read_onnx(data / network)
    graph = simplify(graph) if simpler else graph
    inputs = real_inputs(data, network)
    expected = runtime(data / network, inputs)
    values = graph.values(torch.from_numpy(inputs).double())
    found = values[graph.output.name].numpy()
    largest = max(float(value.abs().max()) for value in values.values())
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= ROUNDING * largest


@pytest.mark.parametrize("network", [n for n in NETWORKS if "qdq" in n])
def test_every_code_agrees_with_onnx_runtime(data: Path, runtime: Runtime, network: str) -> None:
    """Each quantiser is fed with the runtime's own codes; only codes beside a tie may differ."""
    graph, inputs = read_onnx(data / network), real_inputs(data, network)
    seen = dequantised(data / network, inputs)
    values = {graph.input.name: torch.from_numpy(inputs).double()}
    quantised = 0
    for node in graph.nodes[1:]:
        assert node.op is not None
        value = node.op.value(*(values[name] for name in node.inputs))
        if isinstance(node.op, Quantize):
            quantised += 1
            codes = torch.round(torch.from_numpy(seen[node.name]).double() / node.op.scale)
            apart = (value / node.op.scale).round() - codes
            exact = values[node.inputs[0]] / node.op.scale
            tie = (exact - exact.floor() - 0.5).abs()
            assert apart.abs().max() <= 1
            assert bool((tie[apart != 0] < NEAR_A_TIE).all())
            value = codes * node.op.scale
        values[node.name] = value
    assert quantised == len(seen) > 0
    assert isinstance(graph.output.op, Quantize)


@pytest.mark.parametrize("network", [n for n in NETWORKS if "qdq" in n])
def test_quantised_outputs_stay_near_onnx_runtime(
    data: Path, runtime: Runtime, network: str
) -> None:
    """Codes beside ties move what follows; ResNet-8 averages 64 codes, often to a tie."""
    graph, inputs = read_onnx(data / network), real_inputs(data, network)
    assert isinstance(graph.output.op, Quantize)
    found = graph(torch.from_numpy(inputs).double()).numpy()
    gap = np.abs(found - runtime(data / network, inputs)) / float(graph.output.op.scale.max())
    assert gap.max() < 3.5
    assert (gap > 0.5).mean() < 0.25


def dequantised(path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What ONNX Runtime makes of every quantiser, under the names of the QuantizeLinear nodes."""
    model = onnx.load(path)
    undone = {n.input[0]: n.output[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    makers = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    del model.graph.output[:]
    for node in makers:
        name = undone[node.output[0]]
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, 1, None))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    results = session.run(None, {session.get_inputs()[0].name: inputs})
    return {n.name: np.asarray(r) for n, r in zip(makers, results, strict=True)}


@pytest.mark.parametrize("network", [n for n in NETWORKS if "acas" not in n])
def test_every_quantiser_has_a_whole_range(data: Path, network: str) -> None:
    steps = [n.op for n in read_onnx(data / network).nodes if isinstance(n.op, Quantize)]
    assert all(bool((s.highest - s.lowest == 255).all()) for s in steps)
    assert bool(steps) == ("qdq" in network)
