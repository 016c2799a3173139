"""Constants of single outputs and of differences of two: proved, tighter, and told."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from typer.testing import CliRunner

import lipcert
from lipcert.cli import app
from lipcert.errors import BadInput
from lipcert.graph.layer_graph import LayerGraph
from lipcert.lipschitz import Effort
from lipcert.lipschitz.ascent import Ascent
from lipcert.lipschitz.outputs_view import outputs_table
from lipcert.read import read_module
from lipcert.sets.region import Ball, Box

QUICK = Effort(limit_seconds=5, ascent=Ascent(steps=4, starts=3))
DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
ORDERS = {"1": 1.0, "2": 2.0, "inf": math.inf}


def module(seed: int, end: nn.Module | None = None) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 7), nn.LeakyReLU(0.2), nn.Linear(7, 4)]
    return nn.Sequential(*layers, *([] if end is None else [end])).double().eval()


def network(seed: int) -> LayerGraph:
    return read_module(module(seed), (5,))


def quotients(graph: LayerGraph, x: Tensor, y: Tensor, order: float) -> Tensor:
    """Of every output and of every difference of two, (functions, points)."""
    change = graph(x) - graph(y)
    pairs = torch.combinations(torch.arange(4))
    rows = torch.cat([change, change[:, pairs[:, 0]] - change[:, pairs[:, 1]]], 1)
    return (rows.abs() / torch.linalg.vector_norm(x - y, order, dim=1)[:, None]).T


@pytest.mark.parametrize("norm", ORDERS)
@pytest.mark.parametrize("local", [False, True])
def test_no_quotient_exceeds_its_constant(norm: str, local: bool) -> None:
    for seed in range(3):
        graph, centre = network(seed), torch.full((1, 5), 0.3).double()
        region = None
        if local:
            region = (Ball if norm == "2" else Box).around(centre, 0.2)
        upper = torch.cat(
            [
                lipcert.lipschitz_by_output(
                    graph, kind, norm=norm, region=region, effort=QUICK
                ).upper()
                for kind in ("each", "pairs")
            ]
        )
        generator = torch.Generator().manual_seed(seed)
        if region is None:
            x, y = torch.randn(2, 2000, 5, generator=generator, dtype=torch.float64)
        else:
            rows = torch.zeros(2000, dtype=torch.long)
            x, y = (region.sample(rows, generator) for _ in range(2))
        seen = quotients(graph, x, y, ORDERS[norm])
        assert bool((seen <= upper).all())
        assert bool((seen > 0).any(1).all())


def test_each_and_pairs_against_the_joint_constant() -> None:
    graph = network(7)
    joint = lipcert.lipschitz(graph, effort=QUICK).upper
    each = lipcert.lipschitz_by_output(graph, "each", effort=QUICK)
    pairs = lipcert.lipschitz_by_output(graph, "pairs", effort=QUICK)
    more = 1.001  # what the searches leave
    assert float(each.upper().max()) <= joint * more
    assert float(pairs.upper().max()) <= math.sqrt(2) * joint * more
    assert joint <= float(each.upper().norm()) * more
    for entry, upper in zip(pairs.entries, pairs.upper()[:, 0], strict=True):
        assert entry.less is not None
        both = each.upper()[entry.output, 0] + each.upper()[entry.less, 0]
        assert float(upper) <= float(both) * more
    assert len(pairs.entries) == 6
    assert bool((pairs.observed() <= pairs.upper()).all())


def test_a_pair_of_networks_has_three_constants_per_function() -> None:
    pair = lipcert.load_pair(module(1), module(2), shape=(5,))
    made = lipcert.lipschitz_by_output(pair, "each", effort=QUICK)
    both = made.upper("original") + made.upper("compressed")
    assert bool((made.upper("difference") <= both * 1.000001).all())
    assert not made.logits


def test_before_a_softmax_the_logits_are_meant() -> None:
    plain = lipcert.lipschitz_by_output(network(3), "each", effort=QUICK)
    graph = read_module(module(3, nn.Softmax(1)), (5,))
    made = lipcert.lipschitz_by_output(graph, "each", effort=QUICK)
    assert made.logits
    assert torch.allclose(made.upper(), plain.upper(), rtol=1e-3)


def test_refusals() -> None:
    with pytest.raises(BadInput, match="each or pairs, got all"):
        lipcert.lipschitz_by_output(network(0), "all")
    image = read_module(nn.Conv2d(1, 2, 3).double().eval(), (1, 4, 4))
    with pytest.raises(BadInput, match="where they are a vector"):
        lipcert.lipschitz_by_output(image, "each", effort=QUICK)


def test_the_table_names_every_network(capsys: pytest.CaptureFixture[str]) -> None:
    pair = lipcert.load_pair(module(1), module(2), shape=(5,))
    made = lipcert.lipschitz_by_output(pair, "pairs", norm=1, effort=QUICK)
    Console(width=120).print(outputs_table(made))
    shown = capsys.readouterr().out
    for word in ("l1 norm of inputs, over all inputs", "L(f) proved", "L(g - f) proved", "2 - 3"):
        assert word in shown


def test_the_command_tells_and_saves_the_same_numbers(tmp_path: Path) -> None:
    arguments = ["lipschitz", str(DIGITS / "model.onnx"), "--outputs", "each", "--norm", "1"]
    told = CliRunner().invoke(app, [*arguments, "--json", "--out", str(tmp_path)])
    facts = json.loads(told.stdout)
    with (tmp_path / "outputs.csv").open(encoding="utf-8", newline="") as file:
        saved = list(csv.DictReader(file))
    assert len(saved) == len(facts) == 10
    assert [float(row["proved"]) for row in saved] == [fact["proved"] for fact in facts]
    both = CliRunner().invoke(app, [*arguments, "--sweep"])
    assert both.exit_code == 2
    assert "leave --outputs out" in " ".join(both.output.split())
