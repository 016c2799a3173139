"""Projected gradient ascent with momentum and steps that shrink to nothing.

Source: Y. Dong et al., Boosting adversarial attacks with momentum, CVPR 2018, algorithm 1; the
step size falls linearly instead of staying.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lipcert.attacks.field import Field

FIRST_SHARE = 0.5  # of the region's width, moved by the first step
LAST_SHARE = 0.01
MOMENTUM = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Searches:
    """Ascents that run side by side.

    Args:
        rows: whose region each is in, (searches,).
        columns: the goal that each wants large, (searches,).
        starts: where each begins, (searches, *shape), float64.
    """

    rows: Tensor
    columns: Tensor
    starts: Tensor

    def part(self, which: slice) -> "Searches":
        """Some of them."""
        return Searches(self.rows[which], self.columns[which], self.starts[which])


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """Where each search is and which way it has been going; all start with axis `searches`."""

    rows: Tensor
    columns: Tensor
    place: Tensor
    course: Tensor

    def where(self, kept: Tensor) -> "_State":
        """Some of them."""
        return _State(*(getattr(self, f.name)[kept] for f in fields(self)))


def climb(field: Field, searches: Searches, steps: int, watch: Callable[[float], None]) -> None:
    """Run the searches; everything they visit is counted in the field's record.

    Args:
        field: what to climb on.
        searches: run side by side, as many at a time as memory allows.
        steps: most evaluations of one search.
        watch: told which share of the work is done.
    """
    total = len(searches.rows)
    for part in field.parts(total):
        some = searches.part(part)
        state = _State(some.rows, some.columns, some.starts, torch.zeros_like(some.starts))
        for step in range(steps):
            left = 1 - step / steps
            state = _stepped(field, state, LAST_SHARE + (FIRST_SHARE - LAST_SHARE) * left)
            watch((part.start + len(some.rows) * (1 - left)) / total)
            if len(state.rows) == 0:
                break


def _stepped(field: Field, state: _State, share: float) -> _State:
    """After one evaluation and one move; searches that have arrived are left out."""
    members = field.member(state.place, state.rows)
    slope = field.slope(members, state.rows, state.columns).nan_to_num(0.0, 0.0, 0.0)
    flat = slope.flatten(1).abs().mean(1).clamp(min=torch.finfo(slope.dtype).tiny)
    slope = slope / flat.view(-1, *[1] * (slope.ndim - 1))
    course = MOMENTUM * state.course + slope
    place = _moved(field, state, course, share)
    leaves = (_moved(field, state, slope, share) != state.place).flatten(1).any(1)
    return _State(state.rows, state.columns, place, course).where(leaves)


def _moved(field: Field, state: _State, course: Tensor, share: float) -> Tensor:
    """A share of the region's width along the signs of the course, in a ball along the course."""
    hull, ball = field.region.hull, field.region.ball()
    lower, upper = hull.lower[state.rows], hull.upper[state.rows]
    if ball is None:
        moved = state.place + share * (upper - lower) * course.sign()
        return moved.maximum(lower).minimum(upper)
    length = torch.linalg.vector_norm(course.flatten(1), dim=1).clamp(min=1e-300)
    scale = share * 2 * ball[1] / length.view(-1, *[1] * (course.ndim - 1))
    return field.region.project(state.place + scale * course, state.rows)
