"""LipSDP: one multiplier per neuron, the tightest where its matrices fit."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from lipcert.lipschitz.relaxation import Multipliers, Proved, Relaxation, Task
from lipcert.numeric.norm import Norm
from lipcert.ops.conv import Conv
from lipcert.ops.kinds import Coupled
from lipcert.report.number import above, below
from lipcert.sdp import Chain, LipschitzProof, Progress, search
from lipcert.sets.enclosure import Interval

LARGEST = 6000  # inputs, neurons and outputs together, for a search
STARTED = 12000  # likewise where the multipliers that a search begins with are proved
CUBES = 6e10  # of their layers' sizes, summed: about a minute's work


@dataclass(frozen=True)
class LipSdp(Relaxation):
    """The semidefinite program of `lipcert.sdp`, row by row."""

    words: ClassVar[str] = "LipSDP"
    norms: ClassVar[frozenset[Norm]] = frozenset({Norm.TWO})

    def prove(self, task: Task) -> Proved | None:
        """Verified after the search, apart from how the multipliers were found."""
        limit = _limit(task)
        if limit is None:
            return None
        found = [_row(task, row, limit) for row in range(task.rows)]
        upper, lower, inflation = (
            torch.tensor([getattr(proof, name) for _, proof in found], dtype=torch.float64)
            for name in ("upper", "relaxation_lower", "inflation")
        )
        return Proved(upper, lower, inflation, _multipliers(found))


def _limit(task: Task) -> float | None:
    """Seconds of a search, none for a dense network of many neurons; None where nothing fits."""
    nodes = task.graph.nodes
    counted = (nodes[0], nodes[-1], *(n for n in nodes if n.name in task.slopes))
    if any(isinstance(node.op, Coupled) for node in nodes):
        return None
    sizes = [torch.Size(node.shape).numel() for node in counted]
    if sum(sizes) <= LARGEST:
        return task.limit_seconds
    fits = sum(sizes) <= STARTED and sum(size**3 for size in sizes) <= CUBES
    dense = not any(isinstance(node.op, Conv) for node in nodes)
    return 0.0 if fits and dense else None


def _row(task: Task, row: int, limit: float) -> tuple[Chain, LipschitzProof]:
    """One region's proof."""
    sectors = {
        name: Interval(sector.lower[row : row + 1], sector.upper[row : row + 1])
        for name, sector in task.slopes.items()
    }
    chain = Chain.of(task.graph, sectors)

    def told(progress: Progress) -> None:
        sides = f"{below(progress.lower)} to {above(progress.upper)}"
        gap = f", gap {progress.gap:.2%}" if math.isfinite(progress.gap) else ""
        task.searching(f"LipSDP, {progress.stage}: {sides}{gap}", row, task.rows)

    return chain, search(chain, told, limit)


def _multipliers(found: list[tuple[Chain, LipschitzProof]]) -> tuple[Multipliers, ...]:
    """Of every row and layer, for the neurons that are in the program."""
    return tuple(
        Multipliers(row, layer.name, torch.from_numpy(layer.neurons), torch.from_numpy(weights))
        for row, (chain, proof) in enumerate(found)
        for layer, weights in zip(chain.layers, proof.multipliers, strict=True)
    )
