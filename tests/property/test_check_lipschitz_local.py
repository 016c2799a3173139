"""Constants over regions: each rests on its own region, neurons and inputs."""

from pathlib import Path

import checker_pairs
import numpy as np
import pytest
from checker_constants import QUICK, Saved, hold, saved_in
from onnx import helper

import lipcert
from lipcert.certificate.claim import BallRegion
from lipcert.check import Answer
from lipcert.lipschitz import PairBounds


@pytest.fixture(scope="module")
def bounds(tmp_path_factory: pytest.TempPathFactory) -> PairBounds:
    """Over regions in which some neurons are decided."""
    region = lipcert.Ball.around(np.random.default_rng(5).normal(size=(2, 4)), 0.4)
    files = checker_pairs.dense_pair(tmp_path_factory.mktemp("local"), 6)
    return lipcert.lipschitz(lipcert.load_pair(*files), region=region, effort=QUICK)


@pytest.fixture
def local(bounds: PairBounds, tmp_path: Path) -> Saved:
    found = saved_in(tmp_path, bounds)
    assert found.verdict() is Answer.VERIFIED
    return found


def test_other_regions_do_not_follow(local: Saved) -> None:
    region, arrays = local.document.claim.region, local.arrays
    assert isinstance(region, BallRegion)
    with_region = [region.model_copy(update={"radius": r}) for r in (0.8, 4.0)]
    claims = [local.document.claim.model_copy(update={"region": r}) for r in (*with_region, None)]
    claims += [local.document.claim.model_copy(update={"norm": n}) for n in ("1", "inf")]
    for claim in claims:
        assert local.with_document({"claim": claim}, arrays).verdict() is Answer.NOT_VERIFIED
    centre = arrays[region.centre]
    for other in (centre + 3.0, centre[::-1].copy(), centre[:1], centre[:, :2]):
        changed = local.with_document(
            {"claim": local.document.claim}, {**arrays, region.centre: other}
        )
        assert changed.verdict() is Answer.NOT_VERIFIED


def test_every_undecided_neuron_needs_its_multiplier(local: Saved) -> None:
    parts = [part for c in local.document.constants.values() for part in c.multipliers]
    assert len(parts) > 4
    for part in parts:
        kept, weights = local.arrays[part.neurons], local.arrays[part.weights]
        for k in np.flatnonzero(weights > 1e-3 * weights.max()).tolist():
            fewer = {part.neurons: np.delete(kept, k), part.weights: np.delete(weights, k)}
            changed = local.with_document({}, {**local.arrays, **fewer})
            assert changed.verdict() is not Answer.VERIFIED
        for other in (-weights, np.full_like(weights, np.nan), weights[:-1], weights * 100):
            changed = local.with_document({}, {**local.arrays, part.weights: other})
            assert changed.verdict() is not Answer.VERIFIED


def test_multipliers_belong_to_their_row(local: Saved) -> None:
    constant = local.document.constants["original"]
    swapped = [part.model_copy(update={"row": 1 - part.row}) for part in constant.multipliers]
    changed = local.with_constant("original", multipliers=tuple(p.model_dump() for p in swapped))
    assert changed.verdict() is Answer.NOT_VERIFIED
    assert local.with_constant("original", multipliers=()).verdict() is Answer.NOT_VERIFIED


def test_what_was_seen_lies_inside(local: Saved) -> None:
    constant = local.document.constants["original"]
    far = {**local.arrays, constant.first: local.arrays[constant.first] + 1.0}
    assert local.with_document({}, far).verdict() is Answer.NOT_VERIFIED


def test_a_reason_is_never_verified(local: Saved) -> None:
    changed = local.with_constant("original", reason="none at all")
    assert changed.verdict() is Answer.CANNOT_CHECK


@pytest.mark.parametrize("norm", ["1", "2", "inf"])
def test_a_softmax_halves(norm: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    tensors = {
        "w0": rng.normal(size=(4, 6)).astype(np.float32),
        "w1": rng.normal(size=(6, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["input", "w0"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["act"]),
        helper.make_node("MatMul", ["act", "w1"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["output"]),
    ]
    file = checker_pairs.saved(tmp_path / "f.onnx", nodes, tensors, (4,))
    for network in (file, lipcert.load_pair(file, file)):
        hold(saved_in(tmp_path / "out", lipcert.lipschitz(network, norm=norm, effort=QUICK)))
