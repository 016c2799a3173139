"""What a tensor of an ONNX file is, seen by the reader of integer programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from onnx import AttributeProto, NodeProto, helper

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.integer.encoding import LIMITS, Encoding
from lipcert.integer.program import Operation, Step


@dataclass(frozen=True, slots=True)
class Source:
    """The network's float32 input."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A constant of the file, under its tensor's name."""

    values: np.ndarray
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class StoredCodes:
    """A dequantised constant: integer codes with one scale, or one per coordinate of an axis."""

    codes: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray
    axis: int
    name: str

    def __post_init__(self) -> None:
        """Refuse parameters that are not float32, or not one per coordinate."""
        if self.scale.dtype != np.float32:
            raise UnsupportedOp(f"scale of '{self.name}' is of type {self.scale.dtype}")
        if self.scale.ndim > 1 or self.zero_point.size not in (1, self.scale.size):
            raise UnsupportedOp(f"'{self.name}' is quantised in blocks")
        rank = self.codes.ndim
        whole = self.scale.size == 1 or (
            -rank <= self.axis < rank and self.scale.size == self.codes.shape[self.axis]
        )
        if not whole:
            raise BadFile(f"{self.scale.size} scales do not fit '{self.name}'")

    def spread(self, axis: int) -> tuple[np.ndarray, np.ndarray]:
        """Scale and zero point per coordinate of `axis`, which must be theirs."""
        rank = self.codes.ndim
        if self.scale.size > 1 and self.axis % rank != axis % rank:
            raise UnsupportedOp(f"'{self.name}' has scales along axis {self.axis}, not {axis}")
        count = self.codes.shape[axis]
        zero = self.zero_point.astype(np.int64).reshape(-1)
        return np.broadcast_to(self.scale.reshape(-1), count), np.broadcast_to(zero, count)


@dataclass(frozen=True, slots=True)
class Encoded:
    """The codes that a step makes."""

    step: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """The values of the codes that a step makes."""

    step: str


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A float result that a QuantizeLinear must turn into codes.

    Args:
        operation: of the kernel.
        inputs: steps it reads.
        rectified: whether a ReLU follows.
        name: of the node in the user's file.
    """

    operation: Operation
    inputs: tuple[str, ...]
    rectified: bool
    name: str

    def relu(self) -> "Pending":
        """With a ReLU behind it."""
        return replace(self, rectified=True)


Value = Source | Stored | StoredCodes | Encoded | Decoded | Pending


class Steps:
    """The steps read so far; a network's node may make several, under names of their own."""

    def __init__(self) -> None:
        """None yet."""
        self.made: dict[str, Step] = {}

    def add(
        self, name: str, operation: Operation, inputs: tuple[str, ...], encoding: Encoding
    ) -> str:
        """Appends a step that nothing rectifies; the name it got."""
        return self.rectified(name, operation, inputs, encoding, encoding.lowest)

    def rectified(
        self,
        name: str,
        operation: Operation,
        inputs: tuple[str, ...],
        encoding: Encoding,
        floor: int,
    ) -> str:
        """Appends a step whose codes are at least `floor`; the name it got."""
        unique, count = name, 1
        while unique in self.made:
            count += 1
            unique = f"{name}#{count}"
        self.made[unique] = Step(unique, operation, inputs, encoding, floor)
        return unique

    def encoding(self, name: str) -> Encoding:
        """Of a step's codes."""
        return self.made[name].encoding


@dataclass(frozen=True, slots=True, eq=False)
class NodeView:
    """A node with what its inputs are known to be."""

    proto: NodeProto
    inputs: tuple[Value | None, ...]
    steps: Steps
    batch: int | None

    @property
    def name(self) -> str:
        """The node's own name, else that of its first output."""
        return self.proto.name or self.proto.output[0]

    def attribute(self, name: str, default: object) -> object:
        """An attribute's value."""
        found: AttributeProto | None = next(
            (a for a in self.proto.attribute if a.name == name), None
        )
        return default if found is None else helper.get_attribute_value(found)

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        value = self.attribute(name, default)
        if not isinstance(value, int):
            raise BadFile(f"attribute '{name}' is no integer")
        return value

    def integers(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """A list attribute."""
        value = self.attribute(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, int) for v in value):
            raise BadFile(f"attribute '{name}' is no list of integers")
        return tuple(value)

    def value(self, place: int) -> Value | None:
        """An input, if it is given."""
        return self.inputs[place] if place < len(self.inputs) else None

    def decoded(self, place: int) -> str:
        """The step whose dequantised codes are an input."""
        value = self.value(place)
        if not isinstance(value, Decoded):
            raise UnsupportedOp(f"input {place} is no dequantised activation")
        return value.step

    def encoded(self, place: int) -> str:
        """The step whose codes are an input."""
        value = self.value(place)
        if not isinstance(value, Encoded):
            raise UnsupportedOp(f"input {place} holds no codes of an activation")
        return value.step

    def constant(self, place: int) -> np.ndarray:
        """A stored input."""
        value = self.value(place)
        if not isinstance(value, Stored):
            raise UnsupportedOp(f"input {place} is no constant")
        return value.values

    def zero_point(self, place: int) -> np.ndarray:
        """A stored zero point; without one, that of uint8 codes."""
        if self.value(place) is None:
            return np.zeros((), dtype=np.uint8)
        found = self.constant(place)
        if found.dtype.name not in LIMITS:
            raise UnsupportedOp(f"has codes of type {found.dtype.name}")
        return found


Rule = Callable[[NodeView], Value]
RULES: dict[tuple[str, str], tuple[Rule, Mapping[str, object]]] = {}


def reads(domain: str, *kinds: str, **only: object) -> Callable[[Rule], Rule]:
    """Registers the rule of operators; keywords name the only value it knows of an attribute."""

    def register(rule: Rule) -> Rule:
        RULES.update({(domain, kind): (rule, only) for kind in kinds})
        return rule

    return register
