"""PyTorch module to LayerGraph, through torch.export."""

import operator
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from lipcert.errors import BadFile, BadInput, LipcertError, UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.functional import Shape
from lipcert.ops.softmax import Softmax
from lipcert.read import module_rules
from lipcert.read.builder import Builder
from lipcert.read.constant import Constant
from lipcert.read.module_alias import kind_of, overwritten
from lipcert.read.module_rules.folding import folded
from lipcert.read.module_view import RULES, Value, call_of, stored

module_rules.scan()

BATCH = 2  # torch.export treats sizes of 0 and 1 as special


def read_module(module: nn.Module, example: Shape | Tensor | np.ndarray) -> LayerGraph:
    """The network that a module computes in evaluation mode, in float64, without its batch axis.

    Numbers in the module's code count as written; parameters of 32 or 64 bits count as stored.

    Args:
        module: with one tensor argument and one tensor result; it is left as it is.
        example: the input's shape without batch, or a batch of inputs.

    Raises:
        BadInput: if torch.export cannot trace the module on such an input.
        UnsupportedOp: once, listing every call that has no rule.
    """
    inputs = _batch(module, example)
    try:
        with _evaluating(module), torch.no_grad(), warnings.catch_warnings(action="ignore"):
            program = torch.export.export(module, (inputs,), strict=False)
    except Exception as error:  # torch.export fails with exceptions of many unrelated types
        raise BadInput(
            f"{type(module).__name__}: torch.export cannot trace it on a batch of shape "
            f"{tuple(inputs.shape)} ({type(error).__name__}: {error})"
        ) from error
    return _Translation(program, type(module).__name__, len(inputs)).graph()


@contextmanager
def _evaluating(module: nn.Module) -> Generator[None]:
    """Evaluation mode, and afterwards the mode that each layer had.

    A module that torch.export made has no modes: what depends on them is written in its graph.
    """
    modes = {layer: layer.training for layer in module.modules()}
    with suppress(NotImplementedError):
        module.eval()
    try:
        yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode


def _batch(module: nn.Module, example: Shape | Tensor | np.ndarray) -> Tensor:
    """Two inputs in the module's dtype, on its device; as many as it takes if that is fixed."""
    weights = ((p.dtype, p.device) for p in module.parameters() if p.is_floating_point())
    dtype, device = next(weights, (torch.float32, torch.device("cpu")))
    if dtype not in (torch.float32, torch.float64):
        raise BadInput(f"{type(module).__name__}: parameters are {dtype}; use module.float()")
    if isinstance(example, tuple):
        return torch.zeros(_rows(module), *example, dtype=dtype, device=device)
    values = torch.as_tensor(example).to(device, dtype)
    if values.ndim < 1 or len(values) < 1:
        raise BadInput(f"{type(module).__name__}: the example has no batch axis")
    return torch.cat([values[:1]] * _rows(module))


def _rows(module: nn.Module) -> int:
    """The batch that a module made by torch.export was made for, if it is not any."""
    if not isinstance(module, fx.GraphModule):
        return BATCH
    inputs = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    sizes = [value.shape[0] for value in inputs if isinstance(value, Tensor) and value.ndim]
    return sizes[0] if len(sizes) == 1 and isinstance(sizes[0], int) else BATCH


class _Translation:
    """The state of one reading: what every node of the exported graph is known to be."""

    def __init__(self, program: ExportedProgram, source: str, batch: int) -> None:
        self.program, self.source, self.batch = program, source, batch
        self.builder = Builder(source)
        self.known: dict[fx.Node, Value | None] = {}
        self.wrapped: dict[fx.Node, Tensor] = {}
        self.problems: list[str] = []

    def graph(self) -> LayerGraph:
        """Everything: parameters, input, calls, output."""
        self._placeholders()
        output: Node | None = None
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._translate(node)
            elif node.op == "output":
                output = self._output(node)
        if self.problems:
            listed = "".join(f"\n  {problem}" for problem in self.problems)
            raise UnsupportedOp(f"{self.source}: {len(self.problems)} unsupported calls:{listed}")
        if output is None:
            raise BadInput(f"{self.source}: needs one tensor result that depends on its input")
        graph = self.builder.finish(output)
        inner = [n.name for n in graph.nodes[:-1] if isinstance(n.op, Softmax)]
        if inner:
            raise UnsupportedOp(f"{self.source}: softmax '{inner[0]}' is not the last layer")
        return graph

    def _placeholders(self) -> None:
        """Parameters, buffers, constants, and the one real input."""
        nodes = {n.name: n for n in self.program.graph.nodes if n.op == "placeholder"}
        tensors: Mapping[str, object] = {**self.program.state_dict, **self.program.constants}
        for spec in self.program.graph_signature.input_specs:
            node = nodes[spec.arg.name]
            value = tensors.get(spec.target or "")
            if spec.kind == InputKind.USER_INPUT:
                shape = tuple(int(size) for size in node.meta["val"].shape[1:])
                self.known[node] = self.builder.start(node.name, shape)
            elif isinstance(value, Tensor):
                self._store(node, value, str(spec.target))
            else:
                raise BadInput(f"{self.source}: argument '{node.name}' is no tensor")

    def _store(self, node: fx.Node, value: Tensor, name: str) -> None:
        """A constant, or a tensor made of several (torchao's), of which only these are read."""
        if is_traceable_wrapper_subclass(value):
            self.wrapped[node] = value
        else:
            self.known[node] = stored(value, name)

    def _part(self, node: fx.Node) -> Tensor | None:
        """One of the tensors that a parameter is made of, where the node takes that."""
        if kind_of(node) != "access_subclass_inner_tensor" or len(node.args) != 2:
            return None
        whole, name = node.args
        found = self.wrapped.get(whole) if isinstance(whole, fx.Node) else None
        part = getattr(found, str(name), None)
        return part if isinstance(part, Tensor) else None

    def _translate(self, node: fx.Node) -> None:
        part = self._part(node)
        if part is not None:
            self._store(node, part, _name(node))
            return
        if any(self.known.get(source) is None for source in node.all_input_nodes):
            if not isinstance(node.target, OpOverload) or kind_of(node) in RULES:
                return
            self.problems.append(f"{kind_of(node)} '{_name(node)}': has no rule")
            return
        try:
            changed = overwritten(node)
            if changed is None and not node.users:
                return  # an assertion, or a value that nobody reads
            self.known[node] = self._value(node)
            if changed is not None:
                self.known[changed] = self.known[node]
        except UnsupportedOp as error:
            self.problems.append(f"{kind_of(node)} '{_name(node)}': {error}")
        except LipcertError as error:
            raise BadFile(f"{self.source}: {kind_of(node)} '{_name(node)}': {error}") from error

    def _value(self, node: fx.Node) -> Value:
        if node.target is operator.getitem:
            source, place = node.args
            parts = self.known[source] if isinstance(source, fx.Node) else None
            if not isinstance(parts, tuple) or not isinstance(place, int):
                raise UnsupportedOp("takes an element of what is no list of values")
            return parts[place]
        if not isinstance(node.target, OpOverload):
            raise UnsupportedOp("has no rule")
        call = call_of(node, _name(node), self.known, self.builder, self.batch)
        if all(isinstance(self.known[source], Constant) for source in node.all_input_nodes):
            return folded(call, node.target)
        if kind_of(node) not in RULES:
            raise UnsupportedOp("has no rule")
        return RULES[kind_of(node)](call)

    def _output(self, node: fx.Node) -> Node | None:
        results = node.all_input_nodes
        value = self.known.get(results[0]) if len(results) == 1 else None
        return value if isinstance(value, Node) else None


def _name(node: fx.Node) -> str:
    """The path of the layer that makes the call; a block's own calls have a name below it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack or not stack[-1][0]:
        return node.name
    path, kind = stack[-1]
    return path if str(kind).startswith("torch.nn.modules.") else f"{path}.{node.name}"
