"""What exactly is claimed."""

from collections.abc import Iterator, Mapping

import numpy as np

from lipcert.certificate.claim import RegionModel
from lipcert.certificate.words import ARITHMETIC, MEMBERS
from lipcert.report.blocks import Block, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File
from lipcert.report.number import above, below, length


class Claim(Chapter):
    """As a formula and as a sentence, with region and semantics."""

    rank, title = 20, "Claim"

    def blocks(self, file: File) -> Iterator[Block]:
        """Formula, sentence, and the terms that occur in them."""
        claim = file.document.claim
        threshold = claim.threshold
        allowed = "not set" if threshold is None else f"{length(threshold)}, for every output"
        held = "" if threshold is None else f"  and  |g(x) - f(x)| ≤ {length(threshold)}"
        yield Words(f"for all x in X:  lower ≤ g(x) - f(x) ≤ upper{held}", "formula")
        yield Words(
            "For every input x of every region X below, and for every output, the compressed "
            "network g gives a value that differs from that of the original network f by no less "
            "than the lower and no more than the upper bound listed under Bounds."
        )
        semantics = claim.semantics
        rows = (
            ("Regions X", f"{file.region}{_note(claim.region)}"),
            ("An input", _extent(file)),
            ("f computes in", semantics.original),
            ("g computes in", f"{semantics.compressed}: {ARITHMETIC[semantics.compressed]}"),
            ("Allowed drift", allowed),
        )
        yield Sheet("Terms of the claim", ("Term", "Meaning"), rows)


def _note(region: RegionModel) -> str:
    """What one region holds; boxes that were cut to a valid range are smaller than the largest."""
    if region.radius == 0:
        return ": each is a single input"
    largest = "" if region.kind == "ball" else " (the radius is that of the widest)"
    step = f", the step being {length(region.step)}" if region.kind == "grid" else ""
    return f": each holds {MEMBERS[region.kind]}{step}{largest}"


def _extent(file: File) -> str:
    """How many numbers an input has, and between which all of them lie in all regions."""
    region, arrays = file.document.claim.region, file.stored.arrays
    lower, upper = _ends(region, arrays)
    shape = " x ".join(map(str, lower.shape[1:]))
    low, high = below(float(lower.min())), above(float(upper.max()))
    return f"{shape} numbers, all of them from {low} to {high}"


def _ends(region: RegionModel, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Of all regions, in float64."""
    if region.kind == "box":
        return arrays[region.lower].astype(float), arrays[region.upper].astype(float)
    if region.kind == "grid":
        ends = arrays[region.first], arrays[region.last]
        return ends[0].astype(float) * region.step, ends[1].astype(float) * region.step
    centre = arrays[region.centre].astype(float)
    low, high = region.clip or (-np.inf, np.inf)
    return (centre - region.radius).clip(low, high), (centre + region.radius).clip(low, high)
