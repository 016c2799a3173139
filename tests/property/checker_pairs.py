"""Pairs of small random ONNX files for the checker."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTHS = (4, 5, 6, 3)


def saved(path: Path, nodes: list[onnx.NodeProto], tensors: dict[str, np.ndarray],
          shape: tuple[int, ...]) -> Path:  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in tensors.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    )
    return path


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    step = np.abs(values).max() / 2 ** (bits - 1)
    return (np.round(values / step) * step).astype(np.float32)


def dense(path: Path, weights: list[np.ndarray], biases: list[np.ndarray], scales: list[float],
          activation: str) -> Path:  # fmt: skip
    """Layers one behind the other; where there is a scale, values are rounded to codes."""
    nodes, tensors, now = [], dict[str, np.ndarray](), "input"
    for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        tensors |= {f"w{k}": weight, f"b{k}": bias}
        last = k == len(weights) - 1
        made = "output" if last else f"sum{k}"
        nodes.append(helper.make_node("Gemm", [now, f"w{k}", f"b{k}"], [made], transB=1))
        if last:
            break
        if activation == "Clip":
            tensors |= {"low": np.float32(-0.5), "high": np.float32(1.5)}
            nodes.append(helper.make_node("Clip", [made, "low", "high"], [f"act{k}"]))
        else:
            nodes.append(helper.make_node("Relu", [made], [f"act{k}"]))
        now = f"act{k}"
        if scales:
            tensors |= {f"s{k}": np.float32(scales[k]), f"z{k}": np.uint8(0 if k else 7)}
            nodes.append(helper.make_node("QuantizeLinear", [now, f"s{k}", f"z{k}"], [f"q{k}"]))
            names = [f"q{k}", f"s{k}", f"z{k}"]
            nodes.append(helper.make_node("DequantizeLinear", names, [f"d{k}"]))
            now = f"d{k}"
    return saved(path, nodes, tensors, (weights[0].shape[1],))


def dense_pair(folder: Path, seed: int) -> tuple[Path, Path]:
    """Rounded weights, rounded values as well, or a hidden neuron less."""
    rng = np.random.default_rng(seed)
    sizes = zip(WIDTHS[1:], WIDTHS[:-1], strict=True)
    weights = [rng.normal(size=size).astype(np.float32) for size in sizes]
    biases = [rng.normal(size=n).astype(np.float32) * 0.3 for n in WIDTHS[1:]]
    activation = ("Relu", "Clip")[seed % 2]
    original = dense(folder / "f.onnx", weights, biases, [], activation)
    few = [rounded(w, 5) for w in weights]
    if seed % 3 == 0:
        few = [np.delete(few[0], 1, 0), np.delete(few[1], 1, 1), few[2]]
        biases = [np.delete(biases[0], 1), *biases[1:]]
    scales = list(rng.uniform(0.02, 0.3, len(weights))) if seed % 3 == 1 else []
    return original, dense(folder / "g.onnx", few, biases, scales, activation)


def conv_pair(folder: Path, seed: int) -> tuple[Path, Path]:
    """A residual block, pooled: strides, groups, pads, an addition, a mean, a transposed shape."""
    rng = np.random.default_rng(seed)
    tensors = {
        "w0": rng.normal(size=(4, 2, 3, 3)).astype(np.float32) * 0.4,
        "w1": rng.normal(size=(4, 1, 3, 1)).astype(np.float32) * 0.6,
        "b1": rng.normal(size=4).astype(np.float32),
        "w2": rng.normal(size=(16, 3)).astype(np.float32) * 0.5,
        "b2": rng.normal(size=3).astype(np.float32),
        "shape": np.array([0, -1], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["input", "w0"], ["c0"], pads=[1, 0, 1, 1], strides=[1, 2]),
        helper.make_node("Relu", ["c0"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1", "b1"], ["c1"], pads=[1, 0, 1, 0], group=4),
        helper.make_node("Add", ["c1", "r0"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["r1"]),
        helper.make_node("AveragePool", ["r1"], ["p"], kernel_shape=[2, 1], strides=[2, 1]),
        helper.make_node("Transpose", ["p"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["t", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w2"], ["last"]),
        helper.make_node("Add", ["last", "b2"], ["output"]),
    ]
    original = saved(folder / "f.onnx", nodes, tensors, (2, 4, 4))
    few = {k: rounded(v, 5) if k[0] == "w" else v for k, v in tensors.items()}
    return original, saved(folder / "g.onnx", nodes, few, (2, 4, 4))


def leaky_blocks(path: Path, seed: int, pool: str = "MaxPool") -> Path:
    """A residual block of leaky ReLUs, some of which fall below zero, and pooling."""
    rng = np.random.default_rng(seed)
    tensors = {
        "w0": rng.normal(size=(3, 2, 3, 3)).astype(np.float32) * 0.4,
        "a": rng.uniform(-0.5, 1.5, (3, 1, 1)).astype(np.float32),
        "w1": rng.normal(size=(3, 3, 1, 1)).astype(np.float32),
        "shape": np.array([0, -1], np.int64),
        "w2": rng.normal(size=(12, 2)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["input", "w0"], ["c0"], pads=[1, 1, 1, 1]),
        helper.make_node("PRelu", ["c0", "a"], ["r0"]),
        helper.make_node("Conv", ["r0", "w1"], ["c1"]),
        helper.make_node("Add", ["c1", "c0"], ["sum"]),
        helper.make_node("LeakyRelu", ["sum"], ["r1"], alpha=0.2),
        helper.make_node(pool, ["r1"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Reshape", ["p", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w2"], ["output"]),
    ]
    return saved(path, nodes, tensors, (2, 4, 4))
