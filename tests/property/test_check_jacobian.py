"""The checker's own bounds on derivatives contain what networks do, over regions and everywhere."""

from pathlib import Path

import numpy as np
import pytest
from checker_pairs import conv_pair, dense_pair, leaky_blocks

from lipcert.check.claim import evaluated
from lipcert.check.jacobian import derivatives, slopes, total, within
from lipcert.check.network import read
from lipcert.check.operation import Activation, Box, length, minus, size
from lipcert.check.reader import INPUT, CannotCheckError, Steps

ROUNDING = 1e-13  # relative, of a norm and of a quotient
SAMPLES = 300
NORMS = ("1", "2", "inf")


def network(folder: Path, seed: int) -> Steps:
    makers = dense_pair, conv_pair, lambda f, s: (leaky_blocks(f / "f.onnx", s),)
    return read(makers[seed % 3](folder, seed)[0].read_bytes())


def lowest_quotient(steps: Steps, ends: np.ndarray, norm: str) -> float:
    """No difference quotient of all pairs of inputs is proved to be larger."""
    low, high = minus(evaluated(steps, ends[1]), evaluated(steps, ends[0]))
    least = np.maximum(np.maximum(low, -high), 0)
    far = (ends[1] - ends[0]).reshape(len(least), -1)
    change, apart = (np.linalg.norm(v, float(norm), axis=1) for v in (least, far))
    return float(np.max(change / apart)) * (1 - ROUNDING)


@pytest.mark.parametrize("seed", range(12))
def test_no_difference_quotient_is_larger(seed: int, tmp_path: Path) -> None:
    rng, steps = np.random.default_rng(seed), network(tmp_path, seed)
    shape, radius = steps[INPUT].shape, float(10 ** rng.uniform(-3, 0.5))
    centre = rng.normal(size=shape)
    flat = centre.reshape(-1, 1)
    box = flat - radius, flat + radius
    ball = (flat, radius) if seed % 2 else None
    moves = rng.normal(size=(2, SAMPLES, *shape))
    if ball is None:
        moves = np.clip(moves, -1, 1) * radius * (1 - 1e-9)
    else:
        far = np.linalg.norm(moves.reshape(2, SAMPLES, -1), axis=-1)
        share = rng.random((2, SAMPLES)) ** 0.2 * (1 - 1e-9) * radius
        moves *= (share / far).reshape(2, SAMPLES, *[1] * len(shape))
    moves[1, ::2] = moves[0, ::2] * 0.999
    inside = centre + moves
    anywhere = rng.normal(size=moves.shape) * 3
    for area, ends in (((box, ball), inside), (None, inside), (None, anywhere)):
        known = derivatives(steps, slopes(steps, area))
        for norm in NORMS:
            seen = lowest_quotient(steps, ends, norm)
            assert seen > 0 or ends is inside  # a small region may saturate
            assert not within(known, norm, np.nextafter(seen, 0))
            assert norm == "2" or total(known, norm) > seen


def test_a_smaller_region_leaves_fewer_derivatives(tmp_path: Path) -> None:
    for seed in range(6):
        steps = network(tmp_path, seed)
        centre = np.random.default_rng(seed).normal(size=(int(np.prod(steps[INPUT].shape)), 1))
        areas = [((centre - r, centre + r), None) for r in (0.01, 0.1, 1.0)]
        found = [derivatives(steps, slopes(steps, area)) for area in (*areas, None)]
        for norm in ("1", "inf"):
            sums = [total(known, norm) for known in found]
            assert sums == sorted(sums)


@pytest.mark.parametrize("seed", range(40))
def test_slopes_are_those_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.choice([-np.inf, -1.0, 0.0, 0.5, 2.0, np.inf], 2, replace=False))
    below = rng.choice([0.0, 0.25, -2.0, 3.0]) if low == 0 else 0.0  # dyadic: all is exact
    act = Activation(float(low), float(high), below=below)
    ends = np.sort(rng.integers(-24, 24, (2, 60)) / 8, 0)
    least, most = act.sector((ends[0][:, None], ends[1][:, None]))
    assert (least <= most).all()
    for lower, upper, few, many in zip(*ends, least[:, 0], most[:, 0], strict=True):
        places = np.arange(lower * 8, upper * 8 + 1) / 8
        values = act.of(places)
        for step in range(1, len(places)):
            rise, run = values[step:] - values[:-step], places[step:] - places[:-step]
            assert (few * run <= rise).all()
            assert (rise <= many * run).all()
    settled = (ends[1] < min(low, high)) | ((ends[0] > low) & (ends[1] < high)) | (ends[0] > high)
    assert (least == most)[settled].all()


@pytest.mark.parametrize("seed", range(20))
def test_a_matrix_between_others_has_no_larger_norm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(rng.integers(1, 7), rng.integers(1, 5)))
    radius = np.abs(rng.normal(size=middle.shape)) * rng.choice([0.0, 1e-3, 1.0])
    box: Box = (middle - radius, middle + radius)
    for _ in range(50):
        share = rng.choice([0.0, 1.0, 0.5], middle.shape)
        matrix = np.clip(box[0] + share * (box[1] - box[0]), *box)
        for norm in NORMS:  # of the transpose: outputs are columns
            seen = float(np.linalg.norm(matrix.T, float(norm))) * (1 - ROUNDING)
            assert not within(box, norm, seen)
    exact = float(np.linalg.norm(middle, 2))
    if not radius.any():
        assert within(box, "2", exact * (1 + 1e-9))
    assert within(box, "2", float(length(length(size(box))[:, None])[0]) * 2 + 1e-100)


def test_steps_have_no_constant(tmp_path: Path) -> None:
    steps = read(dense_pair(tmp_path, 1)[1].read_bytes())
    with pytest.raises(CannotCheckError, match="steps"):
        slopes(steps, None)
