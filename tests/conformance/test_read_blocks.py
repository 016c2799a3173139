"""Weights of 4, 8 and 16 bits: blocks of codes, packed codes, half precision."""

from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
import torch
from onnx import NodeProto, TensorProto, helper, numpy_helper

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.ops.linear import Linear
from lipcert.read import read_onnx

Runtime = Callable[[Path, np.ndarray], np.ndarray]
SIXTEEN = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}


def rand(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def codes(low: int, high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(high).integers(low, high, shape)


def packed(name: str, kind: int, values: np.ndarray) -> onnx.TensorProto:
    """Two codes in a byte, the first in its low half."""
    flat = np.append(values.reshape(-1) & 15, [0] * (values.size % 2)).astype(np.uint8)
    raw = (flat[::2] | flat[1::2] << 4).tobytes()
    return helper.make_tensor(name, kind, values.shape, raw, raw=True)


def save(
    path: Path, nodes: list[NodeProto], tensors: list[onnx.TensorProto], inner: int, opset: int = 21
) -> Path:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", inner])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def weight_of(path: Path) -> np.ndarray:
    """The exact weights (in, out) of a file with one layer."""
    op = read_onnx(path).output.op
    assert isinstance(op, Linear)
    assert op.error == 0
    return op.weight.numpy().T


BLOCKS = {
    "int4": (TensorProto.INT4, -8, 8, 32, 4),
    "int4 with a short block": (TensorProto.INT4, -8, 8, 21, 8),
    "uint4": (TensorProto.UINT4, 0, 16, 32, 16),
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("zeros", [False, True])
def test_blocked_weights_are_exact(
    tmp_path: Path, runtime: Runtime, name: str, axis: int, zeros: bool
) -> None:
    kind, low, high, inner, block = BLOCKS[name]
    stored, place = codes(low, high, inner, 6), axis % 2
    grid = [inner, 6]
    grid[place] = -(-grid[place] // block)
    scale, zero = np.abs(rand(*grid)) / 8 + np.float32(0.01), codes(low, high, *grid) * zeros
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s", "z"], ["v"], axis=axis, block_size=block),
        helper.make_node("MatMul", ["x", "v"], ["y"]),
    ]
    tensors = [packed("w", kind, stored), numpy_helper.from_array(scale, "s"),
               packed("z", kind, zero)]  # fmt: skip
    path = save(tmp_path / "w.onnx", nodes, tensors, inner)
    spread = [np.repeat(v, block, place).take(range((inner, 6)[place]), place)
              for v in (scale.astype(np.float64), zero)]  # fmt: skip
    assert np.array_equal(weight_of(path), (stored - spread[1]) * spread[0])
    inputs = rand(9, inner)
    found = read_onnx(path)(torch.from_numpy(inputs).double()).numpy()
    assert np.abs(found - runtime(path, inputs)).max() <= 1e-5


@pytest.mark.parametrize("by_attribute", [False, True])
def test_blocked_weights_with_half_scales_are_rounded_as_the_runtime_rounds(
    tmp_path: Path, runtime: Runtime, by_attribute: bool
) -> None:
    scale = (np.abs(rand(4, 6)) / 8 + np.float32(0.01)).astype(np.float16)
    scale = scale.astype(np.float32) if by_attribute else scale
    kind = {"output_dtype": TensorProto.FLOAT16} if by_attribute else {}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["h"], axis=0, block_size=8, **kind),
        helper.make_node("Cast", ["h"], ["v"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "v"], ["y"]),
    ]
    tensors = [packed("w", TensorProto.INT4, codes(-8, 8, 32, 6)),
               numpy_helper.from_array(scale, "s")]  # fmt: skip
    path = save(tmp_path / "w.onnx", nodes, tensors, 32, 23 if by_attribute else 21)
    found = weight_of(path)
    assert np.array_equal(found, found.astype(np.float16))
    if not by_attribute:  # the runtime has no kernel for an output of another type
        assert np.array_equal(found, runtime(path, np.eye(32, dtype=np.float32)))


@pytest.mark.parametrize(("block", "axis", "grid"), [(2**60, 0, (2, 6)), (5, 0, (6, 6)),
                                                     (5, 7, (7, 6)), (-4, 0, (8, 6))])  # fmt: skip
def test_blocks_that_do_not_fit(
    tmp_path: Path, block: int, axis: int, grid: tuple[int, int]
) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["v"], axis=axis, block_size=block),
        helper.make_node("MatMul", ["x", "v"], ["y"]),
    ]
    tensors = [packed("w", TensorProto.INT4, codes(-8, 8, 32, 6)),
               numpy_helper.from_array(np.ones(grid, np.float32), "s")]  # fmt: skip
    with pytest.raises(BadFile, match="do not fit"):
        read_onnx(save(tmp_path / "w.onnx", nodes, tensors, 32))


@pytest.mark.parametrize(
    ("bits", "zeros"), [(4, "none"), (4, "codes"), (4, "floats"), (8, "none"), (8, "codes")]
)
@pytest.mark.parametrize("inner", [64, 45])
def test_packed_matrices_agree_with_onnx_runtime(
    tmp_path: Path, runtime: Runtime, bits: int, zeros: str, inner: int
) -> None:
    outer, block = 6, 16
    count = -(-inner // block)
    stored = codes(0, 2**bits, outer, count, block)
    bytes_of = stored if bits == 8 else stored[..., ::2] | stored[..., 1::2] << 4
    scale = np.abs(rand(outer, count)) / 8 + np.float32(0.01)
    zero = np.full((outer, count), 2.0 ** (bits - 1))
    names = ["x", "w", "s"]
    tensors = [numpy_helper.from_array(bytes_of.astype(np.uint8), "w"),
               numpy_helper.from_array(scale.reshape(-1), "s")]  # fmt: skip
    if zeros == "codes":
        zero = codes(0, 2**bits, outer, count)
        rows = np.pad(zero, ((0, 0), (0, count % 2 if bits == 4 else 0)))
        halves = rows if bits == 8 else rows[:, ::2] | rows[:, 1::2] << 4
        tensors.append(numpy_helper.from_array(halves.astype(np.uint8).reshape(-1), "z"))
    elif zeros == "floats":
        zero = 2.0 ** (bits - 1) + rand(outer, count).astype(np.float64)
        tensors.append(numpy_helper.from_array(zero.astype(np.float32).reshape(-1), "z"))
        zero = zero.astype(np.float32).astype(np.float64)
    names += [] if zeros == "none" else ["z"]
    node = helper.make_node("MatMulNBits", names, ["y"], "packed", domain="com.microsoft",
                            K=inner, N=outer, bits=bits, block_size=block)  # fmt: skip
    path = save(tmp_path / "w.onnx", [node], tensors, inner)
    graph = read_onnx(path)
    exact = ((stored - zero[..., None]) * scale[..., None].astype(np.float64)).reshape(outer, -1)
    op = graph.output.op
    assert isinstance(op, Linear)
    assert np.abs(op.weight.numpy() - exact[:, :inner]).max() <= (op.error and 1e-15)
    assert (op.error == 0) == (zeros != "floats")
    inputs = rand(9, inner)
    found, expected = graph(torch.from_numpy(inputs).double()).numpy(), runtime(path, inputs)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("change", [{"K": 63}, {"N": 7}, {"block_size": 2**50}, {"block_size": 0}])
def test_packed_matrices_of_another_size(tmp_path: Path, change: dict[str, int]) -> None:
    facts = {"K": 64, "N": 6, "bits": 4, "block_size": 16} | change
    node = helper.make_node("MatMulNBits", ["x", "w", "s"], ["y"], domain="com.microsoft", **facts)
    tensors = [numpy_helper.from_array(np.zeros((6, 4, 8), np.uint8), "w"),
               numpy_helper.from_array(np.ones(24, np.float32), "s")]  # fmt: skip
    with pytest.raises(BadFile):
        read_onnx(save(tmp_path / "w.onnx", [node], tensors, 64))


@pytest.mark.parametrize("kind", SIXTEEN)
def test_weights_in_half_precision_are_exact(tmp_path: Path, runtime: Runtime, kind: str) -> None:
    values = rand(5, 4).astype(getattr(ml_dtypes, kind, np.float16))
    nodes = [helper.make_node("Cast", ["w"], ["v"], to=TensorProto.FLOAT),
             helper.make_node("MatMul", ["x", "v"], ["y"])]  # fmt: skip
    path = save(tmp_path / "w.onnx", nodes, [numpy_helper.from_array(values, "w")], 5)
    assert np.array_equal(weight_of(path), values.astype(np.float64))
    inputs = rand(3, 5)
    found = read_onnx(path)(torch.from_numpy(inputs).double()).numpy()
    assert np.abs(found - runtime(path, inputs)).max() <= 1e-6


@pytest.mark.parametrize("kind", SIXTEEN)
def test_weights_cast_down_are_rounded_as_the_runtime_rounds(
    tmp_path: Path, runtime: Runtime, kind: str
) -> None:
    """Entries beside ties too: halfway between two numbers of 16 bits, and one float32 off."""
    fine = np.float32(2.0**-11 if kind == "float16" else 2.0**-8)
    ties = 1 + fine * np.arange(-9, 11, dtype=np.float32)
    values = np.stack([ties, np.nextafter(ties, np.float32(9)), np.nextafter(ties, -ties)])
    nodes = [
        helper.make_node("Cast", ["w"], ["h"], to=SIXTEEN[kind]),
        helper.make_node("Cast", ["h"], ["v"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["x", "v"], ["y"]),
    ]
    path = save(tmp_path / "w.onnx", nodes, [numpy_helper.from_array(values, "w")], 3)
    rows = np.eye(3, dtype=np.float32)
    assert np.array_equal(weight_of(path), runtime(path, rows).astype(np.float64))


@pytest.mark.parametrize("kind", SIXTEEN)
def test_activations_in_half_precision_are_refused(tmp_path: Path, kind: str) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["h"], "down", to=SIXTEEN[kind]),
             helper.make_node("Cast", ["h"], ["y"], "up", to=TensorProto.FLOAT)]  # fmt: skip
    with pytest.raises(UnsupportedOp, match=r"Cast 'down': casts a computed value to B?FLOAT16"):
        read_onnx(save(tmp_path / "x.onnx", nodes, [], 3))


def test_the_size_of_the_batch_is_no_number_to_compute_with(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], start=0, end=1),
        helper.make_node("Cast", ["s"], ["n"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["x", "n"], ["y"]),
    ]
    with pytest.raises(UnsupportedOp, match="batch's size"):
        read_onnx(save(tmp_path / "x.onnx", nodes, [], 3))
