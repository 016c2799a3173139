r"""Proof that multipliers certify a constant, apart from how they were found.

The LMI is scaled by powers of two, shifted by c and factored, frequency by frequency. With the
computed factor L, P = L L^* + c I + R, so P is nonnegative as soon as |R| <= c. R is bounded block
by block: what the computed residual shows, its rounding, and what the symbols may be off by. A
block between two tori is, per coarse frequency, a row of blocks, one per frequency that folds to
it. Nothing is assumed of the factorisation.
Source: S. Rump, Verification of positive definiteness, BIT 46 (2006); N. Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., sec. 3.1 and 3.5.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lipcert.lipschitz.fourier.factor import Blocks, row
from lipcert.lipschitz.fourier.level import Level, folded, half
from lipcert.lipschitz.fourier.program import Program
from lipcert.numeric.rounding import gamma, unit_roundoff

DOUBLE = torch.float64
UNIT = unit_roundoff(DOUBLE)
SPARE = 16
TINY = 1e-280  # far above what underflow of scaled entries can add
ROUNDINGS = 1 + 2.0**-20  # of the sums of bounds below


def verified(program: Program, multipliers: Sequence[Tensor], rho: float) -> bool:
    """Whether sqrt(rho) is proved to be a Lipschitz constant by these multipliers.

    Args:
        program: the network on its torus.
        multipliers: per block between input and output, (channels,).
        rho: square of the constant.
    """
    weights = [torch.ones(program.blocks[0].channels, dtype=DOUBLE), *multipliers]
    weights.append(torch.full((program.blocks[-1].channels,), rho, dtype=DOUBLE))
    if not all(bool((w.isfinite() & (w > 0)).all()) for w in weights):
        return False
    scale = [torch.exp2(-torch.round(torch.log2(w) / 2)) for w in weights]
    couplings, doubt = _couplings(program, weights, scale)
    diagonal = [w * s * s for w, s in zip(weights, scale, strict=True)]
    shift = 4 * (_worst(doubt) + _guess(program))
    for _ in range(3):
        done = _factored(program, couplings, diagonal, shift)
        if done is None:
            return False
        found = _worst(doubt + _residual(program, couplings, diagonal, shift, done))
        if found <= shift:
            return True
        shift = 2 * found
    return False


def _couplings(
    program: Program, weights: list[Tensor], scale: list[Tensor]
) -> tuple[Blocks, Tensor]:
    """Scaled blocks below the diagonal, and bounds on the norms of their errors."""
    count = len(program.blocks)
    found: Blocks = {}
    doubt = torch.zeros(count, count, dtype=DOUBLE)
    for k, block in enumerate(program.blocks):
        left = scale[k] if k == count - 1 else 0.5 * weights[k] * scale[k]
        sign = 1 if k == count - 1 else -1
        for j, wave in block.reads.items():
            found[k, j] = sign * left[:, None] * wave.values * scale[j]
            off = left[:, None] * wave.size * scale[j] * (wave.error + 8 * UNIT)
            folds = program.blocks[j].level.frequencies / block.level.frequencies
            doubt[k, j] = float(off.norm()) * math.sqrt(folds) * ROUNDINGS + TINY
    return found, doubt


def _guess(program: Program) -> float:
    """About what rounding will add: enough, or the shift is raised."""
    widest = max(block.channels for block in program.blocks)
    return gamma(_terms(program), DOUBLE) * widest * len(program.blocks)


def _terms(program: Program) -> int:
    """At least the longest sum in an entry of L L^*."""
    channels = sum(block.channels for block in program.blocks)
    return 2 * channels + program.blocks[0].level.frequencies + len(program.blocks) + SPARE


def _factored(
    program: Program, couplings: Blocks, diagonal: list[Tensor], shift: float
) -> Blocks | None:
    """A candidate for the factor; None where there is none."""
    done: Blocks = {}
    for k in range(len(program.blocks)):
        square = row(program, k, {j: couplings[k, j] for j in program.blocks[k].reads}, done)
        pivot = torch.diag(diagonal[k] - shift).to(square) - square
        done[k, k], failed = torch.linalg.cholesky_ex(pivot)
        if bool(failed.any()):
            return None
    return done


def _residual(
    program: Program, couplings: Blocks, diagonal: list[Tensor], shift: float, done: Blocks
) -> Tensor:
    """Bounds on the norms of the blocks of P - c I - L L^*, lower triangle."""
    count = len(program.blocks)
    bounds = torch.zeros(count, count, dtype=DOUBLE)
    for a in range(count):
        for b in range(a + 1):
            given = couplings.get((a, b))
            if a == b:
                given = torch.diag(diagonal[a] - shift).to(torch.complex128)
                given = given.expand(len(half(program.blocks[a].level).rows), -1, -1)
            bounds[a, b] = _block(program, (a, b), given, done)
    return bounds


def _block(program: Program, at: tuple[int, int], given: Tensor | None, done: Blocks) -> float:
    """Bound on the norm of one block of the residual."""
    a, b = at
    here = program.blocks[b].level
    rest, size = given, _length(given) if given is not None else None
    for j in range(b + 1):
        if (a, j) not in done or (b, j) not in done:
            continue
        level = program.blocks[j].level
        part = folded(_product(done[a, j], done[b, j]), level, here)
        reach = folded(_length(done[a, j]) * _length(done[b, j]), level, here)
        rest, size = (-part, reach) if rest is None or size is None else (rest - part, size + reach)
    if rest is None or size is None:
        return 0.0
    slack = 4 * gamma(_terms(program), DOUBLE)
    bound = (_length(rest) * (1 + slack) + slack * size) * ROUNDINGS + TINY
    return _norm(bound, here, program.blocks[a].level)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Left times the adjoint of right, by sums of products of real numbers."""
    a, b = (torch.view_as_real(part.resolve_conj()) for part in (left, right))
    both = torch.cat([b[..., 0], b[..., 1]], -1).mT
    real = torch.cat([a[..., 0], a[..., 1]], -1) @ both
    imaginary = torch.cat([a[..., 1], -a[..., 0]], -1) @ both
    return torch.complex(real, imaginary)


def _length(blocks: Tensor) -> Tensor:
    """Frobenius norm of every block, (kept,), rounded up."""
    parts = torch.view_as_real(blocks.resolve_conj()).flatten(1)
    return parts.square().sum(1).sqrt() * ROUNDINGS


def _norm(lengths: Tensor, fine: Level, coarse: Level) -> float:
    """Of a block that has at most these norms at the frequencies of the finer torus."""
    return float(folded(lengths.square(), fine, coarse).sqrt().max()) * ROUNDINGS


def _worst(bounds: Tensor) -> float:
    """Largest row sum of a symmetric matrix of norms, given below its diagonal: a norm of it."""
    whole = bounds + torch.tril(bounds, -1).mT
    return float(whole.sum(1).max()) * ROUNDINGS
