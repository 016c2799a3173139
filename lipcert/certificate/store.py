"""A certificate as a document and arrays."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from lipcert.certificate import disk
from lipcert.certificate.claim import BallRegion, BoxRegion, DriftClaim, GridRegion, SemanticsModel
from lipcert.certificate.coverage import coverage
from lipcert.certificate.document import ArrayFacts, Document
from lipcert.certificate.evidence import EvidenceModel, NoEvidence
from lipcert.certificate.found import Found
from lipcert.certificate.model import BoundTable, NameTable, Table
from lipcert.certificate.result import (
    Counterexample,
    Coverage,
    Result,
    RuntimeOutputs,
    ShareFacts,
    largest,
    status_of,
)
from lipcert.certificate.verdict import Verdict
from lipcert.certificate.words import assumptions, limits
from lipcert.errors import BadInput
from lipcert.sets.enclosure import Interval
from lipcert.sets.origin import Origin
from lipcert.sets.region import Ball, Box, Grid, Region

if TYPE_CHECKING:
    from lipcert.certificate.certificate import Certificate

Arrays = dict[str, np.ndarray]
Runtime = Callable[[Tensor], tuple[Tensor, Tensor]]  # inputs to both networks' outputs, flattened


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """What makes a certificate checkable, beside itself.

    Args:
        evidence: what a checker needs.
        arrays: that the evidence names.
        runtime: computes what a deployed runtime makes of counterexamples; None for no runtime.
    """

    evidence: EvidenceModel
    arrays: Arrays
    runtime: Runtime | None


NOTHING = Proof(NoEvidence(reason="none was asked for"), {}, None)


def save(certificate: "Certificate", folder: Path, max_drift: float | None) -> Path:
    """Write it without evidence."""
    return disk.write(*document_of(certificate, max_drift), folder)


def document_of(
    certificate: "Certificate", max_drift: float | None, proof: Proof = NOTHING
) -> tuple[Document, Arrays]:
    """Facts and arrays.

    Args:
        certificate: what is told.
        max_drift: the drift that is allowed.
        proof: of its bounds.
    """
    region, arrays = region_of(certificate.region)
    found = Found.of(certificate.observed)
    claim = DriftClaim(
        threshold=max_drift,
        region=region,
        semantics=semantics_of(certificate),
    )
    arrays |= found.arrays() | proof.arrays
    facts = {name: ArrayFacts.of(array) for name, array in sorted(arrays.items())}
    result = _result(certificate, claim, found, proof.runtime)
    document = Document.sealed(
        claim=claim,
        result=result,
        evidence=proof.evidence,
        assumptions=assumptions(claim),
        limits=limits(claim),
        provenance=certificate.provenance,
        arrays=facts,
    )
    return document, arrays


def _result(
    certificate: "Certificate", claim: DriftClaim, found: Found, runtime: Runtime | None
) -> Result:
    observed = certificate.observed
    drift = _bounds(certificate.drift)
    seen = None if observed is None else _seen(observed.drift)
    return Result(
        status=status_of(largest(drift), seen, claim.threshold),
        output_shape=tuple(certificate.drift.lower.shape[1:]),
        method=certificate.method,
        aligned=certificate.aligned,
        drift=drift,
        drift_by=None if certificate.origin is None else _names(certificate.origin),
        drift_norm=None if certificate.norm is None else _row(certificate.norm),
        original=_bounds(certificate.original),
        compressed=_bounds(certificate.compressed),
        max_drift=largest(drift),
        observed=seen,
        observed_runtime=_bounds(observed.runtime) if observed and observed.runtime else None,
        runtime=None if observed is None else observed.runtime_name,
        agreement=certificate.agreement,
        budget=_budget(certificate),
        counterexamples=_counterexamples(claim, found, runtime),
        coverage=tuple(_coverage(certificate, claim, largest(drift))),
    )


def semantics_of(certificate: "Certificate") -> SemanticsModel:
    """Of both networks: beside one that is executed somehow, the original runs in float32."""
    original = "real" if certificate.semantics == "real" else "float32"
    return SemanticsModel.model_validate(
        {"original": original, "compressed": certificate.semantics}
    )


@singledispatch
def region_of(region: Region) -> tuple[BoxRegion | BallRegion | GridRegion, Arrays]:
    """What a region is called, and the arrays that define it."""
    raise BadInput(
        f"certificate: a {type(region).__name__} cannot be stored; use Box, Ball or Grid"
    )


@region_of.register
def _(region: Box) -> tuple[BoxRegion, Arrays]:
    model = BoxRegion(
        batch=region.batch, radius=_radius(region), lower="region_lower", upper="region_upper"
    )
    return model, {"region_lower": _narrow(region.lower), "region_upper": _narrow(region.upper)}


@region_of.register
def _(region: Ball) -> tuple[BallRegion, Arrays]:
    clip = None if region.clip is None else (float(region.clip[0]), float(region.clip[1]))
    model = BallRegion(
        batch=region.batch, radius=float(region.radius), centre="region_centre", clip=clip
    )
    return model, {"region_centre": _narrow(region.centre)}


@region_of.register
def _(region: Grid) -> tuple[GridRegion, Arrays]:
    model = GridRegion(
        batch=region.batch,
        radius=_radius(region),
        step=float(region.step),
        first="region_first",
        last="region_last",
    )
    return model, {"region_first": _narrow(region.first), "region_last": _narrow(region.last)}


def inputs_hash(region: Region) -> str:
    """SHA-256 of the arrays that define a region."""
    arrays = region_of(region)[1]
    facts = (ArrayFacts.of(array).sha256 for _, array in sorted(arrays.items()))
    return hashlib.sha256("".join(facts).encode()).hexdigest()


def _radius(region: Region) -> float:
    hull = region.hull
    return float((hull.upper - hull.lower).max()) / 2


def _narrow(values: Tensor) -> np.ndarray:
    """In float32 where that is exact, else in float64."""
    single = values.float()
    exact = bool((single.double() == values).all())
    return (single if exact else values).cpu().numpy()


def _bounds(box: Interval) -> BoundTable:
    """An infinite bound, which JSON cannot hold, becomes null."""
    return BoundTable(lower=_rows(box.lower), upper=_rows(box.upper))


def _rows(values: Tensor) -> tuple[tuple[float | None, ...], ...]:
    return tuple(_row(row) for row in values.flatten(1))


def _row(values: Tensor) -> tuple[float | None, ...]:
    return tuple(v if math.isfinite(v) else None for v in values.tolist())


def _names(origin: Origin) -> NameTable:
    def named(side: Tensor) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(origin.names[k] for k in row) for row in side.flatten(1).tolist())

    return NameTable(lower=named(origin.lower), upper=named(origin.upper))


def _seen(box: Interval) -> Table:
    sides = (tuple(map(tuple, side.flatten(1).tolist())) for side in (box.lower, box.upper))
    lower, upper = sides
    return Table(lower=lower, upper=upper)


def _budget(certificate: "Certificate") -> tuple[ShareFacts, ...] | None:
    """Every source's share of each row's bound, in the order of the layers."""
    if certificate.budget is None:
        return None
    return tuple(
        ShareFacts(cause=str(share.cause), node=share.node, drift=tuple(share.drift.tolist()))
        for share in certificate.budget
    )


def _counterexamples(
    claim: DriftClaim, found: Found, runtime: Runtime | None
) -> tuple[Counterexample, ...]:
    """Per row the largest drift above the threshold, and an input with two labels."""
    against = found.against(claim.threshold)
    if not against:
        return ()
    seen: list[RuntimeOutputs | None] = [None] * len(against)
    if runtime is not None:
        points = found.inputs[torch.tensor([entry.input for entry in against])]
        outputs = zip(*(_rows(values) for values in runtime(points)), strict=True)
        seen = [RuntimeOutputs(original=f, compressed=g) for f, g in outputs]
    return tuple(
        entry.model_copy(update={"runtime": outputs})
        for entry, outputs in zip(against, seen, strict=True)
    )


def _coverage(
    certificate: "Certificate", claim: DriftClaim, bounds: tuple[float | None, ...]
) -> list[Coverage]:
    threshold, agreement, found = claim.threshold, certificate.agreement, list[Coverage]()
    if threshold is not None:
        within = sum(bound is not None and bound <= threshold for bound in bounds)
        found.append(coverage("drift within threshold", within, len(bounds)))
    if agreement is not None:
        found.append(coverage("same label", agreement.count(Verdict.PROVED), len(agreement)))
    return found
