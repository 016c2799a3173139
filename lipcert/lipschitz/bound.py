"""Lipschitz constants as they are handed out: proved beside observed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lipcert.certificate.lipschitz import Role
from lipcert.certificate.provenance import NetworkFacts
from lipcert.errors import Unsound
from lipcert.lipschitz import store
from lipcert.lipschitz.ascent import Seen
from lipcert.lipschitz.relaxation import Proved
from lipcert.numeric.norm import Norm
from lipcert.sets.region import Region


@dataclass(frozen=True, slots=True)
class Origin:
    """How a bound came about.

    Args:
        content_sha256: of the graph that was bounded.
        network: as it was read; None for a difference of networks.
        seed: of the search for difference quotients.
        seconds: wall-clock time of bounds and search.
        jumps: whether some activation is a staircase, which has no constant.
    """

    content_sha256: str
    network: NetworkFacts | None
    seed: int
    seconds: float
    jumps: bool


@dataclass(frozen=True, slots=True, eq=False)
class LipschitzBound:
    r"""Of one network: $\|f(x) - f(x')\| \le u \|x - x'\|$ for all x, x' of a region, or all.

    Args:
        source: which network.
        norm: of inputs and outputs.
        region: one convex region per row; None for all inputs whatever.
        proofs: what each relaxation proved, under its name.
        seen: the largest difference quotients found.
        origin: graph, file, seed, seconds.
    """

    source: str
    norm: Norm
    region: Region | None
    proofs: Mapping[str, Proved]
    seen: Seen
    origin: Origin

    def __post_init__(self) -> None:
        """Refuse to exist beside a counterexample."""
        for name, proof in self.proofs.items():
            if bool((self.seen.quotient > proof.upper).any()):
                row = int((self.seen.quotient > proof.upper).nonzero()[0])
                raise Unsound(
                    f"row {row}: a difference quotient of {self.source} exceeds the bound of "
                    f"{name}; this is a bug in lipcert: please report it with the file"
                )

    @property
    def upper_per_region(self) -> Tensor:
        """Smallest proved bound of each row, (rows,)."""
        return torch.stack([proof.upper for proof in self.proofs.values()]).amin(0)

    @property
    def upper(self) -> float:
        """Proved: no constant, in any row, is larger."""
        return float(self.upper_per_region.max())

    @property
    def observed(self) -> float:
        """Largest difference quotient that was found in any row: no constant is smaller."""
        return float(self.seen.quotient.max())

    @property
    def method(self) -> str:
        """Name of the relaxation whose bound `upper` is; 'none' where nothing was proved."""
        if not math.isfinite(self.upper):
            return "none"
        row = int(self.upper_per_region.argmax())
        return min(self.proofs, key=lambda name: float(self.proofs[name].upper[row]))

    @property
    def gap_to_relaxation(self) -> float | None:
        """How far the bound may lie above the optimum of its relaxation; None where unknown."""
        row, proof = int(self.upper_per_region.argmax()), self.proofs.get(self.method)
        if proof is None or proof.relaxation_lower is None:
            return None
        lower = float(proof.relaxation_lower[row])
        return self.upper / lower - 1 if lower > 0 else None

    @property
    def inflation(self) -> float | None:
        """What the verification added to the bound's square, relatively; None: no search before."""
        row, proof = int(self.upper_per_region.argmax()), self.proofs.get(self.method)
        return None if proof is None or proof.inflation is None else float(proof.inflation[row])

    def parts(self) -> "Bounds":
        """Itself, as a pair's are."""
        return {"network": self}

    def save(self, folder: str | Path) -> Path:
        """Write `lipschitz.json` and `lipschitz.npz` into a folder; returns the JSON's path."""
        return store.save(self.parts(), Path(folder))


@dataclass(frozen=True, slots=True, eq=False)
class PairBounds:
    """Of a pair: of f, of g, and of the difference g - f.

    With ReLUs the constant of the difference does not shrink with the number of bits: one neuron
    that may flip in only one of the networks already costs a full slope.
    """

    original: LipschitzBound
    compressed: LipschitzBound
    difference: LipschitzBound

    def parts(self) -> "Bounds":
        """All three under their names."""
        return {
            "original": self.original,
            "compressed": self.compressed,
            "difference": self.difference,
        }

    def save(self, folder: str | Path) -> Path:
        """Write `lipschitz.json` and `lipschitz.npz` into a folder; returns the JSON's path."""
        return store.save(self.parts(), Path(folder))


Bounds = Mapping[Role, LipschitzBound]
