"""A whole audit report, before it takes a format."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from lipcert.report.blocks import Block, Sheet
from lipcert.report.chapter import scan
from lipcert.report.file import File
from lipcert.report.number import above, below, length

TITLE = "Drift of compressed networks"


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter that has something to say."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The report on one certificate."""

    anchor: str
    title: str
    status: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A report on one or more certificates.

    Args:
        title: of the document.
        made: when and by what.
        overview: all certificates at a glance; None for a single one.
        parts: one per certificate.
    """

    title: str
    made: str
    overview: Sheet | None
    parts: tuple[Part, ...]

    def as_data(self) -> dict[str, object]:
        """Nested dictionaries and lists, as templates of other languages read them."""
        return asdict(self)


def page(files: Sequence[File]) -> Page:
    """The report on these certificates, in their order."""
    titles = _titles(files)
    parts = tuple(
        _part(f, title, n) for n, (f, title) in enumerate(zip(files, titles, strict=True), 1)
    )
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    made = f"Report of {now} by lipcert {version('lipcert')}"
    return Page(TITLE, made, _overview(files) if len(files) > 1 else None, parts)


def _part(file: File, title: str, number: int) -> Part:
    anchor = f"certificate-{number}"
    found = ((chapter.title, tuple(chapter.blocks(file))) for chapter in scan())
    sections = tuple(
        Section(f"{anchor}-{k}", title, blocks)
        for k, (title, blocks) in enumerate(found, 1)
        if blocks
    )
    return Part(anchor, title, str(file.result.status), sections)


def _titles(files: Sequence[File]) -> list[str]:
    """What is held against what; numbered where there are several."""
    if len(files) == 1:
        return [files[0].title]
    return [f"{number}. {file.title}" for number, file in enumerate(files, 1)]


def _overview(files: Sequence[File]) -> Sheet:
    rows = tuple(
        (
            title,
            str(file.result.status),
            file.region,
            file.document.claim.semantics.compressed,
            file.method,
            above(file.proved),
            "-" if file.seen is None else below(max(file.seen)),
            _allowed(file),
        )
        for file, title in zip(files, _titles(files), strict=True)
    )
    heads = ("Networks", "Verdict", "Regions", "Arithmetic", "Method", "Proved", "Seen", "Allowed")
    return Sheet("All certificates: largest drift", heads, rows)


def _allowed(file: File) -> str:
    threshold = file.document.claim.threshold
    return "not set" if threshold is None else length(threshold)
