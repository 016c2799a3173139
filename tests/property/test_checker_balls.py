"""The checker over l2 balls: what is claimed of them follows, other balls are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checker_forgery import resealed, tightened
from checker_pairs import WIDTHS, dense_pair

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import Stored, load
from lipcert.check import Answer, check
from lipcert.check.claim import Regions

CLIP = (-0.9, 0.9)


@pytest.fixture
def small(tmp_path: Path) -> Stored:
    """Two balls, the one of them cut, and inputs on their edges."""
    pair = lipcert.load_pair(*dense_pair(tmp_path, 2))
    centre = np.array([np.full(WIDTHS[0], 0.8), np.linspace(-0.5, 0.5, WIDTHS[0])])
    region = lipcert.Ball.around(centre, 0.3, clip=CLIP)
    made = lipcert.certify(pair, region, attack=DriftAttack(steps=8, restarts=2))
    stored = load(made.save(tmp_path / "out"))
    assert check(stored.path)[0] is Answer.VERIFIED
    return stored


@pytest.mark.parametrize("changes", [{"radius": 0.31}, {"radius": 0.29}, {"clip": None},
                                     {"clip": (-0.9, 0.85)}, {"radius": -0.3}])  # fmt: skip
def test_other_balls_are_refused(small: Stored, changes: dict[str, object]) -> None:
    claim = small.document.claim
    region = claim.region.model_copy(update=changes)
    resealed(small, claim=claim.model_copy(update={"region": region}))
    assert check(small.path)[0] is Answer.NOT_VERIFIED


def test_other_centres_and_tighter_bounds_are_refused(small: Stored) -> None:
    moved = small.arrays["region_centre"] * 0.9
    resealed(replace(small, arrays=dict(small.arrays) | {"region_centre": moved}))
    assert check(small.path)[0] is Answer.NOT_VERIFIED
    resealed(small, result=tightened(small.document.result, 0.99, None))
    assert check(small.path)[0] is Answer.NOT_VERIFIED


def test_balls_bound_better_than_the_boxes_around_them(small: Stored) -> None:
    """Else the walks would not see the ball."""
    claim, result = small.document.claim, small.document.result
    arrays = {name: array.astype(float) for name, array in small.arrays.items()}
    hull = Regions.of(claim.region, arrays)
    pair = lipcert.load_pair(*(n.source for _, n in small.document.provenance.networks))
    box = lipcert.certify(pair, lipcert.Box.between(hull.lower, hull.upper),
                          attack=DriftAttack(steps=0, restarts=0))  # fmt: skip
    told = np.array([v or 0.0 for v in result.max_drift])
    assert (told < box.max_drift.numpy() * [1.0, 0.5]).all()


def test_members_are_members_in_exact_arithmetic() -> None:
    centre = np.zeros((1, 3))
    region = Regions(centre - 5, centre + 5, around=(centre, 5.0))
    assert region.inside(0, np.array([3.0, 3.9, 0.0]))
    assert not region.inside(0, np.array([3.0, 4.0, 1e-7]))
    point = Regions(centre - 1e-300, centre + 1e-300, around=(centre, 0.0))
    assert point.inside(0, centre[0])
    assert not point.inside(0, centre[0] + 1e-301)
