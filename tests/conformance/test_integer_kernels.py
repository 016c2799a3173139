"""Integer programs against ONNX Runtime, on generated networks: no code may differ."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import NodeProto, TensorProto, helper, numpy_helper

from lipcert.graph.semantics import Semantics
from lipcert.integer import Program, codes_of, evaluate
from lipcert.integer.export import operators
from lipcert.read.integer import read_integer

Deploy = Callable[..., Any]  # the fixture: (path, semantics, kept) to a session
PROMPT = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def hard_inputs(program: Program, count: int, seed: int) -> np.ndarray:
    """Codes' values, ties between codes, values that saturate, all mixed."""
    generator = np.random.default_rng(seed)
    encoding = program.steps[0].encoding
    shape = (count, *program.input_shape)
    codes = generator.integers(encoding.lowest - 8, encoding.highest + 9, shape)
    steps = (codes - encoding.zero_point).astype(np.float32)
    steps[count // 3 : 2 * count // 3] += np.float32(0.5)
    extremes = generator.random(shape) < 0.3
    ends = np.where(generator.random(shape) < 0.5, -1e6, 1e6).astype(np.float32)
    steps[2 * count // 3 :] = np.where(extremes, ends, steps)[2 * count // 3 :]
    return np.asarray(steps * np.float32(encoding.scale), dtype=np.float32)


@dataclass
class Network:
    """A QDQ file under construction; weights are random."""

    generator: np.random.Generator
    activations: type
    weights: type
    per_channel: bool
    nodes: list[NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)
    top: str = "x"
    scale: float = 0.0

    def constant(self, values: object) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, kind: str, inputs: list[str], **facts: object) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **facts))
        return name

    def quantise(self, *, lowest: bool = False, scale: float | None = None) -> str:
        limits = np.iinfo(self.activations)
        zero = limits.min if lowest else self.generator.integers(limits.min, limits.max + 1)
        self.scale = float(
            np.float32(self.generator.uniform(0.01, 0.3) if scale is None else scale)
        )
        pair = [self.constant(np.float32(self.scale)), self.constant(self.activations(zero))]
        codes = self.node("QuantizeLinear", [self.top, *pair])
        self.top = self.node("DequantizeLinear", [codes, *pair])
        return self.top

    def weight(self, shape: tuple[int, ...], axis: int) -> tuple[str, str, float]:
        """Names of weights and bias, and the typical size of a sum."""
        limits, count = np.iinfo(self.weights), shape[axis]
        codes = self.generator.integers(limits.min, limits.max + 1, shape).astype(self.weights)
        many = count if self.per_channel else 1
        scales = self.generator.uniform(0.001, 0.02, many).astype(np.float32)
        shared = 0 if limits.min < 0 else 128
        zeros = np.full(many, shared, self.weights)
        if not self.per_channel:
            scales, zeros = scales[0], zeros[0]
        facts: dict[str, int] = {"axis": axis} if self.per_channel else {}
        inputs = [self.constant(codes), self.constant(scales), self.constant(zeros)]
        weights = self.node("DequantizeLinear", inputs, **facts)
        bias = self.generator.integers(-9999, 10000, count).astype(np.int32)
        unit = np.float32(self.scale) * scales
        facts = {"axis": 0} if self.per_channel else {}
        inputs = [self.constant(bias), self.constant(unit)]
        held = self.node("DequantizeLinear", inputs, **facts)
        size = float(np.prod(shape)) / count
        return weights, held, float(np.mean(scales)) * self.scale * 73 * 73 * size**0.5

    def conv(self, outputs: int, inputs: int, kernel: int, **facts: int) -> None:
        groups = facts.pop("group", 1)
        weights, bias, spread = self.weight((outputs, inputs // groups, kernel, kernel), 0)
        stride, pad = facts.get("stride", 1), facts.get("pad", 0)
        self.top = self.node(
            "Conv", [self.top, weights, bias],
            group=groups, strides=[stride] * 2, pads=[pad] * 4, kernel_shape=[kernel] * 2,
        )  # fmt: skip
        rectified = bool(self.generator.random() < 0.5)
        if rectified:
            self.top = self.node("Relu", [self.top])
        self.quantise(lowest=rectified, scale=spread / 60)

    def gemm(self, outputs: int, inputs: int) -> None:
        weights, bias, spread = self.weight((outputs, inputs), 0)
        self.top = self.node("Gemm", [self.top, weights, bias], transB=1)
        self.quantise(scale=spread / 60)

    def file(self, path: Path, shape: tuple[int, ...]) -> Path:
        self.nodes.append(helper.make_node("Identity", [self.top], ["y"], name="last"))
        graph = helper.make_graph(
            self.nodes, "generated",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            self.tensors,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path.write_bytes(model.SerializeToString())
        return path


def dense_network(network: Network, path: Path) -> Path:
    width = int(network.generator.integers(1, 70))
    hidden = int(network.generator.integers(1, 40))
    network.quantise()
    network.gemm(hidden, width)
    network.gemm(5, hidden)
    return network.file(path, (width,))


def conv_network(network: Network, path: Path) -> Path:
    channels, inner = (int(v) for v in network.generator.integers(1, 9, 2))
    network.quantise()
    network.conv(2 * inner, channels, 3, pad=1, stride=int(network.generator.integers(1, 3)))
    network.conv(2 * inner, 2 * inner, 3, group=2 * inner, pad=1)
    network.conv(4, 2 * inner, 1)
    network.conv(6, 4, 2, group=2)
    return network.file(path, (channels, 9, 9))


def pooled_network(network: Network, path: Path) -> Path:
    network.quantise()
    network.conv(8, 2, 3)
    kind = str(network.generator.choice(["AveragePool", "GlobalAveragePool", "whole"]))
    if kind == "GlobalAveragePool":
        network.top = network.node(kind, [network.top])
    else:
        size = 8 if kind == "whole" else int(network.generator.integers(2, 4))
        pad = 0 if kind == "whole" else int(network.generator.integers(0, 2))
        network.top = network.node(
            "AveragePool", [network.top], kernel_shape=[size] * 2, pads=[pad] * 4,
            strides=[int(network.generator.integers(1, 3))] * 2,
            count_include_pad=int(network.generator.integers(0, 2)),
        )  # fmt: skip
    network.quantise(scale=network.scale * float(network.generator.uniform(0.3, 1.2)))
    return network.file(path, (2, 10, 10))


def other_network(network: Network, path: Path) -> Path:
    """A matrix product, or a convolution that is one-dimensional, dilated or multiplying."""
    network.quantise()
    kind = int(network.generator.integers(4))
    weights, bias, spread = network.weight(
        [(9, 5), (6, 3, 4), (6, 5, 2, 3), (8, 1, 3, 3)][kind], 1 if kind == 0 else 0
    )
    facts: dict[str, object] = [
        {},
        {"strides": [2], "pads": [2, 1], "dilations": [2]},
        {"strides": [2, 1], "pads": [0, 2, 1, 1], "dilations": [1, 2]},
        {"group": 4},
    ][kind]
    operands = [network.top, weights] if kind == 0 else [network.top, weights, bias]
    network.top = network.node("Conv" if kind else "MatMul", operands, **facts)
    network.quantise(scale=spread / 60)
    return network.file(path, [(9,), (3, 17), (5, 9, 11), (4, 9, 11)][kind])


MAKERS: dict[str, Callable[[Network, Path], Path]] = {
    "dense": dense_network,
    "conv": conv_network,
    "pooled": pooled_network,
    "other": other_network,
}
KINDS = st.sampled_from([(np.uint8, np.int8), (np.uint8, np.uint8), (np.int8, np.int8)])


def agree(run: Any, path: Path, semantics: Semantics, seed: int) -> None:
    """Zero differing codes, for one row and for many."""
    program = read_integer(path)
    assert not run.floats
    inputs = hard_inputs(program, 24, seed)
    expected = evaluate(program, inputs, semantics)
    np.testing.assert_array_equal(run(inputs), expected)
    np.testing.assert_array_equal(run(inputs[-1:]), expected[-1:])


@pytest.mark.parametrize("maker", MAKERS)
@PROMPT
@given(kinds=KINDS, per_channel=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_int8_agrees(
    deploy: Deploy,
    tmp_path: Path,
    maker: str,
    kinds: tuple[type, type],
    per_channel: bool,
    seed: int,
) -> None:
    network = Network(np.random.default_rng(seed), *kinds, per_channel=per_channel)
    path = MAKERS[maker](network, tmp_path / "model.onnx")
    agree(deploy(path, Semantics.INT8), path, Semantics.INT8, seed)


@pytest.mark.parametrize("maker", MAKERS)
@PROMPT
@given(per_channel=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_int8_agrees_where_signed_codes_are_kept(
    deploy: Deploy, tmp_path: Path, maker: str, per_channel: bool, seed: int
) -> None:
    network = Network(np.random.default_rng(seed), np.int8, np.int8, per_channel=per_channel)
    path = MAKERS[maker](network, tmp_path / "model.onnx")
    agree(deploy(path, Semantics.INT8, kept=True), path, Semantics.INT8, seed)


@pytest.mark.usefixtures("saturating")
@pytest.mark.parametrize("maker", MAKERS)
@PROMPT
@given(kinds=KINDS, per_channel=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_sat16_agrees(
    deploy: Deploy,
    tmp_path: Path,
    maker: str,
    kinds: tuple[type, type],
    per_channel: bool,
    seed: int,
) -> None:
    network = Network(np.random.default_rng(seed), *kinds, per_channel=per_channel)
    path = MAKERS[maker](network, tmp_path / "model.onnx")
    agree(deploy(path, Semantics.ORT_X86_SAT16), path, Semantics.ORT_X86_SAT16, seed)


@PROMPT
@given(signed=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_addition_agrees_on_every_pair_of_codes(
    deploy: Deploy, tmp_path: Path, signed: bool, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    kind = np.int8 if signed else np.uint8
    path = tmp_path / "model.onnx"
    network = Network(generator, kind, np.int8, per_channel=False)
    first = network.quantise(scale=float(np.exp(generator.normal())))
    step = network.scale
    network.top = network.node("Identity", ["x"])
    second = network.quantise(scale=float(np.exp(generator.normal())))
    network.top = network.node("Add", [first, second])
    network.quantise(scale=step * float(np.exp(generator.normal())))
    network.file(path, (65536,))
    program = read_integer(path)
    run = deploy(path, Semantics.INT8, kept=True)
    assert not run.floats
    encoding = program.steps[0].encoding
    inputs = (generator.integers(-400, 400, (1, 65536)) * np.float32(encoding.scale)).astype(
        np.float32
    )
    np.testing.assert_array_equal(run(inputs), evaluate(program, inputs, Semantics.INT8))


@pytest.mark.usefixtures("saturating")
@pytest.mark.parametrize("semantics", [Semantics.INT8, Semantics.ORT_X86_SAT16])
@PROMPT
@given(kinds=KINDS, maker=st.sampled_from(sorted(MAKERS)), seed=st.integers(0, 2**32 - 1))
def test_operator_files_agree(
    deploy: Deploy,
    tmp_path: Path,
    semantics: Semantics,
    kinds: tuple[type, type],
    maker: str,
    seed: int,
) -> None:
    network = Network(np.random.default_rng(seed), *kinds, per_channel=True)
    program = read_integer(MAKERS[maker](network, tmp_path / "model.onnx"))
    path = tmp_path / "operators.onnx"
    path.write_bytes(operators(program).SerializeToString())
    agree(deploy(path, semantics), path, semantics, seed)


def test_every_step_stays_within_its_codes(tmp_path: Path) -> None:
    network = Network(np.random.default_rng(5), np.uint8, np.int8, per_channel=True)
    program = read_integer(conv_network(network, tmp_path / "model.onnx"))
    made = codes_of(program, hard_inputs(program, 9, 0), Semantics.ORT_X86_SAT16)
    for step in program.steps:
        assert made[step.name].min() >= step.floor
        assert made[step.name].max() <= step.encoding.highest
