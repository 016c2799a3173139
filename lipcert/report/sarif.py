"""A report as SARIF 2.1.0 (OASIS), for services that show findings beside the code."""

from importlib.metadata import version
from urllib.parse import quote

from sarif_pydantic import (
    ArtifactLocation,
    Level,
    Location,
    Message,
    PhysicalLocation,
    Region,
    ReportingDescriptor,
    Result,
    Run,
    Sarif,
    Tool,
    ToolDriver,
)

from lipcert.certificate.verdict import Verdict
from lipcert.report.report import Report

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
RULES = {
    "drift-refuted": "An input was found on which an output drifts by more than is allowed.",
    "drift-unproved": "That drift stays within what is allowed was neither proved nor refuted.",
    "label-refuted": "An input was found on which the two networks name different labels.",
    "runtime": "What the deployed runtime computes may differ from what was certified.",
}
DRIFT = {
    Verdict.REFUTED: ("drift-refuted", Level.ERROR),
    Verdict.UNKNOWN: ("drift-unproved", Level.WARNING),
}


def sarif(report: Report, file: str) -> str:
    """SARIF with a result per finding; nothing found is an empty list.

    Args:
        report: the certificate and the allowed drift.
        file: the compressed network's path, which every finding points at.
    """
    place = Location(
        physical_location=PhysicalLocation(
            artifact_location=ArtifactLocation(uri=quote(file)),
            region=Region(start_line=1),  # code scanning shows nothing without a line
        )
    )
    found = [
        Result(rule_id=rule, level=level, message=Message(text=text), locations=[place])
        for rule, level, text in _findings(report)
    ]
    rules = [
        ReportingDescriptor(id=rule, short_description=Message(text=text))
        for rule, text in RULES.items()
    ]
    driver = ToolDriver(name="lipcert", version=version("lipcert"), rules=rules)
    runs = [Run(tool=Tool(driver=driver), results=found)]
    log = Sarif.model_validate({"$schema": SCHEMA, "version": "2.1.0", "runs": runs})
    return log.model_dump_json(by_alias=True, exclude_none=True, indent=2)


def _findings(report: Report) -> list[tuple[str, Level, str]]:
    """Rule, level and words of each finding, in the order of the inputs."""
    found: list[tuple[str, Level, str]] = []
    for number, row in enumerate(report.rows):
        if row.verdict is not Verdict.PROVED:
            rule, level = DRIFT[row.verdict]
            found.append((rule, level, f"input {number}: {report.around(number, row)}"))
    for number, verdict in enumerate(report.certificate.agreement or ()):
        if verdict is Verdict.REFUTED:
            text = f"input {number}: the two networks name different labels on a nearby input"
            found.append(("label-refuted", Level.WARNING, text))
    return [*found, *(("runtime", Level.WARNING, text) for text in report.warnings)]
