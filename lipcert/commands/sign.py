"""`lipcert sign`."""

from pathlib import Path
from typing import Annotated

import typer

from lipcert.certificate import disk, load
from lipcert.certificate.signature import signed
from lipcert.terminal import complaints, output, say

CertificatePath = Annotated[
    Path, typer.Argument(metavar="CERTIFICATE", help="Folder saved by --out, or its JSON.")
]
PrivateKey = Annotated[
    Path, typer.Argument(metavar="KEY", help="PEM file of an Ed25519 key without passphrase.")
]


def command(certificate: CertificatePath, key: PrivateKey) -> None:
    """Sign CERTIFICATE in place with KEY; needs lipcert[sign]."""
    with complaints():
        stored = load(certificate)
        document = signed(stored.document, key)
        disk.write(document, stored.arrays, stored.path.parent)
        assert document.signature is not None
        say(f"signed: public key {document.signature.public_key}", output())
