"""The answer: everything that a certificate says, held against what follows."""

import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np

from lipcert.certificate.disk import CONSTANTS, Stored, load, load_lipschitz, located
from lipcert.certificate.document import Sealed
from lipcert.certificate.evidence import SlopeEvidence
from lipcert.certificate.result import Result
from lipcert.certificate.signature import verifies
from lipcert.certificate.verdict import Verdict
from lipcert.check import lipschitz
from lipcert.check.claim import Regions, derived, evaluated
from lipcert.check.drift import Claim, Multiplied, sharpened
from lipcert.check.executed import executed
from lipcert.check.found import ends, replayed
from lipcert.check.network import opened
from lipcert.check.reader import CannotCheckError, Steps, hold, need
from lipcert.errors import MissingPackage

UNCHECKED = (
    "result.method, result.aligned, result.budget, result.drift_by, result.runtime, "
    "result.observed_runtime, result.counterexamples.runtime, assumptions, "
    "limits, and the provenance but for the SHA-256 of the files; of Lipschitz constants also "
    "source, content_sha256, method, gap_to_relaxation, inflation, jumps, upper_by_method"
)
"""The maker's word: digest and signature cover it, no bound rests on it."""


class Answer(StrEnum):
    """All follows; something does not; this checker cannot tell."""

    VERIFIED = "verified"
    NOT_VERIFIED = "not verified"
    CANNOT_CHECK = "cannot check"

    @property
    def status(self) -> int:
        """Of a command that gives the answer."""
        return {Answer.VERIFIED: 0, Answer.NOT_VERIFIED: 1, Answer.CANNOT_CHECK: 3}[self]


def check(path: str | Path, models: Sequence[Path] | None = None,
          key: str | None = None) -> tuple[Answer, str]:  # fmt: skip
    """Whether the certificate at a path is true of two models, and why; never raises.

    Args:
        path: a folder or its `certificate.json`, or a `lipschitz.json`.
        models: original and compressed file; by default where the certificate found them.
        key: Ed25519 public key, in hexadecimal, that must have signed; by default any or none.
    """
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            place, paths = located(path), list(models or ())
            if place.name == CONSTANTS:
                constants, arrays = load_lipschitz(place)
                vouched(constants, key)
                return Answer.VERIFIED, lipschitz.verify(constants, arrays, paths)
            stored = load(place)
            vouched(stored.document, key)
            count = verify(stored, paths)
    except (CannotCheckError, MissingPackage, MemoryError) as error:
        return Answer.CANNOT_CHECK, str(error) or type(error).__name__
    except Exception as error:  # whatever goes wrong, nothing is verified
        return Answer.NOT_VERIFIED, f"{error} ({type(error).__name__})"
    return Answer.VERIFIED, f"every bound over {count} regions was derived again"


def vouched(document: Sealed, key: str | None) -> None:
    """Pass if the signature is right, and of that key if one is asked for."""
    signature = document.signature
    hold(key is None or (signature and signature.public_key == key), "not signed by that key")
    hold(signature is None or verifies(document), "the signature is not of its key")


def verify(stored: Stored, sources: list[Path]) -> int:
    """How many regions there are, if everything follows; ValueError tells what does not."""
    facts, arrays = stored.document, {name: a.astype(float) for name, a in stored.arrays.items()}
    claim, result, evidence = facts.claim, facts.result, facts.evidence
    need(isinstance(evidence, SlopeEvidence), f"no evidence: {getattr(evidence, 'reason', '')}")
    assert isinstance(evidence, SlopeEvidence)
    regions, networks = Regions.of(claim.region, arrays), list[Steps]()
    for name, stated in facts.provenance.networks:
        path = sources.pop(0) if sources else Path(stated.source)
        steps = executed(opened(path, name, stated.file_sha256), getattr(claim.semantics, name))
        networks.append(steps)
        shapes = [steps[end].shape for end in (next(iter(steps)), list(steps)[-1])]
        hold(shapes == [regions.lower.shape[1:], result.output_shape], "inputs or outputs differ")
    need(len({steps.softmax for steps in networks}) == 1, "a softmax at the end of one network")
    for row in range(len(regions.lower)):
        made, boxes, agree = derived(networks, regions, evidence, arrays, row)
        proof, claimed = Multiplied.of(networks, made, evidence, arrays, row), claim_of(result, row)
        boxes["drift"], norm = sharpened(boxes["drift"], proof, claimed)
        hold(norm <= claimed[2], f"row {row}: the bound on the drift's l2 norm does not follow")
        for name, (low, high) in boxes.items():
            lower, upper = (end[row] for end in ends(getattr(result, name)))
            follows = (lower <= low[:, 0]).all() and (high[:, 0] <= upper).all()
            hold(follows, f"row {row}: the bounds of {name} do not follow from the evidence")
        sure = result.agreement is not None and result.agreement[row] is Verdict.PROVED
        hold(agree or not sure, f"row {row}: that both networks keep one label does not follow")
    if result.observed is None:
        lies = result.counterexamples or Verdict.REFUTED in (result.agreement or ())
        hold(not lies, "refuted by inputs that are not there")
    else:
        f, g = (evaluated(network, found := arrays["found"]) for network in networks)
        single = (found.astype(np.float32) == found).reshape(len(found), -1).all(1)
        replayed(stored, f, g, regions, single | (not any(steps.executed for steps in networks)))
    return len(regions.lower)


def claim_of(result: Result, row: int) -> Claim:
    """What is claimed of a row's drift."""
    lower, upper = (end[row][:, None] for end in ends(result.drift))
    norm = None if result.drift_norm is None else result.drift_norm[row]
    return lower, upper, math.inf if norm is None else norm
