"""Lipschitz constants as a table."""

from collections.abc import Iterable

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lipcert.certificate.words import FLIPS, STEPS
from lipcert.lipschitz.bound import Bounds, LipschitzBound
from lipcert.report.number import above, below, ratio
from lipcert.report.word import region_words


def lipschitz_table(bounds: Bounds) -> Group:
    """One row per network: proved, how, what the relaxation could still give, seen."""
    first = next(iter(bounds.values()))
    table = Table(title=_title(first), box=box.SIMPLE, title_style="bold")
    for name in ("network", "proved", "by", "gap", "seen", "ratio"):
        table.add_column(name, justify="left" if name in ("network", "by") else "right")
    for name, bound in bounds.items():
        gap = bound.gap_to_relaxation
        table.add_row(
            bound.source if len(bounds) == 1 else name,
            above(bound.upper),
            bound.method,
            "-" if gap is None else f"{gap:.2%}",
            below(bound.observed),
            ratio(bound.upper, bound.observed),
        )
    notes = [Text(f"{name}: {bound.source}") for name, bound in bounds.items()]
    steps = any(bound.origin.jumps for bound in bounds.values())
    said = [Text(f"difference: {FLIPS}")] if "difference" in bounds else []
    said += [Text(f"inf: {STEPS}")] if steps else []
    return Group(table, *(notes[:2] if len(bounds) > 1 else []), *said)


def _title(bound: LipschitzBound) -> str:
    where = region_words(bound.region)
    return f"Lipschitz constants in the l{bound.norm} norm, over {where}, in real arithmetic"


def proved_by(bounds: Iterable[LipschitzBound]) -> Text:
    """Which relaxations gave them, where a table has no room to say it of each."""
    names = dict.fromkeys(bound.method for bound in bounds if bound.method != "none")
    return Text(f"proved by {', '.join(names)}" if names else "nothing is proved")
