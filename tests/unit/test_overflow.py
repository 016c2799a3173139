"""The overflow check: what it calls safe never saturates, what it flags can."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import NodeProto, helper
from typer.testing import CliRunner

from lipcert.cli import app
from lipcert.errors import BadFile, BadInput, UnsupportedOp
from lipcert.graph.semantics import Semantics
from lipcert.integer import Program, codes_of, evaluate, overflow
from lipcert.integer.reach import reach
from lipcert.read.integer import read_integer
from lipcert.sets import Box

Maker = Callable[..., Path]
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
PROMPT = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def dense(
    onnx_file: Maker,
    weights: np.ndarray,
    *,
    zero: int = 0,
    kind: type = np.uint8,
    final: float = 400,
) -> Path:
    """One product of codes of step 1 with stored weights."""
    tensors = {
        "unit": np.float32(1), "final": np.float32(final), "zero": kind(zero),
        "w": weights, "half": weights.dtype.type(0 if weights.dtype == np.int8 else 128),
    }  # fmt: skip
    pair = ["unit", "zero"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *pair], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", *pair], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "unit", "half"], ["wd"]),
        helper.make_node("MatMul", ["xd", "wd"], ["p"], name="product"),
        helper.make_node("QuantizeLinear", ["p", "final", "zero"], ["pq"]),
        helper.make_node("DequantizeLinear", ["pq", "final", "zero"], ["y"]),
    ]
    return onnx_file(nodes, tensors, ["batch", len(weights)])


def differs(program: Program, inputs: np.ndarray) -> bool:
    exact, narrow = (
        evaluate(program, inputs, s) for s in (Semantics.INT8, Semantics.ORT_X86_SAT16)
    )
    return bool((exact != narrow).any())


def test_planted_overflow_is_flagged_and_shows(onnx_file: Maker) -> None:
    weights = np.array([[100, 1], [60, -1], [3, 5]], dtype=np.int8)
    program = read_integer(dense(onnx_file, weights))
    report = overflow(program)
    (layer,) = report.layers
    assert (layer.name, layer.narrow, layer.pairs, layer.unsafe) == ("product", True, 4, 1)
    assert (layer.least, layer.most) == (-255, 255 * 160)
    assert not report.safe
    assert "reduce_range" in report.remedies[0]
    assert "x64quantprecision" in report.remedies[2]
    assert differs(program, np.array([[255, 255, 0]], dtype=np.float32))


def test_smaller_activations_make_the_same_weights_safe(onnx_file: Maker) -> None:
    weights = np.array([[100], [60]], dtype=np.int8)
    program = read_integer(dense(onnx_file, weights))
    assert overflow(program, Box.between([[0.0, 0.0]], [[200.0, 200.0]])).safe
    flagged = overflow(program, Box.between([[0.0, 0.0]], [[206.0, 205.0]]))
    assert (flagged.safe, flagged.layers[0].most, flagged.inputs) == (False, 32900, 1)


def test_known_codes_tighten_the_check(onnx_file: Maker) -> None:
    program = read_integer(dense(onnx_file, np.array([[100], [60]], dtype=np.int8)))
    region = Box.between([[0.0, 0.0]], [[255.0, 255.0]])
    first = program.steps[0].name
    known = {first: (np.zeros((1, 2), np.int64), np.full((1, 2), 100))}
    assert not overflow(program, region).safe
    assert overflow(program, region, known).layers[0].most == 16000


def test_unsigned_weights_and_depthwise_kernels_are_safe(onnx_file: Maker) -> None:
    assert overflow(read_integer(dense(onnx_file, np.full((4, 2), 255, np.uint8)))).safe
    tensors = {
        "unit": np.float32(1), "zero": np.uint8(0), "half": np.int8(0),
        "w": np.full((2, 1, 2, 2), 127, np.int8),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "unit", "zero"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "unit", "zero"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "unit", "half"], ["wd"]),
        helper.make_node("Conv", ["xd", "wd"], ["p"], group=2),
        helper.make_node("QuantizeLinear", ["p", "unit", "zero"], ["pq"]),
        helper.make_node("DequantizeLinear", ["pq", "unit", "zero"], ["y"]),
    ]
    report = overflow(read_integer(onnx_file(nodes, tensors, ["batch", 2, 3, 3])))
    assert report.safe
    assert report.layers[0].most == 255 * 254


@PROMPT
@given(seed=st.integers(0, 2**32 - 1), reach_of=st.integers(1, 255), signed=st.booleans())
def test_safe_means_equal(onnx_file: Maker, seed: int, reach_of: int, signed: bool) -> None:
    generator = np.random.default_rng(seed)
    size = int(generator.integers(30, 128))
    weights = generator.integers(-size, size + 1, (7, 3)).astype(np.int8)
    low = -128 if signed else 0
    kind = np.int8 if signed else np.uint8
    program = read_integer(dense(onnx_file, weights, zero=low, kind=kind, final=1.0))
    region = Box.between(np.zeros((1, 7)), np.full((1, 7), float(reach_of)))
    report = overflow(program, region)
    corners = np.where(generator.random((300, 7)) < 0.5, 0, reach_of)
    raw = np.concatenate([corners, *[(weights.T > 0) * reach_of, (weights.T < 0) * reach_of]])
    inputs = raw.astype(np.float32)
    wide = np.pad(raw, ((0, 0), (0, 1)))[:, None] * np.pad(weights.astype(int), ((0, 1), (0, 0))).T
    sums = wide[..., ::2] + wide[..., 1::2]
    layer = report.layers[0]
    assert (layer.least, layer.most) == (sums.min(), sums.max())  # corners attain them
    saturated = bool(((sums > 32767) | (sums < -32768)).any())
    assert saturated == (not report.safe)
    if report.safe:
        assert not differs(program, inputs)


@PROMPT
@given(seed=st.integers(0, 2**32 - 1))
def test_reach_contains_every_code(seed: int) -> None:
    generator = np.random.default_rng(seed)
    program = read_integer(DIGITS / "model.int8.onnx")
    centre = generator.random((2, 1, 8, 8)).astype(np.float32)
    eps = np.float32(generator.uniform(0, 0.1))
    ends = reach(program, centre - eps, centre + eps)
    samples = generator.uniform(-1, 1, (12, 2, 1, 8, 8)).astype(np.float32) * eps + centre
    for sample in [*np.clip(samples, centre - eps, centre + eps), centre - eps, centre + eps]:
        for name, codes in codes_of(program, sample, Semantics.ORT_X86_SAT16).items():
            assert (ends[name][0] <= codes).all()
            assert (codes <= ends[name][1]).all()


def test_a_region_of_another_shape_is_refused(onnx_file: Maker) -> None:
    program = read_integer(dense(onnx_file, np.ones((2, 2), np.int8)))
    with pytest.raises(BadInput, match=r"shape \(3,\)"):
        overflow(program, Box.between([[0.0] * 3], [[1.0] * 3]))
    with pytest.raises(BadInput, match="not computed in integers"):
        evaluate(program, np.zeros((1, 2), np.float32), Semantics.REAL)
    with pytest.raises(BadInput, match="reads inputs of shape"):
        evaluate(program, np.zeros((1, 3), np.float32), Semantics.INT8)


def test_every_unsupported_node_is_named(onnx_file: Maker) -> None:
    nodes: list[NodeProto] = [
        helper.make_node("Sigmoid", ["x"], ["a"], name="first"),
        helper.make_node("Tanh", ["x"], ["b"], name="second"),
        helper.make_node("Add", ["a", "b"], ["y"], name="behind"),
    ]
    with pytest.raises(UnsupportedOp, match=r"2 nodes(.|\n)*'first'(.|\n)*'second'"):
        read_integer(onnx_file(nodes, {}, ["batch", 3]))


def test_weights_of_another_width_are_refused(onnx_file: Maker) -> None:
    path = dense(onnx_file, np.ones((3, 2), np.int8))
    program = replace(read_integer(path), input_shape=(4,))
    with pytest.raises(BadFile, match="reads 3 channels and is given 4"):
        evaluate(program, np.zeros((1, 4), np.float32), Semantics.INT8)


def test_a_float_network_is_refused() -> None:
    with pytest.raises(UnsupportedOp, match="without an integer kernel"):
        read_integer(DIGITS / "model.onnx")


def test_command_says_safe_or_unsafe(onnx_file: Maker, tmp_path: Path) -> None:
    runner = CliRunner()
    safe = runner.invoke(app, ["overflow", str(DIGITS / "model.int8.onnx")])
    assert safe.exit_code == 0
    assert "\nSAFE: over all inputs" in safe.stdout
    path = str(dense(onnx_file, np.array([[100], [60]], dtype=np.int8)))
    unsafe = runner.invoke(app, ["overflow", path])
    assert unsafe.exit_code == 1
    assert "reduce_range" in unsafe.stdout
    np.save(tmp_path / "x.npy", np.zeros((1, 2)))
    around = ["--inputs", str(tmp_path / "x.npy"), "--eps", "100", "--clip", "0", "255", "--json"]
    told = json.loads(runner.invoke(app, ["overflow", path, *around]).stdout)
    assert told["safe"]
    assert told["layers"][0]["most"] == 16000
    assert runner.invoke(app, ["overflow", path, "--eps", "1"]).exit_code == 2
    assert runner.invoke(app, ["overflow", str(DIGITS / "model.onnx")]).exit_code == 2
