"""A program as a file of integer operators, unsigned activations throughout."""

from dataclasses import replace
from functools import singledispatch

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from lipcert.errors import UnsupportedOp
from lipcert.integer.encoding import Encoding
from lipcert.integer.program import (
    Addition,
    Average,
    Convolution,
    Dense,
    Operation,
    Program,
    Quantise,
    Recode,
    Reshape,
    Step,
)

MICROSOFT = "com.microsoft"
OPSET, FORMAT = 17, 8
Fact = int | list[int]  # an attribute's value


def operators(program: Program) -> ModelProto:
    """A QOperator model in which every kernel of ONNX Runtime computes integers.

    Signed activations become unsigned ones, as ONNX Runtime makes them on x86; reading the
    result back gives the program of what ran.
    """
    file = _File()
    encodings = {step.name: _unsigned(step.encoding) for step in program.steps}
    for step in program.steps:
        if step.floor not in (step.encoding.lowest, step.encoding.zero_point):
            raise UnsupportedOp(f"'{step.name}' is cut off at a code of no operator")
        if step.floor > step.encoding.lowest:
            raise UnsupportedOp(f"'{step.name}' has a ReLU that saturation does not stand for")
        shifted = replace(step, encoding=encodings[step.name])
        sources = tuple(encodings[name] for name in step.inputs)
        written(step.operation, shifted, sources, file)
    output = program.output
    file.node("DequantizeLinear", [output.name, *file.encoding(encodings[output.name])], "output")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("input", ["batch", *program.input_shape]), ("output", None))
    ]
    graph = helper.make_graph(file.nodes, "integer", ends[:1], ends[1:], file.tensors)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=FORMAT)


def _unsigned(encoding: Encoding) -> Encoding:
    """The same values under codes from zero on."""
    if not encoding.bytes_wide:
        raise UnsupportedOp("codes that are no bytes have no integer operators")
    return Encoding(encoding.scale, encoding.zero_point - encoding.lowest, 0, 255)


class _File:
    """Nodes and tensors of a file under way."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: list[TensorProto] = []

    def tensor(self, values: np.ndarray) -> str:
        """Stores a constant; its name."""
        name = f"constant{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def encoding(self, encoding: Encoding) -> list[str]:
        """Stores scale and zero point."""
        zero = np.array(encoding.zero_point, dtype=np.uint8)
        return [self.tensor(np.array(encoding.scale, dtype=np.float32)), self.tensor(zero)]

    def node(
        self, kind: str, inputs: list[str], output: str, domain: str = "", **facts: Fact
    ) -> None:
        """Appends a node named after its output."""
        made = helper.make_node(kind, inputs, [output], name=output, domain=domain)
        made.attribute.extend(helper.make_attribute(name, facts[name]) for name in sorted(facts))
        self.nodes.append(made)


@singledispatch
def written(operation: Operation, step: Step, sources: tuple[Encoding, ...], file: _File) -> None:
    """Writes the operators that compute the step."""
    raise UnsupportedOp(f"'{step.name}': {type(operation).__name__} has no integer operator")


@written.register(Quantise)
def written_quantise(
    operation: Quantise, step: Step, sources: tuple[Encoding, ...], file: _File
) -> None:
    """Of the network's input."""
    file.node("QuantizeLinear", ["input", *file.encoding(step.encoding)], step.name)


@written.register(Recode)
def written_recode(
    operation: Recode, step: Step, sources: tuple[Encoding, ...], file: _File
) -> None:
    """Back to float32 and on."""
    between = f"{step.name}.values"
    file.node("DequantizeLinear", [step.inputs[0], *file.encoding(sources[0])], between)
    file.node("QuantizeLinear", [between, *file.encoding(step.encoding)], step.name)


@written.register(Reshape)
def written_reshape(
    operation: Reshape, step: Step, sources: tuple[Encoding, ...], file: _File
) -> None:
    """Batch first."""
    target = file.tensor(np.array([0, *operation.shape], dtype=np.int64))
    file.node("Reshape", [step.inputs[0], target], step.name)


@written.register(Addition)
def written_addition(
    operation: Addition, step: Step, sources: tuple[Encoding, ...], file: _File
) -> None:
    """Of two steps."""
    operands = [
        part
        for name, encoding in zip(step.inputs, sources, strict=True)
        for part in (name, *file.encoding(encoding))
    ]
    file.node("QLinearAdd", [*operands, *file.encoding(step.encoding)], step.name, MICROSOFT)


@written.register(Average)
def written_average(
    operation: Average, step: Step, sources: tuple[Encoding, ...], file: _File
) -> None:
    """Over windows or the whole map."""
    operands = [step.inputs[0], *file.encoding(sources[0]), *file.encoding(step.encoding)]
    if operation.window is None:
        file.node("QLinearGlobalAveragePool", operands, step.name, MICROSOFT, channels_last=0)
        return
    window = operation.window
    file.node(
        "QLinearAveragePool",
        operands,
        step.name,
        MICROSOFT,
        kernel_shape=list(window.kernel),
        strides=list(window.stride),
        pads=[*window.before, *window.after],
        count_include_pad=int(operation.count_padding),
    )


@written.register(Dense)
@written.register(Convolution)
def written_product(
    operation: Dense | Convolution, step: Step, sources: tuple[Encoding, ...], file: _File
) -> None:
    """Weights as they are stored; a bias always."""
    weights = operation.weights
    kind = np.dtype(np.int8 if weights.codes.min(initial=0) < 0 or operation.narrow else np.uint8)
    stored = [
        file.tensor(weights.codes.astype(kind)),
        file.tensor(weights.scale),
        file.tensor(weights.zero_point.astype(kind)),
    ]
    bias = file.tensor(weights.bias.astype(np.int32))
    operands = [step.inputs[0], *file.encoding(sources[0]), *stored]
    target = file.encoding(step.encoding)
    if isinstance(operation, Dense):
        file.node("QGemm", [*operands, bias, *target], step.name, MICROSOFT, transB=1)
        return
    window = operation.window
    file.node(
        "QLinearConv",
        [*operands, *target, bias],
        step.name,
        kernel_shape=list(window.kernel),
        strides=list(window.stride),
        dilations=list(window.dilation),
        pads=[*window.before, *window.after],
        group=operation.groups,
    )
