r"""Proof that multipliers certify a Lipschitz constant, apart from how they were found.

The matrix of LipSDP is scaled by powers of two, shifted by c and factored in floating point. With
the computed factor L, P = L L' + c I + R, so P is nonnegative as soon as |R| <= c in some norm.
The row sums of R are bounded by those of the computed residual, plus its rounding, plus how far
the entries of P themselves may be from the true ones. Nothing is assumed of the factorisation;
products may be summed in any order, fused or not, but not by Strassen's method.
Source: Rump, Verification of positive definiteness, BIT 46 (2006); Higham, Accuracy and Stability
of Numerical Algorithms, 2nd ed., sec. 3.1 and 3.5.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from lipcert.numeric.rounding import gamma
from lipcert.sdp.blocks import Blocks, Factor, factor
from lipcert.sdp.chain import Chain
from lipcert.sdp.maps import Array, Maps
from lipcert.sdp.quadratic import assembled

Rows = dict[int, Array]  # per block a number for each row
SPARE = 8  # roundings of one entry's few factors
UNDERFLOW = 1e-280  # far above what underflow of scaled entries can add to a row
FACTORS = 2  # roundings per entry that a product of weights has beyond its sum


def verified(chain: Chain, multipliers: Sequence[Array], rho: float) -> bool:
    """Whether sqrt(rho) is proved to be a Lipschitz constant of the chain by these multipliers.

    Args:
        chain: the network.
        multipliers: per layer, (size,).
        rho: square of the constant.
    """
    if not _usable(chain, multipliers, rho):
        return False
    matrix = assembled(chain, multipliers, rho)
    scale = _scales(matrix)
    if scale is None:
        return False
    scaled = {(i, j): scale[i][:, None] * part * scale[j] for (i, j), part in matrix.items()}
    doubt = _doubt(chain, multipliers, scale)
    sizes = (*chain.sizes, chain.output.size)
    terms = sum(sizes) + SPARE
    return positive(sizes, scaled, doubt, terms)


def positive(sizes: Sequence[int], matrix: Blocks, doubt: Rows, terms: int) -> bool:
    """Whether every symmetric matrix near the given one is proved to be nonnegative.

    Args:
        sizes: of the blocks.
        matrix: lower blocks.
        doubt: row sums of what the entries may be off by.
        terms: at least the longest sum in a product of two rows of the factor.
    """
    slack = gamma(terms + SPARE, torch.float64)
    sums = row_sums(sizes, {key: abs(part) for key, part in matrix.items()})
    length = {i: np.sqrt(np.diag(matrix[i, i]).clip(min=0)) for i in range(len(sizes))}
    guess = _rounding(sizes, matrix, length, sums, slack)
    shift = 2 * max(float((guess[i] + 2 * doubt[i]).max()) for i in guess)
    shifted = dict(matrix)
    for i, size in enumerate(sizes):
        shifted[i, i] = matrix[i, i] - shift * np.eye(size)
    done = factor(sizes, shifted)
    if done is None:
        return False
    left = row_sums(sizes, {key: abs(part) for key, part in _residual(done, shifted).items()})
    length = {i: _lengths(done, i) for i in range(len(sizes))}
    sums = {i: part + shift for i, part in sums.items()}
    rounding = _rounding(sizes, done.blocks, length, sums, slack)
    worst = float(np.max([(left[i] + rounding[i] + doubt[i]).max() for i in left]))  # NaN stays
    return worst * (1 + 2 * slack) <= shift


def row_sums(sizes: Sequence[int], matrix: Mapping[tuple[int, int], Array]) -> Rows:
    """Sums of all rows of a symmetric matrix whose lower blocks are given."""
    total = {i: np.zeros(size) for i, size in enumerate(sizes)}
    for (i, j), part in matrix.items():
        total[i] += part.sum(1)
        if i != j:
            total[j] += part.sum(0)
    return total


def _usable(chain: Chain, multipliers: Sequence[Array], rho: float) -> bool:
    """Whether shapes fit and all numbers are finite and not negative."""
    if not (np.isfinite(rho) and rho >= 0 and len(multipliers) == len(chain.layers)):
        return False
    return all(
        weights.shape == (layer.size,) and bool((np.isfinite(weights) & (weights >= 0)).all())
        for layer, weights in zip(chain.layers, multipliers, strict=True)
    )


def _scales(matrix: Blocks) -> Rows | None:
    """Powers of two that bring the diagonal near one; None where it is not positive."""
    scale: Rows = {}
    for i, part in ((i, part) for (i, j), part in matrix.items() if i == j):
        diagonal = np.diag(part)
        if not bool((diagonal > 0).all() and np.isfinite(diagonal).all()):
            return None
        scale[i] = np.exp2(-np.round(np.log2(diagonal) / 2))
    return scale


def _doubt(chain: Chain, multipliers: Sequence[Array], scale: Rows) -> Rows:
    """Row sums of the scaled matrix's distance from the exact one of the true network."""
    rounding = gamma(SPARE, torch.float64)
    last = len(chain.layers) + 1
    total = {i: np.full(len(part), UNDERFLOW) for i, part in scale.items()}
    _add_row(total, last, chain.output, scale, np.ones(chain.output.size), 0.0)
    for block, (layer, weights) in enumerate(zip(chain.layers, multipliers, strict=True), 1):
        middle = weights * (abs(layer.lower) + abs(layer.upper)) / 2
        _add_row(total, block, layer.reads, scale, middle, rounding)
        product = weights * abs(layer.lower * layer.upper)
        if product.any():
            _add_product(total, layer.reads, scale, product, len(chain.layers))
    return {i: part * (1 + 1e-6) for i, part in total.items()}


def _add_row(
    total: Rows, block: int, maps: Maps, scale: Rows, factors: Array, rounding: float
) -> None:
    """Error of factors * weight in a block row, and of its transpose."""
    for i, weight in maps.weight.items():
        error = abs(weight) * rounding
        if i in maps.error:
            error = error + maps.error[i]
        own = factors * scale[block]
        total[block] += own * (error @ scale[i])
        total[i] += scale[i] * (own @ error)


def _add_product(total: Rows, maps: Maps, scale: Rows, product: Array, sums: int) -> None:
    """Error of weight' product weight in every block that it touches, where `sums` are added."""
    sizes = {i: abs(weight) for i, weight in maps.weight.items()}
    rounding = gamma(maps.size + sums + SPARE + FACTORS, torch.float64)
    whole = sum((size @ scale[i] for i, size in sizes.items()), np.zeros(maps.size))
    errors = sum((e @ scale[i] for i, e in maps.error.items()), np.zeros(maps.size))
    for i, size in sizes.items():
        total[i] += scale[i] * (size.T @ (product * (rounding * whole + errors)))
        if i in maps.error:
            total[i] += scale[i] * (maps.error[i].T @ (product * (whole + errors)))


def _lengths(done: Factor, block: int) -> Array:
    """l2 norms of a block's rows of L, rounded up."""
    squares = sum((part**2).sum(1) for (i, _), part in done.blocks.items() if i == block)
    return np.sqrt(squares) * (1 + 1e-9)


def _rounding(
    sizes: Sequence[int], pattern: Blocks, length: Rows, sums: Rows, slack: float
) -> Rows:
    """Bound on what rounding hides in the row sums of a computed residual.

    An entry of L L' is computed up to gamma times the product of its two rows' lengths.
    """
    near = {i: np.zeros(()) for i in range(len(sizes))}
    for i, j in pattern:
        near[i] = near[i] + length[j].sum()
        if i != j:
            near[j] = near[j] + length[i].sum()
    return {i: slack * (2 * length[i] * near[i] + 2 * sums[i]) for i in near}


def _residual(done: Factor, matrix: Blocks) -> Blocks:
    """Given matrix less L L', on every block that either touches."""
    rest = dict(matrix)
    for j, rows in enumerate(done.below):
        column = (j, *rows)
        for place, i in enumerate(column):
            for k in column[: place + 1]:
                part = done.blocks[i, j] @ done.blocks[k, j].T
                rest[i, k] = rest[i, k] - part if (i, k) in rest else -part
    return rest
