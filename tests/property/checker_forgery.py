"""What a forger can do to a certificate: everything, hashes and digest included."""

from dataclasses import replace

from lipcert.certificate import Stored
from lipcert.certificate.disk import write
from lipcert.certificate.document import ArrayFacts, digest_of
from lipcert.certificate.result import Result, largest, status_of


def resealed(stored: Stored, **changes: object) -> Stored:
    """A forger's work: other contents, with hashes, digest and all that follows made to fit."""
    arrays = dict(stored.arrays)
    document = stored.document.model_copy(update=changes)
    facts = {name: ArrayFacts.of(array) for name, array in sorted(arrays.items())}
    document = document.model_copy(update={"arrays": facts})
    document = document.model_copy(update={"digest": digest_of(document)})
    write(document, arrays, stored.path.parent)
    return replace(stored, document=document)


def tightened(result: Result, share: float, threshold: float | None) -> Result:
    """Drift bounds pulled towards zero, everything that follows from them too."""
    sides = {
        side: tuple(tuple(None if v is None else v * share for v in row) for row in table)
        for side, table in result.drift
    }
    drift = result.drift.model_copy(update=sides)
    most = largest(drift)
    changes = {"drift": drift, "max_drift": most, "observed": None, "coverage": result.coverage}
    changes["status"] = status_of(most, None, threshold)
    return result.model_copy(update=changes)
