"""Certificates of executed networks: what runs lies inside, the checker follows, forgers do not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checker_forgery import resealed, tightened
from checker_pairs import WIDTHS, conv_pair, dense_pair, rounded, saved
from onnx import helper
from onnxruntime.quantization import QuantFormat

import lipcert
from lipcert.attacks.drift import DriftAttack
from lipcert.certificate import Stored, load
from lipcert.certificate.evidence import SlopeEvidence
from lipcert.certificate.result import Counterexample
from lipcert.certificate.verdict import Verdict
from lipcert.check import Answer, check
from lipcert.check.claim import Regions, derived
from lipcert.check.executed import executed
from lipcert.check.network import read
from lipcert.graph.semantics import Semantics
from lipcert.methods.interval import IntervalArithmetic
from lipcert.methods.twin import TwinBounds
from tests.conformance.test_read_qoperator import BLOCK, CNN, TYPES, quantised

Runtime = Callable[[Path, np.ndarray], np.ndarray]
Files = tuple[Path, Path]
NO_ATTACK = DriftAttack(steps=0, restarts=0)
NAMES = (Semantics.FLOAT32, Semantics.INT8)


def members(rng: np.random.Generator, box: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Float32 members of a box: random ones, and some of its corners."""
    share = rng.random((64, *box[0].shape))
    share[:16] = share[:16].round()
    points = (box[0] + share * (box[1] - box[0])).astype(np.float32)
    inside = ((box[0] <= points) & (points <= box[1])).reshape(64, -1).all(1)
    return points[inside]


def kept(folder: Path, files: Files, region: lipcert.Box, semantics: Semantics,
         attack: DriftAttack = NO_ATTACK, threshold: float | None = None) -> Stored:  # fmt: skip
    """A certificate that the checker verifies."""
    pair = lipcert.load_pair(*files, semantics=semantics)
    stored = load(lipcert.certify(pair, region, attack=attack).save(folder / "out", threshold))
    assert check(stored.path)[0] is Answer.VERIFIED
    return stored


def boxes(
    stored: Stored, files: Files, chance: np.random.Generator | None
) -> dict[str, np.ndarray]:
    """What follows from the evidence, or from random slopes, of the first region."""
    evidence, claim = stored.document.evidence, stored.document.claim
    assert isinstance(evidence, SlopeEvidence)
    arrays = {name: array.astype(float) for name, array in stored.arrays.items()}
    for name in evidence.slopes.values() if chance else ():
        arrays[name] = chance.uniform(-0.2, 1.2, arrays[name].shape)
    names = claim.semantics.original, claim.semantics.compressed
    networks = [executed(read(f.read_bytes()), n) for f, n in zip(files, names, strict=True)]
    found = derived(networks, Regions.of(claim.region, arrays), evidence, arrays, 0)[1]
    return {name: np.concatenate(ends, 1) for name, ends in found.items()}


def assert_contained(stored: Stored, files: Files, runtime: Runtime, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = {name: array.astype(float) for name, array in stored.arrays.items()}
    regions = Regions.of(stored.document.claim.region, arrays)
    points = members(rng, (regions.lower[0], regions.upper[0]))
    assert len(points)
    f, g = (runtime(path, points).reshape(len(points), -1).astype(float) for path in files)
    for slopes in (None, rng):
        box = boxes(stored, files, slopes)
        for name, seen in (("original", f), ("compressed", g), ("drift", g - f)):
            assert (box[name][:, 0] <= seen).all()
            assert (seen <= box[name][:, 1]).all()


@pytest.mark.parametrize("eps", [0.0, 1e-6, 0.05])
@pytest.mark.parametrize("seed", range(8))
def test_what_runs_lies_inside(tmp_path: Path, runtime: Runtime, seed: int, eps: float) -> None:
    """Dense, convolutional and residual networks; pruned, with rounded weights or values."""
    files = (conv_pair if seed % 4 == 3 else dense_pair)(tmp_path, seed)
    shape = (1, 2, 4, 4) if seed % 4 == 3 else (1, WIDTHS[0])
    inputs = np.random.default_rng(seed).normal(size=shape).astype(np.float32).astype(float)
    stored = kept(tmp_path, files, lipcert.Box.around(inputs, eps), NAMES[seed // 4])
    assert_contained(stored, files, runtime, seed)
    if eps:
        resealed(stored, result=tightened(stored.document.result, 0.99, None))
        assert check(stored.path)[0] is Answer.NOT_VERIFIED


@pytest.mark.parametrize("eps", [0.0, 1e-3])
@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize("model", [CNN, BLOCK], ids=["cnn", "block"])
def test_what_quantised_files_return_lies_inside(
    tmp_path: Path, runtime: Runtime, model: tuple, form: QuantFormat, eps: float
) -> None:
    files = tmp_path / "float.onnx", quantised(tmp_path, model, TYPES[1], form)
    inputs = np.random.default_rng(1).normal(size=(1, *model[2])).astype(np.float32).astype(float)
    stored = kept(tmp_path, files, lipcert.Box.around(inputs, eps), Semantics.INT8)
    assert_contained(stored, files, runtime, 1)


def test_bounds_of_exact_arithmetic_are_none_of_executed_networks(tmp_path: Path) -> None:
    """At a point, where nothing but rounding is left of the bounds."""
    files, point = dense_pair(tmp_path, 2), lipcert.Box.around(np.full((1, WIDTHS[0]), 0.3), 0.0)
    real = kept(tmp_path, files, point, Semantics.REAL)
    document = real.document
    for name in NAMES:
        semantics = document.claim.semantics.model_copy(
            update={"original": "float32", "compressed": str(name)}
        )
        copy = replace(real, path=tmp_path / name / real.path.name)
        resealed(copy, claim=document.claim.model_copy(update={"semantics": semantics}))
        assert check(copy.path)[0] is Answer.NOT_VERIFIED
    for name in ("ort-x86-sat16", "litert"):
        semantics = document.claim.semantics.model_copy(update={"compressed": name})
        copy = replace(real, path=tmp_path / name / real.path.name)
        resealed(copy, claim=document.claim.model_copy(update={"semantics": semantics}))
        answer, reason = check(copy.path)
        assert (answer, name in reason) == (Answer.CANNOT_CHECK, True)


@pytest.mark.parametrize("clip", [None, (-0.75, 0.75)])
@pytest.mark.parametrize("seed", range(3))
def test_balls_are_refuted_by_float32_too(
    tmp_path: Path, seed: int, clip: tuple[float, float] | None
) -> None:
    """Inputs on the sphere are drawn to such numbers."""
    centre = np.random.default_rng(seed).uniform(-0.7, 0.7, (1, WIDTHS[0])).astype(np.float32)
    region = lipcert.Ball.around(centre.astype(float), 0.5, clip=clip)
    pair = lipcert.load_pair(*dense_pair(tmp_path, 2), semantics=Semantics.FLOAT32)
    made = lipcert.certify(pair, region, attack=DriftAttack(steps=3, restarts=2))
    stored = load(made.save(tmp_path / "out", 1e-3))
    assert stored.document.result.status is Verdict.REFUTED
    found = stored.arrays["found"].astype(float)
    assert (found.astype(np.float32) == found).all()
    assert (np.linalg.norm(found - centre, axis=1).max() > 0.5 - 1e-5) or clip
    answer, reason = check(stored.path)
    assert answer is Answer.VERIFIED, reason


def test_counterexamples_are_float32(tmp_path: Path) -> None:
    """A refuted threshold stays refuted only by an input that the networks can read."""
    files = dense_pair(tmp_path, 1)
    region = lipcert.Box.around(np.zeros((1, WIDTHS[0])), 0.5)
    attack = DriftAttack(steps=3, restarts=1)
    stored = kept(tmp_path, files, region, Semantics.INT8, attack, 1e-3)
    assert stored.document.result.status is Verdict.REFUTED
    arrays = dict(stored.arrays)
    moved = arrays["found"].astype(float) * (1 - 1e-12)
    assert (moved.astype(np.float32) != moved).any()
    resealed(replace(stored, arrays=arrays | {"found": moved}))
    answer, reason = check(stored.path)
    assert (answer, "float32" in reason) == (Answer.CANNOT_CHECK, True)


def test_other_inputs_refute_nothing(tmp_path: Path) -> None:
    files = dense_pair(tmp_path, 1)
    region = lipcert.Box.around(np.zeros((1, WIDTHS[0])), 0.5)
    attack = DriftAttack(steps=3, restarts=1)
    stored = kept(tmp_path, files, region, Semantics.FLOAT32, attack)
    result = stored.document.result
    assert result.observed is not None
    most = 2 * max(b or 0.0 for b in result.max_drift)
    entry = Counterexample(kind="drift", row=0, output=0, input=0, runtime=None)
    forged = result.model_copy(update={"status": Verdict.REFUTED, "counterexamples": (entry,)})
    claim = stored.document.claim.model_copy(update={"threshold": most})
    resealed(stored, result=forged, claim=claim)
    assert check(stored.path)[0] is not Answer.VERIFIED


@pytest.mark.parametrize("method", [TwinBounds(), IntervalArithmetic()], ids=["twin", "interval"])
@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_probabilities_as_executed(
    tmp_path: Path, runtime: Runtime, scale: float, method: TwinBounds | IntervalArithmetic
) -> None:
    """Whose rounding is more than that of the logits where one is nearly 1."""
    rng = np.random.default_rng(0)
    weight = (rng.normal(size=(3, 4)) * scale).astype(np.float32)
    nodes = [helper.make_node("Gemm", ["input", "w"], ["logits"], transB=1),
             helper.make_node("Softmax", ["logits"], ["output"])]  # fmt: skip
    files = [saved(tmp_path / f"{k}.onnx", nodes, {"w": w}, (4,))
             for k, w in enumerate((weight, rounded(weight, 12)))]  # fmt: skip
    inputs = rng.normal(size=(40, 4)).astype(np.float32)
    pair = lipcert.load_pair(*files, semantics=Semantics.FLOAT32)
    region = lipcert.Box.around(inputs.astype(float), 0.0)
    made = lipcert.certify(pair, region, method, attack=NO_ATTACK)
    stored = load(made.save(tmp_path / "out"))
    assert check(stored.path)[0] is Answer.VERIFIED
    f, g = (runtime(path, inputs).astype(float) for path in files)
    for name, seen in (("original", f), ("compressed", g), ("drift", g - f)):
        box, told = getattr(made, name), getattr(stored.document.result, name)
        for low, high in ((box.lower.numpy(), box.upper.numpy()), (told.lower, told.upper)):
            assert (np.array(low, float) <= seen).all()
            assert (seen <= np.array(high, float)).all()
