"""Proved beside observed, output by output."""

from collections.abc import Iterator
from math import inf

from lipcert.report.blocks import Block, Chart, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.drawing import spans
from lipcert.report.file import File
from lipcert.report.number import above, below, ratio

MOST = 40  # outputs that are listed


class Bounds(Chapter):
    """Over all inputs."""

    rank, title = 30, "Bounds"

    def blocks(self, file: File) -> Iterator[Block]:
        """A chart, and the same numbers as a table."""
        outputs = _worst(_outputs(file))
        finite = [o for o in outputs if max(map(abs, o.proved)) < inf]
        if finite:
            yield Chart(
                spans(
                    [o.name for o in finite], [o.proved for o in finite], [o.seen for o in finite]
                ),
                "Bars per output: the proved range of the drift contains the observed one; the "
                "table below gives the numbers.",
                "Drift per output, over all regions: proved range (wide bars) and observed range "
                "(narrow bars).",
            )
        yield Sheet(
            "Drift per output, over all regions",
            ("Output", "Proved lower", "Proved upper", "Seen lower", "Seen upper", "Ratio"),
            tuple(output.cells() for output in outputs),
            numeric=True,
        )
        total = len(_outputs(file))
        if total > len(outputs):
            yield Words(f"The {len(outputs)} outputs with the largest bounds, of {total}.")
        yield Words(
            "Proved bounds are rounded outward, observed ones inward. The truth lies between them; "
            "the ratio says how much room there is."
        )


class Output:
    """One output over all regions."""

    def __init__(self, name: str, proved: tuple[float, float], seen: tuple[float, float] | None):
        """Lower and upper bound, lowest and highest that was seen."""
        self.name, self.proved, self.seen = name, proved, seen

    def cells(self) -> tuple[str, ...]:
        """As text."""
        lower, upper = below(self.proved[0]), above(self.proved[1])
        if self.seen is None:
            return (self.name, lower, upper, "-", "-", "-")
        size = max(map(abs, self.seen))
        return (
            self.name,
            lower,
            upper,
            above(self.seen[0]),
            below(self.seen[1]),
            ratio(max(map(abs, self.proved)), size),
        )


def _outputs(file: File) -> list[Output]:
    result = file.result
    lows = zip(*result.drift.lower, strict=True)
    highs = zip(*result.drift.upper, strict=True)
    proved = [
        (min(-inf if v is None else v for v in low), max(inf if v is None else v for v in high))
        for low, high in zip(lows, highs, strict=True)
    ]
    seen: list[tuple[float, float] | None] = [None] * len(proved)
    if result.observed is not None:
        lows = zip(*result.observed.lower, strict=True)
        highs = zip(*result.observed.upper, strict=True)
        seen = [(min(low), max(high)) for low, high in zip(lows, highs, strict=True)]
    return [Output(str(k), p, s) for k, (p, s) in enumerate(zip(proved, seen, strict=True))]


def _worst(outputs: list[Output]) -> list[Output]:
    """Those with the largest bounds, in their own order."""
    largest = sorted(outputs, key=lambda o: -max(map(abs, o.proved)))[:MOST]
    return [output for output in outputs if output in largest]
