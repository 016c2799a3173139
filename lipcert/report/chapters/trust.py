"""How the bounds were found, and what they rest on."""

from collections.abc import Iterator

from lipcert.report.blocks import Block, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File

CHECKABLE = (
    "The certificate holds the slopes of every relaxation. From them and from the two files an "
    "independent program derives every bound again: lipcert check."
)


class Trust(Chapter):
    """Method and trust."""

    rank, title = 70, "Method and trust"

    def blocks(self, file: File) -> Iterator[Block]:
        """Method, evidence, signature."""
        document, result = file.document, file.result
        placement, seconds = document.provenance.placement, document.provenance.seconds
        followed = "node by node" if result.aligned else "as one joint graph"
        evidence = document.evidence
        signature = document.signature
        rows = [
            ("Method", f"{file.method}; the difference was followed {followed}"),
            ("Computed in", f"{placement.dtype.removeprefix('torch.')} on {placement.device}"),
            ("Rounding", "every rounding of the computation is accounted for, outward"),
            ("Evidence", CHECKABLE if evidence.kind == "slopes" else f"none: {evidence.reason}"),
            ("Independent check", file.checked or "not run for this report"),
            ("Signature", f"Ed25519, key {signature.public_key}" if signature else "none"),
            ("Time", ", ".join(f"{stage} {s:.1f} s" for stage, s in seconds.items())),
        ]
        yield Sheet("What the bounds rest on", ("Question", "Answer"), tuple(rows))
        yield Words(
            "Observed drifts come from gradient ascent with restarts; they are evaluated, never "
            "estimated, and a bound that an observation contradicts is never issued."
        )
