"""Codes made of each row, and pair sums that saturate: bounds contain the evaluator's outputs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

import lipcert
from lipcert.graph.semantics import Semantics
from lipcert.integer import DynamicProgram, evaluate_dynamic
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds
from lipcert.ops.dynamic_quantize import DynamicQuantize
from lipcert.read.integer import read_kernels
from lipcert.sets.enclosure import Interval

INT8, SAT16, HERE = Semantics.INT8, Semantics.ORT_X86_SAT16, lipcert.Placement()
METHODS = (IntervalArithmetic(), Crown(), TwinBounds())
Files = tuple[Path, Path]


@pytest.fixture(scope="module", params=["per tensor", "per channel"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """12-21-9-4 with a skip that reads the same codes twice, float and dynamically quantised."""
    folder, chance = tmp_path_factory.mktemp("dynamic"), np.random.default_rng(3)
    shapes = {"w0": (12, 21), "b0": (21,), "w1": (21, 9), "v1": (21, 9), "w2": (9, 4), "b2": (4,)}
    large = {
        name: chance.uniform(0.5, 1, s) for name, s in shapes.items()
    }  # so that pairs saturate
    tensors = {
        name: (size * chance.choice([-1, 1], size.shape)).astype(np.float32)
        for name, size in large.items()
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w0"], ["p0"]),
        helper.make_node("Add", ["p0", "b0"], ["z0"]),
        helper.make_node("Relu", ["z0"], ["a0"]),
        helper.make_node("MatMul", ["a0", "w1"], ["p1"]),
        helper.make_node("MatMul", ["a0", "v1"], ["q1"]),
        helper.make_node("Relu", ["q1"], ["r1"]),
        helper.make_node("Add", ["p1", "r1"], ["a1"]),
        helper.make_node("Gemm", ["a1", "w2", "b2"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, size])
        for name, size in (("x", 12), ("y", 4))
    ]
    stored = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "dense", ends[:1], ends[1:], stored)
    opsets = [helper.make_opsetid("", 17)]
    source, target = folder / "float.onnx", folder / "dynamic.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), source)
    whole = request.param == "per tensor"
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=not whole)
    return source, target


@pytest.mark.parametrize("eps", [0.0, 1e-4, 0.02, 1.0])
def test_saturating_kernels_lie_inside(files: Files, eps: float) -> None:
    pair, program = lipcert.load_pair(*files, semantics=SAT16), read_kernels(files[1])
    assert isinstance(program, DynamicProgram)
    assert pair.compressed.excess
    chance, torch_chance = np.random.default_rng(0), torch.Generator().manual_seed(0)
    centre = chance.normal(size=(6, 12)) * 10.0 ** chance.integers(-2, 3, (6, 1))
    region = lipcert.Box.around(centre.astype(np.float32).astype(np.float64), eps)
    every = [method.certify(pair, region, HERE) for method in METHODS]
    rows, changed = torch.arange(region.batch), 0
    for _ in range(1 if eps == 0 else 60):
        points = region.sample(rows, torch_chance).float()
        inside = (points.double() >= region.lower) & (points.double() <= region.upper)
        kept = inside.flatten(1).all(1)
        seen = evaluate_dynamic(program, points.numpy(), SAT16)
        changed += int((seen != evaluate_dynamic(program, points.numpy(), INT8)).sum())
        outputs = torch.from_numpy(seen).double()
        drift = outputs - pair.original(points.double())
        for bounds in every:
            for box, found in ((bounds.compressed, outputs), (bounds.drift, drift)):
                assert bool(((box.lower <= found) & (found <= box.upper))[kept].all())
    assert changed > 0


def test_at_a_point_the_bound_is_what_saturating_kernels_compute(files: Files) -> None:
    pair, program = lipcert.load_pair(*files, semantics=SAT16), read_kernels(files[1])
    assert isinstance(program, DynamicProgram)
    points = np.random.default_rng(1).normal(size=(20, 12)).astype(np.float32)
    result = lipcert.certify(pair, lipcert.Box.around(points.astype(np.float64), 0.0))
    original = pair.original(torch.from_numpy(points).double()).numpy()
    drift = evaluate_dynamic(program, points, SAT16) - original
    exact = evaluate_dynamic(program, points, INT8) - original
    size = np.abs(drift).max(1)
    assert np.abs(drift - exact).max() > 0.1
    tight = result.max_drift.numpy() <= size * (1 + 1e-3)
    assert tight.mean() > 0.5  # of the others some code lies on an edge of float32's rounding


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-9, 1e-3, 0.3, 4.0]),
    st.sampled_from([-1, 0, 1]), st.booleans(),
)  # fmt: skip
def test_stored_codes_lie_inside(seed: int, wide: float, side: int, executed: bool) -> None:
    chance = torch.Generator().manual_seed(seed)
    op = DynamicQuantize().executed(executed)
    centre = torch.randn(3, 6, generator=chance).double()
    centre = centre if side == 0 else side * centre.abs()
    box = Interval(centre - wide, centre + wide)
    first, last, step = op.stored(box)
    moves = torch.rand(20, 3, 6, generator=chance, dtype=torch.float64) * 2 - 1
    corners = torch.stack([box.lower, box.upper, centre])
    for points in box.clamp(
        torch.cat([centre + wide * moves, centre + wide * moves.sign(), corners])
    ):
        rows = points.float() if executed else points
        kept = ((rows.double() >= box.lower) & (rows.double() <= box.upper)).all(1)
        width = (rows.amax(1).clamp(min=0) - rows.amin(1).clamp(max=0)) / 255
        assert bool(((step.lower[:, 0] <= width) & (width <= step.upper[:, 0]))[kept].all())
        zero = torch.round(-rows.amin(1).clamp(max=0) / width).clamp(0, 255)
        codes = (torch.round(rows / width[:, None]) + zero[:, None]).clamp(0, 255)
        ties = (rows / width[:, None]).frac().abs().sub(0.5).abs().amin(1) > 1e-9
        inside = (first <= codes) & (codes <= last)
        assert bool(inside[kept & (ties | executed)].all())
