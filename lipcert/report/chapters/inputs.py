"""Each input: its drift, its label, and the worst ones as pictures."""

from collections.abc import Iterator
from math import inf

import numpy as np

from lipcert.certificate.verdict import Verdict
from lipcert.report.blocks import Block, Gallery, Picture, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.file import File
from lipcert.report.number import above, below, ratio
from lipcert.report.picture import as_png

MOST, SHOWN = 40, 4


class Inputs(Chapter):
    """Certified agreement over the inputs."""

    rank, title = 40, "Inputs and agreement"

    def blocks(self, file: File) -> Iterator[Block]:
        """Counts, a table, the worst inputs."""
        result = file.result
        agreement = result.agreement
        if agreement is not None:
            yield Words(_agreement(agreement))
        rows = _worst(file)
        heads = ("Input", "Proved", "Seen", "Ratio")
        heads += ("l2 norm proved",) if result.drift_norm is not None else ()
        heads += ("Same label",) if agreement is not None else ()
        yield Sheet(
            "Largest drift around each input",
            heads,
            tuple(_cells(file, row) for row in sorted(rows)),
            numeric=True,
        )
        if len(result.max_drift) > len(rows):
            yield Words(f"The worst {len(rows)} of {len(result.max_drift)} inputs.")
        pictures = tuple(_pictures(file, rows[:SHOWN]))
        if pictures:
            yield Gallery(
                "The worst inputs: the centre, and what shows the largest drift", pictures
            )


def _agreement(agreement: tuple[Verdict, ...]) -> str:
    proved, refuted, unknown = (agreement.count(v) for v in Verdict)
    return (
        f"Both networks name one and the same top-1 label all over the region for {proved} of "
        f"{len(agreement)} inputs: proved. For {refuted} an input was found on which the labels "
        f"differ; for {unknown} it is open."
    )


def _worst(file: File) -> list[int]:
    """Rows, worst first: a refuted label before any drift."""
    drift = file.result.max_drift
    labels = file.result.agreement or (Verdict.UNKNOWN,) * len(drift)

    def badness(row: int) -> tuple[bool, float]:
        return labels[row] is Verdict.REFUTED, _or_infinite(drift[row])

    return sorted(range(len(drift)), key=badness, reverse=True)[:MOST]


def _cells(file: File, row: int) -> tuple[str, ...]:
    proved, seen = _or_infinite(file.result.max_drift[row]), file.seen
    cells = (str(row), above(proved), "-" if seen is None else below(seen[row]))
    cells += (ratio(proved, None if seen is None else seen[row]),)
    norms, labels = file.result.drift_norm, file.result.agreement
    if norms is not None:
        cells += (above(_or_infinite(norms[row])),)
    return cells if labels is None else (*cells, str(labels[row]))


def _or_infinite(bound: float | None) -> float:
    return inf if bound is None else bound


def _pictures(file: File, rows: list[int]) -> Iterator[Picture]:
    """Pairs of pictures, where inputs are images."""
    for row in rows:
        centre = as_png(_centre(file)[row])
        if centre is None:
            return
        yield Picture(centre, f"input {row} as an image", f"input {row}")
        found = _found(file, row)
        png = None if found is None else as_png(found)
        if png is not None:
            text = f"the input near input {row} on which the largest drift was found"
            yield Picture(png, text, f"near input {row}: largest drift")


def _centre(file: File) -> np.ndarray:
    region, arrays = file.document.claim.region, file.stored.arrays
    if region.kind == "ball":
        return arrays[region.centre]
    if region.kind == "grid":
        return (arrays[region.first] + arrays[region.last]) / 2 * region.step
    return (arrays[region.lower] + arrays[region.upper]) / 2


def _found(file: File, row: int) -> np.ndarray | None:
    """The input near a row that shows its largest drift."""
    seen, arrays = file.result.observed, file.stored.arrays
    if seen is None or "found" not in arrays:
        return None
    low, high = np.asarray(seen.lower[row]), np.asarray(seen.upper[row])
    falls = -low.min() > high.max()
    output = int(low.argmin() if falls else high.argmax())
    return arrays["found"][arrays["lowest" if falls else "highest"][row, output]]
