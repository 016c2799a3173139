"""What the checker reads by itself agrees with ONNX Runtime; all else it refuses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantFormat

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.check import Answer, check
from lipcert.check.claim import evaluated
from lipcert.check.executed import executed
from lipcert.check.network import read
from lipcert.check.reader import CannotCheckError
from tests.conformance.operator_cases import CASES, Case, chain, one, rand
from tests.conformance.test_read_qoperator import BLOCK, CNN, TYPES, Model, quantised
from tests.property.checker_pairs import saved

REFUSED = {
    "gemm scaled", "matmul leading one", "average pool ceil counts pads",
    "reduce mean of channels", "reduce mean outer", "reduce mean by input", "reduce sum",
    "identity", "softmax", "softmax of opset 11", "cast", "dropout", "pad with a value",
    "reshape fixed batch", "filled constant", "out of order",
    "quantise per channel", "weights quantised in the graph", "quantised weights",
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_checker_agrees_with_onnx_runtime_or_refuses(
    onnx_file: Callable[..., Path], runtime: Callable[..., np.ndarray], case: Case
) -> None:
    path = onnx_file(case.nodes, case.tensors, case.shape, opset=case.opset)
    if case.name in REFUSED:
        with pytest.raises(CannotCheckError):
            read(path.read_bytes())
        return
    batch = case.shape[0] if isinstance(case.shape[0], int) and case.shape[0] > 0 else 3
    inputs = 2 * rand(batch, *(int(size) for size in case.shape[1:]))
    expected = runtime(path, inputs).reshape(batch, -1)
    lower, upper = evaluated(read(path.read_bytes()), inputs.astype(float))
    assert (lower <= upper).all()
    near = 3e-6 * max(1.0, float(np.abs(expected).max()))
    assert (lower - near <= expected).all()
    assert (expected <= upper + near).all()
    assert (upper - lower).max() <= near


SCALES = {"s": np.float32(0.1), "z": np.uint8(100)}
DROPOUT = {"share": np.float32(0.5), "train": np.array(True)}
BIAS = {"s": np.float32(0.1), "z": np.uint8(0), "w": np.full((3, 2), 2, np.uint8),
        "b": np.full(2, 2**31 - 100, np.int32)}  # fmt: skip
MISREAD = [  # what a reader may take for something else
    Case("softmax beside the output", chain(("Gemm", "x w", "y"), ("Softmax", "y", "p")),
         {"w": rand(3, 3)}, ("N", 3)),
    Case("softmax of what the output is of", chain(("Relu", "x", "y"), ("Softmax", "y", "p")),
         {}, ("N", 3)),
    Case("pad of codes", chain(("QuantizeLinear", "x s z", "q"), ("Pad", "q p", "m"),
                               ("DequantizeLinear", "m s z", "y")),
         SCALES | {"p": np.array([0, 1, 0, 1])}, ("N", 3)),
    Case("dropout in training", chain(("Dropout", "x share train", "d"), ("Relu", "d", "y")),
         DROPOUT, ("N", 3)),
    Case("pads that count for nothing", one("MaxPool", kernel_shape=[3, 3], auto_pad="VALID",
                                            pads=[1, 1, 1, 1])),
    Case("dilated pads of a runtime's own", one("MaxPool", kernel_shape=[3, 3], dilations=[2, 2],
                                                auto_pad="SAME_UPPER")),
    Case("pads of less than nothing", one("Conv", "w", auto_pad="SAME_UPPER", strides=[6, 6]),
         {"w": rand(2, 2, 1, 1)}, ("N", 2, 6, 6)),
    Case("mean with pads that count for nothing",
         one("AveragePool", kernel_shape=[3, 3], auto_pad="VALID", pads=[1, 1, 1, 1])),
]  # fmt: skip


@pytest.mark.parametrize("case", MISREAD, ids=lambda case: case.name)
def test_what_may_be_misread_is_refused(onnx_file: Callable[..., Path], case: Case) -> None:
    path = onnx_file(case.nodes, case.tensors, case.shape, opset=case.opset)
    with pytest.raises(CannotCheckError):
        read(path.read_bytes())


def test_files_that_runtimes_read_otherwise() -> None:
    """An attribute that is given twice; a tensor without a name is none."""
    twice = one("LeakyRelu", alpha=0.5)
    twice[0].attribute.append(helper.make_attribute("alpha", 0.1))
    nameless = [helper.make_node("Clip", ["x", "", "high"], ["y"])]
    stored = [numpy_helper.from_array(np.float32(v), k) for k, v in (("", 0.5), ("high", 2.0))]
    ends = [helper.make_tensor_value_info(k, 1, ["n", 1]) for k in "xy"]
    models = [
        helper.make_model(
            helper.make_graph(nodes, "graph", ends[:1], ends[1:], tensors),
            opset_imports=[helper.make_opsetid("", 15)],
        ).SerializeToString()
        for nodes, tensors in ((twice, []), (nameless, stored))
    ]
    with pytest.raises(CannotCheckError, match="attributes"):
        read(models[0])
    assert evaluated(read(models[1]), np.full((1, 1), -1.0))[1] < 0


def test_numbers_that_are_not_given_are_float32() -> None:
    """So are those of an operator's definition."""
    for node, tensors in (
        (one("LeakyRelu"), {}),
        (one("BatchNormalization", *"gbmv"), {k: np.ones(1, np.float32) for k in "gbmv"}),
    ):
        name, value = (("epsilon", 1e-5), ("alpha", 0.01))[not tensors]
        told = [onnx.NodeProto.FromString(node[0].SerializeToString())]
        told[0].attribute.append(helper.make_attribute(name, value))
        ends = [helper.make_tensor_value_info(k, 1, ["n", 1]) for k in "xy"]
        stored = [numpy_helper.from_array(v, k) for k, v in tensors.items()]
        graphs = (helper.make_graph(n, "graph", ends[:1], ends[1:], stored) for n in (node, told))
        opset = [helper.make_opsetid("", 15)]
        both = [read(helper.make_model(g, opset_imports=opset).SerializeToString()) for g in graphs]
        boxes = [evaluated(steps, np.full((1, 1), -1.0)) for steps in both]
        assert boxes[0] == boxes[1]


def test_constants_outside_the_file_are_refused(
    onnx_file: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hash covers them."""
    monkeypatch.chdir(tmp_path)
    rand(3).tofile("outside.bin")
    tensor = onnx.TensorProto(name="c", data_type=1, dims=[3], data_location=1)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "outside.bin"
    nodes = [helper.make_node("Constant", [], ["c"], value=tensor), *chain(("Add", "x c", "y"))]
    with pytest.raises(CannotCheckError, match="outside"):
        read(onnx_file(nodes, {}, ("N", 3)).read_bytes())


def test_pads_of_codes_for_zero(
    onnx_file: Callable[..., Path], runtime: Callable[..., np.ndarray]
) -> None:
    case = MISREAD[2]
    path = onnx_file(case.nodes, case.tensors | {"z": np.uint8(0)}, case.shape)
    steps = executed(read(path.read_bytes()), "int8")
    lower, upper = evaluated(steps, (inputs := rand(2, 3)).astype(float))
    seen = runtime(path, inputs)
    assert (lower <= seen).all()
    assert (seen <= upper).all()


def test_a_bias_that_overflows_is_refused(tmp_path: Path) -> None:
    """A kernel's sum of 32 bits turns over."""
    nodes = [helper.make_node("QuantizeLinear", ["input", "s", "z"], ["q"]),
             helper.make_node("QGemm", ["q", "s", "z", "w", "s", "z", "b"], ["output"],
                              domain="com.microsoft")]  # fmt: skip
    with pytest.raises(CannotCheckError, match="29 bits"):
        read(saved(tmp_path / "f.onnx", nodes, BIAS, (3,)).read_bytes())


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("model", [CNN, BLOCK], ids=["cnn", "block"])
def test_certificates_of_quantised_files_are_verified(
    tmp_path: Path, model: Model, form: QuantFormat
) -> None:
    """Pooling, leaky ReLU, groups and residuals, as a quantiser of others writes them."""
    compressed = quantised(tmp_path, model, TYPES[1], form)
    region = lipcert.Box.around(rand(2, *model[2]).astype(float), 0.001)
    certificate = lipcert.certify(
        lipcert.load_pair(tmp_path / "float.onnx", compressed), region,
        attack=DriftAttack(steps=3, restarts=1),
    )  # fmt: skip
    assert check(certificate.save(tmp_path / "out")) == (
        Answer.VERIFIED,
        "every bound over 2 regions was derived again",
    )


def test_places_that_read_padding_alone(onnx_file: Callable[..., Path], tmp_path: Path) -> None:
    """A map that is padded by more than a window, so that some walks end in zeros."""
    nodes = chain(("Pad", "x p", "wide"), ("Conv", "wide w b", "c"), ("Relu", "c", "r"),
                  ("Conv", "r v", "y"))  # fmt: skip
    tensors = {"p": np.array([0, 0, 2, 2, 0, 0, 2, 2]), "w": rand(2, 1, 1, 1), "b": rand(2),
               "v": rand(1, 2, 3, 3)}  # fmt: skip
    files = [onnx_file(nodes, tensors, ("N", 1, 3, 3)), tmp_path / "g.onnx"]
    files[0] = files[0].rename(tmp_path / "f.onnx")
    few = tensors | {"w": np.round(tensors["w"], 1), "v": np.round(tensors["v"], 1)}
    onnx_file(nodes, few, ("N", 1, 3, 3)).rename(files[1])
    region = lipcert.Box.around(rand(1, 1, 3, 3).astype(float), 0.3)
    attack = DriftAttack(steps=3, restarts=1)
    certificate = lipcert.certify(lipcert.load_pair(*files), region, attack=attack)
    assert check(certificate.save(tmp_path / "out"))[0] is Answer.VERIFIED
