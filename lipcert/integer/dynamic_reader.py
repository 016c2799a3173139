"""A parsed ONNX model of onnxruntime's quantize_dynamic to its integer and float32 steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from lipcert.errors import BadFile, LipcertError, UnsupportedOp
from lipcert.integer.dynamic import INPUT, DynamicProgram, FloatStep, Rectify, Shift, Sum
from lipcert.integer.encoding import Encoding
from lipcert.integer.lowering import Factors, convolution, dense
from lipcert.integer.program import Product, Reshape
from lipcert.integer.reader import MALFORMED, declared, ordered
from lipcert.integer.values import NodeView, Steps, StoredCodes

FLOAT = int(TensorProto.FLOAT)
BYTES = Encoding(1.0, 0, 0, 255)  # of codes whose own scale is not known before a run


@dataclass(frozen=True, slots=True)
class _Real:
    """A float32 value: of which step."""

    step: str


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Codes, scale (times a constant) or zero point of a value that is quantised."""

    kind: str
    step: str
    factor: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Of an integer product, given the scales of its weights."""

    step: str
    name: str
    product: Callable[[np.ndarray], Product]


_Value = _Real | _Part | _Sums | np.ndarray


def dynamic_of(
    model: ModelProto, constants: Mapping[str, np.ndarray], source: str
) -> DynamicProgram:
    """The steps that a dynamically quantised network's file describes.

    Args:
        model: parsed.
        constants: its initialisers, exactly as stored.
        source: the file, for messages.

    Raises:
        BadFile: if the graph is malformed.
        UnsupportedOp: once, listing every node that has no such step.
    """
    graph = model.graph
    real = [value for value in graph.input if value.name not in constants]
    if len(real) != 1 or len(graph.output) != 1:
        raise BadFile(f"{source}: needs one input and one output")
    shape, _ = declared(real[0], source)
    reading = _Reading({**constants, real[0].name: _Real(INPUT)})
    for node in ordered(graph, source):
        reading.read(node)
    if reading.problems:
        listed = "".join(f"\n  {problem}" for problem in reading.problems)
        raise UnsupportedOp(f"{source}: {len(reading.problems)} nodes have no step:{listed}")
    output = reading.known.get(graph.output[0].name)
    if not isinstance(output, _Real) or output.step == INPUT:
        raise UnsupportedOp(f"{source}: the output is no float32 value of a known operator")
    steps = list(reading.steps.values())
    last = reading.steps[output.step]
    rest = (step for step in steps if step is not last)
    return DynamicProgram((*rest, last), source, shape)


@dataclass(slots=True)
class _Reading:
    """What every tensor is known to be, and the steps so far."""

    known: dict[str, _Value]
    steps: dict[str, FloatStep] = field(default_factory=dict[str, FloatStep])
    problems: list[str] = field(default_factory=list[str])

    def read(self, proto: NodeProto) -> None:
        """One node, or a problem."""
        label = f"{proto.op_type} '{proto.name or (proto.output[0] if proto.output else '')}'"
        if any(name and name not in self.known for name in proto.input):
            return  # behind a node that is listed already
        inputs = [self.known[name] if name else None for name in proto.input]
        try:
            results = self._results(proto, inputs)
        except UnsupportedOp as error:
            self.problems.append(f"{label}: {error}")
        except LipcertError as error:
            raise BadFile(f"{label}: {error}") from error
        except MALFORMED as error:
            raise BadFile(f"{label} is malformed ({type(error).__name__}: {error})") from error
        else:
            self.known.update(zip(proto.output, results, strict=False))

    def _results(self, proto: NodeProto, inputs: list[_Value | None]) -> tuple[_Value, ...]:
        first = inputs[0]
        kind = proto.op_type if proto.domain in ("", "ai.onnx") else ""
        if kind == "DynamicQuantizeLinear" and isinstance(first, _Real):
            return tuple(_Part(part, first.step) for part in ("codes", "scale", "zero"))
        if kind in ("MatMulInteger", "ConvInteger"):
            return (self._sums(proto, inputs),)
        if kind == "Cast" and isinstance(first, _Sums) and _integer(proto, "to") == FLOAT:
            return (first,)
        if kind == "Mul":
            return (self._scaled(inputs),)
        stored = [value for value in inputs if isinstance(value, np.ndarray)]
        if kind == "Reshape" and len(stored) == 2:
            return (stored[0].reshape([int(size) for size in stored[1].reshape(-1)]),)
        found = _plain(proto, kind, inputs)
        return (self._step(proto, *found),)

    def _sums(self, proto: NodeProto, inputs: list[_Value | None]) -> _Sums:
        codes, weights, zero, other = (*inputs, None, None)[:4]
        if not (isinstance(codes, _Part) and codes.kind == "codes"):
            raise UnsupportedOp("reads no codes of a DynamicQuantizeLinear")
        if not (isinstance(zero, _Part) and zero.kind == "zero" and zero.step == codes.step):
            raise UnsupportedOp("has another zero point than its codes")
        if not isinstance(weights, np.ndarray):
            raise UnsupportedOp("multiplies with no stored weights")
        zeros = other if isinstance(other, np.ndarray) else np.zeros((), weights.dtype)
        name = proto.name or proto.output[0]

        def product(scale: np.ndarray) -> Product:
            axis = 1 if proto.op_type == "MatMulInteger" else 0
            stored = StoredCodes(weights, scale, zeros, axis, name)
            factors = Factors(BYTES, stored, None, shifted=False)
            if proto.op_type == "MatMulInteger":
                return dense(factors, transposed=False)
            view = NodeView(proto, (), Steps(), None)
            return replace(convolution(view, factors), narrow=False)  # adds at 32 bits

        return _Sums(codes.step, name, product)

    def _scaled(self, inputs: list[_Value | None]) -> _Value:
        scale = next((v for v in inputs if isinstance(v, _Part) and v.kind == "scale"), None)
        others = [value for value in inputs if value is not scale]
        if scale is None or len(others) != 1:
            raise UnsupportedOp("multiplies what is no scale")
        (other,) = others
        if isinstance(other, np.ndarray) and scale.factor is None and other.dtype == np.float32:
            return _Part("scale", scale.step, other.reshape(-1))
        if not isinstance(other, _Sums) or scale.factor is None or other.step != scale.step:
            raise UnsupportedOp("multiplies integer sums by another scale than their own")
        return self._made(other.name, other.product(scale.factor), (other.step,))

    def _step(
        self, proto: NodeProto, operation: Shift | Sum | Rectify | Reshape, *inputs: str
    ) -> _Real:
        return self._made(proto.name or proto.output[0], operation, inputs)

    def _made(
        self,
        name: str,
        operation: Product | Shift | Sum | Rectify | Reshape,
        inputs: tuple[str, ...],
    ) -> _Real:
        unique, count = name, 1
        while unique in self.steps or not unique:
            count += 1
            unique = f"{name}#{count}"
        self.steps[unique] = FloatStep(unique, operation, inputs)
        return _Real(unique)


def _integer(proto: NodeProto, name: str, default: int = 0) -> int:
    """An integer attribute."""
    return NodeView(proto, (), Steps(), None).integer(name, default)


def _plain(
    proto: NodeProto, kind: str, inputs: list[_Value | None]
) -> tuple[Shift | Sum | Rectify | Reshape, *tuple[str, ...]]:
    """Float32 operators that round once, or not at all."""
    reals = [value.step for value in inputs if isinstance(value, _Real)]
    stored = [value for value in inputs if isinstance(value, np.ndarray)]
    if kind == "Relu" and reals:
        return Rectify(), reals[0]
    if kind == "Add" and len(reals) == 2:
        return Sum(), *reals
    if kind == "Add" and reals and stored and stored[0].dtype == np.float32:
        return Shift(stored[0]), reals[0]
    if kind == "Flatten" and reals and _integer(proto, "axis", 1) == 1:
        return Reshape((-1,)), reals[0]
    if kind == "Reshape" and len(reals) == 1 and stored:
        target = [int(size) for size in stored[0].reshape(-1)]
        if len(target) > 1 and target[0] in (0, 1) and 0 not in target[1:]:
            return Reshape(tuple(target[1:])), reals[0]
    raise UnsupportedOp("is not evaluated bit for bit")
