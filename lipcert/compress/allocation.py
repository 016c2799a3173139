"""What came out of allocating bits: which channels have how many, and the proved drift."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lipcert.certificate.certificate import Certificate
from lipcert.compress.layers import Kept
from lipcert.sets.share import Cause

REMEDY = "set session.qdq_matmulnbits_accuracy_level=1, or switch graph optimisation off"


@dataclass(frozen=True, slots=True)
class Assigned:
    """A layer and its bits.

    Args:
        name: as `LayerGraph` names it.
        bits: of every output channel's weights.
        weights: how many.
        size: bytes of codes, scales and widths.
        drift: what its weights add to the certified drift, mean over the inputs; None where the
            bound was not split.
        fused: whether ONNX Runtime by default computes it with activations of 8 bits.
    """

    name: str
    bits: tuple[int, ...]
    weights: int
    size: int
    drift: float | None
    fused: bool


@dataclass(frozen=True, slots=True)
class Uniform:
    """The same bits everywhere.

    Args:
        bits: of every weight.
        size: bytes, counted as those of the allocation.
        drift: certified.
    """

    bits: int
    size: int
    drift: float


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """Bits per channel, the file that has them, and the proof.

    Args:
        max_drift: what was allowed.
        layers: those that were quantised, in the file's order.
        kept: those that stay float, and why.
        other: bytes of biases and everything else that stays as it is.
        uniform: the same bits in every layer, as far as these were certified.
        files: the original and the compressed file.
        certificate: of the compressed file, read back.
    """

    max_drift: float
    layers: tuple[Assigned, ...]
    kept: tuple[Kept, ...]
    other: int
    uniform: tuple[Uniform, ...]
    files: tuple[Path, Path]
    certificate: Certificate

    def save(self, folder: Path) -> Path:
        """Write `allocation.json` and the certificate; returns the path of the former."""
        self.certificate.save(folder, self.max_drift)
        path = folder / "allocation.json"
        path.write_text(json.dumps(self.facts(), indent=2) + "\n", encoding="utf-8")
        return path

    @property
    def bits(self) -> Mapping[str, tuple[int, ...]]:
        """Bits of every output channel of every quantised layer."""
        return {layer.name: layer.bits for layer in self.layers}

    @property
    def path(self) -> Path:
        """The compressed file."""
        return self.files[1]

    @property
    def size(self) -> int:
        """Bytes of all tensors, codes packed at their width."""
        return self.other + sum(layer.size for layer in self.layers)

    @property
    def file_sizes(self) -> tuple[int, int]:
        """Bytes of both files; a layer's codes take 4 bits there, or 8 where one needs more."""
        return self.files[0].stat().st_size, self.files[1].stat().st_size

    @property
    def warnings(self) -> tuple[str, ...]:
        """Where a runtime's default computes another function than the one certified."""
        fused = ", ".join(layer.name for layer in self.layers if layer.fused)
        if not fused:
            return ()
        return (f"by default ONNX Runtime also rounds the activations that {fused} read; {REMEDY}",)

    def facts(self) -> dict[str, object]:
        """For JSON; sizes in bytes."""
        return {
            "max_drift": self.max_drift,
            "layers": [asdict(layer) for layer in self.layers],
            "kept": [asdict(layer) for layer in self.kept],
            "other": self.other,
            "size": self.size,
            "file_sizes": list(self.file_sizes),
            "uniform": [asdict(trial) for trial in self.uniform],
            "warnings": list(self.warnings),
        }


def drift_of(certificate: Certificate, layer: str) -> float | None:
    """What a layer's weights add to the certified drift, mean over the inputs."""
    shares = certificate.budget or ()
    mine = [s.drift for s in shares if s.cause is Cause.WEIGHTS and s.node == layer]
    return sum(float(drift.mean()) for drift in mine) if mine else None
