r"""Proved upper bounds on eigenvalues and spectral norms, many matrices at a time."""

import torch
from torch import Tensor

from lipcert.errors import NotFinite
from lipcert.numeric.rounding import gamma, inflate, unit_roundoff, up

ATTEMPTS = 24  # doublings of the margin before the bound falls back on norms


def largest_eigenvalue_upper(matrix: Tensor) -> Tensor:
    r"""Upper bound on the largest eigenvalue of symmetric matrices, above by about n^2 u of it.

    With $(y I - A)$ factored as $L L^T + R$ and $\|R\| \le c$ it holds that $A \le y + c$; the
    residual is computed and its rounding bounded, so nothing is assumed of the factorisation.

    Args:
        matrix: (..., n, n) float64; the lower triangles are read and taken as exact.

    Returns:
        (...,) float64; infinite where nothing could be verified.

    Source:
        S. Rump, Verification of positive definiteness, BIT 46 (2006).
    """
    flat = matrix.reshape(-1, *matrix.shape[-2:])
    lower = torch.tril(flat)
    symmetric = lower + torch.tril(flat, -1).mT
    size, peak = flat.shape[-1], flat.abs().flatten(1).amax(1)
    guess = torch.linalg.eigvalsh(symmetric)[:, -1]
    margin = 8 * size * gamma(size + 8, flat.dtype) * torch.maximum(guess.abs(), peak)
    margin = margin + torch.finfo(flat.dtype).tiny * 2.0**60
    bound = torch.full_like(guess, torch.inf)
    for _ in range(ATTEMPTS):
        todo = ~bound.isfinite()
        if not bool(todo.any()):
            break
        level = up(guess[todo] + margin[todo])
        proved = _exceeds(symmetric[todo], level, margin[todo])
        bound[todo] = torch.where(proved, up(level + margin[todo]), torch.inf)
        margin = margin * 2
    return bound.reshape(matrix.shape[:-2])


def _exceeds(symmetric: Tensor, level: Tensor, margin: Tensor) -> Tensor:
    """Whether `level + margin` is proved to lie above every eigenvalue."""
    size, dtype = symmetric.shape[-1], symmetric.dtype
    eye = torch.eye(size, dtype=dtype)
    shifted = level[:, None, None] * eye - symmetric
    factor, failed = torch.linalg.cholesky_ex(shifted)
    residual = torch.linalg.matrix_norm(shifted - factor @ factor.mT)
    weight = inflate(factor.square().sum((1, 2)), size * size)  # >= || |L| |L|^T ||
    diagonal = shifted.diagonal(dim1=1, dim2=2).abs().amax(1)
    rounding = up(gamma(size + 4, dtype) * weight) + 4 * unit_roundoff(dtype) * diagonal
    rest = inflate(residual, 2 * size * size) + inflate(rounding, 4)
    return (failed == 0) & (up(rest) <= margin)


def spectral_norm_upper(matrix: Tensor) -> Tensor:
    r"""Upper bound on the spectral norm of each matrix, rounded up.

    The largest eigenvalue of the smaller Gram matrix, verified; never above
    $\sqrt{\|A\|_1 \|A\|_\infty}$.

    Args:
        matrix: (..., rows, columns) finite float64.

    Returns:
        (...,) u >= ||A||_2.

    Raises:
        NotFinite: an entry is NaN or infinite.
    """
    if not bool(matrix.isfinite().all()):
        raise NotFinite("spectral norm: a matrix has NaN or infinite entries")
    if matrix.numel() == 0:
        return matrix.new_zeros(matrix.shape[:-2])
    wide = matrix if matrix.shape[-2] <= matrix.shape[-1] else matrix.mT
    peak = wide.abs().amax((-2, -1))
    power = torch.ldexp(torch.ones_like(peak), torch.frexp(peak).exponent.clamp(-1000, 1000))
    scaled = wide / power[..., None, None]  # exact but for what is 1e-300 of the peak
    terms = wide.shape[-1]
    square = inflate(scaled.square().sum((-2, -1)), terms * wide.shape[-2])
    top = largest_eigenvalue_upper(scaled @ scaled.mT).clamp(min=0)
    top = up(top + inflate(gamma(terms + 2, wide.dtype) * square, terms))
    ends = up(_most(scaled.abs(), -1) * _most(scaled.abs(), -2))
    least = torch.minimum(torch.minimum(top, ends), square)
    return torch.where(peak == 0, torch.zeros_like(peak), up(up(up(torch.sqrt(least))) * power))


def _most(sizes: Tensor, axis: int) -> Tensor:
    """Upper bound on the largest sum along an axis."""
    return inflate(sizes.sum(axis), sizes.shape[axis]).amax(-1)
