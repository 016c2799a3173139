"""Saved Lipschitz constants, and what a forger makes of them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lipcert.certificate.disk import load_lipschitz, write_lipschitz
from lipcert.certificate.document import ArrayFacts, digest_of
from lipcert.certificate.lipschitz import Constant, LipschitzDocument
from lipcert.check import Answer, check
from lipcert.lipschitz import Effort, LipschitzBound, PairBounds
from lipcert.lipschitz.ascent import Ascent

SHORT = Effort(limit_seconds=0.3, ascent=Ascent(steps=5, starts=2))
QUICK = Effort(limit_seconds=2, ascent=Ascent(steps=5, starts=2))
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Saved:
    """Constants of a pair on disk."""

    document: LipschitzDocument
    arrays: Arrays
    place: Path

    def verdict(self) -> Answer:
        return check(self.place)[0]

    def with_constant(self, role: str, **changes: object) -> "Saved":
        """Another constant, and a digest that fits."""
        constants = dict(self.document.constants)
        constants[role] = Constant.model_validate(  # type: ignore[index]
            constants[role].model_dump() | changes  # type: ignore[index]
        )
        return self.with_document({"constants": constants}, self.arrays)

    def with_document(self, changes: dict[str, object], arrays: Arrays) -> "Saved":
        facts = {name: ArrayFacts.of(array) for name, array in sorted(arrays.items())}
        document = self.document.model_copy(update={**changes, "arrays": facts})
        document = document.model_copy(update={"digest": digest_of(document)})
        write_lipschitz(document, arrays, self.place.parent)
        return replace(self, document=document, arrays=arrays)


def saved_in(folder: Path, bounds: LipschitzBound | PairBounds) -> Saved:
    """As they were saved."""
    place = bounds.save(folder)
    return Saved(*load_lipschitz(place), place)


def hold(found: Saved) -> None:
    """It is verified; by 1 % less it is not, where no less can be proved."""
    answer, reason = check(found.place)
    assert answer is Answer.VERIFIED, reason
    for role, constant in found.document.constants.items():
        gap = constant.gap_to_relaxation
        if constant.upper is None or (gap is not None and gap > 0.005):
            continue
        if found.document.claim.norm == "2" and not constant.multipliers and role == "difference":
            continue  # the sum of both, or what is left of it
        uppers = tuple(u and u * 0.99 for u in constant.upper_per_region)
        pairs = zip(uppers, constant.observed_per_region, strict=True)
        seen = tuple(seen if u is None else min(seen, u) for u, seen in pairs)
        tops = {"upper": max(u for u in uppers if u is not None), "observed": max(seen)}
        forged = found.with_constant(
            role, **tops, upper_per_region=uppers, observed_per_region=seen
        )
        assert forged.verdict() is not Answer.VERIFIED, role
        found.with_document({"constants": found.document.constants}, found.arrays)
