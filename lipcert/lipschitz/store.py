"""Lipschitz constants as a document and arrays."""

import importlib.metadata
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from lipcert.certificate.disk import write_lipschitz
from lipcert.certificate.document import ArrayFacts
from lipcert.certificate.lipschitz import (
    Constant,
    LipschitzClaim,
    LipschitzDocument,
    LipschitzProvenance,
    Multipliers,
    Role,
)
from lipcert.certificate.provenance import NetworkFacts
from lipcert.certificate.store import region_of
from lipcert.lipschitz.filed import Filed, filed
from lipcert.numeric.machine import machine

if TYPE_CHECKING:
    from lipcert.lipschitz.bound import Bounds, LipschitzBound

Arrays = dict[str, np.ndarray]
VERSIONS = ("lipcert", "torch", "numpy")


def save(bounds: "Bounds", folder: Path) -> Path:
    """Write `lipschitz.json` and `lipschitz.npz` into a folder; returns the JSON's path.

    Claims are widened to what the checker derives; where it cannot, they say why.
    """
    return write_lipschitz(*document_of(bounds), folder)


def document_of(bounds: "Bounds") -> tuple[LipschitzDocument, Arrays]:
    """Facts and arrays; bounds are of one norm and region."""
    first = next(iter(bounds.values()))
    region, arrays = (None, Arrays()) if first.region is None else region_of(first.region)
    claim = LipschitzClaim.model_validate({"norm": str(first.norm), "region": region})
    constants: dict[Role, Constant] = {}
    for role, claimed in filed(bounds, region, arrays).items():
        constants[role] = _constant(role, bounds[role], claimed, arrays)
    facts = {name: ArrayFacts.of(array) for name, array in sorted(arrays.items())}
    document = LipschitzDocument.sealed(
        claim=claim, constants=constants, provenance=_provenance(bounds), arrays=facts
    )
    return document, arrays


def _constant(role: Role, bound: "LipschitzBound", claimed: Filed, arrays: Arrays) -> Constant:
    """Of one network; its arrays join the others."""
    multipliers: list[Multipliers] = []
    for method, part in claimed.multipliers:
        stem = f"{role}_{part.row}_{part.node}"
        kept, weights = f"{stem}_neurons", f"{stem}_weights"
        arrays |= {kept: part.neurons.numpy(), weights: part.weights.numpy()}
        multipliers.append(
            Multipliers(method=method, row=part.row, node=part.node, neurons=kept, weights=weights)
        )
    first, second = f"{role}_first", f"{role}_second"
    arrays |= {first: bound.seen.first.numpy(), second: bound.seen.second.numpy()}
    return Constant(
        source=bound.source,
        content_sha256=bound.origin.content_sha256,
        upper=_finite(max(claimed.upper)),
        observed=bound.observed,
        method=bound.method,
        gap_to_relaxation=_finite(bound.gap_to_relaxation),
        inflation=_finite(bound.inflation),
        jumps=bound.origin.jumps,
        upper_per_region=tuple(map(_finite, claimed.upper)),
        observed_per_region=tuple(bound.seen.quotient.tolist()),
        upper_by_method={
            method: _finite(float(proof.upper.max())) for method, proof in bound.proofs.items()
        },
        first=first,
        second=second,
        multipliers=tuple(multipliers),
        reason=claimed.reason,
    )


def _provenance(bounds: "Bounds") -> LipschitzProvenance:
    networks: dict[Role, NetworkFacts] = {}
    for role, bound in bounds.items():
        if bound.origin.network is not None:
            networks[role] = bound.origin.network
    return LipschitzProvenance(
        networks=networks,
        seed=next(iter(bounds.values())).origin.seed,
        versions={name: importlib.metadata.version(name) for name in VERSIONS},
        machine=machine(),
        threads=torch.get_num_threads(),
        seconds={role: bound.origin.seconds for role, bound in bounds.items()},
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
