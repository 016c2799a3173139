"""Facts about activations, refusals, results and the command."""

import json
import math
import signal
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

import lipcert
from lipcert.certificate.disk import load_lipschitz
from lipcert.cli import app
from lipcert.commands import lipschitz as command
from lipcert.errors import BadInput, Unsound, UnsupportedOp
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.lipschitz import Effort, LipschitzBound
from lipcert.lipschitz.ascent import Ascent
from lipcert.lipschitz.relaxations import lipsdp
from lipcert.lipschitz.relaxations.product import Product
from lipcert.lipschitz.slopes import everywhere
from lipcert.numeric.norm import Norm
from lipcert.ops.add import Add
from lipcert.ops.erf import Erf
from lipcert.ops.gelu import Gelu
from lipcert.ops.hard_swish import HardSwish
from lipcert.ops.kinds import Coupled, Elementwise, Op
from lipcert.ops.linear import Linear
from lipcert.ops.quantize import Quantize
from lipcert.ops.relu import Relu
from lipcert.ops.select import Select
from lipcert.ops.sigmoid import Sigmoid
from lipcert.ops.silu import Silu
from lipcert.ops.softmax import Softmax
from lipcert.ops.tanh import Tanh
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Ball, Box
from lipcert.walk.interrupt import noted

QUICK = Effort(limit_seconds=0.1, ascent=Ascent(steps=4, starts=3))
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def chain(shape: tuple[int, ...], *ops: Op) -> LayerGraph:
    nodes = [Node("x", None, (), shape)]
    for place, op in enumerate(ops):
        shape = op.shape(shape)
        nodes.append(Node(f"n{place}", op, (nodes[-1].name,), shape))
    return LayerGraph(tuple(nodes))


SLOPES = {
    Relu(): (0.0, 1.0),
    Sigmoid(): (0.0, 0.25),
    Tanh(): (0.0, 1.0),
    Erf(): (0.0, 2 / math.sqrt(math.pi)),
    Gelu(): (-0.1289043, 1.1289043),
    Silu(): (-0.0998394, 1.0998394),
    HardSwish(): (-0.5, 1.5),
}


@pytest.mark.parametrize("op", SLOPES, ids=lambda op: type(op).__name__)
def test_slopes_on_the_whole_line_are_the_true_ones(op: Elementwise) -> None:
    sector = everywhere(chain((1,), op))["n0"]
    x = torch.linspace(-40, 40, 400001, dtype=torch.float64)[None]
    quotients = op.value(x).diff() / x.diff()
    assert float(sector.lower) <= float(quotients.min()) + 1e-9
    assert float(sector.upper) >= float(quotients.max()) - 1e-9
    assert float(sector.lower) == pytest.approx(SLOPES[op][0], abs=2e-7)
    assert float(sector.upper) == pytest.approx(SLOPES[op][1], abs=2e-7)


def test_a_steep_activation_is_not_taken_for_a_contraction() -> None:
    graph = chain((1,), Gelu())
    for norm in Norm:
        bound = lipcert.lipschitz(graph, norm=norm)
        assert 1.128 < bound.upper < 1.1292
        assert bound.observed > 1.12


@dataclass(frozen=True, slots=True, eq=False)
class Product2(Coupled):
    """A product of coordinates, for which there is no constant."""

    def value(self, *inputs: Tensor) -> Tensor:
        return inputs[0] * inputs[0].roll(1, -1)

    def shape(self, *inputs: tuple[int, ...]) -> tuple[int, ...]:
        return inputs[0]

    def image(self, box: Interval) -> Interval:
        return box


def test_unknown_layers_are_refused_by_name() -> None:
    graph = chain((4,), Linear(normal(4, 4), normal(4)), Product2(), Relu(), Product2())
    with pytest.raises(UnsupportedOp, match=r"'n1' \(Product2\), 'n3' \(Product2\)"):
        lipcert.lipschitz(graph, effort=QUICK)


def test_a_staircase_has_no_constant_but_on_one_of_its_steps() -> None:
    ends = (torch.tensor(v).double() for v in (0.5, -3.0, 3.0))
    graph = chain((2,), Linear(normal(2, 2), normal(2)), Quantize(*ends))
    bound = lipcert.lipschitz(graph, effort=QUICK)
    assert (bound.upper, bound.method, bound.gap_to_relaxation) == (math.inf, "none", None)
    small = Box.around([[0.3, 0.1], [100.0, 100.0]], 1e-6)
    local = lipcert.lipschitz(graph, region=small, effort=QUICK)
    assert bool((local.upper_per_region < 1e-300).all())


def test_max_pooling_of_windows_that_do_not_overlap_is_a_contraction() -> None:
    shape = (2, 4, 4)
    nodes = [Node("x", None, (), shape)]
    for axis in (1, 2):
        source = nodes[-1]
        size = source.shape[axis]
        half = tuple(s // 2 if k == axis else s for k, s in enumerate(source.shape))
        a, b = (Select(axis, tuple(range(first, size, 2)), size) for first in (0, 1))
        nodes += [
            Node(f"a{axis}", a, (source.name,), half),
            Node(f"b{axis}", b, (source.name,), half),
        ]
        nodes += [Node(f"gap{axis}", Add((1, -1)), (f"a{axis}", f"b{axis}"), half)]
        nodes += [Node(f"lead{axis}", Relu(), (f"gap{axis}",), half)]
        nodes += [Node(f"max{axis}", Add((1, 1)), (f"b{axis}", f"lead{axis}"), half)]
    graph = LayerGraph(tuple(nodes))
    x = normal(3, *shape)
    torch.testing.assert_close(graph(x), torch.nn.functional.max_pool2d(x, 2))
    for norm in Norm:
        bound = lipcert.lipschitz(graph, norm=norm, effort=QUICK)
        assert 1 <= float(bound.proofs[Product.words].upper) < 1 + 1e-12
        assert 1 <= bound.upper < 1 + 1e-12
        assert bound.observed > 0.999


def test_softmax_halves() -> None:
    graph = chain((3,), Softmax())
    for norm in Norm:
        bound = lipcert.lipschitz(graph, norm=norm, effort=QUICK)
        assert 0.5 <= bound.upper < 0.5 + 1e-12
        assert bound.observed > 0.2


def test_the_ascent_finds_what_random_points_do_not() -> None:
    """Twelve neurons that must all be active at once, which one point in 4096 sees."""
    low, high = Linear(torch.eye(12).double(), -torch.ones(12).double()), torch.ones(1, 12).double()
    graph = chain((12,), low, Relu(), Linear(high, torch.zeros(1).double()))
    region = Box.between([[-3.0] * 12], [[3.0] * 12])
    bound = lipcert.lipschitz(graph, norm="inf", region=region)
    assert bound.observed == pytest.approx(12, rel=1e-6)
    assert bound.upper == pytest.approx(12, rel=1e-6)


@pytest.mark.parametrize("norm", list(Norm))
def test_witnesses_lie_in_the_region_and_show_the_quotient(norm: Norm) -> None:
    graph = chain(
        (4,), Linear(normal(6, 4), normal(6)), Relu(), Linear(normal(2, 6, seed=1), normal(2))
    )
    region = Ball.around(normal(3, 4, seed=2), 0.3, (-5, 5))
    seen = lipcert.lipschitz(graph, norm=norm, region=region, effort=QUICK).seen
    for points in (seen.first, seen.second):
        assert bool((torch.linalg.vector_norm(points - region.centre, dim=1) <= 0.3).all())
    gap = norm.of(graph(seen.first) - graph(seen.second)) / norm.of(seen.first - seen.second)
    torch.testing.assert_close(seen.quotient, gap, rtol=1e-6, atol=0)


@pytest.mark.parametrize("norm", [0, 3, "two", "-inf", math.nan])
def test_norms_that_are_none(norm: float | str) -> None:
    with pytest.raises(BadInput, match="the norm must be 1, 2 or inf"):
        lipcert.lipschitz(chain((2,), Relu()), norm=norm)


def test_a_region_of_another_shape() -> None:
    with pytest.raises(BadInput, match=r"inputs have shape \(3,\)"):
        lipcert.lipschitz(chain((2,), Relu()), region=Box.around([[0.0, 0.0, 0.0]], 1.0))


def test_a_bound_below_what_was_seen_cannot_exist() -> None:
    bound = lipcert.lipschitz(chain((2,), Relu()), effort=QUICK)
    (name, proof), *_ = bound.proofs.items()
    low = replace(proof, upper=bound.seen.quotient * 0.9)
    with pytest.raises(Unsound, match=name):
        LipschitzBound(
            bound.source, bound.norm, bound.region, {name: low}, bound.seen, bound.origin
        )


def test_saved_facts(tmp_path: Path) -> None:
    pair = lipcert.load_pair(DIGITS / "model.onnx", DIGITS / "model.pruned.onnx")
    bounds = lipcert.lipschitz(pair, norm="inf", effort=QUICK)
    saved, arrays = load_lipschitz(bounds.save(tmp_path))
    upper = saved.constants["difference"].upper
    assert upper is not None
    assert bounds.difference.upper <= upper <= bounds.difference.upper * (1 + 1e-8)
    assert saved.constants["original"].observed == bounds.original.observed
    assert arrays["original_first"].shape == (1, 1, 8, 8)


def test_the_command(tmp_path: Path) -> None:
    given = [str(DIGITS / "model.onnx"), str(DIGITS / "model.pruned.onnx"), "--norm", "1"]
    with np.load(DIGITS / "inputs.npz") as inputs:
        np.save(tmp_path / "two.npy", inputs["x"][:2])
    near = ["--inputs", str(tmp_path / "two.npy"), "--eps", "0.01"]
    shown = CliRunner().invoke(app, ["lipschitz", *given, *near, "--out", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "over 2 boxes of radius 0.01" in " ".join(shown.stdout.split())
    assert "does not shrink" in shown.stdout
    assert (tmp_path / "lipschitz.json").is_file()
    told = CliRunner().invoke(app, ["lipschitz", given[0], "--norm", "1", "--json"])
    facts = json.loads(told.stdout)["constants"]["network"]
    assert facts["upper"] >= facts["observed"] > 0


def test_one_interrupt_ends_every_search_and_leaves_a_table(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []

    def watch(stage: str, _done: int, _total: int) -> None:
        told.append(stage)
        if stage.startswith("LipSDP") and len(searched(told)) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(command, "bar", lambda _console: nullcontext(watch))
    before = signal.getsignal(signal.SIGINT)
    given = [str(DIGITS / "model.onnx"), str(DIGITS / "model.pruned.onnx")]
    shown = CliRunner().invoke(app, ["lipschitz", *given, "--json"])
    assert shown.exit_code == 0, shown.output
    assert signal.getsignal(signal.SIGINT) == before
    constants = json.loads(shown.stdout)["constants"]
    assert len(constants) == 3
    assert all(part["upper"] >= part["observed"] > 0 for part in constants.values())
    assert len(searched(told)) == 6  # of two kinds for three networks, no second step of any
    assert sum(stage.startswith("ascent") for stage in told) == 3


def searched(told: list[str]) -> list[str]:
    return [stage for stage in told if stage.startswith("LipSDP")]


def test_a_second_interrupt_interrupts() -> None:
    with noted() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.pressed
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    "options",
    [["--norm", "3"], ["--eps", "0.1"], ["--box", "0", "1", "--eps", "0.1"], ["--limit", "-1"]],
)
def test_bad_usage(options: list[str]) -> None:
    shown = CliRunner().invoke(app, ["lipschitz", str(DIGITS / "model.onnx"), *options])
    assert shown.exit_code == 2


def test_beyond_the_largest_search_its_start_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [Linear(normal(20, 20, seed=k) / 4, normal(20)) for k in range(3)]
    graph = chain((20,), lines[0], Relu(), lines[1], Relu(), lines[2])
    effort = Effort(ascent=Ascent(steps=20, starts=4))
    best = lipcert.lipschitz(graph, effort=effort)
    monkeypatch.setattr(lipsdp, "LARGEST", 50)
    start = lipcert.lipschitz(graph, effort=effort)
    assert start.observed <= best.upper < start.upper
    assert start.method == "LipSDP"
    assert start.gap_to_relaxation is None
    monkeypatch.setattr(lipsdp, "STARTED", 50)
    assert "LipSDP" not in lipcert.lipschitz(graph, effort=effort).proofs
