"""Lipschitz constants as a document and arrays."""

import importlib.metadata
import math
import platform
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

if TYPE_CHECKING:
    from lipcert.lipschitz.bound import Bounds, LipschitzBound

Arrays = dict[str, np.ndarray]
VERSIONS = ("lipcert", "torch", "numpy")


def save(bounds: "Bounds", folder: Path) -> Path:
    """Write `lipschitz.json` and `lipschitz.npz` into a folder; returns the JSON's path."""
    return write_lipschitz(*document_of(bounds), folder)


def document_of(bounds: "Bounds") -> tuple[LipschitzDocument, Arrays]:
    """Facts and arrays; bounds are of one norm and region."""
    first = next(iter(bounds.values()))
    region, arrays = (None, Arrays()) if first.region is None else region_of(first.region)
    claim = LipschitzClaim.model_validate({"norm": str(first.norm), "region": region})
    constants: dict[Role, Constant] = {
        role: _constant(role, bound, arrays) for role, bound in bounds.items()
    }
    facts = {name: ArrayFacts.of(array) for name, array in sorted(arrays.items())}
    document = LipschitzDocument.sealed(
        claim=claim, constants=constants, provenance=_provenance(bounds), arrays=facts
    )
    return document, arrays


def _constant(role: Role, bound: "LipschitzBound", arrays: Arrays) -> Constant:
    """Of one network; its arrays join the others."""
    multipliers: list[Multipliers] = []
    for method, proof in bound.proofs.items():
        for part in proof.multipliers:
            stem = f"{role}_{method}_{part.row}_{part.node}"
            kept, weights = f"{stem}_neurons", f"{stem}_weights"
            arrays |= {kept: part.neurons.numpy(), weights: part.weights.numpy()}
            multipliers.append(
                Multipliers(
                    method=method, row=part.row, node=part.node, neurons=kept, weights=weights
                )
            )
    first, second = f"{role}_first", f"{role}_second"
    arrays |= {first: bound.seen.first.numpy(), second: bound.seen.second.numpy()}
    return Constant(
        source=bound.source,
        content_sha256=bound.origin.content_sha256,
        upper=_finite(bound.upper),
        observed=bound.observed,
        method=bound.method,
        gap_to_relaxation=_finite(bound.gap_to_relaxation),
        inflation=_finite(bound.inflation),
        jumps=bound.origin.jumps,
        upper_per_region=tuple(_finite(u) for u in bound.upper_per_region.tolist()),
        observed_per_region=tuple(bound.seen.quotient.tolist()),
        upper_by_method={
            method: _finite(float(proof.upper.max())) for method, proof in bound.proofs.items()
        },
        first=first,
        second=second,
        multipliers=tuple(multipliers),
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
        machine=f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
        threads=torch.get_num_threads(),
        seconds={role: bound.origin.seconds for role, bound in bounds.items()},
        time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
