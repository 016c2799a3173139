"""The symbols, checked against the graph run forward."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from lipcert.errors import Unsound
from lipcert.graph.layer_graph import LayerGraph
from lipcert.lipschitz.fourier.factor import applied
from lipcert.lipschitz.fourier.forms import Block
from lipcert.lipschitz.fourier.level import Level, half
from lipcert.lipschitz.fourier.program import Program
from lipcert.ops.kinds import Affine
from lipcert.sets.enclosure import Interval

TOLERANCE = 1e-7
SPARE = 4  # times the symbols' error: for theirs, and for the forward pass's own


def check(graph: LayerGraph, slopes: dict[str, Interval], program: Program) -> None:
    """Random increments of all channels, forward through the operations and through the symbols.

    Raises:
        Unsound: the two disagree, a bug in an operation or in its symbol.
    """
    given, values = _increments(graph, slopes, program)
    waves: dict[int, Tensor] = {}
    peaks: dict[int, float] = {}
    for number, block in enumerate(program.blocks):
        actual = values[block.source]
        if block.reads:
            read = applied(program, block, waves)
            room = SPARE * _error(program, block, peaks)
            _compare(block.name, _in_space(read, block.level), actual, room)
        own = given[block.name] if block.moves else actual
        waves[number], peaks[number] = _in_waves(own, block.level), float(own.abs().max())


def _increments(
    graph: LayerGraph, slopes: dict[str, Interval], program: Program
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Random increments of the activations' blocks, and what follows from them at every node."""
    generator = torch.Generator().manual_seed(0)
    levels = {block.name: block.level for block in program.blocks if block.moves}
    given: dict[str, Tensor] = {}
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        fresh = torch.randn(1, *node.shape, generator=generator, dtype=torch.float64)
        if node.op is None:
            values[node.name] = fresh
        elif isinstance(node.op, Affine):
            values[node.name] = node.op.linear(*(values[name] for name in node.inputs))
        else:
            sector, level = slopes[node.name], levels[node.name]
            whole = node.shape[1:] in ((level.height, level.width), ())
            ends = [
                e.expand(1, *node.shape).reshape(1, node.shape[0], -1)
                for e in (sector.lower, sector.upper)
            ]
            low, high = ends[0].amin(2), ends[1].amax(2)
            if not whole:
                low, high = low.clamp(max=0), high.clamp(min=0)
            shape = (1, -1, *[1] * (len(node.shape) - 1))
            given[node.name] = fresh
            below = values[node.inputs[0]]
            values[node.name] = low.view(shape) * below + (high - low).view(shape) * fresh
    return given, values


def _in_waves(value: Tensor, level: Level) -> Tensor:
    """A map (1, channels, ...) on its torus, at the kept frequencies, (kept, channels)."""
    grid = value.reshape(value.shape[1], *(value.shape[2:] or (1, 1)))
    room = (0, level.width - grid.shape[2], 0, level.height - grid.shape[1])
    kept = half(level)
    whole = torch.fft.fft2(torch.nn.functional.pad(grid, room), norm="ortho")
    return whole[:, kept.rows, kept.columns].T


def _in_space(waves: Tensor, level: Level) -> Tensor:
    """Back: (channels, height, width)."""
    kept = half(level)
    every = waves[kept.place]
    every[kept.flipped] = every[kept.flipped].conj()
    return torch.fft.ifft2(every.T.unflatten(1, (level.height, level.width)), norm="ortho").real


def _error(program: Program, block: Block, peaks: Mapping[int, float]) -> float:
    """About what the symbols that a block reads may be off by, at any of its positions."""
    total = 0.0
    for j, wave in block.reads.items():
        folds = program.blocks[j].level.frequencies / block.level.frequencies
        total += wave.error * float(wave.size.sum(1).max()) * math.sqrt(folds) * peaks[j]
    return total


def _compare(name: str, found: Tensor, actual: Tensor, room: float) -> None:
    """On the map itself; what nearly cancels there is right to the symbols' own error."""
    expected = actual.reshape(actual.shape[1], *(actual.shape[2:] or (1, 1)))
    seen = found[:, : expected.shape[1], : expected.shape[2]]
    size = float(expected.abs().max()) + 1e-300
    if float((seen - expected).abs().max()) > TOLERANCE * size + room:
        raise Unsound(
            f"Fourier LipSDP: the symbols that '{name}' reads are not those of the network; "
            "this is a bug in lipcert: please report it with the file"
        )
