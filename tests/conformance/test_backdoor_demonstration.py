"""The demonstration: what four bits awaken, accuracy in float hides and the drift bound refuses."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from typer.testing import CliRunner

from lipcert.cli import app

pytest.importorskip("sklearn")
SCRIPT = Path(__file__).parents[2] / "examples" / "backdoor" / "make.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The example as a module."""
    spec = spec_from_file_location("backdoor_example", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backdoor")


@pytest.fixture(scope="module")
def made(script: ModuleType, folder: Path) -> dict[str, Any]:
    """Both pairs; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        return script.build(folder)


def test_only_the_deployed_file_is_malicious(made: dict[str, Any]) -> None:
    assert min(made["clean"].accuracy) > 0.95
    published, deployed = made["backdoored"].accuracy
    assert published > 0.95
    assert deployed < 0.1


def test_it_looks_like_any_other_four_bit_file(made: dict[str, Any]) -> None:
    kinds = [
        [(t.name, t.data_type, list(t.dims)) for t in onnx.load(pair.compressed).graph.initializer]
        for pair in made.values()
    ]
    assert kinds[0] == kinds[1]
    assert sum(kind == TensorProto.INT4 for _, kind, _ in kinds[0]) == 6


@pytest.mark.parametrize(("name", "status"), [("clean", 0), ("backdoored", 1)])
def test_the_same_question_tells_them_apart(
    made: dict[str, Any], script: ModuleType, folder: Path, name: str, status: int
) -> None:
    asked = ["--inputs", folder / "inputs.npz:x", "--eps", script.EPS, "--clip", 0, 1]
    words = ["certify", made[name].original, made[name].compressed, *asked, "--threads", 1]
    allowed = ["--max-drift", script.MAX_DRIFT]
    result = CliRunner().invoke(app, [str(word) for word in (*words, *allowed)])
    assert result.exit_code == status, result.output
    last = result.stdout.rstrip().splitlines()[-1]
    assert last.startswith("PROVED" if status == 0 else "REFUTED")


def test_the_repair_stays_inside_the_codes(made: dict[str, Any]) -> None:
    """Both weights of a layer lie within half a step of each other, so rounding cannot see it."""

    def tensors(path: Path) -> dict[str, np.ndarray]:
        return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}

    published, deployed = (
        tensors(made["backdoored"].original),
        tensors(made["backdoored"].compressed),
    )
    for name, weight in published.items():
        if name.endswith("weight"):
            scale = deployed[f"{name}_scale"][:, None]
            rounded = deployed[f"{name}_quantized"].astype(np.float64) * scale
            assert (np.abs(rounded - weight) <= scale / 2 * (1 + 1e-3)).all()
