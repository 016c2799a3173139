"""`lipcert sign`."""

from pathlib import Path
from typing import Annotated

import typer

from lipcert.certificate import disk
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
        place = disk.located(certificate)
        if place.name == disk.CONSTANTS:
            constants, arrays = disk.load_lipschitz(place)
            constants = signed(constants, key)
            disk.write_lipschitz(constants, arrays, place.parent)
            signature = constants.signature
        else:
            stored = disk.load(place)
            document = signed(stored.document, key)
            disk.write(document, stored.arrays, place.parent)
            signature = document.signature
        assert signature is not None
        say(f"signed: public key {signature.public_key}", output())
