"""The demonstration: accuracy stays, drift does not, and the check knew before any run."""

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import lipcert
from lipcert.graph.semantics import Semantics
from lipcert.integer import evaluate
from lipcert.read.integer import read_integer

pytest.importorskip("sklearn")
SCRIPT = Path(__file__).parents[2] / "examples" / "overflow" / "make.py"
INT8, SAT16 = Semantics.INT8, Semantics.ORT_X86_SAT16


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The example as a module."""
    spec = spec_from_file_location("overflow_example", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Files of eight and of seven bits."""
    return script.build(tmp_path_factory.mktemp("overflow"))


def test_accuracy_hides_what_the_check_finds(made: tuple[Any, Any]) -> None:
    eight, seven = made
    assert (eight.safe, seven.safe) == (False, True)
    assert eight.drift[SAT16] > 4 * eight.drift[INT8]
    assert abs(eight.accuracy[SAT16] - eight.accuracy["float"]) < 0.005
    assert seven.drift[SAT16] == seven.drift[INT8]


def test_the_bounds_tell_both_semantics_apart(made: tuple[Any, Any], script: ModuleType) -> None:
    """Under saturation more is proved to be possible, and more is found; both hold what runs."""
    eight, seven = made
    for file in made:
        region = lipcert.Box.around(script.digits()[1][: script.SOME], script.EPS, clip=(0.0, 1.0))
        generator = torch.Generator().manual_seed(0)
        rows = torch.arange(region.batch).repeat(20)
        points = region.sample(rows, generator).float()
        inside = points.double() == region.project(points.double(), rows)
        points = points[inside.flatten(1).all(1)].numpy()
        assert len(points) > 100
        session = onnxruntime.InferenceSession(script.ORIGINAL, providers=["CPUExecutionProvider"])
        (logits,) = session.run(["logits"], {"x": points})
        for semantics in (INT8, SAT16):
            outputs = evaluate(read_integer(file.path), points, semantics)
            proved, found = file.certified[semantics]
            assert found <= proved
            assert float(np.abs(outputs.astype(np.float64) - logits).max()) <= proved
    assert eight.certified[SAT16][0] > eight.certified[INT8][0]
    assert eight.certified[SAT16][1] > 2 * eight.certified[INT8][1]
    assert seven.certified[SAT16][0] == seven.certified[INT8][0]


@pytest.mark.usefixtures("saturating")
def test_the_runtime_does_what_the_semantics_says(
    made: tuple[Any, Any], script: ModuleType, deploy: Callable[..., Any]
) -> None:
    _, images, _ = script.digits()
    for file in made:
        program = read_integer(file.path)
        for semantics in (INT8, SAT16):
            expected = evaluate(program, images, semantics)
            np.testing.assert_array_equal(deploy(file.path, semantics)(images), expected)
