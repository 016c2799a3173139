"""A report as HTML, PDF or Markdown: one template each, over the same blocks.

The HTML needs no network. The PDF is typeset by Typst and tagged for PDF/UA-1 (ISO 14289-1).
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import jinja2
import typst

from lipcert.report.blocks import Chart, Gallery
from lipcert.report.drawing import DARK, PALETTE
from lipcert.report.page import Page

TEMPLATES = Path(__file__).with_name("templates")


def html(page: Page) -> str:
    """One page that holds everything it shows."""
    return _filled("page.html", page)


def markdown(page: Page) -> str:
    """Tables and words; what charts show stands in the tables beside them."""
    return _filled("page.md", page)


def pdf(page: Page) -> bytes:
    """A tagged document on A4."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for place, content in _images(page):
            (folder / place).write_bytes(content)
        (folder / "page.json").write_text(json.dumps(page.as_data()), encoding="utf-8")
        source = folder / "page.typ"
        source.write_bytes((TEMPLATES / "page.typ").read_bytes())
        return typst.compile(source, root=folder, format="pdf", pdf_standards="ua-1")


def _images(page: Page) -> Iterator[tuple[str, bytes]]:
    """Files beside the typesetter's source, named by the places of their blocks."""
    for part in page.parts:
        for section in part.sections:
            for k, block in enumerate(section.blocks):
                if isinstance(block, Chart):
                    yield f"{section.anchor}-{k}.svg", block.svg.encode()
                if isinstance(block, Gallery):
                    for n, picture in enumerate(block.pictures):
                        yield f"{section.anchor}-{k}-{n}.png", base64.b64decode(picture.png)


def _filled(template: str, page: Page) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=template.endswith("html"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["themed"] = _themed
    environment.filters["cell"] = _cell
    return environment.get_template(template).render(page=page, palette=PALETTE, dark=DARK)


def _themed(svg: str) -> str:
    """Colours of a chart as the page's own, which follow light and dark."""
    for name, colour in PALETTE.items():
        svg = svg.replace(colour, f"var(--chart-{name})")
    return svg


def _cell(text: str) -> str:
    """Text that stays inside a Markdown table's cell."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
