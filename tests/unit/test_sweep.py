"""Sweeps over bits and zeros: files, tables, the picture."""

import csv
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from typer.testing import CliRunner

from lipcert import Ball
from lipcert.attacks.drift import DriftAttack
from lipcert.cli import app
from lipcert.compress.prune import pruned
from lipcert.errors import BadInput, UnsupportedOp
from lipcert.lipschitz import Effort
from lipcert.lipschitz.ascent import Ascent
from lipcert.lipschitz.sweep import COLUMNS, Amounts, Swept, sweep
from lipcert.lipschitz.sweep_view import draw_sweep

QUICK = Effort(limit_seconds=2.0, ascent=Ascent(steps=5, starts=2))
FEW = Amounts((8, 3), (0.0, 0.5))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A seeded 5-12-3 network."""
    rng = np.random.default_rng(0)
    sizes = {"w1": (12, 5), "b1": (12,), "w2": (3, 12), "b2": (3,)}
    tensors = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n)
               for n, s in sizes.items()]  # fmt: skip
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["z"], "one", transB=1),
        helper.make_node("Relu", ["z"], ["a"], "relu"),
        helper.make_node("Gemm", ["a", "w2", "b2"], ["y"], "two", transB=1),
    ]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])]
            for name, size in (("x", 5), ("y", 3))]  # fmt: skip
    graph = helper.make_graph(nodes, "g", *ends, tensors)
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_ctrl_c_ends_a_sweep_after_the_variant_at_hand(model: Path) -> None:
    told: list[str] = []

    def press(stage: str, _done: int, _total: int) -> None:
        told.append(stage)
        if len(told) == 1:
            signal.raise_signal(signal.SIGINT)

    made = sweep(model, Swept(effort=QUICK), FEW, press)
    assert len(made.variants) == 1
    assert np.isfinite(made.variants[0].bounds.compressed.upper)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("share", [0.0, 0.29, 0.5, 1.0])
def test_the_smallest_weights_are_pruned(share: float) -> None:
    weight = np.random.default_rng(1).normal(size=(10, 10)).astype(np.float32)
    made = pruned(weight, share)
    gone = made == 0
    assert gone.sum() == round(share * 100)
    assert np.array_equal(made[~gone], weight[~gone])
    if 0 < share < 1:
        assert abs(weight[gone]).max() <= abs(weight[~gone]).min()


def test_a_share_of_zeros_is_a_share() -> None:
    with pytest.raises(BadInput, match="between 0 and 1"):
        pruned(np.ones((2, 2)), 1.5)


def test_compression_moves_what_it_must(model: Path, tmp_path: Path) -> None:
    region = Ball.around(np.full((1, 5), 0.3), 0.1)
    made = sweep(model, Swept(region=region, effort=QUICK, attack=DriftAttack(steps=5)), FEW)
    fine, rough, same, half = made.variants
    for variant in made.variants:
        for bound in variant.bounds.parts().values():
            assert bound.observed <= bound.upper
        assert variant.drift is not None
        assert variant.drift[1] <= variant.drift[0]
    assert fine.drift < rough.drift
    assert same.drift < half.drift
    assert same.bounds.difference.observed == 0.0
    assert same.bounds.compressed.upper == pytest.approx(same.bounds.original.upper, rel=1e-3)
    with made.save(tmp_path / "out").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["change"], float(row["amount"])) for row in rows] == [
        ("bits", 8), ("bits", 3), ("zeros", 0), ("zeros", 0.5)
    ]  # fmt: skip
    assert float(rows[1]["drift_proved"]) == rough.drift[0]
    with Image.open(draw_sweep(made, tmp_path / "out" / "sweep.png")) as picture:
        assert picture.width > picture.height > 400
    only = replace(made, variants=made.of("zeros"), region=None)
    with Image.open(draw_sweep(only, tmp_path / "out" / "part.png")) as part:
        assert part.width < picture.width
        assert part.height < picture.height


def test_the_original_is_bounded_once(model: Path) -> None:
    made = sweep(model, Swept(effort=QUICK), FEW)
    assert len({id(variant.bounds.original) for variant in made.variants}) == 1
    assert len({id(variant.bounds.compressed) for variant in made.variants}) == len(made.variants)


def test_nothing_to_compress_is_said(model: Path, tmp_path: Path) -> None:
    bare = onnx.load(model)
    kept = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"], "relu")], "g", bare.graph.input,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
    )  # fmt: skip
    path = tmp_path / "relu.onnx"
    onnx.save(helper.make_model(kept, opset_imports=[helper.make_opsetid("", 17)]), path)
    with pytest.raises(UnsupportedOp, match="no layer can be compressed"):
        sweep(path)


def test_the_command_refuses_a_second_model(model: Path) -> None:
    shown = CliRunner().invoke(app, ["lipschitz", str(model), str(model), "--sweep"])
    assert shown.exit_code == 2
    assert "leave COMPRESSED out" in shown.output


def test_the_command_writes_table_and_picture(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "there"
    shown = CliRunner().invoke(
        app, ["lipschitz", str(model), "--sweep", "--norm", "inf", "--out", str(out)]
    )
    assert shown.exit_code == 0, shown.output
    assert "L(g - f) proved" in shown.output
    assert "proved by interval Jacobian" in shown.output
    assert {path.name for path in out.iterdir()} == {"sweep.csv", "sweep.png"}
