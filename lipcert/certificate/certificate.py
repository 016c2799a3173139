"""The result of certifying a pair over a region."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from lipcert.certificate import store
from lipcert.certificate.observed import Observed
from lipcert.certificate.provenance import Provenance
from lipcert.certificate.verdict import Verdict
from lipcert.errors import Unsound
from lipcert.sets.enclosure import Interval
from lipcert.sets.origin import Origin
from lipcert.sets.region import Region
from lipcert.sets.share import Share


class Archive(Protocol):
    """How a certificate is filed."""

    def __call__(self, certificate: "Certificate", folder: Path, max_drift: float | None) -> Path:
        """Write it into a folder; returns the path of the JSON."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """Proved and observed drift of a compressed network g from its original f.

    All arrays are float64 on the CPU, (batch, *output shape).

    Args:
        region: the inputs quantified over, one region per row.
        drift: proved bounds of g(x) - f(x) over all x of the region.
        original: proved bounds of f(x).
        compressed: proved bounds of g(x).
        observed: extreme drifts that the attack found; None if no attack ran.
        agreement: per row whether both networks give one top-1 label; None without labels.
        method: name of the relaxation.
        semantics: name of the arithmetic that the proof covers.
        aligned: whether the difference was followed node by node.
        budget: the bound on each row's largest drift by source, where it was asked for.
        provenance: files, hashes, versions, machine, dtype, device, seconds.
        origin: which relaxation gave each bound of the drift, where there are several.
        norm: proved upper bounds of the drift's l2 norm, (batch,), where the method has them.
        archive: how it is saved; by default without evidence.
    """

    region: Region
    drift: Interval
    original: Interval
    compressed: Interval
    observed: Observed | None
    agreement: tuple[Verdict, ...] | None
    method: str
    semantics: str
    aligned: bool
    budget: tuple[Share, ...] | None
    provenance: Provenance
    origin: Origin | None = None
    norm: Tensor | None = None
    archive: Archive = store.save

    def __post_init__(self) -> None:
        """Refuse to exist beside a counterexample to its own bounds."""
        seen = self.observed
        if seen is None:
            return
        outside = (seen.lower < self.drift.lower) | (seen.upper > self.drift.upper)
        if bool(outside.any()):
            row = int(outside.flatten(1).any(1).nonzero()[0])
            raise Unsound(
                f"row {row}: an observed drift lies outside the proved bounds of {self.method}; "
                "this is a bug in lipcert: please report it with both files and the region"
            )

    @property
    def max_drift(self) -> Tensor:
        """Proved upper bound of max |g(x) - f(x)| over outputs and region, (batch,)."""
        return self.drift.magnitude().flatten(1).amax(1)

    @property
    def observed_drift(self) -> Tensor | None:
        """Largest |g(x) - f(x)| that was found, (batch,); None if no attack ran."""
        if self.observed is None:
            return None
        return self.observed.drift.magnitude().flatten(1).amax(1)

    def verdict(self, max_drift: float) -> Verdict:
        """Whether no output drifts by more than `max_drift` anywhere in the regions."""
        if bool((self.max_drift <= max_drift).all()):
            return Verdict.PROVED
        seen = self.observed_drift
        if seen is not None and bool((seen > max_drift).any()):
            return Verdict.REFUTED
        return Verdict.UNKNOWN

    def save(self, folder: str | Path, max_drift: float | None = None) -> Path:
        """Write `certificate.json` and `arrays.npz` into a folder; returns the JSON's path.

        Args:
            folder: made where it is missing.
            max_drift: the drift that is allowed: the threshold of the claim.
        """
        return self.archive(self, Path(folder), max_drift)


def agreement_of(proved: Tensor, observed: Observed | None) -> tuple[Verdict, ...]:
    """Per row: proved, refuted by an input that was found, or unknown."""
    found = (None,) * len(proved) if observed is None else observed.disagreement
    rows = zip(proved.tolist(), found, strict=True)
    return tuple(
        Verdict.PROVED if sure else Verdict.UNKNOWN if against is None else Verdict.REFUTED
        for sure, against in rows
    )


def on_cpu(box: Interval) -> Interval:
    """As float64 on the CPU: exact."""
    return Interval(box.lower.to("cpu", torch.float64), box.upper.to("cpu", torch.float64))
