"""Small LiteRT files, one operator or idiom each, as numbers and as int8 codes.

The expected values are PyTorch's on the dequantised weights, rounded to each grid in float64. With
the peer installed (ai-edge-litert) the same files run on it: floats agree to float32 rounding,
codes but for ties, since its kernels requantise in other arithmetic.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lipcert.graph.simplify import simplify
from lipcert.read import read_tflite

if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))

from litert_cases import CASES, Function
from litert_net import NARROW, Net, rand

FLOAT_ONLY = {"half", "between"}
RUNS = [(name, coded) for name in CASES for coded in (False, True)
        if not (coded and name in FLOAT_ONLY)]  # fmt: skip


def case_of(name: str, coded: bool, folder: Path) -> tuple[Path, Net, Function, Tensor]:
    net = Net(coded)
    expected = CASES[name](net)
    inputs = torch.from_numpy(rand(5, *net.tensors[0].shape[1:])).double() * 2
    return net.save(folder / "x.tflite"), net, expected, inputs


@pytest.mark.parametrize(("name", "coded"), RUNS)
def test_operator_agrees_with_torch(tmp_path: Path, name: str, coded: bool) -> None:
    path, net, expected, inputs = case_of(name, coded, tmp_path)
    graph = read_tflite(path)
    found, wanted = graph(inputs), expected(net.rounded(inputs))
    assert found.shape == wanted.shape
    assert graph.input.shape == tuple(net.tensors[0].shape[1:])
    ties = NARROW[0] + 1e-6 if coded and name.startswith("average") else 0.0
    for other in (wanted, simplify(graph)(inputs)):
        gap = (found - other).abs()
        assert float(gap.max()) <= max(1e-12, ties)  # means of codes lie on ties
        assert float((gap > 1e-12).double().mean()) <= 0.1


@pytest.mark.peer
def test_operators_agree_with_litert(tmp_path: Path) -> None:
    """A code that its arithmetic puts on the other side of a tie moves what follows."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="pip install ai-edge-litert")
    for name, coded in RUNS:
        path, net, _, inputs = case_of(name, coded, tmp_path)
        session = litert.Interpreter(str(path), num_threads=1)
        found, (scale, zero) = run(session, inputs.numpy(), coded)
        exact = read_tflite(path)(net.rounded(inputs)).numpy()
        if scale == 0:
            apart, most = np.abs(found - exact) > 1e-5, 0.1 if name == "between" else 0.0
        else:
            steps = np.abs(found - zero - np.rint(exact / np.float32(scale)))
            apart, most = steps > 0, 0.06
            assert steps.max() <= 2 + NARROW[0] / scale, name
        assert apart.mean() <= most, name


def run(session: Any, inputs: np.ndarray, coded: bool) -> tuple[np.ndarray, tuple[float, int]]:
    """Outputs row by row, and the grid that they are codes of."""
    session.allocate_tensors()
    first, last = session.get_input_details()[0], session.get_output_details()[0]
    given = inputs.astype(np.float32)
    if coded:
        given = np.clip(np.rint(given / np.float32(NARROW[0])) + NARROW[1], -128, 127)
    rows = []
    for row in given:
        session.set_tensor(first["index"], row.astype(first["dtype"])[None])
        session.invoke()
        rows.append(session.get_tensor(last["index"])[0].astype(np.float64))
    return np.stack(rows), last["quantization"]
