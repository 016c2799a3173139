"""The verdict in one line."""

from rich.text import Text

from lipcert.certificate.verdict import Verdict
from lipcert.report.report import Report
from lipcert.report.section import Section

STYLES = {Verdict.PROVED: "bold green", Verdict.REFUTED: "bold red", Verdict.UNKNOWN: "bold yellow"}


class Conclusion(Section):
    """The last line."""

    rank = 90

    def render(self, report: Report) -> Text:
        """Coloured by what is known."""
        return Text(report.sentence, style=STYLES[report.verdict])
