"""One node of an ONNX graph as a rule sees it, and the register of rules."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onnx import AttributeProto, NodeProto

from lipcert.errors import BadFile, UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.read.builder import Builder, Scope
from lipcert.read.constant import Constant
from lipcert.read.lower.quantising import Codes
from lipcert.read.onnx_file import constant_of


class Deferred(ABC):
    """A value that only some operators may read, and that says what these make of it."""

    __slots__ = ()

    @abstractmethod
    def read_by(self, view: "View") -> "Value":
        """What the operator makes.

        Raises:
            UnsupportedOp: it is none of those.
        """


Value = Node | Constant | Codes | Deferred


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A node with typed access to its attributes and to what its inputs are known to be."""

    proto: NodeProto
    inputs: tuple[Value | None, ...]
    builder: Builder
    opset: int
    batch: int | None
    path: Path
    attributes: Mapping[str, AttributeProto] = field(init=False)

    def __post_init__(self) -> None:
        """Attributes under their names."""
        object.__setattr__(self, "attributes", {a.name: a for a in self.proto.attribute})

    @property
    def name(self) -> str:
        """The node's own name, else that of its first output."""
        return self.proto.name or (self.proto.output[0] if self.proto.output else "")

    @property
    def scope(self) -> Scope:
        """Where its nodes go."""
        return Scope(self.builder, self.name)

    def has(self, place: int) -> bool:
        """Whether the input is given."""
        return place < len(self.inputs) and self.inputs[place] is not None

    def activation(self, place: int) -> Node:
        """An input that depends on the network's."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if value is None:
            raise BadFile(f"input {place} is missing")
        if isinstance(value, Codes):
            raise UnsupportedOp(
                f"reads the codes of '{value.name}'; only a DequantizeLinear with the same scale "
                "and zero point may"
            )
        if isinstance(value, Constant):
            raise UnsupportedOp(f"has the constant '{value.name}' as its input {place}")
        if isinstance(value, Deferred):
            raise UnsupportedOp(f"reads integers as its input {place}")
        return value

    def constant(self, place: int) -> Constant:
        """An input that does not depend on the network's."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if value is None:
            raise BadFile(f"input {place} is missing")
        if not isinstance(value, Constant):
            raise UnsupportedOp(f"input {place} is computed from the network's input")
        return value

    def optional(self, place: int) -> Constant | None:
        """A constant input, if it is given."""
        return self.constant(place) if self.has(place) else None

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        found = self._typed(name, AttributeProto.INT)
        return default if found is None else int(found.i)

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers, if it is given."""
        found = self._typed(name, AttributeProto.INTS)
        return None if found is None else tuple(int(i) for i in found.ints)

    def number(self, name: str, default: float) -> float:
        """A float32 attribute, exact."""
        found = self._typed(name, AttributeProto.FLOAT)
        value = default if found is None else float(found.f)
        if value != value:  # noqa: PLR0124
            raise BadFile(f"attribute '{name}' is NaN")
        return value

    def text(self, name: str, default: str) -> str:
        """A text attribute."""
        found = self._typed(name, AttributeProto.STRING)
        return default if found is None else found.s.decode("utf-8", "replace")

    def stored(self, name: str) -> Constant | None:
        """A tensor attribute, if it is given."""
        found = self._typed(name, AttributeProto.TENSOR)
        return None if found is None else constant_of(found.t, self.path)

    def _typed(self, name: str, kind: int) -> AttributeProto | None:
        found = self.attributes.get(name)
        if found is not None and found.type != kind:
            raise BadFile(f"attribute '{name}' has the wrong type")
        return found


Rule = Callable[[View], Value | tuple[Value, ...]]
Allowed = Mapping[str, tuple[int | str, ...]]
RULES: dict[str, tuple[Rule, Allowed]] = {}
FOLDS: dict[str, Rule] = {}
CARRIERS: set[Rule] = set()


def kind_of(proto: NodeProto) -> str:
    """The operator's name, behind its domain where that is not ONNX's own."""
    own = proto.domain in ("", "ai.onnx")
    return proto.op_type if own else f"{proto.domain}.{proto.op_type}"


def reads(*kinds: str, **allowed: tuple[int | str, ...]) -> Callable[[Rule], Rule]:
    """Registers the rule of some operators.

    Keywords name the only values of an attribute that the rule knows; an empty tuple is any value.
    Operators of another domain have no other attributes than these.
    """

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, (rule, allowed)))
        return rule

    return register


def carries(rule: Rule) -> Rule:
    """Marks a rule that only moves or compares values: it does the same to the codes of values."""
    CARRIERS.add(rule)
    return rule


def folds(*kinds: str) -> Callable[[Rule], Rule]:
    """Registers how some operators are computed where all their inputs are constants."""

    def register(rule: Rule) -> Rule:
        FOLDS.update(dict.fromkeys(kinds, rule))
        return rule

    return register
