"""Where the bound comes from."""

from collections.abc import Iterator

from lipcert.report.blocks import Block, Chart, Sheet, Words
from lipcert.report.chapter import Chapter
from lipcert.report.drawing import stacks
from lipcert.report.file import File
from lipcert.sets.share import costliest_of

VISIBLE = 5e-4  # of the bound: smaller shares are summed up in one row


class Budget(Chapter):
    """The drift budget per layer."""

    rank, title = 50, "Drift budget"

    def blocks(self, file: File) -> Iterator[Block]:
        """A chart per layer, the shares as a table, the layer that costs most."""
        shares = file.result.budget
        if not shares:
            return
        means = [(s.node or "rounding", s.cause, sum(s.drift) / len(s.drift)) for s in shares]
        total = sum(mean for _, _, mean in means)
        large = [entry for entry in means if abs(entry[2]) >= VISIBLE * abs(total)]
        yield Chart(
            stacks(large),
            "Bars per layer: its share of the bound, by cause; the table below gives the numbers.",
            "Shares of the bound on the largest drift, mean over the inputs.",
        )
        rows = [_cells(node, cause, mean, total) for node, cause, mean in large]
        rest = total - sum(mean for _, _, mean in large)
        rows.append(("smaller ones", "", f"{rest:.4g}", _percent(rest, total)))
        yield Sheet(
            f"Sources of the bound, which is {total:.4g} in the mean over the inputs",
            ("Layer", "Cause", "Drift", "Share"),
            tuple(rows),
            numeric=True,
        )
        worst = costliest_of(means)
        if worst is not None:
            yield Words(f"The layer to keep at higher precision first is {worst}.")


def _cells(node: str, cause: str, mean: float, total: float) -> tuple[str, ...]:
    return node, cause, f"{mean:.4g}", _percent(mean, total)


def _percent(part: float, total: float) -> str:
    return f"{100 * part / total:.1f} %" if total else "-"
