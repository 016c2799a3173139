"""What was compared, over which inputs, how and on what machine."""

from rich.table import Table

from lipcert.report.number import above
from lipcert.report.report import Report
from lipcert.report.section import Section
from lipcert.report.word import method_words, region_words


class Networks(Section):
    """Both networks and the question."""

    rank = 10

    def render(self, report: Report) -> Table:
        """Two columns: what, and its value."""
        made, facts = report.certificate, report.certificate.provenance
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, entry in facts.networks:
            table.add_row(name, f"{entry.source} ({entry.parameters} parameters)")
        table.add_row("region", region_words(made.region))
        placed = facts.placement
        where = f" in {placed.dtype.removeprefix('torch.')} on {placed.device}"
        how = f"{method_words(made.method)}, {made.semantics} arithmetic, computed{where}"
        table.add_row("method", how)
        if not made.aligned:
            table.add_row("", "the networks could not be aligned; their joint graph was bounded")
        table.add_row("runtime", _runtime(report))
        times = (f"{name} {seconds:.1f} s" for name, seconds in facts.seconds.items())
        table.add_row("time", ", ".join(times))
        return table


def _runtime(report: Report) -> str:
    seen, gap = report.certificate.observed, report.runtime_gap
    if seen is None:
        return "nothing was searched"
    if gap is None:
        return seen.runtime_name
    shows = "other" if report.runtime is not None else "the same"
    return f"{seen.runtime_name}: shows {shows} drifts, within {above(gap, 2)}"
