"""The drift SDP's multipliers: what they prove is verified, what a forger makes of them is not."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from checker_forgery import resealed, tightened
from checker_pairs import WIDTHS, dense_pair

import lipcert
from lipcert.archive.multipliers import _Listed
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import Stored, load
from lipcert.certificate.certificate import Certificate
from lipcert.certificate.evidence import SlopeEvidence
from lipcert.check import Answer, check
from lipcert.check.claim import Regions, derived
from lipcert.check.drift import Multiplied
from lipcert.check.network import read
from lipcert.graph.pair import Pair
from lipcert.methods.sdp import DriftSdp
from lipcert.sdp.procedure import Multipliers

NO_ATTACK = DriftAttack(steps=0, restarts=0)


def certified(folder: Path, seed: int, eps: float) -> tuple[Pair, Certificate, Stored]:
    pair = lipcert.load_pair(*dense_pair(folder, seed))
    centre = np.random.default_rng(seed).normal(size=(2, WIDTHS[0]))
    made = lipcert.certify(pair, lipcert.Ball.around(centre, eps), DriftSdp(), attack=NO_ATTACK)
    return pair, made, load(made.save(folder / "out"))


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 5, 8, 11, 14])
def test_what_the_search_proves_is_verified(seed: int, tmp_path: Path) -> None:
    """ReLU and clips, rounded weights, pruned neurons; staircases have no multipliers."""
    pair, made, stored = certified(tmp_path, seed, 0.6)
    answer, reason = check(stored.path)
    assert answer is Answer.VERIFIED, reason
    result = stored.document.result
    assert result.drift_norm is not None
    assert made.norm is not None
    told = np.array([result.drift_norm, result.max_drift], dtype=float)
    proved = np.stack([made.norm.numpy(), made.max_drift.numpy()])
    if seed % 3 == 2:
        assert (told <= proved * 1.002).all(), "the evidence loses what was proved"
    assert (told <= proved * 1.2).all()
    points = made.region.sample(torch.arange(2).repeat(500), torch.Generator().manual_seed(seed))
    drift = pair.compressed(points) - pair.original(points)
    length = drift.norm(dim=1).view(-1, 2).amax(0).numpy()
    assert (length <= told[0]).all()


def test_multipliers_that_no_float32_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is filed can be read again, and what it says follows."""
    tables = _Listed.tables

    def huge(listed: _Listed, goals: int, found: Mapping[int, Multipliers]) -> object:
        many = {k: replace(m, products=m.products * 1e300) for k, m in found.items()}
        return tables(listed, goals, many)

    monkeypatch.setattr(_Listed, "tables", huge)
    stored = certified(tmp_path, 2, 0.6)[2]
    assert check(stored.path)[0] is Answer.VERIFIED


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Bounds of which the slopes alone prove less."""
    stored = certified(tmp_path_factory.mktemp("pair"), 2, 0.6)[2]
    assert check(stored.path)[0] is Answer.VERIFIED
    evidence = stored.document.evidence
    resealed(stored, evidence=evidence.model_copy(update={"multipliers": None}))
    assert check(stored.path)[0] is Answer.NOT_VERIFIED
    return stored


@pytest.fixture
def small(honest: Stored, tmp_path: Path) -> Stored:
    return replace(honest, path=tmp_path / honest.path.name)


def verdict(
    stored: Stored, arrays: dict[str, np.ndarray] | None = None, **changes: object
) -> Answer:
    """Of a forgery."""
    copy = replace(stored, arrays=dict(stored.arrays) | (arrays or {}))
    resealed(copy, **changes)
    return check(copy.path)[0]


def test_bounds_that_are_one_per_cent_tighter_are_refused(small: Stored) -> None:
    result = small.document.result
    assert verdict(small) is Answer.VERIFIED
    assert result.drift_norm is not None
    shorter = tuple((v or 0.0) * 0.99 for v in result.drift_norm)
    assert verdict(small, result=result.model_copy(update={"drift_norm": shorter})) is (
        Answer.NOT_VERIFIED
    )
    assert verdict(small, result=tightened(result, 0.99, None)) is Answer.NOT_VERIFIED


def test_a_norm_below_zero_proves_nothing(small: Stored) -> None:
    """Whose square is that of a true one: what else is claimed would be held against no box."""
    result = small.document.result
    assert result.drift_norm is not None
    below = tuple(-(v or 0.0) for v in result.drift_norm)
    forged = result.model_copy(update={"drift_norm": below})
    assert verdict(small, result=forged) is Answer.NOT_VERIFIED
    less = tightened(result, 0.1, None).model_copy(update={"drift_norm": below})
    assert verdict(small, result=less) is Answer.NOT_VERIFIED


def test_other_multipliers_prove_nothing(small: Stored) -> None:
    names = [name for name in small.arrays if name.startswith("multipliers")]
    assert len(names) == 1 + 2 + 2 + 2
    verdicts: list[Answer] = []
    for name in names:
        table = small.arrays[name]
        assert verdict(small, {name: -table}) is Answer.NOT_VERIFIED
        assert verdict(small, {name: table[:, :-1].copy()}) is Answer.NOT_VERIFIED
        for other in (0 * table, table * 4, np.roll(table, 1, -1), table[::-1]):
            verdicts.append(verdict(small, {name: other.copy()}))
    assert Answer.CANNOT_CHECK not in verdicts
    assert verdicts.count(Answer.VERIFIED) <= 2, "nearly all of them matter"


def test_multipliers_of_another_place_prove_nothing(small: Stored) -> None:
    """Of other neurons, of the other network, of another activation."""
    evidence = small.document.evidence
    products = evidence.multipliers.products  # type: ignore[union-attr]
    names = sorted(products)
    for first, second in itertools.pairwise(names):
        swapped = products | {first: products[second], second: products[first]}
        kept = evidence.multipliers.model_copy(update={"products": swapped})  # type: ignore[union-attr]
        forged = evidence.model_copy(update={"multipliers": kept})
        assert verdict(small, evidence=forged) is Answer.NOT_VERIFIED


def test_other_radii_are_refused(small: Stored) -> None:
    claim = small.document.claim
    region = claim.region.model_copy(update={"radius": claim.region.radius * 1.01})
    wider = claim.model_copy(update={"region": region})
    assert verdict(small, claim=wider) is Answer.NOT_VERIFIED


def test_what_is_verified_of_forged_multipliers_is_true(small: Stored) -> None:
    """100 flipped bits: at most those that prove as much are accepted, and nothing breaks."""
    chance, verified = random.Random(0), 0
    names = [name for name in small.arrays if name.startswith(("multipliers", "slopes", "region"))]
    for _ in range(100):
        name = chance.choice(names)
        table = small.arrays[name].copy()
        raw = table.reshape(-1).view(np.uint8)
        raw[chance.randrange(raw.size)] ^= 1 << chance.randrange(8)
        found = verdict(small, {name: table})
        assert found is not Answer.CANNOT_CHECK
        verified += found is Answer.VERIFIED
    assert 0 < verified < 90


def test_multipliers_of_logits_say_nothing_of_probabilities(honest: Stored) -> None:
    stored, networks = honest, honest.document.provenance.networks
    arrays = {name: array.astype(float) for name, array in stored.arrays.items()}
    evidence = stored.document.evidence
    assert isinstance(evidence, SlopeEvidence)
    both = [read(Path(network.source).read_bytes()) for _, network in networks]
    regions = Regions.of(stored.document.claim.region, arrays)
    made = derived(both, regions, evidence, arrays, 0)[0]
    proof = Multiplied.of(both, made, evidence, arrays, 0)
    norm = stored.document.result.drift_norm
    assert norm is not None
    assert proof is not None
    assert proof.proves(0, norm[0] or 0.0)
    for steps in both:
        steps.softmax = True
    assert Multiplied.of(both, made, evidence, arrays, 0) is None
