"""What build servers, test suites and experiment trackers are told."""

import json
import logging
import re
import shlex
from pathlib import Path
from xml.etree import ElementTree

import mlflow
import pytest
import torch
from junitparser import JUnitXml
from sarif_pydantic import Sarif
from typer.testing import CliRunner

import lipcert
from lipcert.cli import app
from lipcert.report.junit import junit
from lipcert.report.report import Report
from lipcert.report.sarif import sarif
from lipcert.testing import assert_drift_below
from lipcert.tracking import log_to_mlflow

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "examples" / "digits"
TIGHT, WIDE = 1e-3, 10.0  # refuted everywhere, proved everywhere
TERMS = r"over 1 box of radius 0\.0\d+ \(twin bounds, real arithmetic\)"  # cut by a clip


@pytest.fixture(scope="module")
def pair() -> lipcert.Pair:
    return lipcert.load_pair(DIGITS / "model.onnx", DIGITS / "model.pruned.onnx")


@pytest.fixture(scope="module")
def region() -> lipcert.Box:
    inputs = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    inputs[1] = 0.5
    return lipcert.Box.around(inputs, eps=0.01, clip=(0.0, 1.0))


@pytest.fixture(scope="module")
def result(pair: lipcert.Pair, region: lipcert.Box) -> lipcert.Certificate:
    return lipcert.certify(pair, region)


def between(result: lipcert.Certificate) -> float:
    """A limit that splits the rows: above one row's bound, below what the other shows."""
    assert result.observed_drift is not None
    low, high = sorted(zip(result.max_drift.tolist(), result.observed_drift.tolist(), strict=True))
    assert low[0] < high[1], "the fixture no longer has rows that a limit can split"
    return (low[0] + high[1]) / 2


def test_junit_has_a_case_per_input(result: lipcert.Certificate) -> None:
    report = Report(result, between(result))
    (suite,) = JUnitXml.fromstring(junit(report, "model.pruned.onnx").encode())
    assert [case.name for case in suite] == ["input 0", "input 1"]
    failing = [[failure.type for failure in case.result] for case in suite]
    assert sorted(failing) == [[], ["refuted"]]
    assert (suite.tests, suite.failures) == (2, 1)
    assert all(re.search(TERMS, case.system_out) for case in suite)


def test_junit_is_in_the_order_that_schemas_want(result: lipcert.Certificate) -> None:
    root = ElementTree.fromstring(junit(Report(result, TIGHT), "g"))
    (suite,) = root
    assert [part.tag for part in suite] == ["properties", "testcase", "testcase"]
    assert [part.tag for part in suite[1]] == ["failure", "system-out"]


def test_junit_without_a_limit_passes(result: lipcert.Certificate) -> None:
    (suite,) = JUnitXml.fromstring(junit(Report(result), "g").encode())
    assert suite.failures == 0


def test_sarif_names_what_was_found(result: lipcert.Certificate) -> None:
    log = Sarif.model_validate_json(sarif(Report(result, between(result)), "models/g.onnx"))
    (run,) = log.runs
    found = [finding for finding in run.results or [] if finding.rule_id.startswith("drift")]
    assert [(finding.rule_id, finding.level) for finding in found] == [("drift-refuted", "error")]
    assert re.search(TERMS, found[0].message.text or "")
    rules = {rule.id for rule in run.tool.driver.rules}
    assert {finding.rule_id for finding in run.results or []} <= rules


def test_sarif_points_at_a_line_of_a_valid_uri(result: lipcert.Certificate) -> None:
    log = json.loads(sarif(Report(result, TIGHT), "my models/g.onnx"))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20models/g.onnx"
    assert place["region"]["startLine"] == 1


def test_sarif_of_what_is_proved_is_empty(result: lipcert.Certificate) -> None:
    report = Report(result, WIDE)
    findings = json.loads(sarif(report, "g.onnx"))["runs"][0]["results"]
    refuted = sum(verdict == "refuted" for verdict in result.agreement or ())
    assert len(findings) == refuted + len(report.warnings)


def test_the_command_writes_both(tmp_path: Path) -> None:
    files = [DIGITS / "model.onnx", DIGITS / "model.pruned.onnx"]
    options = ["--inputs", f"{DIGITS / 'inputs.npz'}:x", "--eps", "0", "--max-drift", str(TIGHT)]
    places = [tmp_path / "new" / "drift.xml", tmp_path / "new" / "drift.sarif"]
    told = ["--junit", places[0], "--sarif", places[1]]
    done = CliRunner().invoke(app, ["certify", *map(str, [*files, *options, *told])])
    assert done.exit_code == 1, done.output
    assert JUnitXml.fromfile(str(places[0])).failures == 10
    assert "drift-refuted" in places[1].read_text(encoding="utf-8")


def test_the_assertion_returns_or_says_why(pair: lipcert.Pair, region: lipcert.Box) -> None:
    result = assert_drift_below(pair, region, WIDE)
    assert float(result.max_drift.max()) <= WIDE
    with pytest.raises(AssertionError, match=r"REFUTED.*\n  input \d: refuted: drift at most"):
        assert_drift_below(pair, region, TIGHT)


def test_an_mlflow_run_holds_the_certificate(
    result: lipcert.Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = mlflow.create_experiment("drift", artifact_location=str(tmp_path / "artefacts"))
    with mlflow.start_run(experiment_id=experiment) as run:
        log_to_mlflow(result, WIDE)
    data = mlflow.get_run(run.info.run_id).data
    assert data.metrics["lipcert.drift.proved"] == float(result.max_drift.max())
    assert data.params["lipcert.method"] == "TwinBounds"
    assert data.tags["lipcert.verdict"].startswith("PROVED")
    saved = {path.name for path in (tmp_path / "artefacts").rglob("*") if path.is_file()}
    assert {"certificate.json", "arrays.npz"} <= saved


def test_stages_are_logged(
    pair: lipcert.Pair, region: lipcert.Box, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="lipcert"):
        lipcert.certify(pair, region)
    assert re.search(r"TwinBounds: 2 regions bounded in [\d.]+ s", caplog.text)


def test_the_workflow_asks_for_options_that_exist() -> None:
    text = (ROOT / "examples" / "pipeline" / "certify.yml").read_text(encoding="utf-8")
    command = re.search(r"run: >\n((?: {10}.*\n)+)", text)
    assert command is not None
    words = shlex.split(command[1])
    shown = CliRunner().invoke(app, ["certify", "--help"], env={"COLUMNS": "200"}).stdout
    assert words[:2] == ["lipcert", "certify"]
    assert {word for word in words if word.startswith("--")} <= set(re.findall(r"--[a-z-]+", shown))
