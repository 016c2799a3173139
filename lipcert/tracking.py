"""Certificates in an MLflow run; needs the extra lipcert[mlflow]."""

from tempfile import TemporaryDirectory

from lipcert.certificate.certificate import Certificate
from lipcert.certificate.verdict import Verdict
from lipcert.errors import MissingPackage
from lipcert.report.report import Report

ARTEFACT = "lipcert"  # folder of the run's artefacts


def log_to_mlflow(certificate: Certificate, max_drift: float | None = None) -> None:
    """Parameters, bounds and the certificate itself, logged to the active MLflow run.

    Args:
        certificate: from `certify`.
        max_drift: the allowed drift, output units; None where only the bound was asked for.

    Raises:
        MissingPackage: MLflow is not installed.
    """
    try:
        import mlflow  # noqa: PLC0415 - an optional package
    except ImportError as error:
        raise MissingPackage("log_to_mlflow: install lipcert[mlflow] or mlflow") from error
    report = Report(certificate, max_drift)
    mlflow.log_params({f"lipcert.{name}": value for name, value in _parameters(report).items()})
    mlflow.log_metrics({f"lipcert.{name}": value for name, value in _metrics(report).items()})
    mlflow.set_tag("lipcert.verdict", report.sentence)
    with TemporaryDirectory() as folder:
        certificate.save(folder, max_drift)
        mlflow.log_artifacts(folder, ARTEFACT)


def _parameters(report: Report) -> dict[str, object]:
    made = report.certificate
    facts = {"method": made.method, "semantics": made.semantics, "max_drift": report.max_drift}
    facts |= {f"region.{name}": value for name, value in made.region.describe().items()}
    return facts | {name: network.content_sha256 for name, network in made.provenance.networks}


def _metrics(report: Report) -> dict[str, float]:
    """Numbers that runs are compared by."""
    made = report.certificate
    numbers = {"drift.proved": report.proved}
    if report.seen is not None:
        numbers["drift.seen"] = report.seen
    for verdict in Verdict:
        numbers[f"inputs.{verdict}"] = sum(row.verdict is verdict for row in report.rows)
        if made.agreement is not None:
            numbers[f"same_label.{verdict}"] = made.agreement.count(verdict)
    return numbers
