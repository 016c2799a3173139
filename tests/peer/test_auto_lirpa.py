"""Interval and CROWN bounds agree with those of auto_LiRPA 0.3, another verifier.

The peer is asked for what lipcert bounds (`Intermediate.UNDECIDED`): per row and neuron, CROWN
intersected with one interval step where that step leaves a ReLU undecided, the step alone
elsewhere, and at the output the intersection again. With other choices either tool's bounds
differ by percents on small networks, and both are right.
"""

import sys
from pathlib import Path

import pytest
import torch

from lipcert import Box, Placement
from lipcert.methods.enclosed import enclose
from lipcert.methods.interval import propagated
from lipcert.read import read_module
from lipcert.sets.enclosure import Interval

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.networks import KINDS, box, seeded  # noqa: E402
from benchmarks.peers import auto_lirpa  # noqa: E402

RELATIVE = 1e-5

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module", autouse=True)
def peer() -> None:
    """The peer, or a skip that says how to get it."""
    try:
        auto_lirpa.import_auto_lirpa()
    except auto_lirpa.PeerMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(params=[(0, 0.02), (1, 0.1), (2, 0.3)], ids=str)
def chance(request: pytest.FixtureRequest) -> tuple[int, float]:
    """Seed and radius."""
    return request.param


@pytest.mark.parametrize("kind", KINDS)
def test_interval_bounds_agree(kind: str, chance: tuple[int, float]) -> None:
    module, shape = seeded(kind, chance[0])
    lower, upper = box(shape, *chance)
    ours = propagated(read_module(module, shape), Interval(lower, upper))
    agree(ours, auto_lirpa.interval_bounds(module, lower, upper))


@pytest.mark.parametrize("kind", KINDS)
def test_crown_bounds_agree(kind: str, chance: tuple[int, float]) -> None:
    module, shape = seeded(kind, chance[0])
    lower, upper = box(shape, *chance)
    ours = enclose(read_module(module, shape), Box.between(lower, upper), Placement()).output()
    matched = auto_lirpa.Intermediate.UNDECIDED
    agree(ours, auto_lirpa.crown_bounds(module, lower, upper, matched))


def agree(ours: Interval, peers: auto_lirpa.Bounds) -> None:
    """Every bound within `RELATIVE` of the peer's."""
    torch.testing.assert_close(ours.lower, peers[0], rtol=RELATIVE, atol=0.0)
    torch.testing.assert_close(ours.upper, peers[1], rtol=RELATIVE, atol=0.0)
