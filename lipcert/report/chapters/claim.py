"""What exactly is claimed."""

from collections.abc import Iterator

from lipcert.report.blocks import Block, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File
from lipcert.report.number import length

MEMBERS = {
    "box": "every input whose coordinates all lie within the radius of the row's centre",
    "ball": "every input within the radius of the row's centre, in the l2 norm",
    "grid": "every input on the grid whose coordinates all lie within the radius of the centre",
}


class Claim(Chapter):
    """As a formula and as a sentence, with region and semantics."""

    rank, title = 20, "Claim"

    def blocks(self, file: File) -> Iterator[Block]:
        """Formula, sentence, and the terms that occur in them."""
        claim = file.document.claim
        yield Words("for all x in X:  lower ≤ g(x) - f(x) ≤ upper", "formula")
        yield Words(
            "For every input x of every region X below, and for every output, the compressed "
            "network g gives a value that differs from that of the original network f by no less "
            "than the lower and no more than the upper bound listed under Bounds."
        )
        region, semantics = claim.region, claim.semantics
        allowed = "not set" if claim.threshold is None else length(claim.threshold)
        rows = [
            ("Regions X", f"{file.region}: {MEMBERS[region.kind]}"),
            ("Arithmetic of f", f"{semantics.original}"),
            ("Arithmetic of g", f"{semantics.compressed}"),
            ("Allowed drift", allowed),
        ]
        if region.kind == "grid":
            rows.insert(1, ("Grid step", length(region.step)))
        yield Sheet("Terms of the claim", ("Term", "Meaning"), tuple(rows))
