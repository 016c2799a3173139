"""Norms of single layers: never below the true one, and close above."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lipcert.gain import symbol
from lipcert.gain.affine import affine_gain, dense
from lipcert.gain.symbol import conv_norm_upper
from lipcert.numeric.circle import ROOT_ERROR, roots_of_unity
from lipcert.numeric.norm import Norm
from lipcert.numeric.spectral import largest_eigenvalue_upper, spectral_norm_upper
from lipcert.ops.add import Add
from lipcert.ops.concat import Concat
from lipcert.ops.conv import Conv
from lipcert.ops.kinds import Affine
from lipcert.ops.linear import Linear
from lipcert.ops.pad import Pad
from lipcert.ops.scale import Scale
from lipcert.ops.select import Select


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def conv(weight: Tensor, shape: tuple[int, ...], **options: object) -> Conv:
    return replace(Conv(weight, torch.zeros(len(weight)).double(), shape), **options)


CONVS = {
    "same": conv(normal(4, 3, 3, 3), (3, 7, 6), pads=(1, 1, 1, 1)),
    "valid": conv(normal(4, 3, 3, 2), (3, 7, 6)),
    "strided": conv(normal(4, 3, 3, 3), (3, 8, 9), pads=(0, 1, 1, 0), stride=(2, 3)),
    "sparse": conv(normal(4, 3, 2, 3), (3, 9, 9), pads=(2, 2, 2, 2), dilation=(2, 2)),
    "both": conv(normal(4, 3, 3, 3), (3, 9, 9), pads=(2, 1, 0, 3), stride=(2, 2), dilation=(3, 1)),
    "groups": conv(normal(6, 2, 3, 3), (4, 6, 6), pads=(1, 1, 1, 1), groups=2),
    "depthwise": conv(normal(3, 1, 3, 3), (3, 6, 6), pads=(1, 1, 1, 1), stride=(2, 2), groups=3),
    "wide": conv(normal(2, 2, 5, 5), (2, 3, 3), pads=(2, 2, 2, 2)),
    "whole": conv(normal(2, 3, 4, 4), (3, 4, 4)),
    "mean": conv(torch.ones(3, 1, 6, 6).double(), (3, 6, 6), groups=3),
    "strip": conv(normal(3, 5, 9, 1), (5, 20, 1)),
    "gaps": conv(normal(3, 2, 1, 1), (2, 7, 7), stride=(3, 3)),
}


def exact_norm(op: Affine, shape: tuple[int, ...]) -> float:
    return float(torch.linalg.matrix_norm(dense(op, shape), 2))


@pytest.mark.parametrize("name", CONVS)
def test_a_convolution_is_bounded_from_its_symbol(name: str) -> None:
    op = CONVS[name]
    exact, upper = exact_norm(op, op.input_shape), conv_norm_upper(op)
    assert upper >= exact * (1 - 1e-14)
    assert upper <= 1.6 * exact  # maps as small as their kernels are the worst case


@pytest.mark.parametrize("name", ["whole", "mean", "gaps"])
def test_without_overlap_the_symbol_is_exact(name: str) -> None:
    op = CONVS[name]
    assert conv_norm_upper(op) == pytest.approx(exact_norm(op, op.input_shape), rel=1e-10)


def test_the_symbol_approaches_the_norm_on_larger_maps() -> None:
    weight, ratios = normal(3, 3, 3, 3), []
    for size in (4, 8, 16):
        op = conv(weight, (3, size, size), pads=(1, 1, 1, 1))
        ratios.append(conv_norm_upper(op) / exact_norm(op, op.input_shape))
    assert ratios == sorted(ratios, reverse=True)
    assert ratios[-1] < 1.02


@pytest.mark.parametrize("seed", range(4))
def test_sampling_the_symbol_covers_what_lies_between(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = conv(normal(2, 2, 3, 2, seed=seed), (2, 97, 89), pads=(1, 1, 1, 1))
    exact = conv_norm_upper(replace(op, input_shape=(2, 40, 40)))
    monkeypatch.setattr(symbol, "LARGEST_GRID", 400)
    fine = conv_norm_upper(op)
    monkeypatch.setattr(symbol, "LARGEST_GRID", 9)
    coarse = conv_norm_upper(op)
    assert exact <= coarse * (1 + 1e-12)
    assert fine <= coarse <= 1.15 * fine


def test_a_convolution_above_power_iteration() -> None:
    """On a map whose matrix would be too large to write out."""
    op = conv(normal(16, 8, 3, 3), (8, 64, 60), pads=(1, 1, 1, 1), stride=(2, 1))
    flipped = op.weight
    x = normal(1, 8, 64, 60, seed=1)
    for _ in range(60):
        y = torch.nn.functional.conv2d(x, flipped, None, (2, 1), (1, 1))
        x = torch.nn.functional.conv_transpose2d(y, flipped, None, (2, 1), (1, 1), (1, 0))
        x = x / x.norm()
    reached = float(torch.nn.functional.conv2d(x, flipped, None, (2, 1), (1, 1)).norm())
    assert reached <= conv_norm_upper(op) <= 1.02 * reached


AFFINE: dict[str, tuple[Affine, tuple[tuple[int, ...], ...]]] = {
    "linear": (Linear(normal(5, 7), normal(5)), ((7,),)),
    "rows": (Linear(normal(5, 7), normal(5)), ((3, 7),)),
    "conv": (CONVS["strided"], ((3, 8, 9),)),
    "scale": (Scale(normal(3, 1, 1), normal(3, 1, 1)), ((3, 4, 4),)),
    "pad": (Pad((0, 1, 1), (0, 2, 0), (3, 4, 4), 5.0), ((3, 4, 4),)),
    "select": (Select(1, (0, 1, 1, 2, 1), 4), ((3, 4, 4),)),
    "add": (Add((1, -1, 1)), ((6,), (6,), (6,))),
    "concat": (Concat(0, (2, 3)), ((2, 4, 4), (3, 4, 4))),
}


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("name", AFFINE)
def test_affine_gains_cover_the_operator(name: str, norm: Norm) -> None:
    op, shapes = AFFINE[name]
    sizes = [torch.tensor([1.0 + place], dtype=torch.float64) for place in range(len(shapes))]
    upper = float(affine_gain(op, shapes, sizes, norm))
    worst = 0.0
    for seed in range(40):
        moves = [normal(1, *shape, seed=seed + 100 * k) for k, shape in enumerate(shapes)]
        moves = [m.sign() if seed % 2 else m for m in moves]
        moves = [s * m / norm.of(m.flatten()) for s, m in zip(sizes, moves, strict=True)]
        worst = max(worst, float(norm.of(op.linear(*moves).flatten())))
    assert worst <= upper * (1 + 1e-14)
    if len(shapes) == 1:
        matrix = dense(op, shapes[0])
        exact = float(torch.linalg.matrix_norm(matrix, norm.order))
        assert exact * (1 - 1e-14) <= upper <= exact * (1 + 1e-9)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (40, 7), (6, 4, 9), (2, 3, 30, 30)])
def test_spectral_norms_lie_just_above(shape: tuple[int, ...]) -> None:
    matrix = normal(*shape)
    exact = torch.linalg.matrix_norm(matrix, 2)
    upper = spectral_norm_upper(matrix)
    assert bool((upper >= exact).all())
    assert bool((upper <= exact * (1 + 1e-10)).all())


@pytest.mark.parametrize("size", [0.0, 1e-310, 1e-160, 1e160, 1e308])
def test_spectral_norms_of_extreme_matrices(size: float) -> None:
    matrix = size * torch.eye(3, dtype=torch.float64)
    matrix[0, 0] = 0.5 * size
    assert size <= float(spectral_norm_upper(matrix)) <= size * (1 + 1e-12)


def test_equal_eigenvalues_and_negative_ones() -> None:
    assert 1 <= float(largest_eigenvalue_upper(torch.eye(20).double())) <= 1 + 1e-10
    assert -1 <= float(largest_eigenvalue_upper(-torch.eye(20).double())) <= -1 + 1e-10


@pytest.mark.parametrize("order", [1, 2, 3, 7, 8, 12, 17, 36])
def test_roots_of_unity(order: int) -> None:
    cosine, sine = roots_of_unity(order)
    angles = [2 * math.pi * k / order for k in range(order)]
    for place, angle in enumerate(angles):
        assert abs(float(cosine[place]) - math.cos(angle)) <= ROOT_ERROR + 16 * 2.0**-53
        assert abs(float(sine[place]) - math.sin(angle)) <= ROOT_ERROR + 16 * 2.0**-53
    assert float(cosine[0]) == 1
    assert float(sine[0]) == 0
