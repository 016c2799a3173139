"""A layer graph as a table."""

from dataclasses import fields

import torch
from rich import box
from rich.console import Group
from rich.table import Table
from torch import Tensor

from lipcert.graph.layer_graph import LayerGraph, Node


def layers(graph: LayerGraph) -> Group:
    """One row per node, then totals and the content's hash."""
    table = Table(title=graph.source, box=box.SIMPLE, title_style="bold")
    for name in ("name", "operation", "shape", "inputs"):
        table.add_column(name, overflow="fold")
    table.add_column("parameters", justify="right")
    for node in graph.nodes:
        shape = "x".join(str(size) for size in node.shape) or "scalar"
        kind = "Input" if node.op is None else type(node.op).__name__
        table.add_row(node.name, kind, shape, ", ".join(node.inputs), str(_parameters(node) or ""))
    total = f"{len(graph.nodes)} nodes, {graph.parameters()} parameters"
    return Group(table, total, f"content sha256 {graph.content_hash()}")


def _parameters(node: Node) -> int:
    """Stored floating-point weights of one node."""
    if node.op is None:
        return 0
    values = (getattr(node.op, f.name) for f in fields(node.op))  # type: ignore[arg-type]
    return sum(v.numel() for v in values if isinstance(v, Tensor) and torch.is_floating_point(v))
