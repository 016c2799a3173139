"""Weights as codes: what they stand for, and that every reader of the file agrees on it."""

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx import NodeProto, TensorProto, helper, numpy_helper

from lipcert.compress.codes import WIDTHS, code_range, coded, every_width, widest_scale
from lipcert.compress.layers import layers_of
from lipcert.compress.quantize import opened, quantised, written
from lipcert.ops.conv import Conv
from lipcert.ops.linear import Linear
from lipcert.read import read_onnx

Runtime = Callable[[Path, np.ndarray], np.ndarray]
Maker = Callable[..., Path]
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits" / "model.onnx"
FLOATS = st.floats(-1e3, 1e3, width=32)
WEIGHTS = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=FLOATS)


def rand(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(max_examples=40)
@given(WEIGHTS, st.sampled_from([0, 1]))
def test_codes_are_the_nearest_and_more_bits_are_never_worse(weight: np.ndarray, axis: int) -> None:
    errors: list[np.ndarray] = []
    for bits, made in every_width(weight, axis).items():
        lowest, highest = code_range(bits)
        assert lowest <= made.codes.min()
        assert made.codes.max() <= highest
        assert (made.scale > 0).all()
        assert (made.values.astype(np.float32) == made.values).all()
        step = np.expand_dims(made.scale.astype(np.float64), 1 - axis)
        others = [np.clip(made.codes.astype(int) + k, lowest, highest) * step for k in (-1, 1)]
        for other in others:
            assert (np.abs(made.values - weight) <= np.abs(other - weight)).all()
        errors.append(((made.values - weight) ** 2).sum(1 - axis))
    for fewer, more in itertools.pairwise(errors):
        assert (more <= fewer).all()


@given(WEIGHTS)
def test_nothing_saturates_at_the_widest_scale(weight: np.ndarray) -> None:
    for bits in WIDTHS:
        made = coded(weight, 0, bits, widest_scale(weight, 0, bits))
        step = made.scale.astype(np.float64)[:, None]
        assert (np.abs(made.values - weight) <= step / 2 * (1 + 2.0**-12)).all()


def test_an_outlier_does_not_spoil_its_row() -> None:
    weight = np.append(rand(1, 2000), np.float32([[9.0]]), axis=1)
    made = every_width(weight, 0)[4]
    plain = coded(weight, 0, 4, widest_scale(weight, 0, 4))
    errors = [float(((each.values - weight) ** 2).sum()) for each in (made, plain)]
    assert errors[0] < 0.9 * errors[1]


LAYERS: Mapping[str, tuple[list[NodeProto], dict[str, np.ndarray], tuple[int, ...]]] = {
    "conv": ([helper.make_node("Conv", ["x", "w", "b"], ["y"], "layer", pads=[1, 1, 1, 1])],
             {"w": rand(5, 3, 3, 3), "b": rand(5)}, (3, 6, 5)),
    "conv1d": ([helper.make_node("Conv", ["x", "w"], ["y"], "layer", group=3)],
               {"w": rand(3, 1, 3)}, (3, 9)),
    "gemm": ([helper.make_node("Gemm", ["x", "w", "b"], ["y"], "layer", alpha=0.5)],
             {"w": rand(7, 5), "b": rand(5)}, (7,)),
    "transposed gemm": ([helper.make_node("Gemm", ["x", "w"], ["y"], "layer", transB=1)],
                        {"w": rand(5, 7)}, (7,)),
    "matmul": ([helper.make_node("MatMul", ["x", "w"], ["y"], "layer")], {"w": rand(7, 5)}, (7,)),
}  # fmt: skip


def compressed(path: Path, bits: int) -> tuple[Path, np.ndarray]:
    """The file with its only layer quantised, and what its codes stand for."""
    model = opened(path)
    ((layer,), kept) = layers_of(model)
    assert kept == ()
    codes = every_width(layer.weight, layer.axis)[bits]
    made = quantised(model, {layer.tensor: codes})
    return written(made, path.with_name(f"{bits}.onnx")), codes.values


@pytest.mark.parametrize("opset", [11, 13, 21])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("bits", WIDTHS)
def test_every_reader_sees_the_same_weights(
    onnx_file: Maker, runtime: Runtime, kind: str, bits: int, opset: int
) -> None:
    nodes, tensors, shape = LAYERS[kind]
    path = onnx_file(nodes, tensors, ("N", *shape), opset=opset)
    place, values = compressed(path, bits)
    graph, original = read_onnx(place), read_onnx(path)
    (op,) = (n.op for n in graph.nodes if isinstance(n.op, Conv | Linear))
    (before,) = (n.op for n in original.nodes if isinstance(n.op, Conv | Linear))
    factor = 0.5 if kind == "gemm" else 1.0
    seen = values.T if kind in ("gemm", "matmul") else values
    assert np.array_equal(op.weight.numpy().reshape(seen.shape), seen * factor)
    assert np.array_equal(op.bias.numpy(), before.bias.numpy())
    assert [n.name for n in graph.nodes] == [n.name for n in original.nodes]
    inputs = rand(3, *shape, seed=1)
    again = onnx_file(nodes, {**tensors, "w": values.astype(np.float32)}, ("N", *shape))
    assert np.array_equal(runtime(place, inputs), runtime(again, inputs))


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("failure", ["refuses", "changes the network"])
def test_a_file_that_cannot_be_converted_keeps_its_opset(
    onnx_file: Maker,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
    bits: int,
) -> None:
    nodes, tensors, shape = LAYERS["transposed gemm"]
    path = onnx_file(nodes, tensors, ("N", *shape), opset=11)
    other = onnx.load(onnx_file(nodes, {"w": rand(5, 7, seed=2)}, ("N", *shape), name="b.onnx"))

    def convert(_model: onnx.ModelProto, _opset: int) -> onnx.ModelProto:
        if failure == "refuses":
            raise onnx.version_converter.ConvertError("no adapter")
        return other

    monkeypatch.setattr(onnx.version_converter, "convert_version", convert)
    place, values = compressed(path, bits)
    assert {(o.domain, o.version) for o in onnx.load(place).opset_import} == {
        ("", 11), ("com.microsoft", 1),
    }  # fmt: skip
    inputs = rand(3, *shape, seed=1)
    again = onnx_file(nodes, {"w": values.astype(np.float32)}, ("N", *shape))
    assert np.array_equal(runtime(place, inputs), runtime(again, inputs))
    (op,) = (n.op for n in read_onnx(place).nodes if isinstance(n.op, Linear))
    assert np.array_equal(op.weight.numpy(), values)


def test_weights_in_constant_nodes_and_outside_the_file(
    onnx_file: Maker, tmp_path: Path, runtime: Runtime
) -> None:
    weight = rand(7, 5)
    held = helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight))
    layer = helper.make_node("MatMul", ["x", "w"], ["y"])
    inside, _ = compressed(onnx_file([held, layer], {}, ("N", 7)), 4)
    path = onnx_file([layer], {"w": weight}, ("N", 7))
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    outside, _ = compressed(path, 4)
    (tmp_path / "w.bin").unlink()
    inputs = rand(3, 7, seed=1)
    assert np.array_equal(runtime(inside, inputs), runtime(outside, inputs))


def test_names_that_are_taken_stay_whose_they_are(onnx_file: Maker, runtime: Runtime) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["w_quantized"]),
        helper.make_node("Mul", ["w_quantized", "w_scale"], ["y"]),
    ]
    tensors = {"w": rand(7, 5), "w_scale": rand(5)}
    path, values = compressed(onnx_file(nodes, tensors, ("N", 7)), 8)
    inputs = rand(3, 7, seed=1)
    expected = inputs.astype(np.float64) @ values * tensors["w_scale"]
    np.testing.assert_allclose(runtime(path, inputs), expected, rtol=1e-4, atol=1e-5)


def test_what_stays_float_says_why(onnx_file: Maker) -> None:
    scaled = {"s": np.ones(4, np.float32), "z": np.zeros(4, np.int8)}
    nodes = [
        helper.make_node("MatMul", ["x", "shared"], ["a"], "first"),
        helper.make_node("MatMul", ["a", "shared"], ["b"], "second"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=1),
        helper.make_node("MatMul", ["b", "w"], ["c"], "quantised"),
        helper.make_node("Unsqueeze", ["c", "axes"], ["d"]),
        helper.make_node("Conv", ["d", "thin"], ["y"], "thin"),
    ]
    tensors = {"shared": rand(4, 4), "q": np.ones((4, 4), np.int8), "axes": np.array([2]),
               "thin": rand(4, 1, 1), **scaled}  # fmt: skip
    nodes[-1].attribute.append(helper.make_attribute("group", 4))
    layers, kept = layers_of(onnx.load(onnx_file(nodes, tensors, ("N", 4))))
    assert layers == ()
    reasons = {layer.name: layer.reason for layer in kept}
    assert list(reasons) == ["first", "second", "quantised", "thin"]
    assert "'shared' is shared" in reasons["first"] == reasons["second"]
    assert "computed" in reasons["quantised"]
    assert "more than its floats" in reasons["thin"]


def test_the_shipped_network_stays_valid_and_standard() -> None:
    model = opened(DIGITS)
    layers, kept = layers_of(model)
    made = quantised(model, {k.tensor: every_width(k.weight, k.axis)[4] for k in layers})
    onnx.checker.check_model(made, full_check=True)
    assert [layer.name for layer in layers] == ["conv1", "conv2", "conv3", "fc"]
    assert (kept, {opset.domain for opset in made.opset_import}) == ((), {""})


def test_four_bits_take_half_a_byte(onnx_file: Maker) -> None:
    nodes, _, _ = LAYERS["transposed gemm"]
    path = onnx_file(nodes, {"w": rand(101, 101)}, ("N", 101))
    sizes = {bits: compressed(path, bits)[0].stat().st_size for bits in WIDTHS}
    assert sizes[8] - sizes[4] == pytest.approx(101 * 101 / 2, abs=80)
    kinds = {t.data_type for t in onnx.load(path.with_name("4.onnx")).graph.initializer}
    assert kinds == {TensorProto.INT4, TensorProto.FLOAT}
