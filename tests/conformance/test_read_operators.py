"""Small ONNX models, one operator or idiom each, against ONNX Runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper

from lipcert.graph.simplify import simplify
from lipcert.read import read_onnx
from tests.conformance.operator_cases import CASES, NORMS, Case, one, rand

Array = np.ndarray
Runtime = Callable[[Path, Array], Array]
Maker = Callable[..., Path]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operator_agrees_with_onnx_runtime(onnx_file: Maker, runtime: Runtime, case: Case) -> None:
    path = onnx_file(case.nodes, case.tensors, case.shape, opset=case.opset)
    batch = case.shape[0] if isinstance(case.shape[0], int) and case.shape[0] > 0 else 3
    inputs = 2 * rand(batch, *(int(size) for size in case.shape[1:]))
    expected = runtime(path, inputs)
    graph = read_onnx(path)
    exact = torch.from_numpy(inputs).double()
    found = graph(exact).numpy()
    assert found.shape == expected.shape
    assert (batch, *graph.output.shape) == expected.shape
    size = max(1.0, float(np.abs(expected).max()))
    assert np.abs(found - expected).max() <= 3e-6 * size
    simpler = simplify(graph)
    assert {node.name for node in simpler.nodes} <= {node.name for node in graph.nodes}
    assert np.abs(simpler(exact).numpy() - found).max() <= 1e-12 * size


@pytest.mark.parametrize("batch", ["N", None, 0, 1, 2000])
def test_any_batch_is_read_as_none(onnx_file: Maker, batch: int | str | None) -> None:
    graph = read_onnx(onnx_file(one("Flatten"), {}, (batch, 3, 2)))
    assert (graph.input.shape, graph.output.shape) == ((3, 2), (6,))


def test_names_are_those_of_the_file(onnx_file: Maker) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["h"], "first"),
        helper.make_node("Tanh", ["h"], ["unnamed"]),
        helper.make_node("MaxPool", ["unnamed"], ["p"], "pool", kernel_shape=[2, 1]),
        helper.make_node("Relu", ["p"], ["y"], "first"),
    ]
    names = [node.name for node in read_onnx(onnx_file(nodes, {}, ("N", 3, 4, 4))).nodes]
    assert names[:3] == ["x", "first", "unnamed"]
    assert all(name.startswith("pool.") for name in names[3:-1])
    assert names[-1] == "first.2"


def test_batch_norm_is_one_scale_rounded_once(onnx_file: Maker) -> None:
    graph = read_onnx(onnx_file(NORMS[0].nodes, NORMS[0].tensors, NORMS[0].shape))
    assert len(graph.nodes) == 2
    assert graph.output.op.error <= 2**-51  # type: ignore[union-attr]
