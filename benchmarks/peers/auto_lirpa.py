"""Bounds by the peer, auto_LiRPA 0.3, for cross-checks and for benchmarks.

The release is older than every torch that installs on Python 3.11, so five shims make it
run; they change no arithmetic. Convolutions use its matrix mode: its patches mode is wrong
for some non-square kernels and uneven pads. Install it as `requirements.txt` says.

Its CROWN, read off the release and confirmed by running it:

* ReLU on [l, u] with l < 0 < u: upper line slope s = u / (u - l), intercept -l s; lower
  line slope 1 if s > 0.5, else 0 (so 0 on the tie u = -l). l >= 0: identity. u <= 0: zero.
* Only inputs of nonlinear nodes are bounded. The input of the first one, when it is the
  Linear or Conv that reads the network's input, gets its interval box.
* `Intermediate.SPARSE` (its default), for a node whose first consumer is a Relu: an interval
  step from the boxes already known; the neurons it leaves undecided in ANY row of the batch
  get CROWN bounds, not intersected with the interval ones, in EVERY row; the others keep the
  interval bounds. When more than 90 % are undecided, all neurons get CROWN bounds only.
  The first three choices of `Intermediate` agree within rounding on most MLPs and differ by
  percents on small convolutional and residual networks (tighter boxes may turn a lower slope),
  so name the one that a comparison is with. The fourth, `UNDECIDED`, is lipcert's own choice:
  per row, and it also intersects the output's CROWN bounds with the interval step, which wins
  where few undecided neurons precede the output.
* BatchNormalization (eval mode) is an affine node of its own in both directions; nothing is
  folded into convolutions, and no bounds are computed on it unless it feeds a nonlinear node.
"""

import contextlib
import copy
import importlib
import logging
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from enum import Enum
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Bounds = tuple[Tensor, Tensor]


class PeerMissingError(ImportError):
    """The peer is not installed here."""


class Intermediate(Enum):
    """How the peer bounds the inputs of nonlinear nodes before its last CROWN pass."""

    SPARSE = "its default: CROWN where one interval step leaves a neuron undecided"
    CROWN = "CROWN for every neuron, never intersected with intervals"
    INTERSECTED = "CROWN for every neuron, intersected with one interval step"
    UNDECIDED = (
        "as INTERSECTED where the interval step leaves a neuron undecided, and at the output"
    )


def import_auto_lirpa() -> ModuleType:
    """The imported `auto_LiRPA` package, shimmed to run on this torch.

    Raises:
        PeerMissingError: if it, or something light that it needs, is not installed.
    """
    _install_stand_ins()
    try:
        with _quiet():
            package = importlib.import_module("auto_LiRPA")
    except ModuleNotFoundError as error:
        raise PeerMissingError(
            f"auto_LiRPA 0.3 is not usable here (no module {error.name!r}); install it as "
            "benchmarks/peers/requirements.txt says"
        ) from error
    _accept_remove_duplicate(package.BoundedModule)
    return package


def interval_bounds(module: nn.Module, lower: Tensor, upper: Tensor) -> Bounds:
    """Peer's interval bounds of `module` on the box, (batch, outputs) each.

    Args:
        module: one input, one (batch, outputs) output; not modified.
        lower: (batch, ...); its dtype is the one computed in.
        upper: as `lower`.
    """
    with computing_in(lower.dtype):
        graph, box = build_graph(module, lower, upper, sparse=True)
        return _detached(graph.compute_bounds(x=(box,), method="IBP"))


def crown_bounds(
    module: nn.Module,
    lower: Tensor,
    upper: Tensor,
    intermediate: Intermediate = Intermediate.SPARSE,
) -> Bounds:
    """Peer's CROWN bounds of `module` on the box, (batch, outputs) each.

    Args:
        module: one input, one (batch, outputs) output; not modified.
        lower: (batch, ...); its dtype is the one computed in.
        upper: as `lower`.
        intermediate: which boxes the relaxations stand on.
    """
    with computing_in(lower.dtype):
        sparse = intermediate is Intermediate.SPARSE
        graph, box = build_graph(module, lower, upper, sparse=sparse)
        known = _known(graph, box, intermediate)
        if known is None or intermediate is Intermediate.INTERSECTED:
            return crown_of(graph, box, known=known)
        return _common(crown_of(graph, box, known=known), _one_step(graph, box, None, known))


def preactivation_bounds(
    module: nn.Module,
    lower: Tensor,
    upper: Tensor,
    intermediate: Intermediate = Intermediate.SPARSE,
) -> list[Bounds]:
    """Boxes that `crown_bounds` puts on the inputs of nonlinear nodes, in graph order."""
    with computing_in(lower.dtype):
        sparse = intermediate is Intermediate.SPARSE
        graph, box = build_graph(module, lower, upper, sparse=sparse)
        known = _known(graph, box, intermediate)
        if known is not None:
            return list(known.values())
        graph.compute_bounds(x=(box,), method="CROWN")
        return [_detached((node.lower, node.upper)) for node in _preactivations(graph)]


def build_graph(
    module: nn.Module, lower: Tensor, upper: Tensor, *, sparse: bool = True
) -> tuple[Any, Tensor]:
    """The peer's graph of a copy of `module`, and its input box; inside `computing_in`."""
    package = import_auto_lirpa()
    lower, upper = lower.contiguous(), upper.contiguous()  # the peer takes views
    centre = (lower + upper) / 2
    options = {"conv_mode": "matrix", "sparse_intermediate_bounds": sparse}
    own = copy.deepcopy(module).to(lower.dtype).eval()
    graph = package.BoundedModule(own, centre, bound_opts=options, device="cpu")
    if len(graph.final_shape) != 2:
        raise ValueError(f"the peer wants (batch, outputs), not {tuple(graph.final_shape)}")
    ball = package.PerturbationLpNorm(norm=np.inf, x_L=lower, x_U=upper)
    box = package.BoundedTensor(centre, ball)
    graph(box)  # marks the nodes that the box reaches
    return graph, box


def crown_of(
    graph: Any, box: Tensor, node: Any = None, known: dict[str, Bounds] | None = None
) -> Bounds:
    """CROWN bounds of every neuron of `node` (default: the output), given boxes in `known`."""
    node = graph.final_node() if node is None else node
    shape = tuple(node.output_shape[1:])
    size = int(np.prod(shape))
    identity = torch.eye(size).view(1, size, *shape).expand(len(box), size, *shape)
    return _detached(
        graph.compute_bounds(
            x=(box,),
            C=identity,
            method="CROWN",
            final_node_name=node.name,
            intermediate_layer_bounds=known,
        )
    )


def _known(graph: Any, box: Tensor, intermediate: Intermediate) -> dict[str, Bounds] | None:
    """Boxes of a choice that is not the peer's own, each standing on the ones before it."""
    if intermediate in {Intermediate.SPARSE, Intermediate.CROWN}:
        return None
    known: dict[str, Bounds] = {}
    for node in _preactivations(graph):
        step = _one_step(graph, box, node.name, known)
        both = _common(crown_of(graph, box, node, known), step)
        if intermediate is Intermediate.UNDECIDED:
            wanted = (step[0] < 0) & (step[1] > 0)
            both = torch.where(wanted, both[0], step[0]), torch.where(wanted, both[1], step[1])
        known[node.name] = both
    return known


def _one_step(graph: Any, box: Tensor, name: str | None, known: dict[str, Bounds]) -> Bounds:
    """Interval bounds of a node (default: the output), given boxes in `known`."""
    return _detached(
        graph.compute_bounds(
            x=(box,), method="IBP", final_node_name=name, intermediate_layer_bounds=known
        )
    )


def _common(first: Bounds, second: Bounds) -> Bounds:
    return torch.maximum(first[0], second[0]), torch.minimum(first[1], second[1])


def _preactivations(graph: Any) -> list[Any]:
    """Nodes that the peer must bound before a CROWN pass, in graph order."""
    needed = [
        node.inputs[index]
        for node in graph.children()
        for index in getattr(node, "requires_input_bounds", [])
        if node.inputs[index].perturbed
    ]
    return list(dict.fromkeys(needed))


def _detached(bounds: Bounds) -> Bounds:
    return bounds[0].detach(), bounds[1].detach()


@contextlib.contextmanager
def computing_in(dtype: torch.dtype) -> Iterator[None]:
    """Peer's own constants (identities, zeros) in `dtype`: it never says which it wants."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.no_grad(), _quiet():
            yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The peer's import and tracing leave no warning, filter or log handler behind."""
    handlers = list(logging.root.handlers)
    with warnings.catch_warnings(record=True):
        try:
            yield
        finally:
            logging.root.handlers[:] = handlers


def _install_stand_ins() -> None:
    """Names that the peer imports and that numpy and torch have since dropped."""
    sets = types.ModuleType("numpy.lib.arraysetops")
    sets.__dict__["isin"] = np.isin
    sys.modules.setdefault("numpy.lib.arraysetops", sets)
    six = types.ModuleType("torch._six")
    six.__dict__["string_classes"] = (str, bytes)
    sys.modules.setdefault("torch._six", six)
    _add(torch, "_six", sys.modules["torch._six"])
    exporter = importlib.import_module("torch.onnx.symbolic_helper")
    _add(exporter, "_set_opset_version", lambda _version: None)
    _add(torch._C.Node, "__getitem__", lambda node, name: getattr(node, node.kindOf(name))(name))


def _add(owner: Any, name: str, value: object) -> None:
    """`owner.name` exists; an existing one is kept."""
    if name not in vars(owner):
        setattr(owner, name, value)


def _accept_remove_duplicate(graph_class: Any) -> None:
    """`_named_members` takes the argument that nn.Module passes since torch 2.0."""
    original: Callable[..., Iterator[tuple[str, Any]]] = graph_class._named_members
    if getattr(original, "accepts_remove_duplicate", False):
        return

    def named_members(
        self: Any, get: Any, prefix: str = "", recurse: bool = True, **_: bool
    ) -> Iterator[tuple[str, Any]]:
        return original(self, get, prefix, recurse)

    named_members.__dict__["accepts_remove_duplicate"] = True
    graph_class._named_members = named_members
