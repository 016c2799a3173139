"""Which finding answers which objective of the rules that audits are held against.

Objectives are named in our own words; the documents themselves are authoritative.
"""

from collections.abc import Iterator

from lipcert.certificate.verdict import Verdict
from lipcert.report.blocks import Block, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File
from lipcert.report.number import above, below, length

HEADS = ("Objective", "Asks for", "Finding")
STATUS = {Verdict.PROVED: "proved", Verdict.REFUTED: "refuted", Verdict.UNKNOWN: "open"}


class Rules(Chapter):
    """A map from findings to objectives; whether they are met is the auditor's to say."""

    rank, title = 90, "Findings by objective"

    def blocks(self, file: File) -> Iterator[Block]:
        """One row per objective."""
        yield Sheet("Where this certificate contributes", HEADS, tuple(_rows(file)))
        yield Words(
            "EASA: concept paper on machine learning applications, issue 2; "
            "ISO/IEC 24029-2:2023; AI Act: Regulation (EU) 2024/1689. A certificate contributes "
            "evidence to these objectives; it does not by itself meet them. The wording is ours, "
            "the documents are authoritative."
        )


def _rows(file: File) -> Iterator[tuple[str, str, str]]:
    drift, before = _drift(file), "both files, formats, quantisation and sparsity: see Appendix"
    yield "EASA LM-06", "optimisation documented, its impact assessed", f"{before}; {drift}"
    yield "EASA LM-12", "stability of the trained model verified", _stability(file)
    yield "EASA IMP-04", "transformations and their environment identified", before
    yield "EASA IMP-06", "properties kept through the transformation", drift
    yield "EASA IMP-07", "differences of platforms identified, assessed", _platform(file)
    yield "EASA IMP-09", "stability of the inference model verified", _stability(file)
    yield "EASA IMP-10", "robustness of the inference model verified", drift
    yield (
        "ISO/IEC 24029-2 stability",
        "criterion and domain stated, answer proved",
        _stability(file),
    )
    yield "ISO/IEC 24029-2 sensitivity", "variation of outputs bounded over a domain", drift
    yield "ISO/IEC 24029-2 reachability", "reachable outputs bounded", _reach(file)
    yield "ISO/IEC 24029-2 arithmetic", "real or computer arithmetic named", _arithmetic(file)
    yield "AI Act Annex IV 2(g)", "tests, metrics, dated and signed logs", _signed(file)
    yield "AI Act Article 15", "accuracy and robustness shown", drift


def _drift(file: File) -> str:
    """The status of the claim, and the bound that is proved whatever the status."""
    threshold, bound = file.document.claim.threshold, above(file.proved)
    known = f"proved: drift at most {bound} over {file.region}"
    if threshold is None:
        return known
    return f"allowed drift {length(threshold)}: {STATUS[file.result.status]}; {known}"


def _reach(file: File) -> str:
    """Where all outputs of the compressed network lie."""
    table = file.result.compressed
    lows = [value for row in table.lower for value in row]
    highs = [value for row in table.upper for value in row]
    if None in (*lows, *highs):
        return "not for every output: see the certificate"
    low, high = min(v for v in lows if v is not None), max(v for v in highs if v is not None)
    return f"proved: every output of g from {below(low)} to {above(high)}"


def _arithmetic(file: File) -> str:
    semantics = file.document.claim.semantics
    kind = "real" if semantics.compressed == "real" else "computer"
    return f"{kind}: {semantics.compressed}, see Claim"


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
