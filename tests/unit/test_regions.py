"""Regions contain their members exactly, and refuse what they cannot be."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from lipcert.errors import BadInput
from lipcert.numeric.placement import Placement
from lipcert.ops.functional import Functional
from lipcert.sets.region import Ball, Box, Grid, Inputs, Region
from lipcert.walk.support import Support
from lipcert.walk.table import Rows


def centres(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def within_hull(region: Region, points: Tensor, rows: Tensor) -> bool:
    hull = region.hull
    return bool(((hull.lower[rows] <= points) & (points <= hull.upper[rows])).all())


def square_distance(point: Tensor, centre: Tensor) -> Fraction:
    pairs = zip(point.flatten().tolist(), centre.flatten().tolist(), strict=True)
    return sum(((Fraction(a) - Fraction(b)) ** 2 for a, b in pairs), Fraction(0))


def test_box_contains_eps_exactly() -> None:
    for eps in (0.0, 1e-30, 1e-8, 0.1, 1e10):
        box = Box.around(centres(1, 3, 4), eps)
        for c, low, high in zip(
            centres(1, 3, 4).flatten().tolist(),
            box.lower.flatten().tolist(),
            box.upper.flatten().tolist(),
            strict=True,
        ):
            assert Fraction(low) <= Fraction(c) - Fraction(eps)
            assert Fraction(c) + Fraction(eps) <= Fraction(high)
            assert eps > 0 or low == c == high
    cut = Box.around(centres(1, 3, 4), 0.5, clip=(0.0, 1.0))
    assert float(cut.lower.min()) == 0.0
    assert float(cut.upper.max()) == 1.0


@pytest.mark.parametrize("eps", [0.0, 1e-17, 1e-12, 1e-8, 1e-3, 1.0])
def test_ball_members_are_members_exactly(eps: float) -> None:
    centre = centres(2, 3, 50)
    ball = Ball.around(centre, eps, clip=(0.0, 1.0))
    generator = torch.Generator().manual_seed(1)
    rows = torch.arange(3).repeat(4)
    for points in (
        ball.project(centre[rows] + torch.randn(12, 50, generator=generator).double() * eps, rows),
        ball.project(centre[rows] + 1e-3, rows),
        ball.sample(rows, generator),
    ):
        assert within_hull(ball, points, rows)
        assert bool(((points >= 0) & (points <= 1)).all())
        for point, row in zip(points, rows.tolist(), strict=True):
            assert square_distance(point, centre[row]) <= Fraction(eps) ** 2


@pytest.mark.parametrize(
    "given",
    [
        centres(5, 3, 4).numpy(),
        centres(5, 3, 4).numpy().astype(np.float32),
        centres(5, 3, 4).float(),
        centres(5, 3, 4).tolist(),
    ],
)
def test_a_ball_is_made_of_any_array(given: Inputs) -> None:
    ball, around = Ball(given, 0.1), Ball.around(given, 0.1)
    assert ball.centre.dtype == torch.float64
    assert torch.equal(ball.centre, around.centre)
    assert torch.equal(ball.hull.upper, around.hull.upper)
    assert (ball.batch, ball.part(slice(1, 2)).batch) == (3, 1)


@pytest.mark.parametrize(
    ("centre", "radius", "clip", "message"),
    [
        ([[0.0], [math.nan]], 0.1, None, "row 1 has NaN"),
        ([[0.0]], -0.1, None, "not negative"),
        ([[0.0]], math.nan, None, "must be finite"),
        ([0.0], 0.1, None, "batch"),
        ([[0.0], [2.0]], 0.1, (0.0, 1.0), "row 1 lies outside"),
    ],
)
def test_a_ball_refuses_what_it_cannot_be(
    centre: object, radius: float, clip: tuple[float, float] | None, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        Ball(centre, radius, clip)


def test_grid_members_lie_on_the_grid() -> None:
    inputs = np.array([[0, 3, 255, 17]], dtype=np.uint8)
    grid = Grid.around(inputs, 2, clip=(0, 255))
    assert grid.first.tolist() == [[0, 1, 253, 15]]
    assert grid.last.tolist() == [[2, 5, 255, 19]]
    generator = torch.Generator().manual_seed(1)
    rows = torch.zeros(50, dtype=torch.long)
    points = grid.sample(rows, generator)
    assert torch.equal(points, points.round())
    assert within_hull(grid, points, rows)
    third = Grid.around(np.array([[0.3, 0.6]]), 0.1, step=0.1)
    assert third.last.tolist() == [[4.0, 7.0]]
    assert within_hull(third, third.sample(rows, generator), rows)
    point = Grid.around(inputs, 0.4)
    assert torch.equal(point.hull.lower, point.hull.upper)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Box.around([[0.0, math.nan]], 0.1), "row 0"),
        (lambda: Box.around([[0.0, 0.0], [0.0, 2.0]], 0.1, clip=(0.0, 1.0)), "row 1"),
        (lambda: Box.around([[0.0]], -1.0), "eps"),
        (lambda: Box.around([[0.0]], math.inf), "eps"),
        (lambda: Box.around([0.0, 1.0], 0.1), "batch"),
        (lambda: Box.between([[0.0], [2.0]], [[1.0], [1.0]]), "row 1"),
        (lambda: Box.between([[0.0]], [[math.inf]]), "row 0"),
        (lambda: Box.between([[0.0, 1.0]], [[1.0]]), "one shape"),
        (lambda: Grid.around([[0.25], [0.5]], 1.0), "row 0"),
        (lambda: Grid.around([[0.0]], 1.0, step=0.0), "step"),
        (lambda: Ball.around([[math.inf]], 1.0), "row 0"),
        (lambda: Box.around(np.zeros((0, 3)), 0.1), "at least one row"),
    ],
)
def test_bad_regions_name_the_row(build: object, words: str) -> None:
    assert callable(build)
    with pytest.raises(BadInput, match=words):
        build()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e18])
def test_support_is_below_every_member(dtype: torch.dtype, scale: float) -> None:
    """The least value over a region, in exact arithmetic, for regions that float32 must round."""
    centre = centres(3, 2, 6) * 3 - 1
    generator = torch.Generator().manual_seed(2)
    values = (torch.randn(8, 6, generator=generator, dtype=torch.float64) * scale).to(dtype)
    rows = Rows.of(torch.arange(2).repeat_interleave(4))
    for region in (
        *(Box.around(centre, eps) for eps in (0.0, 1e-12, 0.3)),
        *(Ball.around(centre, eps) for eps in (0.0, 1e-12, 0.3, 3.0)),
        Grid.around((centre * 8).round() / 8, 0.3, step=0.125),
    ):
        support = Support.of(region, Placement(dtype=dtype))
        least = support.least(Functional(values, (6,)), rows).tolist()
        weights = values.double()
        away = weights / weights.norm(dim=1, keepdim=True) * 10
        points = torch.cat([region.project(region.hull.centre[rows.sample] - away, rows.sample)])
        for bound, weight, point in zip(least, weights.tolist(), points.tolist(), strict=True):
            pairs = zip(weight, point, strict=True)
            assert Fraction(bound) <= sum(
                (Fraction(w) * Fraction(x) for w, x in pairs), Fraction(0)
            )


def test_support_of_a_ball_beats_its_hull() -> None:
    region = Ball.around(torch.zeros(1, 100, dtype=torch.float64), 1.0)
    rows = Rows.of(torch.zeros(1, dtype=torch.long))
    functional = Functional(torch.ones(1, 100, dtype=torch.float64), (100,))
    least = Support.of(region, Placement()).least(functional, rows)
    assert least.item() == pytest.approx(-10.0, rel=1e-8)
