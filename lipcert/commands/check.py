"""`lipcert check`."""

from pathlib import Path
from typing import Annotated

import typer

from lipcert.check import UNCHECKED, Answer, check
from lipcert.report.claimed import claimed
from lipcert.terminal import output, say

CertificatePath = Annotated[
    Path, typer.Argument(metavar="CERTIFICATE", help="Folder saved by --out, or its JSON.")
]
Models = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="ORIGINAL COMPRESSED", help="Both ONNX files, where they have moved."),
]
Key = Annotated[
    str | None, typer.Option(metavar="HEX", help="Ed25519 public key that must have signed.")
]


def command(certificate: CertificatePath, models: Models = None, key: Key = None) -> None:
    """Derive CERTIFICATE's bounds again, by a program that shares nothing with their maker."""
    answer, reason = check(certificate, models, key)
    say(f"{answer}: {reason}", output())
    if answer is Answer.VERIFIED:
        say(claimed(certificate), output())
        say(f"taken on trust: {UNCHECKED}", output())
    raise typer.Exit(answer.status)
