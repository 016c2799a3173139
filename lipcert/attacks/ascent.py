"""Projected gradient ascent with steps that halve where nothing is gained.

Source: F. Croce and M. Hein, Reliable evaluation of adversarial robustness with an ensemble of
diverse parameter-free attacks, ICML 2020, section 3: the idea of halving and restarting at the
best point; the rule here is simpler.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from lipcert.attacks.field import Field

LEAST_SHARE = 2.0**-6


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
    """Where each search is, and the best it has seen; all start with axis `searches`."""

    rows: Tensor
    columns: Tensor
    place: Tensor
    best: Tensor
    value: Tensor
    slope: Tensor
    share: Tensor

    @classmethod
    def of(cls, searches: Searches) -> "_State":
        """Before the first evaluation."""
        start = searches.starts
        low = start.new_full((len(start),), -torch.inf)
        flat = torch.zeros_like(start)
        share = torch.ones_like(low)
        return cls(searches.rows, searches.columns, start, start, low, flat, share)

    def where(self, kept: Tensor) -> "_State":
        """Some of them."""
        return _State(*(getattr(self, f.name)[kept] for f in fields(self)))


def climb(field: Field, searches: Searches, steps: int) -> None:
    """Run the searches; everything they visit is counted in the field's record."""
    for part in field.parts(len(searches.rows)):
        state = _State.of(searches.part(part))
        for _ in range(steps):
            state = _stepped(field, state)
            if len(state.rows) == 0:
                break


def _stepped(field: Field, state: _State) -> _State:
    """After one evaluation; searches that cannot move any more are left out."""
    members = field.member(state.place, state.rows)
    value, slope = field.slope(members, state.rows, state.columns)
    better = value > state.value
    wide = better.view(-1, *[1] * (slope.ndim - 1))
    best = torch.where(wide, state.place, state.best)
    slope = torch.where(wide, slope, state.slope)
    share = torch.where(better, state.share, state.share / 2)
    place = _moved(field, best, slope, share, state.rows)
    moves = (place != best).flatten(1).any(1) & (share >= LEAST_SHARE)
    after = _State(state.rows, state.columns, place, best, value.maximum(state.value), slope, share)
    return after.where(moves)


def _moved(field: Field, places: Tensor, slope: Tensor, share: Tensor, rows: Tensor) -> Tensor:
    """A share of the region's width along the sign of the slope, in a ball along the slope."""
    hull, ball = field.region.hull, field.region.ball()
    share = share.view(-1, *[1] * (places.ndim - 1))
    lower, upper = hull.lower[rows], hull.upper[rows]
    if ball is None:
        moved = places + share * (upper - lower) * slope.sign()
        return moved.maximum(lower).minimum(upper)
    length = torch.linalg.vector_norm(slope.flatten(1), dim=1).clamp(min=1e-300)
    scale = 2 * ball[1] / length.view_as(share)
    return field.region.project(places + share * scale * slope, rows)
