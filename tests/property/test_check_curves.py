"""Curves of the checker: what is claimed of them, and enclosures that contain exact samples."""

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from lipcert.check import curve
from lipcert.check.curve import ERROR, Curve, Scalar, difference
from lipcert.check.operation import Activation

Exact = Callable[[Any], Any]
BOXES, SAMPLES = 150, 400


def clamped(x: Any, low: float, high: float) -> Any:
    return min(max(x, mp.mpf(low)), mp.mpf(high))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


CURVES: dict[str, tuple[Curve, Exact]] = {
    "tanh": (curve.TANH, mp.tanh),
    "sigmoid": (curve.SIGMOID, sigmoid),
    "erf": (curve.ERF, mp.erf),
    "gelu": (curve.GELU, lambda x: x * mp.erfc(-x / mp.sqrt(2)) / 2),
    "silu": (curve.SILU, lambda x: x * sigmoid(x)),
    "hard swish": (curve.HARD_SWISH, lambda x: x * clamped(x + 3, 0, 6) / 6),
    "hard sigmoid": (
        curve.hard_sigmoid(0.2, 0.55), lambda x: clamped(mp.mpf(0.2) * x + mp.mpf(0.55), 0, 1)),
    "steep": (
        curve.hard_sigmoid(97.3, -21.9), lambda x: clamped(mp.mpf(97.3) * x - mp.mpf(21.9), 0, 1)),
}  # fmt: skip
OTHERS: dict[str, tuple[Scalar, Exact]] = {
    "identity": (Activation(-np.inf, np.inf), lambda x: x),
    "relu": (Activation(0.0, np.inf), lambda x: max(x, mp.mpf(0))),
    "staircase": (Activation(-8, 7, 0.25), lambda x: clamped(mp.nint(4 * x), -8, 7) / 4),
}
SCALARS = CURVES | OTHERS


@pytest.fixture(autouse=True)
def digits() -> Any:
    with mp.workdps(60), np.errstate(over="raise", invalid="raise", divide="raise"):
        yield


def boxes(rng: np.random.Generator, count: int = BOXES) -> tuple[np.ndarray, np.ndarray]:
    """Points, thin, usual and huge ones, (count, 1)."""
    middle = rng.normal(size=(count, 1)) * 10.0 ** rng.uniform(-3, 2, (count, 1))
    width = 10.0 ** rng.uniform(-9, 3, (count, 1)) * rng.choice([0, 1, 1, 1], (count, 1))
    middle[:2], width[:2] = [[3e5], [-1e39]], [[1e6], [3e39]]
    return middle - width / 2, middle + width / 2


def inside(rng: np.random.Generator, box: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Members, (count, samples): both ends, and whatever lies near zero as well."""
    share = rng.random((len(box[0]), SAMPLES))
    share[:, :2] = 0, 1
    found = box[0] + (box[1] - box[0]) * share
    found[:, 2 : SAMPLES // 2] = rng.normal(size=(len(found), SAMPLES // 2 - 2)) * 4
    return np.clip(found, *box)


@pytest.mark.parametrize("name", CURVES)
def test_values_slopes_and_bends_are_as_claimed(name: str) -> None:
    act, exact = CURVES[name]
    rng = np.random.default_rng(0)
    stops = [-60.0, *act.knots, 60.0]
    for piece, (start, stop) in enumerate(itertools.pairwise(stops)):
        near = np.array([start, stop])[:, None] + [1e-9, -1e-9, 1e-4, -1e-4]
        x = np.concatenate([rng.uniform(start, stop, 60), near.ravel(), rng.normal(size=40)])
        x = x[(start < x) & (x < stop)]
        slopes, values = act.slopes[piece](x), act.value(x)
        for k, place in enumerate(map(mp.mpf, x.tolist())):
            off = ERROR * (abs(exact(place)) + act.steep * abs(place)) + mp.mpf(1e-250)
            assert abs(values[k] - exact(place)) <= off / 2
            true = mp.diff(exact, place, h=mp.mpf(10) ** -20)
            assert abs(slopes[k] - true) <= ERROR * act.steep / 2
            assert abs(true) <= act.steep
            assert mp.diff(exact, place, 2, h=mp.mpf(10) ** -15) * act.bends[piece] >= -1e-25


@pytest.mark.parametrize("name", CURVES)
def test_remainders_contain_samples_and_are_tight(name: str) -> None:
    act, exact = CURVES[name]
    rng = np.random.default_rng(1)
    box = boxes(rng)
    slope = rng.normal(size=(BOXES, 1)) * rng.choice([0, 0.1, 0.5, 1, 30], (BOXES, 1))
    lower, upper = act.remainder(box, slope)
    x = inside(rng, box)
    seen = act.value(x) - slope * x
    for k, row in enumerate(np.stack([seen.argmin(1), seen.argmax(1)], 1)):
        for place in {0, 1, *row.tolist()}:
            point = mp.mpf(float(x[k, place]))
            true = exact(point) - mp.mpf(float(slope[k, 0])) * point
            assert lower[k, 0] <= true <= upper[k, 0]
    usual = (box[1] - box[0] < 30)[:, 0] & (np.abs(box[0]) < 30)[:, 0]
    every = np.linspace(box[0][usual, 0], box[1][usual, 0], 5001, axis=1)
    every[:, 1 : 1 + len(act.knots)] = np.clip(act.knots, box[0][usual], box[1][usual])
    seen = act.value(every) - slope[usual] * every
    room = np.ptp(seen, 1) * 1e-5 + 1e-10 * (1 + np.abs(slope[usual, 0])) * 30
    assert (seen.min(1) - lower[usual, 0] <= room).all()
    assert (upper[usual, 0] - seen.max(1) <= room).all()


@pytest.mark.parametrize("name", CURVES)
def test_sectors_contain_difference_quotients(name: str) -> None:
    act, exact = CURVES[name]
    rng = np.random.default_rng(2)
    box = boxes(rng)
    lower, upper = act.sector(box)
    x = inside(rng, box)
    for k in range(BOXES):
        for first, second in ((x[k, 0], x[k, 1]), *np.sort(x[k]).reshape(-1, 2)[::20]):
            if first != second:
                a, b = mp.mpf(float(first)), mp.mpf(float(second))
                assert lower[k, 0] <= (exact(b) - exact(a)) / (b - a) <= upper[k, 0]


@pytest.mark.parametrize(
    ("first", "second"),
    [*((name, name) for name in CURVES), ("tanh", "sigmoid"), ("silu", "hard swish"),
     *itertools.product(["gelu"], OTHERS), *itertools.product(OTHERS, ["sigmoid"])],
)  # fmt: skip
def test_differences_contain_samples(first: str, second: str) -> None:
    (f, f_exact), (g, g_exact) = SCALARS[first], SCALARS[second]
    rng = np.random.default_rng(3)
    z, shift = boxes(rng), boxes(rng)
    scale = 10.0 ** rng.integers(-6, 1, (BOXES, 1))
    drift = shift[0] * scale, shift[1] * scale
    y = np.nextafter(z[0] + drift[0], -np.inf), np.nextafter(z[1] + drift[1], np.inf)
    slopes = [rng.normal(size=(BOXES, 1)), rng.normal(size=(BOXES, 1)) * rng.choice([0, 1])]
    s, t = slopes
    lower, upper = difference(f, g, [z, y, drift], slopes)
    for k in range(BOXES):
        for share in ((0, 0), (0, 1), (1, 0), (1, 1), *rng.random((6, 2))):
            own, off = (
                clamped(mp.mpf(float(low)) + mp.mpf(float(p)) * (mp.mpf(float(high)) - float(low)),
                        float(low), float(high))
                for p, (low, high) in zip(
                    share, [(z[0][k, 0], z[1][k, 0]), (drift[0][k, 0], drift[1][k, 0])],
                    strict=True)
            )  # fmt: skip
            value = g_exact(own + off) - f_exact(own)
            value = value - mp.mpf(float(s[k, 0])) * off - mp.mpf(float(t[k, 0])) * own
            assert lower[k, 0] <= value <= upper[k, 0]


def test_slopes_beside_knots_that_are_rounded() -> None:
    """Over the few numbers between a knot as it is computed and as it is, the line rises."""
    rng, missed = np.random.default_rng(0), 0
    for alpha, beta in rng.uniform(0.05, 3, (500, 2)).astype(np.float32).tolist():
        true = -Fraction(beta) / Fraction(alpha), (1 - Fraction(beta)) / Fraction(alpha)
        act = curve.hard_sigmoid(alpha, beta)
        for knot, exact, side in zip(act.knots, true, (1, -1), strict=True):
            place = np.full((1, 1), knot)
            ends = np.nextafter(place, -np.inf), np.nextafter(place, np.inf)
            for low, high in ((ends[0], place), (place, ends[1]), (place, place)):
                inner, outer = (low, high) if side < 0 else (high, low)
                rises = (Fraction(float(inner[0, 0])) - exact) * side > 0
                least, most = act.sector((low, high))
                missed += not rises
                assert not rises or most[0, 0] >= alpha
                assert (Fraction(float(outer[0, 0])) - exact) * side >= 0 or least[0, 0] <= 0
    assert missed
