"""What a report is made of, apart from how it is drawn: a closed set of blocks.

Templates draw each block by its `kind`, once per format.
"""

from dataclasses import dataclass, field
from typing import Literal

Tone = Literal["plain", "lead", "proved", "refuted", "unknown", "warning", "formula"]


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph; its tone says how much it matters."""

    text: str
    tone: Tone = "plain"
    kind: Literal["words"] = field(default="words", init=False)


@dataclass(frozen=True, slots=True)
class Points:
    """A list of sentences."""

    items: tuple[str, ...]
    kind: Literal["points"] = field(default="points", init=False)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table.

    Args:
        caption: what it shows.
        heads: of its columns; the first column names the row.
        rows: of cells, as text.
        numeric: whether all columns but the first hold numbers.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: bool = False
    kind: Literal["sheet"] = field(default="sheet", init=False)


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing in SVG whose facts also stand in words or in a table beside it."""

    svg: str
    alternative: str
    caption: str
    kind: Literal["chart"] = field(default="chart", init=False)


@dataclass(frozen=True, slots=True)
class Picture:
    """An input that is an image, as PNG in base 64."""

    png: str
    alternative: str
    caption: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures side by side."""

    caption: str
    pictures: tuple[Picture, ...]
    kind: Literal["gallery"] = field(default="gallery", init=False)


Block = Words | Points | Sheet | Chart | Gallery
