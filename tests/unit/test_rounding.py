"""Outward rounding is outward: against exact rationals, in both dtypes."""

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from lipcert.numeric.rounding import cast_down, cast_up, down, gamma, inflate, up
from lipcert.sets.enclosure import Interval, Twin

DTYPES = (torch.float64, torch.float32)


def wild(seed: int, count: int, dtype: torch.dtype) -> Tensor:
    """Numbers of every magnitude, zeros and subnormals among them."""
    generator = torch.Generator().manual_seed(seed)
    power = 250.0 if dtype == torch.float64 else 30.0
    size = 10 ** ((torch.rand(count, generator=generator).double() - 0.5) * 2 * power)
    sign = torch.randint(-1, 2, (count,), generator=generator).double()
    info = torch.finfo(dtype)
    special = torch.tensor([info.tiny, info.tiny / 4, -info.tiny, 0.0, 1.0, -1.0]).double()
    return torch.cat([size * sign, special]).to(dtype)


def exact(values: Tensor) -> list[Fraction]:
    return [Fraction(v) for v in values.double().flatten().tolist()]


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_operation_is_bounded(dtype: torch.dtype) -> None:
    first, second = wild(1, 300, dtype), wild(2, 300, dtype)
    for computed, true in (
        (first + second, [a + b for a, b in zip(exact(first), exact(second), strict=True)]),
        (first * second, [a * b for a, b in zip(exact(first), exact(second), strict=True)]),
    ):
        finite = computed.isfinite().tolist()
        for ok, low, value, high in zip(finite, down(computed), true, up(computed), strict=True):
            if ok:
                assert low.item() == -math.inf or Fraction(low.item()) < value
                assert high.item() == math.inf or value < Fraction(high.item())
    overflown = torch.tensor([math.inf], dtype=dtype)
    assert down(overflown).item() == torch.finfo(dtype).max
    assert up(-overflown).item() == -torch.finfo(dtype).max


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("terms", [1, 3, 100, 20_000])
def test_inflate_bounds_a_sum_of_products(dtype: torch.dtype, terms: int) -> None:
    generator = torch.Generator().manual_seed(terms)
    for scale in (1.0, 1e-19, torch.finfo(dtype).tiny ** 0.5 / 4):
        first = (torch.rand(terms, generator=generator, dtype=torch.float64) * scale).to(dtype)
        second = (torch.rand(terms, generator=generator, dtype=torch.float64) * scale).to(dtype)
        true = sum((a * b for a, b in zip(exact(first), exact(second), strict=True)), Fraction(0))
        assert Fraction(inflate(first @ second, terms).item()) >= true
        running = torch.zeros((), dtype=dtype)
        for a, b in zip(first[:500], second[:500], strict=True):
            running = running + a * b
        part = sum(
            (a * b for a, b in zip(exact(first[:500]), exact(second[:500]), strict=True)),
            Fraction(0),
        )
        assert Fraction(inflate(running, terms).item()) >= part


def test_inflate_on_the_worst_rounding() -> None:
    """A one that swallows every half ulp behind it loses as much as gamma_n allows."""
    for dtype in DTYPES:
        half = torch.finfo(dtype).eps / 2
        count = 1000
        total = torch.ones((), dtype=dtype)
        for _ in range(count):
            total = total + total.new_tensor(half)
        assert total.item() == 1
        assert Fraction(inflate(total, count + 1).item()) >= 1 + count * Fraction(half)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gamma(dtype: torch.dtype) -> None:
    unit = Fraction(torch.finfo(dtype).eps) / 2
    for terms in (1, 7, 1000, 2**20):
        assert Fraction(gamma(terms, dtype)) >= terms * unit / (1 - terms * unit)
        assert 2 * gamma(terms, dtype) >= gamma(terms, dtype) / (1 - gamma(terms, dtype))
    assert gamma(int(1 / (4 * unit)), dtype) == math.inf


def test_casts_are_outward() -> None:
    values = torch.cat(
        [wild(3, 400, torch.float64), torch.tensor([1e300, -1e300, 1e-300]).double()]
    )
    low, high = cast_down(values, torch.float32), cast_up(values, torch.float32)
    assert bool((low.double() <= values).all())
    assert bool((values <= high.double()).all())
    assert torch.equal(cast_down(low.double(), torch.float32), low)
    assert cast_down(torch.tensor(1e300, dtype=torch.float64), torch.float32).isfinite()


@pytest.mark.parametrize("dtype", DTYPES)
def test_interval_arithmetic_is_outward(dtype: torch.dtype) -> None:
    first, second = wild(4, 200, dtype), wild(5, 200, dtype)
    one = Interval(torch.minimum(first, second), torch.maximum(first, second))
    centre = one.centre
    for low, middle, high, radius in zip(
        exact(one.lower), exact(centre), exact(one.upper), one.radius(centre), strict=True
    ):
        if math.isfinite(radius.item()):
            assert Fraction(radius.item()) >= max(high - middle, middle - low)
    total, difference = one.plus(one), one.minus(one)
    for place, (low, high) in enumerate(zip(exact(one.lower), exact(one.upper), strict=True)):
        assert Fraction(total.lower[place].item()) < 2 * low
        assert 2 * high < Fraction(total.upper[place].item())
        assert Fraction(difference.upper[place].item()) > high - low
        assert difference.lower[place].item() == -difference.upper[place].item()


@pytest.mark.parametrize("dtype", DTYPES)
def test_consistent_enclosures_keep_every_twin(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(6)
    for scale in (1.0, 1e-7):
        z = torch.randn(500, generator=generator, dtype=torch.float64).to(dtype)
        y = z + (torch.randn(500, generator=generator, dtype=torch.float64) * scale).to(dtype)
        near = torch.rand(4, 500, generator=generator, dtype=torch.float64).to(dtype)
        drift = Interval.point(y).minus(Interval.point(z))
        twin = Twin(
            Interval(z - near[0], z + near[1]), Interval(y - near[2], y), drift
        ).consistent()
        for a, b, place in zip(exact(z), exact(y), range(500), strict=True):
            for box, value in ((twin.original, a), (twin.compressed, b), (twin.drift, b - a)):
                assert Fraction(box.lower[place].item()) <= value
                assert value <= Fraction(box.upper[place].item())
