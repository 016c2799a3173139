"""What the claim takes for granted and does not cover, and what the sample says beyond it."""

from collections.abc import Iterator

from lipcert.report.blocks import Block, Points, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File
from lipcert.report.number import above, below


class Limits(Chapter):
    """Assumptions, limits and coverage."""

    rank, title = 80, "Assumptions, limits and coverage"

    def blocks(self, file: File) -> Iterator[Block]:
        """As the certificate words them."""
        yield Words("The claim takes for granted:")
        yield Points(file.document.assumptions)
        yield Words("The claim does not cover:")
        yield Points(file.document.limits)
        coverage = file.result.coverage
        if not coverage:
            return
        yield Sheet(
            "Coverage (statistical, unlike everything else here)",
            ("Proved for a row", "Rows", "Share of untested inputs", "Confidence"),
            tuple(
                (
                    entry.what,
                    f"{entry.successes} of {entry.trials}",
                    f"{below(100 * entry.lower, 3)} % to {above(100 * entry.upper, 3)} %",
                    f"{100 * entry.confidence:.0f} %",
                )
                for entry in coverage
            ),
            numeric=True,
        )
        yield Words(
            "Intervals of Clopper and Pearson. They hold if the inputs were drawn independently "
            "from the distribution that is asked about, which this certificate cannot know."
        )
