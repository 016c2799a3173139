"""Bounds under `litert` contain what LiteRT's reference kernels compute: zero exceptions."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.errors import UnsupportedOp
from lipcert.graph.semantics import Semantics
from lipcert.integer.litert import evaluate
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds
from lipcert.read.litert import read_litert

if str(Path(__file__).parents[1] / "conformance") not in sys.path:
    sys.path.insert(0, str(Path(__file__).parents[1] / "conformance"))

from litert_net import RELU, WIDE, Net, rand

LITERT, HERE = Semantics.LITERT, lipcert.Placement()
METHODS = (IntervalArithmetic(), Crown(), TwinBounds())
ONE = {"StrideH": 1, "StrideW": 1, "FusedActivationFunction": RELU}


def residual(path: Path, *, coded: bool) -> Path:
    """Convolutions, a sum of branches, a pool, a mean and a dense layer."""
    net = Net(coded)
    x = net.value(6, 6, 2)
    w, _ = net.weight(rand(4, 3, 3, 2))
    a = net.op("CONV_2D", [x, w, net.bias(rand(4), w)[0]], net.value(6, 6, 4),
               ("Conv2DOptions", ONE))  # fmt: skip
    v, _ = net.weight(rand(1, 3, 3, 4) / 2, 3)
    b = net.op("DEPTHWISE_CONV_2D", [a, v, net.bias(rand(4) / 9, v)[0]],
               net.value(6, 6, 4, grid=WIDE),
               ("DepthwiseConv2DOptions", {**ONE, "DepthMultiplier": 1}))  # fmt: skip
    c = net.op("ADD", [a, b], net.value(6, 6, 4, grid=WIDE), ("AddOptions", {}))
    d = net.op("AVERAGE_POOL_2D", [c], net.value(3, 3, 4, grid=WIDE),
               ("Pool2DOptions", {"StrideH": 2, "StrideW": 2, "FilterHeight": 2,
                                  "FilterWidth": 2}))  # fmt: skip
    e = net.op("MEAN", [d, net.integers([1, 2])], net.value(4), ("ReducerOptions", {}))
    u, _ = net.weight(rand(5, 4), None)
    net.op("FULLY_CONNECTED", [e, u, -1], net.value(5), ("FullyConnectedOptions", {}))
    return net.save(path)


def contained(files: tuple[Path, Path], region: lipcert.Box, rounds: int) -> None:
    """Float32 members of the region, evaluated in integers, against every method's bounds."""
    pair, program = lipcert.load_pair(*files, semantics=LITERT), read_litert(files[1])
    every = [method.certify(pair, region, HERE) for method in METHODS]
    generator, rows, found = torch.Generator().manual_seed(0), torch.arange(region.batch), 0
    for _ in range(rounds):
        points = region.sample(rows, generator).float()
        inside = (points.double() >= region.lower) & (points.double() <= region.upper)
        kept = inside.flatten(1).all(1)
        found += int(kept.sum())
        exact = torch.from_numpy(evaluate(program, points.numpy()))
        ours = pair.compressed(points.double())
        drift = exact - pair.original(points.double())
        for bounds in every:
            for box, seen in (
                (bounds.compressed, exact),
                (bounds.compressed, ours),
                (bounds.drift, drift),
            ):
                assert bool(((box.lower <= seen) & (seen <= box.upper))[kept].all())
    assert found > 0


@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.03, 0.3])
def test_evaluations_lie_inside(tmp_path: Path, eps: float) -> None:
    files = (
        residual(tmp_path / "f.tflite", coded=False),
        residual(tmp_path / "g.tflite", coded=True),
    )
    contained(files, lipcert.Box.around(rand(6, 6, 6, 2) * 2, eps), 30)


def test_at_points_only_the_code_that_is_computed_is_left(tmp_path: Path) -> None:
    """Sums are whole numbers, so even what lies next to a tie is one code."""
    files = (
        residual(tmp_path / "f.tflite", coded=False),
        residual(tmp_path / "g.tflite", coded=True),
    )
    inputs = (rand(20, 6, 6, 2) * 2).astype(np.float64)
    pair, program = lipcert.load_pair(*files, semantics=LITERT), read_litert(files[1])
    box = Crown().certify(pair, lipcert.Box.around(inputs, 0.0), HERE).compressed
    exact = torch.from_numpy(evaluate(program, inputs))
    step = program.output[1].scale
    assert bool(((box.lower <= exact) & (exact <= box.upper)).all())
    assert float(((box.upper - box.lower).amax(1) < step / 2).double().mean()) > 0.7


@pytest.mark.data
def test_resnet_at_an_image(data: Path) -> None:
    folder = data / "mlperf_tiny"
    files = (folder / "ic_resnet8_float.tflite", folder / "ic_resnet8_int8.tflite")
    image = np.load(data / "cifar10/test100.npz")["x"][:1].astype(np.float64)
    pair, program = lipcert.load_pair(*files, semantics=LITERT), read_litert(files[1])
    box = IntervalArithmetic().certify(pair, lipcert.Box.around(image, 0.0), HERE).compressed
    exact = torch.from_numpy(evaluate(program, image))
    assert bool(((box.lower <= exact) & (exact <= box.upper)).all())
    assert float((box.upper - box.lower).max()) < program.output[1].scale / 2


def test_other_files_are_refused() -> None:
    digits = Path(__file__).parents[2] / "examples" / "digits"
    with pytest.raises(UnsupportedOp, match=r"give the \.tflite file"):
        lipcert.load_pair(digits / "model.onnx", digits / "model.int8.onnx", semantics=LITERT)
    with pytest.raises(UnsupportedOp, match="no codes"):
        lipcert.load_pair(digits / "model.onnx", digits / "model.pruned.onnx", semantics=LITERT)


def test_files_of_numbers_are_refused(tmp_path: Path) -> None:
    path = residual(tmp_path / "f.tflite", coded=False)
    with pytest.raises(UnsupportedOp, match="int8 codes"):
        lipcert.load_pair(path, path, semantics=LITERT)


@pytest.mark.parametrize("eps", [0.0, 0.02])
def test_the_attack_sees_what_the_kernels_compute(tmp_path: Path, eps: float) -> None:
    """Observed values obey the semantics too: next to ties they would else contradict it."""
    files = (
        residual(tmp_path / "f.tflite", coded=False),
        residual(tmp_path / "g.tflite", coded=True),
    )
    inputs = (rand(40, 6, 6, 2) * 2).astype(np.float64)
    pair = lipcert.load_pair(*files, semantics=LITERT)
    attack = DriftAttack(steps=3, restarts=1)
    result = lipcert.certify(pair, lipcert.Box.around(inputs, eps), Crown(), attack=attack)
    assert result.observed is not None
    assert result.semantics == "litert"
