"""The same bounds on a GPU: sound there too, and equal to the CPU's but for rounding."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lipcert
from lipcert.methods.base import Method
from lipcert.methods.crown import Crown
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here"),
]
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("method", [IntervalArithmetic(), Crown(), TwinBounds()])
@pytest.mark.parametrize("twin", ["int8", "pruned"])
def test_bounds_hold_on_cuda(twin: str, method: Method, dtype: torch.dtype) -> None:
    pair = lipcert.load_pair(DIGITS / "model.onnx", DIGITS / f"model.{twin}.onnx")
    with np.load(DIGITS / "inputs.npz") as archive:
        region = lipcert.Box.around(archive["x"], 0.01, (0.0, 1.0))
    there = method.certify(pair, region, lipcert.Placement(torch.device("cuda"), dtype)).drift
    here = method.certify(pair, region, lipcert.Placement(dtype=dtype)).drift
    rows = torch.arange(region.batch)
    for seed in range(20):
        points = region.sample(rows, torch.Generator().manual_seed(seed))
        drift = pair.compressed(points) - pair.original(points)
        assert bool((there.lower.cpu() <= drift).all())
        assert bool((drift <= there.upper.cpu()).all())
    slack = 1e-9 if dtype == torch.float64 else 1e-2
    assert torch.allclose(there.upper.cpu(), here.upper, rtol=slack, atol=slack)
