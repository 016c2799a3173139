"""One operator of a LiteRT graph as a rule sees it, and the register of rules.

LiteRT keeps channels last. A map (height, width, channels) is held channels first, as convolution
wants it, from the first layer that needs that until an axis order matters to the file again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.integer.litert.kernels import Kernel
from lipcert.ops.clip import Clip
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Op
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.transpose import Transpose
from lipcert.read.builder import Builder, Scope
from lipcert.read.constant import Constant, tensor
from lipcert.read.lower.dequantising import codes_undone
from lipcert.read.lower.quantising import steps
from lipcert.read.lower.reshaping import reshaped
from lipcert.read.tflite_file import Operator, Options, Stored
from lipcert.read.tflite_grid import ENDS, NONE, limits

FIRST, LAST = (2, 0, 1), (1, 2, 0)  # orders of axes that put channels first, or back


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A computed tensor.

    Args:
        node: its value.
        stored: what the file says of it.
        first: whether the value is (channels, height, width) of a (height, width, channels).
        softmax: whether the file takes the softmax of it, which is left out.
    """

    node: Node
    stored: Stored
    first: bool = False
    softmax: bool = False


T = TypeVar("T", bound=Options)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An operator with typed access to its options and to what its inputs are known to be.

    `kernel` is its integer kernel, where codes are followed as LiteRT makes them.
    """

    operator: Operator
    inputs: tuple[Held | Stored | None, ...]
    output: Stored
    builder: Builder
    path: Path
    kernel: Kernel | None = None

    @property
    def scope(self) -> Scope:
        """Where its nodes go: under the name of the tensor that it makes."""
        return Scope(self.builder, self.output.name)

    def before(self, activation: int = NONE) -> Scope:
        """Where nodes go that `finished` gets: under a name of their own if it adds others."""
        plain = activation == NONE and not self.output.coded
        return self.scope if plain else Scope(self.builder, f"{self.output.name}.exact")

    def has(self, place: int) -> bool:
        """Whether the input is given."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def held(self, place: int) -> Held:
        """An input that depends on the network's."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(value, Held):
            raise UnsupportedOp(f"has an input {place} that does not depend on the network's")
        return value

    def stored(self, place: int) -> Stored:
        """An input that the file holds."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(value, Stored):
            raise UnsupportedOp(f"has an input {place} that is no constant")
        return value

    def natural(self, place: int) -> Node:
        """The value in the file's own order of axes."""
        value = self.held(place)
        return _turned(self.scope, value.node, LAST) if value.first else value.node

    def mapped(self, place: int) -> Node:
        """The value as (channels, height, width)."""
        value = self.held(place)
        if len(value.node.shape) != 3:
            raise UnsupportedOp(f"reads a value of shape {value.stored.shape}; only maps")
        return value.node if value.first else _turned(self.scope, value.node, FIRST)

    def weights(self, place: int) -> Constant:
        """A constant as numbers: exact, where it is stored as codes."""
        stored = self.stored(place)
        others = {i.stored.coded for i in self.inputs if isinstance(i, Held)}
        if stored.coded and False in others:
            raise UnsupportedOp(
                f"computes on numbers with the codes '{stored.name}': LiteRT then rounds the "
                "numbers to codes too, with a scale of each input's own, which no bound follows"
            )
        if True in others and not stored.coded:
            raise UnsupportedOp(f"computes on codes with '{stored.name}', which holds none")
        if not stored.coded:
            if stored.dtype not in ("float32", "float64", "float16"):
                raise UnsupportedOp(f"reads the constant '{stored.name}' of type {stored.dtype}")
            return stored.constant()
        scale = Constant(stored.scale, stored.name)
        zero = Constant(stored.zero_point, stored.name)
        return codes_undone(stored.constant(), scale, zero, stored.axis)

    def integers(self, place: int) -> list[int]:
        """A constant vector of integers."""
        return self.stored(place).constant().integers()

    def options(self, kind: type[T]) -> T:
        """The operator's options, of the type that it should have."""
        return self.operator.table(kind)

    def finished(self, x: Node, first: bool, activation: int = NONE) -> Held:
        """After the fused activation and, for codes, the rounding that saturates where it does."""
        if activation not in ENDS:
            raise UnsupportedOp(f"has the fused activation {activation}")
        expected = inner_shape(self.output)
        order = (x.shape[1], x.shape[2], x.shape[0]) if first else x.shape
        if order != expected:
            raise BadFile(f"makes a value of shape {order}, not {expected}, batch aside")
        low, high = ENDS[activation]
        if self.output.coded:
            op = rounded(x, self.output, (low, high))
            if self.kernel is not None:
                stray = _along_channels(self.kernel.stray, x, first)
                op = replace(op, stray=stray, requantiser=self.kernel.requantiser(first))
            return Held(self.scope.emit(op, x), self.output, first)
        if activation == NONE:
            return Held(x, self.output, first)
        stop: Op = Relu() if high == np.inf else Clip(low, high)
        return Held(self.scope.emit(stop, x), self.output, first)

    def moved(self, x: Node, first: bool, source: Held) -> Held:
        """Codes or numbers in other places, as they were."""
        if not self.output.same_grid(source.stored):
            raise UnsupportedOp("moves codes of one scale to where they have another")
        return self.finished(x, first) if not self.output.coded else self._unrounded(x, first)

    def _unrounded(self, x: Node, first: bool) -> Held:
        expected = inner_shape(self.output)
        if ((x.shape[1], x.shape[2], x.shape[0]) if first else x.shape) != expected:
            raise BadFile(f"makes a value of shape {x.shape}, not {expected}, batch aside")
        return Held(x, self.output, first)


Rule = Callable[[View], Held | Stored]
RULES: dict[str, Rule] = {}


def reads(*kinds: str) -> Callable[[Rule], Rule]:
    """Registers the rule of some operators."""

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def rounded(x: Node, grid: Stored, ends: tuple[float, float]) -> Quantize:
    """Steps to the grid, saturating at the ends of its codes or at the codes of `ends`."""
    return steps(x, grid.scale, grid.zero_point, limits(grid, ends), 1)


def _along_channels(stray: np.ndarray, x: Node, first: bool) -> Tensor:
    """One entry, or one per channel where the value holds them; float32 numbers not below."""
    single = np.asarray(stray, dtype=np.float32)
    above = np.where(single < stray, np.nextafter(single, np.float32(np.inf)), single)
    rank = len(x.shape)
    if above.size == 1:
        return tensor(above.reshape((1,) * rank))
    return tensor(above.reshape([-1 if a == (0 if first else rank - 1) else 1
                                 for a in range(rank)]))  # fmt: skip


def inner_shape(stored: Stored) -> Shape:
    """Without the batch axis, which must have one entry."""
    if not stored.shape or stored.shape[0] != 1:
        raise UnsupportedOp(f"has a tensor '{stored.name}' of shape {stored.shape}; the first axis "
                            "is the batch's and should have one entry")  # fmt: skip
    return stored.shape[1:]


def _turned(scope: Scope, x: Node, order: tuple[int, int, int]) -> Node:
    """Axes in another order; a reshaping where no two axes of several entries change places."""
    shape = tuple(x.shape[axis] for axis in order)
    if prod(x.shape) in (x.shape[0] * x.shape[1], x.shape[2]) and order == FIRST:
        return reshaped(scope, x, shape, "turned")
    if prod(x.shape) in (x.shape[1] * x.shape[2], x.shape[0]) and order == LAST:
        return reshaped(scope, x, shape, "turned")
    return scope.emit(Transpose(order), x, part="turned")
