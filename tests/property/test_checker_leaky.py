"""Slopes below zero stay with their entries, whichever a certificate says are compared."""

from pathlib import Path

import numpy as np
import pytest
from checker_pairs import rounded, saved
from onnx import helper

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import load
from lipcert.certificate.evidence import SlopeEvidence
from lipcert.check import Answer, check
from lipcert.check.claim import Regions, derived, values_at
from lipcert.check.network import read

HIDDEN = 5


def prelu(path: Path, weights: list[np.ndarray], slopes: np.ndarray) -> Path:
    nodes = [
        helper.make_node("Gemm", ["input", "w0"], ["sum"], transB=1),
        helper.make_node("PRelu", ["sum", "a"], ["act"]),
        helper.make_node("Gemm", ["act", "w1"], ["output"], transB=1),
    ]
    tensors = {"w0": weights[0], "w1": weights[1], "a": slopes}
    return saved(path, nodes, tensors, (weights[0].shape[1],))


@pytest.mark.parametrize("order", [np.arange(HIDDEN), np.arange(HIDDEN)[::-1]])
@pytest.mark.parametrize("seed", range(6))
def test_every_drift_lies_inside(tmp_path: Path, seed: int, order: np.ndarray) -> None:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=s).astype(np.float32) for s in ((HIDDEN, 3), (2, HIDDEN))]
    slopes = rng.uniform(-1, 3, HIDDEN).astype(np.float32)
    files = [
        prelu(tmp_path / "f.onnx", weights, slopes),
        prelu(tmp_path / "g.onnx", [rounded(w, 4) for w in weights], slopes),
    ]
    region = lipcert.Box.around(rng.normal(size=(1, 3)) / 2, 0.5)
    attack = DriftAttack(steps=3, restarts=1)
    certificate = lipcert.certify(lipcert.load_pair(*files), region, attack=attack)
    stored = load(certificate.save(tmp_path / "out"))
    assert check(stored.path)[0] is Answer.VERIFIED
    evidence = stored.document.evidence
    assert isinstance(evidence, SlopeEvidence)
    (tensor,) = (name for name, (_, both, _) in evidence.partners.items() if both)
    partners = {tensor: (evidence.partners[tensor][0], True, "order")}
    arrays = {k: a.astype(float) for k, a in stored.arrays.items()} | {"order": order.astype(float)}
    networks = [read(file.read_bytes()) for file in files]
    swapped = evidence.model_copy(update={"partners": partners})
    regions = Regions.of(stored.document.claim.region, arrays)
    made, found, _ = derived(networks, regions, swapped, arrays, 0)
    inputs = rng.uniform(regions.lower[0], regions.upper[0], (4000, 3))
    inputs[:8] = [[(regions.lower, regions.upper)[k >> j & 1][0, j] for j in range(3)]
                  for k in range(8)]  # fmt: skip
    f, g = (values_at(network, inputs) for network in networks)
    apart = f[tensor][0][order], f[tensor][1][order]
    for box, old, new in ((found["drift"], f["output"], g["output"]),
                          (made.boxes[f"D:h:{tensor}"], apart, g[tensor])):  # fmt: skip
        assert (box[0] <= new[1] - old[0]).all()
        assert (new[0] - old[1] <= box[1]).all()
