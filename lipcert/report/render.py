"""A report on a terminal, and as facts for programs."""

from rich.console import Console
from rich.text import Text

from lipcert.certificate.store import as_json
from lipcert.report.report import Report
from lipcert.report.section import scan


def show(report: Report, console: Console) -> None:
    """Every section that has something to say, in order."""
    for section in scan():
        shown = section.render(report)
        if shown is not None:
            console.print(shown, soft_wrap=isinstance(shown, Text))


def facts(report: Report) -> dict[str, object]:
    """The certificate's JSON and the verdict."""
    return as_json(report.certificate) | {
        "verdict": {
            "status": str(report.verdict),
            "max_drift": report.max_drift,
            "sentence": report.sentence,
            "warnings": list(report.warnings),
        }
    }
