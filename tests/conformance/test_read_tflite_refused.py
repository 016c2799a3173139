"""LiteRT files that are read in part, refused with a reason, broken, or that mean harm."""

import sys
from pathlib import Path

import pytest
import torch

from lipcert.errors import BadFile, LipcertError, UnsupportedOp
from lipcert.ops.softmax import Softmax
from lipcert.ops.transpose import Transpose
from lipcert.read import read_file, read_tflite

if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))

from litert_net import WIDE, Net, content, rand


def ending_in_softmax(coded: bool) -> Net:
    net = Net(coded)
    x = net.value(6)
    w, _ = net.weight(rand(5, 6), None)
    y = net.op("FULLY_CONNECTED", [x, w, -1], net.value(5, grid=WIDE),
               ("FullyConnectedOptions", {}))  # fmt: skip
    net.op("SOFTMAX", [y], net.value(5, grid=(1 / 256, -128)), ("SoftmaxOptions", {"Beta": 1.0}))
    return net


@pytest.mark.parametrize("coded", [False, True])
def test_a_last_softmax_is_left_out_and_the_source_says_so(tmp_path: Path, coded: bool) -> None:
    path = ending_in_softmax(coded).save(tmp_path / "x.tflite")
    graph = read_file(path)
    assert "logits" in graph.source
    assert str(path) in graph.source
    if coded:
        with pytest.raises(UnsupportedOp, match="logits=True"):
            read_tflite(path, logits=False)
        return
    whole = read_tflite(path, logits=False)
    assert isinstance(whole.output.op, Softmax)
    assert whole.source == str(path)
    inputs = torch.from_numpy(rand(3, 6)).double()
    assert float((graph(inputs).softmax(-1) - whole(inputs)).abs().max()) <= 1e-15


def test_numbers_pass_through_codes_behind_a_softmax(tmp_path: Path) -> None:
    net = ending_in_softmax(True)
    net.op("DEQUANTIZE", [net.output], net.value(5, coded=False))
    assert "logits" in read_tflite(net.save(tmp_path / "x.tflite")).source
    net.op("RELU", [net.output], net.value(5, coded=False))
    with pytest.raises(UnsupportedOp, match="no last layer"):
        read_tflite(net.save(tmp_path / "x.tflite"))


def test_layers_on_maps_need_one_transposition(tmp_path: Path) -> None:
    net = Net(coded=True)
    x = net.value(8, 7, 3)
    for _ in range(3):
        w, _ = net.weight(rand(3, 3, 3, 3))
        x = net.op("CONV_2D", [x, w, -1], net.value(8, 7, 3),
                   ("Conv2DOptions", {"StrideH": 1, "StrideW": 1}))  # fmt: skip
    net.op("MEAN", [x, net.integers([1, 2])], net.value(3), ("ReducerOptions", {}))
    graph = read_tflite(net.save(tmp_path / "x.tflite"))
    assert sum(isinstance(n.op, Transpose) for n in graph.nodes) == 1


def refused(tmp_path: Path, net: Net, message: str) -> None:
    with pytest.raises(UnsupportedOp, match=message):
        read_tflite(net.save(tmp_path / "x.tflite"))


def test_hybrid_layers_are_refused_with_the_reason(tmp_path: Path) -> None:
    net = Net(coded=True)
    x = net.value(6, coded=False)
    w, _ = net.weight(rand(5, 6), None)
    net.op("FULLY_CONNECTED", [x, w, -1], net.value(5, coded=False), ("FullyConnectedOptions", {}))
    refused(tmp_path, net, "a scale of each input's own")


def test_all_unsupported_operators_are_named_at_once(tmp_path: Path) -> None:
    net = Net(coded=False)
    x = net.value(6)
    a = net.op("ELU", [x], net.value(6))
    b = net.op("RELU", [a], net.value(6))
    net.op("NEG", [b], net.value(6))
    refused(tmp_path, net, r"2 unsupported operators:\n  ELU 't1': has no rule\n  NEG 't3'")


def test_codes_moved_to_another_grid_are_refused(tmp_path: Path) -> None:
    net = Net(coded=True)
    net.op("RESHAPE", [net.value(6)], net.value(3, 2, grid=WIDE))
    refused(tmp_path, net, "moves codes of one scale")


def test_codes_and_numbers_do_not_mix(tmp_path: Path) -> None:
    net = Net(coded=True)
    net.op("RELU", [net.value(6)], net.value(6, coded=False))
    refused(tmp_path, net, "numbers of codes")


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"junkTFL3", b"\xff" * 4 + b"TFL3" * 50])
def test_what_is_no_tflite_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(BadFile, match=r"x\.tflite"):
        read_tflite(tmp_path / "x.tflite")


def test_unknown_suffixes_name_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"\.onnx, \.tflite"):
        read_file(tmp_path / "network.pb")


def small() -> bytes:
    net = Net(coded=True)
    x = net.value(3, 2, 2)
    w, _ = net.weight(rand(2, 2, 1, 2))
    y = net.op("CONV_2D", [x, w, -1], net.value(3, 2, 2),
               ("Conv2DOptions", {"StrideH": 1, "StrideW": 1}))  # fmt: skip
    y = net.op("MAX_POOL_2D", [y], net.value(2, 1, 2),
               ("Pool2DOptions", {"StrideH": 2, "StrideW": 2, "FilterHeight": 2,
                                  "FilterWidth": 2}))  # fmt: skip
    net.op("MEAN", [y, net.integers([1, 2])], net.value(2), ("ReducerOptions", {}))
    return content(net)


def test_truncation_anywhere(tmp_path: Path) -> None:
    whole, path = small(), tmp_path / "x.tflite"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(LipcertError):
            read_tflite(path)


@pytest.mark.parametrize("flip", [0x01, 0xFF])
def test_flipped_bytes_anywhere(tmp_path: Path, flip: int) -> None:
    """An error of ours or a network that can be evaluated, and soon."""
    whole, path = small(), tmp_path / "x.tflite"
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= flip
        path.write_bytes(broken)
        try:
            read_tflite(path)
        except LipcertError:
            continue
