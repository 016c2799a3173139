"""Largest drift around each input, and whether both networks agree on its label."""

import torch
from rich import box
from rich.table import Table
from torch import Tensor

from lipcert.certificate.certificate import Certificate
from lipcert.certificate.verdict import Verdict
from lipcert.report.number import above, below, ratio
from lipcert.report.report import Report
from lipcert.report.section import Section
from lipcert.report.worst import rest, worst

STYLES = {Verdict.PROVED: "green", Verdict.REFUTED: "red", Verdict.UNKNOWN: "yellow"}


class Inputs(Section):
    """One row per input."""

    rank = 30

    def render(self, report: Report) -> Table:
        """Proved beside observed, and beside the runtime's where that differs."""
        made, runtime = report.certificate, report.runtime
        there = None if runtime is None else runtime.magnitude().flatten(1).amax(1)
        table = Table(title="Largest drift per input", box=box.SIMPLE, title_style="bold")
        heads = ["input", "proved", "seen", "ratio"]
        heads += ["runtime"] if there is not None else []
        heads += ["l2 norm proved"] if made.norm is not None else []
        heads += ["same label"] if made.agreement is not None else []
        for head in heads:
            table.add_column(head, justify="right")
        for row in worst(_badness(made)):
            proved, seen = float(made.max_drift[row]), _entry(made.observed_drift, row)
            cells = [str(row), above(proved), "-" if seen is None else below(seen)]
            cells.append(ratio(proved, seen))
            cells += [below(float(there[row]))] if there is not None else []
            cells += [above(float(made.norm[row]))] if made.norm is not None else []
            if made.agreement is not None:
                verdict = made.agreement[row]
                cells.append(f"[{STYLES[verdict]}]{verdict}[/]")
            table.add_row(*cells)
        table.caption = _caption(made)
        return table


def _entry(values: Tensor | None, row: int) -> float | None:
    return None if values is None else float(values[row])


def _badness(made: Certificate) -> Tensor:
    """A refuted label before any drift; infinity after every finite number is kept last."""
    size = made.max_drift.nan_to_num(posinf=torch.finfo(torch.float64).max)
    places = torch.empty_like(size)
    places[size.argsort()] = torch.arange(len(size), dtype=size.dtype)
    refuted = [v is Verdict.REFUTED for v in made.agreement or (Verdict.UNKNOWN,) * len(size)]
    return places + len(size) * torch.tensor(refuted, dtype=size.dtype)


def _caption(made: Certificate) -> str | None:
    parts = [rest(len(made.max_drift), "inputs")]
    if made.agreement is not None:
        counts = [f"{made.agreement.count(verdict)} {verdict}" for verdict in Verdict]
        parts.append(f"same label: {', '.join(counts)}")
    return "; ".join(part for part in parts if part) or None
