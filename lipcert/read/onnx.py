"""ONNX file to LayerGraph."""

from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from lipcert.errors import BadFile, LipcertError, UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.functional import Shape
from lipcert.ops.softmax import Softmax
from lipcert.read import onnx_rules
from lipcert.read.builder import Builder
from lipcert.read.constant import Constant
from lipcert.read.lower.quantising import Codes
from lipcert.read.onnx_file import constant_of, open_model
from lipcert.read.onnx_view import CARRIERS, FOLDS, RULES, Deferred, Rule, Value, View, kind_of

onnx_rules.scan()

MOST_NODES = 50_000
MALFORMED = (ValueError, IndexError, KeyError, TypeError, OverflowError, ArithmeticError,
             AssertionError, RuntimeError)  # fmt: skip


def read_onnx(path: str | Path) -> LayerGraph:
    """The network in an ONNX file, in float64, without its batch axis.

    Raises:
        BadFile: if the file is malformed, truncated or unsafe to read.
        UnsupportedOp: once, listing every node that has no rule.
    """
    place = Path(path)
    model, opset = open_model(place)
    return _Translation(place, model, opset).graph()


class _Translation:
    """The state of one reading: what every tensor name is known to be."""

    def __init__(self, path: Path, model: ModelProto, opset: int) -> None:
        self.path, self.model, self.opset = path, model, opset
        self.builder = Builder(str(path))
        self.known: dict[str, Value] = {}
        self.problems: list[str] = []
        self.batch: int | None = None

    def graph(self) -> LayerGraph:
        """Everything: constants, input, nodes, output."""
        proto = self.model.graph
        if len(proto.node) > MOST_NODES:
            raise BadFile(f"{self.path}: {len(proto.node)} nodes, more than {MOST_NODES}")
        for stored in proto.initializer:
            self.known[stored.name] = constant_of(stored, self.path)
        self._input(proto)
        for node in self._ordered(proto):
            self._translate(node)
        if self.problems:
            listed = "".join(f"\n  {problem}" for problem in self.problems)
            raise UnsupportedOp(f"{self.path}: {len(self.problems)} unsupported nodes:{listed}")
        return self._finished(proto)

    def _input(self, proto: GraphProto) -> None:
        real = [v for v in proto.input if v.name not in self.known]
        if len(real) != 1 or len(proto.output) != 1:
            names = [[v.name for v in values] for values in (real, proto.output)]
            raise BadFile(
                f"{self.path}: needs one input and one output, has inputs {names[0]} and outputs "
                f"{names[1]}; extract a part with onnx.utils.extract_model"
            )
        shape, self.batch = _declared(real[0], self.path)
        self.known[real[0].name] = self.builder.start(real[0].name, shape)

    def _ordered(self, proto: GraphProto) -> list[NodeProto]:
        """Nodes after what they read, in the file's order wherever that is possible."""
        maker: dict[str, int] = {}
        for place, node in enumerate(proto.node):
            for name in filter(None, node.output):
                if name in maker or name in self.known:
                    raise BadFile(f"{self.path}: two nodes or tensors are named '{name}'")
                maker[name] = place
        sorter: TopologicalSorter[int] = TopologicalSorter()
        in_order = True
        for place, node in enumerate(proto.node):
            missing = [n for n in node.input if n and n not in maker and n not in self.known]
            if missing:
                raise BadFile(
                    f"{self.path}: {_label(node)} reads '{missing[0]}', which nothing makes"
                )
            before = [maker[n] for n in node.input if n in maker]
            in_order = in_order and all(b < place for b in before)
            sorter.add(place, *before)
        if in_order:
            return list(proto.node)
        try:
            return [proto.node[place] for place in sorter.static_order()]
        except CycleError as error:
            names = ", ".join(_label(proto.node[place]) for place in error.args[1])
            raise BadFile(f"{self.path}: the graph has a cycle: {names}") from error

    def _translate(self, proto: NodeProto) -> None:
        """The node's value, or a problem; what reads a problem is checked by its attributes."""
        reason = _refused(proto, self.opset)
        if reason is not None:
            self.problems.append(f"{_label(proto)}: {reason}")
            return
        if any(name and name not in self.known for name in proto.input):
            return
        inputs = tuple(self.known[name] if name else None for name in proto.input)
        view = View(proto, inputs, self.builder, self.opset, self.batch, self.path)
        kind = kind_of(proto)
        fold = FOLDS.get(kind)
        constant = all(v is None or isinstance(v, Constant) for v in inputs)
        rule = fold if fold is not None and constant else RULES.get(kind, (None, {}))[0]
        try:
            if rule is None:
                raise UnsupportedOp("is known for constants only")
            with np.errstate(all="ignore"):  # what is not finite is refused where it matters
                results = _applied(rule, view)
        except UnsupportedOp as error:
            self.problems.append(f"{_label(proto)}: {error}")
        except LipcertError as error:
            raise BadFile(f"{self.path}: {_label(proto)}: {error}") from error
        except MALFORMED as error:
            kind = type(error).__name__
            raise BadFile(f"{self.path}: {_label(proto)} is malformed ({kind}: {error})") from error
        else:
            self._keep(proto, results)

    def _keep(self, proto: NodeProto, results: Value | tuple[Value, ...]) -> None:
        values = results if isinstance(results, tuple) else (results,)
        self.known.update(
            {name: value for name, value in zip(proto.output, values, strict=False) if name}
        )

    def _finished(self, proto: GraphProto) -> LayerGraph:
        name = proto.output[0].name
        output = self.known.get(name)
        if isinstance(output, Codes):
            raise UnsupportedOp(f"{self.path}: output '{name}' is made of integer codes; end the "
                                "network with a DequantizeLinear")  # fmt: skip
        if not isinstance(output, Node):
            raise BadFile(f"{self.path}: output '{name}' does not depend on the input")
        graph = self.builder.finish(output)
        inner = [n.name for n in graph.nodes[:-1] if isinstance(n.op, Softmax)]
        if inner:
            raise UnsupportedOp(f"{self.path}: Softmax '{inner[0]}' is not the last layer")
        return graph


def _applied(rule: Rule, view: View) -> Value | tuple[Value, ...]:
    """The rule's results: codes again, where the rule only moves codes about."""
    deferred = next((value for value in view.inputs if isinstance(value, Deferred)), None)
    if deferred is not None:
        return deferred.read_by(view)
    codes = view.inputs[0] if view.inputs else None
    if rule not in CARRIERS or not isinstance(codes, Codes):
        return rule(view)
    if codes.scale.size > 1 or codes.zero_point.size > 1:
        raise UnsupportedOp(f"moves the codes of '{codes.name}', which have scales along an axis")
    results = rule(replace(view, inputs=(codes.staircase, *view.inputs[1:])))
    moved = results if isinstance(results, tuple) else (results,)
    return tuple(replace(codes, staircase=node) for node in moved if isinstance(node, Node))


def _declared(info: ValueInfoProto, path: Path) -> tuple[Shape, int | None]:
    """The input's shape without batch, and the batch's size if the file fixes it."""
    kind = info.type.tensor_type
    if kind.elem_type not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise BadFile(f"{path}: input '{info.name}' is not of type float or double")
    axes = list(kind.shape.dim)
    if not axes:
        raise BadFile(f"{path}: input '{info.name}' has no shape; the first axis is the batch's")
    loose = [str(d.dim_param or d.dim_value) for d in axes[1:] if d.dim_value < 1]
    if loose:
        raise BadFile(f"{path}: input '{info.name}' has an axis of no fixed size: {loose[0]}")
    batch = axes[0].dim_value
    return tuple(d.dim_value for d in axes[1:]), batch if batch > 0 else None


def _refused(proto: NodeProto, opset: int) -> str | None:
    """Why no rule reads the node, judged by its type and attributes alone."""
    kind = kind_of(proto)
    own = kind == proto.op_type
    if kind not in RULES and kind not in FOLDS:
        return "has no rule" if own else f"is of the domain '{proto.domain}'"
    if own and not onnx.defs.has(kind, opset):
        return f"does not exist in opset {opset}"
    allowed = RULES[kind][1] if kind in RULES else {}
    known = onnx.defs.get_schema(kind, opset).attributes if own else allowed
    for attribute in proto.attribute:
        if attribute.name not in known:
            return f"has an unknown attribute '{attribute.name}'"
        value = (
            attribute.i
            if attribute.type == AttributeProto.INT
            else attribute.s.decode("utf-8", "replace")
        )
        if value not in (allowed.get(attribute.name) or (value,)):
            return f"has {attribute.name} = {value}"
    return None


def _label(proto: NodeProto) -> str:
    name = proto.name or (proto.output[0] if proto.output else "")
    return f"{proto.op_type} '{name}'"
