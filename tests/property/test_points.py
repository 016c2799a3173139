"""At a single point the certified drift is the computed one, on published quantised networks."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lipcert
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize

PAIRS = {
    "sww": ("sww_dscnn1d_float", "sww_dscnn1d_int8_qdq"),
    "resnet": ("ic_resnet8_float", "ic_resnet8_int8_qdq"),
    "autoencoder": ("ad_autoencoder_float", "ad_autoencoder_int8_qdq"),
    "keywords": ("kws_dscnn_hybrid_as_float", "kws_dscnn_int8_qdq"),
}
SHARE = 1e-4  # of the drift: what summing up a whole network in float64 may leave


def inputs(data: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Real ones where there are any; the first image of ResNet's averages to a tie."""
    if name == "resnet":
        return np.load(data / "cifar10/test100.npz")["x"][:1].transpose(0, 3, 1, 2).astype(float)
    if name == "sww":
        specs = np.load(data / "mlperf_tiny/sww_calibration_samples.npz")["specs"]
        return specs[:3].transpose(0, 3, 1, 2).astype(float)
    return np.random.default_rng(0).normal(0, 20, (1, *shape))


@pytest.mark.data
@pytest.mark.parametrize("name", PAIRS)
def test_nothing_is_left_at_a_point(data: Path, name: str) -> None:
    files = [data / "mlperf_tiny" / f"{file}.onnx" for file in PAIRS[name]]
    pair = lipcert.load_pair(*files)
    points = inputs(data, name, pair.original.input.shape)
    method = TwinBounds() if name != "keywords" else IntervalArithmetic()
    drift = method.certify(pair, lipcert.Box.around(points, 0.0), lipcert.Placement()).drift
    x = torch.from_numpy(points)
    seen = pair.compressed(x) - pair.original(x)
    assert bool(((drift.lower <= seen) & (seen <= drift.upper)).all())
    assert float((drift.upper - drift.lower).max()) < SHARE * float(seen.abs().max())


def test_ties_of_averages_are_decided() -> None:
    """Four codes average to every tie there is; a float step beside them is another matter."""
    step = torch.tensor([float(np.float32(0.1))]).double()
    codes = Quantize(step, torch.tensor([-128.0]).double(), torch.tensor([127.0]).double())
    mean = Linear(torch.full((1, 4), 0.25).double(), torch.zeros(1).double())
    nodes = [Node("x", None, (), (4,))]
    for place, op in enumerate((codes, mean, codes)):
        nodes.append(Node(f"n{place}", op, (nodes[-1].name,), op.shape(nodes[-1].shape)))
    graph = LayerGraph(tuple(nodes))
    pair = Pair.of(graph, graph)
    whole = torch.from_numpy(np.random.default_rng(1).integers(-9, 10, (400, 4))).double()
    region = lipcert.Box.around(whole * step, 0.0)
    box = IntervalArithmetic().certify(pair, region, lipcert.Placement()).compressed
    exact = torch.round(whole.mean(1, keepdim=True)) * step
    assert bool((whole.sum(1) % 4 == 2).any())
    assert bool(((box.lower <= exact) & (exact <= box.upper)).all())
    assert float((box.upper - box.lower).max()) < 1e-12
    assert torch.equal(pair.compressed(whole * step), exact)
