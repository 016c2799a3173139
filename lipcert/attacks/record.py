"""The best point found so far for every goal of every row."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Written in place: it is as large as the result, and every step adds to it.

    Args:
        values: greatest value of each goal, (rows, goals), float64.
        points: where it was reached, (rows, goals, *shape), float64.
        marks: a number per visited point, (rows, goals); equal where the points are equal.
    """

    values: Tensor
    points: Tensor
    marks: Tensor

    @classmethod
    def empty(cls, points: Tensor, goals: int) -> "Record":
        """Nothing found yet; one row for each of `points` (rows, *shape)."""
        rows = len(points)
        values = points.new_full((rows, goals), -torch.inf)
        places = points[:, None].repeat(1, goals, *[1] * (points.ndim - 1))
        unseen = -1 - torch.arange(rows, device=points.device)
        return cls(values, places, unseen[:, None].repeat(1, goals))

    def add(self, rows: Tensor, points: Tensor, values: Tensor) -> None:
        """Count visited points for every goal; the first of equals stays.

        Args:
            rows: whose region each point is in, (points,).
            points: (points, *shape), float64.
            values: (points, goals); NaN counts for nothing.
        """
        values = values.detach().to(self.values.dtype).nan_to_num(-torch.inf, torch.inf, -torch.inf)
        top = self.values.clone()
        top.scatter_reduce_(0, rows[:, None].expand_as(values), values, "amax")
        found = (values == top[rows]) & (values > self.values[rows])
        visit, goal = found.nonzero(as_tuple=True)
        cell = rows[visit] * values.shape[1] + goal
        first = torch.full((top.numel(),), len(rows), device=rows.device)
        first.scatter_reduce_(0, cell, visit, "amin")
        wins = first[cell] == visit
        visit, goal = visit[wins], goal[wins]
        row = rows[visit]
        start = int(self.marks.max().clamp(min=-1)) + 1
        self.values[row, goal] = values[visit, goal]
        self.points[row, goal] = points[visit]
        self.marks[row, goal] = visit + start

    def distinct(self) -> tuple[Tensor, Tensor, Tensor]:
        """Every point once: its row, the point, and for each (row, goal) its place in the list."""
        rows, goals = self.values.shape
        _, place = self.marks.flatten().unique(return_inverse=True)
        count = int(place.max()) + 1
        cells = torch.arange(rows * goals, device=place.device)
        first = cells.new_full((count,), rows * goals)
        first.scatter_reduce_(0, place, cells, "amin")
        points = self.points.flatten(0, 1)[first]
        return first // goals, points, place.view(rows, goals)
