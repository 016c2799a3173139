"""Certificates on disk: one JSON file for the facts, one archive for the arrays."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from lipcert.sets.enclosure import Interval

if TYPE_CHECKING:
    from lipcert.certificate.certificate import Certificate

FORMAT = "lipcert-certificate-0.1"


def save(certificate: "Certificate", folder: Path) -> Path:
    """Write `certificate.json` and `arrays.npz`; returns the JSON's path."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(str(folder / "arrays.npz"), allow_pickle=False, **_arrays(certificate))
    path = folder / "certificate.json"
    path.write_text(json.dumps(as_json(certificate), indent=2) + "\n", encoding="utf-8")
    return path


def as_json(certificate: "Certificate") -> dict[str, object]:
    """Facts and summaries; finite numbers only, null where nothing was proved or observed."""
    observed, agreement = certificate.observed, certificate.agreement
    return {
        "format": FORMAT,
        "claim": {
            "formula": "for all x in region: lower <= compressed(x) - original(x) <= upper",
            "region": certificate.region.describe(),
            "semantics": certificate.semantics,
            "method": certificate.method,
            "aligned": certificate.aligned,
        },
        "result": {
            "drift": _table(certificate.drift),
            "max_drift": _numbers(certificate.max_drift),
            "observed": None if observed is None else _table(observed.drift),
            "observed_runtime": observed and observed.runtime and _table(observed.runtime),
            "runtime": None if observed is None else observed.runtime_name,
            "budget": _budget(certificate),
            "agreement": None if agreement is None else [str(verdict) for verdict in agreement],
        },
        "arrays": {"file": "arrays.npz", "names": sorted(_arrays(certificate))},
        "provenance": dict(certificate.provenance),
    }


def _budget(certificate: "Certificate") -> object:
    """Every source's share of each row's bound, in the order of the layers."""
    if certificate.budget is None:
        return None
    return [
        {"cause": str(share.cause), "node": share.node, "drift": _numbers(share.drift)}
        for share in certificate.budget
    ]


def _table(box: Interval) -> dict[str, object]:
    return {"lower": _numbers(box.lower), "upper": _numbers(box.upper)}


def _numbers(values: Tensor) -> object:
    """Nested lists; an infinite bound, which JSON cannot hold, becomes null."""
    if values.ndim:
        return [_numbers(value) for value in values]
    number = float(values)
    return number if math.isfinite(number) else None


def _arrays(certificate: "Certificate") -> dict[str, np.ndarray]:
    hull = certificate.region.hull
    boxes = {
        "region": hull,
        "drift": certificate.drift,
        "original": certificate.original,
        "compressed": certificate.compressed,
    }
    arrays: dict[str, np.ndarray] = {}
    observed = certificate.observed
    if observed is not None:
        boxes["observed"] = observed.drift
        boxes |= {"runtime": observed.runtime} if observed.runtime is not None else {}
        arrays["lowest_input"] = observed.lowest.numpy()
        arrays["highest_input"] = observed.highest.numpy()
        found = [(row, x) for row, x in enumerate(observed.disagreement) if x is not None]
        arrays |= {f"disagreement_{row}": x.numpy() for row, x in found}
    for name, box in boxes.items():
        arrays |= {f"{name}_lower": box.lower.numpy(), f"{name}_upper": box.upper.numpy()}
    return arrays
