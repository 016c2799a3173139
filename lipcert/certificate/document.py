"""The JSON of a certificate: models, canonical form, digest and schema."""

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import model_validator

from lipcert.certificate.claim import ClaimModel
from lipcert.certificate.evidence import EvidenceModel
from lipcert.certificate.model import Count, Hash, Model
from lipcert.certificate.provenance import Provenance
from lipcert.certificate.result import Result, counts, status_of

FORMAT = "lipcert-certificate-1.0"
VOLATILE = ("provenance.seconds", "provenance.threads", "provenance.time")
"""Fields that differ between equal runs; the digest does not cover them, a signature does."""
SCHEMA = Path(__file__).with_name("schema.json")


class ArrayFacts(Model):
    """An array of `arrays.npz`.

    Args:
        dtype: NumPy's name of its type, little-endian.
        shape: of it.
        sha256: of dtype, shape and bytes in C order.
    """

    dtype: str
    shape: tuple[Count, ...]
    sha256: Hash

    @classmethod
    def of(cls, array: np.ndarray) -> Self:
        """The facts of an array."""
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        head = f"{plain.dtype.str} {array.shape}".encode()
        digest = hashlib.sha256(head + plain.tobytes())
        return cls(dtype=plain.dtype.str, shape=array.shape, sha256=digest.hexdigest())


class Signature(Model):
    """Ed25519 over the canonical form of everything but this; key and value in hexadecimal."""

    algorithm: Literal["Ed25519"] = "Ed25519"
    public_key: str
    value: str


class Sealed(Model):
    """Whatever is filed: a document with a digest of its contents, perhaps signed.

    Args:
        digest: SHA-256 of the canonical form without volatile fields, digest and signature.
        signature: of whoever vouches for it.
    """

    digest: Hash
    signature: Signature | None = None

    @model_validator(mode="after")
    def undamaged(self) -> Self:
        """The digest is that of the contents."""
        if self.digest != digest_of(self):
            raise ValueError("digest differs from that of the contents")
        return self

    @classmethod
    def sealed(cls, **parts: object) -> Self:
        """With its digest, unsigned."""
        draft = cls.model_construct(**parts, digest="")  # type: ignore[arg-type] - not yet valid
        return cls.model_validate(parts | {"digest": digest_of(draft)})


class Document(Sealed):
    """A certificate: what is claimed, why it is true, and where it comes from.

    Args:
        format: name and version of this schema.
        claim: what is claimed.
        result: proved and observed bounds, the verdict, counterexamples.
        evidence: what a checker needs to derive the bounds again.
        assumptions: what the claim takes for granted, in words.
        limits: what the claim does not cover, in words.
        provenance: files, tools, machine.
        arrays: everything that `arrays.npz` beside this file holds.
    """

    format: Literal["lipcert-certificate-1.0"] = FORMAT
    claim: ClaimModel
    result: Result
    evidence: EvidenceModel
    assumptions: tuple[str, ...]
    limits: tuple[str, ...]
    provenance: Provenance
    arrays: dict[str, ArrayFacts]

    @model_validator(mode="after")
    def consistent(self) -> Self:
        """The verdict is what the bounds say."""
        result = self.result
        if len(result.max_drift) != self.claim.region.batch:
            raise ValueError("result: not one row per region")
        expected = status_of(result.max_drift, result.observed, self.claim.threshold)
        if result.status != expected:
            raise ValueError(f"status is '{result.status}', but the bounds say '{expected}'")
        for entry in result.coverage:
            if (entry.successes, entry.trials) != counts(result, self.claim.threshold, entry.what):
                raise ValueError(f"coverage: '{entry.what}' is not what the rows say")
        return self


def canonical(document: Sealed, without: tuple[str, ...]) -> bytes:
    """JSON in UTF-8 with sorted keys, no spaces and shortest numbers, some fields left out."""
    content = document.model_dump(mode="json")
    for path in without:
        *folders, name = path.split(".")
        place = content
        for folder in folders:
            place = place[folder]
        del place[name]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def digest_of(document: Sealed) -> str:
    """SHA-256 of what equal runs have in common."""
    return hashlib.sha256(canonical(document, (*VOLATILE, "digest", "signature"))).hexdigest()


def schema(kind: type[Model] = Document) -> str:
    """The JSON Schema of a kind of document, as published beside this file."""
    return json.dumps(kind.model_json_schema(mode="serialization"), indent=2) + "\n"
