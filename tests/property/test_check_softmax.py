"""The checker's bounds behind a softmax contain every probability and every drift."""

import itertools
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from checker_pairs import rounded, saved
from onnx import helper

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.check import Answer, check
from lipcert.check.softmax import drift, image

CASES = 60
SAMPLES = 400


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Of rows, in extended precision."""
    wide = logits.astype(np.longdouble)
    terms = np.exp(wide - wide.max(-1, keepdims=True))
    return terms / terms.sum(-1, keepdims=True)


def inside(rng: np.random.Generator, box: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Members of a box (entries, 1), in rows: corners and random ones."""
    share = rng.random((SAMPLES, len(box[0])))
    share[: SAMPLES // 2] = share[: SAMPLES // 2].round()
    return (box[0] + (box[1] - box[0]) * share.T).T.clip(box[0].T, box[1].T)


@pytest.mark.parametrize("most", [1.0, 30.0, 60.0, 72.0, 75.0, 100.0, 690.0, 1e4])
def test_logits_that_drift_far(most: float) -> None:
    """Two that drift apart: from a probability that is nearly one to another's, either way."""
    for low, high in itertools.product([0.0, 1e-300, 1e-12, 0.5], [1.0, 1 - 2.0**-53, 1 - 1e-12]):
        p = np.full((2, 1), low), np.full((2, 1), high)
        ends = np.full((2, 1), -most), np.full((2, 1), most)
        below, above = drift(p, (np.zeros((2, 1)), np.ones((2, 1))), ends, np.zeros(1))
        odds = [mp.log(x / (1 - mp.mpf(x))) if x < 1 else mp.mpf(1e5) for x in (low, high) if x]
        odds = odds if low else [mp.mpf(-1e5), *odds]
        for t, share in itertools.product((-most, most), np.linspace(0, 1, 33).tolist()):
            for u in (odds[0] + (odds[1] - odds[0]) * share, min(max(t / 2, odds[0]), odds[1])):
                change = 1 / (1 + mp.exp(t - u)) - 1 / (1 + mp.exp(-u))
                assert below[0, 0] <= change <= above[0, 0]


@pytest.mark.parametrize("case", range(CASES))
def test_probabilities_and_drift_lie_inside(case: int) -> None:
    rng = np.random.default_rng(case)
    count, spread = int(rng.integers(2, 6)), 10.0 ** rng.uniform(-6, 3)
    low = rng.normal(size=(count, 1)) * spread
    logits = low, low + rng.random((count, 1)) * spread * rng.choice([0.0, 1e-3, 1.0])
    drifts = -rng.random((count, 1)) * spread / 10, rng.random((count, 1)) * spread / 10
    f = inside(rng, logits)
    delta = inside(rng, drifts)
    other = ~np.eye(count, dtype=bool)
    gaps = [np.where(other, b.T - a, s) for a, b, s in
            ((drifts[1], drifts[0], np.inf), (drifts[0], drifts[1], -np.inf))]  # fmt: skip
    least, most = gaps[0].min(1, keepdims=True), gaps[1].max(1, keepdims=True)
    both = np.nextafter(least, -np.inf), np.nextafter(most, np.inf)
    moved = (
        np.nextafter(logits[0] + drifts[0], -np.inf),
        np.nextafter(logits[1] + drifts[1], np.inf),
    )
    p, q = image(logits, False), image(moved, False)
    change = drift(p, q, both, np.zeros(1))
    wide = f.astype(np.longdouble) + delta
    first, second = probabilities(f), probabilities(wide)
    for box, found in ((p, first), (q, second), (change, second - first)):
        assert (found >= box[0].T).all()
        assert (found <= box[1].T).all()
        assert (box[0] <= box[1]).all()


def classifier(path: Path, weights: list[np.ndarray]) -> Path:
    nodes = [
        helper.make_node("Gemm", ["input", "w0"], ["sum"], transB=1),
        helper.make_node("Relu", ["sum"], ["act"]),
        helper.make_node("Gemm", ["act", "w1"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["output"]),
    ]
    return saved(path, nodes, {"w0": weights[0], "w1": weights[1]}, (weights[0].shape[1],))


@pytest.mark.parametrize("seed", range(4))
def test_certificates_of_classifiers_are_verified(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=s).astype(np.float32) for s in ((6, 4), (3, 6))]
    f = classifier(tmp_path / "f.onnx", weights)
    g = classifier(tmp_path / "g.onnx", [rounded(w, 6) for w in weights])
    region = lipcert.Box.around(rng.normal(size=(2, 4)), 0.05)
    attack = DriftAttack(steps=5, restarts=1)
    certificate = lipcert.certify(lipcert.load_pair(f, g), region, attack=attack)
    place = certificate.save(tmp_path / "out")
    assert check(place)[0] is Answer.VERIFIED
