"""Points where the two networks name different labels."""

import torch

from lipcert.attacks.ascent import Searches, climb
from lipcert.attacks.field import Field

HALVINGS = 40


def bisect(field: Field) -> None:
    """Between the centre and a point where the label has changed, look for a disagreement.

    Both labels change somewhere on the segment; unless they change at the same place, the labels
    differ in between, and halving finds that gap once it is as short as the gap.

    Args:
        field: in float64; what is found is counted in its record.
    """
    record, goals = field.record, field.goals
    crossing = record.values[:, list(goals.crossings)]
    column = crossing.argmax(1) + goals.crossings[0]
    open_rows = (record.values[:, goals.disagreement] <= 0) & (crossing > 0).any(1)
    rows = open_rows.nonzero().flatten()
    near, far = field.centres[rows], record.points[rows, column[rows]]
    for _ in range(HALVINGS):
        if len(rows) == 0:
            return
        middle = field.member((near + far) / 2, rows)
        values = field.visit(middle, rows)
        changed = (values[:, list(goals.crossings)] > 0).any(1).view(-1, *[1] * (near.ndim - 1))
        near, far = torch.where(changed, near, middle), torch.where(changed, middle, far)
        left = record.values[rows, goals.disagreement] <= 0
        rows, near, far = rows[left], near[left], far[left]


def strengthen(field: Field, steps: int) -> None:
    """Climb from every disagreement found, so that rounding elsewhere does not undo it."""
    record, column = field.record, field.goals.disagreement
    rows = (record.values[:, column] > 0).nonzero().flatten()
    if len(rows):
        columns = torch.full_like(rows, column)
        climb(field, Searches(rows, columns, record.points[rows, column]), steps, lambda _: None)
