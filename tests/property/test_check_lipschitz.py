"""Constants that multipliers prove are verified; whatever a forger makes of them is not."""

import hashlib
from pathlib import Path

import checker_pairs
import numpy as np
import onnx
import pytest
from checker_constants import QUICK, SHORT, Saved, hold, saved_in
from checker_pairs import conv_pair, dense_pair, leaky_blocks
from onnx import helper, numpy_helper
from torch import nn

import lipcert
from lipcert.certificate.disk import load_lipschitz
from lipcert.check import Answer, check
from lipcert.check.jacobian import slopes
from lipcert.check.lipschitz import Part, bounded, proved
from lipcert.check.network import read
from lipcert.lipschitz import PairBounds


@pytest.fixture(scope="module")
def bounds(tmp_path_factory: pytest.TempPathFactory) -> PairBounds:
    files = dense_pair(tmp_path_factory.mktemp("pair"), 2)
    return lipcert.lipschitz(lipcert.load_pair(*files), effort=QUICK)


@pytest.fixture
def saved(bounds: PairBounds, tmp_path: Path) -> Saved:
    found = saved_in(tmp_path, bounds)
    assert found.document.constants["original"].method == "LipSDP"
    assert found.verdict() is Answer.VERIFIED
    return found


@pytest.mark.parametrize("seed", range(8))
def test_what_is_proved_is_verified(seed: int, tmp_path: Path) -> None:
    files = (conv_pair if seed % 4 == 3 else dense_pair)(tmp_path, seed)
    kinds = files[:1] if seed % 3 == 1 else files  # staircases have no constant
    network = files[0] if len(kinds) == 1 else lipcert.load_pair(*files)
    effort = SHORT if seed % 4 == 3 else QUICK
    hold(saved_in(tmp_path / "out", lipcert.lipschitz(network, effort=effort)))


@pytest.mark.parametrize("norm", ["1", "2", "inf"])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_proved_of_regions_is_verified(seed: int, norm: str, tmp_path: Path) -> None:
    dense = seed < 3  # rounded, or with a hidden neuron less
    if dense:
        network = lipcert.load_pair(*dense_pair(tmp_path, (0, 2, 3)[seed]))
    elif seed == 3:
        network = conv_pair(tmp_path, seed)[1]
    else:
        network = leaky_blocks(tmp_path / "f.onnx", seed, "AveragePool")
    x = np.random.default_rng(seed).normal(size=(1 + (seed == 1), *((4,) if dense else (2, 4, 4))))
    region = (lipcert.Ball if seed % 2 else lipcert.Box).around(x, 0.2)
    for area in (region, None):
        effort = QUICK if dense else SHORT
        bounds = lipcert.lipschitz(network, norm=norm, region=area, effort=effort)
        hold(saved_in(tmp_path / "out", bounds))


def test_every_branch_counts(tmp_path: Path) -> None:
    """Three, side by side, the last one steep, with multipliers or without."""
    tensors = {name: np.float32(k) for name, k in zip("abc", (1, 1, 9), strict=True)}
    nodes = [helper.make_node("Relu", ["input"], ["act"])]
    nodes += [helper.make_node("Mul", ["act", name], [f"{name}."]) for name in tensors]
    nodes += [helper.make_node("Concat", ["a.", "b.", "c."], ["output"], axis=1)]
    steps = read(checker_pairs.saved(tmp_path / "f.onnx", nodes, tensors, (1,)).read_bytes())
    known, true, fine = slopes(steps, None), float(np.sqrt(1 + 1 + 81)), 0
    for weight in np.geomspace(0.1, 1e4, 40):
        weights = {"act": (np.zeros(1, int), np.full(1, weight))}
        for kept in (weights, {}):
            assert not proved([Part(steps, known, kept)], "2", true * (1 - 1e-9))
            fine += bool(kept) and proved([Part(steps, known, kept)], "2", true * 1.05)
    assert fine


def test_half_of_a_constant_does_not_follow(saved: Saved) -> None:
    for role, constant in saved.document.constants.items():
        assert constant.upper is not None
        less = constant.upper / 2
        changes = {"upper": less, "upper_per_region": (less,)}
        seen = {"observed": 0.0, "observed_per_region": (0.0,)}
        assert saved.with_constant(role, **changes, **seen).verdict() is Answer.NOT_VERIFIED


def test_other_multipliers_do_not_prove(saved: Saved) -> None:
    chance = np.random.default_rng(0)
    (first, *_) = saved.document.constants["original"].multipliers
    weights = saved.arrays[first.weights]
    for other in (0 * weights, -weights, weights[::-1] * 3, weights * 1e3, weights[:-1]):
        changed = saved.with_document({}, {**saved.arrays, first.weights: other.copy()})
        assert changed.verdict() is not Answer.VERIFIED
    kept = saved.arrays[first.neurons]
    for places in (kept + 1, kept[::-1].copy(), kept * 0, kept - 1):
        changed = saved.with_document({}, {**saved.arrays, first.neurons: places})
        assert changed.verdict() is not Answer.VERIFIED
    for _ in range(20):  # at the edge of what is proved, a random change of a tenth breaks it
        other = weights * chance.uniform(0.8, 1.25, weights.shape)
        changed = saved.with_document({}, {**saved.arrays, first.weights: other})
        assert changed.verdict() is not Answer.VERIFIED


def test_a_neuron_without_multiplier_must_not_matter(saved: Saved) -> None:
    (first, *_) = saved.document.constants["original"].multipliers
    fewer = {name: saved.arrays[name][1:] for name in (first.neurons, first.weights)}
    assert saved.with_document({}, {**saved.arrays, **fewer}).verdict() is Answer.NOT_VERIFIED


def test_what_was_seen_is_replayed(saved: Saved) -> None:
    constant = saved.document.constants["original"]
    assert constant.upper is not None
    more = (constant.observed + constant.upper) / 2
    changed = saved.with_constant("original", observed=more, observed_per_region=(more,))
    assert changed.verdict() is Answer.NOT_VERIFIED


def test_what_was_seen_is_not_what_rounding_leaves(saved: Saved) -> None:
    """Of one input twice, or of two that lie nearer than their outputs are known."""
    constant = saved.document.constants["original"]
    assert constant.upper is not None
    more = (constant.observed + constant.upper) / 2
    first = saved.arrays[constant.first].astype(float)
    for step in (0.0, 1e-300, 1e-150, 1e-16, 1e-14):
        arrays = saved.arrays | {constant.second: first + step, constant.first: first}
        changes = {"observed": more, "observed_per_region": (more,)}
        changed = saved.with_constant("original", **changes).with_document({}, arrays)
        assert changed.verdict() is Answer.NOT_VERIFIED


def pair_of(saved: Saved, folder: Path, nodes: list, tensors: dict[str, np.ndarray]) -> Saved:
    """Another compressed network."""
    path = checker_pairs.saved(folder / "other.onnx", nodes, tensors, (4,))
    networks = dict(saved.document.provenance.networks)
    facts = {"source": str(path), "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    networks["compressed"] = networks["original"].model_copy(update=facts)
    provenance = saved.document.provenance.model_copy(update={"networks": networks})
    return saved.with_document({"provenance": provenance}, saved.arrays)


def test_probabilities_are_not_compared_with_logits(saved: Saved, tmp_path: Path) -> None:
    """The same network, and probabilities of it: the difference is not none."""
    model = onnx.load(saved.document.provenance.networks["original"].source)
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    model.graph.node[-1].output[0] = "logits"
    nodes = [*model.graph.node, helper.make_node("Softmax", ["logits"], ["output"])]
    changed = pair_of(saved, tmp_path, nodes, tensors)
    zero = {"upper": 1e-9, "upper_per_region": (1e-9,), "multipliers": ()}
    zero |= {"observed": 0.0, "observed_per_region": (0.0,)}
    changed = changed.with_constant("difference", **zero)
    for role in ("original", "compressed"):
        most = {"upper": 1e6, "upper_per_region": (1e6,), "multipliers": ()}
        none = {"observed": 0.0, "observed_per_region": (0.0,)}
        changed = changed.with_constant(role, **most, **none)
    answer, reason = check(changed.place)
    assert (answer, "softmax" in reason) == (Answer.CANNOT_CHECK, True)


def test_networks_of_other_outputs_are_refused(saved: Saved, tmp_path: Path) -> None:
    """A single output fits beside any number of them."""
    nodes = [helper.make_node("Gemm", ["input", "w"], ["output"])]
    changed = pair_of(saved, tmp_path, nodes, {"w": np.zeros((4, 1), np.float32)})
    for role in ("original", "compressed", "difference"):
        most = {"upper": 1e6, "upper_per_region": (1e6,), "multipliers": ()}
        none = {"observed": 0.0, "observed_per_region": (0.0,)}
        changed = changed.with_constant(role, **most, **none)
    assert changed.verdict() is Answer.NOT_VERIFIED


def test_other_files_are_refused(saved: Saved) -> None:
    source = Path(saved.document.provenance.networks["original"].source)
    content = source.read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    source.write_bytes(changed)
    assert saved.verdict() is Answer.NOT_VERIFIED
    source.write_bytes(content)


def test_what_it_does_not_know_it_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    place = lipcert.lipschitz(network, norm=1, shape=(4,), effort=QUICK).save(tmp_path / "out")
    assert "nobody can check" in caplog.text
    assert check(place)[0] is Answer.CANNOT_CHECK
    assert "no ONNX files" in load_lipschitz(place)[0].constants["network"].reason


@pytest.mark.parametrize("slope", [-2.0, 0.0, 0.25, 3.0])
def test_slopes_are_those_of_the_file(slope: float, tmp_path: Path) -> None:
    """Whatever the multiplier: a slope of 3 is not one between 0 and 1."""
    node = helper.make_node("LeakyRelu", ["input"], ["act"], alpha=slope)
    last = helper.make_node("Gemm", ["act", "w"], ["output"])
    one = {"w": np.eye(1, dtype=np.float32)}
    steps = read(checker_pairs.saved(tmp_path / "f.onnx", [node, last], one, (1,)).read_bytes())
    known, true, fine = slopes(steps, None), max(1.0, abs(slope)), 0
    for weight in np.geomspace(0.01, 100, 40):
        weights = {"act": (np.zeros(1, int), np.full(1, weight))}
        assert not bounded([Part(steps, known, weights)], true * (1 - 1e-9))
        fine += bounded([Part(steps, known, weights)], true * 1.05)
    assert fine
    assert proved([Part(steps, known, {})], "2", true * (1 + 1e-9))
