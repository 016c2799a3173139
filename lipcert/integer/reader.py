"""A parsed ONNX model to an integer program."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

import numpy as np
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, numpy_helper

from lipcert.errors import BadFile, LipcertError, UnsupportedOp
from lipcert.integer import rules
from lipcert.integer.program import Program
from lipcert.integer.values import RULES, Decoded, Encoded, NodeView, Source, Steps, Stored, Value
from lipcert.integer.window import Sizes

rules.scan()

MALFORMED = (ValueError, IndexError, KeyError, TypeError, OverflowError, ArithmeticError)


def program_of(model: ModelProto, constants: Mapping[str, np.ndarray], source: str) -> Program:
    """The integer program that a quantised network's file describes.

    Args:
        model: a QDQ or QOperator file, parsed.
        constants: its initialisers, exactly as stored.
        source: the file, for messages.

    Raises:
        BadFile: if the graph is malformed.
        UnsupportedOp: once, listing every node that no integer kernel computes.
    """
    graph = model.graph
    real = [v for v in graph.input if v.name not in constants]
    if len(real) != 1 or len(graph.output) != 1:
        raise BadFile(f"{source}: needs one input and one output")
    known: dict[str, Value] = {n: Stored(v, n) for n, v in constants.items()}
    known[real[0].name] = Source()
    shape, batch = declared(real[0], source)
    steps, problems = Steps(), list[str]()
    for node in ordered(graph, source):
        _translate(node, known, steps, batch, problems)
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise UnsupportedOp(f"{source}: {len(problems)} nodes without an integer kernel:{listed}")
    return _finished(known.get(graph.output[0].name), steps, source, real[0].name, shape)


def _finished(
    output: Value | None, steps: Steps, source: str, input_name: str, shape: Sizes
) -> Program:
    """The steps that the output needs, the output's last."""
    if not isinstance(output, Decoded | Encoded):
        raise UnsupportedOp(
            f"{source}: the output is not quantised; end the network with a QuantizeLinear and a "
            "DequantizeLinear"
        )
    needed, waiting = set[str](), [output.step]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting.extend(steps.made[name].inputs)
    ordered = [step for name, step in steps.made.items() if name in needed]
    last = steps.made[output.step]
    rest = tuple(step for step in ordered if step is not last)
    return Program((*rest, last), source, input_name, shape)


def _translate(
    proto: NodeProto,
    known: dict[str, Value],
    steps: Steps,
    batch: int | None,
    problems: list[str],
) -> None:
    label = f"{proto.op_type} '{proto.name or (proto.output[0] if proto.output else '')}'"
    if any(name and name not in known for name in proto.input):
        return  # behind a node that is listed already
    inputs = tuple(known[name] if name else None for name in proto.input)
    try:
        known[proto.output[0]] = _result(NodeView(proto, inputs, steps, batch))
    except UnsupportedOp as error:
        problems.append(f"{label}: {error}")
    except LipcertError as error:
        raise BadFile(f"{label}: {error}") from error
    except MALFORMED as error:
        raise BadFile(f"{label} is malformed ({type(error).__name__}: {error})") from error


def _result(view: NodeView) -> Value:
    proto = view.proto
    if proto.op_type == "Constant":
        return Stored(_constant(proto), view.name)
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    rule, only = RULES.get((domain, proto.op_type), (None, {}))
    if rule is None:
        raise UnsupportedOp("has no integer kernel")
    for attribute in proto.attribute:
        value = view.attribute(attribute.name, None)
        if value != only.get(attribute.name, value):
            raise UnsupportedOp(f"has {attribute.name} = {value}")
    return rule(view)


def _constant(proto: NodeProto) -> np.ndarray:
    found = next((a for a in proto.attribute if a.name == "value"), None)
    if found is None or found.type != AttributeProto.TENSOR:
        raise UnsupportedOp("holds no tensor")
    return np.asarray(numpy_helper.to_array(found.t))


def declared(info: ValueInfoProto, source: str) -> tuple[Sizes, int | None]:
    """The input's shape without batch, and the batch's size if the file fixes it."""
    axes = list(info.type.tensor_type.shape.dim)
    if not axes or any(d.dim_value < 1 for d in axes[1:]):
        raise BadFile(f"{source}: input '{info.name}' has an axis of no fixed size")
    batch = axes[0].dim_value
    return tuple(d.dim_value for d in axes[1:]), batch if batch > 0 else None


def ordered(graph: GraphProto, source: str) -> list[NodeProto]:
    """Nodes after those whose outputs they read."""
    maker = {name: k for k, node in enumerate(graph.node) for name in node.output if name}
    needs = {
        k: {maker[name] for name in node.input if name in maker}
        for k, node in enumerate(graph.node)
    }
    try:
        return [graph.node[k] for k in TopologicalSorter(needs).static_order()]
    except CycleError as error:
        raise BadFile(f"{source}: its nodes form a cycle") from error
