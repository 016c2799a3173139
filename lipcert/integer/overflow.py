"""Which products can saturate on x86 without VNNI: found from the file, before any run."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lipcert.errors import BadInput
from lipcert.integer.dynamic import DynamicProgram
from lipcert.integer.encoding import Codes
from lipcert.integer.kernels import LEAST, MOST, pair_extremes, pairs
from lipcert.integer.program import Product, Program
from lipcert.integer.reach import Reached, reach
from lipcert.integer.run import ROWS
from lipcert.integer.unrolling import unroll
from lipcert.sets.region import Region

REMEDIES = (
    "quantise again with reduce_range=True: weights of seven bits cannot saturate",
    "quantise weights to uint8 (U8U8): those kernels add at 32 bits",
    "run with the session option session.x64quantprecision=1, which turns int8 weights to uint8",
)
Sums = tuple[NDArray[np.int64], NDArray[np.int64]]  # largest and smallest, (outputs, pairs)


@dataclass(frozen=True, slots=True)
class LayerOverflow:
    """What the sums of neighbouring products can become in one layer.

    Args:
        name: the node's in the user's file.
        kind: of its kernel.
        narrow: whether that kernel adds pairs at 16 bits where there is no VNNI.
        pairs: sums of two products, over all outputs.
        unsafe: how many of them can leave 16 bits.
        least: smallest such sum.
        most: largest such sum.
    """

    name: str
    kind: str
    narrow: bool
    pairs: int
    unsafe: int
    least: int
    most: int

    @property
    def safe(self) -> bool:
        """Whether no sum can saturate."""
        return not self.narrow or self.unsafe == 0


@dataclass(frozen=True, slots=True)
class OverflowReport:
    """The layers of a network, each judged for itself.

    A layer behind an unsafe one is judged by the codes it would read had nothing saturated.

    Args:
        source: the user's file.
        layers: in the order they run.
        inputs: how many regions were looked at; None for all inputs that there are.
    """

    source: str
    layers: tuple[LayerOverflow, ...]
    inputs: int | None

    @property
    def safe(self) -> bool:
        """Whether `ort-x86-sat16` equals `int8` on every input asked about."""
        return all(layer.safe for layer in self.layers)

    @property
    def remedies(self) -> tuple[str, ...]:
        """What to do; nothing where nothing can saturate."""
        return () if self.safe else REMEDIES


def overflow(
    program: Program | DynamicProgram,
    region: Region | None = None,
    known: Mapping[str, Reached] | None = None,
) -> OverflowReport:
    """Which layers can saturate, from their weights alone or over a region.

    Args:
        program: the network; one that quantises dynamically uses all codes for every input.
        region: inputs asked about; all there are by default.
        known: with a region, proved codes (batch, *shape) of some steps, tighter than intervals.

    Raises:
        BadInput: the region's inputs do not have the network's shape.
    """
    products = program.products()
    if region is not None:
        _refuse_other_shapes(program, region)
    if region is None or isinstance(program, DynamicProgram):
        found = {step.name: pair_extremes(product.weights.rows) for step, product in products}
    else:
        found = _over(program, region, known)
    layers = tuple(_layer(step.name, product, found[step.name]) for step, product in products)
    return OverflowReport(program.source, layers, None if region is None else region.batch)


def _layer(name: str, product: Product, sums: Sums) -> LayerOverflow:
    most, least = sums
    return LayerOverflow(
        name=name,
        kind=type(product).__name__.lower(),
        narrow=product.narrow,
        pairs=most.size,
        unsafe=int(((most > MOST) | (least < LEAST)).sum()) if product.narrow else 0,
        least=int(least.min(initial=0)),
        most=int(most.max(initial=0)),
    )


def _refuse_other_shapes(program: Program | DynamicProgram, region: Region) -> None:
    if region.shape != program.input_shape:
        raise BadInput(
            f"region: inputs have shape {region.shape}, but {program.source} reads "
            f"{program.input_shape}"
        )


def _over(program: Program, region: Region, known: Mapping[str, Reached] | None) -> dict[str, Sums]:
    found: dict[str, Sums] = {}
    lower, upper = (
        end.numpy().astype(np.float32) for end in (region.hull.lower, region.hull.upper)
    )
    for start in range(0, len(lower), ROWS):
        rows = slice(start, start + ROWS)
        part = {name: (low[rows], high[rows]) for name, (low, high) in (known or {}).items()}
        ends = reach(program, lower[rows], upper[rows], part)
        for step, product in program.products():
            source = program[step.inputs[0]].encoding
            low, high = (codes - source.lowest for codes in ends[step.inputs[0]])
            most, least = _of_layer(product, low, high, source.zero_point - source.lowest)
            before = found.get(step.name, (most, least))
            found[step.name] = (np.maximum(most, before[0]), np.minimum(least, before[1]))
    return found


def _of_layer(product: Product, low: Codes, high: Codes, filler: int) -> Sums:
    """Extremes over the places of a layer, given its raw codes: (outputs, pairs)."""
    lows, highs = unroll(product, low, filler), unroll(product, high, filler)
    most: list[NDArray[np.int64]] = []
    least: list[NDArray[np.int64]] = []
    for (lower, weights), (upper, _) in zip(lows.groups, highs.groups, strict=True):
        factors, bottoms, tops = pairs(weights.rows), pairs(lower), pairs(upper)
        rising, falling = np.maximum(factors, 0), np.minimum(factors, 0)
        top, bottom = np.empty(factors.shape[:2], np.int64), np.empty(factors.shape[:2], np.int64)
        for pair in range(factors.shape[1]):
            up, down = rising[:, pair].T, falling[:, pair].T  # (2, outputs)
            top[:, pair] = (tops[:, pair] @ up + bottoms[:, pair] @ down).max(axis=0)
            bottom[:, pair] = (bottoms[:, pair] @ up + tops[:, pair] @ down).min(axis=0)
        most.append(top)
        least.append(bottom)
    return np.concatenate(most), np.concatenate(least)
