"""LiteRT file (.tflite) to LayerGraph."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lipcert.errors import BadFile, LipcertError, UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.softmax import Softmax
from lipcert.ops.transpose import Transpose
from lipcert.read import tflite_rules
from lipcert.read.builder import Builder, Scope
from lipcert.read.litert import BEHIND
from lipcert.read.litert_call import Call, kernel_of
from lipcert.read.tflite_file import BROKEN, Model, Operator, Stored, open_model
from lipcert.read.tflite_view import LAST, RULES, Held, View, inner_shape, rounded

tflite_rules.scan()

MOST_OPERATORS = 50_000
BETWEEN = ("QUANTIZE", "DEQUANTIZE")


def read_tflite(path: str | Path, *, logits: bool = True, fixed_point: bool = False) -> LayerGraph:
    """The network in a .tflite file, in float64, without its batch axis, channels last as there.

    Codes are read as the numbers that they stand for, on their grid: an integer input is the
    number that is rounded to it, a layer on codes is the layer on these numbers with exact
    weights, rounded and saturated as its fused activation says.

    Args:
        path: of the file.
        logits: whether a SOFTMAX at the end is left out, so that the output is what it reads; the
            graph's `source` says so. Otherwise a SOFTMAX on codes is refused.
        fixed_point: whether quantisers also say how far LiteRT's kernels may round beyond the
            nearest code, as the semantics `litert` needs; then every operator must be one on
            int8 codes.

    Raises:
        BadFile: if the file is malformed, truncated or unsafe to read.
        UnsupportedOp: once, listing every operator that has no rule.
    """
    place = Path(path)
    return _Translation(place, open_model(place), (logits, fixed_point)).graph()


class _Translation:
    """The state of one reading: what every tensor is known to be."""

    def __init__(self, path: Path, model: Model, asked: tuple[bool, bool]) -> None:
        self.path, self.model = path, model
        self.logits, self.fixed_point = asked
        self.builder = Builder(str(path))
        self.known: dict[int, Held | Stored] = {}
        self.problems: list[str] = []

    def graph(self) -> LayerGraph:
        """Everything: constants, input, operators, output."""
        model = self.model
        if len(model.operators) > MOST_OPERATORS:
            raise BadFile(f"{self.path}: {len(model.operators)} operators, too many")
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise BadFile(f"{self.path}: needs one input and one output, has {len(model.inputs)} "
                          f"and {len(model.outputs)}")  # fmt: skip
        self.known.update({k: t for k, t in enumerate(model.tensors) if t.values is not None})
        try:
            with np.errstate(all="ignore"):  # what is not finite is refused where it matters
                self._input(model.inputs[0])
                for operator in model.operators:
                    self._translate(operator)
        except BROKEN as error:
            kind = type(error).__name__
            raise BadFile(f"{self.path}: is malformed ({kind}: {error})") from error
        if self.problems:
            listed = "".join(f"\n  {problem}" for problem in self.problems)
            raise UnsupportedOp(f"{self.path}: {len(self.problems)} unsupported operators:{listed}")
        return self._finished(model.outputs[0])

    def _input(self, place: int) -> None:
        """Numbers, rounded to codes where the file's input is one of codes."""
        if not 0 <= place < len(self.model.tensors) or place in self.known:
            raise BadFile(f"{self.path}: its input is tensor {place}, a constant or none at all")
        stored = self.model.tensors[place]
        if not stored.coded and stored.dtype != "float32":
            raise BadFile(f"{self.path}: input '{stored.name}' is of type {stored.dtype}, neither "
                          "float32 nor codes of a scale")  # fmt: skip
        node = self.builder.start(stored.name, inner_shape(stored))
        if stored.coded:
            op = rounded(node, stored, (-float("inf"), float("inf")))
            if self.fixed_point:  # a quotient in float32, nothing else
                op = replace(op, stray=torch.zeros_like(op.scale))
            node = Scope(self.builder, f"{stored.name}.codes").emit(op, node)
        self.known[place] = Held(node, stored)

    def _translate(self, operator: Operator) -> None:
        """The operator's value, or a problem; what reads a problem is left out."""
        label = self._label(operator)
        reason = self._refused(operator)
        if reason is not None:
            self.problems.append(f"{label}: {reason}")
            return
        if any(place >= 0 and place not in self.known for place in operator.inputs):
            return
        output = self.model.tensors[operator.outputs[0]]
        inputs = tuple(self.known[p] if p >= 0 else None for p in operator.inputs)
        view = View(operator, inputs, output, self.builder, self.path)
        try:
            self.known[operator.outputs[0]] = self._value(self._exactly(view))
        except UnsupportedOp as error:
            self.problems.append(f"{label}: {error}")
        except LipcertError as error:
            raise BadFile(f"{self.path}: {label}: {error}") from error
        except BROKEN as error:
            kind = type(error).__name__
            raise BadFile(f"{self.path}: {label} is malformed ({kind}: {error})") from error

    def _exactly(self, view: View) -> View:
        """With its integer kernel, where codes are followed as LiteRT makes them."""
        operator = view.operator
        if not self.fixed_point or operator.kind in BEHIND:
            return view
        tensors = (value.stored if isinstance(value, Held) else value for value in view.inputs)
        return replace(view, kernel=kernel_of(Call(operator, tuple(tensors), view.output)))

    def _value(self, view: View) -> Held | Stored:
        operator, output = view.operator, view.output
        held = [value for value in view.inputs if isinstance(value, Held)]
        ends = operator.outputs == self.model.outputs
        if any(value.softmax for value in held) and operator.kind != "DEQUANTIZE":
            raise UnsupportedOp("reads a SOFTMAX, which is no last layer")
        if operator.kind == "SOFTMAX" and self.logits and len(view.natural(0).shape) == 1:
            return Held(view.natural(0), output, softmax=True)
        mixed = {value.stored.coded for value in held} - {output.coded}
        if mixed and operator.kind not in BETWEEN:
            raise UnsupportedOp("makes numbers of codes, or codes of numbers")
        if held and not output.coded and output.dtype != "float32":
            raise UnsupportedOp(f"makes a tensor of type {output.dtype} without a scale")
        result = RULES[operator.kind](view)
        if isinstance(result, Held) and isinstance(result.node.op, Softmax) and not ends:
            raise UnsupportedOp("is not the last layer")
        return result

    def _refused(self, operator: Operator) -> str | None:
        """Why no rule reads the operator, judged without its inputs."""
        count = len(self.model.tensors)
        if any(not -1 <= place < count for place in (*operator.inputs, *operator.outputs)):
            raise BadFile(f"{self.path}: {operator.kind} names a tensor that is not there")
        if len(operator.outputs) != 1 or operator.kind not in RULES:
            return "has no rule" if operator.kind not in RULES else "makes several tensors"
        if operator.outputs[0] < 0 or operator.outputs[0] in self.known:
            raise BadFile(f"{self.path}: {self._label(operator)} makes what is there already")
        made = {place for other in self.model.operators for place in other.outputs}
        for place in operator.inputs:
            if place >= 0 and place not in self.known and place not in made:
                name = self.model.tensors[place].name
                raise BadFile(f"{self.path}: {self._label(operator)} reads '{name}', which "
                              "nothing makes")  # fmt: skip
        return None

    def _label(self, operator: Operator) -> str:
        places = [p for p in operator.outputs[:1] if 0 <= p < len(self.model.tensors)]
        return f"{operator.kind} '{self.model.tensors[places[0]].name if places else ''}'"

    def _finished(self, place: int) -> LayerGraph:
        output = self.known.get(place)
        if not isinstance(output, Held):
            raise BadFile(f"{self.path}: its output does not depend on its input")
        node: Node = output.node
        if output.first:
            scope = Scope(self.builder, f"{output.stored.name}.turned")
            node = scope.emit(Transpose(LAST), node)
        graph = self.builder.finish(node)
        if output.softmax:
            return replace(graph, source=f"{self.path} (logits: what its SOFTMAX reads)")
        return graph
