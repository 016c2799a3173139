"""The attack finds what is there, and the runtime confirms it."""

import gzip
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper
from torch import Tensor

from lipcert.attacks.drift import DriftAttack
from lipcert.attacks.fast import fast
from lipcert.attacks.record import Record
from lipcert.attacks.replay import replay
from lipcert.certificate.observed import Observed
from lipcert.errors import BadFile, BadInput, NotFinite
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.graph.pair import Pair
from lipcert.numeric.placement import Placement
from lipcert.ops.conv import Conv
from lipcert.ops.linear import Linear
from lipcert.ops.softmax import Softmax
from lipcert.read import read_onnx
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Ball, Box, Grid

HERE = Placement()
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def linear(weight: Tensor, bias: Tensor | None = None, *, softmax: bool = False) -> LayerGraph:
    out, inputs = weight.shape
    constant = torch.zeros(out, dtype=torch.float64) if bias is None else bias
    nodes = [Node("x", None, (), (inputs,)), Node("y", Linear(weight, constant), ("x",), (out,))]
    if softmax:
        nodes.append(Node("p", Softmax(), ("y",), (out,)))
    return LayerGraph(tuple(nodes))


def random_pair(seed: int, outputs: int = 3, inputs: int = 8) -> tuple[Pair, Tensor]:
    """A linear pair and the weight of its drift."""
    generator = torch.Generator().manual_seed(seed)
    first, change = (
        torch.randn(outputs, inputs, dtype=torch.float64, generator=generator) for _ in range(2)
    )
    compressed = first + change / 8
    return Pair.of(linear(first), linear(compressed)), compressed - first


def equal(first: object, second: object) -> bool:
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and torch.equal(first, second)
    if isinstance(first, Interval):
        assert isinstance(second, Interval)
        return torch.equal(first.lower, second.lower) and torch.equal(first.upper, second.upper)
    if isinstance(first, tuple):
        assert isinstance(second, tuple)
        return all(equal(a, b) for a, b in zip(first, second, strict=True))
    return first == second


def same(first: Observed, second: Observed) -> bool:
    return all(equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))


def test_reaches_the_exact_extremes_of_a_linear_pair_over_a_box() -> None:
    pair, weight = random_pair(0)
    centre = torch.linspace(-1, 1, 16, dtype=torch.float64).view(2, 8)
    observed = DriftAttack().observe(pair, Box.around(centre, 0.25), HERE)
    reach = 0.25 * weight.abs().sum(1)
    torch.testing.assert_close(observed.drift.upper, centre @ weight.T + reach, rtol=1e-5, atol=0)
    torch.testing.assert_close(observed.drift.lower, centre @ weight.T - reach, rtol=1e-5, atol=0)


def test_reaches_the_exact_extremes_of_a_linear_pair_over_a_ball() -> None:
    pair, weight = random_pair(1)
    centre = torch.zeros(1, 8, dtype=torch.float64)
    observed = DriftAttack().observe(pair, Ball.around(centre, 0.5), HERE)
    reach = 0.5 * torch.linalg.vector_norm(weight, dim=1)
    torch.testing.assert_close(observed.drift.upper[0], reach, rtol=1e-3, atol=0)
    torch.testing.assert_close(observed.drift.lower[0], -reach, rtol=1e-3, atol=0)


def test_reaches_the_exact_extremes_of_a_linear_pair_on_a_grid() -> None:
    pair, weight = random_pair(2)
    centre = torch.full((1, 8), 100.0, dtype=torch.float64)
    observed = DriftAttack().observe(pair, Grid.around(centre, 2.5, (0, 255)), HERE)
    exact = weight @ centre[0] + 2 * weight.abs().sum(1)
    torch.testing.assert_close(observed.drift.upper[0], exact, rtol=1e-12, atol=1e-10)


def test_of_many_outputs_the_worst_is_found() -> None:
    pair, weight = random_pair(3, outputs=200)
    observed = DriftAttack().observe(pair, Box.around(torch.zeros(1, 8), 1.0), HERE)
    assert float(observed.drift.upper.max()) >= float(weight.abs().sum(1).max()) * (1 - 1e-6)


def test_the_same_seed_gives_the_same_result() -> None:
    pair = Pair.of(*(read_onnx(DIGITS / f"model{kind}.onnx") for kind in ("", ".int8")))
    region = Box.around(np.load(DIGITS / "inputs.npz")["x"][:3], 0.05, (0, 1))
    attack = DriftAttack(steps=5, seed=7)
    first, second = (attack.observe(pair, region, HERE) for _ in range(2))
    assert same(first, second)
    assert not same(first, DriftAttack(steps=5, seed=8).observe(pair, region, HERE))


def test_little_memory_finds_as_much() -> None:
    pair, _ = random_pair(4)
    region = Box.around(torch.zeros(2, 8), 1.0)
    little = DriftAttack().observe(pair, region, Placement(memory=2000))
    much = DriftAttack().observe(pair, region, HERE)
    torch.testing.assert_close(little.drift.upper, much.drift.upper)


def test_a_point_region_is_evaluated_at_the_point() -> None:
    pair, _ = random_pair(5)
    centre = torch.rand(2, 8, dtype=torch.float64)
    observed = DriftAttack().observe(pair, Box.around(centre, 0.0), HERE)
    assert torch.equal(observed.lowest, centre[:, None].expand(2, 3, 8))
    assert torch.equal(observed.drift.lower, observed.drift.upper)


@pytest.mark.parametrize("softmax", [False, True])
def test_a_disagreement_between_two_near_boundaries_is_found(softmax: bool) -> None:
    weight = torch.tensor([[1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64) * 40
    shift = torch.tensor([1e-3, 0.0], dtype=torch.float64)
    pair = Pair.of(linear(weight, softmax=softmax), linear(weight, shift, softmax=softmax))
    region = Box.around([[0.5, 0.3], [9.0, 9.0]], 1.0)
    observed = DriftAttack().observe(pair, region, HERE)
    found, none = observed.disagreement
    assert none is None
    assert found is not None
    assert bool((found >= region.lower[0]).all() & (found <= region.upper[0]).all())
    labels = [int(graph(found[None]).argmax()) for graph in (pair.original, pair.compressed)]
    assert labels[0] != labels[1]


def test_equal_networks_never_disagree() -> None:
    graph = linear(torch.eye(2, dtype=torch.float64))
    observed = DriftAttack().observe(
        Pair.of(graph, graph), Box.around(torch.zeros(1, 2), 1.0), HERE
    )
    assert observed.disagreement == (None,)
    assert float(observed.drift.upper.abs().max()) == 0


def test_without_files_it_says_why_there_is_no_runtime() -> None:
    pair, _ = random_pair(6)
    observed = DriftAttack().observe(pair, Box.around(torch.zeros(1, 8), 1.0), HERE)
    assert observed.runtime is None
    assert observed.runtime_name == "not replayed"


def test_progress_is_told_up_to_the_end() -> None:
    pair, _ = random_pair(7)
    told: list[tuple[str, int, int]] = []
    region = Box.around(torch.zeros(1, 8), 1.0)
    DriftAttack(steps=6).observe(pair, region, HERE, watch=lambda *news: told.append(news))
    assert all(0 <= done <= total for _, done, total in told)
    assert told[-1][1] == told[-1][2]
    assert len({stage for stage, _, _ in told}) >= 2


def test_bad_requests_are_refused() -> None:
    pair, _ = random_pair(8)
    with pytest.raises(BadInput, match="must not be negative"):
        DriftAttack(steps=-1)
    with pytest.raises(BadInput, match="the networks read"):
        DriftAttack().observe(pair, Box.around(torch.zeros(1, 5), 1.0), HERE)


def test_an_overflow_names_its_row() -> None:
    huge = linear(torch.full((1, 2), 1e308, dtype=torch.float64))
    with pytest.raises(NotFinite, match="row 1"):
        DriftAttack().observe(Pair.of(huge, huge), Box.around([[0.0, 0.0], [9.0, 9.0]], 0.0), HERE)


def test_a_record_keeps_the_first_of_equals_and_ignores_nan() -> None:
    record = Record.empty(torch.zeros(1, 1, dtype=torch.float64), 2)
    points = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    values = torch.tensor([[5.0, torch.nan], [5.0, 1.0], [4.0, torch.nan]], dtype=torch.float64)
    record.add(torch.zeros(3, dtype=torch.int64), points, values)
    assert record.values.tolist() == [[5.0, 1.0]]
    assert record.points.tolist() == [[[1.0], [2.0]]]
    rows, distinct, place = record.distinct()
    assert rows.tolist() == [0, 0]
    assert torch.equal(distinct[place], record.points)


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0)])
def test_library_convolutions_are_the_same_function(pads: tuple[int, int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 1, 3, 2, dtype=torch.float64, generator=generator)
    bias = torch.randn(4, dtype=torch.float64, generator=generator)
    conv = Conv(weight, bias, (2, 7, 6), stride=(2, 1), dilation=(1, 2), pads=pads, groups=2)
    shape = conv.shape((2, 7, 6))
    graph = LayerGraph((Node("x", None, (), (2, 7, 6)), Node("y", conv, ("x",), shape)))
    points = torch.randn(3, 2, 7, 6, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(fast(graph, torch.float64)(points), graph(points))


def test_replay_fills_the_batch_that_a_file_fixes(onnx_file: Callable[..., Path]) -> None:
    node = helper.make_node("Add", ["x", "c"], ["y"])
    one, two = (
        onnx_file([node], {"c": np.full((1, 2), k, np.float32)}, [4, 2], name=f"{k}.onnx")
        for k in (1, 2)
    )
    inputs = torch.arange(10, dtype=torch.float64).view(5, 2)
    seen = replay((one, two), inputs)
    assert torch.equal(seen.original, inputs + 1)
    assert torch.equal(seen.drift, torch.ones(5, 2, dtype=torch.float64))
    assert "optimisation off" in seen.name


def test_replay_refuses_what_the_runtime_refuses(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(BadFile, match="cannot load"):
        replay((broken, broken), torch.zeros(1, 2))


def test_the_runtime_confirms_the_shipped_pair() -> None:
    files = (DIGITS / "model.onnx", DIGITS / "model.pruned.onnx")
    pair = Pair.of(*map(read_onnx, files))
    inputs = np.load(DIGITS / "inputs.npz")["x"]
    observed = DriftAttack(steps=15).observe(pair, Box.around(inputs, 0.2, (0, 1)), HERE, files)
    assert observed.runtime is not None
    torch.testing.assert_close(observed.runtime.upper, observed.drift.upper, rtol=0, atol=1e-4)
    torch.testing.assert_close(observed.runtime.lower, observed.drift.lower, rtol=0, atol=1e-4)
    found = [point for point in observed.disagreement if point is not None]
    assert found
    seen = replay(files, torch.stack(found))
    assert bool((seen.original.argmax(1) != seen.compressed.argmax(1)).all())


@pytest.mark.data
@pytest.mark.parametrize(("eps", "least"), [(0.1 / 255, 0.048), (1 / 255, 0.066)])
def test_wake_word_network_reaches_the_known_drift(data: Path, eps: float, least: float) -> None:
    folder = data / "mlperf_tiny"
    files = tuple(folder / f"sww_dscnn1d_{k}.onnx" for k in ("float", "int8_weights_only"))
    samples = np.load(folder / "sww_calibration_samples.npz")["specs"].transpose(0, 3, 1, 2)
    pair = Pair.of(*map(read_onnx, files))
    region = Box.around(samples[:1], eps, (0, 1))
    observed = DriftAttack().observe(pair, region, HERE, (files[0], files[1]))
    assert max(float(observed.drift.upper.max()), -float(observed.drift.lower.min())) >= least
    assert observed.runtime is not None
    torch.testing.assert_close(observed.runtime.upper, observed.drift.upper, rtol=0, atol=1e-4)


@pytest.mark.data
def test_16_bit_mnist_network_on_the_pixel_grid(data: Path) -> None:
    folder = data / "mnist"
    files = (folder / "mnist_relu_3_100.onnx", folder / "mnist_relu_3_100_16bit.onnx")
    pixels = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    images = np.frombuffer(pixels, np.uint8)[:1568].reshape(2, 784).astype(np.float64)
    pair = Pair.of(*map(read_onnx, files))
    region = Grid.around(images, 3.0, (0, 255))
    start = DriftAttack(restarts=0).observe(pair, region, HERE)
    observed = DriftAttack().observe(pair, region, HERE, files)
    assert bool((observed.drift.upper >= start.drift.upper).all())
    assert torch.equal(observed.highest, observed.highest.round())
    assert float((observed.drift.upper - start.drift.upper).max()) > 0.05
