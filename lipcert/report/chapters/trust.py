"""How the bounds were found, and what they rest on."""

from collections import Counter
from collections.abc import Iterator

from lipcert.certificate.evidence import EvidenceModel
from lipcert.certificate.model import NameTable
from lipcert.report.blocks import Block, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File
from lipcert.report.word import method_words

CHECKABLE = (
    "The certificate holds {}. From them and from the two files an independent program derives "
    "every bound again: lipcert check."
)
SLOPES, MULTIPLIERS = "the slopes of every relaxation", "slopes and multipliers of the relaxations"
TRUSTED = (
    "what no bound rests on: names of methods, the budget, what the runtime returned, these words, "
    "and the provenance but for the SHA-256 of both files"
)


class Trust(Chapter):
    """Method and trust."""

    rank, title = 70, "Method and trust"

    def blocks(self, file: File) -> Iterator[Block]:
        """Method, evidence, signature."""
        document, result = file.document, file.result
        placement, seconds = document.provenance.placement, document.provenance.seconds
        followed = "node by node" if result.aligned else "as one joint graph"
        signature = document.signature
        rows = [
            ("Method", f"{file.method}; the difference was followed {followed}"),
            *((("Of which", _names(result.drift_by)),) if result.drift_by else ()),
            ("Computed in", f"{placement.dtype.removeprefix('torch.')} on {placement.device}"),
            ("Rounding", "every rounding of the computation is accounted for, outward"),
            ("Evidence", _evidence(document.evidence)),
            ("Independent check", file.checked or "not run for this report"),
            ("Not checked by it", TRUSTED),
            ("Signature", f"Ed25519, key {signature.public_key}" if signature else "none"),
            ("Time", ", ".join(f"{stage} {s:.1f} s" for stage, s in seconds.items())),
        ]
        yield Sheet("What the bounds rest on", ("Question", "Answer"), tuple(rows))
        yield Words(
            "Observed drifts come from gradient ascent with restarts; they are evaluated, never "
            "estimated, and a bound that an observation contradicts is never issued."
        )


def _evidence(evidence: EvidenceModel) -> str:
    if evidence.kind == "none":
        return f"none: {evidence.reason}"
    return CHECKABLE.format(SLOPES if evidence.multipliers is None else MULTIPLIERS)


def _names(table: NameTable) -> str:
    """How many bounds each relaxation gave."""
    names = Counter(name for side in (table.lower, table.upper) for row in side for name in row)
    return "; ".join(f"{method_words(name)}: {count} bounds" for name, count in names.most_common())
