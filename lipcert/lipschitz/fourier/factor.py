"""Block Cholesky factors of the LMI, row by row, all frequencies at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.lipschitz.fourier.forms import Block
from lipcert.lipschitz.fourier.level import folded, half, spread
from lipcert.lipschitz.fourier.program import Program, coupling

LEAST = 1e-60  # of what a block sees: more than one that hardly moves, and no overflow
Blocks = dict[tuple[int, int], Tensor]  # (row, column): (kept of the column's level, rows, columns)


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """What multipliers give.

    Args:
        constant: square of the Lipschitz constant; infinite where they are not feasible.
        gradient: by every multiplier, per block.
    """

    constant: float
    gradient: tuple[Tensor, ...]


def applied(program: Program, block: Block, vectors: Mapping[int, Tensor]) -> Tensor:
    """What a block reads, from vectors (kept, channels) on earlier ones."""
    total = torch.zeros(len(half(block.level).rows), len(next(iter(block.reads.values())).size))
    total = total.to(torch.complex128)
    for j, wave in block.reads.items():
        part = (wave.values @ vectors[j][..., None])[..., 0]
        total = total + folded(part, program.blocks[j].level, block.level)
    return total


def row(program: Program, k: int, couplings: Mapping[int, Tensor], done: Blocks) -> Tensor:
    """Factor blocks left of the diagonal, put into `done`; the sum of their squares is returned."""
    blocks = program.blocks
    total = torch.zeros(len(half(blocks[k].level).rows), blocks[k].channels, blocks[k].channels).to(
        torch.complex128
    )
    for j in program.pattern[k]:
        rest = couplings.get(j)
        for i in program.pattern[j]:
            if (k, i) in done:
                part = folded(done[k, i] @ done[j, i].mH, blocks[i].level, blocks[j].level)
                rest = -part if rest is None else rest - part
        assert rest is not None
        done[k, j] = torch.linalg.solve_triangular(done[j, j], rest.mH, upper=False).mH
        total = total + folded(done[k, j] @ done[k, j].mH, blocks[j].level, blocks[k].level)
    return total


def start(program: Program) -> tuple[Tensor, ...]:
    """Feasible multipliers: per block one number, half of what would be too large.

    Source: Xu, Sivaranjani, ECLipsE, NeurIPS 2024 (ECLipsE-Fast), per channel and frequency.
    """
    done: Blocks = {(0, 0): _eye(program, 0)}
    found: list[Tensor] = []
    for k, block in enumerate(program.multiplied, 1):
        ones = torch.ones(block.channels, dtype=torch.float64)
        couplings = {j: coupling(wave, ones) for j, wave in block.reads.items()}
        square = row(program, k, couplings, done)
        largest = float(torch.linalg.eigvalsh(square)[:, -1].max())
        number = 0.5 / max(largest, LEAST)
        for j in program.pattern[k]:
            done[k, j] = done[k, j] * number
        found.append(ones * number)
        done[k, k] = torch.linalg.cholesky(number * _eye(program, k) - number**2 * square)
    return tuple(found)


def _eye(program: Program, k: int) -> Tensor:
    block = program.blocks[k]
    eye = torch.eye(block.channels, dtype=torch.complex128)
    return eye.expand(len(half(block.level).rows), -1, -1).contiguous()


def solved(program: Program, multipliers: Sequence[Tensor]) -> Solved:
    """Constant and gradient, by the envelope theorem: one solve with the top eigenvector."""
    done: Blocks = {(0, 0): _eye(program, 0)}
    last = len(program.blocks) - 1
    for k, block in enumerate(program.multiplied, 1):
        weights = multipliers[k - 1]
        couplings = {j: coupling(wave, weights) for j, wave in block.reads.items()}
        square = row(program, k, couplings, done)
        pivot = torch.diag(weights).to(square) - square
        done[k, k], failed = torch.linalg.cholesky_ex(pivot)
        if bool(failed.any()):
            return Solved(torch.inf, ())
    waves = program.blocks[last].reads
    square = row(program, last, {j: coupling(wave, None) for j, wave in waves.items()}, done)
    values, vectors = torch.linalg.eigh(square)
    worst = int(values[:, -1].argmax())
    constant = float(values[worst, -1])
    top = torch.zeros_like(vectors[:, :, -1])
    top[worst] = vectors[worst, :, -1]
    return Solved(constant, _gradient(program, done, top, worst))


def _gradient(program: Program, done: Blocks, top: Tensor, worst: int) -> tuple[Tensor, ...]:
    """-|b|^2 + Re b^* z of the vector that the constant is attained at."""
    blocks, last = program.blocks, len(program.blocks) - 1
    solution: dict[int, Tensor] = {last: -top}
    for j in range(last - 1, -1, -1):
        rest: Tensor | None = None
        for k in range(j + 1, last + 1):
            if (k, j) in done:
                above = spread(solution[k], blocks[j].level, blocks[k].level)
                part = (done[k, j].mH @ above[..., None])[..., 0]
                rest = -part if rest is None else rest - part
        assert rest is not None, "every block is read"
        solution[j] = torch.linalg.solve_triangular(done[j, j].mH, rest[..., None], upper=True)[
            ..., 0
        ]
    share = 1 / float(half(blocks[last].level).weight[worst])
    found: list[Tensor] = []
    for k, block in enumerate(program.multiplied, 1):
        z, b = applied(program, block, solution), solution[k]
        local = (b.conj() * (z - b)).real * half(block.level).weight[:, None]
        found.append(share * local.sum(0))
    return tuple(found)
