"""Files that are broken or mean harm: one clear error, no traceback of ours, no hang."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from lipcert.errors import BadFile, LipcertError, UnsupportedOp
from lipcert.read import read_onnx

Maker = Callable[..., Path]
GEMM = [helper.make_node("Gemm", ["x", "w"], ["y"], "gemm")]
ROW = ("N", 3)


def weight() -> dict[str, np.ndarray]:
    return {"w": np.arange(6, dtype=np.float32).reshape(3, 2) + 1}


def changed(path: Path, change: Callable[[onnx.ModelProto], object]) -> Path:
    model = onnx.load(path, load_external_data=False)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def external(location: str, **facts: int) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        stored = model.graph.initializer[0]
        stored.ClearField("raw_data")
        stored.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **facts}.items():
            stored.external_data.add(key=key, value=str(value))

    return change


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"no model", bytes(range(256))])
def test_what_is_no_onnx_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(BadFile, match=r"x\.onnx"):
        read_onnx(tmp_path / "x.onnx")


def test_missing_files_folders_and_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("absent.onnx", ".", "pipe"):
        with pytest.raises(BadFile):
            read_onnx(tmp_path / name)


def test_truncation_anywhere(onnx_file: Maker) -> None:
    path = onnx_file(GEMM, weight(), ROW)
    whole = path.read_bytes()
    for size in range(len(whole) - 1):
        path.write_bytes(whole[:size])
        try:
            read_onnx(path)
        except LipcertError:
            continue
        assert whole[:size].endswith(b"\r") or size >= len(whole) - 8  # only the opset is cut


def test_flipped_bytes_anywhere(onnx_file: Maker) -> None:
    path = onnx_file(GEMM, weight(), ROW)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for flip in (0x01, 0x08, 0x80, 0xFF):
            broken = bytearray(whole)
            broken[place] ^= flip
            path.write_bytes(broken)
            try:
                read_onnx(path)
            except LipcertError:
                continue


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../secret.bin", "sub/../../secret.bin", "link.bin", "", "a\0b"]
)
def test_external_data_outside_the_folder(onnx_file: Maker, tmp_path: Path, location: str) -> None:
    (tmp_path.parent / "secret.bin").write_bytes(b"\0" * 24)
    (tmp_path / "link.bin").symlink_to(tmp_path.parent / "secret.bin")
    path = changed(onnx_file(GEMM, weight(), ROW), external(location))
    with pytest.raises(BadFile, match="tensor 'w'"):
        read_onnx(path)


def test_external_data_beside_the_file(onnx_file: Maker, tmp_path: Path) -> None:
    inside = read_onnx(onnx_file(GEMM, weight(), ROW))
    (tmp_path / "w.bin").write_bytes(b"skip" + weight()["w"].tobytes())
    path = changed(onnx_file(GEMM, weight(), ROW), external("w.bin", offset=4))
    assert read_onnx(path).content_hash() == inside.content_hash()


@pytest.mark.parametrize("facts", [{"offset": 5}, {"offset": -4}, {"length": 4}, {"offset": 2**62}])
def test_external_data_of_another_size(
    onnx_file: Maker, tmp_path: Path, facts: dict[str, int]
) -> None:
    (tmp_path / "w.bin").write_bytes(b"\0" * 24)
    with pytest.raises(BadFile):
        read_onnx(changed(onnx_file(GEMM, weight(), ROW), external("w.bin", **facts)))


def test_external_data_in_a_pipe(onnx_file: Maker, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadFile, match="not a regular file"):
        read_onnx(changed(onnx_file(GEMM, weight(), ROW), external("pipe")))


@pytest.mark.parametrize("dims", [[10**6, 10**6], [-3, -2], [3], [2**40, 2**40, 2**40], [3, 3]])
def test_tensors_that_claim_another_size(onnx_file: Maker, dims: Sequence[int]) -> None:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    start = time.perf_counter()
    with pytest.raises(BadFile, match="tensor 'w'"):
        read_onnx(changed(onnx_file(GEMM, weight(), ROW), change))
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(onnx_file: Maker, value: float) -> None:
    tensors = {"w": np.full((3, 2), value, np.float32)}
    with pytest.raises(BadFile, match="'w' holds NaN or infinity"):
        read_onnx(onnx_file(GEMM, tensors, ROW))


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan])
@pytest.mark.parametrize("weights", [False, True])
def test_scales_that_are_not_positive(onnx_file: Maker, scale: float, weights: bool) -> None:
    nodes = [helper.make_node("DequantizeLinear", ["w", "s"], ["v"]),
             helper.make_node("Gemm", ["x", "v"], ["y"])]  # fmt: skip
    if not weights:
        nodes = [helper.make_node("QuantizeLinear", ["x", "s"], ["q"]),
                 helper.make_node("DequantizeLinear", ["q", "s"], ["y"])]  # fmt: skip
    tensors = {"s": np.float32(scale), "w": np.ones((3, 2), np.int8)}
    with pytest.raises(BadFile):
        read_onnx(onnx_file(nodes, tensors, ROW))


@pytest.mark.parametrize("opset", [7, 10, 0, 99])
def test_opsets_that_are_not_read(onnx_file: Maker, opset: int) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = opset

    with pytest.raises(BadFile, match="opset"):
        read_onnx(changed(onnx_file(GEMM, weight(), ROW), change))


@pytest.mark.parametrize("shape", [(), ("N", "C"), ("N", None), ("N", 10**12), ("N", 3, 0)])
def test_input_shapes_that_are_not_read(onnx_file: Maker, shape: Sequence[int | str]) -> None:
    with pytest.raises(BadFile, match="input 'x'"):
        read_onnx(onnx_file([helper.make_node("Relu", ["x"], ["y"])], {}, shape))


def test_several_inputs_or_outputs_are_named(onnx_file: Maker) -> None:
    def second_input(model: onnx.ModelProto) -> None:
        model.graph.input.add().CopyFrom(model.graph.input[0])
        model.graph.input[1].name = "other"

    def second_output(model: onnx.ModelProto) -> None:
        model.graph.output.add().CopyFrom(model.graph.output[0])
        model.graph.output[1].name = "other"

    for change in (second_input, second_output):
        with pytest.raises(BadFile, match="'other'"):
            read_onnx(changed(onnx_file(GEMM, weight(), ROW), change))


def node(kind: str, reads: str, makes: str, **attributes: object) -> NodeProto:
    return helper.make_node(kind, reads.split(), makes.split(), f"the {kind}", **attributes)


def test_cycles_dangling_and_doubled_names(onnx_file: Maker) -> None:
    cycle = [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")]
    dangling = [node("Add", "x nothing", "y")]
    doubled = [node("Relu", "x", "y"), node("Tanh", "x", "y")]
    for nodes, message in ((cycle, "cycle"), (dangling, "'nothing'"), (doubled, "named 'y'")):
        with pytest.raises(BadFile, match=message):
            read_onnx(onnx_file(nodes, {}, ROW))


def test_outputs_that_nothing_makes_or_that_are_constant(onnx_file: Maker) -> None:
    with pytest.raises(BadFile, match="output 'y'"):
        read_onnx(onnx_file([node("Relu", "x", "z")], {}, ROW))
    with pytest.raises(BadFile, match="output 'y'"):
        read_onnx(onnx_file([node("Identity", "w", "y")], weight(), ROW))


def test_every_unsupported_node_is_listed_once(onnx_file: Maker) -> None:
    nodes = [
        node("LSTM", "x w w", "a"),
        node("Pad", "a p", "b", mode="reflect"),
        helper.make_node("Fancy", ["b"], ["c"], "strange", domain="com.example"),
        node("Gelu", "c", "d", approximate="tanh"),
        node("Relu", "d", "e"),
        helper.make_node("Pow", ["e", "w"], ["y"], "power"),
    ]
    tensors = {**weight(), "p": np.ones(4, np.int64)}
    path = onnx_file(nodes, tensors, ROW, opset=20)
    with pytest.raises(UnsupportedOp) as caught:
        read_onnx(path)
    message = str(caught.value)
    assert str(path) in message
    assert "5 unsupported nodes" in message
    for part in ("LSTM 'the LSTM'", "Pad 'the Pad'", "Fancy 'strange'", "Gelu 'the Gelu'",
                 "Pow 'power'"):  # fmt: skip
        assert message.count(part) == 1


IMAGE = ("N", 2, 4, 4)


@pytest.mark.parametrize(
    ("nodes", "tensors"),
    [
        ([node("MaxPool", "x", "y", kernel_shape=[10**9, 10**9])], {}),
        ([node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[10**9] * 4)], {}),
        ([node("AveragePool", "x", "y", kernel_shape=[2, 2], pads=[10**9] * 4)], {}),
        ([node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[0, 1])], {}),
        ([node("MaxPool", "x", "y", kernel_shape=[2])], {}),
        ([node("MaxPool", "x", "y")], {}),
        ([node("Conv", "x w", "y")], {"w": np.ones((2, 3, 1, 1), np.float32)}),
        ([node("Conv", "x w", "y", group=0)], {"w": np.ones((2, 2, 1, 1), np.float32)}),
        ([node("Conv", "x w", "y", pads=[10**9] * 4)], {"w": np.ones((2, 2, 1, 1), np.float32)}),
        ([node("Conv", "x", "y")], {}),
        ([node("Conv", "x w", "y", kernel_shape="text")], {"w": np.ones((2, 2, 1, 1), np.float32)}),
        ([node("Pad", "x p", "y")], {"p": np.full(8, 10**9)}),
        ([node("Pad", "x p", "y")], {"p": np.ones(3, np.int64)}),
        ([node("Reshape", "x t", "y")], {"t": np.array([-1, -1])}),
        ([node("Reshape", "x t", "y")], {"t": np.array([2**62, 2**62])}),
        ([node("Transpose", "x", "y", perm=[0, 1, 1, 2])], {}),
        ([node("Gather", "x i", "y", axis=7)], {"i": np.int64(0)}),
        ([node("Gather", "x i", "y", axis=2)], {"i": np.int64(9)}),
        ([node("Slice", "x s s", "y")], {"s": np.zeros(9, np.int64)}),
        ([node("Concat", "x x", "y", axis=9)], {}),
        ([node("Squeeze", "x a", "y")], {"a": np.array([1])}),
        ([node("Flatten", "x", "y", axis=0)], {}),
        ([node("Relu", "x", "y", surprise=1)], {}),
        ([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")],
         {"s": np.array([10**6, 10**6])}),
        ([node("Expand", "w s", "c"), node("Add", "x c", "y")],
         {"w": np.ones(1, np.float32), "s": np.array([10**6, 10**6])}),
        ([node("Div", "x z", "y")], {"z": np.zeros(1, np.float32)}),
        ([node("Clip", "x h l", "y")], {"h": np.float32(2), "l": np.float32(1)}),
        ([node("BatchNormalization", "x w w w v", "y")],
         {"w": np.ones(2, np.float32), "v": np.full(2, -1, np.float32)}),
        ([node("QuantizeLinear", "x s", "y")], {"s": np.float32(0.1)}),
        ([node("QuantizeLinear", "x s", "q"), node("DequantizeLinear", "q t", "y")],
         {"s": np.float32(0.1), "t": np.float32(0.2)}),
        ([node("QuantizeLinear", "x s", "q"), node("Relu", "q", "y")], {"s": np.float32(0.1)}),
        ([node("Softmax", "x", "y")], {}),
        ([node("Mul", "x x", "y")], {}),
        ([node("Add", "x c", "y")], {"c": np.ones((5, 1, 1, 1), np.float32)}),
        ([node("Cast", "x", "y", to=10)], {}),
        ([node("If", "x", "y")], {}),
    ],
)  # fmt: skip
def test_impossible_attributes_end_in_one_error(
    onnx_file: Maker, nodes: Sequence[NodeProto], tensors: dict[str, np.ndarray]
) -> None:
    start = time.perf_counter()
    with pytest.raises(LipcertError):
        read_onnx(onnx_file(nodes, tensors, IMAGE))
    assert time.perf_counter() - start < 2


def test_softmax_before_another_layer(onnx_file: Maker) -> None:
    nodes = [node("Softmax", "x", "s"), node("Gemm", "s w", "y")]
    with pytest.raises(UnsupportedOp, match="not the last layer"):
        read_onnx(onnx_file(nodes, weight(), ROW))


def test_operators_that_the_opset_does_not_have(onnx_file: Maker) -> None:
    with pytest.raises(UnsupportedOp, match="does not exist in opset 13"):
        read_onnx(onnx_file([node("Gelu", "x", "y")], {}, ROW))


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_windows_far_larger_than_their_map(onnx_file: Maker, kind: str) -> None:
    """Legal with automatic padding, and without end."""
    path = onnx_file([node(kind, "x", "y", kernel_shape=[10**8, 2], auto_pad="SAME_UPPER")], {},
                     IMAGE)  # fmt: skip
    start = time.perf_counter()
    with pytest.raises(UnsupportedOp, match="pools over"):
        read_onnx(path)
    assert time.perf_counter() - start < 2
