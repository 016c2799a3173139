"""Constants of single outputs, or of differences of two, as a table."""

import torch
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lipcert.certificate.lipschitz import Role
from lipcert.certificate.words import FLIPS, STEPS
from lipcert.lipschitz.outputs import OutputBound, OutputBounds
from lipcert.lipschitz.table import proved_by
from lipcert.report.number import above, below, ratio
from lipcert.report.word import region_words
from lipcert.report.worst import rest, worst

SHORT: dict[Role, str] = {"original": "L(f)", "compressed": "L(g)", "difference": "L(g - f)"}


def outputs_table(made: OutputBounds) -> Group:
    """The largest constants, proved and seen of every network; the ratio of the last."""
    roles, (first, *_) = list(made.entries[0].bounds), made.entries[0].bounds.values()
    where = region_words(first.region)
    what = "logits" if made.logits else "outputs"
    title = f"Lipschitz constants of {what}, l{first.norm} norm of inputs, over {where}, "
    title += "in real arithmetic"
    table = Table(title=title, box=box.SIMPLE, title_style="bold")
    table.add_column("output", justify="left")
    for role in roles:
        table.add_column(f"{SHORT[role]} proved" if role in SHORT else "proved", justify="right")
        table.add_column("seen", justify="right")
    table.add_column("ratio", justify="right")
    most = torch.stack([made.upper(role).amax(1) for role in roles]).amax(0)
    for place in worst(most):
        table.add_row(*_cells(made.entries[place]))
    notes = [rest(len(made.entries), what)]
    notes += [f"difference: {FLIPS}"] if "difference" in roles else []
    steps = any(bound.origin.jumps for bound in made.entries[0].bounds.values())
    notes += [f"inf: {STEPS}"] if steps else []
    by = proved_by(bound for entry in made.entries for bound in entry.bounds.values())
    return Group(table, by, *(Text(note) for note in notes if note is not None))


def _cells(entry: OutputBound) -> list[str]:
    bounds = list(entry.bounds.values())
    sides = [text for b in bounds for text in (above(b.upper), below(b.observed))]
    last = bounds[-1]
    return [entry.name, *sides, ratio(last.upper, last.observed)]
