"""LipSDP with one multiplier per channel, for networks on feature maps."""

import math
import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lipcert.graph.layer_graph import Node
from lipcert.lipschitz.fourier.check import check
from lipcert.lipschitz.fourier.descent import descended
from lipcert.lipschitz.fourier.factor import solved, start
from lipcert.lipschitz.fourier.program import Program, program
from lipcert.lipschitz.fourier.verify import verified
from lipcert.lipschitz.relaxation import Multipliers, Proved, Relaxation, Task
from lipcert.numeric.norm import Norm
from lipcert.report.number import above
from lipcert.sets.enclosure import Interval

MOST = 1 << 14  # frequencies of a torus
COPIES = 6  # of the factor, during a verification
INFLATIONS = tuple(4.0**k * 1e-14 for k in range(22))  # up to a twentieth of rho


@dataclass(frozen=True)
class FourierSdp(Relaxation):
    """Block-diagonal over the frequencies of a torus that holds the zero-padded network."""

    words: ClassVar[str] = "LipSDP per channel"
    norms: ClassVar[frozenset[Norm]] = frozenset({Norm.TWO})

    def prove(self, task: Task) -> Proved | None:
        """Verified after the search, apart from how the multipliers were found."""
        found: list[tuple[float, float, dict[str, Tensor]]] = []
        for row in range(task.rows):
            sectors = {
                name: Interval(sector.lower[row : row + 1], sector.upper[row : row + 1])
                for name, sector in task.slopes.items()
            }
            made = program(task.graph, sectors, MOST)
            if made is None or COPIES * made.size() > task.placement.budget():
                return None
            check(task.graph, sectors, made)
            found.append(_searched(made, task, row))
        upper, inflation = (
            torch.tensor([f[k] for f in found], dtype=torch.float64) for k in (0, 1)
        )
        nodes = task.graph.by_name()
        multipliers = tuple(
            _spread(row, nodes[name], weights * upper[row] ** 2)
            for row, (_, _, best) in enumerate(found)
            for name, weights in best.items()
            if name in nodes
        )
        return Proved(upper, None, inflation, multipliers)


def _spread(row: int, node: Node, weights: Tensor) -> Multipliers:
    """Of channels as those of all their neurons; others on the torus are no neurons."""
    neurons = torch.Size(node.shape).numel()
    every = weights.repeat_interleave(neurons // len(weights))
    return Multipliers(row, node.name, torch.arange(neurons), every)


def _searched(made: Program, task: Task, row: int) -> tuple[float, float, dict[str, Tensor]]:
    """Constant, inflation and multipliers of one region."""
    until = time.perf_counter() + task.limit_seconds

    def told(constant: float) -> None:
        task.searching(f"LipSDP per channel: {above(constant)}", row, task.rows)

    best = start(made)
    if best:
        best = descended(lambda weights: solved(made, weights), best, until, told)
    square = solved(made, best).constant
    names = {block.name: weights for block, weights in zip(made.multiplied, best, strict=True)}
    for inflation in INFLATIONS:
        rho = square * (1 + inflation)
        if math.isfinite(rho) and rho > 0 and verified(made, best, rho):
            return math.nextafter(math.sqrt(rho), math.inf), inflation, names
    return math.inf, math.inf, names
