"""What a certificate says about a network: hashes, operators, sizes, number formats."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from lipcert.certificate.provenance import NetworkFacts
from lipcert.graph.layer_graph import LayerGraph
from lipcert.ops.conv import Conv
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.read.file_bytes import regular_bytes
from lipcert.read.onnx_file import LARGEST_FILE, open_model
from lipcert.read.onnx_view import kind_of

FORMATS = {".onnx": "ONNX", ".tflite": "LiteRT"}
CODES = {"INT4", "UINT4", "INT8", "UINT8", "INT16", "UINT16"}


def network_facts(graph: LayerGraph, path: Path | None) -> NetworkFacts:
    """Of a network as it was read, and of the file that it was read from, if any."""
    suffix = "" if path is None else path.suffix.lower()
    model = open_model(path)[0] if path is not None and suffix == ".onnx" else None
    return NetworkFacts(
        source=graph.source,
        format=FORMATS.get(suffix, "PyTorch module"),
        file_sha256=None if path is None else _hash(path),
        content_sha256=graph.content_hash(),
        opset={}
        if model is None
        else {o.domain or "ai.onnx": o.version for o in model.opset_import},
        operators=dict(sorted(_operators(graph, model).items())),
        parameters=graph.parameters(),
        nodes=len(graph.nodes),
        sparsity=_sparsity(graph),
        quantisation=tuple(_staircases(graph)) if model is None else tuple(_formats(model)),
    )


def _hash(path: Path) -> str:
    return hashlib.sha256(regular_bytes(path, LARGEST_FILE)).hexdigest()


def _operators(graph: LayerGraph, model: ModelProto | None) -> Counter[str]:
    if model is not None:
        return Counter(kind_of(node) for node in model.graph.node)
    return Counter(type(node.op).__name__ for node in graph.nodes[1:])


def _sparsity(graph: LayerGraph) -> float:
    weights = [node.op.weight for node in graph.nodes if isinstance(node.op, Conv | Linear)]
    total = sum(weight.numel() for weight in weights)
    return sum(int((weight == 0).sum()) for weight in weights) / total if total else 0.0


def _staircases(graph: LayerGraph) -> Iterator[str]:
    """Of formats whose weights are read as plain numbers: what is rounded on the way."""
    found = Counter(
        f"values: {int((node.op.highest - node.op.lowest).max()) + 1} codes, {_each(node.op)}"
        for node in graph.nodes
        if isinstance(node.op, Quantize)
    )
    yield from (f"{words} ({count})" for words, count in sorted(found.items()))


def _each(op: Quantize) -> str:
    return "one scale" if op.scale.numel() == 1 else "a scale per channel"


def _formats(model: ModelProto) -> Iterator[str]:
    """Number formats of weights and values, and how often each occurs."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    found: Counter[str] = Counter()
    for node in model.graph.node:
        words = _format(node, stored)
        found.update([words] if words is not None else [])
    halves = Counter(TensorProto.DataType.Name(t.data_type) for t in stored.values())
    for kind in ("FLOAT16", "BFLOAT16"):
        if halves[kind]:
            found[f"weights: {kind.lower()}"] = halves[kind]
    yield from (f"{words} ({count})" for words, count in sorted(found.items()))


def _format(node: NodeProto, stored: dict[str, TensorProto]) -> str | None:
    """What one operator says about number formats."""
    if node.op_type == "QuantizeLinear":
        zero = stored.get(node.input[2]) if len(node.input) > 2 else None
        return f"values: {'uint8' if zero is None else _kind(zero)}, {_scales(node, stored)}"
    if node.op_type == "DequantizeLinear" and node.input[0] in stored:
        return f"weights: {_kind(stored[node.input[0]])}, {_scales(node, stored)}"
    if node.op_type.startswith("QLinear") or node.op_type in ("MatMulNBits", "QGemm"):
        kinds = {_kind(stored[name]) for name in node.input if name in stored}
        return f"{node.op_type}: {', '.join(sorted(k for k in kinds if k.upper() in CODES))}"
    return None


def _kind(tensor: TensorProto) -> str:
    return TensorProto.DataType.Name(tensor.data_type).lower()


def _scales(node: NodeProto, stored: dict[str, TensorProto]) -> str:
    scale = stored.get(node.input[1])
    if any(a.name == "block_size" and a.i for a in node.attribute):
        return "a scale per block"
    return "one scale" if scale is None or np.prod(scale.dims) <= 1 else "a scale per channel"
