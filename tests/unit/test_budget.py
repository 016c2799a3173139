"""The drift budget sums to the bound and names what causes it."""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn

import lipcert
from lipcert.methods.base import Bounds
from lipcert.methods.twin import TwinBounds
from lipcert.sets.share import Cause, costliest

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def _bounds(name: str, eps: float) -> Bounds:
    pair = lipcert.load_pair(DIGITS / "model.onnx", DIGITS / f"model.{name}.onnx")
    with np.load(DIGITS / "inputs.npz") as archive:
        region = lipcert.Box.around(archive["x"][:3], eps, (0.0, 1.0))
    return TwinBounds(budget=True).certify(pair, region, lipcert.Placement())


def test_shares_sum_to_the_bound() -> None:
    for name in ("int8", "pruned"):
        for eps in (0.0, 0.01, 0.05):
            bounds = _bounds(name, eps)
            assert bounds.budget is not None
            total = torch.stack([share.drift for share in bounds.budget]).sum(0)
            bound = bounds.drift.magnitude().flatten(1).amax(1)
            assert bool((total >= bound * (1 - 1e-9)).all())  # CROWN may win, never lose
            if eps <= 0.01:
                assert torch.allclose(total, bound, rtol=1e-6)


def test_what_is_left_over_is_rounding() -> None:
    bounds = _bounds("int8", 0.01)
    assert bounds.budget is not None
    (rounding,) = (s for s in bounds.budget if s.cause is Cause.ROUNDING)
    assert float(rounding.drift.abs().max()) < 1e-9


def test_a_planted_layer_is_found() -> None:
    """Of two networks that differ in one layer, that layer takes the blame."""
    torch.manual_seed(0)
    layers = (nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    original = nn.Sequential(*layers)
    compressed = copy.deepcopy(original)
    with torch.no_grad():
        compressed[2].weight += 0.02
    pair = lipcert.load_pair(original, compressed, (4,))
    region = lipcert.Box.around(np.full((2, 4), 0.5), 0.01)
    bounds = TwinBounds(budget=True).certify(pair, region, lipcert.Placement())
    assert bounds.budget is not None
    weights = [s for s in bounds.budget if s.cause is Cause.WEIGHTS]
    blamed = max(weights, key=lambda share: float(share.drift.mean()))
    assert all(float(s.drift.abs().max()) == 0 for s in weights if s is not blamed)
    assert costliest(bounds.budget) == blamed.node
    assert float(blamed.drift.min()) > 0.9 * float(bounds.drift.magnitude().max(1).values.min())
