"""A report on a terminal, and as facts for programs."""

from rich.console import Console
from rich.text import Text

from lipcert.certificate.document import Document
from lipcert.certificate.store import document_of
from lipcert.report.report import Report
from lipcert.report.section import scan
from lipcert.sets.share import costliest


def show(report: Report, console: Console) -> None:
    """Every section that has something to say, in order."""
    for section in scan():
        shown = section.render(report)
        if shown is not None:
            console.print(shown, soft_wrap=isinstance(shown, Text))


def facts(report: Report, document: Document | None = None) -> dict[str, object]:
    """The JSON of a certificate, by default one without evidence, and the verdict in words."""
    told = document or document_of(report.certificate, report.max_drift)[0]
    verdict: dict[str, object] = {
        "status": str(report.verdict),
        "max_drift": report.max_drift,
        "sentence": report.sentence,
        "warnings": list(report.warnings),
    }
    if report.certificate.budget is not None:
        verdict["keep_precise"] = costliest(report.certificate.budget)
    return {**told.model_dump(mode="json"), "verdict": verdict}
