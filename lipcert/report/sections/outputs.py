"""Drift of each output over all regions."""

import numpy as np
from rich import box
from rich.table import Table

from lipcert.report.number import above, below, ratio
from lipcert.report.report import Report
from lipcert.report.section import Section
from lipcert.report.worst import rest, worst
from lipcert.sets.enclosure import Interval
from lipcert.sets.origin import Origin


class Outputs(Section):
    """One row per output."""

    rank = 20

    def render(self, report: Report) -> Table:
        """Proved beside observed, and beside the runtime's where that differs."""
        made = report.certificate
        proved, shape = _all_rows(made.drift), made.drift.lower.shape[1:]
        observed = None if made.observed is None else _all_rows(made.observed.drift)
        runtime = None if report.runtime is None else _all_rows(report.runtime)
        title = "Drift per output, over all regions"
        table = Table(title=title, box=box.SIMPLE, title_style="bold")
        table.add_column("output", justify="right")
        for name in ("proved lower", "proved upper", "seen lower", "seen upper", "ratio"):
            table.add_column(name, justify="right")
        for name in ("runtime lower", "runtime upper") if runtime else ():
            table.add_column(name, justify="right")
        if made.origin is not None:
            table.add_column("by")
        sizes = proved.magnitude()
        for place in worst(sizes):
            cells = [below(float(proved.lower[place])), above(float(proved.upper[place]))]
            cells += _seen(observed, place)
            found = None if observed is None else float(observed.magnitude()[place])
            cells.append(ratio(float(sizes[place]), found))
            cells += _seen(runtime, place) if runtime else []
            cells += [] if made.origin is None else [_by(made.origin, made.drift, place)]
            table.add_row(_index(place, tuple(shape)), *cells)
        table.caption = rest(len(sizes), "outputs")
        return table


def _by(origin: Origin, drift: Interval, place: int) -> str:
    """Which relaxations gave an output's extremes over the batch."""
    lower, upper = (side.flatten(1)[:, place] for side in (drift.lower, drift.upper))
    return origin.words((int(lower.argmin()), int(upper.argmax())), place)


def _all_rows(drift: Interval) -> Interval:
    """Extremes over the batch, (outputs,)."""
    return Interval(drift.lower.flatten(1).amin(0), drift.upper.flatten(1).amax(0))


def _seen(drift: Interval | None, place: int) -> list[str]:
    """Rounded towards what was found: no text shows more than was seen."""
    if drift is None:
        return ["-", "-"]
    return [above(float(drift.lower[place])), below(float(drift.upper[place]))]


def _index(place: int, shape: tuple[int, ...]) -> str:
    return ",".join(str(int(k)) for k in np.unravel_index(place, shape)) if shape else "0"
