"""One node of an exported PyTorch graph as a rule sees it, and the register of rules."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from torch import Argument, Tensor, fx
from torch._ops import OpOverload

from lipcert.errors import UnsupportedOp
from lipcert.graph.layer_graph import Node
from lipcert.read.builder import Builder, Scope
from lipcert.read.constant import Constant
from lipcert.read.lower.quantising import Codes

Value = Node | Constant | Codes | tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A call of an ATen operator, its arguments under the names of the operator's schema."""

    name: str
    operator: str
    arguments: Mapping[str, object]
    builder: Builder
    batch: int

    @property
    def scope(self) -> Scope:
        """Where its nodes go."""
        return Scope(self.builder, self.name)

    def activation(self, name: str = "self") -> Node:
        """An argument that depends on the network's input."""
        value = self.arguments.get(name)
        if isinstance(value, Codes):
            raise UnsupportedOp(f"reads the codes of '{value.name}'; only a dequantize may")
        if not isinstance(value, Node):
            raise UnsupportedOp(f"has an argument '{name}' that does not depend on the input")
        return value

    def constant(self, name: str) -> Constant:
        """A tensor or number that does not depend on the network's input."""
        value = self.arguments.get(name)
        if isinstance(value, int | float):
            return Constant(np.array(value, dtype=np.float64), name)
        if not isinstance(value, Constant):
            raise UnsupportedOp(f"has an argument '{name}' that is computed from the input")
        return value

    def optional(self, name: str) -> Constant | None:
        """A constant, unless the argument is None."""
        return None if self.arguments.get(name) is None else self.constant(name)

    def number(self, name: str) -> float:
        """A number."""
        value = self.arguments[name]
        if not isinstance(value, int | float):
            raise UnsupportedOp(f"has {name} = {value}, which is no number")
        return float(value)

    def integer(self, name: str) -> int:
        """A whole number."""
        value = self.arguments[name]
        if not isinstance(value, int):
            raise UnsupportedOp(f"has {name} = {value}, which is no whole number")
        return int(value)

    def integers(self, name: str, rank: int = 1) -> tuple[int, ...]:
        """Whole numbers; a single one is repeated."""
        value = self.arguments[name]
        found = [value] if isinstance(value, int) else value
        if not isinstance(found, list | tuple) or not all(isinstance(v, int) for v in found):
            raise UnsupportedOp(f"has {name} = {value}, which are no whole numbers")
        return tuple(found) * rank if len(found) == 1 and rank > 1 else tuple(found)

    def axes(self, name: str) -> tuple[int, ...]:
        """Axes of the value, batch not counted."""
        return inner_axes(self.integers(name), len(self.activation().shape) + 1)


Rule = Callable[[Call], Value]
RULES: dict[str, Rule] = {}


def calls(*operators: str) -> Callable[[Rule], Rule]:
    """Registers the rule of some ATen operators, without their overload."""

    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(operators, rule))
        return rule

    return register


def inner_axes(axes: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """Axes of a tensor with `rank` axes as axes of the node, which has no batch axis."""
    places = tuple(axis % rank - 1 for axis in axes)
    if -1 in places:
        raise UnsupportedOp("runs over the batch axis")
    return places


def call_of(node: fx.Node, name: str, values: Mapping[fx.Node, object], builder: Builder,
            batch: int) -> Call:  # fmt: skip
    """The call with its defaults filled in and known values in place of nodes."""
    assert isinstance(node.target, OpOverload)
    positional = [_known(value, values) for value in node.args]
    named = {name: _known(value, values) for name, value in node.kwargs.items()}
    schema = parameters(node.target)
    arguments = {a.name: a.default_value for a in schema if a.has_default_value()}
    arguments |= {a.name: value for a, value in zip(schema, positional, strict=False)}
    return Call(name, node.target.overloadpacket.__name__, arguments | named, builder, batch)


def stored(value: Tensor, name: str) -> Constant:
    """A parameter or buffer."""
    plain = value.detach().cpu()
    return Constant((plain.double() if plain.is_floating_point() else plain).numpy(), name)


def parameters(operator: OpOverload) -> list[Argument]:
    """What the operator's schema says of its arguments."""
    return operator._schema.arguments  # pyright: ignore[reportPrivateUsage]


def _known(value: object, values: Mapping[fx.Node, object]) -> object:
    """An argument with known values in place of nodes, also inside lists."""
    if isinstance(value, fx.Node):
        return values[value]
    if isinstance(value, list | tuple):
        return [_known(entry, values) for entry in cast(Sequence[object], value)]
    return value
