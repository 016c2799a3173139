"""Whatever is attacked, what is reported is a member of its region and evaluates as reported."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lipcert.attacks.drift import DriftAttack
from lipcert.certificate.observed import Observed
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.numeric.placement import Placement
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.sets.region import Ball, Box, Grid, Region

INPUTS, HIDDEN, OUTPUTS, ROWS = 4, 6, 3, 2
ATTACK = DriftAttack(steps=6, restarts=2)


def network(weights: list[Tensor], quantised: bool) -> LayerGraph:
    nodes = [Node("x", None, (), (INPUTS,))]
    zero = torch.zeros(HIDDEN, dtype=torch.float64)
    nodes += [Node("h", Linear(weights[0], zero), ("x",), (HIDDEN,))]
    nodes += [Node("r", Relu(), ("h",), (HIDDEN,))]
    if quantised:
        scale, low, high = (torch.tensor(v, dtype=torch.float64) for v in (0.1, 0.0, 255.0))
        nodes += [Node("q", Quantize(scale, low, high), ("r",), (HIDDEN,))]
    last = Linear(weights[1], torch.zeros(OUTPUTS, dtype=torch.float64))
    nodes += [Node("y", last, (nodes[-1].name,), (OUTPUTS,))]
    return LayerGraph(tuple(nodes))


def random_pair(seed: int, quantised: bool) -> Pair:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((HIDDEN, INPUTS), (OUTPUTS, HIDDEN))
    first = [torch.randn(*s, dtype=torch.float64, generator=generator) for s in shapes]
    second = [(w * 8).round() / 8 for w in first]
    return Pair.of(network(first, False), network(second, quantised))


def random_region(kind: str, seed: int, eps: float) -> Region:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(ROWS, INPUTS, dtype=torch.float64, generator=generator)
    if kind == "grid":
        return Grid.around((centre * 255).round() / 255, eps, (0, 1), step=1 / 255)
    return (Box if kind == "box" else Ball).around(centre, eps, (0, 1))


def is_member(region: Region, row: int, point: Tensor) -> bool:
    """In exact arithmetic where that makes a difference."""
    hull = region.hull
    inside = bool((point >= hull.lower[row]).all() & (point <= hull.upper[row]).all())
    if isinstance(region, Ball):
        centre = region.centre[row].tolist()
        gaps = (Fraction(a) - Fraction(b) for a, b in zip(point.tolist(), centre, strict=True))
        return inside and sum(gap * gap for gap in gaps) <= Fraction(region.radius) ** 2
    if isinstance(region, Grid):
        return inside and bool(((point / region.step).round() * region.step == point).all())
    return inside


def check(pair: Pair, region: Region, observed: Observed) -> None:
    for row in range(ROWS):
        for points, values in (
            (observed.lowest[row], observed.drift.lower[row]),
            (observed.highest[row], observed.drift.upper[row]),
        ):
            assert all(is_member(region, row, point) for point in points)
            seen = torch.diagonal(pair.compressed(points) - pair.original(points))
            torch.testing.assert_close(seen, values, rtol=0, atol=1e-13)
        found = observed.disagreement[row]
        if found is not None:
            assert is_member(region, row, found)
            assert not bool(
                pair.original(found[None]).argmax() == pair.compressed(found[None]).argmax()
            )


@pytest.mark.parametrize("kind", ["box", "ball", "grid"])
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    exponent=st.floats(-8, 0),
    quantised=st.booleans(),
    point=st.booleans(),
)
def test_reported_points_are_members_and_evaluate_as_reported(
    kind: str, seed: int, exponent: float, quantised: bool, point: bool
) -> None:
    pair = random_pair(seed, quantised)
    region = random_region(kind, seed, 0.0 if point else math.pow(10, exponent))
    observed = ATTACK.observe(pair, region, Placement())
    assert bool((observed.drift.lower <= observed.drift.upper).all())
    check(pair, region, observed)
