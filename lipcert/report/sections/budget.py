"""Where the bound on the drift comes from, source by source."""

from rich import box
from rich.bar import Bar
from rich.table import Table

from lipcert.report.report import Report
from lipcert.report.section import Section
from lipcert.sets.share import Share, costliest

VISIBLE = 5e-4  # of the bound: smaller shares are summed up in one line
WIDTH = 32


class Budget(Section):
    """One bar per source, in the order of the layers; means over the inputs."""

    rank = 35

    def render(self, report: Report) -> Table | None:
        """Nothing where no budget was asked for."""
        shares = report.certificate.budget
        if shares is None:
            return None
        means = [float(share.drift.mean()) for share in shares]
        total = sum(means)
        table = Table(title="Drift budget", box=box.SIMPLE, title_style="bold")
        for head in ("source", "at"):
            table.add_column(head)
        table.add_column("drift", justify="right")
        table.add_column("share", justify="right")
        table.add_column("", min_width=WIDTH)
        largest, small = max(map(abs, means)), 0.0
        for share, mean in zip(shares, means, strict=True):
            if abs(mean) < VISIBLE * total:
                small += mean
                continue
            table.add_row(str(share.cause), share.node, *_cells(mean, total, largest))
        table.add_row("smaller ones", "", *_cells(small, total, largest))
        table.caption = f"mean over the inputs of each one's largest bound: {total:.4g} in all"
        table.caption += _advice(shares)
        return table


def _cells(mean: float, total: float, largest: float) -> tuple[str, str, Bar]:
    percent = 100 * mean / total if total else 0.0
    colour = "blue" if mean >= 0 else "green"
    bar = Bar(largest or 1.0, 0, abs(mean), width=WIDTH, color=colour)
    return f"{mean:.4g}", f"{percent:.1f} %", bar


def _advice(shares: tuple[Share, ...]) -> str:
    """The layer whose precision costs most."""
    worst = costliest(shares)
    return "" if worst is None else f"\nkeep '{worst}' at higher precision first"
