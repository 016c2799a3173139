"""Ed25519 signatures, through the optional package `cryptography`."""

import hashlib
from pathlib import Path
from typing import TypeVar

from lipcert.certificate.document import Sealed, Signature, canonical
from lipcert.errors import BadFile, MissingPackage

Kind = TypeVar("Kind", bound=Sealed)


def signed(document: Kind, key: Path) -> Kind:
    """The certificate, vouched for by the owner of a private key.

    Args:
        document: anything sealed.
        key: PEM file of an Ed25519 private key without a passphrase.

    Raises:
        BadFile: if the file holds no such key.
        MissingPackage: if `cryptography` is not installed.
    """
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - optional
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingPackage("signing: install lipcert[sign] or cryptography") from error
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise BadFile(f"{key}: not a private key in PEM without a passphrase ({error})") from error
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise BadFile(f"{key}: not an Ed25519 key")
    signature = Signature(
        public_key=private.public_key().public_bytes_raw().hex(),
        value=private.sign(_message(document)).hex(),
    )
    return document.model_copy(update={"signature": signature})


def verifies(document: Sealed) -> bool:
    """Whether the signature is that of its own public key over this certificate.

    Raises:
        MissingPackage: if `cryptography` is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - optional
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415 - optional
    except ImportError as error:
        raise MissingPackage("signatures: install lipcert[sign] or cryptography") from error
    assert document.signature is not None
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(
            bytes.fromhex(document.signature.public_key)
        )
        key.verify(bytes.fromhex(document.signature.value), _message(document))
    except (InvalidSignature, ValueError):
        return False
    return True


def _message(document: Sealed) -> bytes:
    """Everything but the signature, volatile fields and digest included."""
    return hashlib.sha256(canonical(document, ("signature",))).digest()
