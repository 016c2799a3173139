"""The verdict, first."""

from collections.abc import Iterator
from typing import cast

from lipcert.report.blocks import Block, Tone, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File


class Conclusion(Chapter):
    """What was found, in plain words."""

    rank, title = 10, "Verdict"

    def blocks(self, file: File) -> Iterator[Block]:
        """The status, the finding, and what checked it."""
        status = file.result.status
        yield Words(f"{status.upper()}. {file.finding}", cast("Tone", str(status)))
        yield Words(file.checked or "The independent checker (lipcert check) was not asked.")
