r"""LipSDP in the units that it is solved in.

Maximise t subject to $P_0 + \sum_j y_j M_j - t C' C \ge 0$: the square of the Lipschitz constant is
1 / t. Every block is scaled by its own Lipschitz constant from the input, as the starting
multipliers prove it, so that constants that grow by orders of magnitude with the depth do not
spoil the arithmetic. An input wider than all that reads it is rotated into fewer coordinates.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lipcert.sdp.blocks import Blocks, Factor, extended, factor
from lipcert.sdp.chain import Chain
from lipcert.sdp.layer import Layer
from lipcert.sdp.maps import Array
from lipcert.sdp.spectrum import largest, roughly_largest

FLAT = 1e-9  # a lower slope so near zero is searched as zero; the proof knows the true one
NARROW = 1e-4  # of a slope: sectors are searched no narrower, lest squares of slopes cancel
LEAST = 1e-60  # of what a block sees: more than one that hardly moves, and no overflow
Reads = Mapping[int, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Neurons:
    """A block of neurons in scaled units: weights per block read, and sectors."""

    reads: Reads
    lower: Array
    upper: Array

    @property
    def middle(self) -> Array:
        """Middles of the sectors."""
        return (self.lower + self.upper) / 2

    @property
    def bent(self) -> bool:
        """Whether a product of slopes adds to the blocks that are read."""
        return bool((self.lower * self.upper).any())


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """The scaled program; its variables are t and the multipliers, block by block.

    Args:
        sizes: of the blocks, the input's first.
        neurons: block k at place k - 1.
        output: scaled weights of the output per block read.
        scales: per block of neurons, and last of the output, the unit it is measured in.
        first: multipliers for which P is positive definite at t = 1/2.
        opened: whether some sector is wider than its neuron's.
    """

    sizes: tuple[int, ...]
    neurons: tuple[Neurons, ...]
    output: Reads
    scales: tuple[float, ...]
    first: Array
    opened: bool

    @property
    def places(self) -> tuple[slice, ...]:
        """Where each block of neurons stands among the multipliers."""
        return _slices(self.sizes[1:])

    @property
    def rows(self) -> tuple[slice, ...]:
        """Where each block stands in P."""
        return _slices(self.sizes)

    @property
    def sectors(self) -> tuple[list[Array], list[Array]]:
        """Lower ends of all blocks' sectors, and upper ends."""
        return [block.lower for block in self.neurons], [block.upper for block in self.neurons]

    @property
    def guarded(self) -> bool:
        """Whether a positive P leaves room for negative multipliers, which are then barred."""
        return any(bool((block.lower * block.upper > 0).any()) for block in self.neurons)

    def matrix(self, point: Array) -> Blocks:
        """P at (t, multipliers)."""
        blocks: Blocks = {(0, 0): np.eye(self.sizes[0])}
        for number, (block, place) in enumerate(zip(self.neurons, self.places, strict=True), 1):
            add(blocks, number, block, point[1:][place])
        for (i, weight), (j, other) in pairs(self.output):
            add_to(blocks, (i, j), -point[0] * (weight.T @ other))
        return blocks

    def factor(self, point: Array) -> Factor | None:
        """Cholesky factor of P; None where P is not positive definite or a variable negative."""
        return factor(self.sizes, self.matrix(point)) if bool((point > 0).all()) else None

    def constant(self, multipliers: Array) -> float:
        """Square of the scaled constant that multipliers give."""
        done = factor(self.sizes, self.matrix(np.concatenate([[0.0], multipliers])))
        return math.inf if done is None else largest(reached(done, self.output))

    def original(self, multipliers: Array) -> tuple[Array, ...]:
        """In the units of the chain, at rho = 1."""
        scales = self.scales[:-1]
        return tuple(
            multipliers[p] / scale**2 for p, scale in zip(self.places, scales, strict=True)
        )

    @classmethod
    def of(cls, chain: Chain) -> "Program":
        """Scaled, with the starting multipliers of ECLipsE-Fast.

        Eliminating a new block's own neurons leaves P - s A' r^2 A of the earlier ones, with r half
        the width of the sectors: positive as long as s is below the reciprocal of the largest
        eigenvalue of r A P^{-1} A' r. Half of that is taken, for any sectors and any branches.
        Source: Xu, Sivaranjani, ECLipsE: efficient compositional Lipschitz constant estimation
        for deep neural networks, NeurIPS 2024.
        """
        reads, output = _compressed(chain)
        width = next(iter([*reads, output]))
        size = width[0].shape[1] if 0 in width else chain.inputs
        sizes, scales = [size], [1.0]
        done = factor(sizes, {(0, 0): np.eye(size)})
        blocks: Blocks = {(0, 0): np.eye(size)}
        neurons: list[Neurons] = []
        opened = False
        for layer, maps in zip(chain.layers, reads, strict=True):
            assert done is not None, "the start is positive definite by construction"
            reading = {j: part * scales[j] for j, part in maps.items()}
            lower, upper = _searched(layer)
            opened |= bool((upper > layer.upper).any())
            block, scale = _normal(done, Neurons(reading, lower, upper))
            neurons.append(block)
            scales.append(scale)
            sizes.append(layer.size)
            done = _with_block(done, blocks, block, len(neurons))
        assert done is not None, "the start is positive definite by construction"
        output = {j: part * scales[j] for j, part in output.items()}
        end = math.sqrt(largest(reached(done, output)))
        output = {j: part / end for j, part in output.items()}
        first = np.full(sum(sizes[1:]), 0.5)
        return cls(tuple(sizes), tuple(neurons), output, (*scales[1:], end), first, opened)


def _searched(layer: Layer) -> tuple[Array, Array]:
    """Sectors that multipliers are searched for: the layer's own are inside, to rounding.

    With the same middle but a smaller width the same multipliers prove no less.
    """
    lower = np.where(abs(layer.lower) <= FLAT * layer.upper, 0.0, layer.lower)
    middle, least = (lower + layer.upper) / 2, NARROW * np.maximum(abs(lower), abs(layer.upper))
    narrow = (layer.upper - lower) / 2 < least
    return (
        np.where(narrow, middle - least, lower),
        np.where(narrow, middle + least, layer.upper),
    )


def _slices(sizes: Sequence[int]) -> tuple[slice, ...]:
    ends = np.cumsum((0, *sizes)).tolist()
    return tuple(slice(a, b) for a, b in itertools.pairwise(ends))


def pairs(reads: Reads) -> list[tuple[tuple[int, Array], tuple[int, Array]]]:
    """Blocks read, with each other and themselves, the later one first."""
    found = sorted(reads.items())
    return [(one, two) for place, one in enumerate(found) for two in found[: place + 1]]


def add(blocks: Blocks, number: int, block: Neurons, multipliers: Array) -> None:
    """What a block of neurons adds to P."""
    add_to(blocks, (number, number), np.diag(multipliers))
    for i, weight in block.reads.items():
        add_to(blocks, (number, i), -(multipliers * block.middle)[:, None] * weight)
    if block.bent:
        product = multipliers * block.lower * block.upper
        for (i, weight), (j, other) in pairs(block.reads):
            add_to(blocks, (i, j), (weight.T * product) @ other)


def add_to(blocks: Blocks, key: tuple[int, int], part: Array) -> None:
    """Sum at a place that may be empty."""
    blocks[key] = blocks[key] + part if key in blocks else part


def reached(done: Factor, reads: Reads) -> Array:
    """A P^{-1} A' of the maps A."""
    half = done.forward({block: weight.T for block, weight in reads.items()})
    return np.sum([part.T @ part for part in half.values()], axis=0)


def _normal(done: Factor, block: Neurons) -> tuple[Neurons, float]:
    """A block in the unit in which the eigenvalue that bounds its multipliers is one."""
    radius = (block.upper - block.lower) / 2
    seen = roughly_largest(radius[:, None] * reached(done, block.reads) * radius)
    scale = math.sqrt(max(seen, LEAST))
    reads = {j: part / scale for j, part in block.reads.items()}
    return Neurons(reads, block.lower, block.upper), scale


def _with_block(done: Factor, blocks: Blocks, block: Neurons, number: int) -> Factor | None:
    """The factor of P with one more block; from the start where earlier blocks change."""
    half = np.full(len(block.lower), 0.5)
    add(blocks, number, block, half)
    sizes = (*done.sizes, len(half))
    if block.bent:
        return factor(sizes, blocks)
    middle = half * block.middle
    row = {j: -middle[:, None] * part for j, part in block.reads.items()}
    return extended(done, row, np.diag(half))


def _compressed(chain: Chain) -> tuple[Sequence[Reads], Reads]:
    """Maps of all layers and of the output, the input rotated where that makes it smaller.

    The norm of the input's increment is that of its rotated coordinates and of the rest, which
    nothing reads.
    """
    reads = [dict(layer.reads.weight) for layer in chain.layers]
    output = dict(chain.output.weight)
    readers = [maps for maps in (*reads, output) if 0 in maps]
    counts = [len(maps[0]) for maps in readers]
    if 0 < sum(counts) < chain.inputs:
        columns = np.concatenate([maps[0] for maps in readers]).T
        narrow = np.linalg.qr(columns).R.T
        for maps, part in zip(readers, np.split(narrow, np.cumsum(counts)[:-1]), strict=True):
            maps[0] = part
    return reads, output
