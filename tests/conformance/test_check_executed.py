"""What ONNX Runtime returns lies in the checker's enclosures of executed networks: no tolerance."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantFormat

import lipcert
from lipcert.check.claim import evaluated
from lipcert.check.curve import Curve
from lipcert.check.executed import executed
from lipcert.check.network import read
from lipcert.check.reader import CannotCheckError
from lipcert.graph.semantics import Semantics
from lipcert.methods.interval import IntervalArithmetic
from lipcert.numeric.placement import Placement
from lipcert.sets.region import Box
from tests.conformance.operator_cases import CASES, Case, chain, rand
from tests.conformance.test_check_reads import REFUSED
from tests.conformance.test_read_qoperator import BLOCK, CNN, TYPES, Model, quantised

Runtime = Callable[..., np.ndarray]
READ = [case for case in CASES if case.name not in REFUSED]
SUMS = [  # zero points and scales for which rounding relative to the sum alone is too little
    ((0, 255, 250), (0.029720385, 0.052010518, 0.5825178)),
    ((255, 0, 250), (0.022867786, 0.05081715, 0.08130744)),
    ((250, 0, 250), (0.0077305925, 0.036444113, 0.4810623)),
    ((100, 0, 128), (0.01306913, 0.084948495, 0.7362203)),
]
EVERY = [code.ravel() for code in np.meshgrid(np.arange(256), np.arange(256), indexing="ij")]


def assert_inside(path: Path, inputs: np.ndarray, seen: np.ndarray) -> None:
    lower, upper = evaluated(executed(read(path.read_bytes()), "int8"), inputs.astype(float))
    seen = seen.reshape(len(inputs), -1).astype(float)
    assert (lower <= seen).all()
    assert (seen <= upper).all()


@pytest.mark.parametrize("case", READ, ids=lambda case: case.name)
def test_operators(onnx_file: Callable[..., Path], runtime: Runtime, case: Case) -> None:
    path = onnx_file(case.nodes, case.tensors, case.shape, opset=case.opset)
    steps = read(path.read_bytes())
    if any(isinstance(step.act, Curve) for step in steps.values()):
        with pytest.raises(CannotCheckError):
            executed(steps, "float32")
        return
    batch = case.shape[0] if isinstance(case.shape[0], int) and case.shape[0] > 0 else 16
    inputs = 2 * rand(batch, *(int(size) for size in case.shape[1:]))
    assert_inside(path, inputs, runtime(path, inputs))


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("kind", TYPES, ids=str)
@pytest.mark.parametrize("model", [CNN, BLOCK], ids=["cnn", "block"])
def test_quantised_files(
    tmp_path: Path, model: Model, kind: tuple[str, str, bool], form: QuantFormat
) -> None:
    """Every kernel by itself, and fused to integer kernels."""
    path = quantised(tmp_path, model, kind, form)
    inputs = rand(32, *model[2])
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        if form == QuantFormat.QDQ:
            options.add_session_config_entry("session.x64quantprecision", "1")
        session = onnxruntime.InferenceSession(str(path), options)
        assert_inside(path, inputs, np.asarray(session.run(None, {"x": inputs})[0]))


@pytest.mark.parametrize(("zeros", "scales"), SUMS, ids=str)
def test_sums_of_all_codes_beside_ties(
    tmp_path: Path, runtime: Runtime, zeros: Sequence[int], scales: Sequence[float]
) -> None:
    """The runtime adds raw codes and zero points, whose rounding the sum's own size hides."""
    count, scales = len(EVERY[0]), [np.float32(scale) for scale in scales]
    tensors: dict[str, np.ndarray] = {"i": np.arange(count), "j": np.arange(count, 2 * count)}
    for name, scale, zero in zip("abc", scales, zeros, strict=True):
        tensors |= {f"s{name}": np.array(scale), f"z{name}": np.array(zero, np.uint8)}
    nodes = [
        helper.make_node("Gather", ["x", "i"], ["xa"], axis=1),
        helper.make_node("Gather", ["x", "j"], ["xb"], axis=1),
        *chain(("QuantizeLinear", "xa sa za", "a"), ("QuantizeLinear", "xb sb zb", "b")),
        helper.make_node("QLinearAdd", ["a", "sa", "za", "b", "sb", "zb", "sc", "zc"], ["c"],
                         domain="com.microsoft"),
        helper.make_node("DequantizeLinear", ["c", "sc", "zc"], ["y"]),
    ]  # fmt: skip
    path = saved(tmp_path / "sum.onnx", nodes, tensors, 2 * count)
    values = [(k - z) * float(s) for k, z, s in zip(EVERY, zeros, scales, strict=False)]
    inputs = np.concatenate(values).astype(np.float32)[None]
    seen = runtime(path, inputs)
    assert_inside(path, inputs, seen)
    pair = lipcert.load_pair(path, path, semantics=Semantics.INT8)
    method = IntervalArithmetic()
    bounds = method.certify(pair, Box.around(inputs.astype(float), 0.0), Placement()).compressed
    assert (bounds.lower.numpy() <= seen).all()
    assert (seen <= bounds.upper.numpy()).all()


@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
@pytest.mark.parametrize("zeros", [(0, 255, 250), (250, 0, 0), (100, 7, 128)], ids=str)
def test_constant_codes_beside_ties(
    tmp_path: Path, runtime: Runtime, operator: str, zeros: Sequence[int]
) -> None:
    """As above, one of both stored: of every scale those where a kernel comes nearest to a tie."""
    rng = np.random.default_rng(sum(zeros))
    first, second = (np.float32(rng.uniform(0.01, 0.1)) for _ in range(2))
    constant = (EVERY[1] - zeros[1]) * float(second)
    x = (EVERY[0] - zeros[0]) * float(first)
    exact = x + constant if operator == "QLinearAdd" else x * constant
    for third in rng.uniform(0.05, 0.8, 20).astype(np.float32):
        steps = exact / float(third)
        some = np.argsort(abs(steps - np.floor(steps) - 0.5))[:64]
        tensors: dict[str, np.ndarray] = {"b": EVERY[1][some].astype(np.uint8)}
        for name, scale, zero in zip("abc", (first, second, third), zeros, strict=True):
            tensors |= {f"s{name}": np.array(scale), f"z{name}": np.array(zero, np.uint8)}
        nodes = [
            *chain(("QuantizeLinear", "x sa za", "a")),
            helper.make_node(operator, ["a", "sa", "za", "b", "sb", "zb", "sc", "zc"], ["c"],
                             domain="com.microsoft"),
            helper.make_node("DequantizeLinear", ["c", "sc", "zc"], ["y"]),
        ]  # fmt: skip
        path = saved(tmp_path / "stored.onnx", nodes, tensors, len(some))
        inputs = x[some].astype(np.float32)[None]
        seen = runtime(path, inputs)
        if operator == "QLinearAdd":  # the checker knows no other
            assert_inside(path, inputs, seen)
        pair = lipcert.load_pair(path, path, semantics=Semantics.INT8)
        region = Box.around(inputs.astype(float), 0.0)
        bounds = IntervalArithmetic().certify(pair, region, Placement()).compressed
        assert (bounds.lower.numpy() <= seen).all()
        assert (seen <= bounds.upper.numpy()).all()


def test_constant_codes_of_a_scale_below_zero(tmp_path: Path, runtime: Runtime) -> None:
    """The kernel adds them raw, so that their scale's size is what is rounded."""
    tensors = {"sa": np.float32(0.05), "za": np.uint8(128), "b": np.full(256, 200, np.uint8),
               "sb": np.float32(-3.7e5), "zb": np.uint8(200), "sc": np.float32(0.07),
               "zc": np.uint8(100)}  # fmt: skip
    nodes = [
        *chain(("QuantizeLinear", "x sa za", "a")),
        helper.make_node("QLinearAdd", ["a", "sa", "za", "b", "sb", "zb", "sc", "zc"], ["c"],
                         domain="com.microsoft"),
        helper.make_node("DequantizeLinear", ["c", "sc", "zc"], ["y"]),
    ]  # fmt: skip
    path = saved(tmp_path / "negative.onnx", nodes, tensors, 256)
    inputs = ((np.arange(256) - 128) * 0.05).astype(np.float32)[None]
    assert_inside(path, inputs, runtime(path, inputs))


def saved(path: Path, nodes: Sequence[object], tensors: dict[str, np.ndarray], size: int) -> Path:
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", size]),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]  # fmt: skip
    stored = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], stored)
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=sets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("name", ["q.quotient", "q.product"])
def test_values_that_are_called_like_others_are_refused(
    onnx_file: Callable[..., Path], name: str
) -> None:
    """Else what rounding makes of a value would be another tensor of the file."""
    nodes = chain(("QuantizeLinear", "x s z", "q"), ("DequantizeLinear", "q s z", "d"),
                  ("Mul", "x zero", name), ("Add", f"d {name}", "y"))  # fmt: skip
    tensors = {"s": np.float32(0.1), "z": np.uint8(100), "zero": np.float32(0)}
    path = onnx_file(nodes, tensors, ("N", 3))
    with pytest.raises(CannotCheckError, match="two values"):
        executed(read(path.read_bytes()), "float32")


def test_quotients_that_are_one_are_rounded(
    onnx_file: Callable[..., Path], runtime: Runtime
) -> None:
    """A runtime takes 41 times the inverse of 41."""
    one = np.ones(1, np.float32)
    tensors = {"g": 41 * one, "b": 0 * one, "m": 0 * one, "v": 41 * 41 * one}
    nodes = [helper.make_node("BatchNormalization", ["x", *tensors], ["y"], epsilon=0.0)]
    path = onnx_file(nodes, tensors, ("N", 1))
    inputs = np.array([[1.0], [-3.0], [1e-3], [0.1]], np.float32)
    seen = runtime(path, inputs)
    assert (seen != inputs).any()
    assert_inside(path, inputs, seen)


def test_float64_is_refused(onnx_file: Callable[..., Path]) -> None:
    nodes = [helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE),
             helper.make_node("Relu", ["wide"], ["many"]),
             helper.make_node("Cast", ["many"], ["y"], to=TensorProto.FLOAT)]  # fmt: skip
    path = onnx_file(nodes, {}, ("N", 3))
    with pytest.raises(CannotCheckError):
        executed(read(path.read_bytes()), "float32")
