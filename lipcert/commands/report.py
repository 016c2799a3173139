"""`lipcert report`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markdown import Markdown

from lipcert.certificate.disk import CONSTANTS
from lipcert.check import check
from lipcert.errors import MissingPackage
from lipcert.report.file import File
from lipcert.terminal import complaints, output, say

if TYPE_CHECKING:
    from lipcert.report.page import Page

Certificates = Annotated[
    list[Path],
    typer.Argument(metavar="CERTIFICATE...", help="Folders saved by --out, or their JSON."),
]
Html = Annotated[Path | None, typer.Option(metavar="FILE", help="One page, needs no network.")]
Pdf = Annotated[Path | None, typer.Option(metavar="FILE", help="A4, tagged for PDF/UA-1.")]
Md = Annotated[Path | None, typer.Option(metavar="FILE", help="Markdown.")]
Checked = Annotated[
    bool,
    typer.Option("--check/--no-check", help="Ask the checker too: minutes for large networks."),
]


def command(
    certificates: Certificates,
    html: Html = None,
    pdf: Pdf = None,
    md: Md = None,
    ask: Checked = True,
) -> None:
    """Tell what CERTIFICATES say as a report to be filed; without options, here."""
    with complaints():
        told = _page(certificates, ask)
        from lipcert.report import formats  # noqa: PLC0415 - optional packages

        writers = ((html, formats.html), (md, formats.markdown), (pdf, formats.pdf))
        for place, write in writers:
            if place is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                content = write(told)
                place.write_bytes(content if isinstance(content, bytes) else content.encode())
                say(f"written: {place}", output())
        if html is pdf is md is None:
            output().print(Markdown(formats.markdown(told)))


def _page(certificates: Sequence[Path], ask: bool) -> "Page":
    """The report, where the packages that draw it are installed."""
    try:
        from lipcert.report.page import page  # noqa: PLC0415 - optional packages
    except ImportError as error:
        raise MissingPackage(
            f"report: {error.name} is not installed; pip install 'lipcert[report]'"
        ) from error
    files = [File.of(place) for place in certificates]
    return page([replace(file, checked=_checked(file)) if ask else file for file in files])


def _checked(file: File) -> str:
    """What the independent checker says, in words."""
    told = "The independent checker (lipcert check) answers: {}: {}.".format(
        *check(file.stored.path)
    )
    if file.constants is None:
        return told
    constants = check(file.stored.path.with_name(CONSTANTS))
    return f"{told} Of the Lipschitz constants: {constants[0]}: {constants[1]}."
