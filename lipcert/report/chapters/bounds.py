"""Proved beside observed, output by output."""

from collections.abc import Iterator
from dataclasses import dataclass
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
        every = _outputs(file)
        outputs = _worst(every)
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
        if len(every) > len(outputs):
            yield Words(f"The {len(outputs)} outputs with the largest bounds, of {len(every)}.")
        yield Words(
            "Proved bounds are rounded outward, observed ones inward. The truth lies between them; "
            "the ratio says how much room there is."
        )


@dataclass(frozen=True, slots=True)
class Output:
    """One output over all regions: lower and upper bound, lowest and highest that was seen."""

    name: str
    proved: tuple[float, float]
    seen: tuple[float, float] | None

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
    places = sorted(range(len(outputs)), key=lambda k: -max(map(abs, outputs[k].proved)))[:MOST]
    return [outputs[k] for k in sorted(places)]
