r"""LipSDP with a multiplier per channel, block-diagonal over frequencies.

Multipliers that do not vary over a map make the LMI of LipSDP commute with shifts of the torus, so
the Fourier transform splits it. For increments b of slopes 0 to 1, that read z,

    |x|^2 - sum_k Re lambda_k b_k^* (z_k - b_k) >= |y|^2 / rho

proves |y| <= sqrt(rho) |x|. The torus holds the zero-padded network: neurons outside a map are
neurons of slope zero.

Source: M. Fazlyab et al., Efficient and accurate estimation of Lipschitz constants for deep neural
networks, NeurIPS 2019 (Theorem 2, one multiplier per neuron).
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph
from lipcert.lipschitz.fourier.forms import Block, Form, Forms, NotAMapError, torus
from lipcert.lipschitz.fourier.level import Level, half
from lipcert.lipschitz.fourier.wave import Wave, diagonal
from lipcert.sets.enclosure import Interval

Pattern = tuple[tuple[int, ...], ...]  # per row, the columns of the factor left of the diagonal


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Blocks in the order of elimination: the input first, the output last.

    Args:
        blocks: finer tori first.
        pattern: of the factor.
    """

    blocks: tuple[Block, ...]
    pattern: Pattern

    @property
    def multiplied(self) -> tuple[Block, ...]:
        """Blocks with multipliers: all but the input and the output."""
        return self.blocks[1:-1]

    def size(self) -> int:
        """Bytes of the factor."""
        blocks = self.blocks
        entries = sum(
            len(half(blocks[j].level).rows) * block.channels * blocks[j].channels
            for block, columns in zip(blocks, self.pattern, strict=True)
            for j in columns
        )
        return 16 * entries


def program(graph: LayerGraph, slopes: dict[str, Interval], most: int) -> Program | None:
    """The program of a network of maps; None where it is no such network, or too large.

    Args:
        graph: one input; no softmax.
        slopes: sectors of one region, (1, *shape).
        most: frequencies of the torus.
    """
    try:
        level = torus(graph)
        if level.frequencies == 1 or level.frequencies > most:
            return None
        forms = _walked(graph, slopes, level)
        end = forms.form(graph.output.name)
    except NotAMapError:
        return None
    name, channels = graph.output.name, graph.output.shape[0]
    output = Block(name, name, channels, end.level, end.reads)
    return _ordered([*forms.blocks, output])


def _walked(graph: LayerGraph, slopes: dict[str, Interval], level: Level) -> Forms:
    channels = graph.input.shape[0]
    forms = Forms(graph.by_name(), slopes)
    name = graph.input.name
    forms.blocks.append(Block(name, name, channels, level, {}))
    ones = torch.ones(channels, dtype=torch.float64)
    forms.forms[name] = Form({0: diagonal(level, ones)}, level, clean=True)
    for node in graph.nodes[1:]:
        forms.add(node)
    return forms


def _ordered(blocks: list[Block]) -> Program | None:
    """Finer tori first; None where two tori do not divide each other."""
    order = sorted(range(len(blocks) - 1), key=lambda k: -blocks[k].level.frequencies)
    order.append(len(blocks) - 1)
    number = {old: new for new, old in enumerate(order)}
    placed = [
        replace(b, reads={number[j]: wave for j, wave in b.reads.items()})
        for b in (blocks[old] for old in order)
    ]
    chain = all(a.level.refines(b.level) for a, b in pairwise(placed))
    return Program(tuple(placed), _pattern(placed)) if chain else None


def _pattern(blocks: list[Block]) -> Pattern:
    """Columns of each row of the factor, fill included."""
    rows: list[tuple[int, ...]] = []
    below: list[set[int]] = [set(block.reads) for block in blocks]
    for k in range(len(blocks)):
        columns = set(below[k])
        for j in range(k):
            shares = any(i in columns and i in rows[j] for i in range(j))
            if j not in columns and shares:
                columns.add(j)
        rows.append(tuple(sorted(columns)))
    return tuple(rows)


def coupling(wave: Wave, multipliers: Tensor | None) -> Tensor:
    """Off-diagonal block of the LMI: -lambda W / 2 of a layer, W of the output."""
    return wave.values if multipliers is None else wave.values * (-0.5 * multipliers)[:, None]
