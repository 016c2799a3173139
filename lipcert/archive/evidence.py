"""How a result is filed: evidence from the method's slopes, claims that the checker derives."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lipcert.archive.multipliers import Searched, filed, searched
from lipcert.archive.translation import Translation
from lipcert.attacks.replay import replay
from lipcert.certificate import disk
from lipcert.certificate.certificate import Certificate
from lipcert.certificate.evidence import NoEvidence, SlopeEvidence
from lipcert.certificate.store import Arrays, Proof, document_of, region_of, semantics_of
from lipcert.certificate.verdict import Verdict
from lipcert.check.claim import Regions, derived
from lipcert.check.drift import Claim, sharpened
from lipcert.check.executed import executed
from lipcert.check.network import read
from lipcert.check.operation import Box
from lipcert.check.reader import CannotCheckError
from lipcert.errors import UnsupportedOp
from lipcert.graph.pair import Pair
from lipcert.methods.base import Method
from lipcert.methods.sdp import DriftSdp, Told
from lipcert.methods.slopes import slopes
from lipcert.numeric.placement import Placement
from lipcert.sets.enclosure import Interval
from lipcert.walk.interrupt import noted
from lipcert.walk.progress import Watch, quiet

MARGIN = 1e-9  # by which claims are wider than what was derived, relative: for other machines
LOOSER = 1.01  # claims that are looser than what the method proved by more are told
_Row = tuple[dict[str, Box], float, bool]  # boxes, the drift's l2 norm, one label or not
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class WithEvidence:
    """Files a certificate together with what makes it checkable.

    Args:
        pair: that was certified.
        method: that bounded it.
        placement: of its computation.
        watch: told how far the derivation is.
    """

    pair: Pair
    method: Method
    placement: Placement
    watch: Watch = quiet

    def __call__(self, certificate: Certificate, folder: Path, max_drift: float | None) -> Path:
        """Claims widened to what the checker derives; without evidence where it could not."""
        try:
            evidence, arrays, widened = self._proved(certificate)
        except (UnsupportedOp, CannotCheckError) as error:
            log.warning("saved without evidence, so that nobody can check it: %s", error)
            evidence, arrays, widened = NoEvidence(reason=str(error)), {}, certificate
        _tell(certificate, widened, max_drift)
        proof = Proof(evidence, arrays, self._runtime if _runnable(self.pair) else None)
        return disk.write(*document_of(widened, max_drift, proof), folder)

    def _proved(self, certificate: Certificate) -> tuple[SlopeEvidence, Arrays, Certificate]:
        files = self.pair.files
        if files is None or not _runnable(self.pair):
            raise UnsupportedOp("networks that are no ONNX files")
        networks = read(files[0].read_bytes()), read(files[1].read_bytes())
        named = semantics_of(certificate)
        runs = executed(networks[0], named.original), executed(networks[1], named.compressed)
        found = slopes(self.method, self.pair.body(), certificate.region, self.placement)
        evidence, arrays = Translation.of(self.pair, networks).evidence(found)
        region, own = region_of(certificate.region)
        wide = {name: array.astype(float) for name, array in (own | arrays).items()}
        regions = Regions.of(region, wide)
        rows, proofs = list[_Row](), list[Searched | None]()
        searching = None
        if isinstance(self.method, DriftSdp) and self.pair.aligned and not runs[0].executed:
            searching = self.method.limit_seconds
        with noted() as interrupt:
            told = interrupt.ending(self.watch)
            for row in range(region.batch):
                self.watch("deriving bounds again for the certificate", row, region.batch)
                made, boxes, agree = derived(runs, regions, evidence, wide, row)
                drift, claim, proof = boxes["drift"], _claim(certificate, row), None
                if searching is not None:
                    here = Told(told, row, region.batch)
                    proof = searched(runs, made, (drift, claim), searching, here)
                boxes["drift"], norm = (
                    sharpened(drift, None, claim) if proof is None else proof.reached(drift, claim)
                )
                rows.append((boxes, norm, agree))
                proofs.append(proof)
        multipliers, more = filed(proofs)
        evidence = evidence.model_copy(update={"multipliers": multipliers})
        return evidence, arrays | more, _widened(certificate, rows)

    def _runtime(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What ONNX Runtime makes of inputs, both networks."""
        assert self.pair.files is not None
        seen = replay(self.pair.files, inputs)
        return seen.original, seen.compressed


def _tell(proved: Certificate, claimed: Certificate, max_drift: float | None) -> None:
    """What the evidence does not give of what the method proved."""
    first, second = float(proved.max_drift.max()), float(claimed.max_drift.max())
    lost = max_drift is not None and proved.verdict(max_drift) != claimed.verdict(max_drift)
    if lost or second > LOOSER * first:
        log.warning(
            "the certificate claims %.9g, which its evidence proves; the method proved %.9g%s",
            second,
            first,
            f": it leaves {max_drift:.9g} open" if lost else "",
        )
    if proved.agreement != claimed.agreement:
        log.warning("the certificate's evidence proves one label for fewer inputs")


def _runnable(pair: Pair) -> bool:
    return pair.files is not None and all(p.suffix.lower() == ".onnx" for p in pair.files)


def _claim(certificate: Certificate, row: int) -> Claim:
    """What a method proved of a row's drift."""
    drift, norm = certificate.drift, certificate.norm
    lower, upper = (end[row].reshape(-1, 1).numpy() for end in (drift.lower, drift.upper))
    return lower, upper, math.inf if norm is None else float(norm[row])


def _widened(certificate: Certificate, rows: Sequence[_Row]) -> Certificate:
    """What both the method and the checker's derivation prove, rounded outward."""
    boxes = {
        name: _hull(getattr(certificate, name), [made[name] for made, _, _ in rows])
        for name in ("drift", "original", "compressed")
    }
    agreement, norm = certificate.agreement, certificate.norm
    if agreement is not None:
        agreement = tuple(
            Verdict.UNKNOWN if known is Verdict.PROVED and not agree else known
            for known, (_, _, agree) in zip(agreement, rows, strict=True)
        )
    if norm is not None:
        derived_norm = torch.tensor([length for _, length, _ in rows], dtype=torch.float64)
        most = boxes["drift"].magnitude().flatten(1)
        norm = torch.maximum(norm, derived_norm) + MARGIN * most.amax(1) * most.shape[1]
    return replace(certificate, agreement=agreement, norm=norm, **boxes)


def _hull(claimed: Interval, rows: Sequence[Box]) -> Interval:
    lower, upper = (
        torch.from_numpy(np.concatenate(ends, 1).T.copy()) for ends in zip(*rows, strict=True)
    )
    both = claimed.hull(Interval(lower.view_as(claimed.lower), upper.view_as(claimed.upper)))
    pad = MARGIN * both.magnitude().flatten(1).amax(1).view(-1, *[1] * (claimed.lower.ndim - 1))
    return Interval(both.lower - pad, both.upper + pad)
