"""One operator of a LiteRT graph as a rule sees it, and the register of rules.

LiteRT keeps channels last. A map (height, width, channels) is held channels first, as convolution
wants it, from the first layer that needs that until an axis order matters to the file again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import tflite

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.ops.clip import Clip
from lipcert.ops.functional import Shape
from lipcert.ops.kinds import Op
from lipcert.ops.relu import Relu
from lipcert.ops.transpose import Transpose
from lipcert.read.builder import Builder, Scope
from lipcert.read.constant import Constant
from lipcert.read.lower.dequantising import codes_undone
from lipcert.read.lower.quantising import RANGES, staircase
from lipcert.read.lower.reshaping import reshaped
from lipcert.read.tflite_file import Operator, Stored

NONE = tflite.ActivationFunctionType.NONE
ENDS: dict[int, tuple[float, float]] = {
    NONE: (-np.inf, np.inf),
    tflite.ActivationFunctionType.RELU: (0.0, np.inf),
    tflite.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
    tflite.ActivationFunctionType.RELU6: (0.0, 6.0),
}
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


class Options(Protocol):
    """A table of options in the generated schema."""

    def Init(self, buf: object, pos: int) -> None:  # noqa: N802
        """Lets it read at a place of the file."""
        ...


T = TypeVar("T", bound=Options)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """An operator with typed access to its options and to what its inputs are known to be."""

    operator: Operator
    inputs: tuple[Held | Stored | None, ...]
    output: Stored
    builder: Builder
    path: Path

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
        found, wanted = self.operator.options, getattr(tflite.BuiltinOptions, kind.__name__)
        if found is None or self.operator.options_type != wanted:
            raise BadFile(f"has no {kind.__name__}")
        options = kind()
        options.Init(found.Bytes, found.Pos)
        return options

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
            return Held(rounded(self.scope, x, self.output, (low, high)), self.output, first)
        if activation == NONE:
            return Held(x, self.output, first)
        op: Op = Relu() if high == np.inf else Clip(low, high)
        return Held(self.scope.emit(op, x), self.output, first)

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


def rounded(scope: Scope, x: Node, grid: Stored, ends: tuple[float, float]) -> Node:
    """A staircase to the grid, saturating at the ends of its codes or at the codes of `ends`."""
    if grid.scale.size != 1:
        raise UnsupportedOp(f"makes codes of {grid.scale.size} scales")
    scale, zero = np.float32(grid.scale[0]), int(grid.zero_point[0])
    if not (np.isfinite(scale) and scale > 0):
        raise BadFile(f"tensor '{grid.name}' has a scale that is not a positive number")
    least, most = RANGES[grid.dtype]
    limits = [min(max(_code(end, scale, zero), least), most) for end in ends]
    return staircase(scope, x, grid.scale, grid.zero_point, (limits[0], limits[1]), 1)


def _code(end: float, scale: np.float32, zero: int) -> int:
    """The code of a fused activation's end, rounded half away from zero as LiteRT does."""
    if not np.isfinite(end):
        return int(np.sign(end)) * 2**31
    quotient = float(np.float32(end) / scale)
    return zero + int(np.sign(quotient) * np.floor(abs(quotient) + 0.5))


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
