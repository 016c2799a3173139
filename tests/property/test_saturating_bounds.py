"""Bounds under `ort-x86-sat16` contain what saturating kernels compute: zero exceptions."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lipcert
from lipcert.errors import UnsupportedOp
from lipcert.graph.pair import Pair
from lipcert.graph.semantics import Semantics
from lipcert.integer import evaluate
from lipcert.integer.excess import added, excess_of
from lipcert.integer.kernels import saturation
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds
from lipcert.read import read_onnx
from lipcert.read.integer import read_integer
from lipcert.sets.share import Cause

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DIGITS = EXAMPLES / "digits"
INT8, SAT16, HERE = Semantics.INT8, Semantics.ORT_X86_SAT16, lipcert.Placement()
METHODS = (IntervalArithmetic(), Crown(), TwinBounds())


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's file of eight bits, which saturates."""
    pytest.importorskip("sklearn")
    spec = spec_from_file_location("overflow_example", EXAMPLES / "overflow" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    training, _, _ = script.digits()
    brighter = np.clip(training * script.BRIGHTER, 0, 1)
    images = np.concatenate([training, brighter])
    path: Path = script.quantise(
        tmp_path_factory.mktemp("saturating") / "eight.onnx", images, reduce_range=False
    )
    return path


def contained(files: tuple[Path, Path], region: lipcert.Box, rounds: int) -> int:
    """How many codes saturation changed on members, all of them inside every method's bounds."""
    pair, program = lipcert.load_pair(*files, semantics=SAT16), read_integer(files[1])
    every = [method.certify(pair, region, HERE) for method in METHODS]
    generator, rows, changed = torch.Generator().manual_seed(0), torch.arange(region.batch), 0
    for _ in range(rounds):
        points = region.sample(rows, generator).float()
        inside = (points.double() >= region.lower) & (points.double() <= region.upper)
        kept = inside.flatten(1).all(1)
        seen = evaluate(program, points.numpy(), SAT16)
        changed += int((seen != evaluate(program, points.numpy(), INT8)).sum())
        outputs = torch.from_numpy(seen).double()
        drift = outputs - pair.original(points.double())
        for bounds in every:
            for box, found in ((bounds.compressed, outputs), (bounds.drift, drift)):
                assert bool(((box.lower <= found) & (found <= box.upper))[kept].all())
    return changed


@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.02])
def test_saturating_kernels_lie_inside(eight: Path, eps: float) -> None:
    with np.load(DIGITS / "inputs.npz") as archive:
        inputs = np.clip(archive["x"][:5] * np.float32(1.5), 0, 1).astype(np.float64)
    region = lipcert.Box.around(inputs, eps)
    assert contained((DIGITS / "model.onnx", eight), region, 4) > 0


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([0, 3, 255]))
def test_what_pairs_add_lies_inside(seed: int, inputs: int, width: int) -> None:
    chance = np.random.default_rng(seed)
    weights = chance.integers(-128, 128, (4, inputs))
    low = chance.integers(0, 256, (6, inputs))
    high = np.minimum(low + chance.integers(0, width + 1, low.shape), 255)
    least, most = added(low, high, weights)
    for raw in (low, high, *(chance.integers(low, high + 1) for _ in range(20))):
        exact = saturation(raw, weights)
        assert bool((least <= exact).all() and (exact <= most).all())
    if width == 0:
        assert np.array_equal(least, most)


def test_at_a_point_the_bound_is_what_saturating_kernels_compute(eight: Path) -> None:
    with np.load(DIGITS / "inputs.npz") as archive:
        inputs = np.clip(archive["x"] * np.float32(1.5), 0, 1).astype(np.float64)
    pair = lipcert.load_pair(DIGITS / "model.onnx", eight, semantics=SAT16)
    result = lipcert.certify(pair, lipcert.Box.around(inputs, 0.0))
    program, points = read_integer(eight), inputs.astype(np.float32)
    original = pair.original(torch.from_numpy(inputs)).numpy()
    exact, saturating = (evaluate(program, points, s) - original for s in (INT8, SAT16))
    assert np.abs(saturating).max() > 1.5 * np.abs(exact).max()
    assert float(result.max_drift.max()) < 1.05 * np.abs(saturating).max()
    assert result.observed_drift is not None
    assert float(result.observed_drift.max()) > 0.95 * np.abs(saturating).max()


def test_where_nothing_saturates_the_bounds_are_those_of_int8() -> None:
    files = (DIGITS / "model.onnx", DIGITS / "model.int8.onnx")
    with np.load(DIGITS / "inputs.npz") as archive:
        region = lipcert.Box.around(archive["x"][:2], 0.01)
    for method in METHODS:
        exact, saturating = (
            method.certify(lipcert.load_pair(*files, semantics=s), region, HERE).drift
            for s in (INT8, SAT16)
        )
        assert torch.equal(exact.lower, saturating.lower)
        assert torch.equal(exact.upper, saturating.upper)


def test_the_budget_names_what_saturation_costs(eight: Path) -> None:
    with np.load(DIGITS / "inputs.npz") as archive:
        inputs = np.clip(archive["x"][:2] * np.float32(1.5), 0, 1).astype(np.float64)
    pair = lipcert.load_pair(DIGITS / "model.onnx", eight, semantics=SAT16)
    region = lipcert.Box.around(inputs, 1e-3)
    shares = TwinBounds(budget=True).certify(pair, region, HERE).budget
    assert shares is not None
    lost = {s.node: float(s.drift.sum()) for s in shares if s.cause is Cause.SATURATION}
    excess = pair.compressed.excess
    assert excess
    assert any(lost[node.original.name] > 0 for node in pair.nodes if node.name in excess)


@pytest.mark.data
def test_a_published_network_that_saturates(data: Path) -> None:
    folder = data / "mlperf_tiny"
    files = (folder / "sww_dscnn1d_float.onnx", folder / "sww_dscnn1d_int8_qdq.onnx")
    specs = np.load(folder / "sww_calibration_samples.npz")["specs"]
    region = lipcert.Box.around(specs[:2].transpose(0, 3, 1, 2).astype(np.float64), 1e-5)
    contained(files, region, 2)


def test_networks_whose_kernels_are_unknown_are_refused(eight: Path) -> None:
    graphs = (read_onnx(DIGITS / "model.onnx"), read_onnx(eight))
    pair = Pair.of(*graphs, semantics=SAT16)
    with pytest.raises(UnsupportedOp, match="its kernels are unknown"):
        Crown().certify(pair, lipcert.Box.around(np.zeros((1, 1, 8, 8)), 0.1), HERE)
    with pytest.raises(UnsupportedOp, match="no layer of the network"):
        excess_of(graphs[0], read_integer(eight))
