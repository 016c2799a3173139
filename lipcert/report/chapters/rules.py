"""Which finding answers which objective of the rules that audits are held against.

Objectives are named in our own words; the documents themselves are authoritative.
"""

from collections.abc import Iterator

from lipcert.report.blocks import Block, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File
from lipcert.report.number import above

HEADS = ("Document", "Objective", "Asks for", "Finding")
EASA = "EASA concept paper, issue 2"
ISO = "ISO/IEC 24029-2:2023"
ACT = "EU AI Act"


class Rules(Chapter):
    """A map from findings to objectives; whether they are met is the auditor's to say."""

    rank, title = 90, "Findings by objective"

    def blocks(self, file: File) -> Iterator[Block]:
        """One row per objective."""
        yield Sheet("Where this certificate contributes", HEADS, tuple(_rows(file)))
        yield Words(
            "A certificate contributes evidence to these objectives; it does not by itself meet "
            "them. The wording is ours, the documents are authoritative."
        )


def _rows(file: File) -> Iterator[tuple[str, ...]]:
    status, semantics = file.result.status, file.document.claim.semantics.compressed
    drift = f"{status}: drift at most {above(file.proved)} over {file.region}"
    before = "see Appendix: both files, formats, quantisation and sparsity"
    yield EASA, "LM-06", "optimisation of the model documented, its impact assessed", before
    yield EASA, "LM-12", "stability of the trained model verified", _stability(file)
    yield EASA, "IMP-04", "transformations of the model and their environment identified", before
    yield EASA, "IMP-06", "properties kept through the transformation, verified", drift
    yield EASA, "IMP-07", "differences of platforms identified and assessed", _platform(file)
    yield EASA, "IMP-09", "stability of the inference model verified", _stability(file)
    yield EASA, "IMP-10", "robustness of the inference model verified", drift
    yield ISO, "5.3 stability", "criterion and domain stated, answer proved", _stability(file)
    yield ISO, "5.4 sensitivity", "variation of outputs bounded over a domain", drift
    yield ISO, "5.6 reachability", "reachable outputs bounded", "bounds of g in the certificate"
    yield ISO, "6.2.1.5", "real or computer arithmetic named", f"semantics: {semantics}"
    yield ACT, "Annex IV 2(g)", "tests, metrics, dated and signed logs", _signed(file)
    yield ACT, "Article 15", "accuracy and robustness shown", drift


def _stability(file: File) -> str:
    agreement = file.result.agreement
    if agreement is None:
        return "no labels: see the drift"
    kept = sum(verdict == "proved" for verdict in agreement)
    return f"same top-1 label proved for {kept} of {len(agreement)} inputs"


def _platform(file: File) -> str:
    saturation = file.document.provenance.saturation
    semantics = f"arithmetic {file.document.claim.semantics.compressed} is named"
    if saturation is None:
        return f"{semantics}; see Runtime"
    if saturation.unsafe_layers:
        return f"{semantics}; may saturate on x86 without VNNI: see Runtime"
    return f"{semantics}; shown not to saturate on x86 without VNNI"


def _signed(file: File) -> str:
    signed = "signed" if file.document.signature else "not signed"
    return f"made {file.document.provenance.time}, {signed}"
