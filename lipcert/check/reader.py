"""A network as steps, made node by node; what is unknown is refused."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, helper
from onnx.reference import ReferenceEvaluator

from lipcert.check.curve import Scalar
from lipcert.check.operation import EXACT, LARGEST, Array, Linear, Rounding, move

INPUT = ""  # what the input is called, of either network
MOVES = {"Shape", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather",
         "Concat", "Split", "Pad"}  # fmt: skip
WHOLE = {"Add", "Sub", "Mul", "Div"}  # exact between integers


class CannotCheckError(Exception):
    """What this checker does not know."""


def need(fine: object, words: str) -> None:
    """Refuse what this checker does not know."""
    if not fine:
        raise CannotCheckError(words)


def hold(fine: object, words: str) -> None:
    """Refuse what does not follow."""
    if not fine:
        raise ValueError(words)


@dataclass(frozen=True)
class Step:
    """One value: its tensor, what it reads, its shape without batch; a sum of maps, or act.

    A runtime's sum is off by the rounding.
    """

    name: str
    inputs: Sequence[str]
    shape: Sequence[int]
    maps: Sequence[Linear]
    bias: Array
    act: Scalar | None
    rounding: Rounding = EXACT


Coded = tuple[Step, Any]  # codes behind QuantizeLinear: the rounded value, and its grid


class Steps(dict[str, Step]):
    """In an order of evaluation, input first; the last one is the output, perhaps by a softmax.

    Perhaps as they are executed; whether a file computes in float64; a bound on the size of raw
    codes and zero points behind what is stored.
    """

    softmax = executed = double = False
    stored = 0.0


class Reader:
    """What every tensor is known to be: a constant, a step or codes; and the node in hand."""

    def __init__(self, known: dict[str, Any], steps: Steps, opset: int) -> None:
        """No node yet."""
        self.known, self.steps, self.rounded = known, steps, dict[str, object]()
        self.opset, self.name, self.left = opset, "", dict[str, Any]()

    def read(self, node: NodeProto, rules: dict[str, Any]) -> None:
        """One node; what it holds that makes no sense here is refused too."""
        kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        try:
            self.made(node, kind, rules)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise CannotCheckError(f"{kind} '{node.name}': {error}") from error

    def made(self, node: NodeProto, kind: str, rules: dict[str, Any]) -> None:
        """One node; inputs and attributes that its rule does not take are refused."""
        self.name, given = node.output[0], [self.known[name] for name in node.input]
        self.left = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        need(len(self.left) == len(node.attribute), "two attributes of one name")
        need(not self.steps.softmax, "values that are computed from a softmax")
        if all(isinstance(v, np.ndarray | None) for v in given) and exact(kind, given):
            made = computed(node, given, self.opset)
        elif kind in MOVES:
            made = self.moved(node, given)
        else:
            need(kind in rules, f"operator {kind}")
            rule, *takes = rules[kind]
            fine = len(given) <= len(takes) and all(map(isinstance, given, takes))
            need(fine, f"{kind} of constants or computed values where it has none")
            made = [rule(self, *given)]
            need(not self.left, f"{kind} with {[*self.left]}")
        need(len(made) == len(node.output), f"{kind} with {len(node.output)} outputs")
        for name, value in zip(node.output, made, strict=True):
            need(name not in self.known, "two tensors of one name")
            self.known[name] = value

    def moved(self, node: NodeProto, given: Sequence[Any]) -> list[Any]:
        """Values or codes that are moved about: the operator's own work on places, from 1 on."""
        if isinstance(given[0], tuple):
            need(node.op_type != "Pad" or given[0][1][1] == 0, "codes that are padded by another")
            made = self.moved(node, [given[0][0], *given[1:]])
            return made if node.op_type == "Shape" else [(step, given[0][1]) for step in made]
        data = len(given) if node.op_type == "Concat" else 1
        fine = [isinstance(v, Step) for v in given] == [k < data for k in range(len(given))]
        fine &= node.op_type != "Pad" or not any(np.any(v) for v in given[2:3])
        need(fine, f"{node.op_type} of constants and computed values")
        starts = np.cumsum([1, *(int(np.prod(step.shape)) for step in given[:data])]).tolist()
        places = [
            np.arange(*ends).reshape(1, *step.shape)
            for step, ends in zip(given[:data], itertools.pairwise(starts), strict=True)
        ]
        made = computed(node, [*places, *given[data:]], self.opset)
        if node.op_type == "Shape":
            return made
        named = zip(node.output, made, strict=True)
        return [self.taken(name, given[:data], starts, found) for name, found in named]

    def taken(self, name: str, steps: Sequence[Step], starts: Sequence[int], places: Any) -> Step:
        """A new step of entries of others, which lie at places from `starts` on; at 0 is zero."""
        self.name, maps = name, list[Linear]()
        need(places.ndim and len(places) == 1, "a batch axis that is moved")
        for start, end in itertools.pairwise(starts):
            inside = (start <= places) & (places < end)
            maps.append(move(np.where(inside, places - start, end - start), end - start))
        return self.emit(places.shape[1:], steps, maps)

    def emit(self, shape: Sequence[int], inputs: Sequence[Step], maps: Sequence[Linear] = (),
             bias: Any = 0.0, act: Scalar | None = None, part: str = "") -> Step:  # fmt: skip
        """A new step, named by the tensor that the node makes, or a part of its work."""
        name = self.name + part
        need(0 < np.prod(shape) <= LARGEST and name not in self.steps, f"{name} of shape {shape}")
        bias = np.broadcast_to(bias, shape).reshape(-1, 1).astype(float)
        self.steps[name] = Step(name, [i.name for i in inputs], tuple(shape), maps, bias, act)
        return self.steps[name]

    def only(self, **values: object) -> None:
        """Attributes that may have no other values."""
        for name, value in values.items():
            found = self.left.pop(name, value)
            need(found in (value, str(value).encode()), f"{name} of {self.name} is {found}")


def exact(kind: str, given: Sequence[Any]) -> bool:
    """Whether an operator on constants rounds nothing."""
    whole = all(value is None or value.dtype.kind in "iu" for value in given)
    return kind in {"Constant", "Identity", "Cast", *MOVES} or (kind in WHOLE and whole)


def computed(node: NodeProto, given: Sequence[Any], opset: int) -> list[Any]:
    """What ONNX's reference implementation makes of arrays."""
    feeds = {name: value for name, value in zip(node.input, given, strict=True) if name}
    first, last = ([*map(helper.make_empty_tensor_value_info, n)] for n in (feeds, node.output))
    graph = helper.make_graph([node], "node", first, last)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return [np.asarray(made) for made in ReferenceEvaluator(model).run(None, feeds)]
