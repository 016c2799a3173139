"""Dynamic quantisation: facts hold for every row of a box, bounds contain the runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import helper
from onnxruntime.quantization import QuantType, quantize_dynamic

import lipcert
from lipcert.errors import UnsupportedOp
from lipcert.graph.semantics import Semantics
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds
from lipcert.ops.dynamic_quantize import DynamicQuantize
from lipcert.read import read_onnx
from lipcert.sets.enclosure import Interval

Maker = Callable[..., Path]
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
OFF, ALL = (
    onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
)
HERE = lipcert.Placement()


def rows_of(path: Path, inputs: np.ndarray, level: object = OFF) -> list[list[np.ndarray]]:
    """All outputs of the runtime, one input at a time."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [session.run(None, {name: row[None].astype(np.float32)}) for row in inputs]


def single(path: Path, source: Path) -> Path:
    """A copy of a file whose batch is one."""
    model = onnx.load(source)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module", params=["per tensor", "per channel"])
def digits(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network, quantised dynamically; no pair of its products saturates."""
    folder = tmp_path_factory.mktemp("dynamic")
    fixed = single(folder / "fixed.onnx", DIGITS / "model.onnx")
    whole = request.param == "per tensor"
    kind = QuantType.QUInt8 if whole else QuantType.QInt8
    target = folder / "dynamic.onnx"
    quantize_dynamic(
        fixed, target, per_channel=not whole, weight_type=kind, reduce_range=not whole,
        op_types_to_quantize=None if whole else ["Gemm", "MatMul"],
    )  # fmt: skip
    assert any(node.op_type == "MatMulInteger" for node in onnx.load(target).graph.node)
    return target


@pytest.mark.parametrize("semantics", [Semantics.INT8, Semantics.FLOAT32])
@pytest.mark.parametrize("eps", [0.0, 1e-4, 0.02])
def test_the_runtime_lies_inside(digits: Path, semantics: Semantics, eps: float) -> None:
    with np.load(DIGITS / "inputs.npz") as archive:
        inputs = archive["x"][:4].astype(np.float64)
    region = lipcert.Box.around(inputs, eps)
    pair = lipcert.load_pair(DIGITS / "model.onnx", digits, semantics=semantics)
    assert pair.aligned
    every = [m.certify(pair, region, HERE) for m in (IntervalArithmetic(), Crown(), TwinBounds())]
    generator, rows = torch.Generator().manual_seed(0), torch.arange(region.batch)
    for _ in range(1 if eps == 0 else 12):
        points = region.sample(rows, generator).float()
        inside = (points.double() >= region.lower) & (points.double() <= region.upper)
        kept = inside.flatten(1).all(1)
        original = np.concatenate([r[0] for r in rows_of(DIGITS / "model.onnx", points.numpy())])
        for level in (OFF, ALL):
            found = np.concatenate([r[0] for r in rows_of(digits, points.numpy(), level)])
            seen = torch.from_numpy(found).double()
            drift = seen - torch.from_numpy(original).double()
            for bounds in every:
                for box, value in ((bounds.compressed, seen), (bounds.drift, drift)):
                    assert bool(((box.lower <= value) & (value <= box.upper))[kept].all())


def test_at_a_point_the_bound_is_the_drift(digits: Path) -> None:
    with np.load(DIGITS / "inputs.npz") as archive:
        region = lipcert.Box.around(archive["x"].astype(np.float64), 0.0)
    result = lipcert.certify(lipcert.load_pair(DIGITS / "model.onnx", digits), region)
    assert result.observed_drift is not None
    assert bool((result.max_drift <= result.observed_drift + 1e-6).all())


def test_the_budget_names_the_quantisers(digits: Path) -> None:
    with np.load(DIGITS / "inputs.npz") as archive:
        region = lipcert.Box.around(archive["x"][:2].astype(np.float64), 0.01)
    pair = lipcert.load_pair(DIGITS / "model.onnx", digits)
    shares = TwinBounds(budget=True).certify(pair, region, HERE).budget
    assert shares is not None
    assert any(str(share.cause) == "quantiser" and bool(share.drift.any()) for share in shares)


@pytest.mark.parametrize("batch", [2, "batch"])
def test_other_batches_are_refused(onnx_file: Maker, batch: int | str) -> None:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], name="dynamic"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    with pytest.raises(UnsupportedOp, match=r"'dynamic'.*all rows together.*batch axis to 1"):
        read_onnx(onnx_file(nodes, {}, [batch, 5]))


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The operator alone, its three outputs."""
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"])
    kinds = {"q": onnx.TensorProto.UINT8, "s": onnx.TensorProto.FLOAT, "z": onnx.TensorProto.UINT8}
    shapes = {"q": [1, None], "s": [], "z": []}
    graph = helper.make_graph(
        [node],
        "dynamic",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, None])],
        [helper.make_tensor_value_info(n, kinds[n], shapes[n]) for n in kinds],
    )
    path = tmp_path_factory.mktemp("operator") / "operator.onnx"
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_codes_are_the_runtimes_to_the_bit(operator: Path) -> None:
    chance = np.random.default_rng(0)
    op = DynamicQuantize().executed(True)
    rows = [chance.normal(size=33) * 10.0 ** chance.integers(-4, 5) for _ in range(2000)]
    rows += [np.abs(row) * sign for row in rows[:200] for sign in (1, -1)]
    rows += [np.zeros(33), np.full(33, -3.0)]
    rows += [np.append(np.arange(32) / 32.0, 1.0) * 2.0**k - shift
             for k in range(-3, 4) for shift in (0.0, 0.25, 2.0)]  # fmt: skip
    inputs = np.stack(rows).astype(np.float32)
    values = op.value(torch.from_numpy(inputs).double()).numpy()
    for (codes, scale, zero), value in zip(rows_of(operator, inputs), values, strict=True):
        whole = codes[0].astype(np.float64) - float(zero)
        assert np.array_equal(np.float64(scale) * whole, value)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1e-9, 1e-3, 0.3, 4.0]),
    st.sampled_from([-1, 0, 1]), st.booleans(), st.sampled_from([torch.float64, torch.float32]),
)  # fmt: skip
@example(0, 0.0, 1, True, torch.float32)
def test_facts_hold_for_every_row(
    seed: int, wide: float, side: int, executed: bool, dtype: torch.dtype
) -> None:
    chance = torch.Generator().manual_seed(seed)
    op = DynamicQuantize().executed(executed)
    centre = torch.randn(3, 6, generator=chance, dtype=torch.float64).to(dtype)
    centre = centre if side == 0 else side * centre.abs()
    box = Interval(centre - wide, centre + wide)
    moves = torch.rand(60, 3, 6, generator=chance, dtype=torch.float64).to(dtype) * 2 - 1
    corners = torch.stack([box.lower, box.upper, centre])
    points = box.clamp(torch.cat([centre + wide * moves, centre + wide * moves.sign(), corners]))
    values = op.value(points.reshape(-1, 6).double()).reshape(points.shape)
    image = op.image(box)
    assert bool(((image.lower <= values) & (values <= image.upper)).all())
    slopes = torch.randn(4, 3, 6, generator=chance, dtype=torch.float64).to(dtype)
    slopes[0], slopes[1] = 0, 1
    left = op.remainder(box, slopes)
    rest = values[:, None] - slopes.double() * points[:, None].double()
    assert bool(((left.lower <= rest) & (rest <= left.upper)).all())
    lines = op.lines(box)
    assert bool((lines.lower_slope * points + lines.lower_intercept <= values + 1e-6).all())
    assert bool((lines.upper_slope * points + lines.upper_intercept >= values - 1e-6).all())
