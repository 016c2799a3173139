"""The shipped networks, read and evaluated in float64, against ONNX Runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lipcert.graph.simplify import simplify
from lipcert.read import read_inputs, read_onnx

Runtime = Callable[[Path, np.ndarray], np.ndarray]
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.mark.parametrize("name", sorted(path.name for path in DIGITS.glob("*.onnx")))
def test_shipped_network_agrees_with_onnx_runtime(runtime: Runtime, name: str) -> None:
    inputs = read_inputs(f"{DIGITS / 'inputs.npz'}:x").astype(np.float32)
    graph = simplify(read_onnx(DIGITS / name))
    found = graph(torch.from_numpy(inputs).double()).numpy()
    expected = runtime(DIGITS / name, inputs)
    gap = np.abs(found - expected).max(axis=1)
    assert found.shape == expected.shape
    if "int8" not in name:
        assert gap.max() <= 2e-6 * np.abs(expected).max()
    else:  # a code beside a tie may fall on the other step and move its row
        assert np.median(gap) <= 2e-6 * np.abs(expected).max()
        assert gap.max() <= 0.05 * np.abs(expected).max()
