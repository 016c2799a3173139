"""What runtimes compute lies inside the bounds of the semantics that describes them."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

import lipcert
from lipcert.errors import UnsupportedOp
from lipcert.graph.semantics import Semantics
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
OFF = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
FULL = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
CONFIGURATIONS = {Semantics.FLOAT32: (OFF,), Semantics.INT8: (OFF, FULL)}


def _run(path: Path, level: onnxruntime.GraphOptimizationLevel, inputs: np.ndarray) -> Tensor:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(str(path), options)
    (outputs,) = session.run(None, {session.get_inputs()[0].name: inputs})
    return torch.from_numpy(np.asarray(outputs)).double()


def _members(region: lipcert.Box, seed: int) -> tuple[np.ndarray, Tensor]:
    """Float32 members of the boxes, and which rows have one."""
    generator = torch.Generator().manual_seed(seed)
    points = region.sample(torch.arange(region.batch), generator).float()
    inside = (points.double() >= region.lower) & (points.double() <= region.upper)
    return points.numpy(), inside.flatten(1).all(1)


def _check(files: tuple[Path, Path], inputs: np.ndarray, eps: float, semantics: Semantics) -> None:
    pair = lipcert.load_pair(*files, semantics=semantics)
    region = lipcert.Box.around(inputs, eps)
    found = 0
    for method in (IntervalArithmetic(), Crown(), TwinBounds()):
        bounds = method.certify(pair, region, lipcert.Placement())
        for seed in range(8):
            points, rows = _members(region, seed)
            for level in CONFIGURATIONS[semantics]:
                original = _run(files[0], OFF, points)
                compressed = _run(files[1], level, points)
                for box, seen in (
                    (bounds.original, original),
                    (bounds.compressed, compressed),
                    (bounds.drift, compressed - original),
                ):
                    assert bool(((box.lower <= seen) & (seen <= box.upper))[rows].all())
                found += int(rows.sum())
    assert found > 0


@pytest.mark.parametrize("semantics", [Semantics.FLOAT32, Semantics.INT8])
@pytest.mark.parametrize("eps", [0.0, 1e-6, 1e-3, 0.01])
@pytest.mark.parametrize("name", ["int8", "pruned"])
def test_digits_as_executed(name: str, eps: float, semantics: Semantics) -> None:
    with np.load(DIGITS / "inputs.npz") as archive:
        inputs = archive["x"][:4]
    _check((DIGITS / "model.onnx", DIGITS / f"model.{name}.onnx"), inputs, eps, semantics)


@pytest.mark.data
@pytest.mark.parametrize("eps", [0.0, 1e-5])
@pytest.mark.parametrize("twin", ["int8_weights_only", "int8_qdq"])
def test_wake_word_as_executed(data: Path, twin: str, eps: float) -> None:
    folder = data / "mlperf_tiny"
    with np.load(folder / "sww_calibration_samples.npz") as archive:
        inputs = archive["specs"][:2].transpose(0, 3, 1, 2).astype(np.float32)
    files = (folder / "sww_dscnn1d_float.onnx", folder / f"sww_dscnn1d_{twin}.onnx")
    _check(files, inputs, eps, Semantics.INT8)


def test_exact_arithmetic_does_not_cover_the_runtime() -> None:
    """The reason why semantics have names: at a point float32 leaves the real bounds."""
    with np.load(DIGITS / "inputs.npz") as archive:
        inputs = archive["x"]
    files = (DIGITS / "model.onnx", DIGITS / "model.int8.onnx")
    pair, region = lipcert.load_pair(*files), lipcert.Box.around(inputs, 0.0)
    bounds = TwinBounds().certify(pair, region, lipcert.Placement())
    seen = _run(files[1], OFF, inputs) - _run(files[0], OFF, inputs)
    assert not bool(((bounds.drift.lower <= seen) & (seen <= bounds.drift.upper)).all())


@pytest.mark.data
def test_layers_that_may_saturate_are_named(data: Path) -> None:
    folder = data / "mlperf_tiny"
    files = (folder / "sww_dscnn1d_float.onnx", folder / "sww_dscnn1d_int8_qdq.onnx")
    result = lipcert.certify(
        lipcert.load_pair(*files), lipcert.Box.around(np.zeros((1, 40, 30, 1)), 0.0)
    )
    assert result.provenance.saturation is not None
    assert result.provenance.saturation.unsafe_layers


def test_batch_normalisation_is_refused_as_executed() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).eval()
    pair = lipcert.load_pair(module, module, (3,), semantics=Semantics.FLOAT32)
    with pytest.raises(UnsupportedOp, match="batch normalisation"):
        TwinBounds().certify(pair, lipcert.Box.around(np.zeros((1, 3)), 0.1), lipcert.Placement())
