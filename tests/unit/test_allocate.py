"""Bits chosen by proof: the file that was written has the drift that was certified."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import helper
from typer.testing import CliRunner, Result

import lipcert
from lipcert.cli import app
from lipcert.compress.bench import Bench
from lipcert.compress.codes import WIDTHS, mixed
from lipcert.compress.effects import Foresight
from lipcert.compress.search import Knapsack, Option, search
from lipcert.errors import BadInput, OutOfReach, UnsupportedOp
from lipcert.methods.twin import TwinBounds
from lipcert.sets.enclosure import Interval
from lipcert.walk.progress import quiet

Bits = Mapping[str, int]
EPS = 0.01


@pytest.fixture
def network(onnx_file) -> Path:
    """6-10-8-4; the last layer's weights are small."""
    generator = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}
    nodes = []
    for k, (wide, narrow) in enumerate([(6, 10), (10, 8), (8, 4)]):
        tensors[f"w{k}"] = generator.normal(size=(narrow, wide)).astype(np.float32) / 2
        tensors[f"b{k}"] = generator.normal(size=narrow).astype(np.float32)
        reads = [f"a{k}" if k else "x", f"w{k}", f"b{k}"]
        nodes.append(
            helper.make_node("Gemm", reads, [f"z{k}" if k < 2 else "y"], f"fc{k}", transB=1)
        )
        if k < 2:
            nodes.append(helper.make_node("Relu", [f"z{k}"], [f"a{k + 1}"]))
    tensors["w2"] *= np.float32(0.05)
    return onnx_file(nodes, tensors, ("N", 6))


@pytest.fixture
def region() -> lipcert.Box:
    return lipcert.Box.around(np.random.default_rng(1).normal(size=(2, 6)), EPS)


def options(draws: list[int], layers: int) -> list[Option]:
    """Options whose drifts are drawn, larger for fewer bits."""
    numbers = iter(draws)
    found: list[Option] = []
    for layer in range(layers):
        weights = next(numbers)
        for place, bits in enumerate(WIDTHS):
            lower, upper = (torch.tensor([[float(next(numbers)) * 4**place]]) for _ in "lu")
            found.append(Option(f"layer{layer}", bits, weights * bits, Interval(-lower, upper)))
    return found


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=27, max_size=27), st.integers(60, 4000))
def test_the_knapsack_is_solved_exactly(draws: list[int], most: int) -> None:
    found = options(draws, 3)
    knapsack = Knapsack(found)

    def total(bits: Bits) -> float:
        chosen = [o.sides for o in found if bits[o.layer] == o.bits]
        return float(np.sum(chosen, axis=0).max())

    every = [
        dict(zip(knapsack.layers, c, strict=True)) for c in itertools.product(WIDTHS, repeat=3)
    ]
    allowed = [knapsack.size(bits) for bits in every if total(bits) <= most]
    widest = dict.fromkeys(knapsack.layers, 8)
    assume(total(widest) <= most)
    best = search(knapsack, total, most, (widest, total(widest)), quiet)
    assert total(best) <= most
    assert knapsack.size(best) == min(allowed)


def test_what_is_not_as_foretold_is_found_out() -> None:
    """Two layers drift much more together than each by itself."""
    found = options([5, *[1, 1] * 4, 5, *[1, 1] * 4], 2)
    knapsack = Knapsack(found)

    def certified(bits: Bits) -> float:
        return knapsack.foretold(bits) + 1000 * all(width < 6 for width in bits.values())

    widest = dict.fromkeys(knapsack.layers, 8)
    best = search(knapsack, certified, 100, (widest, certified(widest)), quiet)
    assert sorted(best.values()) == [2, 6]


def test_the_certificate_is_of_the_file_that_was_written(
    network: Path, region: lipcert.Box, tmp_path: Path, runtime
) -> None:
    stages: list[str] = []
    made = lipcert.allocate(
        network, region, 0.1, tmp_path / "out", watch=lambda stage, *_: stages.append(stage)
    )
    again = TwinBounds().certify(lipcert.load_pair(network, made.path), region, lipcert.Placement())
    assert torch.equal(again.drift.upper, made.certificate.drift.upper)
    assert float(made.certificate.max_drift.max()) <= 0.1
    assert any("alone" in stage for stage in stages)
    inputs = region.sample(torch.arange(2), torch.Generator().manual_seed(0)).float().numpy()
    drifts = runtime(made.path, inputs) - runtime(network, inputs)
    assert (drifts <= made.certificate.drift.upper.numpy() + 1e-6).all()
    assert (drifts >= made.certificate.drift.lower.numpy() - 1e-6).all()
    saved = json.loads((tmp_path / "out" / "certificate.json").read_text())
    facts = json.loads((tmp_path / "out" / "allocation.json").read_text())
    assert {layer["name"]: tuple(layer["bits"]) for layer in facts["layers"]} == made.bits
    assert saved["provenance"]["networks"]["compressed"]["source"] == str(made.path)


@pytest.mark.parametrize("allowed", [0.1, 0.4])
def test_nothing_smaller_is_certified(
    network: Path, region: lipcert.Box, tmp_path: Path, allowed: float
) -> None:
    made = lipcert.allocate(network, region, allowed, tmp_path / "out")
    for trial in made.uniform:
        assert trial.drift > allowed or trial.size >= made.size
    bench = Bench.of(network, region, lipcert.Placement(), tmp_path / "candidate.onnx")
    names = [layer.name for layer in bench.layers]
    every = [dict(zip(names, c, strict=True)) for c in itertools.product(WIDTHS, repeat=len(names))]
    spread = [bench.spread(bits) for bits in every]
    smaller = [chosen for chosen in spread if bench.size(chosen) < made.size]
    assert all(bench.largest(chosen) > allowed for chosen in smaller)


@pytest.mark.parametrize("width", [6, 4])
def test_fewer_bytes_at_the_drift_of_uniform_bits(
    network: Path, region: lipcert.Box, tmp_path: Path, width: int
) -> None:
    bench = Bench.of(network, region, lipcert.Placement(), tmp_path / "candidate.onnx")
    uniform = bench.everywhere(width)
    made = lipcert.allocate(network, region, bench.largest(uniform), tmp_path / "out")
    assert made.size < bench.size(uniform)
    assert float(made.certificate.max_drift.max()) <= bench.largest(uniform)
    assert any(len(set(bits)) > 1 for bits in made.bits.values())


def test_sizes_are_those_of_codes_that_can_be_read_back(
    network: Path, region: lipcert.Box, tmp_path: Path
) -> None:
    """Codes, scales and widths as a stream of bits, and again: the very weights."""
    bench = Bench.of(network, region, lipcert.Placement(), tmp_path / "candidate.onnx")
    generator = np.random.default_rng(0)
    for layer in bench.layers:
        for widths in (generator.choice(WIDTHS, layer.channels), layer.everywhere(4)):
            weight = mixed(bench.codes[layer.name], widths)
            stream = packed(weight.codes, weight.scale, widths)
            assert len(stream) == layer.size(widths)
            np.testing.assert_array_equal(
                unpacked(stream, layer.weight.shape), weight.values.reshape(layer.channels, -1)
            )


def packed(codes: np.ndarray, scale: np.ndarray, widths: np.ndarray) -> str:
    """A byte with the width, or zero and the list of widths; then scales; then codes."""
    alike = len(set(widths)) == 1
    listed = "" if alike else "".join(f"{WIDTHS.index(width):02b}" for width in widths)
    parts = [f"{widths[0] if alike else 0:08b}", listed]
    parts += [f"{int(bits):032b}" for bits in scale.view(np.uint32)]
    for row, width in zip(codes.reshape(len(widths), -1), widths, strict=True):
        parts += [f"{int(code) % 2**width:0{width}b}" for code in row]
    return "".join(parts)


def unpacked(stream: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights, a row per channel."""
    place = 0

    def number(bits: int) -> int:
        nonlocal place
        place += bits
        return int(stream[place - bits : place], 2)

    first = number(8)
    widths = [first or WIDTHS[number(2)] for _ in range(shape[0])]
    scales = np.array([number(32) for _ in widths], np.uint32).view(np.float32).astype(float)
    rows = [[number(width) for _ in range(int(np.prod(shape[1:])))] for width in widths]
    half = np.array([2 ** (width - 1) for width in widths])[:, None]
    return ((np.array(rows) + half) % (2 * half) - half) * scales[:, None]


def test_what_is_foretold_is_what_is_certified_nearby(
    network: Path, region: lipcert.Box, tmp_path: Path
) -> None:
    """One channel from 8 to 6 bits moves the furthest output as its effect says."""
    bench = Bench.of(network, region, lipcert.Placement(), tmp_path / "candidate.onnx")
    start = bench.everywhere(8)
    seen = Foresight.of(bench).effects(start)
    worst, changes = int(seen.sides.argmax()), list[tuple[float, float]]()
    assert seen.certified == pytest.approx(seen.sides[worst])
    for name, effect in seen.layers.items():
        assert not effect[:, :, 0].any()
        for channel in range(effect.shape[1]):
            widths = start[name].copy()
            widths[channel] = 6
            sides = bench.drift({**start, name: widths})
            ends = np.stack([-sides.lower.numpy(), sides.upper.numpy()], -1).reshape(-1)
            changes.append((ends[worst] - seen.sides[worst], effect[worst, channel, 1]))
    certified, foretold = np.array(changes).T
    assert np.corrcoef(certified, foretold)[0, 1] > 0.9


def test_behind_a_softmax_layers_are_chosen_as_a_whole(
    region: lipcert.Box, tmp_path: Path, onnx_file
) -> None:
    weight = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    path = onnx_file(
        [
            helper.make_node("MatMul", ["x", "w"], ["z"], "head"),
            helper.make_node("Softmax", ["z"], ["y"], axis=-1),
        ],
        {"w": weight},
        ("N", 6),
    )
    made = lipcert.allocate(path, region, 0.5, tmp_path / "out")
    assert len(set(made.bits["head"])) == 1


def test_what_cannot_be_done_is_said(
    network: Path, region: lipcert.Box, tmp_path: Path, onnx_file
) -> None:
    with pytest.raises(OutOfReach, match=r"even 8 bits .* drift by at most 0\.0\d+, and 1e-06"):
        lipcert.allocate(network, region, 1e-6, tmp_path)
    with pytest.raises(BadInput, match="nan"):
        lipcert.allocate(network, region, float("nan"), tmp_path)
    with pytest.raises(BadInput, match="ONNX files only"):
        lipcert.allocate("model.tflite", region, 1.0, tmp_path)
    with pytest.raises(BadInput, match=r"\(7,\)"):
        lipcert.allocate(network, lipcert.Box.around(np.zeros((1, 7)), 0.1), 1.0, tmp_path)
    plain = onnx_file([helper.make_node("Relu", ["x"], ["y"])], {}, ("N", 6), name="plain.onnx")
    with pytest.raises(UnsupportedOp, match="no layer can be quantised"):
        lipcert.allocate(plain, region, 1.0, tmp_path)


def run(network: Path, tmp_path: Path, *words: object) -> Result:
    np.save(tmp_path / "x.npy", np.random.default_rng(1).normal(size=(2, 6)))
    asked = ("--inputs", tmp_path / "x.npy", "--eps", EPS, "--threads", 1)
    return CliRunner().invoke(app, [str(w) for w in ("allocate", network, *asked, *words)])


def test_the_command_says_what_each_layer_got(network: Path, tmp_path: Path) -> None:
    result = run(network, tmp_path, "--max-drift", 0.1, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for part in ("fc0", "share of drift", "8 bits everywhere", "files:", "PROVED", "saved:"):
        assert part in result.stdout
    assert (tmp_path / "out" / "model.allocated.onnx").is_file()


def test_the_command_as_json(network: Path, tmp_path: Path) -> None:
    result = run(network, tmp_path, "--max-drift", "1/10", "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["verdict"]["status"] == "proved"
    layers = told["allocation"]["layers"]
    assert {layer["name"] for layer in layers} == {"fc0", "fc1", "fc2"}
    assert all(set(layer["bits"]) <= set(WIDTHS) for layer in layers)


def test_exit_statuses(network: Path, tmp_path: Path) -> None:
    beyond = run(network, tmp_path, "--max-drift", 1e-6, "--out", tmp_path / "out")
    assert beyond.exit_code == 1
    assert beyond.stderr.startswith("error: allocate: even 8 bits")
    assert run(network, tmp_path).exit_code == 2
    absent = run(tmp_path / "absent.onnx", tmp_path, "--max-drift", 1)
    assert absent.exit_code == 2
    assert "Traceback" not in absent.stderr


def test_a_fused_layer_is_a_warning(onnx_file, tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    path = onnx_file(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "head")], {"w": weight}, ("N", 6)
    )
    result = run(path, tmp_path, "--max-drift", 1, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "rounds the activations that head" in result.stderr
