"""Support function of a region: the least value of linear functionals over the inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lipcert.numeric.norm import length_upper
from lipcert.numeric.placement import Placement
from lipcert.numeric.rounding import cast_down, cast_up, down, gamma, inflate, up
from lipcert.ops.functional import Functional
from lipcert.sets.enclosure import Interval
from lipcert.sets.region import Region
from lipcert.walk.table import Rows, Table


@dataclass(frozen=True, slots=True, eq=False)
class Support:
    """A region's hull, and its ball where it has one, in the dtype of a walk.

    Args:
        hull: smallest box around the region.
        box: its centre, and its radius plus what a product with the centre rounds away.
        ball: its centre, and what a product with it rounds away; None without a ball.
        radius: of the ball.
    """

    hull: Interval
    box: Table
    ball: Table | None
    radius: float

    @classmethod
    def of(cls, region: Region, placement: Placement) -> "Support":
        """Rounded outward into the placement's dtype."""
        exact = region.hull
        hull = Interval(
            cast_down(exact.lower, placement.dtype).to(placement.device),
            cast_up(exact.upper, placement.dtype).to(placement.device),
        )
        rounding = gamma(hull.lower[0].numel() + 4, placement.dtype)
        centre = hull.centre
        radius = hull.radius(centre)
        box = Table.pack([centre, inflate(radius + centre.abs() * rounding, 4)])
        around = region.ball()
        if around is None:
            return cls(hull, box, None, 0.0)
        middle = around[0].to(placement.device, placement.dtype)
        moved = (middle.double().cpu() - around[0]).flatten(1)
        shift = float(torch.linalg.vector_norm(moved, dim=1).max()) * (1 + 1e-9)
        ball = Table.pack([middle, inflate(middle.abs() * rounding, 2)])
        return cls(hull, box, ball, (around[1] + shift) * (1 + 1e-9))

    def least(self, functional: Functional, rows: Rows) -> Tensor:
        """Proved lower bound of every functional over its row's region, (rows,).

        Box: c v - r |v|. Ball: c v - radius ||v||_2 (Cauchy-Schwarz). Both less their rounding.
        """
        least = down(self.box.total(functional, rows, 0) - self.box.slack(functional, rows, 1))
        if self.ball is None:
            return least
        fall = up(length_upper(functional.values.flatten(1)) * self.radius)
        fall = up(fall + self.ball.slack(functional, rows, 1))
        return torch.maximum(least, down(self.ball.total(functional, rows, 0) - fall))
