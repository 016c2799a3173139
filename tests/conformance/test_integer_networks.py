"""Integer programs of published networks against ONNX Runtime: no output may differ.

`session.x64quantprecision=1` turns int8 weights into uint8 ones, `session.qdqisint8allowed=1`
keeps signed activations signed; either way no kernel saturates. Residual networks with signed
activations run wholly in integers only with the second option: by default ONNX Runtime makes
activations unsigned that one node reads, leaves those that two nodes read, and then computes
convolutions and additions between the two kinds in float.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lipcert.graph.semantics import Semantics
from lipcert.integer import Program, evaluate
from lipcert.integer.export import operators
from lipcert.read.integer import read_integer

Deploy = Callable[..., Any]
DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "model.int8.onnx"
WHOLE = {"ad_autoencoder": 400, "kws_dscnn": 120, "sww_dscnn1d": 200}
RESIDUAL = {"ic_resnet8": 40}
LAST = {"Gemm"}  # behind a Flatten without codes of its own: float sums, the same codes so far


@pytest.fixture(params=[*WHOLE, *RESIDUAL, "digits"])
def network(request: pytest.FixtureRequest) -> tuple[str, Path, int]:
    """Name, file and how many inputs are affordable."""
    if request.param == "digits":
        return request.param, DIGITS, 500
    data: Path = request.getfixturevalue("data")
    path = data / "mlperf_tiny" / f"{request.param}_int8_qdq.onnx"
    return request.param, path, (WHOLE | RESIDUAL)[request.param]


def mixed_inputs(program: Program, count: int) -> np.ndarray:
    """Random codes' values, ties between codes, and saturating values, a third each."""
    generator = np.random.default_rng(3)
    encoding = program.steps[0].encoding
    shape = (count, *program.input_shape)
    codes = generator.integers(encoding.lowest, encoding.highest + 1, shape)
    steps = (codes - encoding.zero_point).astype(np.float32)
    steps[count // 3 :] += np.float32(0.5)
    steps[2 * count // 3 :] *= np.float32(3)
    return np.asarray(steps * np.float32(encoding.scale), dtype=np.float32)


@pytest.mark.data
def test_int8_agrees(network: tuple[str, Path, int], deploy: Deploy) -> None:
    name, path, count = network
    program = read_integer(path)
    inputs = mixed_inputs(program, count)
    expected = evaluate(program, inputs, Semantics.INT8)
    kept = deploy(path, Semantics.INT8, kept=name != "digits")
    assert kept.floats <= LAST
    np.testing.assert_array_equal(kept(inputs), expected)
    if name not in RESIDUAL:
        run = deploy(path, Semantics.INT8)
        assert run.floats <= LAST
        np.testing.assert_array_equal(run(inputs), expected)


@pytest.mark.data
@pytest.mark.usefixtures("saturating")
def test_sat16_agrees(network: tuple[str, Path, int], deploy: Deploy) -> None:
    name, path, count = network
    program = read_integer(path)
    run = deploy(path, Semantics.ORT_X86_SAT16)
    if name in RESIDUAL:
        assert {"Conv", "Add"} <= run.floats  # no session of this file is wholly integer
        return
    inputs = mixed_inputs(program, count)
    expected = evaluate(program, inputs, Semantics.ORT_X86_SAT16)
    np.testing.assert_array_equal(run(inputs), expected)
    if name != "digits":  # its weights have seven bits
        assert (expected != evaluate(program, inputs, Semantics.INT8)).any()


@pytest.mark.data
@pytest.mark.usefixtures("saturating")
@pytest.mark.parametrize("semantics", [Semantics.INT8, Semantics.ORT_X86_SAT16])
def test_operator_files_agree(
    network: tuple[str, Path, int], semantics: Semantics, deploy: Deploy, tmp_path: Path
) -> None:
    _, path, count = network
    written = tmp_path / "operators.onnx"
    written.write_bytes(operators(read_integer(path)).SerializeToString())
    program = read_integer(written)
    run = deploy(written, semantics)
    assert not run.floats
    inputs = mixed_inputs(program, count)
    np.testing.assert_array_equal(run(inputs), evaluate(program, inputs, semantics))
