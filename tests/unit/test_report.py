import io
from collections.abc import Sequence
from decimal import Decimal
from importlib import import_module
from pkgutil import iter_modules

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import Tensor

from lipcert.certificate.certificate import Certificate, Verdict
from lipcert.certificate.observed import Observed
from lipcert.certificate.provenance import NetworkFacts, Networks, PlacementFacts, Provenance
from lipcert.graph.layer_graph import LayerGraph, Node
from lipcert.ops.relu import Relu
from lipcert.report import sections
from lipcert.report.layers import layers
from lipcert.report.number import above, below, length, ratio
from lipcert.report.progress import bar
from lipcert.report.render import facts, show
from lipcert.report.report import Report
from lipcert.report.section import scan
from lipcert.report.sections.budget import Budget
from lipcert.report.word import method_words, region_words
from lipcert.report.worst import MOST, rest, worst
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Ball, Box, Grid

HASH = "0" * 64
NETWORK = NetworkFacts(
    source="f.onnx",
    format="ONNX",
    file_sha256=HASH,
    content_sha256=HASH,
    opset={"ai.onnx": 17},
    operators={"Gemm": 1},
    parameters=3,
    nodes=2,
    sparsity=0.0,
    quantisation=(),
)
PROVENANCE = Provenance(
    networks=Networks(original=NETWORK, compressed=NETWORK),
    inputs_sha256=HASH,
    options={},
    placement=PlacementFacts(device="cpu", dtype="torch.float64"),
    versions={},
    machine="a machine",
    threads=1,
    seconds={"bounds": 1.0},
    time="2026-01-01T00:00:00Z",
    saturation=None,
)
FINITE = st.floats(-1e12, 1e12, allow_subnormal=False)


def certificate(
    proved: float = 0.5,
    seen: float | None = 0.25,
    runtime: float | None = None,
    *,
    agreement: Sequence[Verdict] | None = None,
    shape: tuple[int, ...] = (2, 3),
    aligned: bool = True,
) -> Certificate:
    """Every drift between -proved and proved, -seen and seen."""
    size = torch.full(shape, proved, dtype=torch.float64)
    observed = None if seen is None else _observed(shape, seen, runtime)
    return Certificate(
        region=Box.around(torch.zeros(shape[0], 4), 0.01),
        drift=Interval(-size, size),
        original=Interval(-size, size),
        compressed=Interval(-size, size),
        observed=observed,
        agreement=None if agreement is None else tuple(agreement),
        method="TwinBounds",
        semantics="real",
        aligned=aligned,
        budget=None,
        provenance=PROVENANCE,
    )


def _observed(shape: tuple[int, ...], seen: float, runtime: float | None) -> Observed:
    points = torch.zeros(shape[0], shape[1], 4)
    return Observed(
        drift=_spread(shape, seen),
        lowest=points,
        highest=points,
        disagreement=(None,) * shape[0],
        runtime=None if runtime is None else _spread(shape, runtime),
        runtime_name="a runtime" if runtime is not None else "not replayed",
    )


def _spread(shape: tuple[int, ...], size: float) -> Interval:
    values: Tensor = torch.full(shape, size, dtype=torch.float64)
    return Interval(-values, values)


def text(report: Report) -> str:
    console = Console(file=io.StringIO(), width=120)
    show(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(FINITE)
def test_what_is_printed_stays_true(value: float) -> None:
    assert Decimal(below(value)) <= Decimal(value) <= Decimal(above(value))
    assert float(length(abs(value))) <= abs(value)


@pytest.mark.parametrize("text", ["0.3", "0.7", "0.01", "3", "1.1", "0.000123"])
def test_a_limit_is_told_as_it_was_given(text: str) -> None:
    assert length(float(text)) == text


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (0.94146, "0.9414", "0.9415"),
        (-0.94146, "-0.9415", "-0.9414"),
        (0.0, "0", "0"),
        (0.5, "0.5", "0.5"),
        (123456.0, "123400", "123500"),
        (1e-9, "1.000e-9", "1.001e-9"),
        (float("inf"), "inf", "inf"),
    ],
)
def test_few_digits(value: float, low: str, high: str) -> None:
    assert (below(value), above(value)) == (low, high)


@pytest.mark.parametrize(
    ("proved", "seen", "said"),
    [
        (1.0, 0.5, "2"),
        (1.0, 0.3, "3.34"),
        (1.0, 0.0, "inf"),
        (0.0, 0.0, "-"),
        (1.0, None, "-"),
        (float("inf"), 1.0, "inf"),
    ],
)
def test_ratios(proved: float, seen: float | None, said: str) -> None:
    assert ratio(proved, seen) == said


def test_regions_in_words() -> None:
    centre = torch.zeros(2, 4)
    assert region_words(Box.around(centre, 0.01)) == "2 boxes of radius 0.01"
    assert region_words(Box.around(centre[:1], 0)) == "1 point"
    assert region_words(Ball.around(centre, 1.5)) == "2 l2 balls of radius 1.5"
    assert region_words(Grid.around(centre, 3, step=0.5)) == "2 grids of radius 3 and step 0.5"
    assert method_words("TwinBounds") == "twin bounds"
    assert method_words("DriftSdp") == "drift SDP"


@pytest.mark.parametrize(
    ("proved", "seen", "allowed", "verdict", "part"),
    [
        (0.5, 0.25, None, Verdict.PROVED, "no output drifts by more than 0.5 (seen: 0.25)"),
        (0.5, None, None, Verdict.PROVED, "nothing was searched"),
        (float("inf"), 0.25, None, Verdict.UNKNOWN, "no finite bound"),
        (0.5, 0.25, 0.5, Verdict.PROVED, "no output drifts by more than 0.5 (proved: 0.5"),
        (0.5, 0.25, 0.2, Verdict.REFUTED, "an output drifts by more than 0.2 (seen: 0.25"),
        (0.5, 0.25, 0.3, Verdict.UNKNOWN, "neither proved nor refuted"),
    ],
)
def test_verdicts(
    proved: float, seen: float | None, allowed: float | None, verdict: Verdict, part: str
) -> None:
    report = Report(certificate(proved, seen), allowed)
    assert report.verdict is verdict
    assert report.sentence.startswith(f"{verdict.upper()} (twin bounds, real arithmetic): over 2 ")
    assert part in report.sentence
    assert "\n" not in report.sentence
    assert facts(report)["verdict"] == {
        "status": str(verdict),
        "max_drift": allowed,
        "sentence": report.sentence,
        "warnings": [],
    }
    assert report.sentence in text(report).splitlines()


def test_every_section_is_found_in_order() -> None:
    found = scan()
    assert [s.rank for s in found] == sorted(s.rank for s in found)
    files = {module.name for module in iter_modules(sections.__path__)}
    assert {type(s).__module__.rpartition(".")[2] for s in found} == files
    for name in files:
        assert import_module(f"{sections.__name__}.{name}").__doc__


@pytest.mark.parametrize("seen", [0.25, None])
@pytest.mark.parametrize("proved", [0.5, 0.0, float("inf")])
def test_every_section_tells_of_bare_results(seen: float | None, proved: float) -> None:
    bare = certificate(proved, seen if proved else seen and 0.0)
    for section in scan():
        assert (section.render(Report(bare)) is None) == isinstance(section, Budget)


def test_tables_show_proved_beside_observed() -> None:
    agreement = [Verdict.PROVED, Verdict.REFUTED]
    shown = text(Report(certificate(agreement=agreement)))
    assert "same label: 1 proved, 1 refuted, 0 unknown" in shown
    assert "-0.5" in shown
    assert "0.25" in shown
    assert "runtime lower" not in shown
    assert "could not be aligned" not in shown


def test_networks_that_are_not_aligned_are_said_to_be() -> None:
    assert "their joint graph was bounded" in text(Report(certificate(aligned=False)))


def test_the_runtime_is_shown_where_it_differs() -> None:
    same, other = Report(certificate(runtime=0.25)), Report(certificate(runtime=0.375))
    assert same.runtime is None
    assert "shows the same drifts" in text(same)
    assert "runtime lower" not in text(same)
    assert "runtime lower" in text(other)
    assert "0.375" in text(other)
    assert same.warnings == other.warnings == ()


def test_a_runtime_beyond_the_bound_is_warned_of() -> None:
    (warning,) = Report(certificate(runtime=0.75)).warnings
    assert "on 2 inputs" in warning
    assert "by up to 0.25" in warning
    assert "semantics 'real'" in warning


def test_long_tables_show_the_worst() -> None:
    assert worst(torch.tensor([1.0, 3.0, 2.0])) == [0, 1, 2]
    assert rest(3, "outputs") is None
    many = torch.arange(25.0)
    assert worst(many) == list(range(24, 14, -1))
    shown = text(Report(certificate(shape=(12, 25))))
    assert f"the worst {MOST}; 15 more outputs" in shown
    assert f"the worst {MOST}; 2 more inputs" in shown


def test_a_refuted_label_is_among_the_worst() -> None:
    for row in range(12):
        agreement = [Verdict.REFUTED if k == row else Verdict.PROVED for k in range(12)]
        lines = text(Report(certificate(shape=(12, 2), agreement=agreement))).splitlines()
        (line,) = (line for line in lines if line.rstrip().endswith(" refuted"))
        assert line.split()[0] == str(row)


def test_outputs_of_more_axes_are_named_by_index() -> None:
    assert "1,2" in text(Report(certificate(shape=(2, 2, 3))))


def test_a_layer_graph_as_a_table() -> None:
    graph = LayerGraph((Node("x", None, (), (4,)), Node("y", Relu(), ("x",), (4,))), "net")
    console = Console(file=io.StringIO(), width=100)
    console.print(layers(graph))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    for part in ("net", "Input", "Relu", "2 nodes, 0 parameters", graph.content_hash()):
        assert part in shown


def test_progress_draws_on_terminals_only() -> None:
    for terminal in (True, False):
        file = io.StringIO()
        with bar(Console(file=file, force_terminal=terminal)) as watch:
            watch("bounding", 1, 2)
        assert ("bounding" in file.getvalue()) == terminal
